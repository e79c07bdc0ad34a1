//! The least that the generator takes for a NATS server, with the faults that a test wants.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use mainstem_load::Target;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// CONNECT is answered with an error.
    RefuseLogin,
    /// The first subscriber that gets a message is cut.
    CutSubscriber,
}

type Subscribers = HashMap<String, Vec<(String, TcpStream)>>;

/// Starts a server that lives as long as the test's process.
pub fn start(fault: Fault) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("nats://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let subscribers = Arc::new(Mutex::new(Subscribers::new()));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let session = Session {
                stream: stream.unwrap(),
                subscribers: Arc::clone(&subscribers),
                fault,
            };
            // An error is the client's leaving.
            thread::spawn(move || session.serve());
        }
    });
    Target {
        address,
        server_pid: Some(std::process::id()),
    }
}

struct Session {
    stream: TcpStream,
    subscribers: Arc<Mutex<Subscribers>>,
    fault: Fault,
}

impl Session {
    fn serve(mut self) -> Option<()> {
        let mut input = BufReader::new(self.stream.try_clone().ok()?);
        self.write(b"INFO {}\r\n")?;
        let mut is_first_ping = true;
        loop {
            let mut line = String::new();
            input.read_line(&mut line).ok().filter(|&count| count > 0)?;
            let words: Vec<&str> = line.split_whitespace().collect();
            match *words.first()? {
                "CONNECT" if self.fault == Fault::RefuseLogin => {
                    self.write(b"-ERR 'Authorization Violation'\r\n")?;
                }
                "PING" => {
                    self.write(b"PONG\r\n")?;
                    if std::mem::take(&mut is_first_ping) {
                        // As nats-server does: a second INFO when the client is known to listen.
                        self.write(b"INFO {\"connect_info\":true}\r\n")?;
                    }
                }
                "SUB" => self.subscribe(words[1], words[words.len() - 1])?,
                "PUB" => {
                    let size: usize = words[words.len() - 1].parse().ok()?;
                    let mut payload = vec![0; size + 2];
                    input.read_exact(&mut payload).ok()?;
                    let reply = if words.len() == 4 { words[2] } else { "" };
                    self.publish(words[1], reply, &payload)?;
                }
                _ => {}
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).ok()
    }

    fn subscribe(&self, subject: &str, id: &str) -> Option<()> {
        let mut stream = self.stream.try_clone().ok()?;
        // A server asks now and then whether the client is there. It must not count as a message.
        stream.write_all(b"PING\r\n").ok()?;
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers
            .entry(subject.to_owned())
            .or_default()
            .push((id.to_owned(), stream));
        Some(())
    }

    fn publish(&self, subject: &str, reply: &str, payload: &[u8]) -> Option<()> {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let wildcard = subject.rsplit_once('.').map(|(parent, _)| format!("{parent}.*"));
        for key in [Some(subject.to_owned()), wildcard].into_iter().flatten() {
            for (id, stream) in subscribers.get_mut(&key).into_iter().flatten() {
                if self.fault == Fault::CutSubscriber {
                    stream.shutdown(Shutdown::Both).ok()?;
                }
                let reply = if reply.is_empty() {
                    String::new()
                } else {
                    format!("{reply} ")
                };
                let line = format!("MSG {subject} {id} {reply}{}\r\n", payload.len() - 2);
                // A write that fails is a client that has left.
                let _ = stream.write_all(&[line.as_bytes(), payload].concat());
            }
        }
        Some(())
    }
}
