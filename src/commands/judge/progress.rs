//! How far the judge is: a bar on a terminal, else a line for each part of the work.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

/// Parts of the work, one after the other. Any thread may say that something is done.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos} of {len} positions, {elapsed}: {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        if let Some(bar) = &bar {
            crate::telemetry::share_terminal_with(bar.clone());
        }
        Self(bar)
    }

    /// This begins, for so many positions.
    pub(super) fn stage(&self, text: &str, positions: u64) {
        match &self.0 {
            Some(bar) => {
                bar.set_length(positions);
                bar.set_position(0);
                bar.set_message(text.to_owned());
            }
            None => crate::streams::complain(format_args!("{text}: {positions} positions")),
        }
    }

    /// One more position is done.
    pub(super) fn one_more(&self) {
        if let Some(bar) = &self.0 {
            bar.inc(1);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
