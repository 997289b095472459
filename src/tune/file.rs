//! What was tried and found: lines for people, and the file for `--settings`.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, ensure};

use super::{
    per_second,
    plan::Plan,
    raw::BatchRates,
    search::{Choice, Knob, median},
};
use crate::bench::short;

/// How files of ours begin: only those are written over.
const MARK: &str = "# Written by `selfplayd tune`";

/// One probe.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// What is tried.
    pub(super) name: String,
    pub(super) choice: Choice,
    /// `None`: it was not played, because it may need too much memory.
    pub(super) evaluations_per_s: Option<f64>,
    pub(super) simulations_per_s: f64,
    pub(super) wait_ms: f64,
    pub(super) peak_mib: Option<f64>,
}

impl Line {
    /// Of a choice that may need too much memory.
    pub(super) fn too_large(name: String, choice: Choice) -> Self {
        Self { name, choice, evaluations_per_s: None, simulations_per_s: 0.0, wait_ms: 0.0, peak_mib: None }
    }

    /// What the columns of [`Line::text`] are; one more is for the time left.
    pub(super) fn title() -> String {
        let columns = [
            "tried",
            "games",
            "K",
            "threads",
            "batch",
            "wait, ms",
            "evaluations/s",
            "simulations/s",
            "request, ms",
            "MiB",
        ];
        format!("\n{}  {:>12}", row(&columns.map(str::to_owned)), "time left")
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let of = |knob| self.choice.get(knob).to_string();
        let wait = short(f64::from(self.choice.get(Knob::Wait)) / 1e3);
        let measured = match self.evaluations_per_s {
            Some(rate) => {
                let peak = self.peak_mib.map_or_else(String::new, short);
                [short(rate), short(self.simulations_per_s), short(self.wait_ms), peak]
            }
            None => ["too large", "", "", ""].map(str::to_owned),
        };
        let [rate, simulations, request, peak] = measured;
        let (games, leaves, threads, batch) = (of(Knob::Games), of(Knob::Leaves), of(Knob::Threads), of(Knob::Batch));
        row(&[self.name.clone(), games, leaves, threads, batch, wait, rate, simulations, request, peak])
    }
}

fn row(cells: &[String; 10]) -> String {
    const WIDTHS: [usize; 10] = [17, 6, 5, 8, 6, 9, 14, 14, 12, 7];
    let cells = cells.iter().zip(WIDTHS).enumerate();
    let cells = cells
        .map(|(place, (cell, width))| if place == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
    cells.collect()
}

/// All that was found.
pub(super) struct Findings<'a> {
    pub(super) plan: &'a Plan,
    pub(super) rates: &'a BatchRates,
    pub(super) lines: &'a [Line],
    pub(super) start: Choice,
    pub(super) best: Choice,
    /// Evaluations per second of the start and of the best, at least one of the latter.
    pub(super) before: &'a [f64],
    pub(super) found: &'a [f64],
    /// Length of a probe.
    pub(super) seconds: f64,
    /// Whether time was up before everything was tried.
    pub(super) cut_short: bool,
}

impl Findings<'_> {
    /// In a few lines.
    pub(super) fn summary(&self) -> String {
        let (found, before) = (median(self.found), median(self.before));
        let mut text = if self.best == self.start {
            format!("nothing was better than the start: {} evaluations", per_second(found))
        } else {
            let changes: Vec<_> = self.best.changes(self.start).iter().map(|change| self.change(*change)).collect();
            let gain = 100.0 * (found / before - 1.0);
            let (before, found) = (per_second(before), per_second(found));
            format!("{}: {found} evaluations instead of {before} (+{gain:.0}%)", changes.join(", "))
        };
        let share = 100.0 * found / self.rates.best();
        write!(text, "; that is {share:.0}% of what the network alone gives at its best").ok();
        if self.cut_short {
            text.push_str("\ntime was up before everything was tried: --minutes gives more");
        }
        text
    }

    fn change(&self, (knob, value): (Knob, u32)) -> String {
        let (unit, from) = match knob {
            Knob::Wait => (" µs", self.start.get(knob)),
            _ => ("", self.start.get(knob)),
        };
        format!("{} {value}{unit} (was {from}{unit})", knob.name())
    }

    /// The file for `--settings`.
    pub(super) fn to_toml(&self) -> String {
        let settings = &self.plan.settings;
        let model = settings.model.path.as_ref().map_or_else(String::new, |path| path.display().to_string());
        let simulations = settings.search.mcts_n.map_or_else(String::new, |n| format!(", {n} simulations"));
        let side = settings.game.board_size;
        let mut comment = format!(
            "{MARK} {} for --settings.\n\
             For {model}, {side}x{side}{simulations}, on {}; probes of {:.2} s; leaf_parallelism of at most {}.\n",
            env!("CARGO_PKG_VERSION"),
            self.rates.devices.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            self.seconds,
            self.plan.most_leaves,
        );
        let lines = std::iter::once(Line::title().trim_start().trim_end_matches("time left").trim_end().to_owned())
            .chain(self.lines.iter().map(Line::text));
        comment.push_str(&format!("{}\n{}\n", self.summary(), self.rates.text()));
        lines.for_each(|line| comment.push_str(&format!("{line}\n")));
        let commented = |line: &str| match line.strip_prefix("# ").unwrap_or(line).escape_debug().to_string() {
            line if line.is_empty() => "#\n".to_owned(),
            line => format!("# {}\n", line.trim_end()),
        };
        let mut toml: String = comment.lines().map(commented).collect();
        let of = |knob| self.best.get(knob);
        let wait = f64::from(of(Knob::Wait)) / 1e3;
        write!(
            toml,
            "\n[search]\nleaf_parallelism = {}\n\n[play]\ngames_per_process = {}\n\n\
             [inference]\nthreads = {}\neval_batch_size = {}\neval_max_wait_ms = {wait}\n",
            of(Knob::Leaves),
            of(Knob::Games),
            of(Knob::Threads),
            of(Knob::Batch),
        )
        .ok();
        if self.plan.memory_is_given {
            write!(toml, "\n[memory]\nmax_bytes = {}\n", self.plan.memory).ok();
        }
        if self.plan.cache_cut {
            write!(toml, "\n[cache]\nmax_bytes = {}\n", settings.cache.max_bytes).ok();
        }
        toml
    }
}

