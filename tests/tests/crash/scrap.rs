//! A stream whose messages are deleted and purged, and what must be left of it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use mainstem_tests::jetstream::Api;
use mainstem_tests::random::Random;
use serde_json::{Value, json};

use crate::findings::{Findings, Wrong};
use crate::stream;

const STREAM: &str = "scrap";
const NO_MESSAGE: u64 = 10057;

pub struct Scrap {
    next: u64,
    /// Sequence to payload of what must be there.
    live: BTreeMap<u64, String>,
    gone: BTreeSet<u64>,
    /// Below this, all was purged.
    purged: u64,
    /// Asked for without an answer.
    maybe_published: Option<String>,
    maybe_deleted: Option<u64>,
    maybe_purged: u64,
    pub deletes: u64,
    pub purges: u64,
    pub published: u64,
    findings: Findings,
}

impl Scrap {
    pub fn new(findings: Findings) -> Scrap {
        Scrap {
            next: 1,
            live: BTreeMap::new(),
            gone: BTreeSet::new(),
            purged: 0,
            maybe_published: None,
            maybe_deleted: None,
            maybe_purged: 0,
            deletes: 0,
            purges: 0,
            published: 0,
            findings,
        }
    }

    pub async fn create(api: &mut Api) -> Result<()> {
        api.stream(STREAM, json!({})).await?;
        Ok(())
    }

    /// Publishes, deletes and purges, one after the other, until the connection breaks.
    pub async fn run(&mut self, api: &mut Api, random: &mut Random) -> Result<()> {
        loop {
            match random.within(0..100) {
                0..70 => self.publish(api, random).await?,
                70..98 => self.delete(api, random).await?,
                _ => self.purge(api, random).await?,
            }
        }
    }

    async fn publish(&mut self, api: &mut Api, random: &mut Random) -> Result<()> {
        let payload = format!("{} {}", self.next, "y".repeat(random.within(0..300) as usize));
        self.next += 1;
        self.maybe_published = Some(payload.clone());
        let answer = api
            .put(&format!("{STREAM}.{}", random.within(0..10)), &[], &payload)
            .await?;
        self.maybe_published = None;
        match stream::stored(&answer) {
            Some(sequence) => {
                self.published += 1;
                self.live.insert(sequence, payload);
            }
            None => self.findings.add(Wrong::Refused, format!("publish: {answer}")),
        }
        Ok(())
    }

    fn some(&self, random: &mut Random) -> Option<u64> {
        let at = random.within(0..self.live.len().max(1) as u64);
        self.live.keys().nth(at as usize).copied()
    }

    async fn delete(&mut self, api: &mut Api, random: &mut Random) -> Result<()> {
        let Some(sequence) = self.some(random) else {
            return Ok(());
        };
        self.maybe_deleted = Some(sequence);
        let body = json!({"seq": sequence, "no_erase": random.chance(50)});
        let answer = api.call(&format!("STREAM.MSG.DELETE.{STREAM}"), &body).await?;
        self.maybe_deleted = None;
        let done = self.succeeded(&answer);
        if done || answer["error"]["err_code"] == NO_MESSAGE {
            self.live.remove(&sequence);
            self.gone.insert(sequence);
            self.deletes += 1;
        }
        Ok(())
    }

    async fn purge(&mut self, api: &mut Api, random: &mut Random) -> Result<()> {
        let Some(sequence) = self.some(random) else {
            return Ok(());
        };
        self.maybe_purged = sequence;
        let answer = api
            .call(&format!("STREAM.PURGE.{STREAM}"), &json!({"seq": sequence}))
            .await?;
        self.maybe_purged = 0;
        if self.succeeded(&answer) {
            self.purged = self.purged.max(sequence);
            self.live = self.live.split_off(&sequence);
            self.purges += 1;
        }
        Ok(())
    }

    fn succeeded(&self, answer: &Value) -> bool {
        self.findings
            .check(answer["error"].is_null(), Wrong::Refused, || answer.to_string());
        answer["error"].is_null()
    }

    /// After a crash: compares, and takes what is there for what must be there from now on.
    pub async fn check(&mut self, api: &mut Api) -> Result<()> {
        let found = stream::read(api, STREAM, 1).await?;
        for (sequence, payload) in &self.live {
            let may_be_gone = self.maybe_deleted == Some(*sequence) || *sequence < self.maybe_purged;
            let there = found.get(sequence);
            self.findings.check(
                there == Some(payload) || may_be_gone && there.is_none(),
                Wrong::Lost,
                || format!("scrap {sequence} is {there:?}, and was {payload:?}"),
            );
        }
        for (sequence, payload) in &found {
            let is_known = self.live.contains_key(sequence);
            let is_new = self.maybe_published.as_ref() == Some(payload) && !is_known;
            let is_gone = *sequence < self.purged || self.gone.contains(sequence);
            self.findings
                .check((is_known || is_new) && !is_gone, Wrong::Twice, || {
                    format!("scrap {sequence} is there: {payload:?}")
                });
        }
        let purge_took_effect = self.maybe_purged > 0
            && found
                .keys()
                .next()
                .is_none_or(|first| *first >= self.maybe_purged);
        let some_left = found
            .keys()
            .next()
            .is_some_and(|first| *first < self.maybe_purged);
        let all_left = self
            .live
            .range(..self.maybe_purged)
            .all(|(sequence, _)| found.contains_key(sequence));
        self.findings
            .check(purge_took_effect || !some_left || all_left, Wrong::Lost, || {
                format!("a purge up to {} took effect in part", self.maybe_purged)
            });
        for sequence in self.live.keys() {
            if !found.contains_key(sequence) {
                self.gone.insert(*sequence);
            }
        }
        self.live = found;
        (self.maybe_published, self.maybe_deleted, self.maybe_purged) = (None, None, 0);
        Ok(())
    }
}
