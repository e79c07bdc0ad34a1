//! `/subsz`: subscriptions and how publishes find them.

use std::time::SystemTime;

use mainstem_admin::Query;
use mainstem_core::subject;
use serde::Serialize;

use super::BadRequest;
use super::connz_options::page;
use super::format::{Number, timestamp};
use super::snapshot::{AccountSnapshot, InterestSnapshot, SubSnapshot};

/// The query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubszOptions {
    /// List subscriptions.
    pub subscriptions: bool,
    pub offset: usize,
    pub limit: usize,
    pub account: Option<String>,
    /// Only subscriptions that a message on this subject reaches.
    pub test: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct Subsz {
    server_id: String,
    now: String,
    #[serde(flatten)]
    stats: SublistStats,
    total: usize,
    offset: usize,
    limit: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<SubDetail>,
}

/// Figures of the subscriptions of one account, or of several.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct SublistStats {
    num_subscriptions: usize,
    num_cache: usize,
    num_inserts: u64,
    num_removes: u64,
    num_matches: u64,
    cache_hit_rate: Number,
    max_fanout: usize,
    avg_fanout: Number,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct SubDetail {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_tag: Option<String>,
    subject: String,
    #[serde(rename = "qgroup", skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    sid: String,
    msgs: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u64>,
    cid: u64,
}

impl SubszOptions {
    pub fn parse(query: &Query) -> Result<Self, BadRequest> {
        let subscriptions = query.bool("subs")?;
        let (offset, limit) = page(query)?;
        let text = |name| query.get(name).map(str::to_owned);
        let options = Self {
            subscriptions,
            offset,
            limit,
            account: text("acc"),
            test: text("test"),
        };
        match &options.test {
            Some(test) if !subject::is_valid_literal(test.as_bytes()) => Err(BadRequest(format!(
                "invalid test subject, must be valid publish subject: {test}"
            ))),
            _ => Ok(options),
        }
    }
}

/// Sums up the accounts the query asks for, and pages `subscriptions`, when they are wanted.
#[must_use]
pub fn subsz(
    server_id: &str,
    now: SystemTime,
    accounts: &[AccountSnapshot],
    subscriptions: Option<Vec<SubSnapshot>>,
    options: &SubszOptions,
) -> Subsz {
    let of_account = |name: &str| options.account.as_deref().is_none_or(|wanted| wanted == name);
    let interest = accounts
        .iter()
        .filter(|account| of_account(&account.name))
        .map(|account| &account.interest);
    let reached = |subscription: &SubSnapshot| {
        options
            .test
            .as_ref()
            .is_none_or(|test| subject::collide(test.as_bytes(), subscription.subject.as_bytes()))
    };
    let mut subscriptions = subscriptions.unwrap_or_default();
    subscriptions.retain(|subscription| of_account(&subscription.account) && reached(subscription));
    Subsz {
        server_id: server_id.into(),
        now: timestamp(now),
        stats: SublistStats::sum(interest),
        total: subscriptions.len(),
        offset: options.offset,
        limit: options.limit,
        subscriptions_list: subscriptions
            .iter()
            .skip(options.offset)
            .take(options.limit)
            .map(SubDetail::with_account)
            .collect(),
    }
}

impl SublistStats {
    pub(crate) fn sum<'a>(parts: impl Iterator<Item = &'a InterestSnapshot>) -> Self {
        let all = parts.fold(InterestSnapshot::default(), |sum, part| InterestSnapshot {
            subscriptions: sum.subscriptions + part.subscriptions,
            cached: sum.cached + part.cached,
            inserts: sum.inserts + part.inserts,
            removes: sum.removes + part.removes,
            matches: sum.matches + part.matches,
            cache_hits: sum.cache_hits + part.cache_hits,
            max_fanout: sum.max_fanout.max(part.max_fanout),
            total_fanout: sum.total_fanout + part.total_fanout,
        });
        Self {
            num_subscriptions: all.subscriptions,
            num_cache: all.cached,
            num_inserts: all.inserts,
            num_removes: all.removes,
            num_matches: all.matches,
            cache_hit_rate: Number::ratio(all.cache_hits as f64, all.matches as f64),
            max_fanout: all.max_fanout,
            avg_fanout: Number::ratio(all.total_fanout as f64, all.cached as f64),
        }
    }
}

impl SubDetail {
    pub(crate) fn new(subscription: &SubSnapshot) -> Self {
        Self {
            account: None,
            account_tag: None,
            subject: subscription.subject.clone(),
            queue: subscription.queue.clone(),
            sid: subscription.sid.clone(),
            msgs: subscription.messages,
            max: subscription.max,
            cid: subscription.cid,
        }
    }

    pub(crate) fn with_account(subscription: &SubSnapshot) -> Self {
        let account = Some(subscription.account.clone());
        Self {
            account_tag: account.clone(),
            account,
            ..Self::new(subscription)
        }
    }
}
