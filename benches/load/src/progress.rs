//! A bar on standard error while a run goes on, if someone sits there.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how far a run is.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar that appears on a terminal only.
    #[must_use]
    pub fn on_terminal() -> Self {
        // indicatif draws nothing if standard error is no terminal.
        Self(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
    }

    /// No bar.
    #[must_use]
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// Begins a phase named `what`, of `total` steps if that is known.
    pub fn begin(&self, what: &str, total: Option<u64>) {
        let template = match total {
            Some(_) => "{msg} [{bar:30}] {human_pos}/{human_len} {per_sec}",
            None => "{msg} {spinner} {human_pos} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
        self.0.reset();
        self.0.set_message(what.to_owned());
        match total {
            Some(total) => self.0.set_length(total),
            None => self.0.unset_length(),
        }
    }

    /// `done` steps are done.
    pub fn at(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Prints a line above the bar.
    pub fn note(&self, line: &str) {
        self.0.println(line);
    }

    /// The bar goes.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// Time between two looks at how far a run is.
pub const TICK: Duration = Duration::from_millis(50);
