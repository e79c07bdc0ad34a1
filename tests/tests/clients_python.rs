//! The official client nats.py exchanges messages with our broker.

use mainstem_tests::clients::{Client, check};

#[test]
fn every_check_passes() -> anyhow::Result<()> {
    check(Client::Python)
}
