use std::sync::Mutex;

use selfplay_engine::{Evaluations, Leaf, evaluation::EvaluateError, games::connect_four::ConnectFour, solve::Class};

use super::{search::Found, *};

/// Knows nothing, and notes how many positions it is asked at a time.
struct Counting(Arc<Mutex<Vec<usize>>>);

impl Evaluator<ConnectFour> for Counting {
    fn evaluate(&mut self, leaves: &[Leaf<ConnectFour>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        self.0.lock().unwrap().push(leaves.len());
        UniformEvaluator.evaluate(leaves, out)
    }
}

fn params(simulations: u32) -> SearchParams {
    SearchParams {
        simulations: Simulations::PerMove(simulations),
        c_puct: 1.4,
        leaf_parallelism: 1,
        in_flight: selfplay_engine::search::InFlight::Visits,
        noise: None,
        root: selfplay_engine::search::Root::PUCT,
        solver: false,
    }
}

fn positions(count: usize) -> Vec<Solved> {
    Source::Random { count, plies: 24..=30, seed: 5 }.positions(&ConnectFour::default(), 2, &Progress::new()).unwrap()
}

fn uniform(threads: usize) -> Vec<Box<dyn Evaluator<ConnectFour>>> {
    (0..threads).map(|_| Box::new(UniformEvaluator) as Box<dyn Evaluator<ConnectFour>>).collect()
}

/// Without a network, simulations alone must find more and more.
#[test]
fn more_simulations_make_fewer_mistakes() {
    let (game, positions) = (ConnectFour::default(), positions(80));
    let questions = Questions { game: &game, positions: &positions, symmetry: false, seed: 0 };
    let alone = questions.alone(&mut uniform(2), &Progress::new()).unwrap();
    let mistakes = [2, 200].map(|simulations| {
        let found = questions.search(&mut uniform(2), params(simulations), &alone, &Progress::new()).unwrap();
        Mistakes::of(&positions, &found).mistakes
    });
    assert!(mistakes[0] > 2 * mistakes[1], "{mistakes:?}");
    // The first legal column, and a value that says nothing.
    let first = |position: &Solved| Found { action: position.classes[0].0, value: 0.0 };
    assert_eq!(alone, positions.iter().map(first).collect::<Vec<_>>());
}

#[test]
fn what_is_found_depends_neither_on_threads_nor_on_what_is_asked_beside() {
    let (game, positions) = (ConnectFour::default(), positions(30));
    let all = Questions { game: &game, positions: &positions, symmetry: true, seed: 0 };
    let alone = all.alone(&mut uniform(1), &Progress::new()).unwrap();
    let found = |threads| all.search(&mut uniform(threads), params(40), &alone, &Progress::new()).unwrap();
    let one = found(1);
    assert_eq!(one, found(3));
    let few = Questions { positions: &positions[..4], ..all };
    assert_eq!(few.search(&mut uniform(1), params(40), &alone, &Progress::new()).unwrap(), one[..4]);
}

#[test]
fn a_search_of_one_simulation_plays_what_the_network_alone_does() {
    let (game, positions) = (ConnectFour::default(), positions(10));
    let questions = Questions { game: &game, positions: &positions, symmetry: false, seed: 0 };
    let last = |position: &Solved| Found { action: position.classes[position.classes.len() - 1].0, value: 0.5 };
    let alone: Vec<_> = positions.iter().map(last).collect();
    let found = questions.search(&mut uniform(1), params(1), &alone, &Progress::new()).unwrap();
    assert!(found.iter().zip(&alone).all(|(found, alone)| found.action == alone.action && found.value == 0.0));
}

#[test]
fn what_is_proven_makes_fewer_mistakes() {
    let (game, positions) = (ConnectFour::default(), positions(60));
    let questions = Questions { game: &game, positions: &positions, symmetry: false, seed: 0 };
    let alone = questions.alone(&mut uniform(1), &Progress::new()).unwrap();
    let mistakes = |solver| {
        let count = |n| {
            let params = SearchParams { solver, ..params(n) };
            let found = questions.search(&mut uniform(1), params, &alone, &Progress::new()).unwrap();
            let wrong =
                |(position, found): &(&Solved, Found)| position.class_of(found.action) != Some(position.class());
            positions.iter().zip(found).filter(wrong).count()
        };
        [4, 8, 12, 16, 24].map(count).iter().sum::<usize>()
    };
    assert!(mistakes(true) < mistakes(false), "{} instead of {}", mistakes(true), mistakes(false));
}

#[test]
fn positions_are_asked_together() {
    let (game, positions) = (ConnectFour::default(), positions(20));
    let questions = Questions { game: &game, positions: &positions, symmetry: false, seed: 0 };
    let alone = questions.alone(&mut uniform(1), &Progress::new()).unwrap();
    let sizes = Arc::<Mutex<Vec<usize>>>::default();
    let counting: Box<dyn Evaluator<ConnectFour>> = Box::new(Counting(sizes.clone()));
    questions.search(&mut [counting], params(10), &alone, &Progress::new()).unwrap();
    let sizes = sizes.lock().unwrap();
    // They need fewer as games end in the trees, but never one after the other.
    assert!(sizes[0] == 20 && sizes.len() <= 10, "{sizes:?}");
}

#[test]
fn recorded_positions_have_the_classes_of_the_file() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/connect_four_solved.jsonl.gz");
    let positions = Source::File(file.into()).positions(&ConnectFour::default(), 1, &Progress::new()).unwrap();
    assert_eq!(positions.len(), 600);
    assert!(positions.iter().all(Solved::has_a_choice));
    assert_eq!(positions[0].class_of(0), Some(Class::Loss));
    assert_eq!(positions[0].class(), Class::Win);
}
