//! Micro benchmarks of the hot core.
