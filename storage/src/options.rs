//! How a store behaves.

use crate::env::Env;

/// Sizes and bounds of a store, in bytes.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment of the log is closed at this size. It is what cleaning frees at once, and about what a restart reads.
    pub segment_bytes: u64,
    /// Entries of one group that are written together share frames of at most this size.
    pub frame_bytes: usize,
    /// One synced write carries about this much at most.
    pub batch_bytes: usize,
    /// Recent entries that are kept in RAM, of all groups together. What is not written yet is kept in any case.
    pub tail_bytes: usize,
    /// Frames that were read from disk and are kept in RAM.
    pub cache_bytes: usize,
    /// Blocks of rows that are kept in RAM, their indexes and filters included.
    pub state_cache_bytes: usize,
    /// Written rows are flushed at this size. After a crash, what they stand for is applied again.
    pub state_buffer_bytes: usize,
    /// The share of dead bytes from which on the rest of a segment is copied forward, 0 to 1.
    pub garbage: f64,
    /// What one cleaning copies at most; the next one goes on.
    pub clean_bytes: u64,
    /// Below this many free bytes nothing new is appended. 0 is no mark; else it is at least what closing a segment and
    /// flushing rows may take, see [`Options::mark`].
    pub mark_bytes: u64,
    /// A file of this size is given back when the disk is full, so that what must be written can be.
    pub ballast_bytes: u64,
    /// Opens a store that lost something as if it had not. What is gone stays gone.
    pub accept_loss: bool,
    pub env: Env,
}

impl Options {
    /// The mark that is used.
    pub fn mark(&self) -> u64 {
        let needed = 2 * self.segment_bytes + self.state_buffer_bytes as u64;
        if self.mark_bytes == 0 {
            0
        } else {
            self.mark_bytes.max(needed)
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            frame_bytes: 64 << 10,
            batch_bytes: 4 << 20,
            tail_bytes: 64 << 20,
            cache_bytes: 16 << 20,
            state_cache_bytes: 64 << 20,
            state_buffer_bytes: 16 << 20,
            garbage: 0.5,
            clean_bytes: 256 << 20,
            mark_bytes: 256 << 20,
            ballast_bytes: 96 << 20,
            accept_loss: false,
            env: Env::default(),
        }
    }
}
