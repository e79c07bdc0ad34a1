//! Requests, acknowledgements and flow control, taken from the core on the publisher's worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use mainstem_core::account::Account;
use mainstem_core::{Run, Source, Tap};
use mainstem_streams::{Ack, PullRequest, Streams};

use super::ack::{self, AckSubject};
use super::api::{Counts, Request};
use super::headers::{self, Builder};
use super::subject::{Op, PREFIX, SERVED};
use super::{API_LEVEL, JetStream, Tapped, pull, status};

const FLOW_CONTROL: &str = "$JS.FC.>";

/// Adds the taps of an account.
pub(crate) fn add(jetstream: &Arc<JetStream>, account: &Arc<Account>) -> Tapped {
    let counts = Arc::<Counts>::default();
    let enabled = Arc::<AtomicBool>::default();
    let domain = jetstream.config.domain.as_ref();
    let of_domain = domain.map(|domain| format!("$JS.{domain}.API."));
    for prefix in [Some(PREFIX.to_owned()), of_domain].into_iter().flatten() {
        let tap = Arc::new(ApiTap {
            jetstream: Arc::clone(jetstream),
            account: Arc::clone(account),
            prefix_len: prefix.len(),
            enabled: Arc::clone(&enabled),
            counts: Arc::clone(&counts),
        });
        for served in SERVED {
            let filter = format!("{prefix}{served}");
            account.add_tap(filter.as_bytes(), Arc::clone(&tap) as Arc<dyn Tap>);
        }
    }
    Tapped {
        account: account.name.clone(),
        enabled,
        counts,
    }
}

/// The account has JetStream from now on.
pub(crate) fn enable(jetstream: &Arc<JetStream>, account: &Arc<Account>, tapped: &Tapped) {
    let tap = Arc::new(AckTap {
        jetstream: Arc::clone(jetstream),
        account: Arc::clone(account),
    });
    account.add_tap(ack::FILTER.as_bytes(), Arc::clone(&tap) as Arc<dyn Tap>);
    account.add_tap(FLOW_CONTROL.as_bytes(), tap);
    tapped.enabled.store(true, Ordering::Relaxed);
}

/// Requests to the API.
struct ApiTap {
    jetstream: Arc<JetStream>,
    account: Arc<Account>,
    prefix_len: usize,
    enabled: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

impl Tap for ApiTap {
    fn take(&self, source: Source, run: &Run<'_>) {
        let subject = run.subject.get(self.prefix_len..).unwrap_or_default();
        let Some((subject, op)) = std::str::from_utf8(subject)
            .ok()
            .and_then(|subject| Some((subject, Op::parse(subject)?)))
        else {
            return;
        };
        for entry in run.entries {
            let (block, body) = run.bytes(entry.body).split_at(entry.header_len as usize);
            let asked = Asked {
                subject: run.subject,
                reply: run.reply(entry),
                too_new: wants_newer(block),
                body,
            };
            match op {
                Op::Next { stream, consumer } => self.pull(stream, consumer, &asked),
                op => self.queue(source, subject, &op, &asked),
            }
        }
    }

    fn is_full(&self) -> bool {
        self.jetstream.is_full()
    }
}

/// A request, where it came in.
struct Asked<'a> {
    subject: &'a [u8],
    reply: &'a [u8],
    /// It wants a newer API than this one.
    too_new: bool,
    body: &'a [u8],
}

impl ApiTap {
    fn pull(&self, stream: &str, consumer: &str, asked: &Asked<'_>) {
        if asked.reply.is_empty() {
            return;
        }
        if asked.too_new {
            return self.status(asked.reply, 412, "Required Api Level");
        }
        match pull::parse(asked.body, Bytes::copy_from_slice(asked.reply)) {
            Err(why) => self.status(asked.reply, 400, &format!("Bad Request - {why}")),
            Ok(request) => {
                if !self.pulled(stream, consumer, request) {
                    self.nobody(asked);
                }
            }
        }
    }

    /// The consumer has the request.
    fn pulled(&self, stream: &str, consumer: &str, request: PullRequest) -> bool {
        let streams = self.streams();
        streams.is_some_and(|streams| {
            streams
                .pull(&self.account.name, stream, consumer, request)
                .is_ok()
        })
    }

