use std::sync::{Arc, Mutex};

use bytes::Bytes;
use mainstem_storage::{Bounds, Done, Entry, GroupId, Kept, Note, StorageError};

use super::*;

pub fn appends_are_read_back(mut store: Box<dyn Factory>) {
    let opened = store.open();
    let log = &*opened.log;
    log.open_group(A, Kept::Synced).unwrap();
    assert_eq!(log.bounds(A), Bounds { first: 0, next: 0 });
    append(log, A, 500, 100);
    assert_eq!(log.bounds(A), Bounds { first: 0, next: 500 });
    assert_eq!(log.durable(A), 500);
    check(log, A, 0..500, 100);
    assert!(matches!(
        log.get(A, 500),
        Err(StorageError::Missing { group: 1, index: 500 })
    ));
    assert_eq!(log.read(A, 498..600, 10).unwrap().len(), 1);
    assert_eq!(log.read(A, 498..600, 10_000).unwrap().len(), 2);
    assert_eq!(log.read(A, 500..600, 10_000).unwrap(), []);
}

pub fn appends_out_of_order_are_refused(mut store: Box<dyn Factory>) {
    let opened = store.open();
    let log = &*opened.log;
    log.open_group(A, Kept::Synced).unwrap();
    append(log, A, 3, 10);
    for index in [2, 4] {
        let entry = Entry {
            index,
            data: Bytes::new(),
        };
        wait(|done| log.append(A, vec![entry], done)).unwrap_err();
    }
    assert_eq!(log.bounds(A).next, 3);
    wait(|done| log.append(A, Vec::new(), done)).unwrap();
    wait(|done| log.append(B, Vec::new(), done)).unwrap_err();
}

pub fn who_is_told_may_append_at_once(mut store: Box<dyn Factory>) {
    let opened = store.open();
    for (group, kept) in [(A, Kept::Synced), (B, Kept::Async), (GroupId(3), Kept::Memory)] {
        opened.log.open_group(group, kept).unwrap();
        for refused in [7, 8] {
            let log = opened.log.clone();
            wait(|done| {
                let again: Done = Box::new(move |result| {
                    result.unwrap_err();
                    let index = log.bounds(group).next;
                    log.append(group, vec![entry(group, index)], done);
                });
                opened.log.append(group, vec![entry(group, refused)], again);
            })
            .unwrap();
        }
        assert_eq!(opened.log.bounds(group).next, 2);
    }
}

fn entry(group: GroupId, index: u64) -> Entry {
    Entry {
        index,
        data: data(group, index, 10),
    }
}

pub fn everything_is_there_after_a_restart(mut store: Box<dyn Factory>) {
    for round in 1..=4 {
        let opened = store.open();
        let log = &*opened.log;
        log.open_group(A, Kept::Synced).unwrap();
        log.open_group(B, Kept::Synced).unwrap();
        assert_eq!(log.bounds(A).next, (round - 1) * 700);
        assert_eq!(log.durable(A), (round - 1) * 700);
        check(log, A, 0..log.bounds(A).next, 150);
        append(log, A, round * 700, 150);
        append(log, B, round * 20, 50);
        check(log, A, 0..round * 700, 150);
        check(log, B, 0..round * 20, 50);
    }
}

pub fn notes_are_kept(mut store: Box<dyn Factory>) {
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    assert_eq!(opened.log.note(A, Note::Vote).unwrap(), None);
    for value in ["one", "two"] {
        wait(|done| opened.log.set_note(A, Note::Vote, value.into(), done)).unwrap();
    }
    wait(|done| opened.log.set_note(A, Note::Committed, Bytes::new(), done)).unwrap();
    drop(opened);
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    assert_eq!(opened.log.note(A, Note::Vote).unwrap(), Some("two".into()));
    assert_eq!(opened.log.note(A, Note::Committed).unwrap(), Some(Bytes::new()));
    assert_eq!(opened.log.note(A, Note::Purged).unwrap(), None);
}

pub fn a_purge_moves_the_begin_and_keeps_entries_readable(mut store: Box<dyn Factory>) {
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    append(&*opened.log, A, 300, 100);
    wait(|done| opened.log.purge(A, 200, "p".into(), done)).unwrap();
    assert_eq!(
        opened.log.bounds(A),
        Bounds {
            first: 200,
            next: 300
        }
    );
    check(&*opened.log, A, 0..300, 100);
    drop(opened);
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    assert_eq!(
        opened.log.bounds(A),
        Bounds {
            first: 200,
            next: 300
        }
    );
    assert_eq!(opened.log.note(A, Note::Purged).unwrap(), Some("p".into()));
    check(&*opened.log, A, 0..300, 100);
}

pub fn a_purge_beyond_the_end_goes_on_there(mut store: Box<dyn Factory>) {
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    append(&*opened.log, A, 10, 100);
    wait(|done| opened.log.purge(A, 50, "p".into(), done)).unwrap();
    assert_eq!(opened.log.bounds(A), Bounds { first: 50, next: 50 });
    append(&*opened.log, A, 60, 100);
    drop(opened);
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    assert_eq!(opened.log.bounds(A), Bounds { first: 50, next: 60 });
    check(&*opened.log, A, 50..60, 100);
    check(&*opened.log, A, 0..10, 100);
    assert!(matches!(opened.log.get(A, 20), Err(StorageError::Missing { .. })));
}

