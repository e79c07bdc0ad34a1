//! The machine of the meta group: its rows and its apply.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mainstem_raft::{Machine, Reply};
use mainstem_storage::{Batch, GroupId, StateStore, StorageError};

use super::command::{MetaCommand, MetaOutcome};
use super::names::{Names, Placed};
use super::rows;
use crate::command::StreamId;
use crate::error::Error;

/// Names of streams and where they are. All of it is in RAM; the rows are for restarts.
pub(crate) struct MetaMachine {
    group: GroupId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    names: Names,
    next_id: u64,
    /// Streams whose rows changed since the last checkpoint.
    dirty: BTreeSet<u64>,
    dirty_bytes: usize,
}

impl MetaMachine {
    pub(crate) fn open(group: GroupId, store: &dyn StateStore) -> Result<Arc<Self>, StorageError> {
        let mut state = State {
            next_id: 1,
            ..State::default()
        };
        let mut rows = store.rows();
        rows.seek(&rows::first(group))?;
        while let Some((key, value)) = rows.current() {
            if !rows::is_of(group, key) {
                break;
            }
            match rows::decode(key, value)? {
                rows::Row::NextId(next) => state.next_id = state.next_id.max(next),
                rows::Row::Stream(placed) => {
                    state.next_id = state.next_id.max(placed.id.0 + 1);
                    state.names.insert(Arc::new(placed));
                }
            }
            rows.next()?;
        }
        drop(rows);
        Ok(Arc::new(Self {
            group,
            state: Mutex::new(state),
        }))
    }

    /// Looks at the names.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&Names) -> R) -> R {
        look(&self.lock().names)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, command: MetaCommand) -> MetaOutcome {
        match command {
            MetaCommand::Create {
                account,
                group,
                created_ns,
                max_streams,
                config,
            } => {
                if self.names.find(&account, &config.name).is_some() {
                    return Err(Error::StreamNameInUse);
                }
                if max_streams >= 0 && self.names.count(&account) as i64 >= max_streams {
                    return Err(Error::MaximumStreams);
                }
                if self.names.overlaps(&account, &config.subjects, None) {
                    return Err(Error::SubjectsOverlap);
                }
                let placed = Arc::new(Placed {
                    id: StreamId(self.next_id),
                    account: Arc::from(&*account),
                    group,
                    created_ns,
                    config: Arc::new(config),
                });
                self.next_id += 1;
                self.put(&placed);
                Ok(placed)
            }
            MetaCommand::Update { id, config } => {
                let Some(before) = self.names.get(id) else {
                    return Err(Error::StreamNotFound);
                };
                if self.names.overlaps(&before.account, &config.subjects, Some(id)) {
                    return Err(Error::SubjectsOverlap);
                }
                let placed = Arc::new(Placed {
                    config: Arc::new(config),
                    ..Placed::clone(&before)
                });
                self.put(&placed);
                Ok(placed)
            }
            MetaCommand::Delete { id } => {
                let Some(placed) = self.names.remove(id) else {
                    return Err(Error::StreamNotFound);
                };
                self.note(id.0, 16);
                Ok(placed)
            }
        }
    }

    fn put(&mut self, placed: &Arc<Placed>) {
        self.names.insert(Arc::clone(placed));
        self.note(placed.id.0, 512);
    }

    fn note(&mut self, id: u64, bytes: usize) {
        self.dirty.insert(id);
        self.dirty_bytes += bytes;
    }
}

impl Machine for MetaMachine {
    fn apply(&self, _index: u64, data: &Bytes) -> Result<Reply, StorageError> {
        let command = MetaCommand::decode(data)?;
        let outcome = self.lock().apply(command);
        Ok(Box::new(outcome))
    }

    fn checkpoint(&self, batch: &mut Batch) -> Result<(), StorageError> {
        let state = self.lock();
        for &id in &state.dirty {
            match state.names.get(StreamId(id)) {
                Some(placed) => batch.put(rows::stream_key(self.group, StreamId(id)), rows::encode(&placed)),
                None => batch.delete(rows::stream_key(self.group, StreamId(id))),
            }
        }
        batch.put(rows::next_id_key(self.group), rows::encode_next_id(state.next_id));
        Ok(())
    }

    fn written(&self) {
        let mut state = self.lock();
        state.dirty.clear();
        state.dirty_bytes = 0;
    }

    fn dirty_bytes(&self) -> usize {
        self.lock().dirty_bytes
    }
}
