//! Looking at a store that nobody has open.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use crate::folder::Folder;
use crate::log::{GroupId, StorageError};
use crate::options::Options;
use crate::rocks::db::{Access, LogDb};
use crate::rocks::recover::recover;
use crate::rocks::salvage::check_ended;
use crate::rocks::state::RocksState;
use crate::rocks::verify::{Extent, verify};
use crate::store;
use crate::watermark::Watermark;

/// Something that is not as it was written.
#[derive(Clone, Debug)]
pub struct Damage {
    pub error: StorageError,
    /// The entries that are gone, if it is known which.
    pub lost: Option<(GroupId, Range<u64>)>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub groups: u64,
    pub frames: u64,
    pub rows: u64,
    pub damage: Vec<Damage>,
}

impl Report {
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }

    fn add(&mut self, error: StorageError) {
        self.damage.push(Damage { error, lost: None });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} groups, {} frames of the log and {} rows read",
            self.groups, self.frames, self.rows
        )?;
        for damage in &self.damage {
            writeln!(f, "damaged: {}", damage.error)?;
            if let Some((group, lost)) = &damage.lost {
                writeln!(
                    f,
                    "    lost: entries {} to {} of group {}",
                    lost.start,
                    lost.end - 1,
                    group.0
                )?;
            }
        }
        match self.is_whole() {
            true => writeln!(f, "the store is whole"),
            false => writeln!(f, "{} places are damaged", self.damage.len()),
        }
    }
}

/// Reads everything in a data folder and checks it. Nothing is changed.
///
/// # Errors
/// The folder is in use, or holds no store. Damage is no error, but what the report is about.
pub fn check(folder: &Path) -> Result<Report, StorageError> {
    let folder = Folder::existing(folder)?;
    let _lock = folder.lock()?;
    let options = Options::default();
    let mut report = Report::default();
    if let Err(error) = check_ended(&folder) {
        report.add(error);
    }
    if let Err(error) = check_log(&folder, &options, &mut report) {
        report.add(error);
    }
    let rows =
        RocksState::open(&folder.state(), Access::Read, &options, None).and_then(|state| state.verify());
    match rows {
        Ok(rows) => report.rows = rows,
        Err(error) => report.add(error),
    }
    Ok(report)
}

fn check_log(folder: &Folder, options: &Options, report: &mut Report) -> Result<(), StorageError> {
    let marks = match Watermark::open(&folder.watermark(), false) {
        Ok((_, marks)) => marks,
        Err(error) => {
            report.add(error);
            Default::default()
        }
    };
    let db = LogDb::open(folder, Access::Read, options)?;
    let recovered = recover(&db)?;
    report.groups = recovered.groups.len() as u64;
    let wrong = [
        store::shorter(&recovered, &marks),
        store::holes(&recovered, folder),
    ];
    wrong.into_iter().flatten().for_each(|error| report.add(error));
    let verified = verify(&db, &recovered, Extent::All)?;
    report.frames = verified.frames;
    for lost in verified.lost {
        report.damage.push(Damage {
            error: lost.error,
            lost: Some((lost.group, lost.indexes)),
        });
    }
    Ok(())
}
