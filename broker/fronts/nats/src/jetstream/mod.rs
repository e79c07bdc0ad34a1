//! JetStream for NATS clients: the API, publishing to streams, deliveries and acknowledgements, in nats-server's JSON and
//! with its codes.
//!
//! Messages come in by taps on subjects of the core (`tap`), on the publisher's worker: publishes, acknowledgements and
//! pull requests go to the streams at once, other requests wait in bounded queues for tasks of the services runtime
//! (`api`). What streams have to say goes out as injections (`outlet`). What a stream is, and when it takes a message, is
//! not known here.
//!
//! Deliberate deviations:
//! - What is not built is refused by name (10052 for a stream, 10012 for a consumer), and API subjects that are not served
//!   have no responders; nats-server answers some of them, and some not at all.
//! - A stream's compression is remembered and has no effect: what is stored is not compressed.
//! - `*` and `>` inside a token of a filter are letters. nats-server sometimes takes them for wildcards: when the subjects
//!   that it holds branch exactly there (`a*` finds `apple` while `avocado` is there as well).
//! - The text behind `invalid JSON: ` is that of another parser.
//! - A push consumer delivers to a subject that only a wildcard subscription covers as well.
//! - Requests to the API are not published as audit advisories (`$JS.EVENT.ADVISORY.API`).
//! - Acknowledgements are not sampled: `sample_freq` is kept and shown, and nothing is published to
//!   `$JS.EVENT.METRIC.CONSUMER.ACK`.
//! - A batch of direct gets ends after 64 MiB or 2^20 messages, whatever it asks for.
//! - Requests beyond the queue are refused with 429, one by one; nats-server drops the whole queue.

mod ack;
mod advisory;
mod api;
mod captures;
mod config;
mod direct;
mod duration;
mod error;
mod headers;
mod json;
mod monitor;
mod ops;
mod outlet;
mod publish;
mod pull;
mod status;
mod subject;
mod tap;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use mainstem_core::account::{Account, AccountId};
use mainstem_core::{Gate, Injection};
use mainstem_streams::Streams;
use tokio::runtime::Handle;

use crate::front::Front;
use api::{Api, Counts};
use captures::Captures;
use json::info::ApiStats;

pub use config::{Enabled, JetStreamConfig};
pub use json::version::API_LEVEL;
pub use monitor::{JetStreamVarz, register};

/// Consumers share so many gates: one that is closed holds up those that share it for 10 ms.
const GATES: usize = 1024;

/// JetStream, as this front serves it.
pub struct JetStream {
    front: Arc<Front>,
    config: JetStreamConfig,
    /// `None` before [`JetStream::open`] and after [`JetStream::close`].
    streams: ArcSwapOption<Streams>,
    captures: Captures,
    api: Api,
    /// Accounts that have their taps.
    tapped: Mutex<Vec<Tapped>>,
    /// Closed while recipients of deliveries are behind.
    gates: Box<[Arc<Gate>]>,
}

/// An account with its taps.
struct Tapped {
    account: String,
    /// It has JetStream; else its requests are refused.
    enabled: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

impl Tapped {
    fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }
}

impl JetStream {
    /// The front's half. It is what streams want as their outlet; nothing is served before [`JetStream::open`].
    pub fn new(front: &Arc<Front>, config: JetStreamConfig) -> Arc<Self> {
        let jetstream = Arc::new(Self {
            front: Arc::clone(front),
            config,
            streams: ArcSwapOption::empty(),
            captures: Captures::default(),
            api: Api::default(),
            tapped: Mutex::default(),
            gates: (0..GATES).map(|_| Gate::new()).collect(),
        });
        front.set_jetstream(Arc::clone(&jetstream));
        jetstream
    }

    /// Begins to serve `streams`. Requests are worked on by tasks of `runtime`.
    pub fn open(self: &Arc<Self>, streams: Arc<Streams>, runtime: &Handle) {
        self.streams.store(Some(streams));
        api::start(self, runtime);
        self.tap_accounts(&self.config.accounts);
    }

    /// Accounts that came to be since get their taps, and those of `enabled` have JetStream from now on. Returns those
    /// that have it although they are not among them: their streams stay until the process ends.
    pub fn tap_accounts(self: &Arc<Self>, enabled: &Enabled) -> Vec<String> {
        let mut tapped = self.tapped.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = Vec::new();
        for account in self.front.node.accounts.all().iter() {
            if account.name == self.front.system_account {
                continue;
            }
            let known = tapped.iter().position(|tapped| tapped.account == account.name);
            let place = known.unwrap_or_else(|| {
                tapped.push(tap::add(self, account));
                tapped.len() - 1
            });
            match (tapped[place].is_enabled(), enabled.contains(&account.name)) {
                (false, true) => tap::enable(self, account, &tapped[place]),
                (true, false) => kept.push(account.name.clone()),
                _ => {}
            }
        }
        kept
    }

    /// Names of accounts that have JetStream.
    pub(crate) fn enabled_accounts(&self) -> Vec<String> {
        let tapped = self.tapped.lock().unwrap_or_else(PoisonError::into_inner);
        let enabled = tapped.iter().filter(|tapped| tapped.is_enabled());
        enabled.map(|tapped| tapped.account.clone()).collect()
    }

    /// How often an account used the API.
    fn api_stats(&self, account: &str) -> ApiStats {
        let tapped = self.tapped.lock().unwrap_or_else(PoisonError::into_inner);
        let found = tapped.iter().find(|tapped| tapped.account == account);
        found.map(|tapped| tapped.counts.stats(0)).unwrap_or_default()
    }

    /// Nothing is served any more.
    pub fn close(&self) {
        self.streams.store(None);
        self.api.close();
    }

    /// The settings.
    pub fn config(&self) -> &JetStreamConfig {
        &self.config
    }

    pub(crate) fn streams(&self) -> Option<Arc<Streams>> {
        self.streams.load_full()
    }

    /// Clients who pull and acknowledge are to be held back.
    fn is_full(&self) -> bool {
        self.streams
            .load()
            .as_ref()
            .is_some_and(|streams| streams.is_full())
    }

    /// A client subscribed: push consumers may wait for that.
    pub(crate) fn subscribed(&self, account: AccountId, filter: &[u8]) {
        let streams = self.streams.load();
        let Some(streams) = streams.as_ref().filter(|streams| streams.awaits_subscribers()) else {
            return;
        };
        if let Some(account) = self.front.node.accounts.get(account) {
            streams.subscribed(&account.name, filter);
        }
    }

    fn account(&self, name: &str) -> Arc<Account> {
        self.front.node.accounts.get_or_create(name)
    }

    /// Sends one message to whoever subscribes to `to`.
    fn send(&self, account: &Arc<Account>, to: &[u8], headers: &[u8], payload: &[u8]) {
        let mut injection = Injection::new(account);
        injection.push(to, to, b"", headers, payload);
        self.front.node.inject(injection);
    }
}

/// Nanoseconds since the Unix epoch.
fn now_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
