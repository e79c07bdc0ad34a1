//! What of the log is still needed.

use std::ops::Range;

use bytes::Bytes;
use mainstem_raft::{payload, replace_payload};
use mainstem_storage::{Liveness, StorageError};

use super::GroupMachine;
use super::view::View;
use crate::command::{StreamId, record_of};
use crate::keys::run::Run;

impl Liveness for GroupMachine {
    fn live_bytes(&self, range: Range<u64>) -> u64 {
        self.with(|view| match view.cx.live.bytes(&view.cx.rows, range) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(group = self.group().0, %error, "can not tell what of the log is needed");
                u64::MAX
            }
        })
    }

    fn strip(&self, index: u64, entry: &Bytes) -> Option<Bytes> {
        let data = payload(entry);
        if data.is_empty() {
            return None;
        }
        let stripped = self.with(|view| view.strip(index, &data));
        match stripped {
            Ok(stripped) => stripped.and_then(|stripped| replace_payload(entry, &stripped)),
            Err(error) => {
                tracing::error!(group = self.group().0, index, %error, "an entry is kept whole");
                Some(entry.clone())
            }
        }
    }
}

impl View {
    /// The entry with the messages that are still there; `None`: none is.
    fn strip(&mut self, index: u64, data: &Bytes) -> Result<Option<Bytes>, StorageError> {
        let mut failed = None;
        let stripped = mainstem_record::strip(data, |ordinal, command| {
            match self.is_needed(index, ordinal as u32, command) {
                Ok(is_needed) => is_needed,
                Err(error) => {
                    failed = Some(error);
                    true
                }
            }
        });
        match failed {
            Some(error) => Err(error),
            None => stripped.map_err(|error| self.cx.bad_entry(index, &error)),
        }
    }

    fn is_needed(&mut self, index: u64, ordinal: u32, command: &[u8]) -> Result<bool, StorageError> {
        let record = record_of(command).map_err(|error| self.cx.bad_entry(index, &error))?;
        let Some((id, record)) = record else {
            return Ok(false);
        };
        let Some(first) = self.seq_at(id, index, ordinal)? else {
            return Ok(false);
        };
        let last = first + u64::from(record.messages()) - 1;
        let Some(stream) = self.streams.get(&id) else {
            return Ok(false);
        };
        Ok(stream
            .next_live(&self.cx.rows, first)?
            .is_some_and(|seq| seq <= last))
    }

    /// The sequence of the message at a place of the log; `None`: it is gone, or was never stored.
    fn seq_at(&mut self, id: StreamId, index: u64, ordinal: u32) -> Result<Option<u64>, StorageError> {
        let near = self.places.get(&id).copied().unwrap_or(0);
        let View { streams, cx, .. } = self;
        let Some(stream) = streams.get_mut(&id) else {
            return Ok(None);
        };
        let is_behind = |run: &Run| (run.index, run.last_ordinal()) < (index, ordinal);
        let (mut low, mut high) = (stream.first_seq, stream.last_seq + 1);
        let mut found = None;
        // Entries are stripped in order: mostly the message is the next one of its stream.
        if (low..high).contains(&near) {
            let run = stream.runs.run_from(&cx.rows, id, near)?;
            found = run.and_then(|run| run.seq_at(index, ordinal));
        }
        while found.is_none() && low < high {
            let middle = low + (high - low) / 2;
            match stream.runs.run_from(&cx.rows, id, middle)? {
                Some(run) if is_behind(&run) => low = run.last_seq() + 1,
                Some(run) => {
                    found = run.seq_at(index, ordinal);
                    high = middle;
                }
                None => high = middle,
            }
        }
        if let Some(seq) = found {
            self.places.insert(id, seq + 1);
        }
        Ok(found)
    }
}
