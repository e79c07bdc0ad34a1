//! A disk in memory that forgets, tears and flips what was not synced.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The files of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    Log,
    State,
    Watermark,
}

/// The disk. Clones are the same one.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<Inner>>);

struct Inner {
    files: [Content; 3],
    random: u64,
    /// Syncs are reported and not done.
    lies: bool,
    free_bytes: u64,
}

#[derive(Default)]
struct Content {
    synced: Vec<u8>,
    unsynced: Vec<u8>,
}

impl Disk {
    /// An empty disk; whatever happens by chance follows from the seed.
    pub fn new(seed: u64) -> Disk {
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Disk(Arc::new(Mutex::new(Inner {
            files: Default::default(),
            random,
            lies: false,
            free_bytes: u64::MAX,
        })))
    }

    /// From now on syncs do nothing, and say that they did.
    pub fn lie(&self) {
        self.lock().lies = true;
    }

    pub fn set_free_bytes(&self, bytes: u64) {
        self.lock().free_bytes = bytes;
    }

    pub(super) fn free_bytes(&self) -> u64 {
        self.lock().free_bytes
    }

    pub fn len(&self, file: File) -> usize {
        let inner = self.lock();
        let content = &inner.files[file as usize];
        content.synced.len() + content.unsynced.len()
    }

    pub fn is_empty(&self, file: File) -> bool {
        self.len(file) == 0
    }

    /// Power goes: of what was not synced, a prefix of each file stays, whose last bytes may be flipped.
    pub fn crash(&self) {
        let mut inner = self.lock();
        for file in 0..inner.files.len() {
            let length = inner.files[file].unsynced.len() as u64;
            let kept = inner.below(length + 1) as usize;
            let flipped = inner.below(4) == 0 && kept > 0;
            let at = inner.below(64.min(kept.max(1) as u64)) as usize;
            let content = &mut inner.files[file];
            content.unsynced.truncate(kept);
            if flipped {
                content.unsynced[kept - 1 - at] ^= 0x20;
            }
            content.synced.append(&mut content.unsynced);
        }
        inner.lies = false;
    }

    /// Changes a bit of what is on disk.
    pub fn flip(&self, file: File, offset: usize) {
        let mut inner = self.lock();
        if let Some(byte) = inner.files[file as usize].synced.get_mut(offset) {
            *byte ^= 0x04;
        }
    }

    /// Cuts a file.
    pub fn cut(&self, file: File, length: usize) {
        let mut inner = self.lock();
        inner.files[file as usize].unsynced.clear();
        inner.files[file as usize].synced.truncate(length);
    }

    pub(super) fn read(&self, file: File) -> Vec<u8> {
        let inner = self.lock();
        let content = &inner.files[file as usize];
        [&content.synced[..], &content.unsynced].concat()
    }

    pub(super) fn append(&self, file: File, bytes: &[u8]) {
        self.lock().files[file as usize].unsynced.extend_from_slice(bytes);
    }

    pub(super) fn sync(&self, file: File) {
        let mut inner = self.lock();
        if !inner.lies {
            let content = &mut inner.files[file as usize];
            content.synced.append(&mut content.unsynced);
        }
    }

    /// Writes a file new, as a whole, durably.
    pub(super) fn replace(&self, file: File, bytes: Vec<u8>) {
        self.lock().files[file as usize] = Content {
            synced: bytes,
            unsynced: Vec::new(),
        };
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound.max(1)
    }
}
