//! The form in which messages and commands are kept and sent between nodes.
