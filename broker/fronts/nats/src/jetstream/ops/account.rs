//! `INFO`: what the account uses and may use.

use super::Context;
use crate::jetstream::error::ApiError;
use crate::jetstream::json::info::AccountInfo;

pub(super) async fn info(context: &Context<'_>) -> Result<Option<AccountInfo>, ApiError> {
    let info = context.streams.account_info(context.account);
    let api = context.request.counts.stats(0);
    let mut info = AccountInfo::new(&info, api);
    info.domain = context.domain();
    Ok(Some(info))
}
