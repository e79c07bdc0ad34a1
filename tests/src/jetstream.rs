//! A JetStream client that shows what the broker answers, without a library between.

mod body;
mod message;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::binaries;
use crate::server::{Launch, Server};
use crate::wire::{Frame, Message, PATIENCE, Wire};

pub use body::{consumer_config, publication, stream_config};
pub use message::{numbers, texts};

/// The subscription that answers come to.
const ANSWERS: &str = "1";

/// Connections so far: each has inboxes of its own.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// The broker under test with JetStream and this configuration.
///
/// # Errors
/// There is no binary, or it does not start.
pub fn start(config: &str) -> Result<Server> {
    Launch::jetstream(&binaries::broker()?, config)?.start()
}

/// One connection. Messages of other subscriptions than the one that is waited for are kept for later.
#[derive(Debug)]
pub struct Api {
    wire: Wire<TcpStream>,
    /// Its inboxes begin with this.
    inbox: String,
    last_request: u64,
    last_sid: u64,
    kept: VecDeque<Message>,
}

impl Api {
    /// # Errors
    /// The server refuses the connection.
    pub async fn open(server: &Server) -> Result<Self> {
        Self::login(server, "").await
    }

    /// Logs in with these fields of CONNECT.
    ///
    /// # Errors
    /// The server refuses the connection.
    pub async fn login(server: &Server, fields: &str) -> Result<Self> {
        let mut wire = Wire::login(server.nats_address()?, fields).await?;
        let inbox = format!("_INBOX.{}", CONNECTIONS.fetch_add(1, Ordering::Relaxed));
        wire.send(format!("SUB {inbox}.answer.* {ANSWERS}\r\n")).await?;
        Ok(Self {
            wire,
            inbox,
            last_request: 0,
            last_sid: 1,
            kept: VecDeque::new(),
        })
    }

    /// A connection to a broker with a stream `s` in memory that holds so many messages of 1 KiB on `s.a`.
    ///
    /// # Errors
    /// The broker refuses, or does not store them.
    pub async fn filled(server: &Server, count: u64) -> Result<Self> {
        let mut api = Self::open(server).await?;
        api.stream("s", json!({"storage": "memory"})).await?;
        let mut publisher = Self::open(server).await?;
        for _ in 0..count {
            publisher.ask("s.a", &[], &[b'x'; 1024]).await?;
        }
        api.until_state("s", |state| state["messages"] == count).await?;
        Ok(api)
    }

    /// Sends a message and returns its answer.
    ///
    /// # Errors
    /// None came, or the server complains.
    pub async fn request(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: &[u8],
    ) -> Result<Message> {
        let reply = self.ask(subject, headers, payload).await?;
        self.answer(&reply)
            .await
            .with_context(|| format!("no answer from {subject}"))
    }

