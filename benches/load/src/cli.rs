//! The command line of `mainstem bench`. Data goes to standard output, everything else to standard error.

use std::io::Write as _;

use anyhow::{Result, bail};

pub use crate::args::Args;
use crate::args::{Common, Kept, Load, Volume, Work};
use crate::flow::{Flow, Subjects};
use crate::idle::Idle;
use crate::job::Job;
use crate::latency::Steady;
use crate::listen::Listen;
use crate::progress::Progress;
use crate::publish::Stop;
use crate::report::Report;
use crate::request::Requests;
use crate::stored::{self, Stored};
use crate::units::Sides;
use crate::{Background, Target, compare, usage};

/// Does what the arguments say and prints what was measured.
///
/// # Errors
/// The broker cannot be reached or refuses, or messages were lost.
pub fn run(args: Args) -> Result<()> {
    let (common, job) = match args.work {
        Work::Compare(args) => return compare::run(&args),
        work => work.split()?,
    };
    usage::raise_file_limit()?;
    let progress = Progress::on_terminal();
    let report = job.run(&common.target(), &progress);
    progress.end();
    print(&report?, common.json)
}

fn print(report: &Report, as_json: bool) -> Result<()> {
    let text = if as_json {
        serde_json::to_string_pretty(report)?
    } else {
        report.to_string()
    };
    writeln!(std::io::stdout().lock(), "{text}")?;
    report.check()
}

impl Work {
    /// What to do, and with which broker.
    fn split(self) -> Result<(Common, Job)> {
        Ok(match self {
            Self::Pub {
                publishers,
                common,
                load,
            } => {
                let flow = Flow {
                    publishers,
                    ..flow(&common, &load)
                };
                (common, Job::Flow(flow))
            }
            Self::Pubsub {
                sides:
                    Sides {
                        from: publishers,
                        to: subscribers,
                    },
                one_subject,
                common,
                load,
            } => {
                let subjects = if one_subject {
                    Subjects::One
                } else {
                    Subjects::Pairs
                };
                let flow = Flow {
                    publishers,
                    subscribers,
                    subjects,
                    ..flow(&common, &load)
                };
                (common, Job::Flow(flow))
            }
            Self::Fanout {
                subscribers,
                common,
                load,
            } => {
                let flow = Flow {
                    subscribers,
                    ..flow(&common, &load)
                };
                (common, Job::Flow(flow))
            }
            Self::Queue {
                sides:
                    Sides {
                        from: publishers,
                        to: subscribers,
                    },
                groups,
                common,
                load,
            } => {
                let flow = Flow {
                    publishers,
                    subscribers,
                    queue_groups: groups,
                    ..flow(&common, &load)
                };
                (common, Job::Flow(flow))
            }
            Self::Sub {
                subscribers,
                queue,
                common,
                volume,
            } => {
                let subject = common.subject.clone();
                let background = common.background();
                let stop = volume.stop();
                (
                    common,
                    Job::Listen(Listen {
                        subscribers,
                        subject,
                        queue_group: queue,
                        stop,
                        background,
                    }),
                )
            }
            Self::Request {
                sides,
                size,
                common,
                volume,
            } => {
                let requests = Requests {
                    requesters: sides.from,
                    responders: sides.to,
                    subject: common.subject.clone(),
                    payload_bytes: size,
                    stop: volume.stop(),
                    background: common.background(),
                };
                (common, Job::Requests(requests))
            }
            Self::Latency {
                sides,
                size,
                rate,
                common,
                volume,
            } => {
                let steady = Steady {
                    publishers: sides.from,
                    subscribers: sides.to,
                    subject: common.subject.clone(),
                    payload_bytes: size,
                    rate,
                    stop: volume.stop(),
                    background: common.background(),
                };
                (common, Job::Steady(steady))
            }
            Self::Idle {
                connections,
                common,
                duration,
            } => {
                let subject = common.subject.clone();
                (
                    common,
                    Job::Idle(Idle {
                        connections,
                        duration,
                        subject,
                    }),
                )
            }
            Self::Store {
                publishers,
                outstanding,
                streams,
                limits,
                common,
                kept,
            } => {
                let work = stored::Work::Publish {
                    publishers,
                    outstanding,
                    streams,
                    limits,
                };
                (common, kept.job(work))
            }
            Self::Put {
                clients,
                outstanding,
                keys,
                random,
                common,
                kept,
            } => {
                let work = stored::Work::Put {
                    clients,
                    outstanding,
                    keys,
                    at_random: random,
                };
                (common, kept.job(work))
            }
            Self::Get {
                clients,
                keys,
                common,
                kept,
            } => (common, kept.job(stored::Work::Get { clients, keys })),
            Self::Replay { stored, common, kept } => {
                (common, kept.job(stored::Work::Replay { messages: stored }))
            }
            Self::Pull {
                clients,
                stored,
                common,
                kept,
            } => {
                let work = stored::Work::Pull {
                    clients,
                    messages: stored,
                };
                (common, kept.job(work))
            }
            Self::Compare(_) => bail!("a comparison is no single run"),
        })
    }
}

