//! How fast the search is beside an evaluator that costs nothing, and how much memory its tree takes.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha8Rng;
use selfplay_engine::{
    Action, ActionSet, Evaluations, Evaluator, Leaf,
    evaluation::UniformEvaluator,
    games::quoridor::Quoridor,
    search::{InFlight, Root, Search, SearchParams, Simulations, SpareTree},
    selfplay::{Purpose, ply_rng},
};

mod positions;

use positions::{State, boards, quoridor};

const N: u32 = 1000;

fn params(n: u32, leaf_parallelism: u32) -> SearchParams {
    let simulations = Simulations::PerMove(n);
    SearchParams {
        simulations,
        c_puct: 1.4,
        leaf_parallelism,
        in_flight: InFlight::Losses(3),
        noise: None,
        root: Root::PUCT,
        solver: false,
    }
}

fn uniform(leaves: &[Leaf<Quoridor>], out: &mut Evaluations) {
    UniformEvaluator.evaluate(leaves, out).expect("it cannot fail");
}

/// Nine tenths on the first legal action, so that most of the tree lies behind it.
fn peaked(leaves: &[Leaf<Quoridor>], out: &mut Evaluations) {
    out.clear();
    for leaf in leaves {
        let rest = leaf.legal.len() - 1;
        out.push(0.0, std::iter::once(0.9).chain(std::iter::repeat_n(0.1 / rest as f32, rest)));
    }
}

/// The evaluations of some leaves.
type Evaluate = fn(&[Leaf<Quoridor>], &mut Evaluations);

/// One move's search from a fresh root, with the memory of the last one.
struct Mover {
    search: Search<Quoridor>,
    leaves: Vec<Leaf<Quoridor>>,
    evaluations: Evaluations,
    /// Never drawn from: there is no noise.
    rng: ChaCha8Rng,
}

impl Mover {
    fn new(params: SearchParams) -> Self {
        let search = Search::new(quoridor(), params, false);
        let rng = ply_rng(0, 0, 0, Purpose::Noise);
        Self { search, leaves: Vec::new(), evaluations: Evaluations::default(), rng }
    }

    fn begin(&mut self, state: &State) {
        self.search.forget();
        self.search.begin(state, &mut self.rng);
    }

    /// One gather and its answers; false when there is nothing left to ask.
    fn step(&mut self, evaluate: Evaluate) -> bool {
        self.leaves.clear();
        let Some(gathered) = self.search.gather(&mut self.leaves) else { return false };
        evaluate(&self.leaves, &mut self.evaluations);
        self.search.apply(gathered, &self.evaluations, &mut self.rng);
        true
    }

    fn search(&mut self, state: &State, evaluate: Evaluate) {
        self.begin(state);
        while self.step(evaluate) {}
    }

    fn most_visited(&self) -> Action {
        self.search.visits().into_iter().max_by_key(|&(_, visits)| visits).expect("a visit").0
    }
}

fn one_tree(criterion: &mut Criterion) {
    for k in [1, 16] {
        let mut group = criterion.benchmark_group(format!("one_tree_k{k}"));
        group.throughput(Throughput::Elements(u64::from(N)));
        for (walls, state) in boards(&quoridor()) {
            let mut mover = Mover::new(params(N, k));
            group.bench_function(BenchmarkId::from_parameter(walls), |bencher| {
                bencher.iter(|| mover.search(&state, uniform));
            });
            mover.search(&state, uniform);
            let size = mover.search.size();
            eprintln!("{walls} walls: {} nodes of {} bytes each", size.nodes, size.bytes / size.nodes);
        }
    }
}

/// Trees in turn, as a thread with many games sees them: each is cold when its turn comes.
fn many_trees(criterion: &mut Criterion) {
    const TREES: usize = 256;
    const SIMULATIONS: u32 = 400;
    let mut group = criterion.benchmark_group("many_trees");
    group.sample_size(10).throughput(Throughput::Elements(TREES as u64 * u64::from(SIMULATIONS)));
    for k in [1, 8, 16] {
        let mut movers: Vec<Mover> = (0..TREES).map(|_| Mover::new(params(SIMULATIONS, k))).collect();
        for (walls, state) in boards(&quoridor()) {
            group.bench_function(BenchmarkId::new(format!("k{k}"), walls), |bencher| {
                bencher.iter(|| {
                    movers.iter_mut().for_each(|mover| mover.begin(&state));
                    while movers.iter_mut().fold(false, |any, mover| mover.step(uniform) | any) {}
                });
            });
        }
    }
}

/// Time per node kept when the root moves on.
fn tree_reuse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tree_reuse");
    let mut spare = SpareTree::default();
    for (walls, state) in boards(&quoridor()) {
        let searched = || {
            let mut mover = Mover::new(params(N, 1));
            mover.search(&state, peaked);
            mover
        };
        let mut kept = searched();
        kept.search.advance(kept.most_visited(), &mut spare);
        group.throughput(Throughput::Elements(kept.search.size().nodes as u64));
        group.bench_function(BenchmarkId::from_parameter(walls), |bencher| {
            bencher.iter_batched_ref(
                || {
                    let mover = searched();
                    (mover.most_visited(), mover)
                },
                |(action, mover)| mover.search.advance(*action, &mut spare),
                BatchSize::PerIteration,
            );
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(20);
    targets = one_tree, many_trees, tree_reuse
}
criterion_main!(benches);
