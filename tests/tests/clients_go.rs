//! The official client nats.go works with our broker: messages, streams, buckets, and data that outlives a restart.

use mainstem_tests::clients::{Client, check, check_restart};
use mainstem_tests::server::Signal;

#[test]
fn every_check_passes() -> anyhow::Result<()> {
    check(Client::Go)
}

#[test]
fn data_outlives_a_restart() -> anyhow::Result<()> {
    check_restart(Client::Go, &[Signal::TERM, Signal::KILL])
}
