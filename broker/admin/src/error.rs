use std::io;

/// Why monitoring could not start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is in use, not ours, or not an address.
    #[error("cannot listen for monitoring on {address}: {source}")]
    Bind { address: String, source: io::Error },
    /// The configuration wants TLS, and no certificate was given.
    #[error("monitoring over TLS needs a certificate")]
    NoCertificate,
}
