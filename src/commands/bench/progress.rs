//! What is being measured, and how long it will take: a bar on a terminal, else a line per step.

use std::{io::IsTerminal as _, time::Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::text::span;

/// Steps of a known number, each expected to take so many seconds.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    begun: Instant,
    clock: Clock,
}

/// What is left of a plan. Steps take longer than they say, as models are loaded and games end; so what has passed counts.
#[derive(Clone, Copy, Debug)]
struct Clock {
    planned: f64,
    done: f64,
    step: f64,
}

impl Clock {
    /// The next step begins, `elapsed` seconds after the first; how many seconds are left, with it.
    fn begin(&mut self, seconds: f64, elapsed: f64) -> f64 {
        self.done += std::mem::replace(&mut self.step, seconds);
        let left = (self.planned - self.done).max(0.0);
        if self.done > 0.0 { left * elapsed / self.done } else { left }
    }
}

impl Progress {
    /// Of steps that take so many seconds in all.
    pub(super) fn new(planned: f64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {elapsed} gone, {msg}");
            let bar = ProgressBar::new((planned * 1e3) as u64);
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        if let Some(bar) = &bar {
            crate::telemetry::share_terminal_with(bar.clone());
        }
        Self { bar, begun: Instant::now(), clock: Clock { planned, done: 0.0, step: 0.0 } }
    }

    /// The step before is over, and this one begins.
    pub(super) fn step(&mut self, text: &str, seconds: f64) {
        let left = self.clock.begin(seconds, self.begun.elapsed().as_secs_f64());
        let text = format!("{text} (about {} left)", span(left));
        match &self.bar {
            Some(bar) => {
                bar.set_position((self.clock.done * 1e3) as u64);
                bar.set_message(text);
            }
            None => say(&text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A line of its own; standard output is for the result.
pub(super) fn say(text: &str) {
    crate::streams::complain(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_time_that_steps_took() {
        let mut clock = Clock { planned: 40.0, done: 0.0, step: 0.0 };
        assert_eq!(clock.begin(10.0, 0.0), 40.0, "nothing is known but the plan");
        assert_eq!(clock.begin(10.0, 15.0), 45.0, "steps take half as long again as planned");
        assert_eq!(clock.begin(20.0, 20.0), 20.0);
        assert_eq!(clock.begin(1.0, 50.0), 0.0, "nothing was planned beyond");
    }
}
