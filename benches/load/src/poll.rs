//! Waiting: for sockets and for time.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::thread::nanosleep;

/// Level-triggered epoll over sockets that the caller keeps.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

/// Which socket, and what it is ready for.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    pub index: usize,
    /// Bytes have come, or the end of the stream or an error.
    pub readable: bool,
    pub writable: bool,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    Read,
    ReadAndWrite,
}

/// Most sockets handed out by one wait.
const EVENTS: usize = 1024;

impl Poll {
    /// # Errors
    /// The kernel has no descriptor left.
    pub fn new() -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("epoll_create1")?;
        Ok(Self {
            epoll,
            events: Vec::with_capacity(EVENTS),
        })
    }

    /// # Errors
    /// The kernel refuses to watch it.
    pub fn add(&self, socket: impl AsFd, index: usize, interest: Interest) -> Result<()> {
        epoll::add(
            &self.epoll,
            socket,
            EventData::new_u64(index as u64),
            interest.flags(),
        )
        .context("epoll_ctl")
    }

    /// # Errors
    /// `socket` was never added.
    pub fn remove(&self, socket: impl AsFd) -> Result<()> {
        epoll::delete(&self.epoll, socket).context("epoll_ctl")
    }

    /// Waits until a socket is ready, at most `timeout`.
    ///
    /// # Errors
    /// What epoll_wait answers.
    pub fn wait(&mut self, timeout: Duration) -> Result<impl Iterator<Item = Ready> + '_> {
        self.events.clear();
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            Some(&timespec(timeout)),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("epoll_wait"),
        }
        Ok(self.events.iter().map(|&Event { flags, data }| Ready {
            index: usize::try_from(data.u64()).unwrap_or(usize::MAX),
            readable: flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR),
            writable: flags.contains(EventFlags::OUT),
        }))
    }
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Self::Read => EventFlags::IN,
            Self::ReadAndWrite => EventFlags::IN | EventFlags::OUT,
        }
    }
}

/// Does nothing for `time`. The threads of the generator are its own: there is no one to hold up.
pub fn nap(time: Duration) {
    // Woken early by a signal: every caller looks again at what it waits for.
    let _ = nanosleep(&timespec(time));
}

/// Does nothing until `at`.
pub fn nap_until(at: Instant) {
    while let Some(rest) = at
        .checked_duration_since(Instant::now())
        .filter(|rest| !rest.is_zero())
    {
        nap(rest);
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}
