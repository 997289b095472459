//! What panics is survived and changes no game; what keeps panicking is escalated.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use selfplay_actors::{
    game::each_ply,
    health::{HangLimits, State},
    loader::{SyntheticEvaluator, SyntheticSource},
    referee::{Entrant, Examine, Referee, RefereeOptions, Shares, Worked},
    root::{CHILDREN, Ending},
};
use selfplay_engine::{
    evaluation::{HashEvaluator, HashPriors},
    games::quoridor::Quoridor,
    search::Simulations,
};

use crate::{
    following::{Trainer, ply_channel},
    fragile::{Faults, Fragile},
    sources::{Shaky, Stuck, Versions},
    support::{DEADLINE, ENCODING, Scenario, quoridor},
};

#[test]
fn evaluators_that_panic_and_fail_change_no_game() {
    let healthy = Scenario::games(10).play();
    for threads in [1, 2] {
        let (panics, fails, fails_from) = (&[50, 200], &[70, 71], u64::MAX);
        let source = Shaky { game: quoridor(), threads, panics, fails, fails_from };
        let scenario = Scenario { source: Box::new(source), inference_threads: threads, ..Scenario::games(10) };
        let played = scenario.play();
        assert_eq!((played.ending, played.stats.games_abandoned), (Ending::Clean, 0));
        assert!(played.stats.retries > 0);
        assert_eq!((played.stats.batch_errors, played.stats.restarts), (4, 4));
        assert!(played.arrays == healthy.arrays);
    }
}

#[test]
fn rules_that_panic_in_a_game_actor_change_no_game() {
    for game_threads in [1, 2] {
        let play = |faults| {
            let mut scenario = Scenario { game_threads, ..Scenario::with_game(Fragile::new(quoridor(), faults), 8) };
            // A game that is resumed starts a new tree.
            scenario.settings.tree_reuse = false;
            scenario.play()
        };
        let healthy = play(Faults::default());
        let faults =
            Faults { start: vec![3], play: vec![300, 5_000], legal_actions: vec![700, 6_001], ..Faults::default() };
        let played = play(faults);
        assert_eq!((played.ending, played.stats.games_abandoned), (Ending::Clean, 0));
        assert!(played.arrays == healthy.arrays);
        assert!(played.stats.simulations_total() > healthy.stats.simulations_total(), "something was played again");
    }
}

#[test]
fn a_cache_that_panics_changes_no_game() {
    // On a thread of its own, where no game looks into it.
    let play = |faults| Scenario { game_threads: 2, ..Scenario::with_game(Fragile::new(quoridor(), faults), 8) }.play();
    let healthy = play(Faults::default());
    let played = play(Faults { hashed_position: vec![200, 2_000, 2_001], ..Faults::default() });
    assert_eq!((played.ending, played.stats.games_abandoned), (Ending::Clean, 0));
    assert!(played.stats.retries > 0, "its open requests were lost and asked again");
    assert!(played.arrays == healthy.arrays);
}

#[test]
fn a_writer_that_panics_sets_one_game_aside_and_writes_the_others() {
    let game = Fragile::new(quoridor(), Faults { encode: vec![5], ..Faults::default() });
    let kind = SyntheticEvaluator::Uniform;
    let source = SyntheticSource { kind, game: game.clone(), encoding: ENCODING, threads: 1 };
    let played = Scenario { source: Box::new(source), ..Scenario::with_game(game, 6) }.play();
    assert_eq!((played.ending, played.stats.games_unfit, played.stats.games_written), (Ending::Clean, 1, 5));
}

#[test]
fn a_game_that_cannot_be_resumed_is_given_up_and_the_others_go_on() {
    let mut scenario = Scenario::games(6);
    scenario.games_at_once = 2;
    scenario.on_ply = Some(each_ply(|game, _| assert!(game != 2, "as planned: game {game}")));
    let played = scenario.play();
    // The first panic is over ply 1; the three resumptions trace plies 2 to 4.
    assert_eq!((played.ending, played.stats.games_abandoned), (Ending::Clean, 1));
    assert_eq!(played.games.keys().copied().collect::<Vec<_>>(), [0, 1, 3, 4, 5]);
}

#[test]
fn rules_that_always_panic_are_escalated() {
    let faults = Faults { play_from: Some(2_000), ..Faults::default() };
    let scenario = Scenario { games_at_once: 30, ..Scenario::with_game(Fragile::new(quoridor(), faults), 100) };
    let played = scenario.play();
    assert!(matches!(&played.ending, Ending::Escalated(reason) if reason.starts_with("game: panicked: as planned")));
}

