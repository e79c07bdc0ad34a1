//! Parser of nats-server's configuration grammar.
