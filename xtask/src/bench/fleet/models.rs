//! A model of 5 MB from the moment that the pointer to it is there until workers have it, and until daemons serve it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{Setup, spread};
use crate::{
    command::{self, Running},
    crowd::Crowd,
    ort,
    site::{Site, wait_for},
    workspace,
};

const WORKERS: usize = 20;
const NETWORK: &str = "configs/demo/b5w3_resnet_2x32.onnx";
const SETTINGS: &str = "configs/demo/demo.yaml";
const BYTES: usize = 5_000_000;

/// How long it may take until a model is with all.
const ALL: Duration = Duration::from_secs(600);

/// How many models are measured, after the first, in each way.
const MODELS: u32 = 5;

/// Measures and tells.
pub(super) fn run(setup: &Setup) -> anyhow::Result<()> {
    println!(
        "\nA model of {BYTES} bytes, from its pointer to {WORKERS} workers, seconds: median (least–most) of all, model by model"
    );
    let (mut names, mut median) = (workers(), Vec::new());
    names.push("watcher".to_owned());
    {
        let mut stage = Stage::new(setup, &names)?;
        let mut crowd = stage.crowd(setup, WORKERS)?;
        stage.publish()?;
        let all = told(&mut crowd, stage.version, WORKERS)?;
        println!("  the first of all, to workers that have none: {}", spread(all.named(), 2));
        for _ in 0..MODELS {
            stage.publish()?;
            let all = told(&mut crowd, stage.version, WORKERS)?;
            println!("  fetched and named for the daemon: {}", spread(all.named(), 2));
            median.extend(all.named());
        }
        println!("  all of them: {}", spread(median.drain(..), 2));
    }
    let mut stage = Stage::new(setup, &names)?;
    stage.publish()?;
    // While they rest for others daemons read no model: they play, all on this machine.
    let mut daemons = stage.daemons(setup)?;
    wait_for("the first model", stage.dir.path(), ALL, || Ok(stage.served(1)?.map(drop)))?;
    let mut crowd = stage.crowd(setup, 1)?;
    told(&mut crowd, stage.version, 1)?;
    for _ in 0..MODELS {
        stage.publish()?;
        let all = told(&mut crowd, stage.version, 1)?;
        let served = wait_for("a model", stage.dir.path(), ALL, || stage.served(stage.version))?;
        let seconds: Vec<_> = served.into_iter().map(|served| (served - all.pointer).rem_euclid(DAY)).collect();
        println!("  in service at daemons that play: {}", spread(seconds.iter().copied(), 2));
        median.extend(seconds);
        daemons.iter_mut().try_for_each(|daemon| daemon.check("a daemon"))?;
    }
    println!("  all of them: {}", spread(median.drain(..), 2));
    Ok(())
}

fn workers() -> Vec<String> {
    (1..=WORKERS).map(|number| format!("w{number:02}")).collect()
}

/// When the pointer to a model was there, and when workers had it, in seconds since 1970.
struct Told {
    pointer: f64,
    had: Vec<f64>,
}

impl Told {
    fn named(&self) -> impl Iterator<Item = f64> {
        self.had.iter().map(|had| had - self.pointer)
    }
}

/// Waits until so many workers of a crowd have a model. The first to hear of it says when the pointer was there.
fn told(crowd: &mut Crowd, version: u64, workers: usize) -> anyhow::Result<Told> {
    let mut told = Told { pointer: f64::INFINITY, had: Vec::new() };
    let begun = Instant::now();
    while told.had.len() < workers {
        let model = crowd.wait("model", ALL.saturating_sub(begun.elapsed()), |_| ())?;
        if model["version"].as_u64() == Some(version) {
            told.pointer = told.pointer.min(model["told"].as_f64().context("no time")?);
            told.had.push(model["named"].as_f64().context("no time")?);
        }
    }
    Ok(told)
}

/// The trainer's machine.
struct Stage {
    // Dropped in this order.
    _hub: Running,
    site: Site,
    version: u64,
    network: Vec<u8>,
    dir: tempfile::TempDir,
}

