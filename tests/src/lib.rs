//! Harness and black-box tests with real clients.
