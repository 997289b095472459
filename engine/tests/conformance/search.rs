//! Sequential searches, visit for visit.

use std::path::Path;

use selfplay_engine::{
    Action, ActionSet, Evaluations, Evaluator, Game,
    evaluation::{HashEvaluator, HashPriors, UniformEvaluator},
    games::quoridor::{Quoridor, QuoridorEncoding, QuoridorState},
    search::{InFlight, Root, Search, SearchParams, Simulations},
    selfplay::{Purpose, ply_rng},
};
use serde::Deserialize;

use crate::records;

/// One search; `tests/data/README.md` says what the fields mean.
#[derive(Deserialize)]
struct SearchLine {
    id: String,
    board: u32,
    walls: u32,
    n: u32,
    c_puct: f32,
    max_steps: i64,
    evaluator: String,
    actions: Vec<Action>,
    n_children: usize,
    root_value: f32,
    visits: Vec<(Action, u32)>,
}

/// An evaluator by its name in the records.
pub(crate) fn evaluator(name: &str, game: &Quoridor) -> Box<dyn Evaluator<Quoridor>> {
    let hash = |priors| HashEvaluator::new(*game, QuoridorEncoding::Resnet, priors, 0);
    match name {
        "uniform" => Box::new(UniformEvaluator),
        "hash" => Box::new(hash(HashPriors::Ratio)),
        "hashlogit" => Box::new(hash(HashPriors::Softmax)),
        _ => panic!("unknown evaluator {name}"),
    }
}

/// The settings of the reference's search: one leaf at a time, no noise.
pub(crate) fn sequential(n: u32, c_puct: f32) -> SearchParams {
    let simulations = Simulations::PerMove(n);
    SearchParams {
        simulations,
        c_puct,
        leaf_parallelism: 1,
        in_flight: InFlight::Losses(3),
        noise: None,
        root: Root::PUCT,
        solver: false,
    }
}

/// Searches one position from scratch. The search must not draw random numbers: it gets the same ones every time.
pub(crate) fn search(
    game: &Quoridor,
    state: &QuoridorState,
    params: SearchParams,
    evaluator: &mut dyn Evaluator<Quoridor>,
) -> Search<Quoridor> {
    let mut rng = ply_rng(0, 0, 0, Purpose::Noise);
    let mut search = Search::new(*game, params, false);
    search.begin(state, &mut rng);
    let (mut leaves, mut evaluations) = (Vec::new(), Evaluations::default());
    while let Some(gathered) = search.gather(&mut leaves) {
        evaluator.evaluate(&leaves, &mut evaluations).expect("finite numbers");
        search.apply(gathered, &evaluations, &mut rng);
        leaves.clear();
    }
    search
}

fn check_search(line: &SearchLine) {
    let game = Quoridor::new(line.board, line.walls, u32::try_from(line.max_steps).ok()).expect("good rules");
    let state = records::replay(&game, &line.actions);
    assert_eq!(game.legal_actions(&state).len(), line.n_children, "{}", line.id);
    let mut evaluator = evaluator(&line.evaluator, &game);
    let search = search(&game, &state, sequential(line.n, line.c_puct), evaluator.as_mut());
    assert_eq!(search.visits(), line.visits, "{}", line.id);
    let value = search.root_value();
    assert!((value - line.root_value).abs() < 1e-5, "{}: {value}, not {}", line.id, line.root_value);
    assert_eq!(search.counts().total(), u64::from(line.n), "{}", line.id);
    assert_eq!(search.counts().duplicate, 0, "{}", line.id);
}

fn check_file(file: &Path) -> usize {
    let lines: Vec<SearchLine> = records::read_jsonl(file);
    lines.iter().for_each(check_search);
    lines.len()
}

#[test]
fn recorded_searches_come_out_visit_for_visit() {
    records::check("mcts.jsonl.gz", check_file);
}
