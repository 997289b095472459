//! All that takes part in a history, and what comes next.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use super::{Seen, plan::Plan, player::Player};
use crate::{
    collector::{Collector, Rules},
    disk::fake::{Dice, End, FakeDisk},
    frame::{Entry, GameFiles},
    hub::Hub,
    link::CollectorLink,
    memory::{Broker, CollectorSide, Faults},
};

const READY: &str = "ready";

/// Rounds after which everything must have come to rest.
const MOST_ROUNDS: usize = 3_000;

/// See the module.
pub(super) struct World {
    plan: Plan,
    dice: Dice,
    now: Duration,
    broker: Broker,
    players: Vec<Player>,
    trainer_disk: FakeDisk,
    hub: Option<(Hub<FakeDisk>, CollectorSide)>,
    /// Games that each worker is to play in the acts so far.
    games_due: u64,
    /// Duplicates that the dead collectors had counted.
    duplicates: u64,
    finished: BTreeSet<String>,
    taken: BTreeSet<String>,
    seen: Seen,
    steps: u64,
    flooded: bool,
}

fn check(_: &Entry, files: &GameFiles) -> Result<(), String> {
    if files.yaml.starts_with(b"bad") { Err("it is bad".to_owned()) } else { Ok(()) }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let plan = Plan::roll(&mut dice);
        let broker = Broker::new(dice.roll(), plan.faults);
        let players = (0..plan.workers).map(|number| Player::new(number as u64 + 1, dice.roll())).collect();
        let trainer_disk = FakeDisk::with_dir(dice.roll(), READY);
        Self {
            plan,
            dice,
            now: Duration::ZERO,
            broker,
            players,
            trainer_disk,
            hub: None,
            games_due: 0,
            duplicates: 0,
            finished: BTreeSet::new(),
            taken: BTreeSet::new(),
            seen: Seen::new(),
            steps: 0,
            flooded: false,
        }
    }

    /// Plays the history; what happened, and the number of steps.
    pub(super) fn play(mut self) -> (Seen, u64) {
        for _ in 0..self.plan.acts {
            self.games_due += self.plan.games;
            self.broker.set_faults(self.plan.faults);
            self.trainer_disk.set_fails(self.plan.disk_fails);
            self.players.iter().for_each(|player| player.disk.set_fails(self.plan.disk_fails));
            for _ in 0..self.plan.steps {
                self.steps += 1;
                self.misfortune();
                self.step();
                self.check();
            }
            self.rest();
            self.balance();
        }
        for what in self.broker.seen() {
            self.count(what);
        }
        (self.seen, self.steps)
    }

    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Faults, by dice.
    fn misfortune(&mut self) {
        if self.dice.once_in(self.plan.deaths) {
            // Often in the next call, whatever it is.
            let longest = self.dice.one_of(&[1, 12]);
            let at = self.dice.below(longest);
            match self.dice.below(3) {
                0 => self.trainer_disk.die_at(at),
                1 => {
                    let place = self.dice.below(self.players.len() as u64) as usize;
                    self.players[place].disk.die_at(at);
                }
                _ => {
                    if let Some((_, link)) = &mut self.hub {
                        link.calls_left = Some(at);
                        self.count("collector died between two words");
                    }
                }
            }
        }
        if self.dice.once_in(self.plan.disasters) {
            match self.dice.below(4) {
                0 => self.broker.start_empty(),
                1 | 2 => self.broker.lose_tail(5),
                _ => self.broker.restart(),
            }
        }
        if self.dice.once_in(self.plan.floods) {
            self.flooded = !self.flooded;
            let room = self.trainer_disk.used() + self.dice.below(300);
            self.trainer_disk.set_room(self.flooded.then_some(room));
            if self.flooded {
                self.count("trainer's disk is full");
            }
        }
    }

    /// Processes that died are taken away.
    fn take_away_dead(&mut self) {
        for place in 0..self.players.len() {
            if self.players[place].disk.is_dead() {
                let end = self.dice.one_of(&[End::Killed, End::PowerCut]);
                self.players[place].die(end);
                self.count("worker died");
            }
        }
        let mute = self.hub.as_ref().is_some_and(|(_, link)| link.calls_left == Some(0));
        if self.trainer_disk.is_dead() || mute {
            if let Some((hub, _)) = self.hub.take() {
                self.duplicates += hub.collector().counts().duplicates;
            }
            let end = self.dice.one_of(&[End::Killed, End::PowerCut]);
            self.trainer_disk.restart(end);
            self.count("collector died");
        }
    }

    fn step(&mut self) {
        let total: u64 = self.plan.weights.iter().sum();
        let mut ticket = self.dice.below(total);
        let mut kind = 0;
        while ticket >= self.plan.weights[kind] {
            ticket -= self.plan.weights[kind];
            kind += 1;
        }
        match kind {
            0 => {
                let place = self.dice.below(self.players.len() as u64) as usize;
                self.player_step(place);
            }
            1 => {
                if !self.broker.deliver() || self.dice.once_in(4) {
                    self.now += Duration::from_millis(self.dice.one_of(&[10, 200, 6_000, 61_000]));
                    self.broker.set_now(self.now);
                }
            }
            2 => self.hub_step(),
            _ => self.train(),
        }
        self.take_away_dead();
    }

    fn player_step(&mut self, place: usize) {
        let Self { players, broker, dice, now, seen, plan, finished, games_due, .. } = self;
        let player = &mut players[place];
        if player.process.is_none() {
            player.start(broker, dice, *now, seen);
        } else if player.finished < *games_due && dice.once_in(2) {
            finished.insert(player.finish(dice, plan.large && place == 0 && player.finished == 0));
        } else {
            player.step(dice, *now, seen);
        }
    }

    fn hub_step(&mut self) {
        let Some((hub, link)) = &mut self.hub else {
            let rules = Rules { run: "run".parse().unwrap(), settings: None, check };
            if let Ok(Some(collector)) = Collector::open(self.trainer_disk.clone(), READY, rules) {
                self.hub = Some((Hub::new(collector), self.broker.collector()));
            }
            return;
        };
        match self.dice.below(6) {
            0 => hub.want(link),
            1 => link.ask_stream(),
            2 => {
                if hub.collect(link).is_err() {
                    self.count("collector: a group failed");
                }
            }
            _ => {
                if let Some(event) = link.hear() {
                    hub.heard(event, link);
                }
            }
        }
    }

    fn train(&mut self) {
        if self.trainer_disk.is_dead() {
            return;
        }
        for (_, yaml, npz) in self.trainer_disk.take(READY) {
            let id = String::from_utf8(yaml).unwrap();
            assert!(npz == id.as_bytes() || npz.len() > 900_000, "{id} has the arrays of another");
            assert!(self.finished.contains(&id), "{id} was never played");
            assert!(self.taken.insert(id.clone()), "{id} came to the trainer twice");
            self.count("trainer took games");
        }
    }

    /// What receipts cover is safe.
    fn check(&mut self) {
        for place in 0..self.players.len() {
            let covered = self.players[place].check();
            if covered.is_empty() {
                continue;
            }
            let visible = self.visible();
            for id in covered {
                let safe = self.taken.contains(&id) || visible.contains(&id) || id.starts_with("bad");
                assert!(safe, "{id} has a receipt and is nowhere");
            }
        }
    }

    /// Games in the trainer's folder.
    fn visible(&self) -> BTreeSet<String> {
        let names = self.trainer_disk.names(READY);
        let archives = names.iter().filter_map(|name| name.strip_suffix(".npz"));
        let yaml = archives.map(|stem| self.trainer_disk.peek(Path::new(READY).join(format!("{stem}.yaml"))));
        yaml.map(|yaml| String::from_utf8(yaml.expect("YAML files come first")).unwrap()).collect()
    }

    /// Faults end, and everything goes on until nothing is left to do.
    fn rest(&mut self) {
        self.broker.set_faults(Faults::default());
        self.trainer_disk.set_fails(0);
        self.trainer_disk.set_room(None);
        self.flooded = false;
        self.players.iter().for_each(|player| player.disk.set_fails(0));
        self.trainer_disk.spare();
        self.players.iter().for_each(|player| player.disk.spare());
        if let Some((_, link)) = &mut self.hub {
            link.calls_left = None;
        }
        for round in 0.. {
            self.steps += 1;
            for place in 0..self.players.len() {
                for _ in 0..4 {
                    self.player_step(place);
                }
            }
            self.broker.deliver();
            for _ in 0..3 {
                self.hub_step();
            }
            if self.dice.once_in(3) {
                self.train();
            }
            if self.dice.once_in(5) {
                self.now += Duration::from_secs(3);
                self.broker.set_now(self.now);
            }
            self.take_away_dead();
            self.check();
            let done = |player: &Player| player.finished == self.games_due && player.is_at_rest();
            if self.players.iter().all(done) && self.broker.stored() == 0 {
                break;
            }
            assert!(round < MOST_ROUNDS, "it does not come to rest: {:?}", self.where_it_hangs());
        }
        self.train();
    }

    fn where_it_hangs(&self) -> BTreeMap<String, String> {
        let player = |player: &Player| {
            let outbox = player.process.as_ref().map(|process| {
                let outbox = process.worker.outbox();
                (outbox.sendable(), outbox.last(), process.worker.counts().clone())
            });
            (player.name.to_string(), format!("{} games in the folder, outbox {outbox:?}", player.folder.len()))
        };
        let hub = self.hub.as_ref().map(|(hub, _)| format!("{:?}", hub.collector().book()));
        let broker = format!("{} messages", self.broker.stored());
        let others = [("broker".to_owned(), broker), ("hub".to_owned(), format!("{hub:?}"))];
        self.players.iter().map(player).chain(others).collect()
    }

    /// The books of the whole fleet.
    fn balance(&mut self) {
        let (bad, good): (BTreeSet<_>, BTreeSet<_>) =
            self.finished.iter().cloned().partition(|id| id.starts_with("bad"));
        assert_eq!(self.taken, good, "games that workers finished and games that the trainer got");
        let (hub, _) = self.hub.as_ref().expect("the collector lives");
        let (mut games, mut refused) = (0, 0);
        for (_, known) in hub.collector().book().origins() {
            games += known.games;
            refused += known.refused;
            assert_eq!(known.done.len(), 1, "a gap is left");
            assert_eq!(known.forgotten, 0);
        }
        assert_eq!((games, refused), (good.len() as u64, bad.len() as u64), "what the ledger has");
        assert_eq!(hub.collector().book().publishing().count(), 0);
        let duplicates = self.duplicates + hub.collector().counts().duplicates;
        self.seen.insert("collector: duplicate by the ledger", duplicates);
        self.seen.insert("collector: game refused", refused);
        let left = self.trainer_disk.names("ready/tmp/fleet");
        assert_eq!(left, [".lock", "ledger"], "files are left over");
    }
}
