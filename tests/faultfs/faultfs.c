/*
 * An undo log of what a process writes and does not sync, for tests: after SIGKILL, what a power failure might have
 * taken can be taken back (see ../src/faultfs/). Loaded by LD_PRELOAD.
 *
 * FAULTFS_ROOT     folder that is watched; an absolute path
 * FAULTFS_LIE      if set, syncs succeed and are not recorded: a disk that lies
 * FAULTFS_JOURNAL  folder for the undo log, in the same file system; it holds a hard link `f.<inode>` to every watched
 *                  file, so that a file can be found under any name and after it was removed
 *
 * The journal file is a sequence of records, little-endian:
 *     u32 length of what follows, u8 kind, u64 number, u64 inode, u64 a, u64 b, u16 length of name 1, u16 length of name 2,
 *     name 1, name 2, bytes
 * A record is written before what it undoes is done, and the record of a sync after the sync. Its `a` is the number of
 * the last record before the sync began: all up to there is durable.
 *
 *     kind  inode       a              b            names             bytes
 *     W     written     offset         old size     -                 old bytes from the offset on, up to the old end
 *     T     truncated   new size       old size     -                 old bytes from the new end on
 *     C     created     -              -            path              -
 *     U     unlinked    -              -            path              -
 *     R     renamed     inode that it  -            old path, new     -
 *                       replaces, or 0              path
 *     M     -           -              -            path of a folder  -
 *     S     synced      last record    -            -                 -
 *     D     -           last record    -            path of a folder  -
 *
 * A mutex is held over record and deed, so that their orders agree; a sync runs outside of it. What is written through a
 * mapping, by stdio or by direct system calls is not seen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FD 65536
#define HEADER 41

enum { NOTHING, FILE_FD, FOLDER_FD };

struct watched {
    char what;
    int appends;
    int reader; /* a descriptor for reading the same file, as the other may be for writing alone */
    uint64_t inode;
    char *path; /* of a folder */
};

static struct watched table[MAX_FD];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char root[PATH_MAX], journal[PATH_MAX];
static size_t root_length;
static int journal_fd = -1;
static uint64_t last_record;
static int lies;

#define REAL(result, name, ...) static result (*real_##name)(__VA_ARGS__)
REAL(int, openat, int, const char *, int, ...);
REAL(int, close, int);
REAL(ssize_t, write, int, const void *, size_t);
REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
REAL(ssize_t, writev, int, const struct iovec *, int);
REAL(ssize_t, pwritev, int, const struct iovec *, int, off_t);
REAL(int, ftruncate, int, off_t);
REAL(int, fallocate, int, int, off_t, off_t);
REAL(int, fsync, int);
REAL(int, fdatasync, int);
REAL(int, mkdir, const char *, mode_t);
REAL(int, dup, int);
REAL(int, dup3, int, int, int);

static void give_up(const char *what) {
    /* A test that goes on without its undo log would prove nothing. */
    fprintf(stderr, "faultfs: %s: %s\n", what, strerror(errno));
    abort();
}

static void start(void) {
#define FIND(name, symbol) *(void **)&real_##name = dlsym(RTLD_NEXT, symbol)
    FIND(openat, "openat64");
    FIND(close, "close");
    FIND(write, "write");
    FIND(pwrite, "pwrite64");
    FIND(writev, "writev");
    FIND(pwritev, "pwritev64");
    FIND(ftruncate, "ftruncate64");
    FIND(fallocate, "fallocate64");
    FIND(fsync, "fsync");
    FIND(fdatasync, "fdatasync");
    FIND(mkdir, "mkdir");
    FIND(dup, "dup");
    FIND(dup3, "dup3");
    const char *watch = getenv("FAULTFS_ROOT"), *where = getenv("FAULTFS_JOURNAL");
    if (!watch || !where)
        return;
    snprintf(root, sizeof root, "%s", watch);
    snprintf(journal, sizeof journal, "%s", where);
    root_length = strlen(root);
    char name[PATH_MAX + 16];
    snprintf(name, sizeof name, "%s/journal", journal);
    journal_fd = real_openat(AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal_fd < 0)
        give_up("the journal can not be opened");
    /* Numbers go on growing in the next process: no record is shorter than a byte. */
    last_record = (uint64_t)lseek(journal_fd, 0, SEEK_END);
    lies = getenv("FAULTFS_LIE") != NULL;
}

static void begin(void) {
    pthread_once(&once, start);
}