#[test]
fn a_loader_that_panicked_still_brings_the_next_model() {
    let trainer = Trainer::new();
    let (hook, plies) = ply_channel();
    let source = Versions { game: quoridor(), threads: 1, panics_once_over: vec![1, 3] };
    let scenario = Scenario {
        source: Box::new(source),
        origin: trainer.origin(),
        num_games: None,
        on_ply: Some(hook),
        ..Scenario::games(0)
    };
    let running = scenario.start();
    for version in 1..=4 {
        trainer.publish(version);
        loop {
            let (_, ply) = plies.recv_timeout(DEADLINE).expect("games go on");
            if ply.model_version == version {
                break;
            }
        }
    }
    running.controller.drain("seen enough", DEADLINE);
    let played = running.finish();
    assert_eq!((played.ending, played.stats.models_loaded), (Ending::Clean, 4));
}

#[test]
fn games_that_cannot_be_written_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready");
    let mut scenario = Scenario::games(3);
    scenario.on_ply = Some(each_ply(move |_, _| {
        // From the first ply on a file stands in the directory's place.
        if ready.is_dir() && fs::remove_dir_all(&ready).is_ok() {
            fs::write(&ready, b"").unwrap();
        }
    }));
    let (ending, stats, _dir) = scenario.start_in(dir).end();
    assert!(
        matches!(&ending, Ending::Unwritten { lost: 3, reason, .. } if reason.contains("create directory")),
        "{ending:?}"
    );
    assert_eq!((stats.games_finished, stats.games_written), (3, 0));
}

#[test]
fn a_lost_device_is_escalated_before_any_game_is_given_up() {
    for threads in [1, 2] {
        let source = Shaky { game: quoridor(), threads, panics: &[], fails: &[], fails_from: 100 };
        let scenario = Scenario { source: Box::new(source), inference_threads: threads, ..Scenario::games(10) };
        let played = scenario.play();
        assert!(matches!(&played.ending, Ending::Escalated(reason) if reason.starts_with("inference-")));
        assert_eq!(played.stats.games_abandoned, 0);
        assert_eq!(played.stats.games_finished, played.stats.games_written);
        let gave_up = played.tree.troubled().find(|child| child.restarts.error == 6).expect("a thread gave up");
        assert_eq!(gave_up.name.split('-').next(), Some("inference"));
    }
}

#[test]
fn a_writer_that_keeps_panicking_ends_the_process_with_what_is_lost() {
    let faults = Faults { encode: Vec::from_iter(1..100), ..Faults::default() };
    let game = Fragile::new(quoridor(), faults);
    let source =
        SyntheticSource { kind: SyntheticEvaluator::Uniform, game: game.clone(), encoding: ENCODING, threads: 1 };
    let scenario = Scenario { source: Box::new(source), ..Scenario::with_game(game, 100) };
    let (ending, stats, _dir) = scenario.start().end();
    let Ending::Unwritten { lost, kept: 0, spooled: 0, reason } = ending else { panic!("{ending:?}") };
    assert!(lost <= stats.games_finished && reason.starts_with("writer: "), "{lost} {reason}");
}

/// A source, or evaluators, that hang when the flag is set, and what they wait for.
fn stuck(in_load: bool) -> (Stuck<Quoridor>, Arc<AtomicBool>, mpsc::Sender<()>) {
    let (until, never) = mpsc::channel();
    let hangs = Arc::new(AtomicBool::new(in_load));
    let inner = HashEvaluator::new(quoridor(), ENCODING, HashPriors::Ratio, 0);
    let until_then = Arc::new(never.into());
    (Stuck { inner, hangs: hangs.clone(), until: until_then, in_load }, hangs, until)
}

#[test]
fn a_batch_that_hangs_ends_the_process_and_what_was_finished_is_written() {
    let (source, hangs, _until) = stuck(false);
    let scenario = Scenario {
        source: Box::new(source),
        hang_limits: HangLimits { inference: Some(Duration::from_secs(1)), ..HangLimits::default() },
        // Four games are played at once: when a fifth is in play, one is finished.
        on_ply: Some(each_ply(move |game, _| hangs.store(game >= 4, Ordering::Relaxed))),
        num_games: None,
        ..Scenario::games(0)
    };
    let played = scenario.play();
    assert_eq!(
        played.ending,
        Ending::Escalated("inference-0: hangs: it has been busy with one thing for more than 1s".to_owned())
    );
    assert!(played.stats.games_written >= 1);
    assert_eq!(played.stats.games_finished, played.stats.games_written);
    let hung: Vec<_> = played.tree.troubled().map(|child| (&*child.name, child.state)).collect();
    assert_eq!(hung, [("inference-0", State::Hung)]);
}

#[test]
fn a_model_whose_loading_hangs_ends_the_process() {
    let (source, _, _until) = stuck(true);
    let limits = HangLimits { load: Some(Duration::from_secs(1)), ..HangLimits::default() };
    let played = Scenario { source: Box::new(source), hang_limits: limits, ..Scenario::games(5) }.play();
    assert!(matches!(&played.ending, Ending::Escalated(reason) if reason.starts_with("model loader: hangs")));
}

