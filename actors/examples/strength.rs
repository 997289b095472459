//! What settings of the search are worth: matches of each against one leaf at a time, and mistakes against a perfect solver. The figures
//! of docs/strength.md come from here. `selfplayd match` does the same for models; what it has not is the evaluator below, leaves a gather,
//! and searches with noise or forced playouts, of which mistakes tell.
//!
//! ```text
//! strength match connect_four N PAIRS SEARCH…      Connect Four with the evaluator below
//! strength match MODEL.onnx N PAIRS SEARCH…        Quoridor 5x5 with 3 walls, at most 200 plies, with that model
//! strength mistakes N SEARCH…                      share of solved positions of Connect Four that are played worse
//! ```
//!
//! A search is a list of words, and is matched with one leaf at a time unless another follows after a `/`. Of both rules: `k=8`, `n=50`
//! (instead of N), `visits` or `loss=3`, `solver`. Of Gumbel's: `gumbel=7` (m), `scale=1` (c_scale), `rescale`. Of PUCT, which it is without `gumbel`:
//! `c=1.4`, `growth=0.28:500` (c1 and base), `absolute=-0.2` or `reduction=0.2` (what untried moves count for), `root-absolute` or
//! `root-reduction` (at the root alone, after those), `temperature=1.25` (of the root's policy), `reuse` (trees are kept), `counted` (n
//! counts kept visits). For mistakes alone, as matches have no noise: `noise=0.25:1.43` (ε and α), `shaped`, `forced=2` (k of forced
//! playouts).
//!
//! The evaluator of Connect Four stands for a network that has learned half of the game: it counts lines that are still open to one side
//! alone, and blurs what it says with noise that depends on nothing but the position.
#![expect(clippy::print_stdout, reason = "what it prints is its result")]

use std::{collections::HashSet, fs::File, io::Read as _, path::Path};

use flate2::read::GzDecoder;
use selfplay_actors::onnx::{
    DeviceRequest, GameDescription, LibrarySearch, LoadOptions, ModelFile, OnnxEvaluator, Runtime, load_evaluators,
};
use selfplay_engine::{
    Action, ActionSet as _, Evaluations, Evaluator, Game, Leaf, Outcome, Player,
    evaluation::{EvaluateError, mix},
    games::{connect_four::ConnectFour, quoridor::Quoridor},
    matches::{MatchGame, Mover, Seat, Step, opening},
    rating::Pairs,
    search::{
        Counted, FirstPlay, Growth, Gumbel, InFlight, NoiseShape, Puct, Root, RootNoise, Search, SearchParams,
        Simulations, SpareTree,
    },
    selfplay::{Purpose, ply_rng},
    solve::Class,
};
use serde::Deserialize;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["match", "connect_four", n, pairs, searches @ ..] => {
            let salted = |salt| Noisy { salt, ..Noisy::new() };
            compare(&ConnectFour::default(), 6, n, pairs, searches, &mut salted(1))
        }
        ["match", model, n, pairs, searches @ ..] => {
            let game = Quoridor::new(5, 3, Some(200))?;
            compare(&game, 2, n, pairs, searches, &mut load(Path::new(model), &game)?)
        }
        ["mistakes", n, searches @ ..] => mistakes(n.parse()?, searches),
        _ => Err("see the head of actors/examples/strength.rs".into()),
    }
}

