//! `mainstem stream`.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};

use super::args::{CreateStream, Discard, Retention, Storage, Stream, StreamVerb};
use super::{Server, confirm, print};

const NS_PER_MS: u64 = 1_000_000;

impl Server {
    pub(super) async fn stream(&self, command: Stream) -> Result<()> {
        match command.verb {
            StreamVerb::Ls { names, subject } => self.list(names, subject).await,
            StreamVerb::Info { name } => {
                let info = self.ask(&format!("STREAM.INFO.{name}"), &json!({})).await?;
                self.print_info(&info)
            }
            StreamVerb::Create(create) => {
                let info = self
                    .ask(&format!("STREAM.CREATE.{}", create.name), &config(&create)?)
                    .await?;
                self.print_info(&info)
            }
            StreamVerb::Rm { name, force } => {
                confirm(force, &format!("Delete stream {name} and all its messages"))?;
                let answer = self.ask(&format!("STREAM.DELETE.{name}"), &json!({})).await?;
                self.done(&answer, &format!("deleted {name}"))
            }
            StreamVerb::Purge {
                name,
                subject,
                seq,
                keep,
                force,
            } => {
                confirm(force, &format!("Delete messages of stream {name}"))?;
                let request = without_nulls(json!({"filter": subject, "seq": seq, "keep": keep}));
                let answer = self.ask(&format!("STREAM.PURGE.{name}"), &request).await?;
                let purged = answer["purged"].as_u64().unwrap_or_default();
                self.done(&answer, &format!("deleted {purged} messages of {name}"))
            }
            StreamVerb::Tail {
                name,
                subject,
                last,
                seq,
                no_follow,
            } => self.tail(&name, subject, last, seq, no_follow).await,
        }
    }

    async fn list(&self, names: bool, subject: Option<String>) -> Result<()> {
        let (verb, key) = if names {
            ("NAMES", "streams")
        } else {
            ("LIST", "streams")
        };
        let mut all = Vec::new();
        loop {
            let request = without_nulls(json!({"offset": all.len(), "subject": subject}));
            let page = self.ask(&format!("STREAM.{verb}"), &request).await?;
            let items = page[key].as_array().cloned().unwrap_or_default();
            let is_last =
                items.is_empty() || (all.len() + items.len()) as u64 >= page["total"].as_u64().unwrap_or(0);
            all.extend(items);
            if is_last {
                break;
            }
        }
        if self.as_json {
            return print::json(&Value::Array(all));
        }
        let mut out = std::io::stdout().lock();
        if names {
            for name in &all {
                writeln!(out, "{}", name.as_str().unwrap_or_default())?;
            }
            return Ok(());
        }
        let rows = all.iter().map(|info| {
            let (config, state) = (&info["config"], &info["state"]);
            vec![
                print::text(&config["name"]),
                print::text(&config["storage"]),
                print::text(&state["messages"]),
                print::bytes(&state["bytes"]),
                print::text(&state["consumer_count"]),
                print::list(&config["subjects"]),
            ]
        });
        let titles = ["NAME", "STORAGE", "MESSAGES", "SIZE", "CONSUMERS", "SUBJECTS"];
        print::table(&mut out, &titles, rows.collect())
    }

    fn print_info(&self, info: &Value) -> Result<()> {
        if self.as_json {
            return print::json(info);
        }
        let (config, state) = (&info["config"], &info["state"]);
        let limit = |value: &Value, show: fn(&Value) -> String| match value.as_i64() {
            None | Some(-1 | 0) => "none".to_owned(),
            _ => show(value),
        };
        let rows = [
            ("Name", print::text(&config["name"])),
            ("Subjects", print::list(&config["subjects"])),
            ("Created", print::text(&info["created"])),
            ("Storage", print::text(&config["storage"])),
            ("Replicas", print::text(&config["num_replicas"])),
            ("Retention", print::text(&config["retention"])),
            ("Discard", print::text(&config["discard"])),
            ("Max messages", limit(&config["max_msgs"], print::text)),
            (
                "Max messages a subject",
                limit(&config["max_msgs_per_subject"], print::text),
            ),
            ("Max bytes", limit(&config["max_bytes"], print::bytes)),
            ("Max age", limit(&config["max_age"], print::duration)),
            ("Max message size", limit(&config["max_msg_size"], print::bytes)),
            (
                "Duplicate window",
                limit(&config["duplicate_window"], print::duration),
            ),
            ("Messages", print::text(&state["messages"])),
            ("Bytes", print::bytes(&state["bytes"])),
            ("First sequence", print::sequence(state, "first")),
            ("Last sequence", print::sequence(state, "last")),
            ("Subjects stored", print::text(&state["num_subjects"])),
            ("Deleted inside", print::text(&state["num_deleted"])),
            ("Consumers", print::text(&state["consumer_count"])),
        ];
        print::pairs(&rows)
    }

    fn done(&self, answer: &Value, line: &str) -> Result<()> {
        if self.as_json {
            return print::json(answer);
        }
        eprintln!("{line}");
        Ok(())
    }