pub fn a_truncated_end_is_gone_for_good(mut store: Box<dyn Factory>) {
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    append(&*opened.log, A, 20, 100);
    wait(|done| opened.log.truncate(A, 15, done)).unwrap();
    assert_eq!(opened.log.bounds(A).next, 15);
    assert_eq!(opened.log.durable(A), 15);
    assert!(matches!(opened.log.get(A, 15), Err(StorageError::Missing { .. })));
    drop(opened);
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    assert_eq!(opened.log.bounds(A).next, 15);
    check(&*opened.log, A, 0..15, 100);
    append(&*opened.log, A, 18, 33);
    check(&*opened.log, A, 15..18, 33);
    wait(|done| opened.log.truncate(A, 16, done)).unwrap();
    append(&*opened.log, A, 17, 44);
    drop(opened);
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    check(&*opened.log, A, 0..15, 100);
    check(&*opened.log, A, 15..16, 33);
    check(&*opened.log, A, 16..17, 44);
    assert_eq!(opened.log.bounds(A).next, 17);
}

pub fn a_truncation_goes_back_over_segments(mut store: Box<dyn Factory>) {
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    opened.log.open_group(B, Kept::Synced).unwrap();
    append(&*opened.log, B, 10, 100);
    append(&*opened.log, A, 2000, 200);
    append(&*opened.log, B, 20, 100);
    wait(|done| opened.log.truncate(A, 100, done)).unwrap();
    append(&*opened.log, A, 150, 77);
    let look = |log: &dyn mainstem_storage::LogStore| {
        assert_eq!(log.bounds(A).next, 150);
        check(log, A, 0..100, 200);
        check(log, A, 100..150, 77);
        check(log, B, 0..20, 100);
        assert!(matches!(log.get(A, 150), Err(StorageError::Missing { .. })));
    };
    look(&*opened.log);
    drop(opened);
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    opened.log.open_group(B, Kept::Synced).unwrap();
    look(&*opened.log);
}

pub fn groups_are_apart(mut store: Box<dyn Factory>) {
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    opened.log.open_group(B, Kept::Synced).unwrap();
    for to in 1..60 {
        append(&*opened.log, A, to * 5, 300);
        append(&*opened.log, B, to * 3, 300);
    }
    wait(|done| opened.log.truncate(B, 20, done)).unwrap();
    wait(|done| opened.log.purge(A, 100, "p".into(), done)).unwrap();
    check(&*opened.log, A, 100..295, 300);
    check(&*opened.log, B, 0..20, 300);
    assert_eq!(opened.log.bounds(B), Bounds { first: 0, next: 20 });
}

pub fn an_async_group_is_complete_at_once_and_durable_after_sync(mut store: Box<dyn Factory>) {
    let opened = store.open();
    opened.log.open_group(A, Kept::Async).unwrap();
    let told = Arc::new(Mutex::new(false));
    let told_too = told.clone();
    let entry = Entry {
        index: 0,
        data: data(A, 0, 50),
    };
    opened.log.append(
        A,
        vec![entry],
        Box::new(move |_| *told_too.lock().unwrap() = true),
    );
    assert!(*told.lock().unwrap());
    wait(|done| opened.log.sync(A, done)).unwrap();
    assert_eq!(opened.log.durable(A), 1);
    drop(opened);
    let opened = store.open();
    opened.log.open_group(A, Kept::Async).unwrap();
    check(&*opened.log, A, 0..1, 50);
}

pub fn a_memory_group_is_empty_after_a_restart(mut store: Box<dyn Factory>) {
    let opened = store.open();
    opened.log.open_group(A, Kept::Memory).unwrap();
    append(&*opened.log, A, 1000, 100);
    check(&*opened.log, A, 0..1000, 100);
    assert_eq!(opened.log.durable(A), 1000);
    wait(|done| opened.log.truncate(A, 900, done)).unwrap();
    assert_eq!(opened.log.bounds(A).next, 900);
    assert_eq!(opened.log.durable(A), 900);
    wait(|done| opened.log.sync(A, done)).unwrap();
    drop(opened);
    let opened = store.open();
    opened.log.open_group(A, Kept::Memory).unwrap();
    assert_eq!(opened.log.bounds(A), Bounds { first: 0, next: 0 });
}

pub fn completions_come_in_order(mut store: Box<dyn Factory>) {
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let told = |n: u64| -> Done {
        let order = order.clone();
        Box::new(move |result| {
            result.unwrap();
            order.lock().unwrap().push(n);
        })
    };
    for n in 0..200 {
        match n % 10 {
            7 => opened.log.set_note(A, Note::Vote, "v".into(), told(n)),
            8 => opened.log.truncate(A, opened.log.bounds(A).next - 1, told(n)),
            9 => opened.log.sync(A, told(n)),
            _ => {
                let index = opened.log.bounds(A).next;
                opened.log.append(
                    A,
                    vec![Entry {
                        index,
                        data: data(A, index, 90),
                    }],
                    told(n),
                );
            }
        }
    }
    wait(|done| opened.log.sync(A, done)).unwrap();
    assert_eq!(*order.lock().unwrap(), (0..200).collect::<Vec<_>>());
    check(&*opened.log, A, 0..opened.log.bounds(A).next, 90);
}

pub fn large_entries_are_kept(mut store: Box<dyn Factory>) {
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    append(&*opened.log, A, 3, 300_000);
    append(&*opened.log, A, 6, 10);
    drop(opened);
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    check(&*opened.log, A, 0..3, 300_000);
    check(&*opened.log, A, 3..6, 10);
}
