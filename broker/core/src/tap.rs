//! Taps: who takes the messages of a subject besides its subscriptions, such as a stream or an API.

use std::sync::Arc;

use crate::account::AccountId;
use crate::message::Run;

/// Who published a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub account: AccountId,
    /// The connection's worker; of no meaning where `conn` is 0.
    pub worker: usize,
    /// The connection; 0: the broker itself.
    pub conn: u64,
}

/// Takes the messages of the subjects that its filters match.
pub trait Tap: Send + Sync + 'static {
    /// Takes a run, on the publisher's thread: it must not block. A run counts as delivered to somebody.
    fn take(&self, source: Source, run: &Run<'_>);

    /// More should not come now: whoever publishes is not read from until this is false again.
    fn is_full(&self) -> bool {
        false
    }
}

/// Names a tap at its filter, to take it away again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TapId {
    pub(crate) filter: Box<[u8]>,
    pub(crate) number: u64,
}

/// A tap as the interest keeps it.
#[derive(Clone)]
pub struct TapInterest {
    pub(crate) number: u64,
    pub(crate) tap: Arc<dyn Tap>,
}

/// Adds a tap unless it is there: one that matches through several filters takes a message once.
pub(crate) fn add_once(taps: &mut Vec<Arc<dyn Tap>>, found: &[TapInterest]) {
    for found in found {
        if !taps.iter().any(|have| Arc::ptr_eq(have, &found.tap)) {
            taps.push(Arc::clone(&found.tap));
        }
    }
}
