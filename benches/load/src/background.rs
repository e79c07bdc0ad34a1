//! Subscriptions that are only there: they match nothing that is published.

use std::io::Write as _;

use anyhow::Result;

use crate::address::Address;
use crate::connection::Connection;
use crate::keeper::Keeper;

/// How many, and on how many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Background {
    pub subscriptions: usize,
    pub connections: usize,
}

impl Background {
    pub const NONE: Self = Self {
        subscriptions: 0,
        connections: 1,
    };

    /// Subscribes, and holds the connections until what is returned is dropped.
    ///
    /// # Errors
    /// The server refuses.
    pub fn subscribe(self, address: &Address) -> Result<Option<Keeper>> {
        if self.subscriptions == 0 {
            return Ok(None);
        }
        let count = self.connections.clamp(1, self.subscriptions);
        let connections: Result<Vec<Connection>> =
            (0..count).map(|first| self.open(address, first, count)).collect();
        Keeper::hold(connections?).map(Some)
    }

    fn open(self, address: &Address, first: usize, step: usize) -> Result<Connection> {
        const CHUNK: usize = 1000;
        let mut connection = Connection::open(address, b"")?;
        let all: Vec<usize> = (first..self.subscriptions).step_by(step).collect();
        for chunk in all.chunks(CHUNK) {
            let lines: String = chunk.iter().map(|&index| subscribe_line(index)).collect();
            connection.stream.write_all(lines.as_bytes())?;
            connection.round_trip()?;
        }
        Ok(connection)
    }
}

/// Mostly plain subjects under many parents, and one in a hundred with each wildcard.
fn subscribe_line(index: usize) -> String {
    let parent = index / 100;
    let last = match index % 100 {
        0 => "*".to_owned(),
        1 => ">".to_owned(),
        child => child.to_string(),
    };
    format!("SUB other.{parent}.{last} {}\r\n", index + 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_are_alike() {
        let lines: HashSet<String> = (0..10_000).map(subscribe_line).collect();
        assert_eq!(lines.len(), 10_000);
        assert_eq!(subscribe_line(0), "SUB other.0.* 1\r\n");
        assert_eq!(subscribe_line(1234), "SUB other.12.34 1235\r\n");
    }
}