/// A search from its words, and whether it keeps trees.
fn search_of(words: &str, n: u32) -> Result<(SearchParams, bool), Failure> {
    let mut params = SearchParams {
        simulations: Simulations::PerMove(n),
        c_puct: 1.4,
        leaf_parallelism: 1,
        in_flight: InFlight::Visits,
        noise: None,
        root: Root::PUCT,
        solver: false,
    };
    let mut reuse = false;
    for word in words.split(',') {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || -> Result<f32, Failure> { Ok(value.parse()?) };
        let numbers = || -> Result<(f32, f32), Failure> {
            let (first, second) =
                value.split_once(':').ok_or_else(|| format!("{name} wants two numbers, as in 1:2"))?;
            Ok((first.parse()?, second.parse()?))
        };
        match (name, &mut params.root) {
            ("k", _) => params.leaf_parallelism = value.parse()?,
            ("n", _) => params.simulations = Simulations::PerMove(value.parse()?),
            ("c", _) => params.c_puct = number()?,
            ("visits", _) => params.in_flight = InFlight::Visits,
            ("loss", _) => params.in_flight = InFlight::Losses(value.parse()?),
            ("noise", _) => {
                let (epsilon, alpha) = numbers()?;
                params.noise = Some(RootNoise { epsilon, alpha, shape: NoiseShape::Even });
            }
            ("shaped", _) => params.noise.as_mut().ok_or("shaped follows noise")?.shape = NoiseShape::Shaped,
            ("reuse", _) => reuse = true,
            ("gumbel", root) => {
                *root = Root::Gumbel(Gumbel { actions: value.parse()?, scale: 0.0, ..Gumbel::default() })
            }
            ("scale", Root::Gumbel(gumbel)) => gumbel.c_scale = number()?,
            ("rescale", Root::Gumbel(gumbel)) => gumbel.stretch = true,
            ("growth", Root::Puct(puct)) => {
                let (by, base) = numbers()?;
                puct.growth = Some(Growth { by, base });
            }
            ("absolute", Root::Puct(puct)) => set_first_play(puct, FirstPlay::Absolute(number()?)),
            ("reduction", Root::Puct(puct)) => set_first_play(puct, FirstPlay::Reduction(number()?)),
            ("root-absolute", Root::Puct(puct)) => puct.first_play_at_root = FirstPlay::Absolute(number()?),
            ("root-reduction", Root::Puct(puct)) => puct.first_play_at_root = FirstPlay::Reduction(number()?),
            ("temperature", Root::Puct(puct)) => puct.policy_temperature = number()?,
            ("counted", Root::Puct(puct)) => puct.counted = Counted::Visits,
            ("forced", Root::Puct(puct)) => puct.forced_playouts = number()?,
            ("solver", _) => params.solver = true,
            _ => return Err(format!("{word} is no word of a search").into()),
        }
    }
    Ok((params, reuse))
}

fn set_first_play(puct: &mut Puct, first_play: FirstPlay) {
    (puct.first_play, puct.first_play_at_root) = (first_play, first_play);
}

/// Matches of each search against one leaf at a time, or against the search after a `/`.
fn compare<G: Game>(
    game: &G,
    plies: u32,
    n: &str,
    pairs: &str,
    searches: &[&str],
    evaluator: &mut impl Evaluator<G>,
) -> Result<(), Failure> {
    let (n, pairs) = (n.parse()?, pairs.parse()?);
    println!(
        "| search | against | n | pairs | Elo | wins, draws, losses | different games | leaves a gather | evaluations |\n|---|---|---|---|---|---|---|---|---|"
    );
    for words in searches {
        let (search, other) = words.split_once('/').unwrap_or((words, "k=1"));
        let seat = |words| -> Result<Seat, Failure> {
            let (search, tree_reuse) = search_of(words, n)?;
            Ok(Seat { mover: Mover::Search, search, tree_reuse, penalize_visited_states: false, open_ended: false })
        };
        let result = play(game, [seat(search)?, seat(other)?], plies, pairs, evaluator)?;
        let elo = result.pairs.elo().ok_or("no pairs were played")?;
        let [losses, draws, wins] = result.games;
        println!(
            "| {search} | {other} | {n} | {pairs} | {:+.0} [{:+.0}, {:+.0}] | {wins}, {draws}, {losses} | {} | {:.1} | {:.2} |",
            elo.value,
            elo.low,
            elo.high,
            result.different,
            result.leaves as f64 / result.gathers as f64,
            result.leaves as f64 / result.others as f64
        );
    }
    Ok(())
}

struct Played {
    pairs: Pairs,
    games: [u64; 3],
    different: usize,
    /// Of the first player.
    gathers: u64,
    leaves: u64,
    /// Leaves of the second.
    others: u64,
}

/// A game of a pair, and which player moves first in it.
struct Playing<G: Game> {
    game: MatchGame<G>,
    pair: usize,
    swapped: bool,
    evaluations: Evaluations,
    /// Of its leaves among those asked.
    asked: std::ops::Range<usize>,
    result: Option<Class>,
}

