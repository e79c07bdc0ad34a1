//! Configurations as they are kept: a version, then the fields in order.

use mainstem_record::{Reader, Truncated, Writer};

use super::{
    AckPolicy, Compression, ConsumerConfig, DeliverPolicy, Discard, Metadata, PersistMode, ReplayPolicy,
    Retention, Storage, StreamConfig, StreamConsumerLimits,
};

/// Version 2 added a stream's compression, and whether a consumer has a name of its own.
const VERSION: u8 = 2;

/// Why bytes are not a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    #[error("version {0} is not known")]
    Version(u8),
    #[error("a field has a value that is not known")]
    Value,
    #[error(transparent)]
    Truncated(#[from] Truncated),
}

type Read<T> = Result<T, InvalidConfig>;

fn version(reader: &mut Reader<'_>) -> Read<u8> {
    match reader.u8()? {
        version @ 1..=VERSION => Ok(version),
        other => Err(InvalidConfig::Version(other)),
    }
}

fn text(reader: &mut Reader<'_>) -> Read<Box<str>> {
    std::str::from_utf8(reader.bytes()?)
        .map(Box::from)
        .map_err(|_| InvalidConfig::Value)
}

fn list<T>(reader: &mut Reader<'_>, mut item: impl FnMut(&mut Reader<'_>) -> Read<T>) -> Read<Vec<T>> {
    let count = reader.varint()?;
    (0..count).map(|_| item(reader)).collect()
}

fn flag(reader: &mut Reader<'_>) -> Read<bool> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(InvalidConfig::Value),
    }
}

fn narrow(value: i64) -> Read<i32> {
    i32::try_from(value).map_err(|_| InvalidConfig::Value)
}

fn put_list(out: &mut Vec<u8>, items: &[Box<str>]) {
    out.put_varint(items.len() as u64);
    for item in items {
        out.put_bytes(item.as_bytes());
    }
}

fn put_metadata(out: &mut Vec<u8>, metadata: &Metadata) {
    out.put_varint(metadata.len() as u64);
    for (key, value) in metadata {
        out.put_bytes(key.as_bytes());
        out.put_bytes(value.as_bytes());
    }
}

fn metadata(reader: &mut Reader<'_>) -> Read<Metadata> {
    let count = reader.varint()?;
    (0..count).map(|_| Ok((text(reader)?, text(reader)?))).collect()
}

/// An enum as one byte.
trait Choice: Copy + PartialEq + 'static {
    /// All values; a value's place is its byte.
    const ALL: &'static [Self];

    fn put(self, out: &mut Vec<u8>) {
        let byte = Self::ALL
            .iter()
            .position(|value| *value == self)
            .unwrap_or_default();
        out.put_u8(byte as u8);
    }

    fn get(reader: &mut Reader<'_>) -> Read<Self> {
        let byte = reader.u8()?;
        Self::ALL
            .get(usize::from(byte))
            .copied()
            .ok_or(InvalidConfig::Value)
    }
}

impl Choice for Retention {
    const ALL: &'static [Self] = &[Self::Limits, Self::Interest, Self::WorkQueue];
}
impl Choice for Storage {
    const ALL: &'static [Self] = &[Self::File, Self::Memory];
}
impl Choice for Discard {
    const ALL: &'static [Self] = &[Self::Old, Self::New];
}
impl Choice for PersistMode {
    const ALL: &'static [Self] = &[Self::Default, Self::Async];
}
impl Choice for Compression {
    const ALL: &'static [Self] = &[Self::None, Self::S2];
}
impl Choice for DeliverPolicy {
    const ALL: &'static [Self] = &[
        Self::All,
        Self::Last,
        Self::New,
        Self::ByStartSequence,
        Self::ByStartTime,
        Self::LastPerSubject,
    ];
}
impl Choice for AckPolicy {
    const ALL: &'static [Self] = &[Self::None, Self::All, Self::Explicit];
}
impl Choice for ReplayPolicy {
    const ALL: &'static [Self] = &[Self::Instant, Self::Original];
}

impl StreamConfig {
    /// Appends the configuration.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        out.put_bytes(self.name.as_bytes());
        out.put_bytes(self.description.as_bytes());
        put_list(out, &self.subjects);
        self.retention.put(out);
        for limit in [
            self.max_consumers,
            self.max_msgs,
            self.max_bytes,
            self.max_age_ns,
            self.max_msgs_per_subject,
            i64::from(self.max_msg_size),
        ] {
            out.put_signed(limit);
        }
        self.discard.put(out);
        out.put_u8(self.discard_new_per_subject.into());
        self.storage.put(out);
        out.put_signed(i64::from(self.num_replicas));
        out.put_u8(self.no_ack.into());
        out.put_signed(self.duplicate_window_ns);
        out.put_varint(self.first_seq);
        for flag in [
            self.allow_direct,
            self.mirror_direct,
            self.sealed,
            self.deny_delete,
            self.deny_purge,
            self.allow_rollup,
        ] {
            out.put_u8(flag.into());
        }
        out.put_signed(self.consumer_limits.inactive_threshold_ns);
        out.put_signed(self.consumer_limits.max_ack_pending);
        self.persist_mode.put(out);
        put_metadata(out, &self.metadata);
        self.compression.put(out);
    }

    /// Takes a configuration from the front of what is read.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, InvalidConfig> {
        let version = version(reader)?;
        Ok(Self {
            name: text(reader)?,
            description: text(reader)?,
            subjects: list(reader, text)?,
            retention: Choice::get(reader)?,
            max_consumers: reader.signed()?,
            max_msgs: reader.signed()?,
            max_bytes: reader.signed()?,
            max_age_ns: reader.signed()?,
            max_msgs_per_subject: reader.signed()?,
            max_msg_size: narrow(reader.signed()?)?,
            discard: Choice::get(reader)?,
            discard_new_per_subject: flag(reader)?,
            storage: Choice::get(reader)?,
            num_replicas: narrow(reader.signed()?)?,
            no_ack: flag(reader)?,
            duplicate_window_ns: reader.signed()?,
            first_seq: reader.varint()?,
            allow_direct: flag(reader)?,
            mirror_direct: flag(reader)?,
            sealed: flag(reader)?,
            deny_delete: flag(reader)?,
            deny_purge: flag(reader)?,
            allow_rollup: flag(reader)?,
            consumer_limits: StreamConsumerLimits {
                inactive_threshold_ns: reader.signed()?,
                max_ack_pending: reader.signed()?,
            },
            persist_mode: Choice::get(reader)?,
            metadata: metadata(reader)?,
            compression: match version {
                1 => Compression::None,
                _ => Choice::get(reader)?,
            },
        })
    }
}

