//! Groups: order, replies, refusals, and what each of them means.

#![allow(clippy::unwrap_used)] // a test that can not go on may panic

mod sim;

use std::sync::Arc;

use bytes::Bytes;
use mainstem_raft::{Group, Groups, Options, ProposeError, StartError};
use mainstem_storage::{GroupId, Kept, LogStore, StateStore, StorageError};
use sim::Disk;
use sim::ledger::Ledger;

const GROUP: GroupId = GroupId(7);

fn groups(disk: &Disk) -> Arc<Groups> {
    let options = Options {
        node_id: 1,
        dirty_bytes: 64,
        snapshot_bytes: 256,
    };
    Groups::new(Arc::new(disk.clone()), Arc::new(disk.clone()), options).unwrap()
}

async fn start(disk: &Disk, kept: Kept) -> Result<(Arc<Group>, Arc<Ledger>), StartError> {
    let opening = groups(disk).open(GROUP, kept)?;
    let ledger = Ledger::open(GROUP, disk);
    Ok((opening.start(ledger.clone()).await?, ledger))
}

fn number(n: u64) -> Bytes {
    Bytes::copy_from_slice(&n.to_le_bytes())
}

#[tokio::test]
async fn proposals_take_effect_in_the_order_of_the_calls() {
    let (group, ledger) = start(&Disk::new(), Kept::Synced).await.unwrap();
    let waiting: Vec<_> = (0..500).map(|n| group.propose(number(n))).collect();
    for (n, proposal) in waiting.into_iter().enumerate() {
        let reply = proposal.await.unwrap().downcast::<(u64, usize)>().unwrap();
        assert_eq!(*reply, (n as u64, n + 1));
    }
    assert_eq!(ledger.numbers(), (0..500).collect::<Vec<_>>());
    assert!(group.is_leader());
}

