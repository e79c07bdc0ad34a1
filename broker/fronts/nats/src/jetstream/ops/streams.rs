//! `STREAM.NAMES`, `LIST`, `INFO`, `DELETE` and `PURGE`.

use mainstem_streams::InfoOptions;
use serde::Serialize;

use super::{Context, LIST_LIMIT, NAMES_LIMIT};
use crate::jetstream::error::ApiError;
use crate::jetstream::json::info::{ClusterInfo, Paged, Shown, StreamInfo, Success};
use crate::jetstream::json::request::{self, List};
use crate::jetstream::now_ns;

/// Subjects in an answer at most.
const SUBJECTS_LIMIT: usize = 100_000;

#[derive(Debug, Default, Serialize)]
pub(super) struct Names {
    #[serde(flatten)]
    paged: Paged,
    /// Not an empty list where there is none.
    streams: Option<Vec<String>>,
}

pub(super) async fn names(context: &Context<'_>) -> Result<Names, ApiError> {
    let list: List = context.read_optional()?;
    let page = context
        .streams
        .stream_names(context.account, list.filter(), list.offset(), NAMES_LIMIT);
    Ok(Names {
        paged: Paged {
            total: page.total,
            offset: page.offset,
            limit: NAMES_LIMIT,
        },
        streams: (!page.items.is_empty()).then(|| page.items.iter().map(ToString::to_string).collect()),
    })
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Streams {
    #[serde(flatten)]
    paged: Paged,
    streams: Vec<StreamInfo>,
}

pub(super) async fn list(context: &Context<'_>) -> Result<Streams, ApiError> {
    let list: List = context.read_optional()?;
    let page = context
        .streams
        .stream_list(context.account, list.filter(), list.offset(), LIST_LIMIT)
        .await?;
    let now_ns = now_ns();
    let show = |info| {
        let mut info = StreamInfo::new(info, Shown::Listed, now_ns);
        info.domain = context.domain();
        info
    };
    Ok(Streams {
        paged: Paged {
            total: page.total,
            offset: page.offset,
            limit: LIST_LIMIT,
        },
        streams: page.items.into_iter().map(show).collect(),
    })
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Info {
    /// Of the subjects, where they are asked for.
    #[serde(flatten)]
    paged: Paged,
    #[serde(flatten)]
    info: Option<StreamInfo>,
}

pub(super) async fn info(context: &Context<'_>, stream: &str) -> Result<Info, ApiError> {
    let options: request::StreamInfo = context.read_optional()?;
    let options = InfoOptions::from(options);
    let info = context
        .streams
        .stream_info(context.account, stream, &options)
        .await?;
    let paged = match &info.subjects {
        Some(page) if page.total > 0 => Paged {
            total: page.total,
            offset: page.offset,
            limit: SUBJECTS_LIMIT,
        },
        _ => Paged::default(),
    };
    let mut info = StreamInfo::new(info, Shown::Versions, now_ns());
    info.domain = context.domain();
    info.cluster = Some(ClusterInfo {
        leader: context.jetstream.front.server_name(),
    });
    Ok(Info {
        paged,
        info: Some(info),
    })
}

pub(super) async fn delete(context: &Context<'_>, stream: &str) -> Result<Success, ApiError> {
    context.expect_empty()?;
    context.streams.delete_stream(context.account, stream).await?;
    Ok(Success::DONE)
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Purged {
    #[serde(flatten)]
    success: Success,
    purged: u64,
}

pub(super) async fn purge(context: &Context<'_>, stream: &str) -> Result<Purged, ApiError> {
    let purge: request::Purge = context.read_optional()?;
    if purge.seq > 0 && purge.keep > 0 {
        return Err(ApiError::bad_request());
    }
    let purged = context
        .streams
        .purge(context.account, stream, purge.into())
        .await?;
    Ok(Purged {
        success: Success::DONE,
        purged,
    })
}
