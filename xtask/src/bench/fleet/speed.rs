//! What a daemon evaluates per second of the processor's time, as a worker of a fleet and without one, in turn.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::Context as _;

use super::{Setup, spread};
use crate::{
    command::{self, Running},
    ort,
    site::{Site, free_address, get, pause, wait_for},
    times, workspace,
};

const SETTINGS: &str = "configs/bench/5x5.yaml";
const NETWORK: &str = "configs/demo/b5w3_resnet_2x32.onnx";

/// How long a daemon plays before it is measured, and while it is.
const WARM_UP: Duration = Duration::from_secs(15);
const LENGTH: Duration = Duration::from_secs(60);

/// How long a daemon may take until it evaluates something.
const PATIENCE: Duration = Duration::from_secs(300);

/// Pairs for each round that is asked for elsewhere: what differs is small.
const PAIRS: u32 = 2;

/// What was measured of a daemon.
struct Measured {
    evaluations_per_cpu_second: f64,
    evaluations_per_second: f64,
    games: f64,
    /// Milliseconds of the processor that its fleet part took per game.
    fleet: f64,
}

/// Measures and tells.
pub(super) fn run(setup: &Setup) -> anyhow::Result<()> {
    let pairs = PAIRS * setup.rounds;
    println!(
        "\nEvaluations per second of the processor's time, with a fleet and without, {pairs} pairs of {} s",
        LENGTH.as_secs()
    );
    let (mut ratios, mut fleet) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        // Whichever comes second may find another machine.
        let (with, without) = if pair % 2 == 0 {
            let with = with_fleet(setup)?;
            (with, alone(setup)?)
        } else {
            let without = alone(setup)?;
            (with_fleet(setup)?, without)
        };
        let ratio = with.evaluations_per_cpu_second / without.evaluations_per_cpu_second;
        let [on, off] = [&with, &without].map(|it| {
            let Measured { evaluations_per_cpu_second: cpu, evaluations_per_second: wall, games, .. } = it;
            format!("{cpu:.0} ({wall:.0} by the clock, {games:.0} games)")
        });
        println!("  with {on}, without {off}: {ratio:.3}; CPU ms of the fleet part per game: {:.2}", with.fleet);
        ratios.push(ratio);
        fleet.push(with.fleet);
    }
    println!("  ratio {}; CPU ms of the fleet part per game {}", spread(ratios, 3), spread(fleet, 2));
    Ok(())
}

fn publish(models: &Path) -> anyhow::Result<()> {
    fs::create_dir(models).context("cannot create a folder")?;
    let network = workspace::root().join(NETWORK);
    fs::write(models.join("latest.yaml"), format!("filename: {}\nversion: 1\n", network.display()))
        .context("cannot name a model")
}

fn with_fleet(setup: &Setup) -> anyhow::Result<Measured> {
    let dir = tempfile::tempdir().context("cannot create a folder")?;
    let site = Site::start(&setup.daemon, dir.path(), &["w1"], None, command::quietly)?;
    let (models, ready) = (dir.path().join("models"), dir.path().join("ready"));
    publish(&models)?;
    fs::create_dir(&ready).context("cannot create a folder")?;
    let _hub = site.hub(&["--models".into(), models, "--ready".into(), ready])?;
    measure(setup, dir.path(), |daemon| {
        daemon.args(["--fleet", site.url(), "--credentials"]).arg(site.worker_file("w1"));
        daemon.arg("--fleet-dir").arg(dir.path().join("w1"));
    })
}

fn alone(setup: &Setup) -> anyhow::Result<Measured> {
    let dir = tempfile::tempdir().context("cannot create a folder")?;
    let models = dir.path().join("models");
    publish(&models)?;
    measure(setup, dir.path(), |daemon| {
        daemon.arg("--continuous").arg("--latest-model-yaml").arg(models.join("latest.yaml"));
        daemon.arg("--output-dir").arg(dir.path().join("ready"));
    })
}

fn measure(setup: &Setup, dir: &Path, more: impl FnOnce(&mut std::process::Command)) -> anyhow::Result<Measured> {
    let address = free_address()?;
    let mut daemon = command::command(&setup.daemon);
    daemon.args(["--config", SETTINGS, "--device", "cpu", "--seed", "1", "--http-listen", &address]);
    more(&mut daemon);
    daemon.env("ORT_DYLIB_PATH", ort::cpu_library(false)?).stdout(std::process::Stdio::null());
    let log = fs::File::create(dir.join("daemon.log")).context("cannot create a log")?;
    let mut daemon = Running::start(daemon.stderr(log))?;
    wait_for("a daemon", dir, PATIENCE, || {
        daemon.check("the daemon")?;
        Ok(get(&address, "/metrics").ok().filter(|text| metric(text, EVALUATIONS) > 0.0).map(drop))
    })?;
    pause(WARM_UP);
    let before = Moment::of(&daemon, &address)?;
    pause(LENGTH);
    let after = Moment::of(&daemon, &address)?;
    daemon.end()?;
    let evaluations = after.evaluations - before.evaluations;
    let games = after.games - before.games;
    let time = |names: &[&str]| {
        let sum = |moment: &Moment| names.iter().filter_map(|name| moment.threads.get(*name)).sum::<Duration>();
        (sum(&after) - sum(&before)).as_secs_f64()
    };
    let all: Vec<_> = after.threads.keys().map(String::as_str).collect();
    Ok(Measured {
        evaluations_per_cpu_second: evaluations / time(&all),
        evaluations_per_second: evaluations / LENGTH.as_secs_f64(),
        games,
        fleet: time(&["fleet", "fleet-worker"]) * 1e3 / games,
    })
}

const EVALUATIONS: &str = "selfplayd_evaluations_total";
const GAMES: &str = "selfplayd_games_written_total";

/// A daemon at one moment.
struct Moment {
    evaluations: f64,
    games: f64,
    threads: BTreeMap<String, Duration>,
}

impl Moment {
    fn of(daemon: &Running, address: &str) -> anyhow::Result<Self> {
        let text = get(address, "/metrics")?;
        let threads = times::of_threads(daemon.pid())?;
        Ok(Self { evaluations: metric(&text, EVALUATIONS), games: metric(&text, GAMES), threads })
    }
}

/// The sum of all rows of a metric.
fn metric(text: &str, name: &str) -> f64 {
    let rows = text.lines().filter_map(|line| line.strip_prefix(name)).filter(|row| row.starts_with([' ', '{']));
    rows.filter_map(|row| row.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::metric;

    #[test]
    fn rows_of_a_metric_are_summed() {
        let text = "# TYPE a counter\na{b=\"ok\"} 3\na{b=\"c d\"} 4.5\nab 9\na 1\n";
        assert_eq!((metric(text, "a"), metric(text, "ab"), metric(text, "none")), (8.5, 9.0, 0.0));
    }
}
