//! Bounds of the monitoring server. Each listener has its own.

use std::time::Duration;

/// Connections at once; further ones wait in the listen backlog.
pub const MAX_CONNECTIONS: usize = 128;

/// Requests at once, from the start of the endpoint's work to the last byte handed to the socket. Further ones
/// wait as long as [`REQUEST_TIME`], then they are answered 503.
pub const MAX_REQUESTS: usize = 16;

/// Request line and headers, in bytes. Bodies are not read.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How long a connection may take to send a request's head, counted from the answer before it.
pub const HEAD_TIME: Duration = Duration::from_secs(30);

/// How long a TLS handshake may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// How long an endpoint may take, and how long a request may wait for its turn.
pub const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Age at which a connection is asked to close after the response under way.
pub const CONNECTION_AGE: Duration = Duration::from_secs(60);

/// How long the response under way may still take when the connection is to close.
pub const LINGER: Duration = Duration::from_secs(10);

/// Bytes of a response handed to a connection at once.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Samples of one scrape; what is beyond is left out and counted.
pub const MAX_SAMPLES: usize = 100_000;
