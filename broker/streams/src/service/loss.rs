//! Giving up what a store lost, so that the service starts on it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mainstem_record::EntryReader;
use mainstem_storage::{Batch, GroupId, Kept, LogStore, LostRows, StateStore, StorageError};

use super::lane;
use crate::command::{Decoded, StreamId};
use crate::keys::stream::{self, StreamRow};
use crate::keys::{self, Kind, behind, of_kind, of_stream};
use crate::machine::GroupMachine;
use crate::meta::{self, MetaCommand, MetaMachine};

/// Kinds of rows that say which messages a stream has.
const OF_MESSAGES: [Kind; 4] = [Kind::Runs, Kind::Subject, Kind::Posting, Kind::Deleted];

/// Gives up what a store lost, so that the service starts on it again: entries of logs, and rows of the state, which are
/// made good as far as the log has what they said. For `mainstem doctor`: the store is opened to accept loss, and no
/// service runs on it. Returns what is to be said about the rows, a line each.
///
/// # Errors
/// The store cannot be read or written.
pub async fn accept_loss(
    log: &Arc<dyn LogStore>,
    state: &Arc<dyn StateStore>,
    lost: &[LostRows],
) -> Result<Vec<String>, StorageError> {
    let groups = std::iter::once((lane::META, Kept::Synced)).chain(lane::GROUPS);
    let durable: Vec<_> = groups.filter(|(_, kept)| *kept != Kept::Memory).collect();
    for (number, kept) in &durable {
        log.open_group(GroupId(*number), *kept)?;
        mainstem_raft::accept_loss(log, state, GroupId(*number)).await?;
    }
    let mut said = Vec::new();
    for (number, _) in durable {
        let group = GroupId(number);
        let hurt = Hurt {
            log,
            state,
            group,
            lost,
        };
        if hurt.is_any()? {
            hurt.mend(&mut said).await?;
        }
    }
    Ok(said)
}

/// A group that may have lost rows.
struct Hurt<'a> {
    log: &'a Arc<dyn LogStore>,
    state: &'a Arc<dyn StateStore>,
    group: GroupId,
    lost: &'a [LostRows],
}

