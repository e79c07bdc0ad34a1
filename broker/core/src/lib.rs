//! The hot core.

pub mod config;