#[tokio::test]
async fn a_proposal_that_nobody_waits_for_takes_effect() {
    let (group, ledger) = start(&Disk::new(), Kept::Synced).await.unwrap();
    drop(group.propose(number(1)));
    group.propose(number(2)).await.unwrap();
    assert_eq!(ledger.numbers(), [1, 2]);
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_restart() {
    for kept in [Kept::Synced, Kept::Async] {
        let disk = Disk::new();
        for round in 0..4 {
            let (group, ledger) = start(&disk, kept).await.unwrap();
            assert_eq!(ledger.numbers(), (0..round * 50).collect::<Vec<_>>());
            for n in 0..50 {
                group.propose(number(round * 50 + n)).await.unwrap();
            }
            group.shutdown().await;
            assert!(matches!(
                group.propose(number(0)).await,
                Err(ProposeError::Stopped)
            ));
        }
    }
}

#[tokio::test]
async fn a_memory_group_starts_empty() {
    let disk = Disk::new();
    let (group, _) = start(&disk, Kept::Memory).await.unwrap();
    for n in 0..100 {
        group.propose(number(n)).await.unwrap();
    }
    group.snapshot().await.unwrap();
    group.shutdown().await;
    // Its log is gone with the process; its rows may not be.
    let disk = Disk::from(disk.crash((0, 100)));
    assert!(disk.row_count() > 0);
    let (group, ledger) = start(&disk, Kept::Memory).await.unwrap();
    assert!(ledger.numbers().is_empty());
    group.propose(number(1)).await.unwrap();
    assert_eq!(ledger.numbers(), [1]);
}

#[tokio::test]
async fn a_snapshot_purges_the_log_and_an_empty_log_goes_on() {
    let disk = Disk::new();
    let (group, _) = start(&disk, Kept::Synced).await.unwrap();
    for n in 0..10 {
        group.propose(number(n)).await.unwrap();
    }
    group.snapshot().await.unwrap();
    group.snapshot().await.unwrap();
    let bounds = disk.bounds(GROUP);
    assert_eq!(bounds.first, bounds.next);
    group.shutdown().await;
    let (group, ledger) = start(&disk, Kept::Synced).await.unwrap();
    group.propose(number(10)).await.unwrap();
    assert_eq!(ledger.numbers(), (0..=10).collect::<Vec<_>>());
}

#[tokio::test]
async fn snapshots_come_by_themselves() {
    let disk = Disk::new();
    let (group, _) = start(&disk, Kept::Synced).await.unwrap();
    for n in 0..200 {
        group.propose(number(n)).await.unwrap();
    }
    assert!(disk.bounds(GROUP).first > 0, "{:?}", disk.bounds(GROUP));
}

#[tokio::test]
async fn snapshots_that_are_asked_for_at_once_all_end() {
    let disk = Disk::new();
    let (group, _) = start(&disk, Kept::Synced).await.unwrap();
    for n in 0..20 {
        drop(group.propose(number(n)));
        let (first, second) = tokio::join!(group.snapshot(), group.snapshot());
        first.and(second).unwrap();
    }
}

#[tokio::test]
async fn damage_in_what_a_start_reads_is_an_error() {
    for round in 1..20 {
        let disk = Disk::new();
        let (group, _) = start(&disk, Kept::Synced).await.unwrap();
        for n in 0..20 {
            group.propose(number(n)).await.unwrap();
        }
        let disk = Disk::from(disk.crash((100, 0)));
        let bounds = disk.bounds(GROUP);
        disk.damage(bounds.first + round % (bounds.next - bounds.first));
        assert!(start(&disk, Kept::Synced).await.is_err());
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_what_removes_goes_on() {
    let disk = Disk::new();
    let (group, ledger) = start(&disk, Kept::Synced).await.unwrap();
    disk.set_full(Some(StorageError::Full {
        free_bytes: 1,
        mark_bytes: 2,
    }));
    assert!(matches!(group.is_full(), Some(StorageError::Full { .. })));
    group.propose(number(1)).await.unwrap();
    disk.set_full(None);
    assert!(group.is_full().is_none());
    group.propose(number(2)).await.unwrap();
    assert_eq!(ledger.numbers(), [1, 2]);
}

#[tokio::test]
async fn a_checkpoint_that_fails_is_not_taken_for_one() {
    let disk = Disk::new();
    let (group, ledger) = start(&disk, Kept::Synced).await.unwrap();
    group.propose(number(1)).await.unwrap();
    ledger.fail_checkpoints(true);
    assert!(group.checkpoint().await.is_err());
    drop((group, ledger));
    // The rows stand where they stood, so the entry is applied again.
    let disk = Disk::from(disk.crash((100, 100)));
    let (_, ledger) = start(&disk, Kept::Synced).await.unwrap();
    assert_eq!(ledger.numbers(), [1]);
}

#[tokio::test]
async fn damage_stops_the_group_and_is_reported() {
    let disk = Disk::new();
    let (group, ledger) = start(&disk, Kept::Synced).await.unwrap();
    group.propose(number(1)).await.unwrap();
    disk.damage(disk.bounds(GROUP).next);
    assert!(matches!(
        group.propose(number(2)).await,
        Err(ProposeError::Unknown)
    ));
    assert!(matches!(
        group.propose(number(3)).await,
        Err(ProposeError::Stopped)
    ));
    assert!(matches!(
        group.failure(),
        Some(StorageError::Damaged { offset: 42, .. })
    ));
    assert!(!group.is_leader());
    assert_eq!(ledger.numbers(), [1]);
    assert!(group.checkpoint().await.is_err());
}

#[tokio::test]
async fn a_read_only_store_applies_what_it_has_and_takes_nothing() {
    let disk = Disk::new();
    let (group, _) = start(&disk, Kept::Synced).await.unwrap();
    for n in 0..5 {
        group.propose(number(n)).await.unwrap();
    }
    let disk = Disk::from(disk.crash((100, 0)));
    disk.set_full(Some(StorageError::ReadOnly("damaged".into())));
    let (group, ledger) = start(&disk, Kept::Synced).await.unwrap();
    assert_eq!(ledger.numbers(), [0, 1, 2, 3, 4]);
    assert!(matches!(
        group.propose(number(9)).await,
        Err(ProposeError::Refused(StorageError::ReadOnly(_)))
    ));
    assert!(!group.is_leader());
}

#[tokio::test]
async fn a_log_that_lost_its_end_does_not_start_until_the_loss_is_accepted() {
    let disk = Disk::new();
    let (group, _) = start(&disk, Kept::Synced).await.unwrap();
    for n in 0..12 {
        group.propose(number(n)).await.unwrap();
    }
    group.shutdown().await;
    let mut remains = disk.crash((100, 100));
    Disk::lose(&mut remains, 12);
    let disk = Disk::from(remains);
    assert!(matches!(
        start(&disk, Kept::Synced).await,
        Err(StartError::Behind { group: 7, .. })
    ));

    let (log, state): (Arc<dyn LogStore>, Arc<dyn StateStore>) =
        (Arc::new(disk.clone()), Arc::new(disk.clone()));
    mainstem_raft::accept_loss(&log, &state, GROUP).await.unwrap();
    let (group, ledger) = start(&disk, Kept::Synced).await.unwrap();
    let before = ledger.numbers().len();
    group.propose(number(99)).await.unwrap();
    assert_eq!(ledger.numbers().len(), before + 1);
}

#[tokio::test]
async fn another_node_number_is_refused() {
    let disk = Disk::new();
    start(&disk, Kept::Synced).await.unwrap().0.shutdown().await;
    let options = Options {
        node_id: 2,
        ..Options::default()
    };
    let groups = Groups::new(Arc::new(disk.clone()), Arc::new(disk.clone()), options).unwrap();
    let started = groups
        .start(GROUP, Kept::Synced, Ledger::open(GROUP, &disk))
        .await;
    assert!(matches!(started, Err(StartError::Raft { .. })));
}
