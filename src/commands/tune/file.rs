//! What was tried and found: lines for people, and the file for `--settings`.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, ensure};

use super::{
    noise::{Noise, median, percent},
    per_second,
    plan::Plan,
    raw::BatchRates,
    search::{Choice, Comparison, Knob, Pair},
};
use crate::commands::bench::short;

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

/// How much of what the network alone gives play gives, both measured straight after each other several times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Share(Vec<f64>);

impl Share {
    /// `alone` was measured after each of the `pairs`.
    pub(super) fn new(pairs: &[Pair], alone: &[f64]) -> Self {
        let shares = pairs.iter().zip(alone).filter(|&(_, &alone)| alone > 0.0);
        Self(shares.map(|(pair, alone)| 100.0 * pair.new / alone).collect())
    }

    /// For people.
    fn text(&self) -> String {
        let (least, most) = self.0.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), &share| (a.min(share), b.max(share)));
        let middle = median(&self.0);
        format!("{middle:.0}% ({least:.0}–{most:.0}%) of what the network alone gives beside it")
    }
}

/// All that was found.
pub(super) struct Findings<'a> {
    pub(super) plan: &'a Plan,
    pub(super) rates: &'a BatchRates,
    pub(super) lines: &'a [Line],
    pub(super) start: Choice,
    pub(super) best: Choice,
    /// The best beside the start, where it is another.
    pub(super) comparison: Option<Comparison>,
    pub(super) noise: Noise,
    /// Of the best where it is better, else of the start.
    pub(super) share: Share,
    /// Length of a probe.
    pub(super) seconds: f64,
    /// Whether time was up before everything was tried.
    pub(super) cut_short: bool,
}

