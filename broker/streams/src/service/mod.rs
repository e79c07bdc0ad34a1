//! The service: what fronts call, and what they are told.

pub(crate) mod account;
mod cleaner;
pub mod clock;
mod consumers;
pub mod handle;
mod lane;
mod loss;
pub mod messages;
pub mod outlet;
mod reconcile;
pub(crate) mod registry;
mod start;
mod streams;
#[cfg(test)]
mod tests;
mod turns;
pub mod types;

use std::sync::{Arc, Mutex, PoisonError};

use mainstem_raft::{Group, GroupMetrics};
use mainstem_storage::StateStore;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::cleaner::Cleaner;
use self::clock::Clock;
use self::handle::StreamRef;
use self::lane::Lane;
pub use self::loss::accept_loss;
use self::outlet::Outlet;
use self::registry::Registry;
pub use self::start::{Options, StartError};
use self::turns::Turns;
use self::types::{AccountLimits, Ack, PullRequest};
use crate::config::{PersistMode, Storage, StreamConfig};
use crate::error::Error;
use crate::meta::{MetaCommand, MetaMachine, MetaOutcome, Placed};

/// Streams of a node: what they hold, and who consumes it.
pub struct Streams {
    options: Options,
    meta: Arc<MetaMachine>,
    meta_group: Arc<Group>,
    /// The data groups, in the order of their numbers.
    lanes: Vec<Lane>,
    registry: Arc<Registry>,
    outlet: Arc<dyn Outlet>,
    clock: Arc<dyn Clock>,
    state: Arc<dyn StateStore>,
    /// One change of a stream or consumer at a time, by name.
    turns: Turns,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    cleaner: Mutex<Option<Cleaner>>,
}

impl Streams {
    /// The stream of that name.
    pub fn find(&self, account: &str, stream: &str) -> Result<StreamRef, Error> {
        self.registry.find(account, stream).ok_or(Error::StreamNotFound)
    }

    /// Messages of the stream may be got directly.
    pub fn allows_direct(&self, account: &str, stream: &str) -> bool {
        self.registry
            .find(account, stream)
            .is_some_and(|stream| stream.allows_direct())
    }

    /// So much waits to be looked at that clients who pull and acknowledge are to be held back.
    pub fn is_full(&self) -> bool {
        self.lanes.iter().any(|lane| lane.desk.is_full())
    }

    /// Some push consumer waits for a subscription.
    pub fn awaits_subscribers(&self) -> bool {
        !self.registry.awaited().is_empty()
    }

    /// A client subscribed: push consumers that wait for that begin at once.
    pub fn subscribed(&self, account: &str, filter: &[u8]) {
        self.registry.awaited().subscribed(account, filter);
    }

    /// Asks for messages of a consumer. Whether there is such a consumer shows in what its reply subject gets.
    pub fn pull(
        &self,
        account: &str,
        stream: &str,
        consumer: &str,
        request: PullRequest,
    ) -> Result<(), Error> {
        let stream = self.find(account, stream)?;
        stream.desk().pull(&stream, consumer, request);
        Ok(())
    }

    /// Says what became of a message that was delivered.
    pub fn ack(&self, account: &str, stream: &str, consumer: &str, ack: Ack) -> Result<(), Error> {
        let stream = self.find(account, stream)?;
        stream.desk().ack(stream.id(), consumer, ack);
        Ok(())
    }

    /// Answers a flow control request.
    pub fn flow_control(&self, account: &str, stream: &str, consumer: &str, id: u64) {
        if let Some(stream) = self.registry.find(account, stream) {
            stream.desk().flow_control(stream.id(), consumer, id);
        }
    }

    /// Accounts have these limits from now on, and those that are not named the default ones.
    pub fn set_account_limits(&self, limits: &[(Box<str>, AccountLimits)]) {
        self.registry.set_limits(limits);
    }

    /// How far each group is, with its number.
    pub fn group_metrics(&self) -> Vec<(u32, GroupMetrics)> {
        let data = self.lanes.iter().map(|lane| &lane.group);
        std::iter::once(&self.meta_group)
            .chain(data)
            .map(|group| (group.id().0, group.metrics()))
            .collect()
    }

    /// Tells clients who wait for messages that the node stops. Returns when they have been told, as far as the outlet
    /// goes; to be called while clients are still connected.
    pub async fn end_requests(&self) {
        for lane in &self.lanes {
            let (tell, told) = oneshot::channel();
            lane.desk.run(move |engine| {
                engine.end_all_requests();
                // Nobody may wait for it any more.
                let _ = tell.send(());
            });
            // An engine that is gone has told already.
            let _ = told.await;
        }
    }

    /// Ends the service: what was taken in is stored and answered, where each consumer is gets noted exactly, and the
    /// state is made durable.
    pub async fn shutdown(&self) {
        for lane in &self.lanes {
            lane.desk.close();
        }
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let mut tasks = tasks.into_iter();
        for engine in tasks.by_ref().take(self.lanes.len()) {
            // A task that panicked has nothing more to say.
            let _ = engine.await;
        }
        for lane in &self.lanes {
            lane.door.close();
        }
        for proposer in tasks {
            let _ = proposer.await;
        }
        let cleaner = self.cleaner.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(cleaner) = cleaner {
            cleaner.stop().await;
        }
        for lane in &self.lanes {
            lane.group.shutdown().await;
        }
        self.meta_group.shutdown().await;
        if let Err(error) = self.state.flush() {
            tracing::warn!(%error, "the state was not saved: a restart applies the log again");
        }
    }

    /// The lane that a stream of this configuration belongs to.
    fn lane_for(&self, config: &StreamConfig) -> &Lane {
        let at = match (config.storage, config.persist_mode) {
            (Storage::File, PersistMode::Default) => lane::FILE,
            (Storage::Memory, _) => lane::MEMORY,
            (Storage::File, PersistMode::Async) => lane::ASYNC,
        };
        &self.lanes[at]
    }

    fn lane_of(&self, placed: &Placed) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.number() == placed.group)
    }

    /// The stream's place, and its lane.
    fn place(&self, account: &str, stream: &str) -> Result<(Arc<Placed>, &Lane), Error> {
        let placed = self
            .meta
            .with(|names| names.find(account, stream))
            .ok_or(Error::StreamNotFound)?;
        let lane = self.lane_of(&placed).ok_or(Error::StreamNotFound)?;
        Ok((placed, lane))
    }

    async fn change_names(&self, command: &MetaCommand) -> MetaOutcome {
        let reply = self
            .meta_group
            .propose(command.encode())
            .await
            .map_err(|error| crate::proposer::refusal(&error).unwrap_or(Error::OutcomeUnknown))?;
        match reply.downcast::<MetaOutcome>() {
            Ok(outcome) => *outcome,
            Err(_) => Err(Error::OutcomeUnknown),
        }
    }
}
