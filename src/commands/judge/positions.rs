//! Positions whose exact worth is known: random ones that are solved, or those of a file.

use std::{
    collections::HashSet,
    fmt,
    ops::RangeInclusive,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use anyhow::{Context as _, anyhow, ensure};
use rand::RngExt as _;
use selfplay_engine::{
    Action, ActionSet as _, Game, Leaf,
    selfplay::{Purpose, ply_rng},
    solve::Class,
    testing::LONGEST,
};

use super::progress::Progress;
use crate::{
    cli::JudgeArgs,
    commands::positions::{Position, played, read},
    played::PlayedGame,
    settings::Settings,
};

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

/// Solves what is not solved yet.
fn solve<G: PlayedGame>(
    game: &G,
    positions: Vec<Position>,
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
    let solved = |place: Mutex<Position>| {
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

#[cfg(test)]
mod tests {
    use selfplay_engine::{
        games::{connect_four::ConnectFour, othello::Othello, tictactoe::TicTacToe},
        solve::SolveError,
    };

    use super::*;

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