/// Whether a file may be written there, before anything is measured for it.
pub(super) fn check_place(path: &Path) -> anyhow::Result<()> {
    let toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    ensure!(toml, "--output {}: the name of a settings file must end in .toml", path.display());
    match fs::read_to_string(path) {
        Ok(text) => {
            let ours = text.starts_with(MARK);
            ensure!(ours, "--output {}: there is a file that `selfplayd tune` has not written", path.display());
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
            ensure!(dir.is_none_or(Path::is_dir), "--output {}: there is no such directory", path.display());
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("--output: failed to read {}", path.display())),
    }
}

pub(super) fn write(path: &Path, toml: &str) -> anyhow::Result<()> {
    fs::write(path, toml).with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::settings::{FlagValue, Purpose, Settings, Sources, resolve};

    /// Settings of a 5x5 board, with these values.
    pub(crate) fn settings(given: &[(&'static str, &str)]) -> Settings {
        read(given, None)
    }

    fn read(given: &[(&'static str, &str)], own: Option<&Path>) -> Settings {
        let board = [("game.board_size", "5"), ("game.max_walls", "3")];
        let flag = |&(key, value): &(&'static str, &str)| FlagValue { flag: "--", key, value: Some(value.to_owned()) };
        let flags: Vec<_> = board.iter().chain(given).map(flag).collect();
        let environment = BTreeMap::new();
        let sources = Sources { preset: None, trainer: None, own, environment: &environment, flags: &flags };
        resolve(&sources, Purpose::Bench).into_settings().unwrap()
    }

    #[test]
    fn the_file_says_what_was_measured_and_is_read_as_settings() {
        let given = [("search.mcts_n", "100"), ("model.path", "odd\n[name].onnx"), ("cache.max_bytes", "1GiB")];
        let plan = Plan::new(&settings(&given), None, Some(128 << 20)).unwrap();
        let rates = BatchRates::of(&[(1, 1000.0), (16, 2000.0)]);
        let start = plan.start(&rates);
        let best = start.with(Knob::Games, 64).with(Knob::Wait, 250).with(Knob::Batch, 16);
        let line = Line { evaluations_per_s: Some(1900.0), ..Line::too_large("games".to_owned(), best) };
        let lines = [line, Line::too_large("games".to_owned(), start)];
        let findings = Findings {
            plan: &plan,
            rates: &rates,
            lines: &lines,
            start,
            best,
            before: &[1000.0],
            found: &[1800.0, 1900.0, 2000.0],
            seconds: 1.5,
            cut_short: true,
        };
        let toml = findings.to_toml();
        assert!(toml.starts_with(MARK), "{toml}");
        let gain = "batch 16 (was 32), games 64 (was 32), wait 250 µs (was 0 µs): 1,900/s evaluations instead of 1,000/s (+90%); \
                    that is 95% of what the network alone gives at its best";
        assert!(toml.contains(gain) && toml.contains("time was up") && toml.contains("too large"), "{toml}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tuned.toml");
        check_place(&path).unwrap();
        write(&path, &toml).unwrap();
        let tuned = read(&[], Some(&path));
        assert_eq!((tuned.play.games(), tuned.search.leaf_parallelism), (64, 4));
        assert_eq!((tuned.inference.eval_batch_size, tuned.inference.eval_max_wait_ms), (Some(16), 0.25));
        assert_eq!(tuned.inference.threads, Some(start.get(Knob::Threads)));
        assert!(plan.cache_cut && tuned.cache.max_bytes == plan.settings.cache.max_bytes);
        assert_eq!(tuned.memory.max_bytes, Some(128 << 20));
        check_place(&path).unwrap();
    }

    #[test]
    fn only_files_of_its_own_are_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        fs::write(&path, "[play]\n").unwrap();
        let refused = |path: &Path| check_place(path).unwrap_err().to_string();
        assert!(refused(&path).ends_with("has not written"));
        assert!(refused(&dir.path().join("none/tuned.toml")).ends_with("there is no such directory"));
        assert!(refused(&dir.path().join("tuned.yaml")).contains("must end in .toml"));
        check_place(Path::new("here.toml")).unwrap();
    }

    #[test]
    fn nothing_better_is_said_too() {
        let plan = Plan::new(&settings(&[]), None, Some(1 << 30)).unwrap();
        let rates = BatchRates::of(&[(1, 100.0)]);
        let start = plan.start(&rates);
        let (plan, rates) = (&plan, &rates);
        let found = &[99.0][..];
        let findings = Findings {
            plan,
            rates,
            lines: &[],
            start,
            best: start,
            before: found,
            found,
            seconds: 1.0,
            cut_short: false,
        };
        let expected = "nothing was better than the start: 99.0/s evaluations; that is 99% of what the network alone gives at its best";
        assert_eq!(findings.summary(), expected);
    }
}
