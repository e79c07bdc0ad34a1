//! Load generator: the work behind `mainstem bench`.
