//! Games on their way to the trainer.

use super::*;
use crate::{
    collector::Rules,
    disk::fake::{Dice, End},
    frame::{Entry, GameFiles, tests::stem},
    memory::CollectorSide,
    presence::Block,
};

const READY: &str = "ready";

fn check(_: &Entry, files: &GameFiles) -> Result<(), String> {
    if files.npz.starts_with(b"bad") { Err("it is bad".to_owned()) } else { Ok(()) }
}

fn collector(broker: &Broker, disk: &FakeDisk) -> CollectorService<CollectorSide, FakeDisk> {
    let rules = Rules { run: name("run"), settings: Some([SETTINGS.to_owned()].into()), check };
    CollectorService::new(CollectorConfig { ready: READY.into(), rules }, broker.collector(), disk.clone())
}

/// A worker that finishes games.
struct Hand {
    name: String,
    disk: FakeDisk,
    service: WorkerService<WorkerSide, FakeDisk>,
    room: u64,
    games: u64,
}

impl Hand {
    fn new(broker: &Broker, worker: &str, room: u64) -> Self {
        let disk = FakeDisk::new(worker.len() as u64);
        let service = Station::service(broker, &disk, worker, SETTINGS, room);
        Self { name: worker.to_owned(), disk, service, room, games: 0 }
    }

    fn step(&mut self, now: Duration) -> Duration {
        self.service.step(now, &DaemonWord::default())
    }

    /// A game is finished, as a daemon writes it; its name.
    fn finish(&mut self, bad: bool) -> String {
        self.games += 1;
        let id = format!("{}{}-{}", if bad { "bad " } else { "" }, self.name, self.games);
        let yaml = format!("model_version: 3\ngame_length: 5\ncreator: '1'\nsettings_hash: {SETTINGS}\n");
        for (ending, bytes) in [("yaml", yaml.as_bytes()), ("npz", id.as_bytes())] {
            let path = format!("w/games/{}.{ending}", stem(self.games));
            self.disk.write(Path::new(&path), bytes).unwrap();
        }
        self.disk.sync_dir(Path::new("w/games")).unwrap();
        id
    }

    /// The process dies and another begins.
    fn die(&mut self, broker: &Broker, end: End) {
        // The one before is gone before the next one locks anything.
        self.disk.restart(end);
        self.service = Station::service(broker, &self.disk, &self.name, SETTINGS, self.room);
    }

    fn is_at_rest(&self) -> bool {
        self.service.state().outbox.frames == 0 && self.disk.names("w/games").is_empty()
    }
}

/// Workers, a collector and the trainer.
struct Yard {
    broker: Broker,
    now: Duration,
    trainer: FakeDisk,
    collector: CollectorService<CollectorSide, FakeDisk>,
    hands: Vec<Hand>,
    taken: BTreeSet<String>,
}

impl Yard {
    fn new(workers: usize, seed: u64, room: u64) -> Self {
        let broker = Broker::new(seed, Faults::default());
        let trainer = FakeDisk::with_dir(seed, READY);
        let hands = (0..workers).map(|number| Hand::new(&broker, &format!("w{number}"), room)).collect();
        let collector = collector(&broker, &trainer);
        Self { broker, now: Duration::from_secs(1), trainer, collector, hands, taken: BTreeSet::new() }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.broker.set_now(self.now);
    }

    fn collect(&mut self) {
        while self.broker.deliver() {}
        self.collector.step(self.now);
    }

    fn train(&mut self) {
        for (_, _, npz) in self.trainer.take(READY) {
            let id = String::from_utf8(npz).unwrap();
            assert!(self.taken.insert(id.clone()), "{id} came twice");
        }
    }

    fn tick(&mut self) {
        self.pass(TICK);
        for hand in &mut self.hands {
            hand.step(self.now);
        }
        self.collect();
        self.train();
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = self.now;
        while !is_so(self) {
            self.tick();
            let states = || {
                let hands: Vec<_> = self.hands.iter().map(|hand| hand.service.state()).collect();
                serde_json::to_string_pretty(&(hands, self.collector.state())).unwrap()
            };
            assert!(self.now - begun < Duration::from_secs(900), "it does not come to this: {what}: {}", states());
        }
    }

