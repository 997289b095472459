//! The reference producer's own files (`tests/data/golden`): ours must be the same, byte for byte.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Cursor, Read, Seek},
    path::PathBuf,
    sync::Arc,
};

use ndarray::Axis;
use serde_json::Value;
use zip::ZipArchive;

use super::{
    GameArrays, GameMetadata, ReadGame,
    record::{Ending, GameRecord, PlyNotes, PlyRecord},
    table_game::{Actions, TableGame, target},
};
use crate::{
    evaluation::{DrawChance, Leaf},
    game::{Action, ActionSet, Draw, Game, Outcome, Player},
    search::SearchEffort,
};

/// The arrays that the trainer reads.
const TRAINER_ARRAYS: [&str; 5] = ["input_arrays", "policies", "action_masks", "values", "players"];

fn golden_dir() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/golden"))
}

/// The entries of `index.json`.
fn index() -> Vec<Value> {
    let text = fs::read_to_string(golden_dir().join("index.json")).unwrap();
    let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(entries.len(), 6);
    entries
}

fn number(entry: &Value, key: &str) -> usize {
    entry[key].as_u64().unwrap() as usize
}

fn members(archive: impl Read + Seek) -> BTreeMap<String, Vec<u8>> {
    let mut archive = ZipArchive::new(archive).unwrap();
    let mut members = BTreeMap::new();
    for number in 0..archive.len() {
        let mut member = archive.by_index(number).unwrap();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        assert_eq!(member.compression(), zip::CompressionMethod::Stored);
        members.insert(member.name().unwrap().into_owned(), bytes);
    }
    members
}

/// How Quoridor's board of size `n`, turned by 180 degrees, renumbers actions (contract, section 3).
fn quoridor_turn(n: usize) -> Vec<Action> {
    let (cells, slots) = (n * n, (n - 1) * (n - 1));
    let turned = (0..cells)
        .map(|cell| cells - 1 - cell)
        .chain((0..slots).map(|slot| cells + slots - 1 - slot))
        .chain((0..slots).map(|slot| cells + 2 * slots - 1 - slot));
    turned.map(|action| action as Action).collect()
}

/// The game whose positions are the rows of a file, and the record that self-play would have made of it.
fn as_record(read: &ReadGame, entry: &Value) -> (TableGame, GameRecord<TableGame>) {
    let game = TableGame {
        shape: read.input_arrays.shape()[1..].to_vec(),
        planes: Arc::new(read.input_arrays.iter().copied().collect()),
        turn: Arc::new(quoridor_turn(number(entry, "board"))),
    };
    let actions = entry["actions"].as_array().unwrap();
    assert_eq!(actions.len(), read.plies());
    let plies = actions.iter().enumerate().map(|(row, action)| {
        let mut legal = Actions::default();
        for (action, _) in read.action_masks.index_axis(Axis(0), row).iter().enumerate().filter(|(_, legal)| **legal) {
            legal.insert(action as Action);
        }
        let shares = read.policies.index_axis(Axis(0), row).to_owned();
        let shares = shares.iter().enumerate().filter(|(_, share)| **share > 0.0);
        let simulations = (number(entry, "n") - 1) as f32;
        PlyRecord {
            leaf: Leaf { position: row as u32, legal },
            player: Player::at_ply(row as u32),
            action: action.as_u64().unwrap() as Action,
            targets: shares
                .map(|(action, &share)| target(action as Action, (share * simulations).round() as u32, share))
                .collect(),
            root_value: 0.0,
            root_draw: DrawChance::UNKNOWN,
            model_version: 7,
            notes: PlyNotes::unknown(true),
        }
    });
    let outcome = match entry["winner"].as_u64() {
        Some(0) => Outcome::Win(Player::First),
        Some(_) => Outcome::Win(Player::Second),
        None => Outcome::Draw(Draw::StepLimit),
    };
    let record = GameRecord {
        index: 0,
        seed: 0,
        model_version: 7,
        plies: plies.collect(),
        outcome,
        ending: Ending::Rules,
        effort: SearchEffort::default(),
        resign: None,
    };
    (game, record)
}

#[test]
fn the_reference_s_games_are_read() {
    for entry in index() {
        let file = golden_dir().join(entry["file"].as_str().unwrap()).with_extension("npz");
        let read = ReadGame::open(&file).unwrap();
        let (n, plies) = (number(&entry, "board"), number(&entry, "plies"));
        assert_eq!(read.input_arrays.shape(), [plies, 5, 2 * n + 3, 2 * n + 3]);
        assert_eq!(read.policies.shape(), [plies, n * n + 2 * (n - 1) * (n - 1)]);
        assert!(read.players.iter().enumerate().all(|(row, &player)| player == row as i32 % 2));
        // The mover's walls, plane 3: all of them at the start.
        assert_eq!(read.input_arrays[[0, 3, 0, 0]], number_of_walls(&entry));
        for (policy, mask) in read.policies.rows().into_iter().zip(read.action_masks.rows()) {
            assert!((policy.sum() - 1.0).abs() < 1e-5);
            assert!(policy.iter().zip(mask).all(|(&share, &legal)| legal || share == 0.0));
        }
        let last = match entry["winner"].as_u64() {
            // The player of the last ply won.
            Some(_) => 1.0,
            None => 0.0,
        };
        assert_eq!(read.values[plies - 1], last);
        assert_eq!((read.metadata.model_version, read.metadata.creator.as_str()), (7, "12345"));
        assert!(read.actions.is_none() && read.root_values.is_none());
        assert!(read.visit_counts.is_none() && read.model_versions.is_none());
    }
}

fn number_of_walls(entry: &Value) -> f32 {
    number(entry, "walls") as f32
}

#[test]
fn the_reference_s_arrays_come_out_byte_for_byte() {
    for entry in index() {
        let file = golden_dir().join(entry["file"].as_str().unwrap()).with_extension("npz");
        let read = ReadGame::open(&file).unwrap();
        let (game, record) = as_record(&read, &entry);
        let arrays = GameArrays::new(&record, &game, ()).unwrap();
        let ours = members(Cursor::new(arrays.to_npz().unwrap()));
        let theirs = members(File::open(&file).unwrap());
        assert_eq!(theirs.len(), TRAINER_ARRAYS.len());
        for name in TRAINER_ARRAYS.map(|name| format!("{name}.npy")) {
            assert!(ours[&name] == theirs[&name], "{name} of {}", file.display());
        }
        let game_frame: Vec<_> = record.plies.iter().map(|ply| i32::from(ply.action)).collect();
        assert_eq!(arrays.actions.to_vec(), game_frame);
        // The action played is one of the most visited, in the frame of the row.
        for (row, ply) in record.plies.iter().enumerate() {
            let most = ply.targets.iter().map(|target| target.visits).max().unwrap();
            let played = usize::from(game.turn_action(ply.player, ply.action));
            assert_eq!(arrays.visit_counts[[row, played]], most as i32);
        }
        let yaml = GameMetadata::new(&record, 12345, "", "").to_yaml().unwrap();
        let theirs = fs::read_to_string(file.with_extension("yaml")).unwrap();
        assert!(yaml.starts_with(theirs.trim_end()), "{yaml}");
    }
}
