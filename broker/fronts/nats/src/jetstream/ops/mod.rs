//! The operations of the API, one file a family.

mod account;
mod consumer_create;
mod consumers;
mod messages;
mod stream_create;
mod streams;

use std::sync::Arc;

use mainstem_streams::Streams;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::JetStream;
use super::api::Request;
use super::error::ApiError;
use super::json::{self, info::Success};
use super::subject::Op;

/// Names in an answer at most.
const NAMES_LIMIT: usize = 1024;
/// Details in an answer at most.
const LIST_LIMIT: usize = 256;

/// An answer, as it goes out.
pub(crate) struct Answer {
    /// `None`: nothing is known that could be answered.
    pub(crate) json: Option<Vec<u8>>,
    pub(crate) failed: bool,
}

/// What an operation works with.
struct Context<'a> {
    jetstream: &'a JetStream,
    streams: &'a Streams,
    account: &'a str,
    request: &'a Request,
}

impl Context<'_> {
    fn body(&self) -> &[u8] {
        &self.request.body
    }

    fn read<Body: DeserializeOwned + Default>(&self) -> Result<Body, ApiError> {
        json::read(self.body(), self.jetstream.config.strict)
    }

    /// A body that is none of JSON counts as nothing.
    fn read_optional<Body: DeserializeOwned + Default>(&self) -> Result<Body, ApiError> {
        json::read_optional(self.body(), self.jetstream.config.strict)
    }

    fn expect_empty(&self) -> Result<(), ApiError> {
        match json::is_empty(self.body()) {
            true => Ok(()),
            false => Err(ApiError::not_empty()),
        }
    }

    fn expect_body(&self) -> Result<(), ApiError> {
        match json::is_empty(self.body()) {
            true => Err(ApiError::bad_request()),
            false => Ok(()),
        }
    }

    fn domain(&self) -> Option<Box<str>> {
        self.jetstream.config.domain.clone()
    }
}

/// Does what a request asks for.
pub(crate) async fn answer(jetstream: &Arc<JetStream>, request: &Request) -> Answer {
    let (streams, op) = (jetstream.streams(), Op::parse(&request.subject));
    let (Some(streams), Some(op)) = (streams, op) else {
        return finish::<Success>("system", &Err(ApiError::bad_request()));
    };
    let context = Context {
        jetstream,
        streams: &streams,
        account: &request.account.name,
        request,
    };
    run(op, &context).await
}

async fn run(op: Op<'_>, context: &Context<'_>) -> Answer {
    match op {
        Op::AccountInfo => checked("account_info", context, account::info(context)).await,
        Op::StreamCreate { stream } => {
            checked("stream_create", context, stream_create::create(context, stream)).await
        }
        Op::StreamUpdate { stream } => {
            checked("stream_update", context, stream_create::update(context, stream)).await
        }
        Op::StreamNames => checked("stream_names", context, streams::names(context)).await,
        Op::StreamList => checked("stream_list", context, streams::list(context)).await,
        Op::StreamInfo { stream } => checked("stream_info", context, streams::info(context, stream)).await,
        Op::StreamDelete { stream } => {
            checked("stream_delete", context, streams::delete(context, stream)).await
        }
        Op::StreamPurge { stream } => checked("stream_purge", context, streams::purge(context, stream)).await,
        Op::MessageGet { stream } => checked("stream_msg_get", context, messages::get(context, stream)).await,
        Op::MessageDelete { stream } => {
            checked("stream_msg_delete", context, messages::delete(context, stream)).await
        }
        Op::ConsumerCreate(subject) => {
            checked(
                "consumer_create",
                context,
                consumer_create::create(context, subject),
            )
            .await
        }
        Op::ConsumerNames { stream } => {
            checked("consumer_names", context, consumers::names(context, stream)).await
        }
        Op::ConsumerList { stream } => {
            checked("consumer_list", context, consumers::list(context, stream)).await
        }
        Op::ConsumerInfo { stream, consumer } => {
            checked(
                "consumer_info",
                context,
                consumers::info(context, stream, consumer),
            )
            .await
        }
        Op::ConsumerDelete { stream, consumer } => {
            checked(
                "consumer_delete",
                context,
                consumers::delete(context, stream, consumer),
            )
            .await
        }
        // These never wait with the others.
        Op::Next { .. } | Op::DirectGet { .. } | Op::DirectGetLast { .. } => {
            finish::<Success>("system", &Err(ApiError::bad_request()))
        }
    }
}

/// Runs an operation, unless the request may not have it.
async fn checked<Body: Serialize + Default>(
    kind: &str,
    context: &Context<'_>,
    operation: impl Future<Output = Result<Body, ApiError>>,
) -> Answer {
    let result = if context.request.too_new {
        Err(ApiError::required_api_level())
    } else if !context.request.enabled {
        Err(ApiError::not_enabled_for_account())
    } else {
        operation.await
    };
    finish(kind, &result)
}

fn finish<Body: Serialize + Default>(kind: &str, result: &Result<Body, ApiError>) -> Answer {
    let answered = result.as_ref().err().is_none_or(ApiError::is_answered);
    Answer {
        json: answered.then(|| json::answer(kind, result)),
        failed: result.is_err(),
    }
}
