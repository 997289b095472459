//! The trainer's recorded priors and searches with real networks, through Quoridor's own rules and encoding.

use std::{collections::HashMap, path::Path};

use ndarray::{Array1, Array2, ArrayView1};
use ndarray_npy::{ReadNpyExt, ReadableElement};
use selfplay_actors::onnx::{GameDescription, LoadOptions, ModelFile, OnnxEvaluator, load_evaluators};
use selfplay_engine::{
    Action, ActionSet, Evaluations, Evaluator, Game, Leaf,
    games::quoridor::{Quoridor, QuoridorState},
    search::{InFlight, Root, Search, SearchParams, Simulations},
    selfplay::{Purpose, ply_rng},
};
use serde::Deserialize;

use crate::{records, support};

const TOLERANCE: f32 = 1e-5;
/// Visits that may lie elsewhere in one search: another order of sums in the network may turn single near-ties.
const MOVED_VISITS: u32 = 4;

/// One search; `tests/data/README.md` says what the fields mean.
#[derive(Deserialize)]
struct SearchLine {
    id: String,
    model: String,
    board: u32,
    walls: u32,
    n: u32,
    c_puct: f32,
    max_steps: i64,
    actions: Vec<Action>,
    root_value: f32,
    visits: Vec<(Action, u32)>,
}

/// The network of a model beside the records, or else of those in the repository.
fn load(folder: &Path, model: &str, game: &Quoridor) -> OnnxEvaluator<Quoridor> {
    let name = format!("models/{model}.onnx");
    let beside = folder.join(&name);
    let path = if beside.is_file() { beside } else { support::data(&name) };
    let description = GameDescription::new(format!("board_size {}", game.board_size()));
    let options = LoadOptions::on_cpu(16, description);
    let loaded = load_evaluators(&support::runtime(), game, &ModelFile::read(path).unwrap(), &options);
    loaded.unwrap_or_else(|error| panic!("{error}")).evaluators.remove(0)
}

fn evaluate(evaluator: &mut OnnxEvaluator<Quoridor>, leaves: &[Leaf<Quoridor>]) -> Evaluations {
    let mut evaluations = Evaluations::default();
    evaluator.evaluate(leaves, &mut evaluations).unwrap();
    evaluations
}

fn search(
    game: &Quoridor,
    state: &QuoridorState,
    line: &SearchLine,
    evaluator: &mut OnnxEvaluator<Quoridor>,
) -> Search<Quoridor> {
    let simulations = Simulations::PerMove(line.n);
    let params = SearchParams {
        simulations,
        c_puct: line.c_puct,
        leaf_parallelism: 1,
        in_flight: InFlight::Losses(3),
        noise: None,
        root: Root::PUCT,
        solver: false,
    };
    let mut rng = ply_rng(0, 0, 0, Purpose::Noise);
    let mut search = Search::new(*game, params, false);
    search.begin(state, &mut rng);
    let mut leaves = Vec::new();
    while let Some(gathered) = search.gather(&mut leaves) {
        search.apply(gathered, &evaluate(evaluator, &leaves), &mut rng);
        leaves.clear();
    }
    search
}

/// Visits that lie elsewhere than recorded.
fn moved(found: &[(Action, u32)], recorded: &[(Action, u32)]) -> u32 {
    let found: HashMap<_, _> = found.iter().copied().collect();
    let extra = |&(action, visits): &(Action, u32)| visits.saturating_sub(found.get(&action).copied().unwrap_or(0));
    recorded.iter().map(extra).sum()
}

#[expect(clippy::print_stdout, reason = "how close the searches are is worth knowing")]
fn check_searches(file: &Path) -> usize {
    let lines: Vec<SearchLine> = records::read_jsonl(file);
    let mut exact = 0;
    for line in &lines {
        let game = Quoridor::new(line.board, line.walls, u32::try_from(line.max_steps).ok()).unwrap();
        let mut evaluator = load(file.parent().unwrap(), &line.model, &game);
        let search = search(&game, &records::replay(&game, &line.actions), line, &mut evaluator);
        let visits = search.visits();
        assert_eq!(visits.iter().map(|&(_, visits)| visits).sum::<u32>(), line.n - 1, "{}", line.id);
        let moved = moved(&visits, &line.visits);
        assert!(moved <= MOVED_VISITS, "{}: {moved} visits lie elsewhere", line.id);
        exact += usize::from(moved == 0);
        // One visit more or less moves the mean by up to 2 / n.
        let tolerance = TOLERANCE + 2.0 * moved as f32 / line.n as f32;
        let value = search.root_value();
        assert!((value - line.root_value).abs() <= tolerance, "{}: {value}, not {}", line.id, line.root_value);
    }
    println!("{exact} of {} searches visit for visit", lines.len());
    lines.len()
}

#[test]
fn recorded_searches_with_networks_come_out_alike() {
    records::check("mcts_onnx.jsonl.gz", check_searches);
}

fn read_array<T: ReadableElement, D: ndarray::Dimension>(file: &Path, name: &str) -> ndarray::Array<T, D> {
    ndarray::Array::read_npy(records::read_npz_entry(file, name).as_slice()).unwrap()
}

/// Priors of a position by policy index, game frame, 0 for illegal actions.
fn by_action(game: &Quoridor, state: &QuoridorState, network_priors: &[f32]) -> Vec<f32> {
    let legal = game.legal_actions(state);
    let mut priors = network_priors.to_vec();
    game.turn_priors(game.side_to_move(state), &legal, &mut priors);
    let mut by_action = vec![0.0; game.policy_size()];
    for (action, prior) in legal.iter().zip(priors) {
        by_action[usize::from(action)] = prior;
    }
    by_action
}

fn assert_close(found: &[f32], expected: ArrayView1<'_, f32>, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (action, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= TOLERANCE, "{what}, action {action}: {found}, not {expected}");
    }
}

fn check_priors(file: &Path) -> usize {
    let name = file.file_stem().unwrap().to_str().unwrap();
    let model = name.strip_prefix("net_").unwrap();
    let board = model[1..2].parse().expect("a model's name begins with its board");
    let walls: Array1<i32> = read_array(file, "walls");
    let players: Array1<i32> = read_array(file, "player");
    let logits: Array2<f32> = read_array(file, "policy_logits");
    let values: Array1<f32> = read_array(file, "value");
    let expected: Array2<f32> = read_array(file, "priors_original_frame");
    let actions = records::read_strings(file, "actions");
    assert_eq!(actions.len(), expected.nrows());
    for (row, actions) in actions.iter().enumerate() {
        let what = format!("{name} position {row}");
        let game = Quoridor::new(board, walls[row] as u32, None).unwrap();
        let actions: Vec<Action> = serde_json::from_str(actions).unwrap();
        let state = records::replay(&game, &actions);
        assert_eq!(game.side_to_move(&state).index(), players[row] as usize, "{what}");

        let leaf = Leaf::new(&game, &state, &game.legal_actions(&state));
        let mut from_logits = Evaluations::default();
        assert!(from_logits.push_logits(values[row], logits.row(row).as_slice().unwrap(), &leaf.legal));
        assert_close(&by_action(&game, &state, from_logits.get(0).priors), expected.row(row), &what);

        let from_network = evaluate(&mut load(file.parent().unwrap(), model, &game), &[leaf]);
        let evaluation = from_network.get(0);
        assert_close(&by_action(&game, &state, evaluation.priors), expected.row(row), &what);
        assert!((evaluation.value - values[row]).abs() <= TOLERANCE, "{what}");
    }
    actions.len()
}

#[test]
fn recorded_priors_and_values_are_reached() {
    records::check("net_", check_priors);
}
