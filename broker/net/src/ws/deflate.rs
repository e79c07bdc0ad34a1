//! permessage-deflate without context takeover (RFC 7692): every message is a raw deflate stream of its own.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{WsError, status};

/// What a sync flush ends with; senders leave it out.
const SYNC_TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// Put in its place: an empty block that ends the stream, so that a cut-off message is noticed.
const FINAL_TAIL: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];
/// Least room to inflate into, in bytes.
const MIN_ROOM_BYTES: usize = 4 * 1024;

thread_local! {
    // Deflating state is large (about 300 KiB, inflating 40 KiB) and empty between messages: one a thread serves all
    // its connections.
    static SPARE_DEFLATER: RefCell<Option<Compress>> = const { RefCell::new(None) };
    static SPARE_INFLATER: RefCell<Option<Decompress>> = const { RefCell::new(None) };
}

/// Appends one deflated message. `None` if the compressor fails: send it as it is.
pub fn deflate(plain: &[u8], deflated: &mut Vec<u8>) -> Option<()> {
    let spare = SPARE_DEFLATER.take();
    let mut state = spare.unwrap_or_else(|| Compress::new(Compression::fast(), false));
    let start = deflated.len();
    // Stored blocks are the worst case: 5 bytes for each 16 KiB or less, and the tail.
    deflated.reserve(plain.len() + plain.len() / 1024 + 64);
    loop {
        let used = state.total_in() as usize;
        let status = state
            .compress_vec(plain.get(used..)?, deflated, FlushCompress::Sync)
            .ok()?;
        if status == Status::StreamEnd {
            return None;
        }
        if deflated.len() < deflated.capacity() {
            break;
        }
        deflated.reserve(MIN_ROOM_BYTES);
    }
    state.reset();
    SPARE_DEFLATER.set(Some(state));
    if !deflated[start..].ends_with(&SYNC_TAIL) {
        return None;
    }
    deflated.truncate(deflated.len() - SYNC_TAIL.len());
    Some(())
}

/// Inflates one message, piece by piece.
#[derive(Debug)]
pub struct Inflater {
    state: Decompress,
    inflated_bytes: usize,
    max_bytes: usize,
    ended: bool,
}

impl Inflater {
    /// `max_bytes`: longest inflated message; 0: no bound.
    pub fn new(max_bytes: usize) -> Self {
        let spare = SPARE_INFLATER.take();
        let state = spare.unwrap_or_else(|| Decompress::new(false));
        Self {
            state,
            inflated_bytes: 0,
            max_bytes,
            ended: false,
        }
    }

    /// Inflates all of `part`. What follows the stream's final block is ignored.
    pub fn inflate(&mut self, part: &[u8], plain: &mut Vec<u8>) -> Result<(), WsError> {
        let corrupt = |_| WsError {
            code: status::INVALID_PAYLOAD,
            reason: "corrupt deflated message".into(),
        };
        let mut part = part;
        while !self.ended {
            plain.reserve(MIN_ROOM_BYTES);
            let (used_before, len_before) = (self.state.total_in(), plain.len());
            let outcome = self
                .state
                .decompress_vec(part, plain, FlushDecompress::None)
                .map_err(corrupt)?;
            part = &part[(self.state.total_in() - used_before) as usize..];
            self.inflated_bytes += plain.len() - len_before;
            if self.max_bytes > 0 && self.inflated_bytes > self.max_bytes {
                plain.truncate(plain.len() - (self.inflated_bytes - self.max_bytes));
                return Err(WsError {
                    code: status::TOO_BIG,
                    reason: "inflated message too big".into(),
                });
            }
            self.ended = outcome == Status::StreamEnd;
            let has_room = plain.len() < plain.capacity();
            if has_room && (part.is_empty() || outcome == Status::BufError) {
                break;
            }
        }
        Ok(())
    }

    /// Ends the message.
    pub fn finish(mut self, plain: &mut Vec<u8>) -> Result<(), WsError> {
        self.inflate(&FINAL_TAIL, plain)?;
        if !self.ended {
            return Err(WsError {
                code: status::INVALID_PAYLOAD,
                reason: "cut off deflated message".into(),
            });
        }
        self.state.reset(false);
        SPARE_INFLATER.set(Some(self.state));
        Ok(())
    }
}
