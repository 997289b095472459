//! The hot paths, one per call of this program, for `cargo xtask instructions`: it runs them under callgrind, which counts what is
//! executed within [`measured`]. Unlike times, these counts are the same on a busy machine.
//!
//! `instructions PATH` runs one path and prints how many operations it did; without arguments the names of all are printed.
#![expect(clippy::print_stdout, reason = "what it prints is its result")]

use std::hint::black_box;

use selfplay_actors::cache::{CacheBench, CacheLimits};
use selfplay_engine::{
    Action, ActionSet as _, Evaluations, Evaluator as _, Game as _, Leaf,
    evaluation::UniformEvaluator,
    games::quoridor::{Quoridor, QuoridorEncoding},
    search::{InFlight, Root, Search, SearchParams, Simulations, SpareTree},
    selfplay::{Purpose, ply_rng},
};

/// The allocator of the daemon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type State = <Quoridor as selfplay_engine::Game>::State;

/// A name, and what is run; returns the number of operations.
type Path = (&'static str, fn() -> usize);

const PATHS: [Path; 10] = [
    ("legal_actions", legal_actions),
    ("play_and_legal_actions", play_and_legal_actions),
    ("encode", encode),
    ("encode_over_another", encode_over_another),
    ("decode", decode),
    ("simulation", simulation),
    ("simulation_on_a_kept_tree", simulation_on_a_kept_tree),
    ("tree_reuse_per_node", tree_reuse_per_node),
    ("cache_hit", cache_hit),
    ("cache_miss", cache_miss),
];

/// Leaves per gather.
const K: usize = 16;

fn main() {
    let Some(name) = std::env::args().nth(1).filter(|name| !name.starts_with('-')) else {
        PATHS.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let Some((_, run)) = PATHS.iter().find(|(known, _)| *known == name) else {
        println!("there is no path {name}");
        std::process::exit(2);
    };
    println!("{}", run());
}

/// Callgrind counts what is executed in here.
#[inline(never)]
fn measured(mut run: impl FnMut()) {
    run();
}

fn quoridor() -> Quoridor {
    Quoridor::new(9, 10, None).expect("a usual board")
}

/// 9x9 boards with 0 to 16 walls, as one after the other is placed.
fn states(game: &Quoridor) -> Vec<State> {
    const ACTIONS: [Action; 20] =
        [13, 67, 22, 58, 188, 165, 126, 100, 186, 167, 107, 119, 198, 161, 133, 85, 174, 177, 90, 208];
    let mut state = game.start();
    let after = ACTIONS.iter().map(|&action| {
        game.play(&mut state, action);
        state
    });
    std::iter::once(game.start()).chain(after.collect::<Vec<_>>()).collect()
}

fn legal_actions() -> usize {
    let game = quoridor();
    let states = states(&game);
    measured(|| {
        for state in &states {
            black_box(game.legal_actions(black_box(state)));
        }
    });
    states.len()
}

/// Every legal action of every board.
fn successors(game: &Quoridor) -> Vec<(State, Action)> {
    let actions =
        |state: State| game.legal_actions(&state).iter().map(move |action| (state, action)).collect::<Vec<_>>();
    states(game).into_iter().flat_map(actions).collect()
}

fn play_and_legal_actions() -> usize {
    let game = quoridor();
    let successors = successors(&game);
    measured(|| {
        for &(mut state, action) in &successors {
            game.play(&mut state, action);
            black_box(game.legal_actions(&state));
        }
    });
    successors.len()
}

fn leaves(game: &Quoridor) -> Vec<Leaf<Quoridor>> {
    let leaf = |(mut state, action): (State, Action)| {
        game.play(&mut state, action);
        Leaf::new(game, &state, &game.legal_actions(&state))
    };
    successors(game).into_iter().map(leaf).collect()
}

fn encode() -> usize {
    let game = quoridor();
    let leaves = leaves(&game);
    let mut planes = vec![0.0; game.input_shape(QuoridorEncoding::Resnet).iter().product()];
    measured(|| {
        leaves.iter().for_each(|leaf| game.encode(QuoridorEncoding::Resnet, &leaf.position, black_box(&mut planes)))
    });
    leaves.len()
}

/// Over positions of the same stage of a game, as in play.
fn encode_over_another() -> usize {
    let game = quoridor();
    let leaves = leaves(&game);
    let mut planes = vec![0.0; game.input_shape(QuoridorEncoding::Resnet).iter().product()];
    let mut before = leaves[0].position;
    game.encode(QuoridorEncoding::Resnet, &before, &mut planes);
    measured(|| {
        for leaf in &leaves {
            game.encode_over(QuoridorEncoding::Resnet, &before, &leaf.position, black_box(&mut planes));
            before = leaf.position;
        }
    });
    leaves.len()
}

fn decode() -> usize {
    let game = quoridor();
    let leaves = leaves(&game);
    let logits: Vec<f32> = (0..game.policy_size()).map(|action| (action % 17) as f32 / 4.0).collect();
    let mut evaluations = Evaluations::with_capacity(leaves.len(), leaves.len() * game.policy_size());
    measured(|| {
        for leaf in &leaves {
            evaluations.push_logits(0.5, black_box(&logits), &leaf.legal);
        }
    });
    leaves.len()
}

/// A search that has the memory of its last one.
struct Mover {
    search: Search<Quoridor>,
    leaves: Vec<Leaf<Quoridor>>,
    evaluations: Evaluations,
}

impl Mover {
    const SIMULATIONS: u32 = 400;

    fn new() -> Self {
        let simulations = Simulations::PerMove(Self::SIMULATIONS);
        let params = SearchParams {
            simulations,
            c_puct: 1.4,
            leaf_parallelism: K as u32,
            in_flight: InFlight::Losses(3),
            noise: None,
            root: Root::PUCT,
            solver: false,
        };
        let search = Search::new(quoridor(), params, false);
        Self { search, leaves: Vec::new(), evaluations: Evaluations::default() }
    }

    /// A search and a spare tree with the memory of earlier moves, as those of a game in play.
    fn in_play(state: &State) -> (Self, SpareTree<Quoridor>) {
        let (mut mover, mut spare) = (Self::new(), SpareTree::default());
        for _ in 0..2 {
            (0..20).for_each(|_| mover.search(state)); // Deep enough that something is kept.
            mover.search.advance(mover.most_visited(), &mut spare);
            mover.search.forget();
        }
        (mover, spare)
    }

    /// Searches a move; equal priors, so that the tree is broad.
    fn search(&mut self, state: &State) {
        let mut rng = ply_rng(0, 0, 0, Purpose::Noise);
        self.search.begin(state, &mut rng);
        while let Some(gathered) = self.search.gather(&mut self.leaves) {
            UniformEvaluator.evaluate(&self.leaves, &mut self.evaluations).expect("it cannot fail");
            self.search.apply(gathered, &self.evaluations, &mut rng);
            self.leaves.clear();
        }
    }

    fn most_visited(&self) -> Action {
        self.search.visits().into_iter().max_by_key(|&(_, visits)| visits).expect("a visit").0
    }
}

fn simulation() -> usize {
    let states = states(&quoridor());
    let (mut mover, _) = Mover::in_play(&states[0]);
    measured(|| {
        for state in [&states[0], &states[12], &states[20]] {
            mover.search(state);
            mover.search.forget();
        }
    });
    3 * Mover::SIMULATIONS as usize
}

fn simulation_on_a_kept_tree() -> usize {
    let game = quoridor();
    let mut state = states(&game)[12];
    let (mut mover, mut spare) = Mover::in_play(&state);
    mover.search(&state);
    let action = mover.most_visited();
    mover.search.advance(action, &mut spare);
    game.play(&mut state, action);
    measured(|| mover.search(&state));
    Mover::SIMULATIONS as usize
}

fn tree_reuse_per_node() -> usize {
    let state = states(&quoridor())[12];
    let (mut mover, mut spare) = Mover::in_play(&state);
    (0..20).for_each(|_| mover.search(&state));
    let action = mover.most_visited();
    measured(|| mover.search.advance(action, &mut spare));
    mover.search.size().nodes
}

fn gathers(game: &Quoridor) -> Vec<Vec<Leaf<Quoridor>>> {
    leaves(game).chunks(K).map(<[_]>::to_vec).collect()
}

fn cache_hit() -> usize {
    let gathers = gathers(&quoridor());
    let mut cache = CacheBench::new(CacheLimits { max_bytes: usize::MAX, max_entries: None });
    gathers.iter().cloned().for_each(|gather| cache.look_up(gather));
    cache.complete(&mut UniformEvaluator).expect("it cannot fail");
    let again = gathers.clone();
    let count = again.iter().map(Vec::len).sum();
    let mut again = again.into_iter();
    measured(|| again.by_ref().for_each(|gather| cache.look_up(gather)));
    count
}

/// In a full cache: each new entry costs an old one. The evaluator's share is that of the equal priors.
fn cache_miss() -> usize {
    let gathers = gathers(&quoridor());
    let mut cache = CacheBench::new(CacheLimits { max_bytes: 1 << 20, max_entries: Some(500) });
    let (old, new) = gathers.split_at(gathers.len() / 2);
    for gather in old {
        cache.look_up(gather.clone());
        cache.complete(&mut UniformEvaluator).expect("it cannot fail");
    }
    let count = new.iter().map(Vec::len).sum();
    let new: Vec<_> = new.to_vec();
    let mut new = new.into_iter();
    measured(|| {
        for gather in new.by_ref() {
            cache.look_up(gather);
            cache.complete(&mut UniformEvaluator).expect("it cannot fail");
        }
    });
    count
}
