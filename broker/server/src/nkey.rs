//! Public nkeys: base32 of a prefix byte, 32 bytes of key and a CRC-16, which is all that a configuration can check.

/// What a key is for, as its first byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Starts with `U`.
    User = 20 << 3,
    /// Starts with `A`.
    Account = 0,
}

const KEY_BYTES: usize = 35;

/// Whether `text` is a public key for `role`.
pub fn is_public(text: &str, role: Role) -> bool {
    match decode(text) {
        Some(bytes) => bytes[0] == role as u8 && crc16(&bytes[..33]).to_le_bytes() == bytes[33..],
        None => false,
    }
}

/// Base32 without padding.
fn decode(text: &str) -> Option<[u8; KEY_BYTES]> {
    if text.len() != KEY_BYTES * 8 / 5 {
        return None;
    }
    let mut bytes = [0; KEY_BYTES];
    for (group, chunk) in text.as_bytes().chunks(8).enumerate() {
        let mut bits: u64 = 0;
        for &character in chunk {
            let digit = match character {
                b'A'..=b'Z' => character - b'A',
                b'2'..=b'7' => character - b'2' + 26,
                _ => return None,
            };
            bits = bits << 5 | u64::from(digit);
        }
        bytes[group * 5..group * 5 + 5].copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    Some(bytes)
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
            if crc & 0x8000 != 0 {
                crc << 1 ^ 0x1021
            } else {
                crc << 1
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "UAFHG6FUD2UU4SDFVAFUL5LDFO2XM4WYM76UNXTPJYJK7EEMYRBHT2VE";

    #[test]
    fn keys_have_a_role_and_a_checksum() {
        assert!(is_public(USER, Role::User));
        assert!(!is_public(USER, Role::Account));
        assert!(is_public(
            "ADTQS7ZCFVJNW5726GOYXW5TSCZFNIQSHK2ZGYUBCD5D77OTNLOOKZOZ",
            Role::Account
        ));
        assert!(!is_public(&USER.replace('6', "7"), Role::User));
        assert!(!is_public(&USER[..55], Role::User));
        assert!(!is_public(&USER.to_lowercase(), Role::User));
        assert!(!is_public("", Role::User));
    }
}