    fn rest(&mut self) {
        self.until("all games have come", |yard| yard.hands.iter().all(Hand::is_at_rest) && yard.broker.stored() == 0);
    }
}

#[test]
fn games_come_from_the_daemons_folder_into_the_trainers() {
    let mut yard = Yard::new(2, 1, 1 << 20);
    yard.tick();
    let mut finished = BTreeSet::new();
    for round in 0..40 {
        finished.insert(yard.hands[round % 2].finish(round == 7));
        yard.tick();
    }
    yard.rest();
    let (bad, good): (BTreeSet<_>, BTreeSet<_>) = finished.into_iter().partition(|id| id.starts_with("bad"));
    assert_eq!((&yard.taken, bad.len()), (&good, 1));
    let state = yard.hands[0].service.state();
    assert_eq!((state.games_taken, state.counts.lost_by_broker, state.outbox.frames), (20, 0, 0));
    // Games that ended within a moment share a frame.
    assert!(state.counts.sent < 15, "{}", state.counts.sent);
    assert_eq!(state.troubles, Troubles::default());
    yard.tick();
    let state = yard.collector.state();
    assert_eq!((state.counts.games, state.counts.refused, state.counts.duplicates), (39, 1, 0));
    assert_eq!(state.workers[&name("w1")], Collected { games: 19, refused: 1, forgotten: 0 });
    assert!(state.refusals[&name("w1")].ends_with("it is bad") && state.collects);
    assert_eq!(state.lag, Some(crate::link::Lag::default()));
    assert_eq!(yard.hands[1].service.state().counts.reason.as_deref(), Some(&*state.refusals[&name("w1")]));
}

#[test]
fn services_that_die_at_any_moment_lose_and_double_nothing() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let mut yard = Yard::new(1 + dice.below(3) as usize, seed, 1 << 20);
        let faulty = !dice.once_in(4);
        let mut rate = |often: u64| if faulty && dice.once_in(2) { often } else { 0 };
        let faults = Faults { loses: rate(10), repeats: rate(10), reorders: rate(4), room: rate(2_000) as usize };
        let (fails, deaths, disasters) = (rate(30), rate(12), rate(60));
        yard.broker.set_faults(faults);
        let mut finished = BTreeSet::new();
        yard.tick();
        for _ in 0..250 {
            let place = dice.below(yard.hands.len() as u64) as usize;
            let hand = &mut yard.hands[place];
            if dice.once_in(2) && hand.service.state().troubles.get("outbox").is_none() {
                finished.insert(hand.finish(dice.once_in(12)));
            }
            let dies = dice.once_in(deaths);
            let dying = if dice.once_in(2) { &hand.disk } else { &yard.trainer };
            if dies {
                dying.die_at(dice.below(12));
            }
            hand.disk.set_fails(fails);
            yard.trainer.set_fails(fails);
            hand.step(yard.now);
            hand.disk.set_fails(0);
            hand.disk.spare();
            if hand.disk.is_dead() {
                hand.die(&yard.broker, dice.one_of(&[End::Killed, End::PowerCut]));
                hand.step(yard.now);
            }
            yard.collect();
            yard.trainer.set_fails(0);
            yard.trainer.spare();
            if yard.trainer.is_dead() {
                yard.trainer.restart(dice.one_of(&[End::Killed, End::PowerCut]));
                yard.collector = collector(&yard.broker, &yard.trainer);
            }
            if dice.once_in(disasters) {
                match dice.below(3) {
                    0 => yard.broker.start_empty(),
                    1 => yard.broker.lose_tail(5),
                    _ => yard.broker.restart(),
                }
            }
            if dice.once_in(3) {
                yard.train();
            }
            yard.pass(dice.one_of(&[TICK, TICK, TICK * 20]));
        }
        yard.broker.set_faults(Faults::default());
        yard.rest();
        let good: BTreeSet<_> = finished.into_iter().filter(|id| !id.starts_with("bad")).collect();
        assert_eq!(yard.taken, good, "history {seed}");
        yard.tick();
        yard.tick();
        assert_eq!(yard.collector.state().troubles, Troubles::default(), "history {seed}");
        for hand in &yard.hands {
            let state = hand.service.state();
            assert_eq!((&state.troubles, &state.blocked), (&Troubles::default(), &None), "history {seed}");
        }
    }
}

