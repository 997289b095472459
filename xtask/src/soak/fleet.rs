//! `cargo xtask soak --fleet`: a real server and a real hub, and a crowd of workers with real outboxes that finish games which were played
//! before. The trainer takes the games away and makes a model now and then.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{
    Args, STEP,
    samples::{Sample, Verdict},
    trainer::Trainer,
};
use crate::{
    command,
    crowd::{self, Crowd},
    demo,
    site::Site,
};

/// Time between two models.
const MODEL_EVERY: Duration = Duration::from_secs(60);

/// How long everything may take to come to an end.
const LAST_GAMES: Duration = Duration::from_secs(300);

/// Runs all of it and judges it.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let daemon = match &args.daemon {
        Some(daemon) => daemon.clone(),
        None => demo::build_daemon()?,
    };
    let program = crowd::build()?;
    let mut trainer = Trainer::new()?;
    let games = match &args.games {
        Some(games) => games.clone(),
        None => {
            let games = trainer.path("before");
            crowd::play(&daemon, &games)?;
            games
        }
    };
    let workers: Vec<_> = (1..=args.workers).map(|number| format!("w{number:04}")).collect();
    let site = Site::start(&daemon, trainer.root(), &workers, None, command::quietly)?;
    trainer.publish()?;
    let (models, ready) = (trainer.path("models"), trainer.ready());
    let flags: [PathBuf; 6] = ["--models".into(), models, "--ready".into(), ready, "--stages".into(), "100".into()];
    let (hub, _) = site.hub(&flags)?;
    let length = Duration::from_secs(60 * u64::from(args.minutes));
    let dir = trainer.path("workers");
    std::fs::create_dir(&dir).context("cannot create a folder for the workers")?;
    let crowd = Crowd::start(&program, &games, |crowd| {
        crowd.args(["work", "--servers", site.url(), "--workers", &args.workers.to_string()]);
        crowd.arg("--credentials").arg(site.credentials()).arg("--dir").arg(dir);
        crowd.args([
            "--games-per-second",
            &args.games_per_second.to_string(),
            "--seconds",
            &length.as_secs().to_string(),
        ]);
    })?;
    let (workers, rate, minutes) = (args.workers, args.games_per_second, args.minutes);
    println!("{workers} workers, {rate} games/s in all, for {minutes} min in {}", trainer.root().display());

    let mut soak = Soak { site, hub, crowd, trainer, samples: Default::default(), words: Vec::new() };
    let done = soak.run(length)?;
    let faults = soak.judge(&done, args.max_growth)?;
    soak.hub.end()?;
    if faults.is_empty() { Ok(()) } else { bail!(faults.join("; ")) }
}

/// All that runs. Dropped, it ends.
struct Soak {
    crowd: Crowd,
    hub: command::Running,
    site: Site,
    trainer: Trainer,
    /// Of hub, server and crowd.
    samples: [Vec<Sample>; 3],
    /// What the crowd told.
    words: Vec<Value>,
}

const NAMES: [&str; 3] = ["hub", "nats-server", "workers, all in one process"];

impl Soak {
    /// Looks at all of it until the crowd is done; what it says then.
    fn run(&mut self, length: Duration) -> anyhow::Result<Value> {
        let begun = Instant::now();
        let (mut told, mut named, mut sampled) = (0, begun, begun);
        while begun.elapsed() < length + LAST_GAMES {
            if let Some(mut line) = self.crowd.next(STEP.saturating_sub(sampled.elapsed()))? {
                if let Some(done) = line.get_mut("done") {
                    self.trainer.take_games()?;
                    return Ok(done.take());
                }
                self.words.extend(line.get_mut("now").map(Value::take));
            }
            if sampled.elapsed() < STEP {
                continue;
            }
            sampled = Instant::now();
            self.hub.check("the hub")?;
            self.trainer.take_games()?;
            if named.elapsed() >= MODEL_EVERY {
                named = Instant::now();
                self.trainer.publish()?;
            }
            if begun.elapsed() < length {
                let pids = [self.hub.pid(), self.site.server().pid(), self.crowd.pid()];
                for (samples, pid) in self.samples.iter_mut().zip(pids) {
                    samples.push(Sample::take(pid, begun.elapsed())?);
                }
            }
            if begun.elapsed().as_secs() / 60 > told {
                told = begun.elapsed().as_secs() / 60;
                let last: Vec<_> = self.samples.iter().filter_map(|samples| samples.last()).collect();
                println!("{told:>4} min: hub {}; nats-server {}; workers {}", last[0], last[1], last[2]);
                println!("          {}, {} games", self.words.last().unwrap_or(&Value::Null), self.trainer.games());
            }
        }
        bail!("games are still on their way {LAST_GAMES:?} after the last was finished")
    }

    /// Tells how it was; what is wrong.
    fn judge(&mut self, done: &Value, max_growth: f64) -> anyhow::Result<Vec<String>> {
        let mut faults = Vec::new();
        for (name, samples) in NAMES.iter().zip(&self.samples) {
            let verdict = Verdict::of(samples).context("too few samples")?;
            println!("\n{name}, {}", verdict.table());
            faults.extend(verdict.faults(max_growth).into_iter().map(|fault| format!("{name}: {fault}")));
        }
        let waiting = Waiting::of(&self.words).context("the crowd told too little")?;
        let Waiting { first, last, oldest } = waiting;
        println!(
            "frames without a receipt, at most: {first} in the second third, {last} in the last; the oldest waited {oldest} s"
        );
        faults.extend(waiting.fault());
        let (games, taken) = (done["games"].as_u64().unwrap_or_default(), self.trainer.games());
        println!("{games} games finished, {taken} taken by the trainer, {} models", self.trainer.version());
        if games != taken {
            faults.push(format!("of {games} games {taken} came"));
        }
        Ok(faults)
    }
}

/// How far the trainer was behind, after the first third.
struct Waiting {
    /// Most frames without a receipt, in the second third.
    first: u64,
    /// The same in the last.
    last: u64,
    /// The longest wait of any, in seconds.
    oldest: u64,
}

impl Waiting {
    fn of(words: &[Value]) -> Option<Self> {
        let judged = &words[words.len() / 3..];
        let (first, last) = judged.split_at(judged.len() / 2);
        let most = |words: &[Value], what: &str| words.iter().filter_map(|words| words[what].as_u64()).max();
        let oldest = most(judged, "oldest_seconds")?;
        Some(Self { first: most(first, "waiting")?, last: most(last, "waiting")?, oldest })
    }

    fn fault(&self) -> Option<String> {
        let Self { first, last, .. } = self;
        // What may be chance is no fault.
        (*last > 2 * first + 100).then(|| format!("frames without a receipt grew from {first} to {last}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Waiting;

    #[test]
    fn a_lag_that_grows_is_found() {
        let words = |grows: u64| -> Vec<_> {
            (0..900).map(|number| json!({"waiting": 30 + number % 7 + grows * number, "oldest_seconds": 2})).collect()
        };
        let flat = Waiting::of(&words(0)).unwrap();
        assert!((flat.first, flat.last, flat.oldest) == (36, 36, 2) && flat.fault().is_none());
        assert!(Waiting::of(&words(10)).unwrap().fault().is_none_or(|fault| fault.contains("grew")));
        let grows = Waiting { first: 30, last: 300, oldest: 9 };
        assert_eq!(grows.fault().unwrap(), "frames without a receipt grew from 30 to 300");
        assert!(Waiting::of(&[]).is_none());
    }
}