/// All games at once, so that batches are full.
fn play<G: Game>(
    game: &G,
    seats: [Seat; 2],
    plies: u32,
    pairs: usize,
    evaluator: &mut impl Evaluator<G>,
) -> Result<Played, Failure> {
    const SEED: u64 = 1;
    let (mut known, mut games) = (HashSet::new(), Vec::new());
    for pair in 0..pairs {
        let fresh =
            |attempt| opening(game, SEED, pair as u64, attempt, plies).filter(|actions| known.insert(actions.clone()));
        let Some(actions) = (0..1000).find_map(fresh) else { break };
        for swapped in [false, true] {
            let seats = if swapped { [seats[1], seats[0]] } else { seats };
            let game = MatchGame::new(game.clone(), seats, &actions, SEED, pair as u64);
            games.push(Playing { game, pair, swapped, evaluations: Evaluations::default(), asked: 0..0, result: None });
        }
    }
    let (mut leaves, mut evaluations, mut spare) = (Vec::new(), Evaluations::default(), SpareTree::default());
    let (mut gathers, mut asked, mut others) = (0, 0, 0);
    loop {
        leaves.clear();
        for playing in games.iter_mut().filter(|playing| playing.result.is_none()) {
            let before = leaves.len();
            let first = if playing.swapped { Player::Second } else { Player::First };
            match playing.game.advance(&mut leaves, &mut spare) {
                Step::Over(outcome) => playing.result = Some(class_of(outcome, first)),
                Step::Leaves(player) if player == first => {
                    gathers += 1;
                    asked += (leaves.len() - before) as u64;
                }
                Step::Leaves(_) => others += (leaves.len() - before) as u64,
                Step::Thinking(_) | Step::Choice => {}
            }
            playing.asked = before..leaves.len();
        }
        if leaves.is_empty() {
            break;
        }
        evaluator.evaluate(&leaves, &mut evaluations)?;
        for playing in games.iter_mut().filter(|playing| playing.result.is_none()) {
            playing.evaluations.clear();
            for evaluation in playing.asked.clone().map(|leaf| evaluations.get(leaf)) {
                playing.evaluations.push(evaluation.value, evaluation.priors.iter().copied());
            }
            playing.game.apply(&playing.evaluations, &mut spare);
        }
    }
    let mut result = Played { pairs: Pairs::default(), games: [0; 3], different: 0, gathers, leaves: asked, others };
    let different: HashSet<Vec<Action>> = games.iter().map(|playing| playing.game.actions()).collect();
    result.different = different.len();
    for pair in games.chunks_exact(2) {
        debug_assert_eq!(pair[0].pair, pair[1].pair);
        let of = |playing: &Playing<G>| playing.result.ok_or("a game is not over");
        let results = [of(&pair[0])?, of(&pair[1])?];
        results.iter().for_each(|class| result.games[(class.value() + 1) as usize] += 1);
        result.pairs.count(results);
    }
    Ok(result)
}

fn class_of(outcome: Outcome, player: Player) -> Class {
    Class::of_sign(outcome.value_for(player) as i32)
}

/// A position and what each of its moves is worth.
#[derive(Deserialize)]
struct Solved {
    moves: Vec<Action>,
    class: std::collections::BTreeMap<Action, i8>,
}

/// How often the move played is worth less than the best, and what share of the policy such moves have, for the network alone and for each search.
fn mistakes(n: u32, searches: &[&str]) -> Result<(), Failure> {
    const SALTS: u64 = 4;
    let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/connect_four_solved.jsonl.gz"))?;
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text)?;
    let positions: Vec<Solved> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let game = ConnectFour::default();
    let share = |wrong: f64| 100.0 * wrong / (positions.len() as f64 * SALTS as f64);
    let is_mistake = |solved: &Solved, action: Action| solved.class.get(&action) < solved.class.values().max();
    let state_of = |solved: &Solved| {
        let mut state = game.start();
        solved.moves.iter().for_each(|&action| game.play(&mut state, action));
        state
    };
    let mut evaluations = Evaluations::default();
    let (mut wrong, mut astray) = (0.0, 0.0);
    for salt in 0..SALTS {
        for solved in &positions {
            let state = state_of(solved);
            let legal = game.legal_actions(&state);
            Noisy { salt, ..Noisy::new() }.evaluate(&[Leaf::new(&game, &state, &legal)], &mut evaluations)?;
            let priors = evaluations.get(0).priors;
            let best = (0..priors.len()).max_by(|&one, &other| priors[one].total_cmp(&priors[other])).unwrap_or(0);
            wrong += f64::from(u8::from(is_mistake(solved, legal.nth(best))));
            let worse = legal.iter().zip(priors).filter(|&(action, _)| is_mistake(solved, action));
            astray += worse.map(|(_, &prior)| f64::from(prior)).sum::<f64>();
        }
    }
    println!(
        "| search | n | mistakes, % | policy on worse moves, % | leaves a gather |\n|---|---|---|---|---|\n| policy alone | | {:.2} | {:.1} | |",
        share(wrong),
        share(astray)
    );
    for words in searches {
        let (mut wrong, mut astray, mut asked, mut gathers) = (0.0, 0.0, 0, 0);
        for salt in 0..SALTS {
            let mut evaluator = Noisy { salt, ..Noisy::new() };
            for (number, solved) in positions.iter().enumerate() {
                let mut search = Search::new(game, search_of(words, n)?.0, false);
                let mut rng = ply_rng(salt, number as u64, 0, Purpose::Choice);
                let mut leaves = Vec::new();
                search.begin(&state_of(solved), &mut rng);
                while let Some(gathered) = search.gather(&mut leaves) {
                    evaluator.evaluate(&leaves, &mut evaluations)?;
                    search.apply(gathered, &evaluations, &mut rng);
                    asked += leaves.len();
                    gathers += 1;
                    leaves.clear();
                }
                let decision = search.decide(0.0, &mut rng);
                wrong += f64::from(u8::from(is_mistake(solved, decision.action)));
                let worse = decision.policy.iter().filter(|share| is_mistake(solved, share.action));
                astray += worse.map(|share| f64::from(share.probability)).sum::<f64>();
            }
        }
        let leaves = asked as f64 / f64::from(gathers);
        println!("| {words} | {n} | {:.2} | {:.1} | {leaves:.1} |", share(wrong), share(astray));
    }
    Ok(())
}

