//! Many workers, which all finish games.

use std::{
    path::PathBuf,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::{
    pool::Pool,
    station::{Station, files},
};

/// How often it is looked whether games are due, and who is done.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often it is told how all are.
const TELL_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The servers
    #[arg(long, value_name = "URL,…", value_delimiter = ',')]
    servers: Vec<String>,
    /// Folder of the workers' files
    #[arg(long, value_name = "DIR")]
    credentials: PathBuf,
    /// How many of them work: the first by name
    #[arg(long, value_name = "N")]
    workers: usize,
    /// Folder of the workers' folders
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Games in each outbox before anything is sent
    #[arg(long, value_name = "N", default_value_t = 0)]
    ahead: u64,
    /// Games that all of them finish per second
    #[arg(long, value_name = "G", default_value_t = 0.0)]
    games_per_second: f64,
    /// For how long; then it is waited until all outboxes are empty
    #[arg(long, value_name = "S", default_value_t = 0)]
    seconds: u64,
}

/// Works until all games are with the trainer.
pub(crate) fn run(args: &Args, pool: &Pool) -> anyhow::Result<()> {
    let files = files(&args.credentials)?;
    ensure!(files.len() >= args.workers, "there are {} workers' files, not {}", files.len(), args.workers);
    let made = files[..args.workers].iter().map(|file| Station::new(file, &args.dir, pool.settings_hash()));
    let mut stations = made.collect::<Result<Vec<_>, _>>()?;
    let mut frame_bytes = 0;
    for station in stations.iter_mut().filter(|_| args.ahead > 0) {
        frame_bytes += station.fill(args.ahead, pool)?;
    }
    let number = stations.len() as u64;
    println!("{}", json!({"filled": {"games": args.ahead * number, "frame_bytes": frame_bytes}}));
    let begun = Instant::now();
    stations.iter().try_for_each(|station| station.start(&args.servers, begun))?;

    let length = Duration::from_secs(args.seconds);
    let (mut finished, mut told) = (0, begun);
    let (mut first, mut last) = (None, begun);
    // Nothing is ever sent: a receiver is a timer that lints allow.
    let (_sender, ticks) = mpsc::channel::<()>();
    loop {
        let due = (begun.elapsed().min(length).as_secs_f64() * args.games_per_second) as u64;
        while finished < due {
            let place = (finished % number) as usize;
            stations[place].finish(pool, finished)?;
            finished += 1;
        }
        let now = look(&stations);
        if now.sent > 0 {
            first.get_or_insert_with(Instant::now);
        }
        if now.waiting > 0 {
            last = Instant::now();
        }
        let is_over = begun.elapsed() >= length && now.taken == finished && now.looked == number && now.waiting == 0;
        if is_over || told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            println!("{}", json!({"now": now.to_json(begun.elapsed(), finished)}));
        }
        if is_over {
            let seconds = first.map_or(0.0, |first| last.duration_since(first).as_secs_f64());
            let npz_bytes = pool.npz_bytes(finished) + pool.npz_bytes(args.ahead) * number;
            println!("{}", json!({"done": {"games": finished + now.done, "seconds": seconds, "npz_bytes": npz_bytes}}));
            return Ok(());
        }
        ticks.recv_timeout(LOOK_EVERY).ok();
    }
}

/// All of them, at one moment.
#[derive(Default)]
struct Now {
    /// Workers that have made a step.
    looked: u64,
    connected: u64,
    taken: u64,
    sent: u64,
    refusals: u64,
    lost: u64,
    /// Frames without a receipt.
    waiting: u64,
    oldest: u64,
    /// Games that were filled in before, and are with the trainer.
    done: u64,
    trouble: Option<String>,
}

fn look(stations: &[Station]) -> Now {
    let mut now = Now::default();
    for station in stations {
        let Some(state) = station.state() else { continue };
        now.looked += 1;
        now.connected += u64::from(state.link.up);
        now.taken += state.games_taken;
        now.sent += state.counts.sent;
        now.refusals += state.counts.refusals;
        now.lost += state.counts.lost_by_broker;
        now.waiting += state.outbox.frames;
        now.oldest = now.oldest.max(state.outbox.oldest_seconds);
        now.done += station.done(state.outbox.frames);
        let trouble = state.troubles.iter().next().map(|(_, words)| words.to_owned());
        let trouble = trouble.or(state.blocked.map(|blocked| blocked.words));
        now.trouble = now.trouble.or(trouble.map(|trouble| format!("{}: {trouble}", station.name())));
    }
    now
}

impl Now {
    fn to_json(&self, since: Duration, finished: u64) -> Value {
        json!({
            "seconds": since.as_secs_f64(),
            "connected": self.connected,
            "finished": finished,
            "taken": self.taken,
            "sent": self.sent,
            "refusals": self.refusals,
            "lost_by_broker": self.lost,
            "waiting": self.waiting,
            "oldest_seconds": self.oldest,
            "trouble": self.trouble,
        })
    }
}
