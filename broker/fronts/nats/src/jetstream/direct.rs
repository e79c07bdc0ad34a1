//! Direct gets: messages as they are, without JSON around them.

use std::sync::Arc;
use std::time::Duration;

use mainstem_core::account::Account;
use mainstem_core::{Injected, Injection};
use mainstem_streams::error::Error;
use mainstem_streams::{BatchEnd, GetBatch, StoredMessage, Streams};

use super::api::Request;
use super::headers::Builder;
use super::json::time::Time;
use super::json::{self, request::MessageGet};
use super::subject::Op;
use super::{JetStream, status};

/// Bytes of answers that wait for each other at most.
const TOGETHER_BYTES: usize = 1 << 20;

/// How long, and how often, to wait for a worker that has not taken what it was sent.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSES: usize = 100;

/// Answers several requests; the answers to an account go out together.
pub(crate) async fn answer(jetstream: &Arc<JetStream>, requests: &[Request]) {
    let mut outgoing = Outgoing {
        jetstream,
        waiting: None,
    };
    for request in requests.iter().filter(|request| !request.reply.is_empty()) {
        let mut answer = Answer {
            outgoing: &mut outgoing,
            request,
        };
        if let Err(refusal) = give(jetstream, request, &mut answer).await {
            answer.refuse(&refusal);
        }
        outgoing.make_room().await;
    }
    outgoing.send();
}

/// Answers that wait for more of them.
struct Outgoing<'a> {
    jetstream: &'a JetStream,
    waiting: Option<(Arc<Account>, Injection)>,
}

impl Outgoing<'_> {
    fn to(&mut self, account: &Arc<Account>) -> &mut Injection {
        if !self
            .waiting
            .as_ref()
            .is_some_and(|(of, _)| Arc::ptr_eq(of, account))
        {
            self.send();
        }
        let begin = || (Arc::clone(account), Injection::new(account));
        &mut self.waiting.get_or_insert_with(begin).1
    }

    fn send(&mut self) -> Injected {
        match self.waiting.take() {
            Some((_, injection)) => self.jetstream.front.node.inject(injection),
            None => Injected::default(),
        }
    }

    /// Sends what has become much, and gives the workers time to take it.
    async fn make_room(&mut self) {
        let size_bytes = self
            .waiting
            .as_ref()
            .map_or(0, |(_, waiting)| waiting.size_bytes());
        if size_bytes < TOGETHER_BYTES || !self.send().full {
            return;
        }
        for _ in 0..PAUSES {
            if !self.jetstream.front.node.is_full() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Why there is no message.
enum Refusal {
    Status(u16, &'static str),
    /// No stream that gives messages directly.
    Nobody,
}

const NOT_FOUND: Refusal = Refusal::Status(404, "Message Not Found");

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::StreamNotFound => Self::Nobody,
            Error::TooManySubjects => Self::Status(413, "Too Many Results"),
            Error::NoMessageFound | Error::SequenceNotFound { .. } => NOT_FOUND,
            Error::TooManyRequests => Self::Status(429, "Too Many Requests"),
            _ => Self::Status(500, "Storage Failure"),
        }
    }
}

/// Where answers go.
struct Answer<'a, 'b> {
    outgoing: &'a mut Outgoing<'b>,
    request: &'a Request,
}

impl Answer<'_, '_> {
    fn push(&mut self, block: &[u8], payload: &[u8]) {
        let reply = &self.request.reply;
        let injection = self.outgoing.to(&self.request.account);
        injection.push(reply, reply, b"", block, payload);
    }

    fn refuse(&mut self, refusal: &Refusal) {
        let block = match refusal {
            Refusal::Status(code, text) => Builder::status(*code, text).finish(),
            Refusal::Nobody => {
                let subject = format!("{}{}", super::subject::PREFIX, self.request.subject);
                status::no_responders(subject.as_bytes())
            }
        };
        self.push(&block, b"");
    }
}

async fn give(jetstream: &JetStream, request: &Request, answer: &mut Answer<'_, '_>) -> Result<(), Refusal> {
    let Some(streams) = jetstream.streams() else {
        return Err(Refusal::Nobody);
    };
    if request.too_new {
        return Err(Refusal::Status(412, "Required Api Level"));
    }
    match Op::parse(&request.subject) {
        Some(Op::DirectGet { stream }) => by_request(&streams, stream, answer).await,
        Some(Op::DirectGetLast { stream, subject }) => last(&streams, stream, subject, answer).await,
        _ => Err(Refusal::Nobody),
    }
}

fn read(request: &Request) -> Result<MessageGet, Refusal> {
    let get = serde_json::from_slice(&request.body);
    // The stricter reader knows that `null` is a field that is not there.
    get.or_else(|_| json::read(&request.body, false))
        .map_err(|_| Refusal::Status(408, "Malformed Request"))
}

