//! How far a long run has come: a bar on the standard error output where that is a terminal, and nothing elsewhere.
//!
//! It is drawn between what is timed, never during it: no thread of its own redraws it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar of so many steps.
    pub(crate) fn new(steps: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:40} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Progress(bar)
    }

    /// Something begins.
    pub(crate) fn begin(&self, what: impl FnOnce() -> String) {
        if !self.0.is_hidden() {
            self.0.set_message(what());
            self.0.tick();
        }
    }

    /// A step is done.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
