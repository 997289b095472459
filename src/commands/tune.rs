//! `selfplayd tune`: finds the settings with which this machine plays fastest with this network.
//!
//! - `noise`: what measurements tell on a machine that also does other things
//! - `search`: which settings to try next
//! - `plan`: what may be tried: ladders of values, bounds of memory and strength
//! - `raw`: what the network alone gives by batch size
//! - `file`: what was found, as a file for `--settings`
//!
//! What is compared is unique evaluations per second. They measure how busy the device is kept; simulations per second would also
//! measure how alike the games of a short probe are, as games that have just begun answer each other's evaluations.

mod file;
mod noise;
mod plan;
mod raw;
mod search;

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

use self::{
    file::{Findings, Line, Share},
    plan::Plan,
    raw::BatchRates,
    search::{Choice, Knob, Probed, Search, Space},
};
use crate::{
    cli::TuneArgs,
    commands::bench::{Until, Window, measure, short, span},
    daemon::sizes::needed,
    exit::Exit,
    played::PlayedGame,
    settings::{EvaluatorKind, Settings},
    streams::print,
};

/// Probes that the time given is divided among, about.
const PROBES: f64 = 100.0;
/// Those for which time is kept for the end: what was found, the start and the network alone, in turn.
const AT_THE_END: f64 = 12.0;
/// What one of them takes beside what is measured: games spread, models are loaded.
const OVERHEAD: f64 = 1.3;

/// Searches, prints what it tries, and writes what it found, where that is more than noise.
pub(crate) fn tune(game: &impl PlayedGame, args: &TuneArgs, settings: &Settings) -> anyhow::Result<Exit> {
    ensure!(args.minutes > 0.0 && args.minutes <= 1440.0, "--minutes {}: more than 0, at most 1440", args.minutes);
    if settings.inference.evaluator != EvaluatorKind::Onnx || settings.model.path.is_none() {
        bail!("tune needs the network that is to be played with: --model-path FILE");
    }
    file::check_place(&args.output)?;
    let begun = Instant::now();
    let plan = Plan::new(settings, args.max_leaf_parallelism, args.memory)?;
    for note in &plan.notes {
        print(note)?;
    }
    let seconds = (args.minutes * 60.0 / PROBES / OVERHEAD).clamp(0.05, 10.0);
    let search_ends = (args.minutes * 60.0 - AT_THE_END * seconds * OVERHEAD).max(0.0);
    let mut journal = Journal { lines: Vec::new(), begun, budget: Duration::from_secs_f64(search_ends) };
    let rates = raw::measure(game, &plan.settings, (seconds / 2.0).min(0.5))?;
    print(&rates.text())?;
    print(&Line::title())?;
    let start = plan.start(&rates);
    let space = Space::new(start, |knob| plan.ladder(knob, &rates));
    // The first probes and the last ones are made in any case: without them nothing can be told.
    let in_any_case = Cell::new(true);
    let mut search = Search::new(space, |choice| {
        let needed_seconds = (!in_any_case.get()).then_some(seconds * OVERHEAD);
        probe(game, &plan, choice, start, seconds, needed_seconds, &mut journal)
    });
    let mut alone = Vec::new();
    let of_start = search.learn_noise(start, || note_alone(game, &plan, &rates, seconds, &mut alone))?;
    let mut share = Share::new(&of_start, &alone);
    in_any_case.set(false);
    let best = if search.noise().is_too_restless() { start } else { search.descend(start)? };
    let cut_short = search.is_cut_short();
    in_any_case.set(true);
    let mut comparison = None;
    if best != start {
        let mut alone = Vec::new();
        let compared = search.confirm(best, start, || note_alone(game, &plan, &rates, seconds, &mut alone))?;
        if compared.better {
            share = Share::new(&compared.pairs, &alone);
        }
        comparison = Some(compared);
    }
    let noise = search.noise();
    drop(search);
    let lines = &journal.lines;
    let findings =
        Findings { plan: &plan, rates: &rates, lines, start, best, comparison, noise, share, seconds, cut_short };
    print(&findings.summary())?;
    if findings.is_better() {
        file::write(&args.output, &findings.to_toml())?;
        print(&format!("written to {}: for --settings", args.output.display()))?;
        return Ok(Exit::Clean);
    }
    print(&format!("the settings stay as they are; {} is not written", args.output.display()))?;
    Ok(if findings.is_unsure() { Exit::Refused } else { Exit::Clean })
}

/// What the network alone gives, measured now, beside what was measured just before.
fn note_alone(
    game: &impl PlayedGame,
    plan: &Plan,
    rates: &BatchRates,
    seconds: f64,
    alone: &mut Vec<f64>,
) -> anyhow::Result<()> {
    alone.push(raw::measure_best(game, &plan.settings, rates, (seconds / 2.0).min(1.0))?);
    Ok(())
}

/// What was tried so far, and how much time there is.
struct Journal {
    lines: Vec<Line>,
    begun: Instant,
    budget: Duration,
}

impl Journal {
    fn left(&self) -> Duration {
        self.budget.saturating_sub(self.begun.elapsed())
    }

    fn note(&mut self, line: Line) -> anyhow::Result<()> {
        print(&format!("{}  {:>12}", line.text(), span(self.left().as_secs_f64())))?;
        self.lines.push(line);
        Ok(())
    }
}

/// Plays with a choice for a short while, unless less time than `needed_seconds` is left.
fn probe(
    game: &impl PlayedGame,
    plan: &Plan,
    choice: Choice,
    start: Choice,
    seconds: f64,
    needed_seconds: Option<f64>,
    journal: &mut Journal,
) -> anyhow::Result<Probed> {
    let settings = plan.apply(choice);
    let name = match choice.changes(start)[..] {
        [] => "start".to_owned(),
        [(knob, _)] => knob.name().to_owned(),
        _ => "several".to_owned(),
    };
    if needed(&settings) > plan.memory {
        journal.note(Line::too_large(name, choice))?;
        return Ok(Probed::TooLarge);
    }
    if needed_seconds.is_some_and(|needed| journal.left().as_secs_f64() < needed) {
        return Ok(Probed::OutOfTime);
    }
    let answers = 2 * u64::from(choice.get(Knob::Games));
    let window = measure(game, &settings, Until::Answers(seconds, answers)).context("a probe failed")?;
    let Window { rates, .. } = &window;
    let rate = rates.per_second(rates.counts.evaluations);
    let peak_mib = window.peak_mib();
    let line = Line {
        name,
        choice,
        evaluations_per_s: Some(rate),
        simulations_per_s: rates.per_second(rates.counts.simulations_total()),
        wait_ms: rates.counts.ticket_latency.mean() * 1e3,
        peak_mib,
    };
    journal.note(line)?;
    let too_large = peak_mib.is_some_and(|mib| mib * f64::from(1 << 20) > plan.memory as f64);
    Ok(if too_large && choice != start { Probed::TooLarge } else { Probed::Rate(rate) })
}

/// A rate for people.
fn per_second(rate: f64) -> String {
    format!("{}/s", short(rate))
}
