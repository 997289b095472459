//! What a process holds, and whether it grows.

use std::{fmt, fs, time::Duration};

use anyhow::Context;

/// What a process holds at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Hours since the start.
    hours: f64,
    /// Resident memory (VmRSS), in MiB.
    memory: f64,
    /// Open file descriptors.
    files: u64,
    /// Threads.
    threads: u64,
}

impl Sample {
    /// Looks at process `pid`, which was started `since` ago.
    pub(crate) fn take(pid: u32, since: Duration) -> anyhow::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("cannot look at the daemon")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            number.with_context(|| format!("the daemon's status has no {name}"))
        };
        let files = fs::read_dir(format!("/proc/{pid}/fd")).context("cannot look at the daemon's files")?.count();
        Ok(Self {
            hours: since.as_secs_f64() / 3600.0,
            memory: field("VmRSS:")? as f64 / 1024.0,
            files: files as u64,
            threads: field("Threads:")?,
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB, {} files, {} threads", self.memory, self.files, self.threads)
    }
}

/// Smallest, mean and largest.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    least: f64,
    mean: f64,
    most: f64,
}

impl Spread {
    fn of(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> Self {
        let values = || samples.iter().map(&value);
        Self {
            least: values().fold(f64::INFINITY, f64::min),
            mean: values().sum::<f64>() / samples.len() as f64,
            most: values().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// What became of memory, files and threads after the warm-up.
#[derive(Debug)]
pub(crate) struct Verdict {
    count: usize,
    memory: Spread,
    /// MiB per hour, by least squares.
    growth: f64,
    /// Two standard errors of the growth.
    doubt: f64,
    /// Mean numbers in the first and the last third of what is judged.
    files: (Spread, Spread),
    threads: (Spread, Spread),
}

impl Verdict {
    /// Of all samples but those of the first third. `None` where these are fewer than nine.
    pub(crate) fn of(samples: &[Sample]) -> Option<Self> {
        let judged = &samples[samples.len() / 3..];
        if judged.len() < 9 {
            return None;
        }
        let third = judged.len() / 3;
        let (first, last) = (&judged[..third], &judged[judged.len() - third..]);
        let (growth, doubt) = slope(judged);
        let pair = |value: fn(&Sample) -> f64| (Spread::of(first, value), Spread::of(last, value));
        Some(Self {
            count: judged.len(),
            memory: Spread::of(judged, |sample| sample.memory),
            growth,
            doubt,
            files: pair(|sample| sample.files as f64),
            threads: pair(|sample| sample.threads as f64),
        })
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let Self { count, memory, growth, doubt, files, threads } = self;
        let row = |name: &str, (first, last): &(Spread, Spread)| {
            let show = |spread: &Spread| format!("{:.1} ({}-{})", spread.mean, spread.least, spread.most);
            format!("{name:<18}{:>20}{:>20}\n", show(first), show(last))
        };
        format!(
            "after the warm-up, {count} samples:\n\
             resident memory   {:.1} MiB ({:.1} to {:.1}), growing by {growth:.2} ± {doubt:.2} MiB per hour\n\
             {:<18}{:>20}{:>20}\n{}{}",
            memory.mean,
            memory.least,
            memory.most,
            "",
            "first third",
            "last third",
            row("open files", files),
            row("threads", threads),
        )
    }

    /// What is wrong, where memory may grow by `max_growth` MiB per hour.
    pub(crate) fn faults(&self, max_growth: f64) -> Vec<String> {
        let mut faults = Vec::new();
        // What may be chance in a short run is no fault.
        if self.growth - self.doubt > max_growth {
            faults.push(format!("resident memory grows by {:.1} MiB per hour, more than {max_growth}", self.growth));
        }
        // A file is open now and then while a game is written: what counts is how few there are at least.
        for (name, (first, last)) in [("open files", self.files), ("threads", self.threads)] {
            if last.least > first.least {
                faults.push(format!("{name} grew from {} to {}", first.least, last.least));
            }
        }
        faults
    }
}

/// Growth of memory in MiB per hour and two standard errors of it, by least squares.
fn slope(samples: &[Sample]) -> (f64, f64) {
    let n = samples.len() as f64;
    let mean = |value: fn(&Sample) -> f64| samples.iter().map(value).sum::<f64>() / n;
    let (x, y) = (mean(|sample| sample.hours), mean(|sample| sample.memory));
    let xx: f64 = samples.iter().map(|sample| (sample.hours - x).powi(2)).sum();
    let xy: f64 = samples.iter().map(|sample| (sample.hours - x) * (sample.memory - y)).sum();
    let slope = xy / xx;
    let left: f64 = samples.iter().map(|sample| (sample.memory - y - slope * (sample.hours - x)).powi(2)).sum();
    (slope, 2.0 * (left / (n - 2.0) / xx).sqrt())
}

#[cfg(test)]
mod tests {
    use super::{Sample, Verdict};

    /// An hour of samples that wobble, with this growth in MiB per hour after the first third, and files per hour.
    fn samples(growth: f64, files: f64) -> Vec<Sample> {
        let sample = |number: u32| {
            let hours = f64::from(number) / 1800.0;
            let warm = (hours * 3.0).min(1.0) * 100.0;
            let wobble = f64::from(number % 7) - 3.0;
            let open = 20 + u64::from(number % 3) + (files * hours) as u64;
            Sample { hours, memory: 150.0 + warm + growth * hours + wobble, files: open, threads: 9 }
        };
        (0..1800).map(sample).collect()
    }

    #[test]
    fn warm_up_and_wobbles_are_no_fault() {
        let verdict = Verdict::of(&samples(0.0, 0.0)).unwrap();
        assert!(verdict.growth.abs() < 1.0, "{verdict:?}");
        assert!(verdict.faults(1.0).is_empty(), "{verdict:?}");
        assert!(verdict.table().contains("growing by"));
    }

    #[test]
    fn what_grows_is_found() {
        let verdict = Verdict::of(&samples(40.0, 10.0)).unwrap();
        assert!((verdict.growth - 40.0).abs() < 2.0, "{verdict:?}");
        let faults = verdict.faults(16.0);
        assert!(
            faults.len() == 2 && faults[0].contains("resident memory") && faults[1].contains("open files"),
            "{faults:?}"
        );
        assert!(Verdict::of(&samples(40.0, 0.0)).unwrap().faults(50.0).is_empty());
    }

    #[test]
    fn a_few_samples_are_not_judged() {
        assert!(Verdict::of(&samples(0.0, 0.0)[..12]).is_none());
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let sample = Sample::take(std::process::id(), std::time::Duration::ZERO).unwrap();
        assert!(sample.memory > 0.0 && sample.files > 0 && sample.threads > 0, "{sample:?}");
    }
}
