//! `STREAM.MSG.GET` and `STREAM.MSG.DELETE`.

use serde::Serialize;

use super::Context;
use crate::jetstream::error::ApiError;
use crate::jetstream::json::info::{StoredMessage, Success};
use crate::jetstream::json::request::{MessageDelete, MessageGet};

#[derive(Debug, Default, Serialize)]
pub(super) struct Message {
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<StoredMessage>,
}

pub(super) async fn get(context: &Context<'_>, stream: &str) -> Result<Message, ApiError> {
    context.expect_body()?;
    let get: MessageGet = context.read()?;
    let several = get.batch > 0 || get.max_bytes > 0;
    let one = MessageGet {
        multi_last: Vec::new(),
        ..get.clone()
    };
    if several || get.is_contradictory() || !one.is_set() {
        return Err(ApiError::bad_request());
    }
    let message = context
        .streams
        .get_message(context.account, stream, get.one())
        .await?;
    Ok(Message {
        message: Some(StoredMessage::new(message, !get.no_hdr)),
    })
}

pub(super) async fn delete(context: &Context<'_>, stream: &str) -> Result<Success, ApiError> {
    context.expect_body()?;
    let delete: MessageDelete = context.read()?;
    context
        .streams
        .delete_message(context.account, stream, delete.seq, !delete.no_erase)
        .await?;
    Ok(Success::DONE)
}
