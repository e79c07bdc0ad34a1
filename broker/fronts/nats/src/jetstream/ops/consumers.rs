//! `CONSUMER.NAMES`, `LIST`, `INFO` and `DELETE`.

use serde::Serialize;

use super::{Context, LIST_LIMIT, NAMES_LIMIT};
use crate::jetstream::error::ApiError;
use crate::jetstream::json::info::{ConsumerInfo, Paged, Shown, Success};
use crate::jetstream::json::request::List;
use crate::jetstream::now_ns;

#[derive(Debug, Default, Serialize)]
pub(super) struct Names {
    #[serde(flatten)]
    paged: Paged,
    consumers: Vec<String>,
}

pub(super) async fn names(context: &Context<'_>, stream: &str) -> Result<Names, ApiError> {
    let list: List = context.read_optional()?;
    let page = context
        .streams
        .consumer_names(context.account, stream, list.offset(), NAMES_LIMIT)?;
    Ok(Names {
        paged: Paged {
            total: page.total,
            offset: page.offset,
            limit: NAMES_LIMIT,
        },
        consumers: page.items.iter().map(ToString::to_string).collect(),
    })
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Consumers {
    #[serde(flatten)]
    paged: Paged,
    consumers: Vec<ConsumerInfo>,
}

pub(super) async fn list(context: &Context<'_>, stream: &str) -> Result<Consumers, ApiError> {
    let list: List = context.read_optional()?;
    let page = context
        .streams
        .consumer_list(context.account, stream, list.offset(), LIST_LIMIT)
        .await?;
    let now_ns = now_ns();
    let show = |info| ConsumerInfo::new(info, Shown::Listed, now_ns);
    Ok(Consumers {
        paged: Paged {
            total: page.total,
            offset: page.offset,
            limit: LIST_LIMIT,
        },
        consumers: page.items.into_iter().map(show).collect(),
    })
}

pub(super) async fn info(
    context: &Context<'_>,
    stream: &str,
    consumer: &str,
) -> Result<Option<ConsumerInfo>, ApiError> {
    context.expect_empty()?;
    let info = context
        .streams
        .consumer_info(context.account, stream, consumer)
        .await?;
    Ok(Some(ConsumerInfo::new(info, Shown::Versions, now_ns())))
}

pub(super) async fn delete(context: &Context<'_>, stream: &str, consumer: &str) -> Result<Success, ApiError> {
    context.expect_empty()?;
    context
        .streams
        .delete_consumer(context.account, stream, consumer)
        .await?;
    Ok(Success::DONE)
}
