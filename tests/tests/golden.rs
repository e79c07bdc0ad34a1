//! Our broker, in its nats-server personality, says what nats-server said.
//!
//! `GOLDEN=text` replays only the scenarios whose `file: name` contains it. The transcripts are recorded
//! anew by `cargo run --release -p mainstem-tests --bin golden -- record --server PATH`.

use mainstem_tests::binaries;
use mainstem_tests::golden::library::Library;
use mainstem_tests::golden::replay::{Subject, replay};

/// Scenarios in which we differ on purpose, and why.
const DEVIATIONS: &[(&str, &str)] = &[
    (
        "hpub-leading-zeros-are-kept",
        "sizes are delivered in canonical form",
    ),
    (
        "pub-size-with-leading-zeros",
        "sizes are delivered in canonical form",
    ),
    (
        "pub-size-nine-digits-of-zeros",
        "sizes are delivered in canonical form",
    ),
    (
        "permissions-subscribe-not-allowed",
        "`w.*` allowed does not allow `w.>`, which reaches further",
    ),
    (
        "permissions-narrowed-group-member-passes-it-on",
        "a message that a group's chosen worker passes on may come after the next PONG",
    ),
    (
        "permissions-narrowed-to-nobody-means-no-responders",
        "the 503 of a message that another worker narrowed away may come after the next PONG",
    ),
];

#[test]
fn transcripts_of_nats_server_are_met() -> anyhow::Result<()> {
    let filter = std::env::var("GOLDEN").unwrap_or_default();
    let mut library = Library::load(&Library::folder(), &filter)?;
    library.leave_out(|name| DEVIATIONS.iter().any(|(deviation, _)| name == *deviation));
    let report = replay(&library, &binaries::broker()?, Subject::Broker);
    println!("{report}");
    assert!(report.is_clean(), "see the differences above");
    Ok(())
}
