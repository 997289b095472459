//! What a game pays for the journal: one ply with as many visited actions as a search of 9 × 9 Quoridor has in mid-game.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use selfplay_engine::{
    ActionSet, Game, Leaf,
    evaluation::DrawChance,
    games::quoridor::Quoridor,
    journal::{SessionOptions, open_session},
    replay::{PlyNotes, PlyRecord, SessionId, Target},
};

/// Visited actions of the ply.
const VISITED: usize = 50;

fn append(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = SessionOptions {
        session: SessionId::of_this_process(),
        seed: 1,
        settings_hash: String::new(),
        daemon_version: String::new(),
        journal: true,
        resume: true,
        spool: None,
        lock_wait: Duration::from_secs(1),
    };
    let journal = open_session(dir.path(), &options).expect("a new session").journal;
    let game = Quoridor::new(9, 10, Some(200)).expect("a valid board");
    let state = game.start();
    let legal = game.legal_actions(&state);
    let target = |action| Target { action, visits: 300, probability: 0.02 };
    let ply = PlyRecord {
        leaf: Leaf::new(&game, &state, &legal),
        player: game.side_to_move(&state),
        action: legal.nth(0),
        targets: legal.iter().take(VISITED).map(target).collect(),
        root_value: 0.1,
        root_draw: DrawChance::UNKNOWN,
        model_version: 17,
        notes: PlyNotes { raw_value: 0.1, ..PlyNotes::unknown(true) },
    };
    let mut number = journal.begin(1, 0);
    let mut index = 0;
    criterion.bench_function("journal_ply", |bencher| {
        bencher.iter(|| {
            journal.ply(number, index, black_box(&ply), Some(17));
            index += 1;
            // Games end, so that memory does not grow.
            if index == 60 {
                journal.end(number);
                number = journal.begin(1, 0);
                index = 0;
            }
        });
    });
}

criterion_group!(benches, append);
criterion_main!(benches);
