//! Our broker, in its nats-server personality, says what nats-server said.
//!
//! `GOLDEN=text` replays only the scenarios whose `file: name` contains it. The transcripts are recorded
//! anew by `cargo run --release -p mainstem-tests --bin golden -- record --server PATH`.

use mainstem_tests::binaries;
use mainstem_tests::golden::library::Library;
use mainstem_tests::golden::replay::{Subject, replay};

#[test]
fn transcripts_of_nats_server_are_met() -> anyhow::Result<()> {
    let filter = std::env::var("GOLDEN").unwrap_or_default();
    let library = Library::load(&Library::folder(), &filter)?;
    let report = replay(&library, &binaries::broker()?, Subject::Broker);
    println!("{report}");
    assert!(report.is_clean(), "see the differences above");
    Ok(())
}
