//! What nats-server notes in the metadata of streams and consumers: the API level that one needs, which is stored, and
//! its own version and level, which are only shown.

use mainstem_streams::config::{Metadata, PersistMode, StreamConfig};

use crate::front::NATS_VERSION;

/// Level of the API that is served.
pub const API_LEVEL: u32 = 4;

const REQUIRED: &str = "_nats.req.level";
const VERSION: &str = "_nats.ver";
const LEVEL: &str = "_nats.level";

/// Notes the level that a stream needs. What only answers show is taken out.
pub(crate) fn mark_stream(config: &mut StreamConfig) {
    let required = match config.persist_mode {
        PersistMode::Default => "0",
        PersistMode::Async => "2",
    };
    mark(&mut config.metadata, required);
}

/// Notes the level that a consumer needs: what is built needs none.
pub(crate) fn mark_consumer(metadata: &mut Metadata) {
    mark(metadata, "0");
}

fn mark(metadata: &mut Metadata, required: &str) {
    metadata.remove(VERSION);
    metadata.remove(LEVEL);
    metadata.insert(REQUIRED.into(), required.into());
}

/// Adds what only answers show.
pub(crate) fn show(metadata: &mut Metadata) {
    metadata.insert(VERSION.into(), NATS_VERSION.into());
    metadata.insert(LEVEL.into(), API_LEVEL.to_string().into());
}
