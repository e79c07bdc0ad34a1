//! The undo log as `faultfs.c` writes it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What was done, with what undoes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    Write {
        inode: u64,
        offset: u64,
        old_size: u64,
        old: Vec<u8>,
    },
    /// `cut` stood from the new end on.
    Truncate {
        inode: u64,
        size: u64,
        old_size: u64,
        cut: Vec<u8>,
    },
    Create {
        path: PathBuf,
    },
    Unlink {
        inode: u64,
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
        replaced: Option<u64>,
    },
    MakeFolder {
        path: PathBuf,
    },
    SyncFile {
        inode: u64,
        upto: u64,
    },
    SyncFolder {
        path: PathBuf,
        upto: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub number: u64,
    pub deed: Deed,
}

/// All records. The last one may be cut: then what it was to undo was not done.
pub fn read(file: &Path) -> Result<Vec<Record>> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut rest = bytes.as_slice();
    let mut records = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        if tail.len() < length {
            break;
        }
        let (record, tail) = tail.split_at(length);
        records.push(parse(record).context("a record of the undo log is not whole")?);
        rest = tail;
    }
    Ok(records)
}

fn parse(mut bytes: &[u8]) -> Result<Record> {
    let from = &mut bytes;
    let [kind] = take::<1>(from)?;
    let [number, inode, a, b] = [long(from)?, long(from)?, long(from)?, long(from)?];
    let lengths = [short(from)?, short(from)?];
    let [one, two] = lengths.map(|length| path(from, length));
    let (one, two) = (one?, two?);
    let rest = from.to_vec();
    let deed = match kind {
        b'W' => Deed::Write {
            inode,
            offset: a,
            old_size: b,
            old: rest,
        },
        b'T' => Deed::Truncate {
            inode,
            size: a,
            old_size: b,
            cut: rest,
        },
        b'C' => Deed::Create { path: one },
        b'U' => Deed::Unlink { inode, path: one },
        b'R' => Deed::Rename {
            from: one,
            to: two,
            replaced: (a != 0).then_some(a),
        },
        b'M' => Deed::MakeFolder { path: one },
        b'S' => Deed::SyncFile { inode, upto: a },
        b'D' => Deed::SyncFolder { path: one, upto: a },
        kind => bail!("unknown kind {kind}"),
    };
    Ok(Record { number, deed })
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N]> {
    let (taken, rest) = from.split_first_chunk::<N>().context("too short")?;
    *from = rest;
    Ok(*taken)
}

fn long(from: &mut &[u8]) -> Result<u64> {
    take(from).map(u64::from_le_bytes)
}

fn short(from: &mut &[u8]) -> Result<usize> {
    take(from).map(|bytes| usize::from(u16::from_le_bytes(bytes)))
}

fn path(from: &mut &[u8], length: usize) -> Result<PathBuf> {
    let (name, rest) = from.split_at_checked(length).context("too short")?;
    *from = rest;
    Ok(PathBuf::from(std::str::from_utf8(name)?))
}