impl ConsumerConfig {
    /// Appends the configuration.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        out.put_bytes(self.durable.as_bytes());
        out.put_bytes(self.name.as_bytes());
        out.put_bytes(self.description.as_bytes());
        self.deliver_policy.put(out);
        out.put_varint(self.opt_start_seq);
        out.put_u8(self.opt_start_time_ns.is_some().into());
        out.put_signed(self.opt_start_time_ns.unwrap_or_default());
        self.ack_policy.put(out);
        out.put_signed(self.ack_wait_ns);
        out.put_signed(self.max_deliver);
        out.put_varint(self.backoff_ns.len() as u64);
        for backoff in &self.backoff_ns {
            out.put_signed(*backoff);
        }
        out.put_bytes(self.filter_subject.as_bytes());
        put_list(out, &self.filter_subjects);
        self.replay_policy.put(out);
        out.put_varint(self.rate_limit_bits_per_s);
        out.put_bytes(self.sample_freq.as_bytes());
        out.put_signed(self.max_waiting);
        out.put_signed(self.max_ack_pending);
        out.put_u8(self.flow_control.into());
        out.put_u8(self.headers_only.into());
        out.put_signed(self.max_batch);
        out.put_signed(self.max_expires_ns);
        out.put_signed(self.max_bytes);
        out.put_bytes(self.deliver_subject.as_bytes());
        out.put_bytes(self.deliver_group.as_bytes());
        out.put_signed(self.idle_heartbeat_ns);
        out.put_signed(self.inactive_threshold_ns);
        out.put_signed(i64::from(self.num_replicas));
        out.put_u8(self.mem_storage.into());
        put_metadata(out, &self.metadata);
        out.put_u8(self.is_unnamed.into());
    }

    /// Takes a configuration from the front of what is read.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, InvalidConfig> {
        let version = version(reader)?;
        Ok(Self {
            durable: text(reader)?,
            name: text(reader)?,
            description: text(reader)?,
            deliver_policy: Choice::get(reader)?,
            opt_start_seq: reader.varint()?,
            opt_start_time_ns: {
                let is_set = flag(reader)?;
                Some(reader.signed()?).filter(|_| is_set)
            },
            ack_policy: Choice::get(reader)?,
            ack_wait_ns: reader.signed()?,
            max_deliver: reader.signed()?,
            backoff_ns: list(reader, |reader| Ok(reader.signed()?))?,
            filter_subject: text(reader)?,
            filter_subjects: list(reader, text)?,
            replay_policy: Choice::get(reader)?,
            rate_limit_bits_per_s: reader.varint()?,
            sample_freq: text(reader)?,
            max_waiting: reader.signed()?,
            max_ack_pending: reader.signed()?,
            flow_control: flag(reader)?,
            headers_only: flag(reader)?,
            max_batch: reader.signed()?,
            max_expires_ns: reader.signed()?,
            max_bytes: reader.signed()?,
            deliver_subject: text(reader)?,
            deliver_group: text(reader)?,
            idle_heartbeat_ns: reader.signed()?,
            inactive_threshold_ns: reader.signed()?,
            num_replicas: narrow(reader.signed()?)?,
            mem_storage: flag(reader)?,
            metadata: metadata(reader)?,
            is_unnamed: version > 1 && flag(reader)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_is_read_without_what_came_later() {
        let stream = StreamConfig {
            name: "S".into(),
            ..StreamConfig::default()
        };
        let consumer = ConsumerConfig {
            name: "c".into(),
            ..ConsumerConfig::default()
        };
        let (mut of_stream, mut of_consumer) = (Vec::new(), Vec::new());
        stream.encode(&mut of_stream);
        consumer.encode(&mut of_consumer);
        for bytes in [&mut of_stream, &mut of_consumer] {
            bytes[0] = 1;
            bytes.pop();
        }
        assert_eq!(StreamConfig::decode(&mut Reader::new(&of_stream)), Ok(stream));
        assert_eq!(
            ConsumerConfig::decode(&mut Reader::new(&of_consumer)),
            Ok(consumer)
        );
    }
}
