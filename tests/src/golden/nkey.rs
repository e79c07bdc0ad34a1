//! Signing a nonce with an nkey seed, as a client does for `CONNECT {"nkey":..,"sig":..}`.

use anyhow::{Context, Result, anyhow, ensure};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use ring::signature::Ed25519KeyPair;

/// A decoded seed: two bytes of prefix, the 32 bytes of the Ed25519 seed, two of CRC-16.
const SEED_LENGTH: usize = 36;

/// The signature of `nonce` by `seed` (`SU...`), in unpadded base64url.
///
/// # Errors
/// The seed is not one.
pub fn sign(seed: &str, nonce: &str) -> Result<String> {
    let raw = BASE32_NOPAD
        .decode(seed.as_bytes())
        .context("an nkey seed is base32")?;
    ensure!(
        raw.len() == SEED_LENGTH,
        "an nkey seed has {SEED_LENGTH} bytes, not {}",
        raw.len()
    );
    let pair = Ed25519KeyPair::from_seed_unchecked(&raw[2..SEED_LENGTH - 2])
        .map_err(|error| anyhow!("not an Ed25519 seed: {error}"))?;
    Ok(BASE64URL_NOPAD.encode(pair.sign(nonce.as_bytes()).as_ref()))
}
