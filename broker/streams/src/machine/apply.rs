//! Applying entries.

use bytes::Bytes;
use mainstem_record::EntryReader;
use mainstem_storage::StorageError;

use super::MAX_SEQ;
use super::publish::Place;
use super::stream::StreamState;
use super::view::View;
use crate::command::{Command, Decoded, Outcome, Publish, StreamId};
use crate::config::{Retention, Storage, StreamConfig};
use crate::error::Error;
use crate::matching::Filters;

/// Commands between two looks at how many subjects are in RAM.
const SWEEP: usize = 100_000;

/// About what a stream's configuration costs at a checkpoint.
const CONFIG_BYTES: usize = 512;

const DONE: Outcome = Outcome::Done { removed: 0 };

impl View {
    /// Applies an entry: an outcome for each of its commands. After an error the state is broken and takes no more.
    pub(super) fn apply(&mut self, index: u64, data: &Bytes) -> Result<Vec<Outcome>, StorageError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        // Should it panic, what is left is half of an entry.
        self.broken = Some(StorageError::Io(format!("applying entry {index} did not end")));
        match self.apply_all(index, data) {
            Ok(outcomes) => {
                self.broken = None;
                Ok(outcomes)
            }
            Err(error) => {
                self.broken = Some(error.clone());
                Err(error)
            }
        }
    }

    fn apply_all(&mut self, index: u64, data: &Bytes) -> Result<Vec<Outcome>, StorageError> {
        let entry = EntryReader::new(data).map_err(|error| self.cx.bad_entry(index, &error))?;
        // Time never goes back within a group, whoever led it before.
        self.last_ns = self.last_ns.max(entry.timestamp_ns());
        let mut outcomes = Vec::with_capacity(entry.count());
        for ordinal in 0..entry.count() {
            let command = entry.command(ordinal).unwrap_or_default();
            let decoded = Decoded::decode(command).map_err(|error| self.cx.bad_entry(index, &error))?;
            let outcome = match decoded {
                Decoded::Publish(stream, publish) => {
                    let place = Place {
                        index,
                        ordinal: ordinal as u32,
                        timestamp_ns: self.last_ns,
                    };
                    self.publish(place, stream, &publish)?
                }
                Decoded::Other(command) => self.command(*command)?,
            };
            outcomes.push(outcome);
        }
        self.commands_since_sweep += entry.count();
        if self.commands_since_sweep > SWEEP {
            self.sweep();
        }
        Ok(outcomes)
    }

    fn publish(
        &mut self,
        place: Place,
        stream: StreamId,
        publish: &Publish<'_>,
    ) -> Result<Outcome, StorageError> {
        match self.streams.get_mut(&stream) {
            Some(stream) => stream.publish(&mut self.cx, place, publish),
            None => Ok(Outcome::Refused(Error::StreamNotFound)),
        }
    }

    fn command(&mut self, command: Command) -> Result<Outcome, StorageError> {
        let now_ns = self.last_ns;
        match command {
            Command::CreateStream {
                stream,
                account,
                config,
            } => {
                self.create_stream(stream, &account, config);
                Ok(DONE)
            }
            Command::UpdateStream { stream, config } => self.update_stream(stream, config),
            Command::DeleteStream { stream } => self.delete_stream(stream),
            Command::Purge {
                stream,
                filter,
                below_seq,
                keep,
            } => self.purge(stream, &filter, below_seq, keep),
            Command::DeleteMessage { stream, seq } => self.delete_message(stream, seq),
            Command::Expire { stream, before_ns } => match self.parts(stream) {
                Some((stream, cx)) => Ok(stream.expire(cx, before_ns)?.outcome()),
                None => Ok(Outcome::Refused(Error::StreamNotFound)),
            },
            Command::CreateConsumer {
                stream,
                consumer,
                start_seq,
                config,
            } => Ok(match self.parts(stream) {
                Some((stream, cx)) => stream.create_consumer(cx, consumer, start_seq, config, now_ns),
                None => Outcome::Refused(Error::StreamNotFound),
            }),
            Command::UpdateConsumer {
                stream,
                consumer,
                config,
            } => match self.parts(stream) {
                Some((stream, cx)) => stream.update_consumer(cx, consumer, config),
                None => Ok(Outcome::Refused(Error::StreamNotFound)),
            },
            Command::DeleteConsumer { stream, consumer } => match self.parts(stream) {
                Some((stream, cx)) => stream.delete_consumer(cx, consumer),
                None => Ok(Outcome::Refused(Error::StreamNotFound)),
            },
            Command::Progress(progress) => match self.parts(progress.stream) {
                Some((stream, cx)) => stream.advance(cx, &progress),
                None => Ok(Outcome::Refused(Error::StreamNotFound)),
            },
        }
    }

    fn create_stream(&mut self, id: StreamId, account: &str, config: StreamConfig) {
        if self.streams.contains_key(&id) {
            return;
        }
        let mut stream = StreamState::new(id, account, config, self.last_ns);
        stream.note_change(&mut self.cx, |change| change.configured = true);
        self.streams.insert(id, Box::new(stream));
        self.cx.changed_bytes += CONFIG_BYTES;
    }

    fn update_stream(&mut self, id: StreamId, config: StreamConfig) -> Result<Outcome, StorageError> {
        let Some((stream, cx)) = self.parts(id) else {
            return Ok(Outcome::Refused(Error::StreamNotFound));
        };
        let before = stream.msgs;
        let is_wanted_now =
            stream.config.retention == Retention::Limits && config.retention == Retention::Interest;
        let is_narrower = config.max_msgs_per_subject > 0
            && (stream.config.max_msgs_per_subject <= 0
                || config.max_msgs_per_subject < stream.config.max_msgs_per_subject);
        let old = std::mem::replace(&mut stream.config, config.into());
        if !stream.enforce_limits(cx)?.is_all {
            // It takes effect with the last step, as a whole.
            stream.config = old;
            return Ok(Outcome::Partly {
                removed: before - stream.msgs,
            });
        }
        stream.config_changed = true;
        cx.changed_bytes += CONFIG_BYTES;
        stream.note_change(cx, |change| change.configured = true);
        if is_narrower {
            stream.enforce_subject_limits(cx)?;
        }
        if is_wanted_now {
            stream.remove_unwanted(cx, stream.first_seq)?;
        }
        Ok(Outcome::Done {
            removed: before - stream.msgs,
        })
    }

    fn delete_stream(&mut self, id: StreamId) -> Result<Outcome, StorageError> {
        let Some((stream, cx)) = self.parts(id) else {
            return Ok(Outcome::Refused(Error::StreamNotFound));
        };
        let removed = stream.remove_all(cx, stream.last_seq)?;
        stream.note_change(cx, |change| change.configured = true);
        self.streams.remove(&id);
        self.matcher.forget(id);
        self.places.remove(&id);
        self.delete_rows(id);
        Ok(Outcome::Done { removed })
    }

    fn purge(
        &mut self,
        id: StreamId,
        filter: &str,
        below_seq: u64,
        keep: u64,
    ) -> Result<Outcome, StorageError> {
        let Some((stream, cx)) = self.parts(id) else {
            return Ok(Outcome::Refused(Error::StreamNotFound));
        };
        if stream.config.sealed {
            return Ok(Outcome::Refused(Error::StreamSealed));
        }
        if stream.config.deny_purge {
            return Ok(Outcome::Refused(Error::PurgeFailed(
                "stream purge not permitted".into(),
            )));
        }
        if below_seq > MAX_SEQ {
            return Ok(Outcome::Refused(Error::BadRequest));
        }
        let filters = match filter {
            "" => Filters::all(),
            filter => Filters::new([filter]),
        };
        let removal = stream.purge(cx, &filters, below_seq, keep)?;
        stream.skip_removed(cx)?;
        Ok(removal.outcome())
    }

    fn delete_message(&mut self, id: StreamId, seq: u64) -> Result<Outcome, StorageError> {
        let Some((stream, cx)) = self.parts(id) else {
            return Ok(Outcome::Refused(Error::StreamNotFound));
        };
        if stream.config.sealed {
            return Ok(Outcome::Refused(Error::StreamSealed));
        }
        if stream.config.deny_delete {
            return Ok(Outcome::Refused(Error::DeleteFailed(
                "message delete not permitted".into(),
            )));
        }
        // As with nats-server: a store of files says on which side of its messages the sequence lies, one in memory does not.
        let outside = match stream.config.storage {
            Storage::Memory => None,
            Storage::File if seq > stream.last_seq => Some("stream store EOF"),
            Storage::File if seq < stream.first_seq.max(1) => Some("no message found"),
            Storage::File => None,
        };
        if let Some(why) = outside {
            return Ok(Outcome::Refused(Error::DeleteFailed(why.into())));
        }
        match stream.remove(cx, seq)? {
            true => Ok(Outcome::Done { removed: 1 }),
            false => Ok(Outcome::Refused(Error::SequenceNotFound { seq })),
        }
    }
}
