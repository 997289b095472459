//! How long the rules and the encodings of 9 × 9 Quoridor with 10 walls each take, on boards with 0, 8 and 16 walls.

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use selfplay_engine::{Action, ActionSet, Game, games::perft::perft};

mod positions;

use positions::{boards, quoridor};

fn legal_actions(criterion: &mut Criterion) {
    let game = quoridor();
    let mut group = criterion.benchmark_group("legal_actions");
    for (walls, state) in boards(&game) {
        group.bench_function(BenchmarkId::from_parameter(walls), |bencher| {
            bencher.iter(|| game.legal_actions(black_box(&state)));
        });
    }
}

/// One legal action after the other is played on a copy of the state, and the legal actions of the result are found.
fn play(criterion: &mut Criterion) {
    let game = quoridor();
    let mut group = criterion.benchmark_group("play_and_legal_actions");
    for (walls, state) in boards(&game) {
        let legal: Vec<Action> = game.legal_actions(&state).iter().collect();
        let mut actions = legal.iter().copied().cycle();
        group.bench_function(BenchmarkId::from_parameter(walls), |bencher| {
            bencher.iter_batched(
                || actions.next().expect("an endless cycle"),
                |action| {
                    let mut next = state;
                    game.play(&mut next, action);
                    game.legal_actions(&next)
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn sequences(criterion: &mut Criterion) {
    let game = quoridor();
    let mut group = criterion.benchmark_group("perft");
    group.sample_size(20);
    for (walls, state) in boards(&game) {
        group.throughput(Throughput::Elements(perft(&game, &state, 3)));
        group.bench_function(BenchmarkId::from_parameter(walls), |bencher| {
            bencher.iter(|| perft(&game, black_box(&state), 3));
        });
    }
}

fn network_frame(criterion: &mut Criterion) {
    let game = quoridor();
    let mut group = criterion.benchmark_group("network_frame");
    // The second player's boards are the ones that are turned.
    let mut state = game.start();
    game.play(&mut state, 13);
    let mover = game.side_to_move(&state);
    let legal = game.legal_actions(&state);
    let mut priors: Vec<f32> = legal.iter().map(f32::from).collect();
    group.bench_function("position", |bencher| bencher.iter(|| game.position(black_box(&state))));
    group.bench_function("turn_actions", |bencher| bencher.iter(|| game.turn_actions(mover, black_box(&legal))));
    group.bench_function("turn_priors", |bencher| {
        bencher.iter(|| game.turn_priors(mover, &legal, black_box(&mut priors)));
    });
}

fn encode(criterion: &mut Criterion) {
    let game = quoridor();
    for encoding in game.encodings() {
        let mut group = criterion.benchmark_group(format!("encode_{}", game.encoding_name(encoding)));
        let mut out = vec![0.0; game.input_shape(encoding).iter().product()];
        for (walls, state) in boards(&game) {
            let position = game.position(&state);
            group.bench_function(BenchmarkId::from_parameter(walls), |bencher| {
                bencher.iter(|| game.encode(encoding, black_box(&position), black_box(&mut out)));
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = legal_actions, play, sequences, network_frame, encode
}
criterion_main!(benches);
