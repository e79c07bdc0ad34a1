//! One client reads a stream from its beginning, as clients' ordered consumers do: pushed, not acknowledged, with flow
//! control.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{CONSUMER, NAME, subscribed};
use crate::Target;
use crate::connection::Connection;
use crate::frames::{Frame, Message};
use crate::progress::Progress;
use crate::stored::api::Api;

/// Reads `messages` messages; when the last had come.
pub fn run(api: &mut Api, target: &Target, messages: u64, progress: &Progress) -> Result<Instant> {
    let inbox = format!("_INBOX.replay.{}", std::process::id());
    let mut connection = subscribed(target, &inbox)?;
    let request = json!({
        "stream_name": NAME,
        "config": {
            "name": CONSUMER, "deliver_subject": inbox, "deliver_policy": "all", "ack_policy": "none",
            "max_deliver": 1, "flow_control": true, "idle_heartbeat": 5_000_000_000_u64, "mem_storage": true,
            "num_replicas": 1, "ack_wait": 79_200_000_000_000_u64, "inactive_threshold": 300_000_000_000_u64,
            "replay_policy": "instant",
        },
    });
    api.request(&format!("$JS.API.CONSUMER.CREATE.{NAME}.{CONSUMER}"), &request)?;
    let mut seen = 0;
    let mut out = Vec::new();
    while seen < messages {
        let Connection { stream, input } = &mut connection;
        input.fill(&*stream).context("the reader's connection broke")?;
        input.drain(|frame| {
            match frame {
                Frame::Message(message) if message.header.starts_with(b"NATS/1.0 100") => {
                    answer_control(&message, &mut out);
                }
                Frame::Message(message) => {
                    seen += 1;
                    let seq = sequence(message.reply).context("no sequence in the reply subject")?;
                    ensure!(seq == seen, "message {seq} came instead of {seen}");
                }
                Frame::Ping => out.extend_from_slice(b"PONG\r\n"),
                _ => {}
            }
            Ok(())
        })?;
        if !out.is_empty() {
            (&*stream).write_all(&out)?;
            out.clear();
        }
        progress.at(seen);
    }
    Ok(Instant::now())
}

/// Says that all before it was read.
fn answer_control(message: &Message<'_>, out: &mut Vec<u8>) {
    const STALLED: &[u8] = b"Nats-Consumer-Stalled: ";
    let stalled = message
        .header
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(STALLED))
        .map(<[u8]>::trim_ascii);
    let to = stalled.unwrap_or(message.reply);
    if !to.is_empty() {
        out.extend_from_slice(b"PUB ");
        out.extend_from_slice(to);
        out.extend_from_slice(b" 0\r\n\r\n");
    }
}

/// Of `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`.
fn sequence(reply: &[u8]) -> Option<u64> {
    let token = reply.rsplit(|&byte| byte == b'.').nth(3)?;
    std::str::from_utf8(token).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_stands_in_the_reply() {
        assert_eq!(sequence(b"$JS.ACK.S.C.1.42.7.1700000000000000000.3"), Some(42));
        assert_eq!(sequence(b"a.b"), None);
    }

    #[test]
    fn flow_control_is_answered_where_it_asks() {
        let message = |header, reply| Message {
            reply,
            header,
            payload: b"",
        };
        let mut out = Vec::new();
        answer_control(
            &message(b"NATS/1.0 100 FlowControl Request\r\n\r\n", b"$JS.FC.x"),
            &mut out,
        );
        answer_control(
            &message(
                b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\n\r\n",
                b"",
            ),
            &mut out,
        );
        let stalled = b"NATS/1.0 100 Idle Heartbeat\r\nNats-Consumer-Stalled: $JS.FC.y\r\n\r\n";
        answer_control(&message(stalled, b""), &mut out);
        assert_eq!(out, b"PUB $JS.FC.x 0\r\n\r\nPUB $JS.FC.y 0\r\n\r\n");
    }
}
