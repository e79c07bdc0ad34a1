//! Any kind of work.

use anyhow::Result;

use crate::Target;
use crate::flow::Flow;
use crate::idle::Idle;
use crate::latency::Steady;
use crate::listen::Listen;
use crate::progress::Progress;
use crate::report::Report;
use crate::request::Requests;
use crate::stored::Stored;

/// One run of one kind of work.
#[derive(Clone, Debug)]
pub enum Job {
    Flow(Flow),
    Listen(Listen),
    Requests(Requests),
    Steady(Steady),
    Idle(Idle),
    Stored(Stored),
}

impl Job {
    /// Runs it once.
    ///
    /// # Errors
    /// The server cannot be reached, refuses, or closes a connection.
    pub fn run(&self, target: &Target, progress: &Progress) -> Result<Report> {
        match self {
            Self::Flow(flow) => flow.run(target, progress),
            Self::Listen(listen) => listen.run(target, progress),
            Self::Requests(requests) => requests.run(target, progress),
            Self::Steady(steady) => steady.run(target, progress),
            Self::Idle(idle) => idle.run(target, progress),
            Self::Stored(stored) => stored.run(target, progress),
        }
    }

    /// What is done, for people.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Flow(flow) => flow.title(),
            Self::Listen(listen) => listen.title(),
            Self::Requests(requests) => requests.title(),
            Self::Steady(steady) => steady.title(),
            Self::Idle(idle) => idle.title(),
            Self::Stored(stored) => stored.title(),
        }
    }
}