/// The evaluator of Connect Four.
struct Noisy {
    lines: Vec<u64>,
    salt: u64,
}

const ROWS: usize = 6;
const COLUMNS: usize = 7;

impl Noisy {
    fn new() -> Self {
        let mut lines = Vec::new();
        for (row, column) in (0..ROWS as i32).flat_map(|row| (0..COLUMNS as i32).map(move |column| (row, column))) {
            for (up, right) in [(0, 1), (1, 0), (1, 1), (1, -1)] {
                let cells = || (0..4).map(move |step| (row + step * up, column + step * right));
                let inside = |(row, column)| (0..ROWS as i32).contains(&row) && (0..COLUMNS as i32).contains(&column);
                if cells().all(inside) {
                    lines.push(cells().map(|(row, column)| 1 << (row * COLUMNS as i32 + column)).sum());
                }
            }
        }
        Self { lines, salt: 0 }
    }

    /// Lines that only one side can still complete, by the stones in them.
    fn lines(&self, mine: u64, others: u64) -> f64 {
        const WORTH: [f64; 5] = [0.0, 1.0, 3.0, 9.0, 100.0];
        let worth = |line: &u64| match ((mine & line).count_ones(), (others & line).count_ones()) {
            (stones, 0) => WORTH[stones as usize],
            (0, stones) => -WORTH[stones as usize],
            _ => 0.0,
        };
        self.lines.iter().map(worth).sum()
    }

    /// From −1 to 1.
    fn noise(&self, mine: u64, others: u64, what: u64) -> f64 {
        let bits = mix(mix(mix(self.salt ^ what << 32) ^ mine) ^ others) >> 11;
        bits as f64 / (1u64 << 52) as f64 - 1.0
    }
}

impl Evaluator<ConnectFour> for Noisy {
    fn evaluate(&mut self, leaves: &[Leaf<ConnectFour>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        let mut planes = [0.0; 2 * ROWS * COLUMNS];
        out.clear();
        for leaf in leaves {
            ConnectFour::default().encode((), &leaf.position, &mut planes);
            let stones = |plane: &[f32]| plane.iter().rev().fold(0, |bits, &cell| bits << 1 | u64::from(cell > 0.0));
            let (mine, others) = (stones(&planes[..ROWS * COLUMNS]), stones(&planes[ROWS * COLUMNS..]));
            let standing = self.lines(mine, others);
            let value = (standing / 15.0 + self.noise(mine, others, 99)).tanh();
            let mut logits = Vec::with_capacity(COLUMNS);
            for action in leaf.legal.iter() {
                let column = usize::from(action);
                let row = (0..ROWS).find(|row| (mine | others) >> (row * COLUMNS + column) & 1 == 0).unwrap_or(0);
                let after = self.lines(mine | 1 << (row * COLUMNS + column), others) - standing;
                // A line of three to complete counts for more than anything that is not.
                logits.push(after.min(20.0) / 5.0 + 1.5 * self.noise(mine, others, u64::from(action)));
            }
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            out.push(value as f32, logits.iter().map(|logit| (logit.exp() / sum) as f32));
        }
        Ok(())
    }
}

fn load(model: &Path, game: &Quoridor) -> Result<OnnxEvaluator<Quoridor>, Failure> {
    let runtime = Runtime::start(&LibrarySearch::new(None, &DeviceRequest::Cpu))?;
    let options = LoadOptions::on_cpu(128, GameDescription::new("Quoridor 5x5"));
    Ok(load_evaluators(&runtime, game, &ModelFile::read(model)?, &options)?.evaluators.remove(0))
}
