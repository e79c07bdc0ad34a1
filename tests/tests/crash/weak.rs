//! Streams whose acknowledgements promise less: an async one may lose its end and nothing else, a memory one all.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use mainstem_tests::jetstream::Api;
use serde_json::{Value, json};

use crate::findings::{Findings, Wrong};
use crate::stream;

const ASYNC: &str = "loose";
const MEMORY: &str = "ram";
const WINDOW: usize = 16;
const NO_STREAM: u64 = 10059;

/// It ends with the process, and so does its configuration.
async fn create_memory(api: &mut Api) -> Result<()> {
    api.stream(MEMORY, json!({"storage": "memory"})).await?;
    Ok(())
}

/// Publishes the same numbers, from 1 on, to both.
pub struct Weak {
    next: u64,
    /// The first number of this life.
    first: u64,
    /// What a crash left, in order: it stays from then on.
    settled: Vec<String>,
    findings: Findings,
}

impl Weak {
    pub fn new(findings: Findings) -> Weak {
        Weak {
            next: 1,
            first: 1,
            settled: Vec::new(),
            findings,
        }
    }

    pub async fn create(api: &mut Api) -> Result<()> {
        api.stream(ASYNC, json!({"persist_mode": "async"})).await?;
        create_memory(api).await
    }

    /// Publishes until the connection breaks.
    pub async fn run(&mut self, api: &mut Api) -> Result<()> {
        let mut waiting = VecDeque::new();
        loop {
            while waiting.len() < WINDOW {
                let number = self.next.to_string();
                self.next += 1;
                for stream in [ASYNC, MEMORY] {
                    let subject = format!("{stream}.a");
                    waiting.push_back(api.ask(&subject, &[], number.as_bytes()).await?);
                }
            }
            let reply = waiting.pop_front().context("something waits")?;
            let answer: Value = serde_json::from_slice(&api.answer(&reply).await?.payload)?;
            self.findings
                .check(stream::stored(&answer).is_some(), Wrong::Refused, || {
                    answer.to_string()
                });
        }
    }

    /// After a crash: what is left of this life is a beginning of it, and what earlier crashes left is there.
    pub async fn check(&mut self, api: &mut Api) -> Result<()> {
        let found: Vec<String> = stream::read(api, ASYNC, 1).await?.into_values().collect();
        let (before, new) = found.split_at(self.settled.len().min(found.len()));
        self.findings.check(before == self.settled, Wrong::Lost, || {
            format!(
                "{} messages of the async stream are left of {}",
                before.len(),
                self.settled.len()
            )
        });
        let is_a_beginning = (self.first..)
            .zip(new)
            .all(|(number, found)| number.to_string() == *found);
        self.findings.check(is_a_beginning, Wrong::Disorder, || {
            format!("the async stream has {new:?} behind {}", self.first - 1)
        });
        let left = api.call(&format!("STREAM.INFO.{MEMORY}"), &json!(null)).await?;
        let is_gone = left["error"]["err_code"] == NO_STREAM;
        // Nothing has crashed since the last look: it is as it was made then.
        let is_new = left["state"]["last_seq"] == 0;
        self.findings.check(is_gone || is_new, Wrong::Twice, || {
            format!("the memory stream is still there: {left}")
        });
        if is_gone {
            create_memory(api).await?;
        }
        self.settled = found;
        self.first = self.next;
        Ok(())
    }
}
