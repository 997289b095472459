//! How long the rules of the games take beside their budgets, and how fast the search is on Connect Four.
//!
//! A ply is what a search pays for a new node: legal actions, a move, and whether that ended the game. What is said of a budget
//! is the least of many runs over recorded random games.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use selfplay_engine::{
    Action, ActionSet, Evaluations, Evaluator, Game,
    evaluation::{UniformEvaluator, mix},
    games::{
        breakthrough::Breakthrough, connect_four::ConnectFour, hex::Hex, mnk::Mnk, othello::Othello,
        quoridor::Quoridor, tictactoe::TicTacToe,
    },
    search::{InFlight, Root, Search, SearchParams, Simulations},
    selfplay::{Purpose, ply_rng},
    solve::{Adjudicator, ConnectFourEndings},
};

/// Random games to replay.
const GAMES: u64 = 64;
/// Runs of which the fastest counts.
const RUNS: u32 = 200;

/// The actions of random games.
fn recorded<G: Game>(game: &G) -> Vec<Vec<Action>> {
    let play = |seed: u64| {
        let (mut state, mut actions) = (game.start(), Vec::new());
        while game.outcome(&state).is_none() {
            let legal = game.legal_actions(&state);
            let draw = mix(seed << 32 | actions.len() as u64) % legal.len() as u64;
            actions.push(legal.nth(draw as usize));
            game.play(&mut state, actions[actions.len() - 1]);
        }
        actions
    };
    (0..GAMES).map(play).collect()
}

fn replay<G: Game>(game: &G, games: &[Vec<Action>]) {
    for actions in games {
        let mut state = game.start();
        for &action in actions {
            black_box(game.legal_actions(&state));
            game.play(&mut state, action);
            black_box(game.outcome(&state));
        }
    }
}

fn rules<G: Game>(criterion: &mut Criterion, name: &str, game: &G, budget_ns: f64) {
    let games = recorded(game);
    let plies: usize = games.iter().map(Vec::len).sum();
    let mut group = criterion.benchmark_group("ply");
    group.throughput(Throughput::Elements(plies as u64));
    group.bench_function(name, |bencher| bencher.iter(|| replay(game, black_box(&games))));
    let fastest = (0..RUNS)
        .map(|_| {
            let begun = Instant::now();
            replay(game, black_box(&games));
            begun.elapsed()
        })
        .min()
        .unwrap_or(Duration::MAX);
    let ns = fastest.as_secs_f64() * 1e9 / plies as f64;
    let verdict = if ns <= budget_ns { "within" } else { "BEYOND" };
    eprintln!("{name}: {ns:.1} ns a ply, {verdict} its budget of {budget_ns} ns");
}

/// What it takes to ask for the result of positions of random games, the first of each that `is_asked`.
fn verdicts<G: Game>(
    criterion: &mut Criterion,
    name: &str,
    game: &G,
    adjudicator: &impl Adjudicator<G>,
    is_asked: impl Fn(&G::State) -> bool,
) {
    let position = |actions: Vec<Action>| {
        let mut state = game.start();
        for action in actions {
            if is_asked(&state) {
                return Some(state);
            }
            game.play(&mut state, action);
        }
        None
    };
    let positions: Vec<_> = recorded(game).into_iter().filter_map(position).collect();
    let mut group = criterion.benchmark_group("verdict");
    group.throughput(Throughput::Elements(positions.len() as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| positions.iter().filter(|state| adjudicator.verdict(black_box(state)).is_some()).count());
    });
}

fn all_verdicts(criterion: &mut Criterion) {
    use selfplay_engine::Player::{First, Second};
    for (size, walls) in [(5, 3), (9, 10)] {
        let Ok(game) = Quoridor::new(size, walls, Some(400)) else { continue };
        verdicts(criterion, &format!("quoridor {size}x{size}"), &game, &game, |state| {
            state.walls_left(First) + state.walls_left(Second) == 0
        });
    }
    let game = ConnectFour::default();
    for plies in [18, 22, 26] {
        verdicts(criterion, &format!("connect_four, {plies} plies"), &game, &ConnectFourEndings(game), |state| {
            game.ply(state) == plies
        });
    }
}

fn all_rules(criterion: &mut Criterion) {
    rules(criterion, "tic_tac_toe", &TicTacToe, 40.0);
    rules(criterion, "connect_four 6x7", &ConnectFour::default(), 40.0);
    rules(criterion, "mnk 9x9, 5", &Mnk::default(), 40.0);
    rules(criterion, "othello 8x8", &Othello::default(), 40.0);
    rules(criterion, "hex 11x11", &Hex::default(), 80.0);
    rules(criterion, "breakthrough 8x8", &Breakthrough::default(), 80.0);
}

fn search_of<G: Game>(criterion: &mut Criterion, name: &str, game: &G) -> f64 {
    const SIMULATIONS: u32 = 1000;
    let params = SearchParams {
        simulations: Simulations::PerMove(SIMULATIONS),
        c_puct: 1.4,
        leaf_parallelism: 1,
        in_flight: InFlight::Losses(3),
        noise: None,
        root: Root::PUCT,
        solver: false,
    };
    let mut search = Search::new(game.clone(), params, false);
    let (start, mut leaves, mut evaluations) = (game.start(), Vec::new(), Evaluations::default());
    // Never drawn from: there is no noise.
    let mut rng = ply_rng(0, 0, 0, Purpose::Noise);
    let mut run = || {
        search.forget();
        search.begin(&start, &mut rng);
        while let Some(gathered) = search.gather(&mut leaves) {
            UniformEvaluator.evaluate(&leaves, &mut evaluations).expect("it cannot fail");
            search.apply(gathered, &evaluations, &mut rng);
            leaves.clear();
        }
    };
    let mut group = criterion.benchmark_group("search");
    group.throughput(Throughput::Elements(u64::from(SIMULATIONS)));
    group.bench_function(name, |bencher| bencher.iter(&mut run));
    let fastest = (0..RUNS).map(|_| {
        let begun = Instant::now();
        run();
        begun.elapsed()
    });
    f64::from(SIMULATIONS) / fastest.min().unwrap_or(Duration::MAX).as_secs_f64()
}

fn searches(criterion: &mut Criterion) {
    const LEAST: f64 = 2e6;
    let speed = search_of(criterion, "connect_four 6x7", &ConnectFour::default());
    let verdict = if speed >= LEAST { "within" } else { "BEYOND" };
    eprintln!("connect_four 6x7: {:.2} M simulations/s, {verdict} its budget of {} M", speed / 1e6, LEAST / 1e6);
    for (name, speed) in [
        ("mnk 9x9, 5", search_of(criterion, "mnk 9x9, 5", &Mnk::default())),
        ("othello 8x8", search_of(criterion, "othello 8x8", &Othello::default())),
        ("hex 11x11", search_of(criterion, "hex 11x11", &Hex::default())),
        ("breakthrough 8x8", search_of(criterion, "breakthrough 8x8", &Breakthrough::default())),
    ] {
        eprintln!("{name}: {:.2} M simulations/s", speed / 1e6);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    targets = all_rules, all_verdicts, searches
}
criterion_main!(benches);