/// One publisher to nobody, with the common settings.
fn flow(common: &Common, load: &Load) -> Flow {
    Flow {
        publishers: 1,
        subscribers: 0,
        subjects: Subjects::One,
        queue_groups: 0,
        subject: common.subject.clone(),
        spread: load.spread,
        own_ids: load.own_ids,
        payload_bytes: load.size,
        stop: load.volume.stop(),
        batch_bytes: load.batch,
        window_bytes: load.window as u64,
        background: common.background(),
    }
}

impl Kept {
    fn job(&self, work: stored::Work) -> Job {
        Job::Stored(Stored {
            work,
            payload_bytes: self.size,
            in_memory: self.memory,
            stop: self.volume.stop(),
        })
    }
}

impl Common {
    fn target(&self) -> Target {
        Target {
            address: self.url.clone(),
            server_pid: self.server_pid,
        }
    }

    fn background(&self) -> Background {
        Background {
            subscriptions: self.extra_subs,
            connections: self.extra_connections,
        }
    }
}

impl Volume {
    fn stop(&self) -> Stop {
        self.msgs.map_or(Stop::After(self.duration), Stop::AfterMessages)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<(Common, Job)> {
        let words = ["bench"].into_iter().chain(line.split(' '));
        Program::try_parse_from(words)?.args.work.split()
    }

    fn check_flow(line: &str, expected: &str) {
        let (_, Job::Flow(flow)) = parse(line).unwrap() else {
            panic!("{line} is another job");
        };
        assert_eq!(flow.title(), expected, "{line}");
    }

    #[test]
    fn the_command_is_consistent() {
        <Program as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn kinds_of_flow() {
        check_flow("pub --size 16", "1 publishing, 16 B");
        check_flow("pubsub", "1:1, 128 B");
        check_flow("pubsub 8:8 --size 1KiB", "8:8, 1024 B");
        check_flow("pubsub 8:8 --one-subject", "8:8, 128 B, one subject");
        check_flow(
            "pubsub --extra-subs 200000",
            "1:1, 128 B, 200,000 other subscriptions",
        );
        check_flow("fanout 1000", "1:1000, 128 B");
        check_flow(
            "fanout 9 --spread 64 --own-ids",
            "1:9, 128 B, 64 subjects in turn, own ids",
        );
        check_flow("queue 2:8 --groups 2", "2:8 in 2 queue groups, 128 B");
    }

    #[test]
    fn kinds_of_stored_work() {
        for (line, expected) in [
            ("store", "1 publishing, 500 under way, 128 B"),
            (
                "store --publishers 100 --outstanding 1",
                "100 publishing one at a time, 128 B",
            ),
            (
                "store --streams 10000 --memory",
                "1 publishing, 500 under way, 128 B, 10,000 streams in turn, in memory",
            ),
            ("put --clients 64 --keys 5", "KV put, 64 clients, 5 keys, 128 B"),
            (
                "put --outstanding 9 --random",
                "KV put, 16 clients, 9 under way each, 1,000 keys at random, 128 B",
            ),
            ("get", "KV get, 16 clients, 1,000 keys, 128 B"),
            ("replay --stored 10", "ordered replay of 10 x 128 B"),
            (
                "pull --stored 10 --size 1KiB",
                "pull, explicit ack, 4 clients, 10 x 1024 B",
            ),
        ] {
            let (_, job) = parse(line).unwrap();
            assert_eq!(job.title(), expected, "{line}");
        }
    }

    #[test]
    fn the_end_is_a_count_or_a_time() {
        for (line, expected) in [
            ("request", Stop::After(Duration::from_secs(3))),
            (
                "request --duration 500ms",
                Stop::After(Duration::from_millis(500)),
            ),
            ("request --msgs 10", Stop::AfterMessages(10)),
        ] {
            let (_, Job::Requests(requests)) = parse(line).unwrap() else {
                panic!("{line} is another job");
            };
            assert_eq!(requests.stop, expected, "{line}");
        }
        assert!(parse("request --msgs 10 --duration 1s").is_err());
    }

    #[test]
    fn the_broker_is_named_by_url_and_pid() {
        let (common, _) = parse("idle 10 --url nats://u:p@h:1 --server-pid 42").unwrap();
        let target = common.target();
        assert_eq!((target.address.host.as_str(), target.address.port), ("h", 1));
        assert_eq!(target.server_pid, Some(42));
        assert!(parse("idle --url tls://h").is_err());
    }
}
