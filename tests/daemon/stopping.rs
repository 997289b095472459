//! Shutdown file and signals.

use std::fs;

use crate::{
    config::Config,
    daemon::{Daemon, Running, Signal},
    games,
    trainer::{Scalar, Trainer},
    wait,
};

fn by_hash(trainer: &Trainer) -> Daemon {
    trainer.daemon().args("--evaluator hash")
}

/// A daemon in the middle of games that take far longer than a test.
fn in_long_games(trainer: &Trainer, args: &str) -> Running {
    trainer.publish_network(0, Scalar::Plain);
    let mut daemon = by_hash(trainer).args("--log-level debug").args(args).start();
    daemon.says("game begun");
    daemon
}

#[test]
fn a_signal_lets_running_games_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let trainer = Trainer::new(Config::QUICK);
        trainer.publish_network(0, Scalar::Plain);
        let daemon = by_hash(&trainer).start();
        wait::until("a game", || (!games::archives(&trainer.ready()).is_empty()).then_some(()));
        daemon.signal(signal);
        let ended = daemon.wait().succeeded();
        assert!(ended.log.contains("stopping") && !ended.log.contains("given up"), "{}", ended.log);

        let mut indices: Vec<_> =
            games::left_in(&trainer.ready(), Config::QUICK).iter().map(games::Written::index).collect();
        indices.sort_unstable();
        // The games that were in play when the first one ended are there too.
        assert!(indices.len() >= Config::QUICK.games as usize, "{indices:?}");
        assert!(indices.iter().copied().eq(0..indices.len() as u64), "{indices:?}");
    }
}

#[test]
fn without_grace_running_games_are_kept_for_the_next_start() {
    let trainer = Trainer::new(Config::SLOW);
    let daemon = in_long_games(&trainer, "--grace-seconds 0");
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded().said(&["the grace period is over", "games in play go on at the next start"]);
    trainer.keeps_games();
}

#[test]
fn games_that_outlast_the_grace_period_are_given_up_without_a_journal() {
    let trainer = Trainer::new(Config::SLOW);
    trainer.publish_network(0, Scalar::Plain);
    let daemon = by_hash(&trainer).args("--log-level debug --drain-deadline 0.2");
    let mut daemon = daemon.env("SELFPLAYD__JOURNAL__ENABLED", "false").start();
    daemon.says("game begun");
    trainer.shut_down();
    let said = [".shutdown exists", "the grace period is over", "over before the games"];
    daemon.wait().exited_with(75).said(&said);
    trainer.is_tidy();
}

#[test]
fn a_second_signal_ends_at_once() {
    for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM), (Signal::TERM, Signal::INT)] {
        let trainer = Trainer::new(Config::SLOW);
        let mut daemon = in_long_games(&trainer, "--grace-seconds 600");
        daemon.signal(first);
        daemon.says("stopping");
        // Within a second of the first, SIGTERM counts as the same.
        wait::until("the end", || {
            daemon.signal(second);
            (daemon.said("while stopping: ending at once") > 0).then_some(())
        });
        daemon.wait().exited_with(75);
    }
}

#[test]
fn a_signal_that_timeout_sends_twice_is_one() {
    let trainer = Trainer::new(Config::QUICK);
    trainer.publish_network(0, Scalar::Plain);
    let mut daemon = by_hash(&trainer).args("--log-level debug").start();
    daemon.says("game begun");
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded();
}

#[test]
fn a_signal_after_the_shutdown_file_ends_at_once() {
    let trainer = Trainer::new(Config::SLOW);
    let mut daemon = in_long_games(&trainer, "--grace-seconds 600");
    trainer.shut_down();
    daemon.says("stopping");
    daemon.signal(Signal::TERM);
    daemon.wait().exited_with(75);
}

#[test]
fn it_can_be_stopped_while_it_waits_for_a_model() {
    for signal in [Signal::TERM, Signal::INT] {
        let trainer = Trainer::new(Config::QUICK);
        let mut daemon = trainer.daemon().start();
        daemon.says("waiting for a model");
        daemon.signal(signal);
        daemon.wait().succeeded();
        trainer.is_tidy();
    }

    let trainer = Trainer::new(Config::QUICK);
    let mut daemon = trainer.daemon().start();
    daemon.says("waiting for a model");
    trainer.shut_down();
    daemon.wait().succeeded();
    trainer.is_tidy();
}

#[test]
fn a_shutdown_file_that_is_already_there_counts() {
    let trainer = Trainer::new(Config::QUICK);
    trainer.shut_down();
    trainer.daemon().run().succeeded();
    trainer.is_tidy();

    trainer.publish_network(0, Scalar::Plain);
    by_hash(&trainer).run().succeeded();
    // A game or two may have begun before the file was seen: they are whole.
    games::left_in(&trainer.ready(), Config::QUICK);
}

#[test]
fn batches_can_be_stopped_too() {
    let trainer = Trainer::new(Config::QUICK);
    let config = Config::QUICK.write(trainer.ready().parent().unwrap());
    let daemon = Daemon::playing(&config, &trainer.ready()).args("--evaluator hash --num-games 1000000").start();
    wait::until("a game", || (!games::archives(&trainer.ready()).is_empty()).then_some(()));
    daemon.signal(Signal::INT);
    let ended = daemon.wait().succeeded();
    let written = games::left_in(&trainer.ready(), Config::QUICK).len();
    assert!(ended.out.starts_with(&format!("{written} games written to ")), "{}", ended.out);
}

#[test]
fn leftovers_of_others_are_none_of_its_business() {
    let trainer = Trainer::new(Config::QUICK);
    let other = trainer.ready().join("tmp/game_1767225600123_0007_1.npz");
    fs::write(&other, "half a game").unwrap();
    trainer.shut_down();
    trainer.daemon().run().succeeded();
    assert!(other.exists(), "another daemon may still write it");
}

#[test]
fn a_signal_while_it_starts_stops_it_before_any_game() {
    for signal in [Signal::TERM, Signal::INT] {
        let trainer = Trainer::new(Config::QUICK);
        let config = Config::QUICK.write(trainer.ready().parent().unwrap());
        // It waits for another that looks after the same directory.
        let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).open(trainer.lock_file()).unwrap();
        lock.lock().unwrap();
        let daemon = Daemon::playing(&config, &trainer.ready()).args("--evaluator hash --num-games 1000000").start();
        wait::until("the daemon at the lock", || daemon.has_open(&trainer.lock_file()).then_some(()));
        daemon.signal(signal);
        drop(lock);
        daemon.wait().succeeded().said(&["stopping", "account of all games games_started=0"]);
        trainer.is_tidy();
    }
}
