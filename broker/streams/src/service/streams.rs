//! Streams: created, changed, removed, purged, described.

use std::sync::Arc;

use super::Streams;
use super::consumers::check_consumers;
use super::lane::Lane;
use super::reconcile::{captured, done};
use super::types::{AccountInfo, InfoOptions, Page, PurgeOptions, StreamInfo, StreamSummary};
use crate::command::{Command, Outcome, StreamId};
use crate::config::{Storage, StreamConfig, StreamLimits, check_stream_update};
use crate::error::Error;
use crate::machine::View;
use crate::matching::{self, Filters};
use crate::meta::{MetaCommand, Placed};
use crate::service::outlet::Advisory;

/// Subjects of one answer at most.
const MAX_SUBJECTS: usize = 100_000;

/// Removed sequences of one answer at most.
const MAX_DELETED: usize = 1 << 20;

impl Streams {
    /// Creates a stream. One that exists with the same configuration is what was asked for.
    pub async fn create_stream(
        &self,
        account: &str,
        config: StreamConfig,
        pedantic: bool,
    ) -> Result<StreamInfo, Error> {
        let mut config = config;
        config.validate(&self.stream_limits(account, &config), pedantic)?;
        let _turn = self.turns.of(account, &config.name).await;
        if let Some(placed) = self.meta.with(|names| names.find(account, &config.name)) {
            if *placed.config != config {
                return Err(Error::StreamNameInUse);
            }
            return self.describe(&placed, &InfoOptions::default());
        }
        if self
            .meta
            .with(|names| names.overlaps(account, &config.subjects, None))
        {
            return Err(Error::SubjectsOverlap);
        }
        self.check_room(account, &config, 0)?;
        let lane = self.lane_for(&config);
        if let Some(reason) = self.meta_group.is_full() {
            return Err(reason.into());
        }
        let placed = self
            .change_names(&MetaCommand::Create {
                account: account.into(),
                group: lane.number(),
                created_ns: self.clock.wall_ns(),
                max_streams: self.registry.usage(account).limits().max_streams,
                config,
            })
            .await?;
        if let Err(error) = self.create_data(lane, &placed).await {
            // The name is free again; if that fails too, a restart makes the stream.
            let _ = self.change_names(&MetaCommand::Delete { id: placed.id }).await;
            return Err(error);
        }
        if let Some(stream) = self.register(&placed) {
            let stream = Arc::clone(stream.name());
            self.outlet.advisory(account, Advisory::StreamCreated { stream });
        }
        self.describe(&placed, &InfoOptions::default())
    }

    /// Changes a stream's configuration.
    pub async fn update_stream(
        &self,
        account: &str,
        config: StreamConfig,
        pedantic: bool,
    ) -> Result<StreamInfo, Error> {
        let mut config = config;
        let _turn = self.turns.of(account, &config.name).await;
        let (before, lane) = self.place(account, &config.name)?;
        config.validate(&self.stream_limits(account, &config), pedantic)?;
        check_stream_update(&before.config, &mut config)?;
        check_consumers(lane, &before, &config)?;
        self.check_room(account, &config, before.config.max_bytes.max(0))?;
        if self
            .meta
            .with(|names| names.overlaps(account, &config.subjects, Some(before.id)))
        {
            return Err(Error::SubjectsOverlap);
        }
        let placed = self
            .change_names(&MetaCommand::Update {
                id: before.id,
                config,
            })
            .await?;
        if let Err(error) = self.apply_config(lane, &placed).await {
            let config = (*before.config).clone();
            // If that fails too, a restart puts it right.
            let _ = self
                .change_names(&MetaCommand::Update {
                    id: before.id,
                    config,
                })
                .await;
            return Err(error);
        }
        if let Some(stream) = self.registry.by_id(placed.id) {
            stream.reconfigure(&placed.config);
            self.outlet
                .captures_changed(&stream, captured(&before), captured(&placed));
            let name = Arc::clone(stream.name());
            self.outlet
                .advisory(account, Advisory::StreamUpdated { stream: name });
        }
        let id = placed.id;
        lane.desk.run(move |engine| engine.stream_reconfigured(id));
        self.describe(&placed, &InfoOptions::default())
    }

    pub async fn delete_stream(&self, account: &str, name: &str) -> Result<(), Error> {
        let _turn = self.turns.of(account, name).await;
        let (placed, lane) = self.place(account, name)?;
        let stream = self.registry.by_id(placed.id);
        if let Some(stream) = &stream {
            self.outlet.captures_changed(stream, captured(&placed), &[]);
        }
        if let Err(error) = self.change_names(&MetaCommand::Delete { id: placed.id }).await {
            if let Some(stream) = &stream {
                self.outlet.captures_changed(stream, &[], captured(&placed));
            }
            return Err(error);
        }
        // The name is gone; what is left of the data would be removed by a restart.
        done(
            lane.door
                .call(&Command::DeleteStream { stream: placed.id })
                .await?,
        )?;
        if let Some(stream) = stream {
            self.registry.remove(&stream);
            let name = Arc::clone(stream.name());
            self.outlet
                .advisory(account, Advisory::StreamDeleted { stream: name });
        }
        Ok(())
    }