impl Stage {
    fn new(setup: &Setup, names: &[String]) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().context("cannot create a folder")?;
        let site = Site::start(&setup.daemon, dir.path(), names, None, command::quietly)?;
        for name in ["models", "workers", "ready"] {
            fs::create_dir(dir.path().join(name)).context("cannot create a folder")?;
        }
        let (models, ready) = (dir.path().join("models"), dir.path().join("ready"));
        let args: [PathBuf; 6] = ["--models".into(), models, "--ready".into(), ready, "--stages".into(), "100".into()];
        let (hub, _) = site.hub(&args)?;
        let network = fs::read(workspace::root().join(NETWORK)).with_context(|| format!("cannot read {NETWORK}"))?;
        Ok(Self { _hub: hub, site, version: 0, network, dir })
    }

    /// What a trainer does with a new model.
    fn publish(&mut self) -> anyhow::Result<()> {
        self.version += 1;
        let models = self.dir.path().join("models");
        let file = models.join(format!("model_{}.onnx", self.version));
        fs::write(&file, padded(&self.network, self.version, BYTES)).context("cannot write a model")?;
        let latest = format!("filename: {}\nversion: {}\n", file.display(), self.version);
        let new = models.join("new.yaml");
        fs::write(&new, latest)
            .and_then(|()| fs::rename(new, models.join("latest.yaml")))
            .context("cannot name a model")
    }

    fn crowd(&self, setup: &Setup, workers: usize) -> anyhow::Result<Crowd> {
        let mut credentials = self.site.credentials();
        if workers == 1 {
            // Of all keys the last: the others' are daemons'.
            let alone = self.dir.path().join("watcher");
            fs::create_dir_all(&alone)?;
            fs::copy(self.site.worker_file("watcher"), alone.join("watcher.worker"))?;
            credentials = alone;
        }
        Crowd::start(&setup.crowd, &setup.pool, |crowd| {
            crowd.args(["work", "--servers", self.site.url(), "--workers", &workers.to_string(), "--seconds", "86400"]);
            crowd.arg("--credentials").arg(credentials).arg("--dir").arg(self.dir.path().join("workers"));
        })
    }

    /// Starts a daemon for each worker but the watcher: small ones, as many run on this machine.
    fn daemons(&self, setup: &Setup) -> anyhow::Result<Vec<Running>> {
        let library = ort::cpu_library(false)?;
        let start = |name: &String| {
            let mut daemon = command::command(&setup.daemon);
            daemon.args(["--fleet", self.site.url(), "--config", SETTINGS, "--games-per-process", "1"]);
            daemon.args(["--inference-threads", "1", "--device", "cpu", "--http-listen", "none"]);
            daemon.arg("--credentials").arg(self.site.worker_file(name));
            daemon.arg("--fleet-dir").arg(self.dir.path().join("workers").join(name));
            daemon.env("ORT_DYLIB_PATH", &library).env("SELFPLAYD__LOG__FORMAT", "json");
            self.site.start_beside(name, &mut daemon)
        };
        workers().iter().map(start).collect()
    }

    /// When each daemon had a model in service, in seconds of the day; nothing while one has not.
    fn served(&self, version: u64) -> anyhow::Result<Option<Vec<f64>>> {
        let served = |name: &String| served(&self.dir.path().join(format!("{name}.log")), version);
        workers().iter().map(served).collect()
    }
}

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// When a daemon's log says that a model came into service, in seconds of the day.
fn served(log: &Path, version: u64) -> anyhow::Result<Option<f64>> {
    let text = fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_it = |line: &Value| {
        let fields = line.get("fields").unwrap_or(line);
        fields["message"] == "model in service" && fields["version"].as_u64() == Some(version)
    };
    match lines.rfind(is_it) {
        None => Ok(None),
        Some(line) => second_of_day(line["timestamp"].as_str().unwrap_or_default()).map(Some),
    }
}

/// Of a time such as `2026-12-01T01:24:23.738748Z`.
fn second_of_day(time: &str) -> anyhow::Result<f64> {
    let fields: Vec<f64> = time
        .split_once('T')
        .map(|(_, time)| time.trim_end_matches('Z').split(':').map_while(|field| field.parse().ok()).collect())
        .unwrap_or_default();
    match fields[..] {
        [hours, minutes, seconds] => Ok(hours * 3_600.0 + minutes * 60.0 + seconds),
        _ => bail!("\"{time}\" is no time"),
    }
}

/// A network with a text about itself that makes it so long, and differs for each version.
fn padded(network: &[u8], version: u64, bytes: usize) -> Vec<u8> {
    // Field 6 of a model is that text. Its length takes four bytes of seven bits where it is above 2 MiB.
    let length = bytes.saturating_sub(network.len() + 5).max(1 << 21);
    let mut model = network.to_vec();
    model.push(0x32);
    model.extend((0..4).map(|place| (length >> (7 * place)) as u8 & 0x7f | if place < 3 { 0x80 } else { 0 }));
    // Text that cannot be packed, as weights cannot.
    let mut state = version.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    model.extend((0..length).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'0' + (state >> 32) as u8 % 64
    }));
    model
}

#[cfg(test)]
mod tests {
    use super::{BYTES, padded, second_of_day};

    #[test]
    fn a_network_gets_a_text_as_long_as_it_takes() {
        let model = padded(b"network", 1, BYTES);
        assert_eq!(model.len(), BYTES);
        assert_eq!(model[7], 0x32);
        let length = model[8..12].iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        assert_eq!((length, model[11] & 0x80), (BYTES - 12, 0));
        assert_ne!(model, padded(b"network", 2, BYTES));
    }

    #[test]
    fn times_of_a_log_are_read() {
        assert_eq!(second_of_day("2026-12-01T01:24:23.5Z").unwrap(), 5_063.5);
        assert!(second_of_day("today").is_err());
    }
}