    async fn tail(
        &self,
        name: &str,
        subject: Option<String>,
        last: u64,
        seq: Option<u64>,
        no_follow: bool,
    ) -> Result<()> {
        let stream = self.context.get_stream(name).await?;
        let state = &stream.cached_info().state;
        let end = state.last_sequence;
        let start = seq.unwrap_or((end + 1).saturating_sub(last)).max(1);
        let config = pull::OrderedConfig {
            filter_subject: subject.unwrap_or_default(),
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: start,
            },
            ..pull::OrderedConfig::default()
        };
        let mut consumer = stream.create_consumer(config).await?;
        if no_follow && consumer.info().await?.num_pending == 0 {
            return Ok(());
        }
        let mut messages = consumer.messages().await?;
        while let Some(message) = messages.next().await {
            let message = message?;
            // The client's own error type is not one that anyhow takes.
            let info = message.info().map_err(|error| anyhow::anyhow!("{error}"))?;
            print::message(self.as_json, &message, &info)?;
            if no_follow && info.pending == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// The configuration that the API is asked for.
fn config(create: &CreateStream) -> Result<Value> {
    let mut config = match &create.config {
        None => Map::new(),
        Some(file) => {
            let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("{} is no JSON object", file.display()))?
        }
    };
    let is_whole = create.config.is_some();
    let subjects = match &create.subjects[..] {
        [] => vec![create.name.clone()],
        subjects => subjects.to_vec(),
    };
    // What is left at its default does not change what the file says.
    let mut set = |key: &str, value: Value, is_default: bool| {
        let is_said = is_default && is_whole && config.contains_key(key);
        if !value.is_null() && !is_said {
            config.insert(key.to_owned(), value);
        }
    };
    let ns = |ms: Option<u64>| ms.map(|ms| ms.saturating_mul(NS_PER_MS));
    set("name", json!(create.name), false);
    set("subjects", json!(subjects), create.subjects.is_empty());
    set(
        "storage",
        json!(storage(create.storage)),
        create.storage == Storage::File,
    );
    let retention = match create.retention {
        Retention::Limits => "limits",
        Retention::Interest => "interest",
        Retention::Workqueue => "workqueue",
    };
    set(
        "retention",
        json!(retention),
        create.retention == Retention::Limits,
    );
    let discard = match create.discard {
        Discard::Old => "old",
        Discard::New => "new",
    };
    set("discard", json!(discard), create.discard == Discard::Old);
    set("max_msgs", json!(create.max_msgs), false);
    set("max_msgs_per_subject", json!(create.max_msgs_per_subject), false);
    set("max_bytes", json!(create.max_bytes), false);
    set("max_age", json!(ns(create.max_age)), false);
    set("max_msg_size", json!(create.max_msg_size), false);
    set("max_consumers", json!(create.max_consumers), false);
    set("duplicate_window", json!(ns(create.dupe_window)), false);
    set("num_replicas", json!(create.replicas), create.replicas == 1);
    set("allow_direct", json!(!create.no_direct), !create.no_direct);
    set(
        "allow_rollup_hdrs",
        json!(create.allow_rollup),
        !create.allow_rollup,
    );
    set("deny_delete", json!(create.deny_delete), !create.deny_delete);
    set("deny_purge", json!(create.deny_purge), !create.deny_purge);
    set("description", json!(create.description), false);
    Ok(Value::Object(config))
}

fn storage(storage: Storage) -> &'static str {
    match storage {
        Storage::File => "file",
        Storage::Memory => "memory",
    }
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(map) = &mut value {
        map.retain(|_, value| !value.is_null());
    }
    value
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        create: CreateStream,
    }

    fn config_of(line: &str) -> Value {
        let words = ["create"].into_iter().chain(line.split(' '));
        config(&Program::try_parse_from(words).unwrap().create).unwrap()
    }

    #[test]
    fn flags_become_the_servers_settings() {
        let config =
            config_of("S --subjects a.>,b --storage memory --max-age 2s --max-bytes 1KiB --discard new");
        assert_eq!(config["subjects"], json!(["a.>", "b"]));
        assert_eq!(
            (&config["storage"], &config["discard"]),
            (&json!("memory"), &json!("new"))
        );
        assert_eq!(
            (&config["max_age"], &config["max_bytes"]),
            (&json!(2_000_000_000_u64), &json!(1024))
        );
        assert_eq!(config["allow_direct"], json!(true));
        assert!(config.get("max_msgs").is_none());
        assert_eq!(config_of("S")["subjects"], json!(["S"]));
    }

    #[test]
    fn a_file_gives_what_flags_leave_open() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            r#"{"subjects":["x"],"storage":"memory","max_msgs":5,"sealed":false}"#,
        )
        .unwrap();
        let line = format!("S --config {} --max-msgs 7", file.path().display());
        let config = config_of(&line);
        assert_eq!(config["subjects"], json!(["x"]));
        assert_eq!(
            (&config["storage"], &config["max_msgs"]),
            (&json!("memory"), &json!(7))
        );
        assert_eq!((&config["name"], &config["sealed"]), (&json!("S"), &json!(false)));
    }
}
