//! Messages that flow as fast as the broker lets them: publishers, subscribers, or both.

mod run;

use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::Target;
use crate::background::Background;
use crate::batch::{Batch, delivery_len};
use crate::connection::Connection;
use crate::flow::run::Run;
use crate::gauge::Gauge;
use crate::progress::Progress;
use crate::publish::{Publisher, Stop};
use crate::report::{Report, Unit};
use crate::units::thousands;

/// What flows from where to where.
#[derive(Clone, Debug)]
pub struct Flow {
    pub publishers: usize,
    /// None: what the server takes is counted.
    pub subscribers: usize,
    pub subjects: Subjects,
    /// Queue groups that the subscribers are dealt to. None: each subscriber gets every message.
    pub queue_groups: usize,
    /// The subject, or what the subjects begin with.
    pub subject: String,
    /// Subjects that each publisher uses in turn; its subscribers have a wildcard then. Consecutive messages of one
    /// subject are easy for a broker.
    pub spread: usize,
    /// Each subscriber has another subscription id, so that no two get the same bytes.
    pub own_ids: bool,
    pub payload_bytes: usize,
    pub stop: Stop,
    pub batch_bytes: usize,
    /// Bytes that may be outstanding, a subscriber on average; 0 for any number.
    pub window_bytes: u64,
    pub background: Background,
}

/// Who meets whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subjects {
    /// All on one subject.
    One,
    /// One subject a pair of a publisher and a subscriber. If there are more of one side, they join the pairs;
    /// subscribers evenly.
    Pairs,
}

/// Bytes that may be outstanding for a subscriber unless said otherwise.
pub const WINDOW_BYTES: u64 = 8 << 20;

/// More than this is never outstanding in all, however many subscribers there are.
const MAX_OUTSTANDING_BYTES: u64 = 256 << 20;

/// As many as four digits can number.
const MAX_SUBJECTS: usize = 10_000;
/// As many as have an id of five digits.
const MAX_SUBSCRIBERS: usize = 90_000;

/// Subscription ids have five digits, so that all messages have one length.
const FIRST_ID: usize = 10_000;

impl Flow {
    /// Runs it once.
    ///
    /// # Errors
    /// The server refuses or closes a connection, or delivers nothing any more.
    pub fn run(&self, target: &Target, progress: &Progress) -> Result<Report> {
        self.check()?;
        let _background = self.background.subscribe(&target.address)?;
        progress.begin("subscribing", Some(self.subscribers as u64));
        let subscribers = self.subscribe(target, progress)?;
        let streams: Vec<&TcpStream> = subscribers.iter().map(|subscriber| &subscriber.stream).collect();
        let mut publishers = self.connect_publishers(target)?;
        let gauge = Gauge::new(self.fan(), self.window());
        let mut report = Report {
            work: self.title(),
            payload_bytes: self.payload_bytes,
            extra_subscriptions: self.background.subscriptions,
            unit: if self.subscribers > 0 {
                Unit::Delivery
            } else {
                Unit::Message
            },
            ..Report::default()
        };
        progress.begin(&report.work, self.total());
        let run = Run {
            flow: self,
            gauge: &gauge,
            progress,
        };
        run.measure(&streams, &mut publishers, target, &mut report)?;
        Ok(report)
    }

    /// What is done, for people.
    #[must_use]
    pub fn title(&self) -> String {
        let mut title = match (self.subscribers, self.queue_groups) {
            (0, _) => format!("{} publishing", self.publishers),
            (subscribers, 0) => format!("{}:{subscribers}", self.publishers),
            (subscribers, 1) => format!("{}:{subscribers} in a queue group", self.publishers),
            (subscribers, groups) => format!("{}:{subscribers} in {groups} queue groups", self.publishers),
        };
        title += &format!(", {} B", self.payload_bytes);
        if self.subjects == Subjects::One
            && self.queue_groups == 0
            && self.publishers.min(self.subscribers) > 1
        {
            title += ", one subject";
        }
        if self.spread > 1 {
            title += &format!(", {} subjects in turn", self.spread);
        }
        if self.own_ids {
            title += ", own ids";
        }
        if self.background.subscriptions > 0 {
            title += &format!(
                ", {} other subscriptions",
                thousands(self.background.subscriptions as u64)
            );
        }
        title
    }

    fn check(&self) -> Result<()> {
        ensure!(self.publishers > 0, "there is no publisher");
        ensure!(
            self.queue_groups <= self.subscribers,
            "there are more queue groups than subscribers"
        );
        let is_even = self.queue_groups > 0 || self.subscribers.is_multiple_of(self.subject_count());
        ensure!(
            is_even,
            "subscribers are no multiple of publishers: give all one subject, or other numbers"
        );
        ensure!(
            self.subject_count() <= MAX_SUBJECTS,
            "more than {MAX_SUBJECTS} pairs"
        );
        ensure!(
            (1..=MAX_SUBJECTS).contains(&self.spread),
            "a spread is 1 to {MAX_SUBJECTS} subjects"
        );
        ensure!(
            self.subscribers <= MAX_SUBSCRIBERS,
            "more than {MAX_SUBSCRIBERS} subscribers"
        );
        Ok(())
    }

    fn subject_count(&self) -> usize {
        match self.subjects {
            Subjects::One => 1,
            Subjects::Pairs => self.publishers.min(self.subscribers.max(1)),
        }
    }