impl Hurt<'_> {
    fn is_any(&self) -> Result<bool, StorageError> {
        let is_old = self.log.bounds(self.group).first > 0 && !self.is_joined()?;
        Ok(is_old || self.may_touch(&self.group.0.to_be_bytes()))
    }

    fn is_joined(&self) -> Result<bool, StorageError> {
        mainstem_raft::is_joined(self.log, self.state, self.group)
    }

    /// A row with this prefix may be lost.
    fn may_touch(&self, prefix: &[u8]) -> bool {
        let end = behind(prefix);
        self.lost.iter().any(|lost| lost.may_touch(prefix, &end))
    }

    async fn mend(&self, said: &mut Vec<String>) -> Result<(), StorageError> {
        let number = self.group.0;
        let is_meta = number == lane::META;
        let is_whole = if is_meta { MetaCommand::is_valid } else { is_entry };
        if mainstem_raft::is_complete(self.log, self.group, |data| is_whole(data)).await? {
            self.rebuild().await?;
            said.push(format!(
                "group {number}: its state is made anew from its log, which has everything"
            ));
            return Ok(());
        }
        match is_meta {
            true => self.mend_names(said),
            false => self.mend_streams(said),
        }
    }

    async fn rebuild(&self) -> Result<(), StorageError> {
        self.delete(&[self.group.0.to_be_bytes().to_vec()])?;
        let machine: Arc<dyn mainstem_raft::Machine> = match self.group.0 {
            lane::META => MetaMachine::open(self.group, &**self.state)?,
            _ => self.machine()?,
        };
        mainstem_raft::rebuild(self.log, self.state, self.group, machine).await
    }

    fn machine(&self) -> Result<Arc<GroupMachine>, StorageError> {
        GroupMachine::open(self.group, Arc::clone(self.log), Arc::clone(self.state), || {})
    }

    /// Deletes all rows that begin with one of the prefixes.
    fn delete(&self, prefixes: &[Vec<u8>]) -> Result<(), StorageError> {
        let mut batch = Batch::default();
        for prefix in prefixes {
            batch.delete_range(prefix.clone(), behind(prefix));
        }
        self.state.write(batch)
    }

    /// The rows say nothing about what they stand on: the group goes on behind its log.
    fn skip(&self) -> Result<(), StorageError> {
        let node_id = mainstem_raft::Options::default().node_id;
        mainstem_raft::skip(self.log, self.state, self.group, node_id)
    }

    fn mend_names(&self, said: &mut Vec<String>) -> Result<(), StorageError> {
        let mut streams = Vec::new();
        for (number, kept) in lane::GROUPS {
            if kept != Kept::Memory {
                let rows = stream_rows(&**self.state, number)?;
                streams.extend(rows.into_iter().map(|(id, row)| (number, id, row)));
            }
        }
        let added = meta::mend(self.group, &**self.state, streams)?;
        if !self.is_joined()? {
            self.skip()?;
        }
        said.push(format!(
            "names of streams: {added} were lost, and are known again from the streams themselves; \
             names of memory streams are gone"
        ));
        Ok(())
    }

    fn mend_streams(&self, said: &mut Vec<String>) -> Result<(), StorageError> {
        let number = self.group.0;
        let names = self.names()?;
        if !self.is_joined()? {
            self.delete(&[number.to_be_bytes().to_vec()])?;
            self.skip()?;
            said.extend(names.values().map(|name| {
                format!("{name}: all its messages and consumers are lost, and it begins anew at its first sequence")
            }));
            return Ok(());
        }
        let rows = stream_rows(&**self.state, number)?;
        let mut hurt = Vec::new();
        let ids: BTreeSet<StreamId> = rows.keys().chain(names.keys()).copied().collect();
        for id in ids {
            let unnamed = format!("stream number {}", id.0);
            let name = names.get(&id).unwrap_or(&unnamed);
            let has_state = self.state.get(&stream::state_key(number, id))?.is_some();
            if !rows.contains_key(&id) || !has_state {
                self.delete(&keys::OF_STREAMS.map(|kind| of_stream(number, kind, id)))?;
                said.push(format!(
                    "{name}: all its messages and consumers are lost, and it begins anew at its first sequence"
                ));
                continue;
            }
            let touches = |kind| self.may_touch(&of_stream(number, kind, id));
            if OF_MESSAGES.into_iter().any(touches) {
                hurt.push(id);
            }
            if touches(Kind::Deleted) {
                said.push(format!("{name}: messages that had been removed may be back"));
            }
            if touches(Kind::Consumer) {
                said.push(format!("{name}: consumers may be lost"));
            }
            if touches(Kind::MsgId) {
                said.push(format!(
                    "{name}: ids of messages may be lost, and duplicates be stored"
                ));
            }
        }
        for (id, gone) in self.machine()?.mend(&**self.state, &hurt)? {
            let unnamed = format!("stream number {}", id.0);
            let name = names.get(&id).unwrap_or(&unnamed);
            said.push(format!(
                "{name}: put together again from the log, {gone} messages are lost"
            ));
        }
        Ok(())
    }

    /// What the group's streams are called.
    fn names(&self) -> Result<BTreeMap<StreamId, String>, StorageError> {
        let meta = MetaMachine::open(GroupId(lane::META), &**self.state)?;
        let of_group = |names: &meta::Names| {
            let placed = names.all().filter(|placed| placed.group == self.group.0);
            placed
                .map(|placed| {
                    let name = format!("stream {} of account {}", placed.config.name, placed.account);
                    (placed.id, name)
                })
                .collect()
        };
        Ok(meta.with(of_group))
    }
}

/// Streams as a group's rows have them.
fn stream_rows(state: &dyn StateStore, group: u32) -> Result<BTreeMap<StreamId, StreamRow>, StorageError> {
    let prefix = of_kind(group, Kind::Stream);
    let mut found = BTreeMap::new();
    let mut rows = state.rows();
    rows.seek(&prefix)?;
    while let Some((key, value)) = rows.current().filter(|(key, _)| key.starts_with(&prefix)) {
        // What is no stream is found by whoever opens the group.
        if let (Some(id), Ok(row)) = (stream::stream_of(key), StreamRow::decode(value)) {
            found.insert(id, row);
        }
        rows.next()?;
    }
    Ok(found)
}

/// An entry of a data group of which nothing was left out.
fn is_entry(data: &[u8]) -> bool {
    let is_command = |command: Option<&[u8]>| command.is_some_and(|command| Decoded::decode(command).is_ok());
    EntryReader::new(data)
        .is_ok_and(|entry| (0..entry.count()).all(|ordinal| is_command(entry.command(ordinal))))
}
