//! Games through workers, broker and hub into files, beside what one daemon's writer does with the same games on the same disk.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use serde_json::Value;

use super::{Setup, spread};
use crate::{
    command::{self, Running},
    crowd::Crowd,
    site::Site,
    times,
};

/// Workers whose outboxes are full when all begins.
const WORKERS: u64 = 4;

/// Games per second of one worker that plays on, and for how long.
const STEADY: f64 = 30.0;
const STEADY_SECONDS: u64 = 60;

/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Rows of the table, by round.
#[derive(Default)]
struct Rows {
    direct: Vec<Direct>,
    ahead: Vec<Through>,
    steady: Vec<Through>,
}

/// What one daemon's writer took.
struct Direct {
    per_second: f64,
    /// Milliseconds of the processor per game.
    writer: f64,
    /// Bytes of files per second.
    bytes_per_second: f64,
}

/// What a fleet took, per game but for the first: milliseconds of the processor, and bytes.
struct Through {
    per_second: f64,
    hub: f64,
    server: f64,
    /// The worker's thread that keeps games, and that of its connection.
    keeping: f64,
    sending: f64,
    npz_bytes: f64,
    wire_bytes: f64,
}

/// A row of the table: its name, its value, and how many digits are told.
type Row = (&'static str, fn(&Through) -> f64, usize);

/// Measures in turn, and tells.
pub(super) fn run(setup: &Setup) -> anyhow::Result<()> {
    let mut rows = Rows::default();
    for round in 1..=setup.rounds {
        rows.direct.push(direct(setup)?);
        rows.ahead.push(through(setup, Load::Ahead)?);
        rows.steady.push(through(setup, Load::Steady)?);
        println!("round {round} of {}:\n{}", setup.rounds, rows.table());
    }
    Ok(())
}

impl Rows {
    fn table(&self) -> String {
        let Self { direct, ahead, steady } = self;
        let of = |rows: &[Through], value: fn(&Through) -> f64, digits| spread(rows.iter().map(value), digits);
        let direct = |value: fn(&Direct) -> f64, digits| spread(direct.iter().map(value), digits);
        let mut table = format!(
            "| | one daemon's writer | a fleet, from full outboxes | a fleet, {STEADY} games/s |\n|---|---|---|---|\n\
             | games per second | {} | {} | {} |\n\
             | ÷ one daemon's writer, round by round | – | {} | – |\n\
             | MB per second of files | {} | – | – |\n\
             | CPU ms per game: writer; hub | {} | {} | {} |\n",
            direct(|row| row.per_second, 0),
            of(ahead, |row| row.per_second, 0),
            of(steady, |row| row.per_second, 0),
            spread(ahead.iter().zip(&self.direct).map(|(fleet, direct)| fleet.per_second / direct.per_second), 2),
            direct(|row| row.bytes_per_second / 1e6, 0),
            direct(|row| row.writer, 2),
            of(ahead, |row| row.hub, 2),
            of(steady, |row| row.hub, 2),
        );
        let more: [Row; 5] = [
            ("CPU ms per game: nats-server", |row| row.server, 2),
            ("CPU ms per game: the worker keeps and packs it", |row| row.keeping, 2),
            ("CPU ms per game: the worker's connection", |row| row.sending, 2),
            ("kB per game on the wire, worker to server", |row| row.wire_bytes / 1e3, 1),
            ("npz ÷ that", |row| row.npz_bytes / row.wire_bytes, 0),
        ];
        for (name, value, digits) in more {
            table += &format!("| {name} | – | {} | {} |\n", of(ahead, value, digits), of(steady, value, digits));
        }
        table
    }
}

fn direct(setup: &Setup) -> anyhow::Result<Direct> {
    let dir = tempfile::tempdir().context("cannot create a folder")?;
    let mut crowd = Crowd::start(&setup.crowd, &setup.pool, |crowd| {
        crowd.args(["direct", "--number", &setup.games.to_string()]).arg("--ready").arg(dir.path().join("ready"));
    })?;
    let done = crowd.wait("done", PATIENCE, |_| ())?;
    let number = |name: &str| done[name].as_f64().with_context(|| format!("the crowd does not tell {name}"));
    let (games, seconds, bytes) = (number("games")?, number("seconds")?, number("bytes")?);
    let writer = times::of_threads(crowd.pid())?.get("writer").copied().context("there is no writer")?;
    Ok(Direct {
        per_second: games / seconds,
        writer: writer.as_secs_f64() * 1e3 / games,
        bytes_per_second: bytes / seconds,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Load {
    /// All games are in outboxes when all begins.
    Ahead,
    /// One worker finishes them one by one.
    Steady,
}

fn through(setup: &Setup, load: Load) -> anyhow::Result<Through> {
    let dir = tempfile::tempdir().context("cannot create a folder")?;
    let workers = if load == Load::Ahead { WORKERS } else { 1 };
    let names: Vec<_> = (1..=workers).map(|number| format!("w{number}")).collect();
    let site = Site::start(&setup.daemon, dir.path(), &names, None, command::quietly)?;
    let folder = |name: &str| -> anyhow::Result<PathBuf> {
        let folder = dir.path().join(name);
        std::fs::create_dir(&folder).context("cannot create a folder")?;
        Ok(folder)
    };
    let (hub, page) = site.hub(&["--ready".into(), folder("ready")?])?;
    // It collects before there is anything to collect: what it does at its start is not counted.
    let is_ready = || Ok(site.status(&page).filter(|status| status["ready"]["ok"] == true));
    crate::site::wait_for("the hub", dir.path(), PATIENCE, is_ready)?;
    let dir = folder("workers")?;
    let mut crowd = Crowd::start(&setup.crowd, &setup.pool, |crowd| {
        crowd.args(["work", "--servers", site.url(), "--workers", &workers.to_string()]);
        crowd.arg("--credentials").arg(site.credentials()).arg("--dir").arg(dir);
        if load == Load::Ahead {
            crowd.args(["--ahead", &(setup.games / workers).to_string()]);
        } else {
            crowd.args(["--games-per-second", &STEADY.to_string(), "--seconds", &STEADY_SECONDS.to_string()]);
        }
    })?;
    crowd.wait("filled", PATIENCE, |_| ())?;
    let before = taken(&hub, &site)?;
    let mut last = Value::Null;
    let done = crowd.wait("done", PATIENCE, |line| last = line["now"].clone())?;
    let after = taken(&hub, &site)?;
    if let Some(trouble) = last["trouble"].as_str() {
        println!("at the end there was trouble: {trouble}");
    }
    let games = done["games"].as_f64().context("the crowd does not tell how many games")?;
    let threads = times::of_threads(crowd.pid())?;
    // What the outboxes were filled by is none of them.
    let thread = |name: &str| threads.get(name).map_or(0.0, |time| time.as_secs_f64() * 1e3 / games);
    let ms = |place: usize| (after[place] - before[place]).as_secs_f64() * 1e3 / games;
    Ok(Through {
        per_second: games / done["seconds"].as_f64().unwrap_or_default(),
        hub: ms(0),
        server: ms(1),
        keeping: thread("fleet"),
        sending: thread("fleet-worker"),
        npz_bytes: done["npz_bytes"].as_f64().unwrap_or_default() / games,
        wire_bytes: site.bytes_from_workers()? as f64 / games,
    })
}

/// Time of the processor that hub and server have taken.
fn taken(hub: &Running, site: &Site) -> anyhow::Result<[Duration; 2]> {
    Ok([times::of_process(hub.pid())?, times::of_process(site.server().pid())?])
}
