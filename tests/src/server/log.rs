//! The log of a process.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::PATIENCE;

/// What a process writes, collected by one thread a stream.
#[derive(Debug, Default)]
pub(super) struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct LogState {
    pub(super) text: String,
    pub(super) open_streams: usize,
}

impl Log {
    pub(super) fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn follow(self: &Arc<Self>, stream: Option<impl Read + Send + 'static>) {
        let Some(stream) = stream else { return };
        self.state().open_streams += 1;
        let log = Arc::clone(self);
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                log.state().text.push_str(&String::from_utf8_lossy(&line));
                log.changed.notify_all();
                line.clear();
            }
            log.state().open_streams -= 1;
            log.changed.notify_all();
        });
    }

    /// Returns when something was written, at the latest after `limit`.
    pub(super) fn wait_for_a_line(&self, limit: Duration) {
        drop(self.changed.wait_timeout(self.state(), limit));
    }

    /// Waits until `look` finds what it wants.
    pub(super) fn wait<T>(&self, look: impl Fn(&LogState) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        loop {
            if let Some(found) = look(&state) {
                return Ok(found);
            }
            if state.open_streams == 0 {
                return Err(anyhow!("the process ended"));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(anyhow!("waited {PATIENCE:?} in vain"));
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}
