//! What the log writes for each byte that it is given, by what becomes of the bytes later.
//!
//! `cargo run --release -p mainstem-storage --example amplification -- <folder> [queue|mixed|kv]... [--gb 6]`
//!
//! - `queue`: 24 groups round robin in frames of 64 KiB; a quarter of all that is written is kept, the newest.
//! - `mixed`: records of 1 KiB, 16 an entry; one in ten is kept for ever, the others until 1 GB more is written.
//! - `kv`: records of 1 KiB, 16 an entry; keys are overwritten at random. A tenth of all that is written stays live.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program that measures")]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use mainstem_storage::{Done, Entry, GroupId, Kept, Liveness, LogStore, Options, Storage};

const GROUPS: u32 = 24;
const RECORD: usize = 1 << 10;
const RECORDS: usize = 16;
const MB: u64 = 1 << 20;
/// The log is purged this far behind its end: what a group's snapshot leaves.
const UNPURGED: u64 = 128 * MB;
const CLEAN_EVERY: u64 = 128 * MB;
/// Batches that are written at the same time.
const IN_FLIGHT: usize = 2;

/// A generator that gives the same numbers again.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn fill(&mut self, len: usize) -> Bytes {
        let mut data = BytesMut::with_capacity(len + 8);
        while data.len() < len {
            data.extend_from_slice(&self.next().to_le_bytes());
        }
        data.truncate(len);
        data.freeze()
    }
}

/// Which records of which entries are needed.
#[derive(Default)]
struct Needed(Mutex<Vec<u16>>);

impl Liveness for Needed {
    fn live_bytes(&self, range: Range<u64>) -> u64 {
        let masks = self.0.lock().unwrap();
        let end = (range.end as usize).min(masks.len());
        let live = masks[range.start as usize..end]
            .iter()
            .map(|mask| u64::from(mask.count_ones()))
            .sum::<u64>();
        live * RECORD as u64
    }

    fn strip(&self, index: u64, entry: &Bytes) -> Option<Bytes> {
        let mask = *self.0.lock().unwrap().get(index as usize)?;
        // The entry's own header is its mask, as it was when it was stripped last.
        let had = u16::from_le_bytes([entry[0], entry[1]]);
        let mut stripped = BytesMut::from(&mask.to_le_bytes()[..]);
        let mut at = 2;
        for bit in (0..RECORDS).map(|k| 1u16 << k).filter(|bit| had & bit != 0) {
            if mask & bit != 0 {
                stripped.extend_from_slice(&entry[at..at + RECORD]);
            }
            at += RECORD;
        }
        (mask != 0).then(|| stripped.freeze())
    }
}

/// A store under load, with what is in flight.
struct Load {
    storage: Storage,
    done: mpsc::Receiver<()>,
    tell: mpsc::SyncSender<()>,
    in_flight: usize,
    numbers: Numbers,
    written: u64,
    cleaned_at: u64,
    start: Instant,
    io_before: [u64; 2],
}

impl Load {
    fn new(folder: &Path) -> Load {
        let _ = std::fs::remove_dir_all(folder);
        let storage = Storage::open(folder, Options::default()).unwrap();
        let (tell, done) = mpsc::sync_channel(64);
        let (start, io_before) = (Instant::now(), process_writes());
        let numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        Load {
            storage,
            done,
            tell,
            in_flight: 0,
            numbers,
            written: 0,
            cleaned_at: 0,
            start,
            io_before,
        }
    }

    fn log(&self) -> &dyn LogStore {
        &*self.storage.log
    }

    /// Appends, and waits while too much is in flight.
    fn append(&mut self, group: GroupId, entries: Vec<Entry>) {
        self.written += entries.iter().map(|entry| entry.data.len() as u64).sum::<u64>();
        let tell = self.tell.clone();
        let done: Done = Box::new(move |result| {
            result.unwrap();
            tell.send(()).unwrap();
        });
        self.log().append(group, entries, done);
        self.in_flight += 1;
    }

    fn wait(&mut self, in_flight: usize) {
        while self.in_flight > in_flight {
            self.done.recv().unwrap();
            self.in_flight -= 1;
        }
    }

    fn purge(&self, group: GroupId, first: u64) {
        self.log()
            .purge(group, first, Bytes::new(), Box::new(|result| result.unwrap()));
    }

    fn clean(&mut self) {
        if self.written - self.cleaned_at >= CLEAN_EVERY {
            self.cleaned_at = self.written;
            self.log().clean(&mut || Ok(())).unwrap();
        }
    }

    fn report(mut self, name: &str, folder: &Path, live: u64) {
        self.wait(0);
        let seconds = self.start.elapsed().as_secs_f64();
        self.log().clean(&mut || Ok(())).unwrap();
        let metrics = self.storage.metrics();
        let of = |bytes: u64| bytes as f64 / self.written as f64;
        let written = metrics.written;
        let [given, device] = process_writes();
        println!(
            "| {name} | {:.1} | {:.2} | {:.2} | {:.3} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {} / {} | {:.2} |",
            self.written as f64 / 1e9,
            of(written.wal),
            of(written.flush - written.cold.min(written.flush)),
            of(written.compaction),
            of(written.cold),
            of(written.total()),
            of(given - self.io_before[0]),
            of(device - self.io_before[1]),
            self.written as f64 / 1e6 / seconds,
            metrics.sync_ns.quantile(0.5) / 1000,
            metrics.sync_ns.quantile(0.99) / 1000,
            folder_bytes(folder) as f64 / live.max(1) as f64,
        );
    }
}

