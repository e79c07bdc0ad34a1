//! The official client nats.go exchanges messages with our broker.

use mainstem_tests::clients::{Client, check};

#[test]
fn every_check_passes() -> anyhow::Result<()> {
    check(Client::Go)
}