#[test]
fn no_game_begins_while_the_outbox_is_full_and_play_goes_on_by_itself() {
    let mut yard = Yard::new(1, 2, 20_000);
    yard.tick();
    let (now, hand) = (&mut yard.now, &mut yard.hands[0]);
    let mut games = 0;
    while hand.service.blocked().is_none() {
        hand.finish(false);
        games += 1;
        *now += TICK * 4;
        hand.step(*now);
        assert!(games < 1_000, "{:?}", hand.service.state());
    }
    let blocked = hand.service.blocked().unwrap();
    assert_eq!(blocked.why, Block::OutboxFull);
    assert!(blocked.words.starts_with("outbox full: ") && blocked.words.ends_with("the collector is behind or away"));
    // Games that had begun come to an end all the same; what finds no room waits where it is.
    for _ in 0..100 {
        hand.finish(false);
        *now += TICK * 4;
        hand.step(*now);
    }
    assert!(hand.disk.names("w/games").len() > 2 && hand.service.state().troubles == Troubles::default());
    let begun = yard.now;
    yard.rest();
    // Each room that receipts make is used at once.
    assert!(yard.now - begun < Duration::from_secs(4), "{:?}", yard.now - begun);
    assert_eq!((yard.taken.len(), yard.hands[0].service.blocked()), (games + 100, None));
}

#[test]
fn no_game_begins_while_those_that_are_over_find_no_room() {
    // A few games at once take more than the tenth that is left.
    let mut yard = Yard::new(1, 3, 2_000);
    yard.tick();
    let mut games = 0;
    while yard.hands[0].disk.names("w/games").is_empty() {
        for _ in 0..8 {
            yard.hands[0].finish(false);
            games += 1;
        }
        yard.now += TICK * 4;
        let now = yard.now;
        yard.hands[0].step(now);
        assert!(games < 1_000);
    }
    let state = yard.hands[0].service.state();
    assert!(state.outbox.bytes < 1_800 && state.blocked.is_some_and(|blocked| blocked.why == Block::OutboxFull));
    yard.rest();
    assert_eq!((yard.taken.len(), yard.hands[0].service.blocked()), (games, None));
}

#[test]
fn a_worker_of_other_settings_starts_no_games() {
    let mut fleet = Fleet::new(1, 3);
    fleet.train(1);
    fleet.until("the first serves", |fleet| fleet.all_serve(1));
    assert_eq!(fleet.stations[0].service.blocked(), None);
    fleet.stations.push(Station::new(&fleet.broker, "w7", "0dd5"));
    fleet.until("it has heard of the run", |fleet| fleet.stations[1].named.is_some());
    let blocked = fleet.stations[1].service.blocked().unwrap();
    assert_eq!(blocked.why, Block::SettingsDiffer);
    assert!(blocked.words.contains("0dd5") && blocked.words.contains("5e77"), "{blocked:?}");
    assert!(blocked.words.ends_with("copy its config.yaml here"));
    fleet.for_seconds(1);
    let said = fleet.publisher.state().workers[1].said.clone().unwrap();
    assert_eq!(said.blocked, Some(blocked));
}

