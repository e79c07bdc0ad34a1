//! `STREAM.CREATE` and `STREAM.UPDATE`.

use mainstem_streams::config;
use serde::Serialize;

use super::Context;
use crate::jetstream::error::ApiError;
use crate::jetstream::json::info::{Shown, StreamInfo};
use crate::jetstream::json::stream::StreamConfig;
use crate::jetstream::json::{is_default, version};
use crate::jetstream::now_ns;

#[derive(Debug, Default, Serialize)]
pub(super) struct Created {
    #[serde(flatten)]
    info: Option<StreamInfo>,
    #[serde(skip_serializing_if = "is_default")]
    did_create: bool,
}

pub(super) async fn create(context: &Context<'_>, stream: &str) -> Result<Created, ApiError> {
    let json: StreamConfig = context.read()?;
    check_name(stream, &json)?;
    if stream.contains(['/', '\\']) {
        return Err(ApiError::stream_name_with_separator());
    }
    if json.sealed {
        return Err(ApiError::invalid_stream(
            "stream configuration for create can not be sealed",
        ));
    }
    if json.mirror_direct && !json.is_mirror() {
        return Err(ApiError::invalid_stream(
            "stream has no mirror but does have mirror direct",
        ));
    }
    let pedantic = json.pedantic;
    let config = checked(json)?;
    let info = context
        .streams
        .create_stream(context.account, config, pedantic)
        .await?;
    Ok(Created {
        info: Some(StreamInfo::new(info, Shown::Versions, now_ns())),
        did_create: true,
    })
}

pub(super) async fn update(context: &Context<'_>, stream: &str) -> Result<Option<StreamInfo>, ApiError> {
    let json: StreamConfig = context.read()?;
    check_name(stream, &json)?;
    let pedantic = json.pedantic;
    let config = checked(json)?;
    let info = context
        .streams
        .update_stream(context.account, config, pedantic)
        .await?;
    let mut info = StreamInfo::new(info, Shown::Versions, now_ns());
    info.domain = context.domain();
    Ok(Some(info))
}

fn check_name(stream: &str, json: &StreamConfig) -> Result<(), ApiError> {
    match *json.name == *stream {
        true => Ok(()),
        false => Err(ApiError::stream_mismatch()),
    }
}

/// What is not built is refused, never left out.
fn checked(json: StreamConfig) -> Result<config::StreamConfig, ApiError> {
    if let Some(feature) = json.unbuilt() {
        return Err(ApiError::invalid_stream(format!("{feature} are not supported")));
    }
    if json.num_replicas > 1 {
        return Err(ApiError::replicas_not_supported());
    }
    let mut config = config::StreamConfig::from(json);
    version::mark_stream(&mut config);
    Ok(config)
}
