//! Direct gets: messages as they are, without JSON around them.

use std::sync::Arc;

use mainstem_core::Injection;
use mainstem_core::account::Account;
use mainstem_streams::error::Error;
use mainstem_streams::{Batch, GetBatch, StoredMessage, Streams};

use super::api::Request;
use super::headers::Builder;
use super::json::time::Time;
use super::json::{self, request::MessageGet};
use super::subject::Op;
use super::{JetStream, status};

/// Answers several requests; the answers to an account go out together.
pub(crate) async fn answer(jetstream: &Arc<JetStream>, requests: &[Request]) {
    let mut outgoing: Option<(Arc<Account>, Injection)> = None;
    for request in requests.iter().filter(|request| !request.reply.is_empty()) {
        let is_same = |(account, _): &(Arc<Account>, Injection)| Arc::ptr_eq(account, &request.account);
        if !outgoing.as_ref().is_some_and(is_same) {
            send(jetstream, outgoing.take());
        }
        let (_, injection) = outgoing.get_or_insert_with(|| {
            let account = Arc::clone(&request.account);
            let injection = Injection::new(&account);
            (account, injection)
        });
        let mut answer = Answer { injection, request };
        if let Err(refusal) = give(jetstream, request, &mut answer).await {
            answer.refuse(&refusal);
        }
    }
    send(jetstream, outgoing);
}

fn send(jetstream: &JetStream, outgoing: Option<(Arc<Account>, Injection)>) {
    if let Some((_, injection)) = outgoing {
        jetstream.front.node.inject(injection);
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
struct Answer<'a> {
    injection: &'a mut Injection,
    request: &'a Request,
}

impl Answer<'_> {
    fn push(&mut self, block: &[u8], payload: &[u8]) {
        let reply = &self.request.reply;
        self.injection.push(reply, reply, b"", block, payload);
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

async fn give(jetstream: &JetStream, request: &Request, answer: &mut Answer<'_>) -> Result<(), Refusal> {
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
    answer: &mut Answer<'_>,
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

async fn by_request(streams: &Streams, stream: &str, answer: &mut Answer<'_>) -> Result<(), Refusal> {
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
    answer: &mut Answer<'_>,
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
    answer: &mut Answer<'_>,
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
    let batch = streams.get_batch(account, stream, wanted).await?;
    if batch.messages.is_empty() {
        return Err(match multi {
            true => Refusal::Status(404, "No Results"),
            false => NOT_FOUND,
        });
    }
    push_batch(stream, get, multi, &batch, answer);
    Ok(())
}

/// All messages, each with how many follow, then the end.
fn push_batch(stream: &str, get: &MessageGet, multi: bool, batch: &Batch, answer: &mut Answer<'_>) {
    let mut before = 0;
    let mut pending = batch.pending + batch.messages.len() as u64;
    for message in &batch.messages {
        pending -= 1;
        let block = match get.no_hdr && !multi {
            true => Vec::new(),
            false => headers(stream, message)
                .number("Nats-Num-Pending", pending)
                .number("Nats-Last-Sequence", before)
                .finish(),
        };
        answer.push(&block, &message.payload);
        before = message.seq;
    }
    let end = Builder::status(204, "EOB")
        .number("Nats-Num-Pending", batch.pending)
        .number("Nats-Last-Sequence", before);
    let end = match multi {
        true => end.number("Nats-UpTo-Sequence", batch.up_to_seq),
        false => end,
    };
    answer.push(&end.finish(), b"");
}

/// The message's own headers, and where it stands.
fn headers(stream: &str, message: &StoredMessage) -> Builder {
    Builder::from(&message.headers)
        .line("Nats-Stream", stream)
        .line("Nats-Subject", &message.subject)
        .number("Nats-Sequence", message.seq)
        .line("Nats-Time-Stamp", Time(message.timestamp_ns).text())
}
