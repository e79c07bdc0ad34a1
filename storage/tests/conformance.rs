//! One suite of what a store promises, for every store there is.

#![allow(clippy::unwrap_used, reason = "it is a test")]

mod suite;

use std::path::Path;

use mainstem_storage::sim::{Disk, SimStorage};
use mainstem_storage::{Options, Storage};
use suite::{Factory, Opened};

/// A real store in a temporary folder.
struct Rocks(tempfile::TempDir);

impl Rocks {
    fn make() -> Box<dyn Factory> {
        Box::new(Rocks(tempfile::tempdir().unwrap()))
    }
}

/// Small enough that tests cross every bound.
pub fn small() -> Options {
    Options {
        segment_bytes: 64 << 10,
        frame_bytes: 4 << 10,
        tail_bytes: 16 << 10,
        cache_bytes: 32 << 10,
        mark_bytes: 0,
        ballast_bytes: 0,
        ..Options::default()
    }
}

impl Factory for Rocks {
    fn open(&mut self) -> Opened {
        let storage = open(self.0.path());
        Opened {
            log: storage.log.clone(),
            state: storage.state.clone(),
            keep: Box::new(storage),
        }
    }
}

fn open(folder: &Path) -> Storage {
    let storage = Storage::open(folder, small()).unwrap();
    assert!(storage.read_only().is_none(), "{:?}", storage.read_only());
    storage
}

/// A store on a simulated disk.
struct Sim(Disk);

impl Sim {
    fn make() -> Box<dyn Factory> {
        Box::new(Sim(Disk::new(1)))
    }
}

impl Factory for Sim {
    fn open(&mut self) -> Opened {
        let storage = SimStorage::open(&self.0).unwrap();
        assert!(storage.log.read_only().is_none());
        Opened {
            log: storage.log,
            state: storage.state,
            keep: Box::new(()),
        }
    }
}

macro_rules! conformance {
    ($($test:ident,)*) => {
        mod rocks {
            use super::*;
            $(
                #[test]
                fn $test() {
                    suite::$test(Rocks::make());
                }
            )*
        }
        mod sim {
            use super::*;
            $(
                #[test]
                fn $test() {
                    suite::$test(Sim::make());
                }
            )*
        }
    };
}

conformance! {
    appends_are_read_back,
    appends_out_of_order_are_refused,
    who_is_told_may_append_at_once,
    everything_is_there_after_a_restart,
    notes_are_kept,
    a_purge_moves_the_begin_and_keeps_entries_readable,
    a_purge_beyond_the_end_goes_on_there,
    a_truncated_end_is_gone_for_good,
    a_truncation_goes_back_over_segments,
    groups_are_apart,
    an_async_group_is_complete_at_once_and_durable_after_sync,
    a_memory_group_is_empty_after_a_restart,
    cleaning_frees_what_nothing_needs,
    cleaning_keeps_what_is_needed,
    cleaning_again_and_again_keeps_what_is_needed,
    a_memory_group_is_cleaned,
    completions_come_in_order,
    rows_are_written_and_ranged_over,
    large_entries_are_kept,
}
