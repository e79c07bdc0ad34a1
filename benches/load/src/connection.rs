//! A blocking connection: as little between the work and the socket as there can be.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::address::{Address, Login};
use crate::frames::Frame;
use crate::input::Input;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Small, because there may be fifteen thousand of them.
const INPUT_BYTES: usize = 2 << 10;

/// A connection that has said CONNECT, or is about to.
#[derive(Debug)]
pub struct Connection {
    pub stream: TcpStream,
    pub input: Input,
}

impl Connection {
    /// Connects, without waiting for INFO.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn dial(address: &Address) -> Result<Self> {
        let stream = TcpStream::connect((address.host.as_str(), address.port))
            .with_context(|| format!("cannot connect to {}:{}", address.host, address.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            input: Input::with_capacity(INPUT_BYTES),
        })
    }

    /// Waits for INFO, then writes CONNECT, `commands` and PING.
    ///
    /// # Errors
    /// The server does not speak NATS, or the connection broke.
    pub fn greet(&mut self, address: &Address, commands: &[u8]) -> Result<()> {
        self.await_frame("INFO", |frame| matches!(frame, Frame::Info(_)))?;
        let mut out = format!("CONNECT {}\r\n", connect_options(&address.login)).into_bytes();
        out.extend_from_slice(commands);
        out.extend_from_slice(b"PING\r\n");
        self.stream.write_all(&out).context("the connection broke")
    }

    /// Connects and waits until the server has taken CONNECT and `commands`.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub fn open(address: &Address, commands: &[u8]) -> Result<Self> {
        let mut connection = Self::dial(address)?;
        connection.greet(address, commands)?;
        connection.await_pong()?;
        Ok(connection)
    }

    /// Opens `count` connections, each with `commands(index)`. The server works on many at a time.
    ///
    /// # Errors
    /// One could not be opened.
    pub fn open_many(
        address: &Address,
        count: usize,
        mut commands: impl FnMut(usize) -> Vec<u8>,
        mut opened: impl FnMut(usize),
    ) -> Result<Vec<Self>> {
        const AT_A_TIME: usize = 256;
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            let first = all.len();
            let last = count.min(first + AT_A_TIME);
            for index in first..last {
                all.push(
                    Self::dial(address).with_context(|| format!("connection {} of {count}", index + 1))?,
                );
            }
            for (index, connection) in all.iter_mut().enumerate().skip(first) {
                connection.greet(address, &commands(index))?;
            }
            // A server may send a second INFO behind its first PONG. It is read with the second one: who counts
            // bytes from here on gets nothing but messages.
            for connection in &mut all[first..] {
                connection.await_pong()?;
                connection.ping()?;
            }
            for connection in &mut all[first..] {
                connection.await_pong()?;
            }
            opened(last);
        }
        Ok(all)
    }

    /// Waits until the server has taken all that was written before.
    ///
    /// # Errors
    /// As [`Self::await_pong`].
    pub fn round_trip(&mut self) -> Result<()> {
        self.ping()?;
        self.await_pong()
    }

    fn ping(&mut self) -> Result<()> {
        self.stream.write_all(b"PING\r\n").context("the connection broke")
    }

    /// Waits for the answer to a PING that is written already. Messages are passed over.
    ///
    /// # Errors
    /// The server answered an error, nothing in time, or closed.
    pub fn await_pong(&mut self) -> Result<()> {
        self.await_frame("PONG", |frame| matches!(frame, Frame::Pong))
    }

    fn await_frame(&mut self, name: &str, wanted: impl Fn(&Frame<'_>) -> bool) -> Result<()> {
        let Self { stream, input } = self;
        let mut found = false;
        while !found {
            input
                .fill(&*stream)
                .with_context(|| format!("waiting for {name}"))?;
            input.drain(|frame| {
                found |= wanted(&frame);
                if frame == Frame::Ping {
                    (&*stream).write_all(b"PONG\r\n")?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn connect_options(login: &Login) -> Value {
    let mut options = json!({
        "verbose": false,
        "pedantic": false,
        "headers": true,
        "no_responders": true,
        "protocol": 1,
        "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"),
        "name": "mainstem bench",
    });
    match login {
        Login::None => {}
        Login::Token(token) => options["auth_token"] = json!(token),
        Login::User { name, password } => {
            options["user"] = json!(name);
            options["pass"] = json!(password);
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_goes_into_connect() {
        let user = Login::User {
            name: "a".into(),
            password: "b".into(),
        };
        assert_eq!(connect_options(&user)["user"], "a");
        assert_eq!(connect_options(&user)["pass"], "b");
        assert_eq!(connect_options(&Login::Token("t".into()))["auth_token"], "t");
        assert_eq!(connect_options(&Login::None)["user"], Value::Null);
    }
}
