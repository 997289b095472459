//! Positions whose exact worth is known: random ones that are solved, or those of a file.

use std::{
    collections::{BTreeMap, HashSet},
    fmt, fs,
    io::Read as _,
    ops::RangeInclusive,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use anyhow::{Context as _, anyhow, bail, ensure};
use flate2::read::GzDecoder;
use rand::RngExt as _;
use selfplay_engine::{
    Action, ActionSet, Game, Leaf,
    selfplay::{Purpose, ply_rng},
    solve::Class,
    testing::LONGEST,
};
use serde::Deserialize;

use super::progress::Progress;
use crate::{cli::JudgeArgs, played::PlayedGame, settings::Settings};

/// Random games tried for each position that is wanted. Small boards have few positions.
const TRIES: u64 = 20;

/// A position and what its moves are worth.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Solved {
    /// Played from the start.
    pub moves: Vec<Action>,
    /// The class of every legal move for the mover, in ascending order of actions.
    pub classes: Vec<(Action, Class)>,
}

impl Solved {
    pub(super) fn state<G: Game>(&self, game: &G) -> G::State {
        played(game, &self.moves)
    }

    /// The position's own class for its mover: that of its best move.
    pub(super) fn class(&self) -> Class {
        self.classes.iter().map(|&(_, class)| class).max().unwrap_or(Class::Loss)
    }

    /// Whether some moves are worse than others.
    pub(super) fn has_a_choice(&self) -> bool {
        self.classes.iter().any(|&(_, class)| class != self.class())
    }

    pub(super) fn class_of(&self, action: Action) -> Option<Class> {
        self.classes.iter().find(|&&(its, _)| its == action).map(|&(_, class)| class)
    }
}

/// Where positions come from.
pub(super) enum Source {
    File(PathBuf),
    Random { count: usize, plies: RangeInclusive<u32>, seed: u64 },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "from {}", path.display()),
            Self::Random { plies, seed, .. } if *plies.end() == u32::MAX => {
                write!(f, "of random games, from ply {} on, seed {seed}", plies.start())
            }
            Self::Random { plies, seed, .. } => {
                write!(f, "of random games, plies {} to {}, seed {seed}", plies.start(), plies.end())
            }
        }
    }
}

/// A line of a file of positions.
#[derive(Deserialize)]
struct Line {
    /// Played from the start.
    moves: Vec<Action>,
    /// Class of every legal move for the mover: 1 wins, 0 draws, −1 loses.
    class: Option<BTreeMap<Action, i8>>,
}

impl Source {
    pub(super) fn new(args: &JudgeArgs, settings: &Settings, game: &impl PlayedGame) -> Self {
        let Some(path) = &args.positions else {
            let usual = game.plies_to_solve();
            let first = args.from_ply.unwrap_or(*usual.start());
            let last = args.to_ply.unwrap_or((*usual.end()).max(first));
            return Self::Random { count: args.count, plies: first..=last, seed: settings.play.seed.unwrap_or(0) };
        };
        Self::File(path.clone())
    }

    /// From which random choices of searches follow, too.
    pub(super) fn seed(&self) -> u64 {
        match self {
            Self::File(_) => 0,
            Self::Random { seed, .. } => *seed,
        }
    }

    /// The positions, solved on `threads` threads.
    pub(super) fn positions<G: PlayedGame>(
        &self,
        game: &G,
        threads: usize,
        progress: &Progress,
    ) -> anyhow::Result<Vec<Solved>> {
        let unsolved = match self {
            Self::File(path) => read(path, game)?,
            Self::Random { count, plies, seed } => {
                let drawn = draw(game, *count, plies, *seed);
                ensure!(
                    !drawn.is_empty(),
                    "no random game of {} reaches the plies from {} to {}",
                    game.title(),
                    plies.start(),
                    plies.end()
                );
                drawn.into_iter().map(|moves| (moves, None)).collect()
            }
        };
        let left = unsolved.iter().filter(|(_, classes)| classes.is_none()).count();
        if left > 0 {
            progress.stage("solving", left as u64);
        }
        solve(game, unsolved, threads, progress)
    }
}

/// A position, and its moves' classes if they are known.
type Unsolved = (Vec<Action>, Option<Vec<(Action, Class)>>);

/// The state after legal moves from the start.
fn played<G: Game>(game: &G, moves: &[Action]) -> G::State {
    let mut state = game.start();
    moves.iter().for_each(|&action| game.play(&mut state, action));
    state
}