    /// Removes messages; how many.
    pub async fn purge(&self, account: &str, name: &str, purge: PurgeOptions) -> Result<u64, Error> {
        let (placed, lane) = self.place(account, name)?;
        let mut below_seq = purge.below_seq;
        if below_seq == 0 && purge.keep == 0 && purge.filter.is_some() {
            // It takes several steps, and what comes meanwhile stays.
            let last_seq = |view: &mut View| view.stream(placed.id).map_or(0, |stream| stream.last_seq);
            below_seq = lane.machine.with(last_seq) + 1;
        }
        let command = Command::Purge {
            stream: placed.id,
            filter: purge.filter.unwrap_or_default(),
            below_seq,
            keep: purge.keep,
        };
        self.remove(lane, placed.id, &command).await
    }

    /// Removes one message.
    pub async fn delete_message(
        &self,
        account: &str,
        name: &str,
        seq: u64,
        _erase: bool,
    ) -> Result<(), Error> {
        let (placed, lane) = self.place(account, name)?;
        let command = Command::DeleteMessage {
            stream: placed.id,
            seq,
        };
        self.remove(lane, placed.id, &command).await.map(drop)
    }

    async fn remove(&self, lane: &Lane, id: StreamId, command: &Command) -> Result<u64, Error> {
        let deleted = match command {
            Command::DeleteMessage { seq, .. } => Some(*seq),
            _ => None,
        };
        let mut all = 0;
        loop {
            match lane.door.call(command).await? {
                Outcome::Refused(error) => return Err(error),
                Outcome::Partly { removed } => all += removed,
                Outcome::Done { removed } => {
                    lane.desk.run(move |engine| match deleted {
                        Some(seq) => engine.deleted(id, seq),
                        None => engine.purged(id),
                    });
                    return Ok(all + removed);
                }
                _ => return Ok(all),
            }
        }
    }

    pub async fn stream_info(
        &self,
        account: &str,
        name: &str,
        options: &InfoOptions,
    ) -> Result<StreamInfo, Error> {
        let (placed, _) = self.place(account, name)?;
        self.describe(&placed, options)
    }

    /// The names of an account's streams, of those that capture something of `filter`.
    pub fn stream_names(
        &self,
        account: &str,
        filter: Option<&str>,
        offset: usize,
        limit: usize,
    ) -> Page<Box<str>> {
        let all = self.placed_of(account, filter);
        page(all, offset, limit, |placed| placed.config.name.clone())
    }

    pub async fn stream_list(
        &self,
        account: &str,
        filter: Option<&str>,
        offset: usize,
        limit: usize,
    ) -> Result<Page<StreamInfo>, Error> {
        let placed = page(self.placed_of(account, filter), offset, limit, |placed| placed);
        let describe = |placed: &Arc<Placed>| self.describe(placed, &InfoOptions::default());
        Ok(Page {
            // One that is being removed is left out.
            items: placed
                .items
                .iter()
                .filter_map(|placed| describe(placed).ok())
                .collect(),
            total: placed.total,
            offset: placed.offset,
        })
    }

    /// What an account uses, and what it may use.
    pub fn account_info(&self, account: &str) -> AccountInfo {
        let usage = self.registry.usage(account);
        let mut info = AccountInfo {
            memory_bytes: usage.bytes(Storage::Memory),
            store_bytes: usage.bytes(Storage::File),
            limits: usage.limits(),
            ..AccountInfo::default()
        };
        for placed in self.placed_of(account, None) {
            info.streams += 1;
            let reserved = placed.config.max_bytes.max(0) as u64;
            match placed.config.storage {
                Storage::Memory => info.reserved_memory_bytes += reserved,
                Storage::File => info.reserved_store_bytes += reserved,
            }
            let consumers = self.lane_of(&placed).map_or(0, |lane| {
                let count = |view: &mut View| {
                    view.stream(placed.id)
                        .map_or(0, |stream| stream.consumers().len())
                };
                lane.machine.with(count)
            });
            info.consumers += consumers;
        }
        info
    }

    /// The accounts that have streams.
    pub fn accounts(&self) -> Vec<Arc<str>> {
        self.meta.with(|names| names.accounts())
    }

    fn placed_of(&self, account: &str, filter: Option<&str>) -> Vec<Arc<Placed>> {
        let captures = |placed: &&Arc<Placed>| {
            filter.is_none_or(|filter| {
                let subjects = &placed.config.subjects;
                subjects.iter().any(|subject| matching::overlap(subject, filter))
            })
        };
        self.meta
            .with(|names| names.of_account(account).filter(captures).cloned().collect())
    }