/// The subject says which; the request may only say how.
async fn last(
    streams: &Streams,
    stream: &str,
    subject: &str,
    answer: &mut Answer<'_, '_>,
) -> Result<(), Refusal> {
    let get = match answer.request.body.is_empty() {
        true => MessageGet::default(),
        false => read(answer.request)?,
    };
    if get.is_set() || get.batch != 0 || get.up_to_seq != 0 || get.up_to_time.is_some() {
        return Err(Refusal::Status(408, "Bad Request"));
    }
    let get = MessageGet {
        last_by_subj: subject.to_owned(),
        ..get
    };
    one(streams, stream, &get, answer).await
}

async fn by_request(streams: &Streams, stream: &str, answer: &mut Answer<'_, '_>) -> Result<(), Refusal> {
    if answer.request.body.is_empty() {
        return Err(Refusal::Status(408, "Empty Request"));
    }
    let get = read(answer.request)?;
    if !get.is_set() {
        return Err(Refusal::Status(408, "Empty Request"));
    }
    let (last, multi) = (!get.last_by_subj.is_empty(), !get.multi_last.is_empty());
    let both_ends = get.up_to_seq > 0 && get.up_to_time.is_some();
    let next = !get.next_by_subj.is_empty();
    if get.is_contradictory() || (last && (get.batch > 0 || multi)) || (next && multi) || both_ends {
        return Err(Refusal::Status(408, "Bad Request"));
    }
    match multi || get.batch > 0 {
        true => several(streams, stream, &get, answer).await,
        false => one(streams, stream, &get, answer).await,
    }
}

async fn one(
    streams: &Streams,
    stream: &str,
    get: &MessageGet,
    answer: &mut Answer<'_, '_>,
) -> Result<(), Refusal> {
    let account = &answer.request.account.name;
    let message = streams.get_message(account, stream, get.one()).await?;
    let block = match get.no_hdr {
        true => Vec::new(),
        false => headers(stream, &message).finish(),
    };
    answer.push(&block, &message.payload);
    Ok(())
}

async fn several(
    streams: &Streams,
    stream: &str,
    get: &MessageGet,
    answer: &mut Answer<'_, '_>,
) -> Result<(), Refusal> {
    let multi = !get.multi_last.is_empty();
    let subjects = match (multi, get.next_by_subj.is_empty()) {
        (true, _) => get
            .multi_last
            .iter()
            .map(|subject| subject.as_str().into())
            .collect(),
        (false, false) => vec![get.next_by_subj.as_str().into()],
        (false, true) => Vec::new(),
    };
    let wanted = GetBatch {
        subjects,
        multi_last: multi,
        seq: get.seq,
        start_ns: get.start_time.map(|time| time.0),
        up_to_seq: get.up_to_seq,
        up_to_ns: get.up_to_time.map(|time| time.0),
        batch: usize::try_from(get.batch).unwrap_or(0),
        max_bytes: usize::try_from(get.max_bytes).unwrap_or(0),
    };
    let account = &answer.request.account.name;
    let mut batch = streams.get_batch(account, stream, &wanted)?;
    let mut messages = batch.read()?;
    if messages.is_empty() {
        return Err(match multi {
            true => Refusal::Status(404, "No Results"),
            false => NOT_FOUND,
        });
    }
    while !messages.is_empty() {
        for message in &messages {
            push_of_batch(stream, get, message, answer);
        }
        answer.outgoing.make_room().await;
        messages = batch.read()?;
    }
    push_end(multi, &batch.end()?, answer);
    Ok(())
}

/// A message, and how many follow.
fn push_of_batch(stream: &str, get: &MessageGet, message: &StoredMessage, answer: &mut Answer<'_, '_>) {
    let block = match get.no_hdr && get.multi_last.is_empty() {
        true => Vec::new(),
        false => headers(stream, message)
            .number("Nats-Num-Pending", message.pending)
            .number("Nats-Last-Sequence", message.last_seq)
            .finish(),
    };
    answer.push(&block, &message.payload);
}

fn push_end(multi: bool, end: &BatchEnd, answer: &mut Answer<'_, '_>) {
    let block = Builder::status(204, "EOB")
        .number("Nats-Num-Pending", end.pending)
        .number("Nats-Last-Sequence", end.last_seq);
    let block = match multi {
        true => block.number("Nats-UpTo-Sequence", end.up_to_seq),
        false => block,
    };
    answer.push(&block.finish(), b"");
}

/// The message's own headers, and where it stands.
fn headers(stream: &str, message: &StoredMessage) -> Builder {
    Builder::from(&message.headers)
        .line("Nats-Stream", stream)
        .line("Nats-Subject", &message.subject)
        .number("Nats-Sequence", message.seq)
        .line("Nats-Time-Stamp", Time(message.timestamp_ns).text())
}
