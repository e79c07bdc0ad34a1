//! Which of some thousand consecutive sequences were removed.

use super::{InvalidRow, Kind, of_stream, with_number};
use crate::command::StreamId;

/// Sequences of a row; few in tests, so that there are many rows.
pub(crate) const SEQS: u64 = if cfg!(test) { 128 } else { 4096 };
const WORDS: usize = (SEQS / 64) as usize;

/// A bit for each sequence; set: removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bits(Box<[u64; WORDS]>);

pub(crate) fn key(group: u32, stream: StreamId, block: u64) -> Vec<u8> {
    with_number(of_stream(group, Kind::Deleted, stream), block)
}

pub(crate) fn block_of(key: &[u8]) -> Option<u64> {
    super::number_at_end(key)
}

impl Bits {
    pub(crate) fn new() -> Self {
        Self(Box::new([0; WORDS]))
    }

    pub(crate) fn set(&mut self, offset: u64) {
        self.0[(offset / 64) as usize] |= 1 << (offset % 64);
    }

    /// All of the 64 around `offset` were removed.
    pub(crate) fn is_word_full(&self, offset: u64) -> bool {
        self.0[(offset / 64) as usize] == u64::MAX
    }

    /// The first at or after `offset` that was not removed.
    pub(crate) fn next_clear(&self, offset: u64) -> Option<u64> {
        if offset >= SEQS {
            return None;
        }
        let mut word = (offset / 64) as usize;
        let mut clear = !self.0[word] & (u64::MAX << (offset % 64));
        while clear == 0 {
            word += 1;
            clear = !*self.0.get(word)?;
        }
        Some(word as u64 * 64 + u64::from(clear.trailing_zeros()))
    }

    /// Which from `from` to before `to` were removed.
    pub(crate) fn each(&self, from: u64, to: u64) -> impl Iterator<Item = u64> {
        let words = self.0.iter().zip(0_u64..);
        let all = words.flat_map(|(bits, word)| {
            let rest = |bits: &u64| Some(bits & (bits - 1)).filter(|rest| *rest != 0);
            let lowest = std::iter::successors(Some(*bits).filter(|bits| *bits != 0), rest);
            lowest.map(move |bits| word * 64 + u64::from(bits.trailing_zeros()))
        });
        all.skip_while(move |offset| *offset < from)
            .take_while(move |offset| *offset < to)
    }

    /// How many from `from` to before `to` were removed.
    pub(crate) fn count(&self, from: u64, to: u64) -> u64 {
        (from / 64..to.div_ceil(64))
            .map(|word| {
                let mut bits = self.0[word as usize];
                if word == from / 64 {
                    bits &= u64::MAX << (from % 64);
                }
                if word == to / 64 {
                    bits &= (1 << (to % 64)) - 1;
                }
                u64::from(bits.count_ones())
            })
            .sum()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = super::value();
        let full = self.0.iter().all(|word| *word == u64::MAX);
        if !full {
            for word in self.0.iter() {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, InvalidRow> {
        let mut reader = super::read_value(value)?;
        if reader.is_empty() {
            return Ok(Self(Box::new([u64::MAX; WORDS])));
        }
        let mut bits = Self::new();
        for word in bits.0.iter_mut() {
            *word = reader.u64()?;
        }
        Ok(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn as_a_set(removed: BTreeSet<u16>, all: bool, from in 0..SEQS, len in 0..SEQS) {
            let mut removed: BTreeSet<u64> = removed.iter().map(|offset| u64::from(*offset) % SEQS).collect();
            if all {
                removed = (0..SEQS).collect();
            }
            let mut bits = Bits::new();
            removed.iter().for_each(|offset| bits.set(*offset));
            prop_assert_eq!(&Bits::decode(&bits.encode()).unwrap(), &bits);
            prop_assert_eq!(bits.next_clear(from), (from..SEQS).find(|offset| !removed.contains(offset)));
            let to = (from + len).min(SEQS);
            prop_assert_eq!(bits.count(from, to), removed.range(from..to).count() as u64);
            prop_assert!(bits.each(from, to).eq(removed.range(from..to).copied()));
        }
    }
}