/* The absolute form of a path, if it is watched. Folders are not resolved: the store uses no links. */
static int is_watched(int folder, const char *path, char *full) {
    if (journal_fd < 0 || !path)
        return 0;
    if (path[0] == '/') {
        snprintf(full, PATH_MAX, "%s", path);
    } else if (folder == AT_FDCWD) {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here) || snprintf(full, PATH_MAX, "%s/%s", here, path) >= PATH_MAX)
            return 0;
    } else {
        return 0;
    }
    size_t length = strlen(full);
    while (length > 1 && full[length - 1] == '/')
        full[--length] = 0;
    return strncmp(full, root, root_length) == 0 && (full[root_length] == '/' || full[root_length] == 0);
}

static void put(const void *bytes, size_t length) {
    while (length > 0) {
        ssize_t done = real_write(journal_fd, bytes, length);
        if (done < 0)
            give_up("the journal can not be written");
        bytes = (const char *)bytes + done;
        length -= (size_t)done;
    }
}

/* Writes one record; the lock is held. `length` bytes follow from `reader` at `offset`. */
static void record(char kind, uint64_t inode, uint64_t a, uint64_t b, const char *one, const char *two, int reader,
                   off_t offset, size_t length) {
    uint16_t one_length = one ? strlen(one) : 0, two_length = two ? strlen(two) : 0;
    size_t total = HEADER - 4 + one_length + two_length + length;
    unsigned char *buffer = malloc(4 + total), *at = buffer;
    if (!buffer)
        give_up("no memory");
    uint32_t size = (uint32_t)total;
    uint64_t number = ++last_record;
    memcpy(at, &size, 4), at += 4;
    *at++ = (unsigned char)kind;
    memcpy(at, &number, 8), at += 8;
    memcpy(at, &inode, 8), at += 8;
    memcpy(at, &a, 8), at += 8;
    memcpy(at, &b, 8), at += 8;
    memcpy(at, &one_length, 2), at += 2;
    memcpy(at, &two_length, 2), at += 2;
    if (one)
        memcpy(at, one, one_length), at += one_length;
    if (two)
        memcpy(at, two, two_length), at += two_length;
    for (size_t got = 0; got < length;) {
        ssize_t part = pread(reader, at + got, length - got, offset + (off_t)got);
        if (part <= 0)
            give_up("old bytes can not be read");
        got += (size_t)part;
    }
    put(buffer, 4 + total);
    free(buffer);
}

static void keep_link(const char *path, uint64_t inode) {
    char name[PATH_MAX + 32];
    snprintf(name, sizeof name, "%s/f.%llu", journal, (unsigned long long)inode);
    if (linkat(AT_FDCWD, path, AT_FDCWD, name, 0) != 0 && errno != EEXIST)
        give_up("a file can not be linked");
}

