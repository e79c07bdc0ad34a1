//! The commands of the protocol, one file each.

pub(crate) mod connect;
pub(crate) mod info;
pub(crate) mod ping;
pub(crate) mod publish;
pub(crate) mod sub;
pub(crate) mod unsub;
