//! Holds connections open: answers the server's PINGs and notices who is cut.

use std::io::{ErrorKind, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

use crate::connection::Connection;
use crate::frames::Frame;
use crate::poll::{Interest, Poll};

/// A thread that holds connections until this is dropped.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    cut: AtomicUsize,
}

impl Keeper {
    /// # Errors
    /// The kernel refuses.
    pub fn hold(connections: Vec<Connection>) -> Result<Self> {
        for connection in &connections {
            connection.stream.set_nonblocking(true)?;
        }
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().spawn(move || keep(connections, &theirs))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Connections that the server closed.
    #[must_use]
    pub fn cut(&self) -> usize {
        self.shared.cut.load(Relaxed)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

fn keep(mut connections: Vec<Connection>, shared: &Shared) {
    if watch(&mut connections, shared).is_err() {
        // Nobody answers their PINGs from now on.
        shared.cut.store(connections.len(), Relaxed);
    }
}

fn watch(connections: &mut [Connection], shared: &Shared) -> Result<()> {
    const STEP: Duration = Duration::from_millis(100);
    let mut poll = Poll::new()?;
    for (index, connection) in connections.iter().enumerate() {
        poll.add(&connection.stream, index, Interest::Read)?;
    }
    while !shared.stop.load(Relaxed) {
        let mut cut = Vec::new();
        for ready in poll.wait(STEP)? {
            if answer(&mut connections[ready.index]).is_err() {
                cut.push(ready.index);
            }
        }
        for index in cut {
            shared.cut.fetch_add(1, Relaxed);
            poll.remove(&connections[index].stream)?;
        }
    }
    Ok(())
}

fn answer(connection: &mut Connection) -> Result<()> {
    let Connection { stream, input } = connection;
    match input.fill(&*stream) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    input.drain(|frame| {
        if frame == Frame::Ping {
            (&*stream).write_all(b"PONG\r\n")?;
        }
        Ok(())
    })
}
