//! `mainstem kv`.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_nats::jetstream::kv::{Config, Entry, Operation, Store};
use async_nats::jetstream::stream::StorageType;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use serde_json::json;

use super::args::{Kv, KvVerb, Storage};
use super::{Server, confirm, print};

/// Streams that are buckets begin with it.
const PREFIX: &str = "KV_";

impl Server {
    pub(super) async fn kv(&self, command: Kv) -> Result<()> {
        match command.verb {
            KvVerb::Ls { bucket: None } => self.buckets().await,
            KvVerb::Ls { bucket: Some(bucket) } => self.keys(&bucket).await,
            KvVerb::Create {
                bucket,
                history,
                ttl,
                max_bytes,
                max_value_size,
                storage,
                replicas,
                description,
            } => {
                let config = Config {
                    bucket: bucket.clone(),
                    history: i64::from(history),
                    max_age: Duration::from_millis(ttl.unwrap_or_default()),
                    max_bytes: max_bytes.map_or(Ok(-1), i64::try_from)?,
                    max_value_size: max_value_size.map_or(Ok(-1), i32::try_from)?,
                    storage: match storage {
                        Storage::File => StorageType::File,
                        Storage::Memory => StorageType::Memory,
                    },
                    num_replicas: replicas,
                    description,
                    ..Config::default()
                };
                self.context.create_key_value(config).await?;
                self.note(&json!({"bucket": bucket}), &format!("created {bucket}"))
            }
            KvVerb::Get {
                bucket,
                key,
                revision,
            } => self.get(&bucket, &key, revision).await,
            KvVerb::Put {
                bucket,
                key,
                value,
                create,
                revision,
            } => self.put(&bucket, &key, value, create, revision).await,
            KvVerb::Del { bucket, key } => {
                self.bucket(&bucket).await?.delete(&key).await?;
                self.note(&json!({"bucket": bucket, "key": key}), &format!("deleted {key}"))
            }
            KvVerb::Purge { bucket, key } => {
                self.bucket(&bucket).await?.purge(&key).await?;
                self.note(&json!({"bucket": bucket, "key": key}), &format!("purged {key}"))
            }
            KvVerb::Watch {
                bucket,
                key,
                history,
                no_follow,
            } => self.watch(&bucket, &key, history, no_follow).await,
            KvVerb::History { bucket, key } => {
                let history = self.bucket(&bucket).await?.history(&key).await?;
                self.entries(history.map_err(anyhow::Error::from), false).await
            }
            KvVerb::Rm { bucket, force } => {
                confirm(force, &format!("Delete bucket {bucket} and all it holds"))?;
                self.context.delete_key_value(&bucket).await?;
                self.note(&json!({"bucket": bucket}), &format!("deleted {bucket}"))
            }
        }
    }

    async fn bucket(&self, bucket: &str) -> Result<Store> {
        self.context
            .get_key_value(bucket)
            .await
            .with_context(|| format!("cannot open bucket {bucket}"))
    }

    async fn buckets(&self) -> Result<()> {
        let names: Vec<String> = self.context.stream_names().try_collect().await?;
        let buckets: Vec<&str> = names
            .iter()
            .filter_map(|name| name.strip_prefix(PREFIX))
            .collect();
        self.lines(&buckets)
    }

    async fn keys(&self, bucket: &str) -> Result<()> {
        let keys: Vec<String> = self.bucket(bucket).await?.keys().await?.try_collect().await?;
        self.lines(&keys)
    }

    fn lines(&self, lines: &[impl AsRef<str> + serde::Serialize]) -> Result<()> {
        if self.as_json {
            return print::json(&json!(lines));
        }
        let mut out = std::io::stdout().lock();
        for line in lines {
            writeln!(out, "{}", line.as_ref())?;
        }
        Ok(())
    }

    async fn get(&self, bucket: &str, key: &str, revision: Option<u64>) -> Result<()> {
        let store = self.bucket(bucket).await?;
        let entry = match revision {
            Some(revision) => store.entry_for_revision(key, revision).await?,
            None => store.entry(key).await?,
        };
        let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) else {
            bail!("{bucket} has no key {key}");
        };
        if self.as_json {
            return print::json(&print::entry_json(&entry));
        }
        let mut out = std::io::stdout().lock();
        out.write_all(&entry.value)?;
        Ok(out.flush()?)
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        value: Option<String>,
        create: bool,
        revision: Option<u64>,
    ) -> Result<()> {
        let value = match value {
            Some(value) => value.into_bytes(),
            None => {
                let mut bytes = Vec::new();
                std::io::stdin().read_to_end(&mut bytes)?;
                bytes
            }
        };
        let store = self.bucket(bucket).await?;
        let revision = match revision {
            Some(revision) => store.update(key, value.into(), revision).await?,
            None if create => store.create(key, value.into()).await?,
            None => store.put(key, value.into()).await?,
        };
        if self.as_json {
            return print::json(&json!({"bucket": bucket, "key": key, "revision": revision}));
        }
        Ok(writeln!(std::io::stdout(), "{revision}")?)
    }

    async fn watch(&self, bucket: &str, key: &str, history: bool, no_follow: bool) -> Result<()> {
        let store = self.bucket(bucket).await?;
        if no_follow && store.status().await?.values() == 0 {
            return Ok(());
        }
        // Changes from now on; with the history, what is there before.
        let changes = match history || no_follow {
            true => store.watch_with_history(key).await?,
            false => store.watch(key).await?,
        };
        self.entries(changes.map_err(anyhow::Error::from), no_follow)
            .await
    }

    async fn entries(
        &self,
        mut entries: impl Stream<Item = Result<Entry>> + Unpin,
        ends_when_current: bool,
    ) -> Result<()> {
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            print::entry(self.as_json, &entry)?;
            if ends_when_current && entry.delta == 0 {
                break;
            }
        }
        Ok(())
    }

    fn note(&self, answer: &serde_json::Value, line: &str) -> Result<()> {
        if self.as_json {
            return print::json(answer);
        }
        eprintln!("{line}");
        Ok(())
    }
}
