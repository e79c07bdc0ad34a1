//! A crash at every step of the disk: what was acknowledged is there, once and in order.

#![allow(clippy::unwrap_used)] // a test that can not go on may panic

mod sim;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mainstem_raft::{Group, Groups, Options};
use mainstem_storage::{GroupId, Kept};
use proptest::prelude::*;
use sim::Disk;
use sim::ledger::Ledger;

const GROUP: GroupId = GroupId(3);

/// One life of the node, from a disk with what the last one left.
#[derive(Clone, Debug)]
struct Life {
    /// Steps of the disk until it crashes.
    steps: u64,
    /// How much of what was not durable the crash keeps, in percent: of the log, of the rows.
    keep: (usize, usize),
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (1u64..120, 0usize..=100, 0usize..=100);
    prop::collection::vec(
        life.prop_map(|(steps, log, rows)| Life {
            steps,
            keep: (log, rows),
        }),
        1..6,
    )
}

async fn start(disk: &Disk) -> (Arc<Group>, Arc<Ledger>) {
    let options = Options {
        node_id: 1,
        dirty_bytes: 80,
        snapshot_bytes: 200,
    };
    let groups = Groups::new(Arc::new(disk.clone()), Arc::new(disk.clone()), options).unwrap();
    let opening = groups.open(GROUP, Kept::Synced).unwrap();
    let ledger = Ledger::open(GROUP, disk);
    let group = opening.start(ledger.clone()).await.unwrap();
    (group, ledger)
}

/// Until the disk has crashed: nothing that waits for it ever ends.
async fn crashed(disk: &Disk) {
    while !disk.has_crashed() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Proposes numbers, some at once, until the disk crashes. Pushes what was acknowledged.
async fn load(disk: &Disk, acknowledged: &mut Vec<u64>, next: &mut u64) {
    let (group, _ledger) = start(disk).await;
    loop {
        let burst: Vec<_> = (0..3)
            .map(|_| {
                *next += 1;
                (*next, group.propose(Bytes::copy_from_slice(&next.to_le_bytes())))
            })
            .collect();
        for (number, proposal) in burst {
            if proposal.await.is_err() {
                return;
            }
            acknowledged.push(number);
        }
    }
}

fn check(numbers: &[u64], acknowledged: &[u64]) {
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]),
        "out of order or twice: {numbers:?}"
    );
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|n| numbers.binary_search(n).is_err())
        .collect();
    assert!(lost.is_empty(), "lost {lost:?} of {acknowledged:?}");
}

async fn live(lives: Vec<Life>) {
    let mut disk = Disk::new();
    let (mut acknowledged, mut next) = (Vec::new(), 0);
    for Life { steps, keep } in lives {
        disk.crash_after(steps);
        tokio::select! {
            () = load(&disk, &mut acknowledged, &mut next) => {}
            () = crashed(&disk) => {}
        }
        disk = Disk::from(disk.crash(keep));
        // Without a crash, what is there is what the next life will find.
        let (group, ledger) = start(&disk).await;
        check(&ledger.numbers(), &acknowledged);
        group.shutdown().await;
    }
}

fn run(lives: Vec<Life>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(live(lives));
}

#[test]
fn a_crash_at_each_step_loses_nothing() {
    for steps in 1..100 {
        for keep in [(0, 0), (100, 0), (0, 100), (50, 50)] {
            run(vec![Life { steps, keep }, Life { steps: 30, keep }]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn crashes_in_a_row_lose_nothing(lives in lives()) {
        run(lives);
    }
}
