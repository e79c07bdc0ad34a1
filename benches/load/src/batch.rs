//! Publishes, written out once and sent again and again.

/// As many PUB commands as fit, all of one length.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    message_len: usize,
}

/// What a server reads at once at most; a larger batch gains nothing.
pub const MAX_BATCH_BYTES: usize = 64 << 10;

impl Batch {
    /// Messages of `payload_bytes` to each of `subjects` in turn, which are of one length: at least one round, and
    /// beyond that no more than fit into `max_bytes`.
    #[must_use]
    pub fn new(subjects: &[String], payload_bytes: usize, max_bytes: usize) -> Self {
        let mut bytes = Vec::new();
        for subject in subjects {
            bytes.extend_from_slice(format!("PUB {subject} {payload_bytes}\r\n").as_bytes());
            bytes.resize(bytes.len() + payload_bytes, b'x');
            bytes.extend_from_slice(b"\r\n");
        }
        let message_len = bytes.len() / subjects.len();
        let bytes = bytes.repeat((max_bytes.min(MAX_BATCH_BYTES) / bytes.len()).max(1));
        Self { bytes, message_len }
    }

    /// Length of one command in bytes.
    #[must_use]
    pub fn message_len(&self) -> u64 {
        self.message_len as u64
    }

    /// What to write when `sent` bytes are out and `limit` bytes are to go out in all.
    #[must_use]
    pub fn next(&self, sent: u64, limit: u64) -> &[u8] {
        let len = self.bytes.len() as u64;
        let start = sent % len;
        let end = len.min(start + limit.saturating_sub(sent));
        // Both are at most the length of a buffer in memory.
        #[allow(clippy::cast_possible_truncation)]
        &self.bytes[start as usize..end as usize]
    }
}

/// Length in bytes of a message as it arrives: `MSG subject id size`, payload and line ends.
#[must_use]
pub fn delivery_len(subject: &str, id: usize, payload_bytes: usize) -> u64 {
    (format!("MSG {subject} {id} {payload_bytes}\r\n").len() + payload_bytes + 2) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_fills_its_bytes_with_whole_messages() {
        let batch = Batch::new(&["a".to_owned()], 2, 50);
        assert_eq!(batch.next(0, u64::MAX), b"PUB a 2\r\nxx\r\n".repeat(3));
        assert_eq!(batch.message_len(), 13);
        assert_eq!(Batch::new(&["a".to_owned()], 100, 1).next(0, u64::MAX).len(), 113);
        assert!(
            Batch::new(&["a".to_owned()], 16, usize::MAX)
                .next(0, u64::MAX)
                .len()
                <= MAX_BATCH_BYTES
        );
    }

    #[test]
    fn subjects_take_turns() {
        let batch = Batch::new(&["a".to_owned(), "b".to_owned()], 0, 50);
        assert_eq!(
            batch.next(0, u64::MAX),
            b"PUB a 0\r\n\r\nPUB b 0\r\n\r\n".repeat(2)
        );
        assert_eq!(batch.message_len(), 11);
    }

    #[test]
    fn what_is_next_goes_round_and_stops() {
        let batch = Batch::new(&["a".to_owned()], 2, 26);
        assert_eq!(batch.next(20, u64::MAX), b"2\r\nxx\r\n".split_at(1).1);
        assert_eq!(batch.next(26, u64::MAX).len(), 26);
        assert_eq!(batch.next(26, 39), b"PUB a 2\r\nxx\r\n");
        assert!(batch.next(39, 39).is_empty());
        assert!(batch.next(39, 13).is_empty());
    }

    #[test]
    fn the_length_of_a_delivery_is_exact() {
        assert_eq!(
            delivery_len("a.b", 1, 5),
            b"MSG a.b 1 5\r\nhello\r\n".len() as u64
        );
    }
}
