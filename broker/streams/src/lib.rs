//! JetStream semantics: the replicated state machine of streams and consumers.
