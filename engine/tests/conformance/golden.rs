//! Whole games of the reference: searched again ply by ply, and written again array by array.

use std::{fs, path::Path};

use selfplay_engine::{
    Action, ActionSet, Game, Leaf,
    games::quoridor::{Quoridor, QuoridorEncoding},
    replay::{Ending, GameArrays, GameRecord, PlyNotes, PlyRecord, Target},
    search::SearchEffort,
};
use serde::Deserialize;

use crate::{
    records,
    search::{evaluator, search, sequential},
};

/// The arrays that the trainer reads.
const TRAINER_ARRAYS: [&str; 5] = ["input_arrays", "policies", "action_masks", "values", "players"];

/// One game of `index.json`.
#[derive(Deserialize)]
struct GoldenGame {
    file: String,
    board: u32,
    walls: u32,
    max_steps: u32,
    n: u32,
    c_puct: f32,
    evaluator: String,
    actions: Vec<Action>,
}

/// The first of the most visited.
fn greedy(visits: &[(Action, u32)]) -> Action {
    let best = visits.iter().reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.expect("something was visited").0
}

/// Plays the game again. Only the game loop knows the step limit: the reference's search does not.
fn play(golden: &GoldenGame) -> (Quoridor, GameRecord<Quoridor>) {
    let limited = Quoridor::new(golden.board, golden.walls, Some(golden.max_steps)).expect("good rules");
    let unlimited = Quoridor::new(golden.board, golden.walls, None).expect("good rules");
    let mut evaluator = evaluator(&golden.evaluator, &unlimited);
    let mut state = limited.start();
    let mut plies = Vec::new();
    let outcome = loop {
        if let Some(outcome) = limited.outcome(&state) {
            break outcome;
        }
        let search = search(&unlimited, &state, sequential(golden.n, golden.c_puct), evaluator.as_mut());
        let visits = search.visits();
        let total: u32 = visits.iter().map(|&(_, visits)| visits).sum();
        assert_eq!(total, golden.n - 1);
        let player = limited.side_to_move(&state);
        let target = |&(action, visits): &(Action, u32)| Target {
            action: limited.turn_action(player, action),
            visits,
            probability: visits as f32 / total as f32,
        };
        let action = greedy(&visits);
        plies.push(PlyRecord {
            leaf: Leaf::new(&limited, &state, &limited.legal_actions(&state)),
            player,
            action,
            targets: visits.iter().map(target).collect(),
            root_value: search.root_value(),
            root_draw: search.root_draw(),
            model_version: 7,
            notes: PlyNotes::unknown(true),
        });
        limited.play(&mut state, action);
    };
    let (ending, effort) = (Ending::Rules, SearchEffort::default());
    (limited, GameRecord { index: 0, seed: 0, model_version: 7, plies, outcome, ending, effort, resign: None })
}

fn check_folder(folder: &Path) -> usize {
    let text = fs::read_to_string(folder.join("index.json")).expect("a list of games");
    let games: Vec<GoldenGame> = serde_json::from_str(&text).expect("a list of games");
    let written = tempfile::tempdir().expect("a folder");
    for golden in &games {
        let (game, record) = play(golden);
        let actions: Vec<_> = record.plies.iter().map(|ply| ply.action).collect();
        assert_eq!(actions, golden.actions, "{}", golden.file);
        assert!(record.plies.iter().all(|ply| ply.leaf.legal.contains(game.turn_action(ply.player, ply.action))));

        let ours = written.path().join(format!("{}.npz", golden.file));
        let arrays = GameArrays::new(&record, &game, QuoridorEncoding::Resnet).expect("a sound game");
        fs::write(&ours, arrays.to_npz().expect("a small game")).expect("room for it");
        let theirs = folder.join(format!("{}.npz", golden.file));
        for name in TRAINER_ARRAYS {
            let same = records::read_npz_entry(&ours, name) == records::read_npz_entry(&theirs, name);
            assert!(same, "{name} of {}", golden.file);
        }
    }
    games.len()
}

#[test]
fn recorded_games_come_out_byte_for_byte() {
    records::check("golden", check_folder);
}
