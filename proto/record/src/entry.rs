//! Entries: batches of commands.
//!
//! `[version u8][flags u8][0 u16][count u32][timestamp ns u64][commands ...][offsets: count x u32]`, little-endian; an
//! offset is where a command begins, counted from the start of the entry. A command is its kind, one byte, and a body.
//! It ends where the next one begins; one of no bytes was left out by [`strip`]. Commands are known by their *ordinal*, which
//! stripping does not change.

use std::ops::Range;

use bytes::Bytes;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 16;
const OFFSET_BYTES: usize = 4;
const ROOM_BYTES: usize = 32;

/// Bytes of an entry besides its commands: so many, and four for each command.
pub const ENTRY_OVERHEAD: usize = HEADER_BYTES;

/// Why bytes are not an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEntry {
    #[error("entry version {0} is not known")]
    Version(u8),
    #[error("the entry's table of commands is not valid")]
    Table,
}

/// Collects commands into an entry.
#[derive(Debug)]
pub struct EntryBuilder {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
}

impl EntryBuilder {
    /// The timestamp is that of all messages in the entry, in nanoseconds since the Unix epoch.
    pub fn new(timestamp_ns: u64) -> Self {
        Self::with_capacity(timestamp_ns, 0)
    }

    /// The same, with room for that many bytes of commands.
    pub fn with_capacity(timestamp_ns: u64, bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(HEADER_BYTES + bytes);
        buffer.resize(HEADER_BYTES, 0);
        buffer[0] = VERSION;
        buffer[8..].copy_from_slice(&timestamp_ns.to_le_bytes());
        Self {
            bytes: buffer,
            offsets: Vec::new(),
        }
    }

    /// Adds a command that is already encoded.
    pub fn push(&mut self, command: &[u8]) {
        self.push_with(|out| out.extend_from_slice(command));
    }

    /// Adds a command that `encode` appends to the buffer.
    pub fn push_with(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        self.offsets.push(self.bytes.len() as u32);
        encode(&mut self.bytes);
    }

    /// Commands so far.
    pub fn count(&self) -> usize {
        self.offsets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Bytes that the entry has if it ends here.
    pub fn entry_bytes(&self) -> usize {
        self.bytes.len() + self.offsets.len() * OFFSET_BYTES
    }

    /// The entry. Its buffer has a little room behind it, for what a log puts there.
    pub fn finish(mut self) -> Bytes {
        self.bytes[4..8].copy_from_slice(&(self.offsets.len() as u32).to_le_bytes());
        self.bytes
            .reserve_exact(self.offsets.len() * OFFSET_BYTES + ROOM_BYTES);
        for offset in &self.offsets {
            self.bytes.extend_from_slice(&offset.to_le_bytes());
        }
        self.bytes.into()
    }
}

/// Finds commands in an entry.
#[derive(Clone, Copy, Debug)]
pub struct EntryReader<'a> {
    bytes: &'a [u8],
    count: usize,
    /// Where the offsets begin.
    table: usize,
}

impl<'a> EntryReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Self, InvalidEntry> {
        if bytes.len() < HEADER_BYTES {
            return Err(InvalidEntry::Table);
        }
        if bytes[0] != VERSION {
            return Err(InvalidEntry::Version(bytes[0]));
        }
        let count = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
        let table = count
            .checked_mul(OFFSET_BYTES)
            .and_then(|table_bytes| bytes.len().checked_sub(table_bytes))
            .filter(|table| *table >= HEADER_BYTES)
            .ok_or(InvalidEntry::Table)?;
        Ok(Self { bytes, count, table })
    }

    /// Commands, those that were left out included.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn timestamp_ns(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.bytes[8..16]);
        u64::from_le_bytes(bytes)
    }

    /// Where in the entry a command is. Empty: it was left out. `None`: there is none.
    #[inline]
    pub fn range(&self, ordinal: usize) -> Option<Range<usize>> {
        let from = self.offset(ordinal)?;
        let to = self.offset(ordinal + 1).unwrap_or(self.table);
        (from >= HEADER_BYTES && from <= to && to <= self.table).then_some(from..to)
    }

    /// A command. Empty: it was left out. `None`: there is none.
    #[inline]
    pub fn command(&self, ordinal: usize) -> Option<&'a [u8]> {
        self.range(ordinal).map(|range| &self.bytes[range])
    }

    #[inline]
    fn offset(&self, ordinal: usize) -> Option<usize> {
        if ordinal >= self.count {
            return None;
        }
        let at = self.table + ordinal * OFFSET_BYTES;
        let bytes = self.bytes.get(at..at + OFFSET_BYTES)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
    }
}

/// The entry without the commands that `is_needed` does not want; `None`: it wants none.
pub fn strip(
    entry: &[u8],
    mut is_needed: impl FnMut(usize, &[u8]) -> bool,
) -> Result<Option<Bytes>, InvalidEntry> {
    let reader = EntryReader::new(entry)?;
    let mut builder = EntryBuilder::new(reader.timestamp_ns());
    let mut needed = false;
    for ordinal in 0..reader.count() {
        let command = reader.command(ordinal).ok_or(InvalidEntry::Table)?;
        if !command.is_empty() && is_needed(ordinal, command) {
            builder.push(command);
            needed = true;
        } else {
            builder.push(&[]);
        }
    }
    Ok(needed.then(|| builder.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn build(commands: &[Vec<u8>], timestamp_ns: u64) -> Bytes {
        let mut builder = EntryBuilder::new(timestamp_ns);
        for command in commands {
            builder.push(command);
        }
        let bytes = builder.entry_bytes();
        let entry = builder.finish();
        assert_eq!(entry.len(), bytes);
        entry
    }

    proptest! {
        #[test]
        fn commands_are_found_by_ordinal(commands: Vec<Vec<u8>>, timestamp_ns: u64) {
            let entry = build(&commands, timestamp_ns);
            let reader = EntryReader::new(&entry).unwrap();
            prop_assert_eq!(reader.timestamp_ns(), timestamp_ns);
            prop_assert_eq!(reader.count(), commands.len());
            for (ordinal, command) in commands.iter().enumerate() {
                prop_assert_eq!(reader.command(ordinal), Some(&command[..]));
            }
            prop_assert_eq!(reader.command(commands.len()), None);
        }

        #[test]
        fn stripping_keeps_places(commands: Vec<(Vec<u8>, bool)>) {
            let all: Vec<_> = commands.iter().map(|(command, _)| command.clone()).collect();
            let entry = build(&all, 7);
            let stripped = strip(&entry, |ordinal, _| commands[ordinal].1).unwrap();
            let needed = commands.iter().any(|(command, needed)| *needed && !command.is_empty());
            prop_assert_eq!(stripped.is_some(), needed);
            if let Some(stripped) = stripped {
                let reader = EntryReader::new(&stripped).unwrap();
                prop_assert_eq!(reader.timestamp_ns(), 7);
                for (ordinal, (command, needed)) in commands.iter().enumerate() {
                    let expected = if *needed { &command[..] } else { &[] };
                    prop_assert_eq!(reader.command(ordinal), Some(expected));
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, ordinal in 0..20_usize) {
            if let Ok(reader) = EntryReader::new(&bytes) {
                let _ = reader.command(ordinal);
            }
            let _ = strip(&bytes, |_, _| true);
        }
    }

    #[test]
    fn an_unknown_version_is_named() {
        let mut entry = build(&[], 0).to_vec();
        entry[0] = 9;
        assert_eq!(EntryReader::new(&entry).unwrap_err(), InvalidEntry::Version(9));
    }
}
