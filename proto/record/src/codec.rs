//! Small pieces: integers of variable length, and bytes with their length before them.

/// The input ends where more was announced, or a number is longer than it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ends too early")]
pub struct Truncated;

/// Appends to a buffer.
pub trait Writer {
    fn put_u8(&mut self, value: u8);
    /// Little-endian.
    fn put_u32(&mut self, value: u32);
    /// Little-endian.
    fn put_u64(&mut self, value: u64);
    /// Seven bits a byte, least significant first.
    fn put_varint(&mut self, value: u64);
    /// The sign in the lowest bit, so that small negative numbers are short as well.
    fn put_signed(&mut self, value: i64) {
        self.put_varint(((value << 1) ^ (value >> 63)) as u64);
    }
    /// Length, then the bytes.
    fn put_bytes(&mut self, bytes: &[u8]);
}

impl Writer for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        self.put_varint(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }
}

/// Takes from the front of a slice what a [`Writer`] wrote.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is not taken yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Truncated> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn u8(&mut self) -> Result<u8, Truncated> {
        let (&first, rest) = self.rest.split_first().ok_or(Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    pub fn u32(&mut self) -> Result<u32, Truncated> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Truncated)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    pub fn u64(&mut self) -> Result<u64, Truncated> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Truncated)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    pub fn varint(&mut self) -> Result<u64, Truncated> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Truncated)
    }

    pub fn signed(&mut self) -> Result<i64, Truncated> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Truncated> {
        let len = self.varint()?;
        self.take(usize::try_from(len).map_err(|_| Truncated)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(a: u8, b: u32, c: u64, d: u64, e: i64, f: Vec<u8>) {
            let mut out = Vec::new();
            out.put_u8(a);
            out.put_u32(b);
            out.put_u64(c);
            out.put_varint(d);
            out.put_signed(e);
            out.put_bytes(&f);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.u8(), Ok(a));
            prop_assert_eq!(reader.u32(), Ok(b));
            prop_assert_eq!(reader.u64(), Ok(c));
            prop_assert_eq!(reader.varint(), Ok(d));
            prop_assert_eq!(reader.signed(), Ok(e));
            prop_assert_eq!(reader.bytes(), Ok(&f[..]));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn what_is_cut_is_an_error(bytes: Vec<u8>) {
            let mut out = Vec::new();
            out.put_bytes(&bytes);
            out.pop();
            prop_assert_eq!(Reader::new(&out).bytes(), Err(Truncated));
        }
    }
}