    /// What a publisher and its subscribers have in common.
    fn subject(&self, index: usize) -> String {
        match self.subjects {
            Subjects::One => self.subject.clone(),
            // All of one length, and with them all messages.
            Subjects::Pairs => format!("{}.{:04}", self.subject, index % self.subject_count()),
        }
    }

    fn published_subjects(&self, index: usize) -> Vec<String> {
        let subject = self.subject(index);
        match self.spread {
            1 => vec![subject],
            spread => (0..spread).map(|turn| format!("{subject}.{turn:04}")).collect(),
        }
    }

    fn subscribed_subject(&self, index: usize) -> String {
        let subject = self.subject(index);
        if self.spread == 1 {
            subject
        } else {
            format!("{subject}.*")
        }
    }

    fn id(&self, index: usize) -> usize {
        if self.own_ids { FIRST_ID + index } else { 1 }
    }

    /// Length of each message as it arrives.
    fn delivery_len(&self) -> u64 {
        delivery_len(&self.published_subjects(0)[0], self.id(0), self.payload_bytes)
    }

    /// Deliveries a message, on average.
    fn fan(&self) -> u64 {
        match self.queue_groups {
            0 => (self.subscribers / self.subject_count()) as u64,
            groups => groups as u64,
        }
    }

    fn window(&self) -> u64 {
        if self.subscribers == 0 || self.window_bytes == 0 {
            return u64::MAX;
        }
        let bytes = self
            .window_bytes
            .saturating_mul(self.subscribers as u64)
            .min(MAX_OUTSTANDING_BYTES);
        bytes / self.delivery_len()
    }

    fn total(&self) -> Option<u64> {
        match self.stop {
            Stop::AfterMessages(each) => Some(each * self.publishers as u64 * self.fan().max(1)),
            Stop::After(_) => None,
        }
    }

    fn subscribe(&self, target: &Target, progress: &Progress) -> Result<Vec<Connection>> {
        let commands = |index| {
            let (subject, id) = (self.subscribed_subject(index), self.id(index));
            match self.queue_groups {
                0 => format!("SUB {subject} {id}\r\n"),
                groups => format!("SUB {subject} group{} {id}\r\n", index % groups),
            }
            .into_bytes()
        };
        Connection::open_many(&target.address, self.subscribers, commands, |count| {
            progress.at(count as u64)
        })
    }

    fn connect_publishers(&self, target: &Target) -> Result<Vec<Publisher>> {
        let batches: Vec<Arc<Batch>> = (0..self.subject_count())
            .map(|index| {
                Arc::new(Batch::new(
                    &self.published_subjects(index),
                    self.payload_bytes,
                    self.batch_bytes,
                ))
            })
            .collect();
        (0..self.publishers)
            .map(|index| {
                let batch = Arc::clone(&batches[index % batches.len()]);
                Ok(Publisher::new(
                    Connection::open(&target.address, b"")?,
                    batch,
                    self.stop,
                ))
            })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn flow(publishers: usize, subscribers: usize, subjects: Subjects) -> Flow {
        Flow {
            publishers,
            subscribers,
            subjects,
            queue_groups: 0,
            subject: "s".to_owned(),
            spread: 1,
            own_ids: false,
            payload_bytes: 16,
            stop: Stop::After(Duration::from_secs(1)),
            batch_bytes: 1000,
            window_bytes: WINDOW_BYTES,
            background: Background::NONE,
        }
    }

    #[test]
    fn pairs_share_subjects_evenly() {
        let flow = |publishers, subscribers| flow(publishers, subscribers, Subjects::Pairs);
        for (publishers, subscribers, subjects, fan) in
            [(8, 8, 8, 1), (2, 8, 2, 4), (8, 2, 2, 1), (3, 0, 1, 0)]
        {
            let flow = flow(publishers, subscribers);
            flow.check().unwrap();
            assert_eq!(
                (flow.subject_count(), flow.fan()),
                (subjects, fan),
                "{publishers}:{subscribers}"
            );
        }
        assert!(flow(2, 3).check().is_err());
        assert!(flow(0, 1).check().is_err());
    }

    #[test]
    fn all_messages_of_a_flow_have_one_length() {
        let plain = flow(1, 2, Subjects::One);
        assert_eq!(
            plain.delivery_len(),
            b"MSG s 1 16\r\n0123456789abcdef\r\n".len() as u64
        );
        let varied = Flow {
            spread: 3,
            own_ids: true,
            ..plain
        };
        assert_eq!(varied.published_subjects(0), ["s.0000", "s.0001", "s.0002"]);
        assert_eq!(varied.subscribed_subject(0), "s.*");
        assert_eq!(varied.id(1), 10_001);
        assert_eq!(
            varied.delivery_len(),
            b"MSG s.0002 10001 16\r\n0123456789abcdef\r\n".len() as u64
        );
    }

    #[test]
    fn the_window_is_for_all_subscribers_and_bounded() {
        let window = |subscribers, window_bytes| {
            Flow {
                window_bytes,
                ..flow(1, subscribers, Subjects::One)
            }
            .window()
        };
        assert_eq!(window(1, 3000), 100);
        assert_eq!(window(10, 3000), 1000);
        assert_eq!(window(1000, 1 << 30), MAX_OUTSTANDING_BYTES / 30);
        assert_eq!(window(1, 0), u64::MAX);
        assert_eq!(window(0, 3000), u64::MAX);
    }
}
