//! The positions that a model is converted by, and others that it is then compared on.

use selfplay_engine::{
    evaluation::{EvaluateError, Evaluations, Leaf, mix},
    game::{ActionSet as _, Game},
};

use super::super::{
    evaluator::OnnxEvaluator,
    probe_positions::{probe_positions, random_positions},
    trial::answers,
};

/// Games that the model plays against itself, at once.
const GAMES: usize = 4;
/// Plies after which they are long enough.
const MOST_PLIES: usize = 64;
/// Most positions of one set that come out of these games.
const PLAYED: usize = 64;
/// Far from the seeds of [`probe_positions`].
const OTHER_SEEDS: u64 = 1 << 20;

/// Positions as self-play meets them: half of each set from games of random moves, half from games that the model plays, its
/// moves drawn from its policy. No game gives to both sets.
pub(in crate::onnx) struct Samples<G: Game> {
    /// What scales are measured on.
    pub(super) calibration: Vec<Leaf<G>>,
    /// What answers are compared on.
    pub(in crate::onnx) probe: Vec<Leaf<G>>,
}

impl<G: Game> Samples<G> {
    /// Draws them: the same for the same model, `evaluator`.
    ///
    /// # Errors
    /// When the network fails.
    pub(in crate::onnx) fn draw(game: &G, evaluator: &mut OnnxEvaluator<G>) -> Result<Self, EvaluateError> {
        let played = play(game, evaluator)?;
        let of_games = |remainder: usize| {
            let of_these = played.iter().filter(|(number, _)| number % 2 == remainder);
            let leaves: Vec<_> = of_these.map(|(_, leaf)| *leaf).collect();
            let taken = leaves.len().min(PLAYED);
            (0..taken).map(move |index| leaves[index * leaves.len() / taken])
        };
        let calibration = random_positions(game, OTHER_SEEDS).into_iter().chain(of_games(0)).collect();
        Ok(Self { calibration, probe: probe_positions(game).into_iter().chain(of_games(1)).collect() })
    }
}

/// Every position of a few games with the number of its game.
fn play<G: Game>(game: &G, evaluator: &mut OnnxEvaluator<G>) -> Result<Vec<(usize, Leaf<G>)>, EvaluateError> {
    let mut states = vec![game.start(); GAMES];
    let mut seen = Vec::with_capacity(GAMES * MOST_PLIES);
    let batch = evaluator.network_mut().max_batch();
    for ply in 0..MOST_PLIES {
        let goes_on = |state: &G::State| game.outcome(state).is_none() && !game.legal_actions(state).is_empty();
        let live: Vec<_> = (0..GAMES).filter(|&number| goes_on(&states[number])).collect();
        let leaf = |&number: &usize| Leaf::new(game, &states[number], &game.legal_actions(&states[number]));
        let leaves: Vec<_> = live.iter().map(leaf).collect();
        let answers = answers(evaluator, &leaves, batch)?;
        for ((&number, leaf), (logits, _)) in live.iter().zip(&leaves).zip(answers.rows(game.policy_size())) {
            let mut evaluation = Evaluations::default();
            evaluation.push_logits(0.0, logits, &leaf.legal);
            let draw = mix((number as u64) << 32 | ply as u64) as f64 / u64::MAX as f64;
            let chosen = choose(evaluation.get(0).priors, draw);
            let state = &mut states[number];
            let action = game.turn_action(game.side_to_move(state), leaf.legal.nth(chosen));
            game.play(state, action);
            seen.push((number, *leaf));
        }
    }
    Ok(seen)
}

/// The entry of `priors`, which sum to one, that `draw` of 0 to 1 falls on.
fn choose(priors: &[f32], draw: f64) -> usize {
    let mut sum = 0.0;
    let passed = priors.iter().take_while(|&&prior| {
        sum += f64::from(prior);
        sum < draw
    });
    passed.count().min(priors.len().saturating_sub(1))
}
