//! Starting the service.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use mainstem_raft::{Group, Groups};
use mainstem_storage::{GroupId, Kept, Liveness, LogStore, StateStore, StorageError};

use super::Streams;
use super::cleaner::{self, Cleaner};
use super::clock::Clock;
use super::lane::{self, Lane};
use super::outlet::Outlet;
use super::registry::Registry;
use super::turns::Turns;
use super::types::AccountLimits;
use crate::engine::{self, Desk, Engine};
use crate::machine::GroupMachine;
use crate::meta::MetaMachine;
use crate::proposer::Door;

/// How the service behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of all memory streams; -1: no limit.
    pub max_memory_bytes: i64,
    /// Bytes of all file streams; -1: no limit.
    pub max_store_bytes: i64,
    /// Limits of accounts that are not named.
    pub default_limits: AccountLimits,
    /// Limits of some accounts.
    pub account_limits: Vec<(Box<str>, AccountLimits)>,
    /// Longest duplicate window; 0: no limit.
    pub max_duplicate_window_ns: i64,
    /// Largest `max_ack_pending` of a consumer; 0: no limit.
    pub max_ack_pending: i64,
    /// Messages of a pull request at most; 0: no limit.
    pub max_request_batch: i64,
    /// Time between two cleanings of the log.
    pub clean_every: Duration,
    /// How groups behave.
    pub raft: mainstem_raft::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_memory_bytes: -1,
            max_store_bytes: -1,
            default_limits: AccountLimits::default(),
            account_limits: Vec::new(),
            max_duplicate_window_ns: 0,
            max_ack_pending: 0,
            max_request_batch: 0,
            clean_every: Duration::from_secs(2),
            raft: mainstem_raft::Options::default(),
        }
    }
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Group(mainstem_raft::StartError),
    #[error("a thread can not be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl From<mainstem_raft::StartError> for StartError {
    fn from(error: mainstem_raft::StartError) -> Self {
        match error {
            mainstem_raft::StartError::Storage(error) => Self::Storage(error),
            error => Self::Group(error),
        }
    }
}

impl StartError {
    /// Log and state do not fit together, which [`accept_loss`](super::accept_loss) puts right.
    pub fn is_loss(&self) -> bool {
        use mainstem_raft::StartError::{Behind, Old};
        matches!(self, Self::Group(Behind { .. } | Old { .. }))
    }
}

impl Streams {
    /// Starts the service on an open store, on the current tokio runtime. Returns when everything that was ever
    /// acknowledged is there; streams are told to the outlet before that.
    pub async fn start(
        log: Arc<dyn LogStore>,
        state: Arc<dyn StateStore>,
        options: Options,
        outlet: Arc<dyn Outlet>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StartError> {
        let groups = Groups::new(Arc::clone(&log), Arc::clone(&state), options.raft)?;
        let opening = groups.open(GroupId(lane::META), Kept::Synced)?;
        let meta = MetaMachine::open(GroupId(lane::META), &*state)?;
        let meta_group = opening
            .start(Arc::clone(&meta) as Arc<dyn mainstem_raft::Machine>)
            .await?;
        let mut lanes = Vec::new();
        for (number, kept) in lane::GROUPS {
            lanes.push(open_lane(&groups, number, kept, &log, &state, &outlet).await?);
        }
        let registry = Registry::new(&options);
        let mut tasks = start_proposers(&lanes, &clock);
        let streams = Arc::new(Self {
            options,
            meta,
            meta_group,
            lanes,
            registry: Arc::new(registry),
            outlet,
            clock,
            state,
            turns: Turns::new(),
            tasks: Mutex::default(),
            cleaner: Mutex::default(),
        });
        streams.reconcile().await;
        streams.register_all();
        let mut all = streams.start_engines();
        all.append(&mut tasks);
        let cleaner = streams.start_cleaner(log)?;
        *streams.tasks.lock().unwrap_or_else(PoisonError::into_inner) = all;
        *streams.cleaner.lock().unwrap_or_else(PoisonError::into_inner) = Some(cleaner);
        Ok(streams)
    }

    fn start_engines(&self) -> Vec<tokio::task::JoinHandle<()>> {
        let start = |lane: &Lane| {
            let engine = Engine::new(engine::Parts {
                group: lane.number(),
                machine: Arc::clone(&lane.machine),
                log: Arc::clone(&lane.log),
                door: Arc::clone(&lane.door),
                desk: lane.desk.clone(),
                outlet: Arc::clone(&self.outlet),
                clock: Arc::clone(&self.clock),
                registry: Arc::clone(&self.registry),
            });
            tokio::spawn(engine.run())
        };
        self.lanes.iter().map(start).collect()
    }

    fn start_cleaner(&self, log: Arc<dyn LogStore>) -> std::io::Result<Cleaner> {
        let groups: Vec<Arc<Group>> = std::iter::once(&self.meta_group)
            .chain(self.lanes.iter().map(|lane| &lane.group))
            .cloned()
            .collect();
        let parts = cleaner::Parts {
            log,
            state: Arc::clone(&self.state),
            groups,
            every: self.options.clean_every,
        };
        Cleaner::start(parts, tokio::runtime::Handle::current())
    }
}

async fn open_lane(
    groups: &Arc<Groups>,
    number: u32,
    kept: Kept,
    log: &Arc<dyn LogStore>,
    state: &Arc<dyn StateStore>,
    outlet: &Arc<dyn Outlet>,
) -> Result<Lane, StartError> {
    let desk = Desk::default();
    let opening = groups.open(GroupId(number), kept)?;
    let woken = desk.clone();
    let machine = GroupMachine::open(GroupId(number), Arc::clone(log), Arc::clone(state), move || {
        woken.wake()
    })?;
    log.set_liveness(GroupId(number), Arc::new(Needs(Arc::downgrade(&machine))));
    let group = opening
        .start(Arc::clone(&machine) as Arc<dyn mainstem_raft::Machine>)
        .await?;
    Ok(Lane {
        group,
        machine,
        log: Arc::clone(log),
        door: Door::new(Arc::clone(outlet)),
        desk,
        on_disk: kept != Kept::Memory,
    })
}

/// What a machine still needs of its log, without keeping the machine: it keeps the log itself.
struct Needs(Weak<GroupMachine>);

impl Liveness for Needs {
    fn live_bytes(&self, range: Range<u64>) -> u64 {
        // Without the machine nobody knows: everything is needed.
        self.0
            .upgrade()
            .map_or(u64::MAX, |machine| machine.live_bytes(range))
    }

    fn strip(&self, index: u64, entry: &Bytes) -> Option<Bytes> {
        match self.0.upgrade() {
            Some(machine) => machine.strip(index, entry),
            None => Some(entry.clone()),
        }
    }
}

fn start_proposers(lanes: &[Lane], clock: &Arc<dyn Clock>) -> Vec<tokio::task::JoinHandle<()>> {
    let start = |lane: &Lane| {
        let last_ns = lane.machine.with(|view| view.last_timestamp_ns());
        let proposer = lane
            .door
            .proposer(Arc::clone(&lane.group), Arc::clone(clock), lane.on_disk, last_ns);
        tokio::spawn(proposer.run())
    };
    lanes.iter().map(start).collect()
}
