//! Keys that several clients change by comparing and setting, and what their history must be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use mainstem_tests::jetstream::Api;
use mainstem_tests::random::Random;
use serde_json::{Value, json};

use crate::findings::{Findings, Wrong};
use crate::stream::stored;

const STREAM: &str = "KV_crash";
const KEYS: u64 = 5;
/// `wrong last sequence`: somebody else was first.
const CONFLICT: u64 = 10071;
const NOTHING_THERE: u64 = 10037;

/// What is known of one key.
#[derive(Default)]
struct Key {
    /// From the revision that was expected to the one that was made, and its value.
    steps: BTreeMap<u64, (u64, String)>,
    /// Values that may have been set, with the revision that they expected.
    unknown: BTreeMap<String, u64>,
    /// The highest revision that anybody was told.
    last: u64,
}

/// The bucket, shared by its clients.
#[derive(Clone)]
pub struct Bucket {
    keys: Arc<Mutex<BTreeMap<u64, Key>>>,
    findings: Findings,
}

impl Bucket {
    pub fn new(findings: Findings) -> Bucket {
        Bucket {
            keys: Arc::default(),
            findings,
        }
    }

    pub async fn create(api: &mut Api) -> Result<()> {
        let config = json!({
            "subjects": ["$KV.crash.>"], "max_msgs_per_subject": 8, "allow_rollup_hdrs": true, "deny_delete": true,
            "discard": "new", "allow_direct": true,
        });
        api.stream(STREAM, config).await?;
        Ok(())
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<u64, Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count(&self) -> u64 {
        self.keys().values().map(|key| key.steps.len() as u64).sum()
    }

    /// Changes keys until the connection breaks.
    pub async fn run(&self, client: u64, api: &mut Api, random: &mut Random) -> Result<()> {
        loop {
            let key = random.within(0..KEYS);
            let told = self.keys().entry(key).or_default().last;
            let (revision, value) = last(api, key).await?;
            self.check_read(key, told, revision, &value);
            let value = format!("{client}.{}", random.number());
            self.keys()
                .entry(key)
                .or_default()
                .unknown
                .insert(value.clone(), revision);
            let expected = revision.to_string();
            let mut headers = vec![("Nats-Expected-Last-Subject-Sequence", expected.as_str())];
            match random.within(0..10) {
                0 => headers.push(("KV-Operation", "DEL")),
                1 => headers.extend([("KV-Operation", "PURGE"), ("Nats-Rollup", "sub")]),
                _ => {}
            }
            let answer = api.put(&subject(key), &headers, &value).await?;
            self.answered(key, revision, &value, &answer);
        }
    }

    fn answered(&self, key: u64, expected: u64, value: &str, answer: &Value) {
        let mut keys = self.keys();
        let known = keys.entry(key).or_default();
        if let Some(revision) = stored(answer) {
            known.unknown.remove(value);
            known.last = known.last.max(revision);
            let before = known.steps.insert(expected, (revision, value.to_owned()));
            self.findings.check(before.is_none(), Wrong::Twice, || {
                format!("key {key}: revision {expected} was replaced by {before:?} and by {revision}")
            });
            self.findings.check(revision > expected, Wrong::Backwards, || {
                format!("key {key}: {revision} replaces {expected}")
            });
        } else if answer["error"]["err_code"] == CONFLICT {
            known.unknown.remove(value);
        } else {
            self.findings.add(Wrong::Refused, format!("key {key}: {answer}"));
        }
    }

    /// Compares what a read says with what was acknowledged before it began.
    fn check_read(&self, key: u64, told: u64, revision: u64, value: &str) {
        let mut keys = self.keys();
        let known = keys.entry(key).or_default();
        self.findings.check(revision >= told, Wrong::Lost, || {
            format!("key {key} is at {revision}, and {told} was acknowledged")
        });
        let step = known.steps.values().find(|(made, _)| *made == revision);
        if let Some((_, set)) = step {
            self.findings.check(set == value, Wrong::Lost, || {
                format!("key {key} at {revision} is {value}, and {set} was acknowledged")
            });
        } else if revision > 0 {
            // Somebody set it who was not told so.
            let is_possible = known.unknown.contains_key(value);
            self.findings.check(is_possible, Wrong::Twice, || {
                format!("key {key}: nobody set {value}")
            });
        }
    }

    /// After a crash, while nobody changes anything.
    pub async fn check(&self, api: &mut Api) -> Result<()> {
        for key in 0..KEYS {
            let told = self.keys().entry(key).or_default().last;
            let (revision, value) = last(api, key).await?;
            self.check_read(key, told, revision, &value);
            // What did not take effect before the crash must not do so after it.
            let mut keys = self.keys();
            let known = keys.entry(key).or_default();
            if let Some(expected) = known.unknown.remove(&value) {
                known.steps.insert(expected, (revision, value));
                known.last = known.last.max(revision);
            }
            known.unknown.clear();
        }
        Ok(())
    }
}

fn subject(key: u64) -> String {
    format!("$KV.crash.key{key}")
}

/// The last revision of a key and its value; 0 if there is none.
async fn last(api: &mut Api, key: u64) -> Result<(u64, String)> {
    let answer = api
        .call(
            &format!("STREAM.MSG.GET.{STREAM}"),
            &json!({"last_by_subj": subject(key)}),
        )
        .await?;
    if answer["error"]["err_code"] == NOTHING_THERE {
        return Ok((0, String::new()));
    }
    let Some(revision) = answer["message"]["seq"].as_u64() else {
        bail!("{answer}")
    };
    let data = answer["message"]["data"].as_str().unwrap_or_default();
    let value = data_encoding::BASE64.decode(data.as_bytes()).context("a value")?;
    Ok((revision, String::from_utf8(value)?))
}
