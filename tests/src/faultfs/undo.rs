//! Taking back what was not synced.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::journal::{Deed, Record};
use crate::random::Random;

/// A disk writes a sector whole or not at all.
const SECTOR: u64 = 512;

/// How much of what was not synced is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All of it.
    Everything,
    /// Of each file nothing, everything, or some sectors; of names, what came after some point.
    Some,
}

/// What was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Files with data that was not synced, and how many of its bytes were lost.
    pub files: u64,
    pub bytes: u64,
    /// Names that were made, changed or removed without a sync of their folder.
    pub names: u64,
}

/// Takes back what the records say. `links` holds a link to each file by its number.
pub fn undo(links: &Path, records: &[Record], loss: Loss, random: &mut Random) -> Result<Lost> {
    let synced = Synced::of(records);
    let mut lost = Lost::default();
    for (inode, deeds) in unsynced_data(records, &synced) {
        let link = links.join(format!("f.{inode}"));
        let file = OpenOptions::new().read(true).write(true).open(&link);
        let file = file.with_context(|| format!("no link to file {inode}"))?;
        let bytes = undo_data(&file, &deeds, loss, random)?;
        lost.files += u64::from(bytes > 0);
        lost.bytes += bytes;
    }
    let names = unsynced_names(records, &synced);
    let kept = match loss {
        Loss::Everything => 0,
        // Names are journalled by the file system: what is kept is a beginning.
        Loss::Some => random.within(0..names.len() as u64 + 1) as usize,
    };
    for deed in names[kept..].iter().rev() {
        undo_name(links, deed)?;
        lost.names += 1;
    }
    Ok(lost)
}

/// Up to which record each file and each folder is durable.
struct Synced<'a> {
    files: HashMap<u64, u64>,
    folders: HashMap<&'a Path, u64>,
}

impl<'a> Synced<'a> {
    fn of(records: &'a [Record]) -> Synced<'a> {
        let mut synced = Synced {
            files: HashMap::new(),
            folders: HashMap::new(),
        };
        for record in records {
            let (last, upto) = match &record.deed {
                Deed::SyncFile { inode, upto } => (synced.files.entry(*inode).or_default(), *upto),
                Deed::SyncFolder { path, upto } => (synced.folders.entry(path).or_default(), *upto),
                _ => continue,
            };
            *last = upto.max(*last);
        }
        synced
    }

    fn has_data(&self, inode: u64, number: u64) -> bool {
        self.files.get(&inode).is_some_and(|upto| number <= *upto)
    }

    fn has_name(&self, path: &Path, number: u64) -> bool {
        let folder = path.parent().unwrap_or(path);
        self.folders.get(folder).is_some_and(|upto| number <= *upto)
    }
}

fn unsynced_data<'a>(records: &'a [Record], synced: &Synced) -> BTreeMap<u64, Vec<&'a Deed>> {
    let mut files: BTreeMap<u64, Vec<&Deed>> = BTreeMap::new();
    for record in records {
        if let Deed::Write { inode, .. } | Deed::Truncate { inode, .. } = &record.deed
            && !synced.has_data(*inode, record.number)
        {
            files.entry(*inode).or_default().push(&record.deed);
        }
    }
    files
}

fn unsynced_names<'a>(records: &'a [Record], synced: &Synced) -> Vec<&'a Deed> {
    let is_unsynced = |record: &&Record| match &record.deed {
        Deed::Create { path } | Deed::Unlink { path, .. } | Deed::MakeFolder { path } => {
            !synced.has_name(path, record.number)
        }
        Deed::Rename { to, .. } => !synced.has_name(to, record.number),
        _ => false,
    };
    records
        .iter()
        .filter(is_unsynced)
        .map(|record| &record.deed)
        .collect()
}

/// Returns how many bytes are not what the process wrote.
fn undo_data(file: &File, deeds: &[&Deed], loss: Loss, random: &mut Random) -> Result<u64> {
    let written_size = file.metadata()?.len();
    let sectors = touched(deeds, written_size);
    let keep: BTreeSet<u64> = match loss {
        Loss::Everything => BTreeSet::new(),
        Loss::Some => {
            let percent = [0, 100, random.within(1..100)][random.within(0..3) as usize];
            sectors
                .iter()
                .copied()
                .filter(|_| random.chance(percent))
                .collect()
        }
    };
    let new = keep
        .iter()
        .map(|sector| read_sector(file, *sector))
        .collect::<Result<Vec<_>>>()?;
    for deed in deeds.iter().rev() {
        restore(file, deed)?;
    }
    for (sector, bytes) in keep.iter().zip(&new) {
        file.write_all_at(bytes, sector * SECTOR)?;
    }
    if loss == Loss::Some && random.chance(50) {
        // The size may be written before the data: then zeros stand for what is missing.
        file.set_len(written_size)?;
    }
    Ok((sectors.len() - keep.len()) as u64 * SECTOR)
}

/// The sectors that are not as they were when the file was last synced.
fn touched(deeds: &[&Deed], written_size: u64) -> BTreeSet<u64> {
    let mut sectors = BTreeSet::new();
    for deed in deeds {
        let from = match deed {
            Deed::Write { offset, old_size, .. } => *(offset.min(old_size)),
            Deed::Truncate { size, old_size, .. } => *(size.min(old_size)),
            _ => continue,
        };
        let to = match deed {
            Deed::Write { offset, old, .. } => offset + old.len() as u64,
            Deed::Truncate { cut, .. } => from + cut.len() as u64,
            _ => continue,
        };
        sectors.extend(from / SECTOR..to.div_ceil(SECTOR).max(from / SECTOR));
        if matches!(deed, Deed::Write { offset, old_size, old, .. } if offset + old.len() as u64 >= *old_size)
        {
            // It made the file longer: all from there to the end is new.
            sectors.extend(from / SECTOR..written_size.div_ceil(SECTOR));
        }
    }
    sectors.retain(|sector| sector * SECTOR < written_size);
    sectors
}

fn read_sector(file: &File, sector: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; SECTOR as usize];
    let mut got = 0;
    while got < bytes.len() {
        match file.read_at(&mut bytes[got..], sector * SECTOR + got as u64)? {
            0 => break,
            count => got += count,
        }
    }
    bytes.truncate(got);
    Ok(bytes)
}

fn restore(file: &File, deed: &Deed) -> Result<()> {
    match deed {
        Deed::Write {
            offset,
            old_size,
            old,
            ..
        } => {
            file.write_all_at(old, *offset)?;
            file.set_len(*old_size)?;
        }
        Deed::Truncate {
            size, old_size, cut, ..
        } => {
            file.set_len(*old_size)?;
            file.write_all_at(cut, *size.min(old_size))?;
        }
        _ => {}
    }
    Ok(())
}

fn undo_name(links: &Path, deed: &Deed) -> Result<()> {
    let link = |inode: u64| -> PathBuf { links.join(format!("f.{inode}")) };
    // A name that is not there any more was removed by a deed that was kept, or never made: the kill came first.
    match deed {
        Deed::Create { path } => ignore_missing(fs::remove_file(path)),
        Deed::MakeFolder { path } => ignore_missing(fs::remove_dir_all(path)),
        Deed::Unlink { inode, path } => {
            if !path.exists() {
                fs::hard_link(link(*inode), path)?;
            }
            Ok(())
        }
        Deed::Rename { from, to, replaced } => {
            if from.exists() || !to.exists() {
                return Ok(());
            }
            fs::rename(to, from)?;
            match replaced {
                Some(inode) => Ok(fs::hard_link(link(*inode), to)?),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn ignore_missing(result: std::io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