    fn queue(&self, source: Source, subject: &str, op: &Op<'_>, asked: &Asked<'_>) {
        let direct = match op {
            Op::DirectGet { stream } | Op::DirectGetLast { stream, .. } => Some(*stream),
            _ => None,
        };
        if let Some(stream) = direct
            && !self.gives_directly(stream)
        {
            return self.nobody(asked);
        }
        let request = Request {
            account: Arc::clone(&self.account),
            subject: subject.into(),
            reply: Bytes::copy_from_slice(asked.reply),
            body: Bytes::copy_from_slice(asked.body),
            too_new: asked.too_new,
            enabled: self.is_enabled(),
            counts: Arc::clone(&self.counts),
        };
        let api = &self.jetstream.api;
        let queued = match direct {
            Some(_) => api.queue_direct(source.conn, request),
            None => api.queue(request),
        };
        if let Err(request) = queued {
            super::api::refuse_busy(&self.jetstream, &request);
        }
    }

    fn gives_directly(&self, stream: &str) -> bool {
        let streams = self.streams();
        streams.is_some_and(|streams| streams.allows_direct(&self.account.name, stream))
    }

    fn streams(&self) -> Option<Arc<Streams>> {
        self.jetstream.streams().filter(|_| self.is_enabled())
    }

    fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    fn status(&self, reply: &[u8], code: u16, text: &str) {
        let block = Builder::status(code, text).finish();
        self.jetstream.send(&self.account, reply, &block, b"");
    }

    fn nobody(&self, asked: &Asked<'_>) {
        if !asked.reply.is_empty() {
            let block = status::no_responders(asked.subject);
            self.jetstream.send(&self.account, asked.reply, &block, b"");
        }
    }
}

/// The headers want a level of the API that is above ours, or none that can be read.
fn wants_newer(block: &[u8]) -> bool {
    let Some(wanted) = headers::value(block, headers::REQUIRED_API_LEVEL) else {
        return false;
    };
    let wanted = std::str::from_utf8(wanted)
        .ok()
        .and_then(|text| text.parse::<u32>().ok());
    wanted.is_none_or(|level| level > API_LEVEL)
}

/// Acknowledgements, and answers to flow control requests.
struct AckTap {
    jetstream: Arc<JetStream>,
    account: Arc<Account>,
}

impl Tap for AckTap {
    fn take(&self, _source: Source, run: &Run<'_>) {
        let Some(streams) = self.jetstream.streams() else {
            return;
        };
        if !run.subject.starts_with(ack::PREFIX.as_bytes()) {
            return self.flow_control(&streams, run.subject);
        }
        let subject = AckSubject::parse(run.subject);
        for entry in run.entries {
            let (_, payload) = run.bytes(entry.body).split_at(entry.header_len as usize);
            let reply = run.reply(entry);
            let known = subject.is_some_and(|subject| self.acknowledge(&streams, &subject, reply, payload));
            if !known && !reply.is_empty() {
                let block = status::no_responders(run.subject);
                self.jetstream.send(&self.account, reply, &block, b"");
            }
        }
    }

    fn is_full(&self) -> bool {
        self.jetstream.is_full()
    }
}

impl AckTap {
    /// There is such a consumer.
    fn acknowledge(&self, streams: &Streams, subject: &AckSubject<'_>, reply: &[u8], payload: &[u8]) -> bool {
        let reply = Bytes::copy_from_slice(reply);
        let Some(kind) = ack::kind(payload, &reply) else {
            return true;
        };
        let ack = Ack {
            kind,
            stream_seq: subject.stream_seq,
            consumer_seq: subject.consumer_seq,
            delivered: subject.delivered,
            reply: (!reply.is_empty()).then_some(reply),
        };
        let account = &self.account.name;
        streams
            .ack(account, subject.stream, subject.consumer, ack)
            .is_ok()
    }

    /// `$JS.FC.<stream>.<consumer>.<id>`; the newer form has a domain and an account's hash in front.
    fn flow_control(&self, streams: &Streams, subject: &[u8]) {
        let Ok(subject) = std::str::from_utf8(subject) else {
            return;
        };
        let mut tokens = subject.rsplitn(4, '.');
        if let (Some(id), Some(consumer), Some(stream)) = (tokens.next(), tokens.next(), tokens.next())
            && let Ok(id) = id.parse()
        {
            streams.flow_control(&self.account.name, stream, consumer, id);
        }
    }
}
