//! Which stream configurations are good, and what may change.

use std::time::Duration;

use super::{
    Discard, MAX_DESCRIPTION_BYTES, MAX_METADATA_BYTES, MAX_NAME_BYTES, PersistMode, Retention, Storage,
    StreamConfig, is_valid_name, metadata_bytes,
};
use crate::error::Error;
use crate::machine::MAX_SEQ;
use crate::matching;

const DEFAULT_DUPLICATE_WINDOW_NS: i64 = Duration::from_secs(120).as_nanos() as i64;
const SHORTEST_NS: i64 = Duration::from_millis(100).as_nanos() as i64;
const MAX_REPLICAS: i32 = 5;

/// What a node and an account allow a stream. 0: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamLimits {
    pub max_duplicate_window_ns: i64,
    /// Largest `max_bytes`.
    pub max_stream_bytes: i64,
    /// Streams have to set `max_bytes`.
    pub max_bytes_required: bool,
}

fn invalid<T>(reason: impl Into<std::borrow::Cow<'static, str>>) -> Result<T, Error> {
    Err(Error::InvalidStream(reason.into()))
}

fn pedantic_error<T>(reason: &'static str) -> Result<T, Error> {
    Err(Error::Pedantic(reason.into()))
}

impl StreamConfig {
    /// Checks the configuration and fills in what is not set. `pedantic`: what would be changed is an error.
    pub fn validate(&mut self, limits: &StreamLimits, pedantic: bool) -> Result<(), Error> {
        self.check_names()?;
        self.fill_replicas()?;
        self.fill_limits(pedantic)?;
        self.fill_times(limits, pedantic)?;
        self.check_policies()?;
        if self.first_seq > MAX_SEQ {
            return invalid(format!("first sequence must be at most {MAX_SEQ}"));
        }
        self.fill_subjects()?;
        if limits.max_bytes_required && self.max_bytes <= 0 {
            return Err(Error::MaxBytesRequired);
        }
        if limits.max_stream_bytes > 0 && self.max_bytes > limits.max_stream_bytes {
            return Err(Error::MaxStreamBytesExceeded);
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), Error> {
        if !is_valid_name(&self.name) {
            return invalid("stream name is required and can not contain '.', '*', '>', '\\', '/'");
        }
        if self.name.len() > MAX_NAME_BYTES {
            return invalid(format!(
                "stream name is too long, maximum allowed is {MAX_NAME_BYTES}"
            ));
        }
        if self.description.len() > MAX_DESCRIPTION_BYTES {
            return invalid(format!(
                "stream description is too long, maximum allowed is {MAX_DESCRIPTION_BYTES}"
            ));
        }
        if metadata_bytes(&self.metadata) > MAX_METADATA_BYTES {
            return invalid(format!(
                "stream metadata exceeds maximum size of {MAX_METADATA_BYTES} bytes"
            ));
        }
        Ok(())
    }

    fn fill_replicas(&mut self) -> Result<(), Error> {
        if self.num_replicas == 0 {
            self.num_replicas = 1;
        }
        if self.num_replicas > MAX_REPLICAS {
            return invalid(format!("maximum replicas is {MAX_REPLICAS}"));
        }
        if self.num_replicas < 0 {
            return Err(Error::ReplicasNegative);
        }
        Ok(())
    }

    fn fill_limits(&mut self, pedantic: bool) -> Result<(), Error> {
        no_limit(&mut self.max_msgs, "max_msgs must be set to -1", pedantic)?;
        no_limit(
            &mut self.max_msgs_per_subject,
            "max_msgs_per_subject must be set to -1",
            pedantic,
        )?;
        no_limit(&mut self.max_bytes, "max_bytes must be set to -1", pedantic)?;
        let mut max_msg_size = i64::from(self.max_msg_size);
        no_limit(&mut max_msg_size, "max_msg_size must be set to -1", pedantic)?;
        self.max_msg_size = self.max_msg_size.max(-1);
        if max_msg_size == -1 {
            self.max_msg_size = -1;
        }
        no_limit(
            &mut self.max_consumers,
            "max_consumers must be set to -1",
            pedantic,
        )
    }

    fn fill_times(&mut self, limits: &StreamLimits, pedantic: bool) -> Result<(), Error> {
        if self.max_age_ns < 0 {
            return invalid("max age can not be negative");
        }
        if self.max_age_ns != 0 && self.max_age_ns < SHORTEST_NS {
            return invalid("max age needs to be >= 100ms");
        }
        let limit_ns = limits.max_duplicate_window_ns;
        if self.duplicate_window_ns == 0 {
            self.duplicate_window_ns = self.default_window(limit_ns, pedantic)?;
        }
        let window_ns = self.duplicate_window_ns;
        if window_ns < 0 {
            return invalid("duplicates window can not be negative");
        }
        if self.max_age_ns != 0 && window_ns > self.max_age_ns {
            return invalid("duplicates window can not be larger then max age");
        }
        if limit_ns > 0 && window_ns > limit_ns {
            return invalid(format!(
                "duplicates window can not be larger then server limit of {:?}",
                Duration::from_nanos(limit_ns.unsigned_abs())
            ));
        }
        if window_ns < SHORTEST_NS {
            return invalid("duplicates window needs to be >= 100ms");
        }
        Ok(())
    }

    fn default_window(&self, limit_ns: i64, pedantic: bool) -> Result<i64, Error> {
        let mut window_ns = DEFAULT_DUPLICATE_WINDOW_NS;
        if limit_ns > 0 && window_ns > limit_ns {
            if pedantic {
                return pedantic_error("duplicate window limits are higher than current limits");
            }
            window_ns = limit_ns;
        }
        if self.max_age_ns != 0 && self.max_age_ns < window_ns {
            if pedantic {
                return pedantic_error("duplicate window cannot be bigger than max age");
            }
            window_ns = self.max_age_ns;
        }
        Ok(window_ns)
    }

    fn check_policies(&self) -> Result<(), Error> {
        if self.deny_purge && self.allow_rollup {
            return invalid("roll-ups require the purge permission");
        }
        if self.discard_new_per_subject {
            if self.discard != Discard::New {
                return invalid("discard new per subject requires discard new policy to be set");
            }
            if self.max_msgs_per_subject <= 0 {
                return invalid("discard new per subject requires max msgs per subject > 0");
            }
        }
        if self.persist_mode == PersistMode::Async {
            if self.storage != Storage::File {
                return invalid("async persist mode is only supported on file storage");
            }
            if self.num_replicas > 1 {
                return invalid("async persist mode is not supported on replicated streams");
            }
        }
        Ok(())
    }

    fn fill_subjects(&mut self) -> Result<(), Error> {
        if self.subjects.is_empty() {
            self.subjects.push(self.name.clone());
            return Ok(());
        }
        for (at, subject) in self.subjects.iter().enumerate() {
            let bytes = subject.as_bytes();
            if !matching::is_valid_filter(bytes) {
                return invalid("invalid subject");
            }
            if !self.no_ack {
                self.check_reserved(bytes)?;
            }
            if let Some(other) = self.subjects[at + 1..]
                .iter()
                .find(|other| matching::collide(other.as_bytes(), bytes))
            {
                return invalid(format!("subject {subject:?} overlaps with {other:?}"));
            }
        }
        Ok(())
    }

    fn check_reserved(&self, subject: &[u8]) -> Result<(), Error> {
        if subject == b">" {
            return invalid("capturing all subjects requires no-ack to be true");
        }
        let api = [&b"$JS.>"[..], b"$JSC.>", b"$NRG.>"];
        if api.iter().any(|space| matching::collide(subject, space))
            && !matching::is_subset(subject, b"$JS.EVENT.>")
        {
            return invalid("subjects that overlap with jetstream api require no-ack to be true");
        }
        if matching::collide(subject, b"$SYS.>") && !matching::is_subset(subject, b"$SYS.ACCOUNT.>") {
            return invalid("subjects that overlap with system api require no-ack to be true");
        }
        Ok(())
    }
}

/// 0 and what is below -1 become -1: no limit.
fn no_limit(value: &mut i64, reason: &'static str, pedantic: bool) -> Result<(), Error> {
    if pedantic && *value < -1 {
        return pedantic_error(reason);
    }
    if *value == 0 || *value < -1 {
        *value = -1;
    }
    Ok(())
}

/// Whether a stream may change from `old` to `new`, which is [valid](StreamConfig::validate). Fills in what a sealed
/// stream implies.
pub fn check_stream_update(old: &StreamConfig, new: &mut StreamConfig) -> Result<(), Error> {
    if new.name != old.name {
        return invalid("stream configuration name must match original");
    }
    if new.storage != old.storage {
        return invalid("stream configuration update can not change storage type");
    }
    let work_queue = [old.retention, new.retention].contains(&Retention::WorkQueue);
    if new.retention != old.retention && work_queue {
        return invalid("stream configuration update can not change retention policy to/from workqueue");
    }
    if old.sealed && !new.sealed {
        return invalid("stream configuration update can not unseal a sealed stream");
    }
    if old.deny_delete && !new.deny_delete {
        return invalid("stream configuration update can not cancel deny message deletes");
    }
    if old.deny_purge && !new.deny_purge {
        return invalid("stream configuration update can not cancel deny purge");
    }
    if old.persist_mode != new.persist_mode {
        return invalid("stream configuration update can not change persist mode");
    }
    if new.sealed {
        new.max_age_ns = 0;
        new.discard = Discard::New;
        new.deny_delete = true;
        new.deny_purge = true;
        new.allow_rollup = false;
    }
    Ok(())
}
