//! The official client nats.py works with our broker: messages, streams, buckets, and data that outlives a restart.

use mainstem_tests::clients::{Client, check, check_restart};
use mainstem_tests::server::Signal;

#[test]
fn every_check_passes() -> anyhow::Result<()> {
    check(Client::Python)
}

#[test]
fn data_outlives_a_restart() -> anyhow::Result<()> {
    check_restart(Client::Python, &[Signal::TERM, Signal::KILL])
}
