//! The `mainstem` binary.

mod options;

fn main() {
    let _ = options::Options::default();
}