impl Findings<'_> {
    /// Whether something was found that is better by more than the noise.
    pub(super) fn is_better(&self) -> bool {
        self.comparison.as_ref().is_some_and(|comparison| comparison.better)
    }

    /// Whether the machine did not let it be told.
    pub(super) fn is_unsure(&self) -> bool {
        !self.is_better() && self.noise.is_too_restless()
    }

    /// In a few lines.
    pub(super) fn summary(&self) -> String {
        let changes: Vec<_> = self.best.changes(self.start).iter().map(|change| self.change(*change)).collect();
        let changes = changes.join(", ");
        let mut text = match &self.comparison {
            Some(Comparison { gain, margin, better, pairs }) => {
                let rates = |of: fn(&Pair) -> f64| per_second(median(&pairs.iter().map(of).collect::<Vec<_>>()));
                let (new, old) = (rates(|pair| pair.new), rates(|pair| pair.old));
                let (gain, margin) = (percent(*gain), percent(*margin));
                if *better {
                    format!("{changes}: {new} evaluations instead of {old}, {gain:+.0}% ± {margin:.0}%")
                } else {
                    format!(
                        "{changes} looked better, but beside the start it gave {gain:+.1}% ± {margin:.1}%, which is within the noise"
                    )
                }
            }
            None if self.is_unsure() => String::new(),
            None => "nothing was better than the start".to_owned(),
        };
        if self.is_unsure() {
            let pair = percent(self.noise.of_a_pair());
            let separator = if text.is_empty() { "" } else { "\n" };
            write!(
                text,
                "{separator}this machine is too restless to tell: the same settings differ by {pair:.0}% from one probe to the next. \
                 Try again when it is quiet, or with longer probes: --minutes gives more"
            )
            .ok();
        } else if !self.share.0.is_empty() {
            let of = if self.is_better() { "that is" } else { "the start gives" };
            write!(text, "; {of} {}", self.share.text()).ok();
        }
        if !self.is_unsure() {
            let least = percent(self.noise.least_visible());
            write!(text, "\ngains below {least:.1}% cannot be told from noise here").ok();
        }
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
        let rules = match settings.of_quoridor() {
            true => format!("{0}x{0}", settings.game.board_size),
            false => settings.facts().title,
        };
        let mut comment = format!(
            "{MARK} {} for --settings.\n\
             For {model}, {rules}{simulations}, on {}; probes of {:.2} s; leaf_parallelism of at most {}.\n",
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
        let flag = |&(key, value): &(&'static str, &str)| FlagValue { flag: "--", key, value: value.to_owned() };
        let flags: Vec<_> = board.iter().chain(given).map(flag).collect();
        let environment = BTreeMap::new();
        let sources = Sources { preset: None, trainer: None, own, environment: &environment, flags: &flags };
        resolve(&sources, Purpose::Bench).into_settings().unwrap()
    }

    /// Known by ten pairs of the start beside itself that differ by this.
    fn noise(deviation: f64) -> Noise {
        let mut noise = Noise::default();
        (0..10).for_each(|_| noise.learn_same(deviation));
        noise
    }

    fn compared(better: bool, pairs: &[(f64, f64)]) -> Comparison {
        let pairs: Vec<_> = pairs.iter().map(|&(new, old)| Pair { new, old }).collect();
        let gains: Vec<_> = pairs.iter().map(|pair| crate::commands::tune::noise::gain(pair.new, pair.old)).collect();
        Comparison { gain: crate::commands::tune::noise::mean(&gains), margin: 0.05, better, pairs }
    }

    /// What is said of a search from the start to 64 games.
    fn said(comparison: Option<Comparison>, noise: Noise, cut_short: bool) -> String {
        let plan = Plan::new(&settings(&[]), None, Some(1 << 30)).unwrap();
        let rates = BatchRates::of(&[(1, 100.0)]);
        let start = plan.start(&rates);
        let best = if comparison.is_some() { start.with(Knob::Games, 64) } else { start };
        let share = Share::new(&[Pair { new: 90.0, old: 80.0 }, Pair { new: 99.0, old: 80.0 }], &[100.0, 100.0]);
        let (plan, rates) = (&plan, &rates);
        let findings =
            Findings { plan, rates, lines: &[], start, best, comparison, noise, share, seconds: 1.0, cut_short };
        findings.summary()
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
        let comparison = compared(true, &[(1800.0, 950.0), (1900.0, 1000.0), (2000.0, 1050.0)]);
        let share = Share::new(&comparison.pairs, &[2000.0, 2000.0, 2000.0]);
        let findings = Findings {
            plan: &plan,
            rates: &rates,
            lines: &lines,
            start,
            best,
            comparison: Some(comparison),
            noise: noise(0.02),
            share,
            seconds: 1.5,
            cut_short: true,
        };
        let toml = findings.to_toml();
        assert!(toml.starts_with(MARK), "{toml}");
        let gain = "batch 16 (was 32), games 64 (was 32), wait 250 µs (was 0 µs): 1,900/s evaluations instead of 1,000/s, +90% ± 5%; \
                    that is 95% (90–100%) of what the network alone gives beside it";
        assert!(toml.contains(gain) && toml.contains("time was up") && toml.contains("too large"), "{toml}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tuned.toml");
        check_place(&path).unwrap();
        write(&path, &toml).unwrap();
        let tuned = read(&[], Some(&path));
        assert_eq!((tuned.play.games(), tuned.search.leaf_parallelism), (64, Some(1)));
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
        let expected = "nothing was better than the start; the start gives 94% (90–99%) of what the network alone gives beside it\n\
                        gains below 4.2% cannot be told from noise here";
        assert_eq!(said(None, noise(0.03), false), expected);
    }

    #[test]
    fn what_is_within_the_noise_is_no_result() {
        let text = said(Some(compared(false, &[(104.0, 100.0), (99.0, 100.0), (106.0, 100.0)])), noise(0.03), false);
        let expected = "games 64 (was 32) looked better, but beside the start it gave +3.0% ± 5.1%, which is within the noise; \
                        the start gives 94% (90–99%) of";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn a_restless_machine_is_named_and_nothing_is_claimed() {
        for comparison in [None, Some(compared(false, &[(275.0, 100.0)]))] {
            let text = said(comparison, noise(0.4), true);
            assert!(text.contains("this machine is too restless to tell: the same settings differ by 49%"), "{text}");
            assert!(!text.contains("network alone") && text.contains("--minutes gives more"), "{text}");
        }
    }
}
