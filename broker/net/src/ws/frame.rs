//! Frame headers and masking (RFC 6455 section 5.2 and 5.3).

/// Longest payload of a ping, pong or close frame.
pub const MAX_CONTROL_BYTES: usize = 125;
/// Longest header of a masked frame.
pub const MAX_HEADER_BYTES: usize = 14;

pub const FIN: u8 = 0x80;
pub const RSV1: u8 = 0x40;
pub const RSV2: u8 = 0x20;
pub const RSV3: u8 = 0x10;
pub const MASKED: u8 = 0x80;

pub mod opcode {
    pub const CONTINUATION: u8 = 0;
    pub const TEXT: u8 = 1;
    pub const BINARY: u8 = 2;
    pub const CLOSE: u8 = 8;
    pub const PING: u8 = 9;
    pub const PONG: u8 = 10;
}

/// The variable part of a header, behind its first two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub payload_bytes: u64,
    pub mask: Option<[u8; 4]>,
}

/// How many bytes a header has, told by its second byte.
pub fn header_bytes(second: u8) -> usize {
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended + if second & MASKED != 0 { 4 } else { 0 }
}

/// Reads a header of exactly [`header_bytes`] bytes.
pub fn extent(header: &[u8]) -> Extent {
    let masked = header[1] & MASKED != 0;
    let (length, mask) = header[2..].split_at(header.len() - 2 - if masked { 4 } else { 0 });
    let payload_bytes = match length {
        [] => u64::from(header[1] & 0x7f),
        bytes => bytes.iter().fold(0, |len, &byte| len << 8 | u64::from(byte)),
    };
    Extent {
        payload_bytes,
        mask: mask.try_into().ok(),
    }
}

/// Appends the header of a frame from the server: never masked.
pub fn write_header(first: u8, payload_bytes: usize, wire: &mut Vec<u8>) {
    wire.push(first);
    match payload_bytes {
        0..=125 => wire.push(payload_bytes as u8),
        126..=0xffff => {
            wire.push(126);
            wire.extend_from_slice(&(payload_bytes as u16).to_be_bytes());
        }
        _ => {
            wire.push(127);
            wire.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
    }
}

/// Applies the mask to a part of a payload and returns the mask for the part after it.
pub fn unmask(part: &mut [u8], mask: [u8; 4]) -> [u8; 4] {
    let mut wide = [0; 16];
    for (at, byte) in wide.iter_mut().enumerate() {
        *byte = mask[at % 4];
    }
    let wide = u128::from_ne_bytes(wide);
    let (blocks, rest) = part.as_chunks_mut::<16>();
    for block in blocks {
        *block = (u128::from_ne_bytes(*block) ^ wide).to_ne_bytes();
    }
    for (at, byte) in rest.iter_mut().enumerate() {
        *byte ^= mask[at % 4];
    }
    let mut next = mask;
    next.rotate_left(rest.len() % 4);
    next
}
