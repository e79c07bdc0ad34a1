//! Frames from the client to payload bytes.

use std::borrow::Cow;

use super::deflate::Inflater;
use super::frame::{self, FIN, MASKED, MAX_CONTROL_BYTES, MAX_HEADER_BYTES, RSV1, RSV2, RSV3, opcode};
use super::{Progress, WsError, WsOptions, status};

/// A decode call pauses once it has appended so much, so that a small input cannot inflate to an unbounded output.
pub const PAUSE_BYTES: usize = 64 * 1024;
/// How much is inflated at once: deflate grows at most by 1,032, so a call ends at most 528 KiB behind the pause.
const INFLATE_STEP_BYTES: usize = 512;

/// What the peer wants to be answered.
#[derive(Debug)]
pub enum Control<'a> {
    Ping(&'a [u8]),
    /// Answer with this close frame, or with an empty one.
    Close(Option<(u16, Cow<'a, str>)>),
}

/// The state between two reads.
#[derive(Debug)]
pub struct Decoder {
    options: WsOptions,
    header: [u8; MAX_HEADER_BYTES],
    header_len: usize,
    frame: Option<Frame>,
    control: Vec<u8>,
    message: Message,
}

/// The payload that is being read.
#[derive(Clone, Copy, Debug)]
struct Frame {
    first: u8,
    remaining: u64,
    mask: [u8; 4],
}

/// The message that frames are being read of.
#[derive(Debug)]
enum Message {
    None,
    Plain,
    Deflated(Box<Inflater>),
}

impl Decoder {
    pub fn new(options: WsOptions) -> Self {
        Self {
            options,
            header: [0; MAX_HEADER_BYTES],
            header_len: 0,
            frame: None,
            control: Vec::new(),
            message: Message::None,
        }
    }

    /// Takes what was read; `answer` is called for each control frame that wants an answer.
    pub fn decode(
        &mut self,
        raw: &[u8],
        plain: &mut Vec<u8>,
        answer: &mut dyn FnMut(Control<'_>),
    ) -> Result<Progress, WsError> {
        let pause_at = plain.len() + PAUSE_BYTES;
        let mut rest = raw;
        loop {
            let Some(frame) = self.frame else {
                if !self.read_header(&mut rest)? {
                    return Ok(Progress::Done);
                }
                continue;
            };
            if is_control(frame.first) {
                if !self.read_control(frame, &mut rest) {
                    return Ok(Progress::Done);
                }
                if self.finish_control(frame.first, answer)? {
                    return Ok(Progress::Closed);
                }
            } else {
                self.read_payload(frame, &mut rest, plain)?;
                if plain.len() >= pause_at {
                    return Ok(Progress::Paused {
                        used: raw.len() - rest.len(),
                    });
                }
                if self.frame.is_some() && rest.is_empty() {
                    return Ok(Progress::Done);
                }
            }
        }
    }

    /// Collects a header; true once it is whole.
    fn read_header(&mut self, rest: &mut &[u8]) -> Result<bool, WsError> {
        while let Some((&byte, after)) = rest.split_first() {
            self.header[self.header_len] = byte;
            self.header_len += 1;
            *rest = after;
            if self.header_len == 2 {
                self.check(self.header[0], self.header[1])?;
            }
            if self.header_len >= 2 && self.header_len == frame::header_bytes(self.header[1]) {
                return self.begin_frame().map(|()| true);
            }
        }
        Ok(false)
    }

    /// The rules that the first two bytes of a frame must keep.
    fn check(&self, first: u8, second: u8) -> Result<(), WsError> {
        let deflated = first & RSV1 != 0;
        if first & (RSV2 | RSV3) != 0 {
            return Err(WsError::protocol("RSV2 and RSV3 must be clear"));
        }
        if deflated && !self.options.deflate {
            return Err(WsError::protocol(
                "compressed frame received without negotiated permessage-deflate",
            ));
        }
        if second & MASKED == 0 && !self.options.allow_unmasked {
            return Err(WsError::protocol("mask bit missing"));
        }
        match first & 0x0f {
            opcode::CLOSE | opcode::PING | opcode::PONG => check_control(first, second),
            opcode::TEXT | opcode::BINARY if !matches!(self.message, Message::None) => Err(
                WsError::protocol("new message started before final frame for previous message was received"),
            ),
            opcode::CONTINUATION if matches!(self.message, Message::None) || deflated => {
                Err(WsError::protocol("invalid continuation frame"))
            }
            opcode::TEXT | opcode::BINARY | opcode::CONTINUATION => Ok(()),
            unknown => Err(WsError::protocol(format!("unknown opcode {unknown}"))),
        }
    }

    fn begin_frame(&mut self) -> Result<(), WsError> {
        let extent = frame::extent(&self.header[..self.header_len]);
        self.header_len = 0;
        if extent.payload_bytes >> 63 != 0 {
            return Err(WsError::protocol("invalid 64-bit payload length"));
        }
        let first = self.header[0];
        if matches!(first & 0x0f, opcode::TEXT | opcode::BINARY) {
            self.message = if first & RSV1 != 0 {
                Message::Deflated(Box::new(Inflater::new(self.options.max_inflated_bytes)))
            } else {
                Message::Plain
            };
        }
        let mask = extent.mask.unwrap_or_default();
        self.frame = Some(Frame {
            first,
            remaining: extent.payload_bytes,
            mask,
        });
        Ok(())
    }

    /// Collects a control frame's payload; true once it is whole.
    fn read_control(&mut self, mut frame: Frame, rest: &mut &[u8]) -> bool {
        let part = take(rest, frame.remaining, MAX_CONTROL_BYTES);
        let start = self.control.len();
        self.control.extend_from_slice(part);
        frame.mask = frame::unmask(&mut self.control[start..], frame.mask);
        frame.remaining -= part.len() as u64;
        let whole = frame.remaining == 0;
        self.frame = (!whole).then_some(frame);
        whole
    }

    /// Has a control frame answered; true when it was the peer's good-bye.
    fn finish_control(&mut self, first: u8, answer: &mut dyn FnMut(Control<'_>)) -> Result<bool, WsError> {
        let payload = std::mem::take(&mut self.control);
        match first & 0x0f {
            opcode::PING => answer(Control::Ping(&payload)),
            opcode::CLOSE => {
                answer(Control::Close(close_answer(&payload)?));
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }

    /// Takes what is there of a data frame, or a step of it when it is deflated.
    fn read_payload(
        &mut self,
        mut frame: Frame,
        rest: &mut &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(), WsError> {
        match &mut self.message {
            Message::Deflated(inflater) => {
                let part = take(rest, frame.remaining, INFLATE_STEP_BYTES);
                let mut step = [0; INFLATE_STEP_BYTES];
                let step = &mut step[..part.len()];
                step.copy_from_slice(part);
                frame.mask = frame::unmask(step, frame.mask);
                frame.remaining -= part.len() as u64;
                inflater.inflate(step, plain)?;
            }
            _ => {
                let part = take(rest, frame.remaining, usize::MAX);
                let start = plain.len();
                plain.extend_from_slice(part);
                frame.mask = frame::unmask(&mut plain[start..], frame.mask);
                frame.remaining -= part.len() as u64;
            }
        }
        if frame.remaining > 0 {
            self.frame = Some(frame);
            return Ok(());
        }
        self.frame = None;
        if frame.first & FIN != 0
            && let Message::Deflated(inflater) = std::mem::replace(&mut self.message, Message::None)
        {
            inflater.finish(plain)?;
        }
        Ok(())
    }
}

fn is_control(first: u8) -> bool {
    first & 0x08 != 0
}

fn check_control(first: u8, second: u8) -> Result<(), WsError> {
    if usize::from(second & 0x7f) > MAX_CONTROL_BYTES {
        Err(WsError::protocol(format!(
            "control frame length bigger than maximum allowed of {MAX_CONTROL_BYTES} bytes"
        )))
    } else if first & FIN == 0 {
        Err(WsError::protocol("control frame does not have final bit set"))
    } else if first & RSV1 != 0 {
        Err(WsError::protocol("control frame must not be compressed"))
    } else {
        Ok(())
    }
}

/// Splits off at most `limit` bytes of what is left of a payload.
fn take<'a>(rest: &mut &'a [u8], remaining: u64, limit: usize) -> &'a [u8] {
    let len = usize::try_from(remaining)
        .unwrap_or(usize::MAX)
        .min(limit)
        .min(rest.len());
    let (part, after) = rest.split_at(len);
    *rest = after;
    part
}

/// The answer to a close frame: its own status and reason again.
fn close_answer(payload: &[u8]) -> Result<Option<(u16, Cow<'_, str>)>, WsError> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(WsError::protocol("close frame payload cannot be 1 byte")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !is_valid_status(code) {
        return Err(WsError::protocol(format!("invalid close status code {code}")));
    }
    Ok(Some(match std::str::from_utf8(reason) {
        Ok(reason) => (code, reason.into()),
        Err(_) => (status::INVALID_PAYLOAD, "invalid utf8 body in close frame".into()),
    }))
}

/// RFC 6455 section 7.4: some codes never appear in a frame, 1016 to 2999 are reserved.
fn is_valid_status(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