static int open_reader(uint64_t inode) {
    char name[PATH_MAX + 32];
    snprintf(name, sizeof name, "%s/f.%llu", journal, (unsigned long long)inode);
    int reader = real_openat(AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
    if (reader < 0)
        give_up("a file can not be read");
    return reader;
}

static uint64_t size_of(int fd) {
    struct stat now;
    if (fstat(fd, &now) != 0)
        give_up("a file has no size");
    return (uint64_t)now.st_size;
}

/* The lock is held. */
static void before_write(struct watched *file, uint64_t offset, size_t length) {
    uint64_t size = size_of(file->reader);
    if (file->appends)
        offset = size;
    size_t old = offset >= size ? 0 : size - offset < length ? size - offset : length;
    record('W', file->inode, offset, size, NULL, NULL, file->reader, (off_t)offset, old);
}

static void before_truncate(struct watched *file, uint64_t size) {
    uint64_t old = size_of(file->reader);
    size_t cut = old > size ? old - size : 0;
    record('T', file->inode, size, old, NULL, NULL, file->reader, (off_t)size, cut);
}

static struct watched *watched_fd(int fd, char what) {
    return fd >= 0 && fd < MAX_FD && table[fd].what == what ? &table[fd] : NULL;
}

static int opened(int fd, int flags, const char *full) {
    struct stat now;
    if (fd < 0 || fd >= MAX_FD || fstat(fd, &now) != 0)
        return fd;
    struct watched *entry = &table[fd];
    if (S_ISDIR(now.st_mode)) {
        entry->path = strdup(full);
        entry->what = FOLDER_FD;
    } else if (S_ISREG(now.st_mode) && (flags & O_ACCMODE) != O_RDONLY) {
        entry->inode = now.st_ino;
        entry->appends = (flags & O_APPEND) != 0;
        keep_link(full, entry->inode);
        entry->reader = open_reader(entry->inode);
        entry->what = FILE_FD;
    }
    return fd;
}

static int open_any(int folder, const char *path, int flags, mode_t mode) {
    begin();
    char full[PATH_MAX];
    if (!is_watched(folder, path, full))
        return real_openat(folder, path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat before;
    int existed = stat(full, &before) == 0;
    if (existed && (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY && S_ISREG(before.st_mode)) {
        keep_link(full, before.st_ino);
        struct watched file = {.inode = before.st_ino, .reader = open_reader(before.st_ino)};
        before_truncate(&file, 0);
        real_close(file.reader);
    }
    int fd = real_openat(folder, path, flags, mode);
    int saved = errno;
    if (fd >= 0 && !existed && (flags & O_CREAT)) {
        struct stat now;
        if (fstat(fd, &now) != 0)
            give_up("a new file is not there");
        keep_link(full, now.st_ino);
        record('C', now.st_ino, 0, 0, full, NULL, -1, 0, 0);
    }
    opened(fd, flags, full);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return open_any(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return open_any(folder, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_any(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

static void forget(int fd) {
    if (fd < 0 || fd >= MAX_FD || table[fd].what == NOTHING)
        return;
    if (table[fd].what == FILE_FD)
        real_close(table[fd].reader);
    free(table[fd].path);
    memset(&table[fd], 0, sizeof table[fd]);
}

int close(int fd) {
    begin();
    pthread_mutex_lock(&lock);
    forget(fd);
    int result = real_close(fd);
    pthread_mutex_unlock(&lock);
    return result;
}

static int dup_watched(int fd, int copy) {
    if (copy < 0 || copy >= MAX_FD || fd < 0 || fd >= MAX_FD || copy == fd || table[fd].what == NOTHING)
        return copy;
    table[copy] = table[fd];
    if (table[fd].what == FILE_FD)
        table[copy].reader = open_reader(table[fd].inode);
    else
        table[copy].path = strdup(table[fd].path);
    return copy;
}

int dup(int fd) {
    begin();
    pthread_mutex_lock(&lock);
    int copy = dup_watched(fd, real_dup(fd));
    pthread_mutex_unlock(&lock);
    return copy;
}

int dup3(int fd, int copy, int flags) {
    begin();
    pthread_mutex_lock(&lock);
    int result = real_dup3(fd, copy, flags);
    if (result >= 0) {
        forget(copy);
        dup_watched(fd, result);
    }
    pthread_mutex_unlock(&lock);
    return result;
}
int dup2(int fd, int copy) { return fd == copy ? fd : dup3(fd, copy, 0); }

/* Duplicates by fcntl, as Rust's File::try_clone does. */
static int control(int fd, int command, void *argument) {
    begin();
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_fcntl, fd, command, argument);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        dup_watched(fd, result);
    pthread_mutex_unlock(&lock);
    return result;
}

int fcntl(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    /* Waiting for a lock must not keep others from writing. */
    if (command == F_SETLKW || command == F_OFD_SETLKW)
        return (int)syscall(SYS_fcntl, fd, command, argument);
    return control(fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return fcntl(fd, command, argument);
}

static size_t total(const struct iovec *parts, int count) {
    size_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += parts[i].iov_len;
    return sum;
}

/* `offset` below zero: at the descriptor's own. */
static void note_write(int fd, off_t offset, size_t length) {
    struct watched *file = watched_fd(fd, FILE_FD);
    if (file && length > 0)
        before_write(file, (uint64_t)(offset < 0 ? lseek(fd, 0, SEEK_CUR) : offset), length);
}

#define WRITING(fd, offset, length, deed) \
    begin(); \
    if (!watched_fd(fd, FILE_FD)) \
        return deed; \
    pthread_mutex_lock(&lock); \
    note_write(fd, offset, length); \
    ssize_t result = deed; \
    int saved = errno; \
    pthread_mutex_unlock(&lock); \
    errno = saved; \
    return result;

ssize_t write(int fd, const void *bytes, size_t length) { WRITING(fd, -1, length, real_write(fd, bytes, length)) }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    WRITING(fd, offset, length, real_pwrite(fd, bytes, length, offset))
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) { return pwrite(fd, bytes, length, offset); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
    WRITING(fd, -1, total(parts, count), real_writev(fd, parts, count))
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    WRITING(fd, offset, total(parts, count), real_pwritev(fd, parts, count, offset))
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev(fd, parts, count, offset);
}

int ftruncate(int fd, off_t size) {
    begin();
    pthread_mutex_lock(&lock);
    struct watched *file = watched_fd(fd, FILE_FD);
    if (file)
        before_truncate(file, (uint64_t)size);
    int result = real_ftruncate(fd, size);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

static int allocate(int fd, int mode, off_t offset, off_t length) {
    begin();
    pthread_mutex_lock(&lock);
    struct watched *file = watched_fd(fd, FILE_FD);
    if (file && !(mode & FALLOC_FL_KEEP_SIZE)) {
        uint64_t old = size_of(file->reader), size = (uint64_t)(offset + length);
        record('T', file->inode, size > old ? size : old, old, NULL, NULL, -1, 0, 0);
    }
    int result = real_fallocate(fd, mode, offset, length);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
int fallocate(int fd, int mode, off_t offset, off_t length) { return allocate(fd, mode, offset, length); }
int fallocate64(int fd, int mode, off_t offset, off_t length) { return allocate(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) {
    return allocate(fd, 0, offset, length) == 0 ? 0 : errno;
}
int posix_fallocate64(int fd, off_t offset, off_t length) { return posix_fallocate(fd, offset, length); }

/* The copy would not be seen: whoever copies falls back to reading and writing. */
ssize_t copy_file_range(int in, off_t *from, int out, off_t *to, size_t length, unsigned int flags) {
    begin();
    if (watched_fd(out, FILE_FD)) {
        errno = EXDEV;
        return -1;
    }
    return syscall(SYS_copy_file_range, in, from, out, to, length, flags);
}
ssize_t sendfile(int out, int in, off_t *offset, size_t count) {
    begin();
    if (watched_fd(out, FILE_FD)) {
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_sendfile, out, in, offset, count);
}
ssize_t sendfile64(int out, int in, off_t *offset, size_t count) { return sendfile(out, in, offset, count); }

static int sync_any(int fd, int (*real)(int)) {
    pthread_mutex_lock(&lock);
    uint64_t upto = last_record;
    int is_file = watched_fd(fd, FILE_FD) != NULL, is_folder = watched_fd(fd, FOLDER_FD) != NULL;
    uint64_t inode = is_file ? table[fd].inode : 0;
    char *path = is_folder ? strdup(table[fd].path) : NULL;
    struct stat now;
    if (!is_file && !is_folder && journal_fd >= 0 && fstat(fd, &now) == 0 && S_ISREG(now.st_mode)) {
        /* Opened for reading alone: syncing it syncs the file all the same. */
        is_file = 1;
        inode = now.st_ino;
    }
    pthread_mutex_unlock(&lock);
    int result = real(fd);
    int saved = errno;
    if (result == 0 && !lies && (is_file || is_folder)) {
        pthread_mutex_lock(&lock);
        record(is_file ? 'S' : 'D', inode, upto, 0, path, NULL, -1, 0, 0);
        pthread_mutex_unlock(&lock);
    }
    free(path);
    errno = saved;
    return result;
}
int fsync(int fd) { begin(); return sync_any(fd, real_fsync); }
int fdatasync(int fd) { begin(); return sync_any(fd, real_fdatasync); }

static int rename_any(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags) {
    begin();
    char old[PATH_MAX], new[PATH_MAX];
    if (!is_watched(from_folder, from, old) || !is_watched(to_folder, to, new))
        return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    pthread_mutex_lock(&lock);
    struct stat source, target;
    if (stat(old, &source) == 0 && S_ISREG(source.st_mode)) {
        int replaces = stat(new, &target) == 0 && S_ISREG(target.st_mode);
        keep_link(old, source.st_ino);
        if (replaces)
            keep_link(new, target.st_ino);
        record('R', source.st_ino, replaces ? target.st_ino : 0, 0, old, new, -1, 0, 0);
    }
    int result = (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
int rename(const char *from, const char *to) { return rename_any(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return rename_any(from_folder, from, to_folder, to, 0);
}
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags) {
    return rename_any(from_folder, from, to_folder, to, flags);
}

int unlinkat(int folder, const char *path, int flags) {
    begin();
    char full[PATH_MAX];
    struct stat now;
    if ((flags & AT_REMOVEDIR) || !is_watched(folder, path, full))
        return (int)syscall(SYS_unlinkat, folder, path, flags);
    pthread_mutex_lock(&lock);
    if (lstat(full, &now) == 0 && S_ISREG(now.st_mode)) {
        keep_link(full, now.st_ino);
        record('U', now.st_ino, 0, 0, full, NULL, -1, 0, 0);
    }
    int result = (int)syscall(SYS_unlinkat, folder, path, flags);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int remove(const char *path) {
    return unlink(path) == 0 || (errno == EISDIR || errno == EPERM ? rmdir(path) : -1) == 0 ? 0 : -1;
}

int mkdir(const char *path, mode_t mode) {
    begin();
    char full[PATH_MAX];
    if (!is_watched(AT_FDCWD, path, full))
        return real_mkdir(path, mode);
    pthread_mutex_lock(&lock);
    int result = real_mkdir(path, mode);
    int saved = errno;
    if (result == 0)
        record('M', 0, 0, 0, full, NULL, -1, 0, 0);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
