//! The bodies of API requests.

use mainstem_streams as streams;
use serde::Deserialize;

use super::consumer::ConsumerConfig;
use super::time::Time;

/// A page of names or of details.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct List {
    offset: i64,
    subject: String,
}

impl List {
    /// Only streams that capture something of it.
    pub(crate) fn filter(&self) -> Option<&str> {
        (!self.subject.is_empty()).then_some(&*self.subject)
    }

    /// Items to skip.
    pub(crate) fn offset(&self) -> usize {
        usize::try_from(self.offset).unwrap_or(0)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StreamInfo {
    offset: i64,
    deleted_details: bool,
    subjects_filter: String,
}

impl From<StreamInfo> for streams::InfoOptions {
    fn from(json: StreamInfo) -> Self {
        Self {
            deleted_details: json.deleted_details,
            subjects_filter: named(json.subjects_filter),
            offset: usize::try_from(json.offset).unwrap_or(0),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Purge {
    pub(crate) seq: u64,
    filter: String,
    pub(crate) keep: u64,
}

impl From<Purge> for streams::PurgeOptions {
    fn from(json: Purge) -> Self {
        Self {
            filter: named(json.filter),
            below_seq: json.seq,
            keep: json.keep,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MessageDelete {
    pub(crate) seq: u64,
    pub(crate) no_erase: bool,
}

/// Which message, or which messages.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MessageGet {
    pub(crate) seq: u64,
    pub(crate) last_by_subj: String,
    pub(crate) next_by_subj: String,
    pub(crate) batch: i64,
    pub(crate) max_bytes: i64,
    pub(crate) start_time: Option<Time>,
    pub(crate) multi_last: Vec<String>,
    pub(crate) up_to_seq: u64,
    pub(crate) up_to_time: Option<Time>,
    pub(crate) no_hdr: bool,
}

impl MessageGet {
    /// Says which message.
    pub(crate) fn is_set(&self) -> bool {
        self.seq > 0
            || !self.last_by_subj.is_empty()
            || !self.next_by_subj.is_empty()
            || self.start_time.is_some()
            || !self.multi_last.is_empty()
    }

    /// Says which message in two ways that exclude each other.
    pub(crate) fn is_contradictory(&self) -> bool {
        let (seq, last) = (self.seq > 0, !self.last_by_subj.is_empty());
        let (time, next) = (self.start_time.is_some(), !self.next_by_subj.is_empty());
        (seq && (last || time)) || (last && (time || next))
    }

    /// The one message that is asked for.
    pub(crate) fn one(&self) -> streams::GetMessage {
        let subject = || named(self.next_by_subj.clone());
        match (self.start_time, subject()) {
            (Some(start), subject) => streams::GetMessage::Since {
                subject,
                start_ns: start.0,
            },
            (None, Some(subject)) => streams::GetMessage::NextBySubject {
                subject,
                seq: self.seq,
            },
            (None, None) if self.seq > 0 => streams::GetMessage::Seq(self.seq),
            (None, None) => streams::GetMessage::LastBySubject(self.last_by_subj.clone().into()),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ConsumerCreate {
    pub(crate) stream_name: String,
    pub(crate) config: ConsumerConfig,
    action: Action,
    pub(crate) pedantic: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    #[serde(rename = "")]
    CreateOrUpdate,
    Create,
    Update,
}

impl ConsumerCreate {
    pub(crate) fn action(&self) -> streams::Action {
        match self.action {
            Action::CreateOrUpdate => streams::Action::CreateOrUpdate,
            Action::Create => streams::Action::Create,
            Action::Update => streams::Action::Update,
        }
    }
}

/// A client pulls.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Next {
    pub(crate) expires: i64,
    pub(crate) batch: i64,
    pub(crate) max_bytes: i64,
    pub(crate) no_wait: bool,
    pub(crate) idle_heartbeat: i64,
    pub(crate) id: String,
    pub(crate) min_pending: i64,
    pub(crate) min_ack_pending: i64,
}

/// A client wants a message again later.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Nak {
    pub(crate) delay: i64,
}

fn named(text: String) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}
