//! Putting right at start what a crash left between the names and the data.

use std::collections::HashSet;
use std::sync::Arc;

use super::Streams;
use super::handle::StreamRef;
use super::lane::Lane;
use crate::command::{Command, Outcome};
use crate::config::Storage;
use crate::error::Error;
use crate::machine::StreamState;
use crate::meta::{MetaCommand, Placed};

impl Streams {
    /// Every name has its stream with its configuration, no stream is without a name, and consumers that were to be in
    /// memory only are gone with the process that held them. A read-only store stays as it is.
    pub(super) async fn reconcile(&self) {
        let all: Vec<Arc<Placed>> = self.meta.with(|names| names.all().cloned().collect());
        for placed in &all {
            if let Err(error) = self.reconcile_one(placed).await {
                tracing::warn!(stream = %placed.config.name, account = %placed.account, %error, "not put right");
            }
        }
        for lane in &self.lanes {
            self.remove_nameless(lane, &all).await;
            forget_memory_consumers(lane).await;
        }
    }

    async fn reconcile_one(&self, placed: &Placed) -> Result<(), Error> {
        let Some(lane) = self.lane_of(placed) else {
            return Ok(());
        };
        let held = lane
            .machine
            .with(|view| view.stream(placed.id).map(|stream| Arc::clone(&stream.config)));
        match held {
            Some(config) if config == placed.config => Ok(()),
            Some(_) => self.apply_config(lane, placed).await,
            // Memory streams are gone with the process that held them.
            None if placed.config.storage == Storage::Memory => self
                .change_names(&MetaCommand::Delete { id: placed.id })
                .await
                .map(drop),
            None => self.create_data(lane, placed).await,
        }
    }

    async fn remove_nameless(&self, lane: &Lane, all: &[Arc<Placed>]) {
        let known: HashSet<_> = all.iter().map(|placed| placed.id).collect();
        let nameless: Vec<_> = lane.machine.with(|view| {
            let ids = view.streams().map(|stream| stream.id);
            ids.filter(|id| !known.contains(id)).collect()
        });
        for stream in nameless {
            if let Err(error) = lane.door.call(&Command::DeleteStream { stream }).await {
                tracing::warn!(stream = stream.0, %error, "a stream without a name was not removed");
            }
        }
    }

    /// Creates the stream in its data group.
    pub(super) async fn create_data(&self, lane: &Lane, placed: &Placed) -> Result<(), Error> {
        done(
            lane.door
                .call(&Command::CreateStream {
                    stream: placed.id,
                    account: Box::from(&*placed.account),
                    config: (*placed.config).clone(),
                })
                .await?,
        )
    }

    /// Gives the stream in its data group the configuration that stands with its name.
    pub(super) async fn apply_config(&self, lane: &Lane, placed: &Placed) -> Result<(), Error> {
        let command = Command::UpdateStream {
            stream: placed.id,
            config: (*placed.config).clone(),
        };
        loop {
            match lane.door.call(&command).await? {
                Outcome::Partly { .. } => {}
                outcome => return done(outcome),
            }
        }
    }

    /// Makes all streams known to clients.
    pub(super) fn register_all(&self) {
        let all: Vec<Arc<Placed>> = self.meta.with(|names| names.all().cloned().collect());
        for placed in all {
            self.register(&placed);
        }
    }

    /// Makes a stream known to clients.
    pub(super) fn register(&self, placed: &Placed) -> Option<StreamRef> {
        let lane = self.lane_of(placed)?;
        let bytes = lane
            .machine
            .with(|view| view.stream(placed.id).map(|stream| stream.bytes))?;
        let usage = self.registry.usage(&placed.account);
        let stream = StreamRef::new(
            placed,
            usage,
            self.registry.node(),
            Arc::clone(&lane.door),
            lane.desk.clone(),
        );
        stream.set_bytes(bytes);
        self.registry.insert(&stream);
        self.outlet.captures_changed(&stream, &[], captured(placed));
        Some(stream)
    }
}

async fn forget_memory_consumers(lane: &Lane) {
    let in_memory: Vec<_> = lane.machine.with(|view| {
        let of_stream = |stream: &StreamState| {
            let consumers = stream.consumers().filter(|consumer| consumer.config.mem_storage);
            consumers
                .map(|consumer| (stream.id, consumer.id))
                .collect::<Vec<_>>()
        };
        view.streams().flat_map(of_stream).collect()
    });
    for (stream, consumer) in in_memory {
        if let Err(error) = lane
            .door
            .call(&Command::DeleteConsumer { stream, consumer })
            .await
        {
            tracing::warn!(stream = stream.0, consumer = consumer.0, %error, "a memory consumer was not removed");
        }
    }
}

/// What the stream captures. A sealed stream takes nothing, but refuses what is published to it.
pub(super) fn captured(placed: &Placed) -> &[Box<str>] {
    &placed.config.subjects
}

pub(super) fn done(outcome: Outcome) -> Result<(), Error> {
    match outcome {
        Outcome::Refused(error) => Err(error),
        _ => Ok(()),
    }
}