fn queue(folder: &Path, total: u64) {
    let mut load = Load::new(folder);
    (0..GROUPS).for_each(|group| load.log().open_group(GroupId(group), Kept::Synced).unwrap());
    let kept = total / 4;
    let entry = 64 * 1024 - 64;
    let mut next = 0;
    while load.written < total {
        for group in 0..GROUPS {
            let data = load.numbers.fill(entry);
            load.append(GroupId(group), vec![Entry { index: next, data }]);
            load.wait(4 * IN_FLIGHT);
        }
        next += 1;
        let kept_entries = kept / u64::from(GROUPS) / entry as u64;
        if next > kept_entries && next.is_multiple_of(16) {
            (0..GROUPS).for_each(|group| load.purge(GroupId(group), next - kept_entries));
        }
        load.clean();
    }
    load.report("queue", folder, kept);
}

/// Entries of many records, of one group.
struct Records {
    load: Load,
    needed: Arc<Needed>,
    next: u64,
}

impl Records {
    fn new(folder: &Path) -> Records {
        let load = Load::new(folder);
        let needed = Arc::new(Needed::default());
        load.log().open_group(GroupId(1), Kept::Synced).unwrap();
        load.log().set_liveness(GroupId(1), needed.clone());
        Records {
            load,
            needed,
            next: 0,
        }
    }

    /// Four entries, all records live.
    fn append(&mut self) {
        let entries = (0..4).map(|k| {
            let mut data = BytesMut::from(&u16::MAX.to_le_bytes()[..]);
            data.extend_from_slice(&self.load.numbers.fill(RECORD * RECORDS));
            self.needed.0.lock().unwrap().push(u16::MAX);
            Entry {
                index: self.next + k,
                data: data.freeze(),
            }
        });
        let entries = entries.collect();
        self.next += 4;
        self.load.append(GroupId(1), entries);
        self.load.wait(IN_FLIGHT);
        let unpurged = UNPURGED / (RECORD * RECORDS) as u64;
        if self.next.is_multiple_of(1024) && self.next > unpurged {
            self.load.purge(GroupId(1), self.next - unpurged);
        }
        self.load.clean();
    }

    fn report(self, name: &str, folder: &Path) {
        let live = self.needed.live_bytes(0..self.next);
        self.load.report(name, folder, live);
    }
}

fn mixed(folder: &Path, total: u64) {
    let mut records = Records::new(folder);
    let short = (1 << 30) / (RECORD * RECORDS) as u64;
    let mut expired = 0;
    while records.load.written < total {
        records.append();
        while expired + short < records.next {
            let mut mask = 0;
            for bit in 0..RECORDS {
                mask |= u16::from(records.load.numbers.next().is_multiple_of(10)) << bit;
            }
            records.needed.0.lock().unwrap()[expired as usize] = mask;
            expired += 1;
        }
    }
    records.report("mixed", folder);
}

fn kv(folder: &Path, total: u64) {
    let mut records = Records::new(folder);
    let keys = total / 10 / RECORD as u64;
    let mut places: Vec<Option<(u32, u8)>> = vec![None; keys as usize];
    while records.load.written < total {
        let first = records.next;
        records.append();
        for index in first..records.next {
            for bit in 0..RECORDS as u8 {
                let key = (records.load.numbers.next() % keys) as usize;
                if let Some((entry, bit)) = places[key].replace((index as u32, bit)) {
                    records.needed.0.lock().unwrap()[entry as usize] &= !(1 << bit);
                }
            }
        }
    }
    records.report("kv", folder);
}

/// Bytes that the process wrote, and pages that it made dirty, as the kernel counts.
fn process_writes() -> [u64; 2] {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    ["wchar: ", "write_bytes: "].map(|name| {
        let line = io.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse().unwrap()
    })
}

fn folder_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let of = |entry: std::fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => folder_bytes(&entry.path()),
        false if entry.file_name() == "ballast" => 0,
        false => entry.metadata().map_or(0, |meta| meta.blocks() * 512),
    };
    entries.map(of).sum()
}

fn main() {
    let mut names = Vec::new();
    let mut total = 6 << 30;
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().expect("a folder that may be removed"));
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--gb" => total = args.next().unwrap().parse::<u64>().unwrap() << 30,
            _ => names.push(arg),
        }
    }
    if names.is_empty() {
        names = ["queue", "mixed", "kv"].map(String::from).into();
    }
    println!(
        "bytes written / byte of entries, by cause; of them all as RocksDB counts, as the kernel counts writes and as it counts dirty pages"
    );
    println!(
        "| work | GB | WAL | flush | compaction | copies | all | written | dirtied | MB/s | sync p50 / p99 us | disk used / live |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for name in &names {
        match name.as_str() {
            "queue" => queue(&folder, total),
            "mixed" => mixed(&folder, total),
            "kv" => kv(&folder, total),
            other => println!("{other} is no work"),
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
}