/// A referee that works like this.
fn referee(work: fn() -> Worked) -> RefereeOptions {
    struct Working(fn() -> Worked);

    impl Referee for Working {
        fn entered(&mut self, _: Entrant) {}

        fn examine(&mut self, _: Examine) {}

        fn is_urgent(&self) -> bool {
            false
        }

        fn work(&mut self) -> Worked {
            (self.0)()
        }

        fn release(&mut self) {}

        fn recover(&mut self) {}
    }

    let shares = Shares { rate: 1.0, urgent: 1.0, elsewhere: false };
    RefereeOptions { referee: Box::new(Working(work)), shares, gate: true, first: None }
}

#[test]
fn play_goes_on_without_a_referee_that_keeps_panicking() {
    let referee = Some(referee(|| panic!("as planned")));
    let running = Scenario { num_games: None, referee, ..Scenario::games(0) }.start();
    let begun = Instant::now();
    let stopped = || {
        let tree = running.health.status();
        tree.children.iter().any(|child| child.name == "referee" && child.state == State::Stopped)
    };
    while !stopped() {
        assert!(begun.elapsed() < DEADLINE, "its restarts are bounded");
        std::thread::yield_now();
    }
    let before = running.stats.snapshot().games_finished;
    while running.stats.snapshot().games_finished < before + 5 {
        assert!(begun.elapsed() < DEADLINE, "games end");
        std::thread::yield_now();
    }
    running.controller.drain("seen enough", DEADLINE);
    assert_eq!(running.finish().ending, Ending::Clean);
}

#[test]
fn the_status_covers_every_child_and_the_table_every_status() {
    let (hook, plies) = ply_channel();
    let referee = Some(referee(|| Worked::Idle));
    let scenario = Scenario { num_games: None, on_ply: Some(hook), game_threads: 2, referee, ..Scenario::games(0) };
    let running = scenario.inference_threads(2).start();
    plies.recv_timeout(DEADLINE).expect("games begin");
    let begun = Instant::now();
    let tree = loop {
        let tree = running.health.status();
        // No game waits for the referee.
        if tree.children.iter().all(|child| child.state != State::Starting) || begun.elapsed() > DEADLINE {
            break tree;
        }
        std::thread::yield_now();
    };
    let names: BTreeSet<_> = tree.children.iter().map(|child| &*child.name).collect();
    let actors = ["root", "model loader", "writer", "batcher", "cache", "games supervisor", "game", "referee"];
    let threads = ["main", "games-0", "games-1", "evaluation", "writer", "loader", "referee"]
        .map(|name| format!("thread {name}"));
    let expected = actors.into_iter().chain(["inference-0", "inference-1"]).chain(threads.iter().map(String::as_str));
    assert_eq!(names, expected.collect());
    for row in &CHILDREN {
        let children: Vec<_> = tree.children.iter().filter(|child| child.cost == row.cost).collect();
        assert!(!children.is_empty(), "nothing is a {}", row.name);
        for child in children {
            let group = if row.name == "game" { 4 } else { 1 };
            assert_eq!((child.state, child.running), (State::Running, group), "{}", child.name);
        }
    }
    running.controller.drain("seen enough", Duration::ZERO);
    let played = running.finish();
    assert_eq!((played.tree.troubled().count(), played.stats.restarts), (0, 0));
    for child in played.tree.children.iter().filter(|child| !["root", "thread main"].contains(&&*child.name)) {
        assert_eq!(child.state, State::Stopped, "{}", child.name);
    }
}

#[test]
fn a_game_that_ends_while_games_are_stopped_is_written() {
    let mut most = 0;
    for plies_before in [60, 61, 62, 63, 80, 100, 120, 150] {
        let (hook, plies) = ply_channel();
        let mut scenario = Scenario { num_games: None, on_ply: Some(hook), games_at_once: 16, ..Scenario::games(0) };
        scenario.settings.search.simulations = Simulations::PerMove(4);
        let running = scenario.start();
        plies.iter().take(plies_before * 4).for_each(drop);
        running.controller.drain("at once", Duration::ZERO);
        let played = running.finish();
        assert_eq!((played.ending, played.stats.games_finished), (Ending::Clean, played.stats.games_written));
        most = most.max(played.stats.games_written);
    }
    assert!(most > 0, "no game was over in time");
}

#[test]
fn games_that_outlast_their_time_are_given_up_unless_the_journal_keeps_them() {
    for (journal_keeps_games, grace, ending) in
        [(false, 20, Ending::DrainDeadline { given_up: 4 }), (false, 0, Ending::Clean), (true, 20, Ending::Clean)]
    {
        let (hook, plies) = ply_channel();
        let mut scenario = Scenario { num_games: None, on_ply: Some(hook), journal_keeps_games, ..Scenario::games(0) };
        scenario.settings.search.simulations = Simulations::PerMove(20_000);
        let running = scenario.start();
        plies.recv_timeout(DEADLINE).expect("games begin");
        running.controller.drain("enough", Duration::from_millis(grace));
        let played = running.finish();
        assert_eq!((played.ending, played.games.len()), (ending, 0));
    }
}
