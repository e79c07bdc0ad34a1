//! Golden transcripts: conversations with a NATS server as text, recorded from the real one and
//! replayed against ours.
//!
//! A file holds scenarios, each on a server of its own, so that none sees another's subscriptions:
//! ```text
//! === a-name-that-is-unique-in-all-files
//! server: open                        the profile, golden/profiles/open.conf
//! A open                              connect, and read the server's INFO
//! A> SUB foo 1\r\nPUB foo 2\r\nhi\r\n  send these bytes in one write
//! A ping                              send PING, read up to its PONG; `ping 3`: up to the third PONG
//! A< MSG foo 1 2\r\nhi\r\n            what was read, one protocol message a line
//! A< PONG\r\n
//! ```
//! Other steps: `A read 2` reads two messages, `A info` shows the first INFO, `A closed` reads until
//! the server closes, `A close` closes our side. Reading ends early where the server closes, noted as
//! `(closed)`. Other headers: `pings: shown`, where the server's own PINGs are part of the transcript,
//! and `varies: REASON`, where nats-server's answer depends on how the bytes are cut. With `answers: masked`
//! what varies in JetStream's answers is replaced too (see [`answer`]). Lines that start with `#` are comments.
//!
//! Bytes are written with `\r \n \t \\ \xHH`, a run as `\{a*500}`, and the signature of the
//! connection's nonce by an nkey as `\{sig SEED}`. In INFO, what differs from server to server is
//! replaced by a word in `<>` or left out (see [`item`]).

pub mod answer;
pub mod connection;
pub mod escape;
pub mod item;
pub mod library;
pub mod nkey;
pub mod record;
pub mod replay;
pub mod run;
pub mod script;