#[test]
fn an_outbox_that_cannot_be_used_is_told_and_tried_again() {
    let broker = Broker::new(4, Faults::default());
    let mut hand = Hand::new(&broker, "w0", 1 << 20);
    let mut now = Duration::from_secs(1);
    // Another process has it.
    let mut first = Station::service(&broker, &hand.disk, "w0", SETTINGS, 1 << 20);
    first.open().unwrap();
    hand.step(now);
    let blocked = hand.service.blocked().unwrap();
    assert!(blocked.why == Block::OutboxUnusable && blocked.words.contains("another process uses it"), "{blocked:?}");
    assert!(hand.service.open().unwrap_err().to_string().contains("another process uses it"));
    drop(first);
    now += Duration::from_secs(10);
    hand.step(now);
    assert_eq!(hand.service.blocked(), None);
    // Games cannot be written.
    hand.finish(false);
    hand.disk.set_room(Some(hand.disk.used() + 10));
    now += Duration::from_secs(10);
    hand.step(now);
    let blocked = hand.service.blocked().unwrap();
    assert!(blocked.why == Block::OutboxUnusable && blocked.words.starts_with("finished games cannot be kept: write"));
    hand.disk.set_room(None);
    now += Duration::from_secs(10);
    hand.step(now);
    assert_eq!((hand.service.blocked(), hand.service.state().games_taken), (None, 1));
}

#[test]
fn frames_that_the_disk_has_damaged_are_told_and_the_others_go_on() {
    let mut yard = Yard::new(1, 5, 1 << 20);
    let hand = &mut yard.hands[0];
    hand.step(yard.now);
    for round in 0..3 {
        hand.finish(false);
        yard.now += TICK * 4;
        // Not sent yet: there is no report.
        if round < 2 {
            hand.step(yard.now);
        }
    }
    hand.disk.damage("w/outbox/00000000000000000001.frame", b"rust".to_vec());
    yard.rest();
    let state = yard.hands[0].service.state();
    assert_eq!((state.frames_lost, yard.taken.len()), (1, 2));
    assert!(state.lost.unwrap().starts_with("frame 1: "));
}

#[test]
fn an_outbox_restored_from_an_older_copy_is_told() {
    let mut yard = Yard::new(1, 6, 1 << 20);
    yard.tick();
    let backup = yard.hands[0].disk.backup();
    yard.hands[0].finish(false);
    yard.rest();
    yard.hands[0].disk.restore(&backup);
    let broker = yard.broker.clone();
    yard.hands[0].die(&broker, End::Killed);
    yard.tick();
    let blocked = yard.hands[0].service.blocked().unwrap();
    assert!(blocked.why == Block::OutboxUnusable && blocked.words.contains("restored from an older copy"));
}

#[test]
fn one_collector_at_a_time_and_the_next_takes_its_place() {
    let mut yard = Yard::new(1, 7, 1 << 20);
    yard.tick();
    let mut standby = collector(&yard.broker, &yard.trainer);
    standby.step(yard.now);
    let state = standby.state();
    assert!(!state.collects && state.stands_by && state.troubles.iter().next().is_none());
    yard.hands[0].finish(false);
    yard.rest();
    yard.hands[0].finish(false);
    // Its side of the broker too is that of the one that lives.
    yard.collector = standby;
    yard.rest();
    assert!(yard.collector.state().collects && yard.collector.state().troubles == Troubles::default());
    assert_eq!((yard.taken.len(), yard.collector.state().counts.games), (2, 1));
}

#[test]
fn a_full_disk_of_the_trainer_is_told_and_games_wait() {
    let mut yard = Yard::new(1, 8, 1 << 20);
    yard.tick();
    yard.trainer.set_room(Some(yard.trainer.used()));
    yard.hands[0].finish(false);
    yard.until("it is told", |yard| yard.collector.state().troubles.get("disk").is_some());
    let told = yard.collector.state().troubles.get("disk").unwrap().to_owned();
    assert!(told.starts_with("games cannot be collected: write file ready/tmp/fleet/"), "{told}");
    for _ in 0..40 {
        yard.tick();
    }
    assert_eq!((yard.broker.stored(), yard.taken.len()), (1, 0));
    let lag = yard.collector.state().lag.unwrap();
    assert_eq!(lag.waiting + lag.in_hand, 1);
    yard.trainer.set_room(None);
    yard.rest();
    assert_eq!((yard.taken.len(), yard.collector.state().troubles), (1, Troubles::default()));
    // One that is not there is waited for.
    let nowhere = FakeDisk::new(0);
    let mut collector = collector(&yard.broker, &nowhere);
    assert!(collector.open().is_err());
    collector.step(yard.now);
    assert!(collector.state().troubles.get("folder").unwrap().contains("ready/tmp"));
}