/// Solves what is not solved yet.
fn solve<G: PlayedGame>(
    game: &G,
    positions: Vec<Unsolved>,
    threads: usize,
    progress: &Progress,
) -> anyhow::Result<Vec<Solved>> {
    let next = AtomicUsize::new(0);
    let places: Vec<_> = positions.into_iter().map(Mutex::new).collect();
    let work = || -> anyhow::Result<()> {
        let mut solver = None;
        while let Some(place) = places.get(next.fetch_add(1, Relaxed)) {
            let mut place = place.lock().map_err(|_| anyhow!("a thread that solved positions panicked"))?;
            let (moves, classes) = &mut *place;
            if classes.is_none() {
                let found = solver.get_or_insert_with(|| game.solver()).moves(&played(game, moves));
                // The others need not go on.
                let found = found.inspect_err(|_| next.store(places.len(), Relaxed));
                *classes = Some(found.map_err(|error| too_early(game, moves.len(), &error))?);
                progress.one_more();
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a thread that solved positions panicked")))
        };
        threads.into_iter().try_for_each(join)
    })?;
    let solved = |place: Mutex<Unsolved>| {
        let (moves, classes) = place.into_inner().ok()?;
        Some(Solved { moves, classes: classes? })
    };
    places.into_iter().map(|place| solved(place).context("a position was left out")).collect()
}

/// Which games can be judged, after one could not.
fn too_early(game: &impl PlayedGame, ply: usize, error: &dyn fmt::Display) -> anyhow::Error {
    anyhow!(
        "failed to {error} (ply {ply} of {}): take later positions with --from-ply, or a smaller board. Of connect_four \
         all positions from ply 12 on can be judged; of the other games small boards can (tic_tac_toe as a whole), and \
         endings. --positions takes others that are solved already",
        game.title()
    )
}

/// Different positions of random games, none an image of another, in which the game goes on: the moves to each.
fn draw<G: Game>(game: &G, count: usize, plies: &RangeInclusive<u32>, seed: u64) -> Vec<Vec<Action>> {
    let (mut known, mut drawn) = (HashSet::new(), Vec::new());
    for number in 0..(count as u64).saturating_mul(TRIES) {
        if drawn.len() == count {
            break;
        }
        let mut rng = ply_rng(seed, number, 0, Purpose::Choice);
        // Up to the end of the game or of the range; then one of the positions passed is chosen.
        let (mut state, mut moves, mut leaves) = (game.start(), Vec::new(), Vec::new());
        while moves.len() < LONGEST && game.ply(&state) <= *plies.end() && game.outcome(&state).is_none() {
            let legal = game.legal_actions(&state);
            if legal.is_empty() {
                break;
            }
            leaves.push(Leaf::new(game, &state, &legal));
            let action = legal.nth(rng.random_range(0..legal.len()));
            game.play(&mut state, action);
            moves.push(action);
        }
        let first = *plies.start() as usize;
        if first >= leaves.len() {
            continue;
        }
        let ply = rng.random_range(first..leaves.len());
        let (least, _) = leaves[ply].canonical(game);
        if known.insert((least.position, ply)) {
            moves.truncate(ply);
            drawn.push(moves);
        }
    }
    drawn
}

