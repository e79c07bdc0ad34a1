//! `CONSUMER.CREATE` in its three forms.

use mainstem_streams::config;

use super::Context;
use crate::jetstream::error::ApiError;
use crate::jetstream::json::consumer::ConsumerConfig;
use crate::jetstream::json::info::{ConsumerInfo, Shown};
use crate::jetstream::json::request::ConsumerCreate;
use crate::jetstream::json::version;
use crate::jetstream::now_ns;
use crate::jetstream::subject::ConsumerSubject;

pub(super) async fn create(
    context: &Context<'_>,
    subject: ConsumerSubject<'_>,
) -> Result<Option<ConsumerInfo>, ApiError> {
    let mut request: ConsumerCreate = context.read()?;
    let stream = stream_of(subject);
    if request.stream_name != stream {
        return Err(ApiError::stream_mismatch());
    }
    name(subject, &mut request.config)?;
    if request.config.num_replicas > 1 {
        return Err(ApiError::replicas_not_supported());
    }
    if let Some(feature) = request.config.unbuilt() {
        return Err(ApiError::consumer_create(format!("{feature} are not supported")));
    }
    let (action, pedantic) = (request.action(), request.pedantic);
    let mut config = config::ConsumerConfig::from(request.config);
    version::mark_consumer(&mut config.metadata);
    let info = context
        .streams
        .create_consumer(context.account, stream, config, action, pedantic)
        .await?;
    Ok(Some(ConsumerInfo::new(info, Shown::Versions, now_ns())))
}

fn stream_of(subject: ConsumerSubject<'_>) -> &str {
    match subject {
        ConsumerSubject::Ephemeral { stream }
        | ConsumerSubject::Durable { stream, .. }
        | ConsumerSubject::Named { stream, .. } => stream,
    }
}

/// Takes the name from the subject, and holds the request to what the subject says.
fn name(subject: ConsumerSubject<'_>, config: &mut ConsumerConfig) -> Result<(), ApiError> {
    let name = match subject {
        ConsumerSubject::Ephemeral { .. } => &config.name,
        ConsumerSubject::Durable { durable, .. } => durable,
        ConsumerSubject::Named { name, .. } => name,
    };
    if name.contains(['/', '\\']) {
        return Err(ApiError::consumer_name_with_separator());
    }
    match subject {
        ConsumerSubject::Ephemeral { .. } if !config.durable_name.is_empty() => {
            return Err(ApiError::ephemeral_with_durable());
        }
        ConsumerSubject::Ephemeral { .. } => {}
        ConsumerSubject::Durable { durable, .. } => {
            if config.durable_name.is_empty() {
                return Err(ApiError::durable_not_set());
            }
            if *config.durable_name != *durable {
                return Err(ApiError::durable_mismatch());
            }
            config.name = durable.into();
        }
        ConsumerSubject::Named { name, filter, .. } => {
            if !config.durable_name.is_empty() && *config.durable_name != *name {
                return Err(ApiError::durable_mismatch());
            }
            config.name = name.into();
            check_filter(filter, config)?;
        }
    }
    Ok(())
}

/// A filter in the subject, by which permissions may go, is the filter.
fn check_filter(filter: Option<&str>, config: &ConsumerConfig) -> Result<(), ApiError> {
    let Some(filter) = filter else { return Ok(()) };
    if !config.filter_subjects.is_empty() {
        return Err(ApiError::filters_in_subject());
    }
    match *config.filter_subject == *filter {
        true => Ok(()),
        false => Err(ApiError::filter_mismatch()),
    }
}