    pub(super) fn describe(&self, placed: &Placed, options: &InfoOptions) -> Result<StreamInfo, Error> {
        let lane = self.lane_of(placed).ok_or(Error::StreamNotFound)?;
        lane.machine.with(|view| {
            let state = summary(view, placed.id)?;
            let stream = view.stream(placed.id).ok_or(Error::StreamNotFound)?;
            let mut info = StreamInfo {
                config: (*stream.config).clone(),
                created_ns: stream.created_ns,
                state,
                subjects: None,
                deleted: None,
            };
            if options.deleted_details {
                info.deleted = Some(view.deleted(placed.id, MAX_DELETED)?);
            }
            if let Some(filter) = &options.subjects_filter {
                info.subjects = Some(subjects(view, placed.id, filter, options.offset)?);
            }
            Ok(info)
        })
    }

    fn stream_limits(&self, account: &str, config: &StreamConfig) -> StreamLimits {
        let limits = self.registry.usage(account).limits();
        let max_stream_bytes = match config.storage {
            Storage::Memory => limits.memory_max_stream_bytes,
            Storage::File => limits.store_max_stream_bytes,
        };
        StreamLimits {
            max_duplicate_window_ns: self.options.max_duplicate_window_ns,
            max_stream_bytes,
            max_bytes_required: limits.max_bytes_required,
        }
    }

    /// What the stream reserves fits into what the account and the node may have. `had` was reserved before.
    fn check_room(&self, account: &str, config: &StreamConfig, had: i64) -> Result<(), Error> {
        let limits = self.registry.usage(account).limits();
        let streams = self.meta.with(|names| names.count(account)) as i64;
        if had == 0
            && limits.max_streams > 0
            && streams >= limits.max_streams
            && !self.exists(account, config)
        {
            return Err(Error::MaximumStreams);
        }
        let wanted = config.max_bytes.max(0) - had;
        let reserved = |account: Option<&str>| {
            self.meta.with(|names| {
                let of = names
                    .all()
                    .filter(|placed| account.is_none_or(|account| &*placed.account == account));
                let same = of.filter(|placed| placed.config.storage == config.storage);
                same.map(|placed| placed.config.max_bytes.max(0))
                    .fold(0_i64, i64::saturating_add)
            })
        };
        let (of_account, of_node, error) = match config.storage {
            Storage::Memory => (
                limits.max_memory_bytes,
                self.options.max_memory_bytes,
                Error::MemoryExceeded,
            ),
            Storage::File => (
                limits.max_store_bytes,
                self.options.max_store_bytes,
                Error::StorageExceeded,
            ),
        };
        let over = |limit: i64, account| {
            limit >= 0 && wanted > 0 && reserved(account).saturating_add(wanted) > limit
        };
        if over(of_account, Some(account)) || over(of_node, None) {
            return Err(error);
        }
        Ok(())
    }

    fn exists(&self, account: &str, config: &StreamConfig) -> bool {
        self.meta
            .with(|names| names.find(account, &config.name))
            .is_some()
    }
}

fn summary(view: &mut View, id: StreamId) -> Result<StreamSummary, Error> {
    let first_seq = view.stream(id).ok_or(Error::StreamNotFound)?.first_seq;
    let first = view.position(id, first_seq)?;
    let stream = view.stream(id).ok_or(Error::StreamNotFound)?;
    Ok(StreamSummary {
        msgs: stream.msgs,
        bytes: stream.bytes,
        // Nothing was ever there.
        first_seq: if stream.last_seq == 0 { 0 } else { first_seq },
        first_ts_ns: first.map_or(0, |first| first.timestamp_ns),
        last_seq: stream.last_seq,
        last_ts_ns: stream.last_ns,
        num_subjects: stream.num_subjects,
        num_deleted: stream.num_deleted(),
        consumers: stream.consumers().len(),
    })
}

fn subjects(
    view: &mut View,
    id: StreamId,
    filter: &str,
    offset: usize,
) -> Result<Page<(Box<str>, u64)>, Error> {
    let found = view
        .subjects(id, &Filters::new([filter]), usize::MAX - 1)?
        .unwrap_or_default();
    let text = |(subject, count): &(Box<[u8]>, u64)| (Box::from(&*String::from_utf8_lossy(subject)), *count);
    Ok(Page {
        total: found.len(),
        offset,
        items: found.iter().skip(offset).take(MAX_SUBJECTS).map(text).collect(),
    })
}

/// A part of a list.
pub(super) fn page<T, R>(all: Vec<T>, offset: usize, limit: usize, show: impl Fn(T) -> R) -> Page<R> {
    let total = all.len();
    let offset = offset.min(total);
    Page {
        items: all.into_iter().skip(offset).take(limit).map(show).collect(),
        total,
        offset,
    }
}