    /// Sends a message without waiting; its answer comes to the subject that is returned.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn ask(&mut self, subject: &str, headers: &[(&str, &str)], payload: &[u8]) -> Result<String> {
        self.last_request += 1;
        let reply = format!("{}.answer.{}", self.inbox, self.last_request);
        self.wire
            .send(publication(subject, &reply, headers, payload))
            .await?;
        Ok(reply)
    }

    /// # Errors
    /// It does not come, or the server complains.
    pub async fn answer(&mut self, reply: &str) -> Result<Message> {
        self.take(
            |message| message.sid == ANSWERS && message.subject == reply,
            PATIENCE,
        )
        .await?
        .context("nothing came")
    }

    /// Calls `$JS.API.<api>`; a body of `null` is no body.
    ///
    /// # Errors
    /// There is no answer, or it is not JSON.
    pub async fn call(&mut self, api: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = self
            .request(&format!("$JS.API.{api}"), &[], body.as_bytes())
            .await?;
        ensure!(answer.status().is_none(), "{api}: {answer:?}");
        Ok(serde_json::from_slice(&answer.payload)?)
    }

    /// As [`Api::call`], for what must succeed.
    ///
    /// # Errors
    /// The broker refuses.
    pub async fn done(&mut self, api: &str, body: &Value) -> Result<Value> {
        let answer = self.call(api, body).await?;
        ensure!(answer["error"].is_null(), "{api} {body}: {}", answer["error"]);
        Ok(answer)
    }

    /// As [`Api::call`], for what must be refused with this `err_code`. Returns the error.
    ///
    /// # Errors
    /// It is not refused, or with another.
    pub async fn refused(&mut self, err_code: u64, api: &str, body: &Value) -> Result<Value> {
        let answer = self.call(api, body).await?;
        ensure!(
            answer["error"]["err_code"] == err_code,
            "{api} {body} was not refused with {err_code}, but answered {answer}"
        );
        Ok(answer["error"].clone())
    }

    /// Creates a stream; `subjects` is `<name>.>` if missing.
    ///
    /// # Errors
    /// The broker refuses.
    pub async fn stream(&mut self, name: &str, config: Value) -> Result<Value> {
        let body = stream_config(name, config);
        self.done(&format!("STREAM.CREATE.{name}"), &body).await
    }

    /// Creates a consumer of this name.
    ///
    /// # Errors
    /// The broker refuses.
    pub async fn consumer(&mut self, stream: &str, name: &str, config: Value) -> Result<Value> {
        let body = consumer_config(stream, name, config);
        self.done(&format!("CONSUMER.CREATE.{stream}.{name}"), &body)
            .await
    }

    /// # Errors
    /// There is no such stream.
    pub async fn state(&mut self, stream: &str) -> Result<Value> {
        let info = self.done(&format!("STREAM.INFO.{stream}"), &Value::Null).await?;
        Ok(info["state"].clone())
    }

    /// # Errors
    /// There is no such consumer.
    pub async fn consumer_info(&mut self, stream: &str, name: &str) -> Result<Value> {
        self.done(&format!("CONSUMER.INFO.{stream}.{name}"), &Value::Null)
            .await
    }

    /// Asks again and again until the stream's state `holds`, and returns it.
    ///
    /// # Errors
    /// It does not hold in time.
    pub async fn until_state(&mut self, stream: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = self.state(stream).await?;
            if holds(&state) {
                return Ok(state);
            }
            ensure!(Instant::now() < deadline, "the state of {stream} stays {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Publishes, and returns what the stream answers.
    ///
    /// # Errors
    /// No stream answers.
    pub async fn put(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: impl AsRef<[u8]>,
    ) -> Result<Value> {
        let answer = self.request(subject, headers, payload.as_ref()).await?;
        ensure!(answer.status().is_none(), "{subject}: {answer:?}");
        Ok(serde_json::from_slice(&answer.payload)?)
    }

    /// Publishes what must be stored, and returns its sequence.
    ///
    /// # Errors
    /// The stream refuses it.
    pub async fn stored(&mut self, subject: &str, payload: impl AsRef<[u8]>) -> Result<u64> {
        let ack = self.put(subject, &[], payload).await?;
        ack["seq"].as_u64().with_context(|| ack.to_string())
    }

    /// Publishes the numbers from 1 on, all in flight, and waits until all are acknowledged.
    ///
    /// # Errors
    /// One is not.
    pub async fn fill(&mut self, subject: &str, count: usize) -> Result<()> {
        let mut replies = Vec::with_capacity(count);
        for number in 1..=count {
            replies.push(self.ask(subject, &[], number.to_string().as_bytes()).await?);
        }
        for reply in replies {
            let answer = self.answer(&reply).await?;
            let ack: Value = serde_json::from_slice(&answer.payload)?;
            ensure!(ack["seq"].is_u64(), "{ack}");
        }
        Ok(())
    }

    /// Subscribes, and returns the subscription's id.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn subscribe(&mut self, subject: &str) -> Result<String> {
        self.last_sid += 1;
        let sid = self.last_sid.to_string();
        self.wire.send(format!("SUB {subject} {sid}\r\n")).await?;
        self.round_trip().await?;
        Ok(sid)
    }

    /// # Errors
    /// The connection is gone.
    pub async fn unsubscribe(&mut self, sid: &str) -> Result<()> {
        self.wire.send(format!("UNSUB {sid}\r\n")).await
    }

    /// Asks a pull consumer for messages; they come to the subscription that is returned.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn pull(&mut self, stream: &str, consumer: &str, request: Value) -> Result<String> {
        let inbox = format!("{}.pull.{}", self.inbox, self.last_sid + 1);
        let sid = self.subscribe(&inbox).await?;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let request = publication(&subject, &inbox, &[], request.to_string().as_bytes());
        self.wire.send(request).await?;
        Ok(sid)
    }

    /// Asks for messages, and returns all that come until the request has ended, with the status that ended it (200:
    /// all messages came).
    ///
    /// # Errors
    /// Neither comes.
    pub async fn fetch(
        &mut self,
        stream: &str,
        consumer: &str,
        request: Value,
    ) -> Result<(Vec<Message>, u16)> {
        let wanted = request["batch"].as_u64().unwrap_or(1);
        let sid = self.pull(stream, consumer, request).await?;
        let mut messages: Vec<Message> = Vec::new();
        while (messages.len() as u64) < wanted {
            let message = self
                .next(&sid)
                .await
                .with_context(|| format!("after {messages:?}"))?;
            match message.status() {
                None => messages.push(message),
                Some(100) => {}
                Some(status) => return Ok((messages, status)),
            }
        }
        self.unsubscribe(&sid).await?;
        Ok((messages, 200))
    }

    /// The payloads of the next messages of a consumer, each acknowledged and confirmed.
    ///
    /// # Errors
    /// Fewer come.
    pub async fn consume(&mut self, stream: &str, consumer: &str, count: u64) -> Result<Vec<String>> {
        let request = json!({"batch": count, "expires": 10_000_000_000_u64});
        let (messages, status) = self.fetch(stream, consumer, request).await?;
        ensure!(status == 200, "status {status} after {messages:?}");
        for message in &messages {
            self.request(&message.reply, &[], b"+ACK").await?;
        }
        Ok(texts(&messages))
    }

    /// Publishes without a reply subject.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, subject: &str, payload: impl AsRef<[u8]>) -> Result<()> {
        self.wire.publish(subject, payload).await
    }

    /// Sends these bytes as they are.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.wire.send(bytes).await
    }

    /// The next message of a subscription.
    ///
    /// # Errors
    /// None comes, or the server complains.
    pub async fn next(&mut self, sid: &str) -> Result<Message> {
        let next = self.next_within(sid, PATIENCE).await?;
        next.context("nothing came")
    }

    /// The next message of a subscription, if one comes in time.
    ///
    /// # Errors
    /// The server complains, or closes.
    pub async fn next_within(&mut self, sid: &str, limit: Duration) -> Result<Option<Message>> {
        self.take(|message| message.sid == sid, limit).await
    }

    /// Returns when the server has handled what was sent before.
    ///
    /// # Errors
    /// The server complains, or closes.
    pub async fn round_trip(&mut self) -> Result<()> {
        let came = self.wire.round_trip().await?;
        self.kept.extend(came);
        Ok(())
    }

    async fn take(&mut self, wanted: impl Fn(&Message) -> bool, limit: Duration) -> Result<Option<Message>> {
        if let Some(place) = self.kept.iter().position(&wanted) {
            return Ok(self.kept.remove(place));
        }
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(frame) = timeout(left, self.wire.frame()).await else {
                return Ok(None);
            };
            match frame? {
                Frame::Message(message) if wanted(&message) => return Ok(Some(message)),
                Frame::Message(message) => self.kept.push_back(message),
                Frame::Error(text) => bail!("-ERR {text}"),
                Frame::Info(_) | Frame::Ok | Frame::Pong => {}
            }
        }
    }
}
