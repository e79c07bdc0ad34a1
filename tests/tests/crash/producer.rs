//! Producers of one stream, and what must be in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context, Result};
use mainstem_tests::jetstream::Api;
use mainstem_tests::random::Random;
use serde_json::{Value, json};

use crate::findings::{Findings, Wrong};
use crate::stream;

pub const STREAM: &str = "log";
/// Publishes of one producer that wait for their acknowledgement.
const WINDOW: usize = 32;

/// Publishes `<id> <n> <filler>` with n from 1 on.
pub struct Producer {
    id: usize,
    /// Sends again, under the same id, what got no answer before the last crash.
    retries: bool,
    next: u64,
    acknowledged: BTreeMap<u64, u64>,
    unknown: BTreeSet<u64>,
    findings: Findings,
}

impl Producer {
    pub fn new(id: usize, retries: bool, findings: Findings) -> Producer {
        let (acknowledged, unknown) = (BTreeMap::new(), BTreeSet::new());
        Producer {
            id,
            retries,
            next: 1,
            acknowledged,
            unknown,
            findings,
        }
    }

    pub async fn create(api: &mut Api) -> Result<()> {
        api.stream(
            STREAM,
            json!({"max_age": 0, "duplicate_window": 120_000_000_000_u64}),
        )
        .await?;
        Ok(())
    }

    pub fn count(&self) -> u64 {
        self.acknowledged.len() as u64
    }

    /// Publishes until the connection breaks.
    pub async fn run(&mut self, api: &mut Api, random: &mut Random) -> Result<()> {
        let mut waiting = VecDeque::new();
        if self.retries {
            for n in self.unknown.clone() {
                waiting.push_back((n, self.send(api, n, random).await?));
            }
        }
        loop {
            while waiting.len() < WINDOW {
                let n = self.next;
                self.next += 1;
                self.unknown.insert(n);
                waiting.push_back((n, self.send(api, n, random).await?));
            }
            let (n, reply) = waiting.pop_front().context("something waits")?;
            let answer: Value = serde_json::from_slice(&api.answer(&reply).await?.payload)?;
            let Some(sequence) = stream::stored(&answer) else {
                self.findings
                    .add(Wrong::Refused, format!("publish {n} of {}: {answer}", self.id));
                continue;
            };
            self.unknown.remove(&n);
            self.acknowledged.insert(n, sequence);
        }
    }

    async fn send(&self, api: &mut Api, n: u64, random: &mut Random) -> Result<String> {
        let large = if random.chance(2) { 20_000 } else { 200 };
        let filler = "x".repeat(random.within(0..large) as usize);
        let id = format!("{}-{n}", self.id);
        let headers: &[(&str, &str)] = if self.retries {
            &[("Nats-Msg-Id", &id)]
        } else {
            &[]
        };
        let payload = format!("{} {n} {filler}", self.id);
        api.ask(&format!("{STREAM}.{}", self.id), headers, payload.as_bytes())
            .await
    }

    /// Compares what was acknowledged with what is there: `found` has this producer's numbers by sequence.
    fn check(&mut self, found: &[(u64, u64)]) {
        let (id, findings) = (self.id, self.findings.clone());
        let mut by_number = BTreeMap::new();
        let mut last = 0;
        for (sequence, n) in found {
            let twice = by_number.insert(*n, *sequence).is_some();
            findings.check(!twice, Wrong::Twice, || {
                format!("{n} of producer {id}, again at {sequence}")
            });
            // What is sent again after a crash comes behind what was sent after it before the crash.
            if !self.retries {
                findings.check(*n > last || twice, Wrong::Disorder, || {
                    format!("{n} of producer {id} after {last}")
                });
            }
            last = *n;
        }
        for (n, sequence) in &self.acknowledged {
            let there = by_number.get(n);
            findings.check(there == Some(sequence), Wrong::Lost, || {
                format!("{n} of producer {id}, acknowledged at {sequence}, is at {there:?}")
            });
        }
    }
}

/// What was found in the stream so far: producer and number by sequence, without gaps.
#[derive(Default)]
pub struct Contents {
    found: Vec<(usize, u64)>,
}

impl Contents {
    /// Reads what is new, or all of it anew, and compares.
    pub async fn check(&mut self, api: &mut Api, producers: &mut [&mut Producer], all: bool) -> Result<()> {
        let findings = producers[0].findings.clone();
        let from = if all { 1 } else { self.found.len() as u64 + 1 };
        let state = api.state(STREAM).await?;
        let last = state["last_seq"].as_u64().unwrap_or(0);
        findings.check(last >= self.found.len() as u64, Wrong::Lost, || {
            format!("the stream ends at {last}, and had {} before", self.found.len())
        });
        let read = stream::read(api, STREAM, from).await?;
        for (at, (sequence, payload)) in (from..).zip(&read) {
            findings.check(at == *sequence, Wrong::Lost, || {
                format!("sequence {at}: the next is {sequence}")
            });
            let mut words = payload.split(' ');
            let mut word = || words.next().unwrap_or_default().parse::<u64>();
            let message = (
                word().context("a producer")? as usize,
                word().context("a number")?,
            );
            match self.found.get(*sequence as usize - 1) {
                Some(before) => findings.check(*before == message, Wrong::Lost, || {
                    format!("sequence {sequence} was {before:?} and is {message:?}")
                }),
                None => self.found.push(message),
            }
        }
        findings.check(last == self.found.len() as u64, Wrong::Lost, || {
            format!("{} messages are read of {last}", self.found.len())
        });
        for producer in producers {
            let own = (1u64..)
                .zip(&self.found)
                .filter(|(_, (id, _))| *id == producer.id);
            let own: Vec<_> = own.map(|(sequence, (_, n))| (sequence, *n)).collect();
            producer.check(&own);
        }
        Ok(())
    }

    pub fn len(&self) -> u64 {
        self.found.len() as u64
    }
}
