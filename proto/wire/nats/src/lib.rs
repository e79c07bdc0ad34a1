//! Sans-io codec of the NATS client protocol.