/// Positions of a file: one JSON object a line, compressed with gzip or not.
fn read<G: Game>(path: &PathBuf, game: &G) -> anyhow::Result<Vec<Unsolved>> {
    let bytes = fs::read(path).with_context(|| format!("failed to read positions from {}", path.display()))?;
    let text = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut text = String::new();
        GzDecoder::new(&*bytes).read_to_string(&mut text).map(|_| text).map_err(anyhow::Error::from)
    } else {
        String::from_utf8(bytes).map_err(anyhow::Error::from)
    };
    let text = text.with_context(|| format!("failed to read positions from {}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let positions: Vec<_> = lines
        .map(|(number, line)| parse(game, line).with_context(|| format!("{}, line {}", path.display(), number + 1)))
        .collect::<Result<_, _>>()?;
    ensure!(!positions.is_empty(), "{} has no positions", path.display());
    Ok(positions)
}

fn parse<G: Game>(game: &G, line: &str) -> anyhow::Result<Unsolved> {
    let Line { moves, class } = serde_json::from_str(line)?;
    let mut state = game.start();
    for (ply, &action) in moves.iter().enumerate() {
        if game.outcome(&state).is_some() {
            bail!("the game is over after {ply} moves, and there are {}", moves.len());
        }
        if !game.legal_actions(&state).contains(action) {
            bail!("move {ply} (counted from 0) is {action}, which is not legal");
        }
        game.play(&mut state, action);
    }
    let legal = game.legal_actions(&state);
    ensure!(game.outcome(&state).is_none() && !legal.is_empty(), "the game is over, and there is nothing to judge");
    let Some(class) = class else { return Ok((moves, None)) };
    let named: Vec<Action> = class.keys().copied().collect();
    let legal: Vec<Action> = legal.iter().collect();
    ensure!(named == legal, "\"class\" is of the moves {named:?}, and {legal:?} are legal");
    let classes = class.into_iter().map(|(action, class)| match class {
        -1..=1 => Ok((action, Class::of_sign(class.into()))),
        _ => Err(anyhow!("the class of move {action} is {class}, and must be -1, 0 or 1")),
    });
    Ok((moves, Some(classes.collect::<Result<_, _>>()?)))
}

#[cfg(test)]
mod tests {
    use selfplay_engine::{
        games::{connect_four::ConnectFour, othello::Othello, tictactoe::TicTacToe},
        solve::SolveError,
    };

    use super::*;

    fn refused(line: &str) -> String {
        parse(&ConnectFour::default(), line).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_with_a_position_is_said() {
        assert_eq!(refused(r#"{"moves":[0,0,0,0,0,0,0]}"#), "move 6 (counted from 0) is 0, which is not legal");
        assert_eq!(refused(r#"{"moves":[7]}"#), "move 0 (counted from 0) is 7, which is not legal");
        assert_eq!(refused(r#"{"moves":[0,1,0,1,0,1,0]}"#), "the game is over, and there is nothing to judge");
        assert_eq!(refused(r#"{"moves":[0,1,0,1,0,1,0,1]}"#), "the game is over after 7 moves, and there are 8");
        assert_eq!(
            refused(r#"{"moves":[0,0,0,0,0,0],"class":{"0":1,"1":0}}"#),
            "\"class\" is of the moves [0, 1], and [1, 2, 3, 4, 5, 6] are legal"
        );
        assert_eq!(
            refused(r#"{"moves":[],"class":{"0":0,"1":0,"2":0,"3":2,"4":0,"5":0,"6":0}}"#),
            "the class of move 3 is 2, and must be -1, 0 or 1"
        );
        assert!(refused(r#"{"move":[]}"#).contains("missing field `moves`"));
    }

    #[test]
    fn random_positions_differ_are_in_range_and_follow_from_the_seed() {
        let game = ConnectFour::default();
        let plies = |seed| draw(&game, 60, &(12..=30), seed).iter().map(Vec::len).collect::<Vec<_>>();
        let found = plies(1);
        assert!(found.len() == 60 && found.iter().all(|ply| (12..=30).contains(ply)), "{found:?}");
        assert_eq!(found, plies(1));
        assert_ne!(found, plies(2));
        // Of tic-tac-toe there are three positions after one ply that are no images of each other.
        assert_eq!(draw(&TicTacToe, 20, &(1..=1), 0).len(), 3);
        assert!(draw(&TicTacToe, 20, &(10..=12), 0).is_empty());
    }

    #[test]
    fn what_is_too_early_says_which_positions_can_be_judged() {
        let game = Othello::new(8).unwrap();
        let error = too_early(&game, 3, &SolveError::TooLarge { most: 5 }).to_string();
        let begin = "failed to solve the position: more than 5 positions would have to be looked at (ply 3 of othello(size=8)): take";
        assert!(error.starts_with(begin) && error.contains("connect_four"), "{error}");
    }

    #[test]
    fn positions_are_solved_in_their_order() {
        let game = TicTacToe;
        let drawn = draw(&game, 40, &(0..=8), 3);
        let solved =
            solve(&game, drawn.iter().map(|moves| (moves.clone(), None)).collect(), 3, &Progress::new()).unwrap();
        let mut solver = game.solver();
        for (moves, solved) in drawn.iter().zip(&solved) {
            let state = played(&game, moves);
            assert_eq!((moves, Ok(solved.class())), (&solved.moves, solver.class(&state)));
            assert_eq!(solver.moves(&state).as_ref(), Ok(&solved.classes));
        }
        assert!(solved.iter().any(Solved::has_a_choice) && !solved.iter().all(Solved::has_a_choice));
    }
}
