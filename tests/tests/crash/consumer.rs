//! A consumer with explicit acknowledgements, and what it must not forget.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use mainstem_tests::jetstream::Api;
use mainstem_tests::random::Random;
use mainstem_tests::wire::Message;
use serde_json::json;

use crate::findings::{Findings, Wrong};
use crate::producer::STREAM;

const NAME: &str = "worker";
const SECOND: u64 = 1_000_000_000;

pub struct Consumer {
    /// Sequences whose acknowledgement was confirmed.
    confirmed: BTreeSet<u64>,
    delivered: BTreeSet<u64>,
    /// The highest floor, and the highest delivered sequence, that anybody was told.
    floor: u64,
    reach: u64,
    findings: Findings,
}

impl Consumer {
    pub fn new(findings: Findings) -> Consumer {
        Consumer {
            confirmed: BTreeSet::new(),
            delivered: BTreeSet::new(),
            floor: 0,
            reach: 0,
            findings,
        }
    }

    pub async fn create(api: &mut Api) -> Result<()> {
        let config = json!({
            "durable_name": NAME, "ack_policy": "explicit", "ack_wait": 2 * SECOND, "max_ack_pending": 2000,
        });
        api.consumer(STREAM, NAME, config).await?;
        Ok(())
    }

    pub fn count(&self) -> u64 {
        self.confirmed.len() as u64
    }

    /// Takes messages until the connection breaks.
    pub async fn run(&mut self, api: &mut Api, random: &mut Random) -> Result<()> {
        loop {
            let request = json!({"batch": random.within(1..60), "expires": SECOND / 5});
            let (messages, _) = api.fetch(STREAM, NAME, request).await?;
            let mut waiting = Vec::new();
            for message in &messages {
                self.take(message)?;
                match random.within(0..10) {
                    0..6 => {
                        waiting.push((message.delivery(3)?, api.ask(&message.reply, &[], b"+ACK").await?))
                    }
                    6 | 7 => api.send(&message.reply, b"+ACK").await?,
                    8 => api.send(&message.reply, b"-NAK").await?,
                    _ => {}
                }
            }
            for (sequence, reply) in waiting {
                api.answer(&reply).await?;
                self.confirmed.insert(sequence);
            }
            self.look(api).await?;
        }
    }

    fn take(&mut self, message: &Message) -> Result<()> {
        let sequence = message.delivery(3)?;
        self.delivered.insert(sequence);
        self.findings
            .check(!self.confirmed.contains(&sequence), Wrong::Twice, || {
                format!("sequence {sequence} is delivered after its acknowledgement was confirmed")
            });
        Ok(())
    }

    /// Looks at the consumer's positions: they never go back.
    pub async fn look(&mut self, api: &mut Api) -> Result<()> {
        let info = api.consumer_info(STREAM, NAME).await?;
        let floor = info["ack_floor"]["stream_seq"].as_u64().context("a floor")?;
        let reach = info["delivered"]["stream_seq"].as_u64().context("a sequence")?;
        self.findings.check(floor >= self.floor, Wrong::Backwards, || {
            format!("the floor was {} and is {floor}", self.floor)
        });
        self.findings.check(reach >= floor, Wrong::Backwards, || {
            format!("the floor {floor} is above {reach}")
        });
        (self.floor, self.reach) = (self.floor.max(floor), self.reach.max(reach));
        Ok(())
    }

    /// Takes and acknowledges all that is left: everything must have been delivered.
    pub async fn drain(&mut self, api: &mut Api, last: u64) -> Result<()> {
        // With room for batches that are not full.
        for _ in 0..1000 + last / 100 {
            let info = api.consumer_info(STREAM, NAME).await?;
            let left = |field: &str| info[field].as_u64().unwrap_or(0);
            if left("num_pending") + left("num_ack_pending") == 0 {
                break;
            }
            let (messages, _) = api
                .fetch(STREAM, NAME, json!({"batch": 500, "expires": SECOND}))
                .await?;
            for message in &messages {
                self.take(message)?;
            }
            for message in &messages {
                api.send(&message.reply, b"+ACK").await?;
            }
            api.round_trip().await?;
        }
        self.look(api).await?;
        ensure!(
            self.floor == last,
            "after all was acknowledged, the floor is {} of {last}",
            self.floor
        );
        let missed = (1..=last)
            .filter(|sequence| !self.delivered.contains(sequence))
            .count();
        self.findings.check(missed == 0, Wrong::Lost, || {
            format!("{missed} messages were never delivered")
        });
        Ok(())
    }
}
