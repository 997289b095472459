//! What holds play back, as the log states it: of a slow run, of the same run once its advice is followed, and of one that
//! follows it by itself.

use tempfile::TempDir;

use crate::{
    config::{Config, model},
    daemon::{Daemon, Running},
    wait,
};

/// Whole games take far longer than the test.
const CONFIG: Config = Config { simulations: 100_000, ..Config::SLOW };

/// A daemon with a network on two threads and so many games at once. Each batch takes a quarter of a second more than the
/// network needs, so that on every machine, busy or not, search is far faster than the device.
fn playing(dir: &TempDir, games: u32) -> Running {
    let config = Config { games, ..CONFIG }.write(dir.path());
    Daemon::playing(&config, &dir.path().join(format!("games of {games}")))
        .option("--model-path", model("b9w10_resnet_2x32.onnx"))
        .env("SELFPLAYD__INFERENCE__THREADS", "2")
        .env("SELFPLAYD_FAULTS", "inference=slow/1")
        .args("--device cpu --num-games 1000000 --grace-seconds 0 --leaf-parallelism 8 --eval-batch-size 32")
        .start()
}

/// How busy search and network are beside each other, the injected fault decides, and not the machine.
#[test]
fn a_run_with_one_game_is_told_how_many_it_needs_and_with_those_the_device_is_the_limit() {
    let dir = TempDir::new().unwrap();
    let mut slow = playing(&dir, 1);
    slow.says(r#"bottleneck="games""#);
    let line = slow.log().lines().find(|line| line.contains(r#"bottleneck="games""#)).unwrap().to_owned();
    drop(slow);
    assert!(line.contains("starved by too few games") && line.contains("1 game in play"), "{line}");
    let (_, advice) = line.split_once("raise games_per_process to about ").unwrap_or_else(|| panic!("{line}"));
    let (games, now) = advice.split_once(' ').unwrap();
    assert!(now.starts_with("(now 1)"), "{line}");
    let games = games.parse().unwrap();
    // Three batches of 32 for two threads, with at most 8 positions of each game.
    assert!((12..=200).contains(&games), "{line}");

    let mut advised = playing(&dir, games);
    advised.says(r#"bottleneck="device""#);
    assert!(advised.log().contains("the network is the limit, as it should be"), "{}", advised.log());
}

#[test]
fn where_the_number_of_games_is_left_open_more_are_played_once_the_device_waits() {
    let dir = TempDir::new().unwrap();
    // More threads than there are games, and batches that take long: most threads have nothing to do on every machine.
    let mut daemon = Daemon::playing(&CONFIG.write(dir.path()), &dir.path().join("games"))
        .env("SELFPLAYD__PLAY__GAMES_PER_PROCESS", "auto")
        .env("SELFPLAYD_FAULTS", "inference=slow/1")
        .args("--evaluator uniform --inference-threads 64 --log-format json")
        .args("--num-games 1000000 --grace-seconds 0")
        .start();
    let in_play = |daemon: &mut Running| {
        let counts = daemon.status().counts;
        counts["games_started"].as_u64().unwrap() - counts["games_finished"].as_u64().unwrap()
    };
    daemon.says("selfplayd starts");
    wait::until("as many games as play begins with", || (in_play(&mut daemon) == 32).then_some(()));
    daemon.says("more games at once: the device waits for positions");
    wait::until("more games", || (in_play(&mut daemon) > 32).then_some(()));
}
