//! Subscribers that count bytes. All messages of a run have one length, so nothing has to be parsed, nor even
//! copied out of the kernel: with `MSG_TRUNC` TCP throws received bytes away (tcp(7)).

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::gauge::{Gauge, PATIENCE};
use crate::poll::{Interest, Poll, nap};

/// Bytes taken by one call. The buffer is never written, so its pages are never made.
const SINK_BYTES: usize = 4 << 20;

/// Pause between two looks at the sockets, so that a look finds a lot and a server's write wakes nobody.
#[derive(Debug)]
struct Rest(Duration);

impl Rest {
    const SHORTEST: Duration = Duration::from_micros(200);
    const LONGEST: Duration = Duration::from_millis(5);
    /// Bytes of a socket at one look below which looking less often pays.
    const LITTLE: u64 = 16 << 10;
    /// Bytes of a socket above which its buffer may fill up.
    const MUCH: u64 = 48 << 10;

    fn adapt(&mut self, bytes: u64, sockets: u64) {
        let each = bytes / sockets.max(1);
        if each < Self::LITTLE {
            self.0 = (self.0 * 2).min(Self::LONGEST);
        } else if each > Self::MUCH {
            self.0 = (self.0 / 2).max(Self::SHORTEST);
        }
    }
}

/// A PONG that nobody asked for keeps a server from asking: its PING would be six bytes among the messages.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// What the subscribers of one thread got.
#[derive(Debug)]
pub struct Received {
    /// Bytes of each subscriber.
    pub bytes: Vec<u64>,
    /// When the last bytes came.
    pub last_at: Instant,
}

/// Counts what `streams` receive until all has arrived, or nothing more comes.
///
/// # Errors
/// The server closed a connection.
pub fn count(streams: &[&TcpStream], message_len: u64, gauge: &Gauge) -> Result<Received> {
    const STEP: Duration = Duration::from_millis(5);
    let mut poll = Poll::new()?;
    for (index, stream) in streams.iter().enumerate() {
        stream.set_nonblocking(true)?;
        poll.add(stream, index, Interest::Read)?;
    }
    let mut sink = vec![0; SINK_BYTES];
    let mut received = Received {
        bytes: vec![0; streams.len()],
        last_at: Instant::now(),
    };
    let mut kept_alive_at = Instant::now();
    let mut rest = Rest(Rest::SHORTEST);
    while !gauge.is_complete() && !gauge.is_aborted() {
        let (mut messages, mut bytes, mut sockets) = (0, 0, 0);
        for ready in poll.wait(STEP)? {
            let total = &mut received.bytes[ready.index];
            let before = *total;
            *total += discard(streams[ready.index], &mut sink)
                .with_context(|| format!("subscriber {} of {}", ready.index + 1, streams.len()))?;
            messages += *total / message_len - before / message_len;
            bytes += *total - before;
            sockets += 1;
        }
        let now = Instant::now();
        if bytes > 0 {
            received.last_at = now;
            gauge.add_delivered(messages);
            rest.adapt(bytes, sockets);
            nap(rest.0);
        } else if gauge.is_expected_known() && now - received.last_at > PATIENCE {
            break;
        }
        if now - kept_alive_at > KEEP_ALIVE {
            kept_alive_at = now;
            keep_alive(streams)?;
        }
    }
    Ok(received)
}

/// Throws away what has come; answers how much it was.
fn discard(stream: &TcpStream, sink: &mut [u8]) -> Result<u64> {
    match recv(stream, sink, RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
        Ok((_, 0)) => bail!("the server closed the connection; its log may say why"),
        Ok((_, count)) => Ok(count as u64),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(error) => Err(error).context("the connection broke"),
    }
}

fn keep_alive(streams: &[&TcpStream]) -> Result<()> {
    for mut stream in streams.iter().copied() {
        stream
            .write_all(b"PONG\r\n")
            .context("a subscriber's connection broke")?;
    }
    Ok(())
}

/// What a subscriber's bytes mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub delivered: u64,
    pub lost: u64,
    /// More than were published to it.
    pub surplus: u64,
}

impl Tally {
    /// Compares `bytes` with `expected` messages. A PING of the server among them is recognised by its length, as
    /// long as all of them together are shorter than one message.
    #[must_use]
    pub fn of(bytes: u64, message_len: u64, expected: u64) -> Self {
        let delivered = bytes / message_len;
        Self {
            delivered,
            lost: expected.saturating_sub(delivered),
            surplus: delivered.saturating_sub(expected),
        }
    }

    /// Sums up.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            delivered: self.delivered + other.delivered,
            lost: self.lost + other.lost,
            surplus: self.surplus + other.surplus,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_follows_what_a_look_finds() {
        let mut rest = Rest(Rest::SHORTEST);
        rest.adapt(1000, 1);
        assert_eq!(rest.0, Rest::SHORTEST * 2);
        rest.adapt(30_000, 1);
        assert_eq!(rest.0, Rest::SHORTEST * 2);
        rest.adapt(1_000_000, 10);
        assert_eq!(rest.0, Rest::SHORTEST);
        (0..100).for_each(|_| rest.adapt(1000, 100));
        assert_eq!(rest.0, Rest::LONGEST);
    }

    #[test]
    fn a_tally_tells_loss_surplus_and_pings() {
        let tally = |delivered, lost, surplus| Tally {
            delivered,
            lost,
            surplus,
        };
        assert_eq!(Tally::of(300, 30, 10), tally(10, 0, 0));
        assert_eq!(Tally::of(306, 30, 10), tally(10, 0, 0));
        assert_eq!(Tally::of(276, 30, 10), tally(9, 1, 0));
        assert_eq!(Tally::of(336, 30, 10), tally(11, 0, 1));
        assert_eq!(tally(1, 2, 3).and(tally(4, 5, 6)), tally(5, 7, 9));
    }
}
