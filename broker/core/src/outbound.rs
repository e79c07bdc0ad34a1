//! Bytes that wait to be written to one connection.
//!
//! Small messages are copied into a tail buffer; large bodies, and blocks that many connections share, stay
//! reference-counted [`Bytes`] between them. Writing takes them all as one vectored write.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// A tail that grew to this size is sealed and a new one begins.
const TAIL_BYTES: usize = 64 << 10;
/// Slices of one vectored write.
pub const MAX_SLICES: usize = 64;

/// The queue of one connection.
#[derive(Default)]
pub struct Outbound {
    sealed: VecDeque<Chunk>,
    tail: Vec<u8>,
    /// Bytes of the first chunk (the tail when nothing is sealed) that are written.
    written: usize,
    pending: usize,
}

enum Chunk {
    Owned(Vec<u8>),
    Shared(Bytes),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Outbound {
    /// Bytes not written yet.
    #[inline]
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Appends whatever `write` appends.
    #[inline]
    pub fn append(&mut self, pool: &mut BufferPool, write: impl FnOnce(&mut Vec<u8>)) {
        if self.tail.len() >= TAIL_BYTES {
            self.seal();
        }
        if self.tail.capacity() == 0 {
            self.tail = pool.take();
        }
        let before = self.tail.len();
        write(&mut self.tail);
        self.pending += self.tail.len() - before;
    }

    /// Appends bytes that stay where they are.
    pub fn append_shared(&mut self, bytes: Bytes) {
        self.seal();
        self.pending += bytes.len();
        self.sealed.push_back(Chunk::Shared(bytes));
    }

    fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        // A few bytes must not hold a large buffer while they wait.
        if self.tail.len() * 4 < self.tail.capacity() && !(self.sealed.is_empty() && self.written > 0) {
            self.sealed.push_back(Chunk::Owned(self.tail.as_slice().to_vec()));
            self.tail.clear();
        } else {
            self.sealed
                .push_back(Chunk::Owned(std::mem::take(&mut self.tail)));
        }
    }

    /// The next bytes to write, as up to [`MAX_SLICES`] slices.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        let mut skip = self.written;
        let mut count = 0;
        let chunks = self.sealed.iter().map(Chunk::bytes).chain([&self.tail[..]]);
        for (chunk, slice) in chunks.zip(slices.iter_mut()) {
            if chunk.len() > skip {
                *slice = IoSlice::new(&chunk[skip..]);
                count += 1;
            }
            skip = 0;
        }
        count
    }

    /// The first contiguous bytes to write.
    pub fn front(&self) -> &[u8] {
        let chunk = self.sealed.front().map_or(&self.tail[..], Chunk::bytes);
        &chunk[self.written.min(chunk.len())..]
    }

    /// `count` bytes were written.
    pub fn advance(&mut self, count: usize, pool: &mut BufferPool) {
        self.pending -= count;
        self.written += count;
        while let Some(first) = self.sealed.front() {
            let len = first.bytes().len();
            if self.written < len {
                return;
            }
            self.written -= len;
            if let Some(Chunk::Owned(buffer)) = self.sealed.pop_front() {
                pool.give(buffer);
            }
        }
        if self.written == self.tail.len() {
            self.written = 0;
            pool.give(std::mem::take(&mut self.tail));
        }
        if self.sealed.is_empty() && self.sealed.capacity() > 64 {
            self.sealed = VecDeque::new();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Buffers of one worker that wait for their next use, so that idle connections hold none and busy ones find
/// them warm.
pub struct BufferPool {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// Bytes that a pool keeps at most.
const POOL_BYTES: usize = 8 << 20;
/// A buffer larger than this is freed instead.
const KEEP_BYTES: usize = 256 << 10;

impl BufferPool {
    pub fn new() -> Self {
        Self {
            buffers: Vec::new(),
            bytes: 0,
        }
    }

    /// An empty buffer, with room where one was waiting.
    #[inline]
    pub fn take(&mut self) -> Vec<u8> {
        match self.buffers.pop() {
            Some(buffer) => {
                self.bytes -= buffer.capacity();
                buffer
            }
            None => Vec::with_capacity(1024),
        }
    }

    /// Gives a buffer back.
    #[inline]
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity == 0 || capacity > KEEP_BYTES || self.bytes + capacity > POOL_BYTES {
            return;
        }
        buffer.clear();
        self.bytes += capacity;
        self.buffers.push(buffer);
    }
}

impl Default for BufferPool {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_come_out_in_order(
            parts in proptest::collection::vec((0usize..90_000, any::<bool>()), 0..8),
            steps in proptest::collection::vec(1usize..100_000, 0..40),
        ) {
            let (mut out, mut pool) = (Outbound::default(), BufferPool::new());
            let (mut expected, mut seen) = (Vec::new(), Vec::new());
            let mut steps = steps.into_iter();
            for (index, (len, shared)) in parts.into_iter().enumerate() {
                let part = vec![index as u8; len];
                expected.extend_from_slice(&part);
                if shared {
                    out.append_shared(Bytes::from(part));
                } else {
                    out.append(&mut pool, |tail| tail.extend_from_slice(&part));
                }
                write_some(&mut out, &mut pool, &mut seen, steps.next());
            }
            while out.pending() > 0 {
                write_some(&mut out, &mut pool, &mut seen, steps.next().or(Some(usize::MAX)));
            }
            prop_assert_eq!(seen, expected);
        }
    }

    fn write_some(out: &mut Outbound, pool: &mut BufferPool, seen: &mut Vec<u8>, at_most: Option<usize>) {
        let Some(mut left) = at_most else { return };
        let before = seen.len();
        {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = out.slices(&mut slices);
            for slice in &slices[..count] {
                let take = left.min(slice.len());
                seen.extend_from_slice(&slice[..take]);
                left -= take;
            }
        }
        out.advance(seen.len() - before, pool);
    }
}
