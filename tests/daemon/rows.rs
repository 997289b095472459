//! Which plies are policy targets, and what is told of the others.

use std::path::Path;

use tempfile::TempDir;

use crate::{
    config::{Config, model},
    daemon::Daemon,
    games,
    numpy::Numpy,
};

fn playing(dir: &Path, out: &Path, args: &str) -> Daemon {
    Daemon::playing(&Config::QUICK.write(dir), out).option("--model-path", model("b5w3_resnet_2x32.onnx")).args(args)
}

#[test]
fn the_trainer_gets_full_searches_and_the_files_tell_of_all() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("games");
    let ended = playing(dir.path(), &out, "--num-games 24 --seed 3 --full-search-share 0.25")
        .env("SELFPLAYD__PLAY__CHEAP_SIMULATIONS", "5")
        .env("SELFPLAYD__PLAY__POLICY_SURPRISE", "0.5")
        .run()
        .succeeded();
    let written = games::left_in(&out, Config::QUICK);
    let without: usize =
        ended.log.split("games_without_targets=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(written.len() + without, 24);

    let (mut rows, mut plies) = (0, 0);
    for (written, loaded) in written.iter().zip(Numpy::start().load_all(&written, Config::QUICK)) {
        let (read, all) = (&written.game, written.game.all.as_ref().unwrap());
        assert_eq!(loaded.searched, read.metadata.game_length, "every row has a full search");
        for ply in 0..all.len() {
            let (kind, simulations, noise) = if all.flags[ply] & 1 == 1 { (1, 20, true) } else { (2, 5, false) };
            assert_eq!((all.kinds[ply], all.simulations[ply], all.flags[ply] & 2 > 0), (kind, simulations, noise));
            assert!(!all.raw_values[ply].is_nan() && !all.best_values[ply].is_nan() && !all.divergences[ply].is_nan());
        }
        let weights = read.weights.as_ref().unwrap();
        assert!((weights.sum() - read.rows() as f32).abs() < 1e-3);
        (rows, plies) = (rows + read.rows(), plies + read.plies());
    }
    // Four standard deviations of a binomial distribution; a little more, as games without any row are not here.
    let (rows, plies) = (rows as f64, plies as f64);
    assert!((rows - 0.25 * plies).abs() < 4.5 * (0.25 * 0.75 * plies).sqrt(), "{rows} of {plies}");

    // What people see is the whole game, with what is known of each move.
    let longest = written.iter().max_by_key(|written| written.game.plies()).unwrap();
    let shown = Daemon::new().flag("show").flag(longest.npz.to_str().unwrap()).run().succeeded().out;
    assert!(shown.contains(&format!("{} plies, ", longest.game.plies())), "{shown}");
}

#[test]
fn forced_playouts_are_in_the_visits_and_not_in_the_policy() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("games");
    playing(dir.path(), &out, "--num-games 4 --seed 3")
        .env("SELFPLAYD__SEARCH__FORCED_PLAYOUTS", "2")
        .run()
        .succeeded();
    let mut pruned = 0;
    for written in games::left_in(&out, Config::QUICK) {
        let visits = written.game.visit_counts.as_ref().unwrap();
        assert!(written.game.policies.iter().zip(visits).all(|(&share, &visits)| share == 0.0 || visits > 0));
        pruned +=
            written.game.policies.iter().zip(visits).filter(|&(&share, &visits)| share == 0.0 && visits > 0).count();
    }
    assert!(pruned > 10, "{pruned}");
}
