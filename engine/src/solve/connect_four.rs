//! Connect Four, solved: alpha-beta on bitboards, with a table of positions seen and moves in the order of the threats they make.
//!
//! The search is the one of Pascal Pons ("Solving Connect 4: how to build a perfect AI", 2015–2019): a position's *score* is
//! above 0 when the mover wins, and the larger the sooner; moves that lose at once are never looked at. Boards and line lengths
//! are those of [`ConnectFour`].

use super::{Class, SolveError, Solver, outcome};
use crate::{
    evaluation::mix,
    game::{Game, Outcome},
    games::connect_four::{ConnectFour, ConnectFourStones, FIRST_COLUMN, ROW, STEPS},
};

/// More columns no board has.
const MOST_COLUMNS: usize = 8;

/// A solver of one board. It keeps what it learns from position to position: related positions are faster together.
#[derive(Clone, Debug)]
pub struct ConnectFourSolver {
    game: ConnectFour,
    /// Cells of the board, and their number.
    cells: u64,
    count: i32,
    /// Columns from the middle outwards.
    columns: Vec<u64>,
    table: Vec<Entry>,
    /// Positions looked at for the question at hand, and the most there may be.
    nodes: u64,
    most_nodes: u64,
}

/// What is known of one position: its key, and the least and the most that its score can be. The key 0 no position has.
///
/// A tuple, since a table of zeros is then taken from the system as it is used.
type Entry = (Key, i8, i8);

/// See [`ConnectFourSolver::key`].
type Key = (u64, u8);

/// Too many nodes.
struct Stopped;

impl ConnectFourSolver {
    /// Entries of the table: 32 MiB.
    const TABLE: usize = 1 << 21;

    /// A solver of `game`, which gives up on a position after `most_nodes` nodes. Half of the positions at ply 12 of the usual
    /// board are solved in 2 ms (on a busy core), one in ten takes more than 0.3 s; the empty board takes very long.
    #[must_use]
    pub fn new(game: ConnectFour, most_nodes: u64) -> Self {
        Self::with_table(game, most_nodes, Self::TABLE)
    }

    /// The same with a table of so many entries, 16 bytes each: a smaller one is sooner made, and serves short searches as well.
    #[must_use]
    pub fn with_table(game: ConnectFour, most_nodes: u64, entries: usize) -> Self {
        let [rows, columns] = game.sides().map(usize::from);
        let cells = (0..rows).fold(0, |cells, row| cells | ((1 << columns) - 1) << (ROW as usize * row));
        let mut order: Vec<_> = (0..columns).collect();
        order.sort_by_key(|&column| (2 * column + 1).abs_diff(columns));
        Self {
            game,
            cells,
            count: (rows * columns) as i32,
            columns: order.into_iter().map(|column| FIRST_COLUMN << column).collect(),
            table: vec![((0, 0), 0, 0); entries.max(1)],
            nodes: 0,
            most_nodes,
        }
    }

    /// The position's score for its mover, which is not only a class but tells how soon the game ends: see
    /// [`ConnectFourSolver::plies_left`]. This takes some times as long as [`Solver::class`].
    ///
    /// # Errors
    /// When that takes more nodes than allowed.
    pub fn score(&mut self, state: &ConnectFourStones) -> Result<i32, SolveError> {
        if let Some(score) = self.at_once(state) {
            return Ok(score);
        }
        // Halves the range of scores again and again, the near ones first, as they are found sooner.
        let left = self.count - self.stones(state);
        let (mut low, mut high) = (-(left / 2), (left + 1) / 2);
        while low < high {
            let mut middle = low + (high - low) / 2;
            if middle <= 0 && low / 2 < middle {
                middle = low / 2;
            } else if middle >= 0 && high / 2 > middle {
                middle = high / 2;
            }
            let score = self.search(state, middle, middle + 1)?;
            if score <= middle {
                high = score;
            } else {
                low = score;
            }
        }
        Ok(low)
    }

    /// Plies until the game ends under perfect play, where the winner hurries and the loser delays.
    ///
    /// # Errors
    /// When that takes more nodes than allowed.
    pub fn plies_left(&mut self, state: &ConnectFourStones) -> Result<u32, SolveError> {
        if outcome(&self.game, state).is_some() {
            return Ok(0);
        }
        let score = self.score(state)?;
        let left = self.count - self.stones(state);
        // The winner's last stone is the mover's, at an odd ply from here, or the opponent's, at an even one.
        Ok(match Class::of_sign(score) {
            Class::Win => (left + 2 - 2 * score - 1) | 1,
            Class::Loss => (left + 2 + 2 * score) & !1,
            Class::Draw => left,
        } as u32)
    }

    /// Positions looked at for the last question.
    #[must_use]
    pub const fn nodes(&self) -> u64 {
        self.nodes
    }

    fn stones(&self, state: &ConnectFourStones) -> i32 {
        self.game.ply(state) as i32
    }

    /// The score of a position that needs no search: the game is over, or the mover has a stone that wins.
    fn at_once(&self, state: &ConnectFourStones) -> Option<i32> {
        match self.game.outcome(state) {
            // Whoever won, it was not the one to move.
            Some(Outcome::Win(_)) => return Some(-((self.count - self.stones(state)) / 2 + 1)),
            Some(Outcome::Draw(_)) => return Some(0),
            None => {}
        }
        let [mine, theirs] = self.game.position(state).players();
        let wins = self.winning_cells(mine, mine | theirs) & self.open_cells(mine | theirs);
        (wins != 0).then(|| (self.count + 1 - self.stones(state)) / 2)
    }

    /// The score if it lies between `alpha` and `beta`, else a bound of it on that side.
    fn search(&mut self, state: &ConnectFourStones, alpha: i32, beta: i32) -> Result<i32, SolveError> {
        let [mine, theirs] = self.game.position(state).players();
        self.nodes = 0;
        self.negamax(mine, theirs, alpha, beta).map_err(|Stopped| SolveError::TooLarge { most: self.most_nodes })
    }

    /// [`ConnectFourSolver::search`] for stones of the mover and of the opponent. The mover must not have a stone that wins.
    fn negamax(&mut self, mine: u64, theirs: u64, mut alpha: i32, mut beta: i32) -> Result<i32, Stopped> {
        self.nodes += 1;
        if self.nodes > self.most_nodes {
            return Err(Stopped);
        }
        let all = mine | theirs;
        let left = self.count - all.count_ones() as i32;
        let moves = self.sound_moves(theirs, all);
        if moves == 0 {
            return Ok(-(left / 2)); // The opponent's next stone wins, or there is no cell left.
        }
        if left <= 2 {
            return Ok(0);
        }
        let key = self.key(mine, all);
        let place = (mix(key.0 ^ u64::from(key.1)) as usize) % self.table.len();
        let (its, low, high) = self.table[place];
        // Neither side wins with its next stone.
        let bounds = if its == key { (low.into(), high.into()) } else { (-((left - 2) / 2), (left - 1) / 2) };
        (alpha, beta) = (alpha.max(bounds.0), beta.min(bounds.1));
        if alpha >= beta {
            return Ok(if bounds.0 >= beta { bounds.0 } else { bounds.1 });
        }
        let (mut best, start) = (i32::MIN, alpha);
        for stone in self.ordered(moves, mine, all).into_iter().take_while(|&stone| stone != 0) {
            let score = -self.negamax(theirs, mine | stone, -beta, -alpha)?;
            best = best.max(score);
            alpha = alpha.max(score);
            if alpha >= beta {
                break;
            }
        }
        // `best` bounds the score from above unless it was cut off, and from below unless no move reached the window.
        let low = if best > start { best.max(bounds.0) } else { bounds.0 };
        let high = if best < beta { best.min(bounds.1) } else { bounds.1 };
        self.table[place] = (key, low as i8, high as i8);
        Ok(best)
    }

    /// Moves after which the opponent cannot win at once: none when it wins whatever is played.
    fn sound_moves(&self, theirs: u64, all: u64) -> u64 {
        let open = self.open_cells(all);
        let danger = self.winning_cells(theirs, all);
        let forced = open & danger;
        let moves = match forced.count_ones() {
            0 => open,
            1 => forced,
            _ => return 0,
        };
        // Not below a cell that wins for the opponent.
        moves & !(danger >> ROW)
    }

    /// The moves by the number of cells that then win for the mover, the most first, then from the middle outwards; 0 after the
    /// last.
    fn ordered(&self, moves: u64, mine: u64, all: u64) -> [u64; MOST_COLUMNS] {
        let mut ordered = [0; MOST_COLUMNS];
        let mut threats = [0; MOST_COLUMNS];
        let stones = self.columns.iter().map(|column| moves & column).filter(|&stone| stone != 0);
        for (count, stone) in stones.enumerate() {
            let its = self.winning_cells(mine | stone, all | stone).count_ones();
            let mut place = count;
            while place > 0 && threats[place - 1] < its {
                ordered[place] = ordered[place - 1];
                threats[place] = threats[place - 1];
                place -= 1;
            }
            ordered[place] = stone;
            threats[place] = its;
        }
        ordered
    }

    /// Cells where the next stone of a column comes to lie.
    const fn open_cells(&self, all: u64) -> u64 {
        const LOWEST_ROW: u64 = (1 << ROW) - 1;
        (all << ROW | LOWEST_ROW) & !all & self.cells
    }

    /// Empty cells that would complete a line of these stones, whether one can play there yet or not.
    fn winning_cells(&self, stones: u64, all: u64) -> u64 {
        // The usual length as a constant, so that the loops of it become straight code.
        let wins = match self.game.length() {
            4 => winning_cells(stones, 4),
            length => winning_cells(stones, usize::from(length)),
        };
        wins & self.cells & !all
    }

    /// What tells a position from all others of this board: the mover's stones with the open cell of every column on top, and
    /// the columns that have none.
    const fn key(&self, mine: u64, all: u64) -> Key {
        let top = ROW * (self.game.sides()[0] as u32 - 1);
        (mine | self.open_cells(all), (all >> top) as u8)
    }
}

/// Cells that would complete a line of `length` stones, on a board without borders but left and right, occupied or not.
#[inline(always)]
fn winning_cells(stones: u64, length: usize) -> u64 {
    let mut wins = 0;
    for (step, mask, back_mask) in STEPS {
        // Cells with at least so many stones in a row right before and right after them.
        let (mut before, mut after) = ([!0_u64; MOST_COLUMNS], [!0_u64; MOST_COLUMNS]);
        for run in 1..length {
            before[run] = (before[run - 1] & stones) << step & mask;
            after[run] = (after[run - 1] & stones) >> step & back_mask;
        }
        for run in 0..length {
            wins |= before[run] & after[length - 1 - run];
        }
    }
    wins
}

impl Solver<ConnectFour> for ConnectFourSolver {
    fn class(&mut self, state: &ConnectFourStones) -> Result<Class, SolveError> {
        let score = match self.at_once(state) {
            Some(score) => score,
            None => self.search(state, -1, 1)?,
        };
        Ok(Class::of_sign(score))
    }

    fn game(&self) -> &ConnectFour {
        &self.game
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Action, ActionSet, solve::Exhaustive};

    /// Plays the columns that are possible, until the game is over.
    fn play(game: &ConnectFour, columns: &[Action]) -> ConnectFourStones {
        let mut state = game.start();
        for &column in columns {
            let column = column % Action::from(game.sides()[1]);
            let mut next = state;
            if game.legal_actions(&state).contains(column) {
                game.play(&mut next, column);
            }
            if game.outcome(&next).is_none() {
                state = next;
            }
        }
        state
    }

    /// Plies left under perfect play, by trying everything.
    fn plies_left(game: &ConnectFour, state: ConnectFourStones, class: Class, solver: &mut ConnectFourSolver) -> u32 {
        if game.outcome(&state).is_some() {
            return 0;
        }
        let mut plies = Vec::new();
        for column in game.legal_actions(&state).iter() {
            let mut next = state;
            game.play(&mut next, column);
            if solver.class(&next).unwrap() == -class {
                plies.push(1 + plies_left(game, next, -class, solver));
            }
        }
        let best = if class == Class::Win { plies.iter().min() } else { plies.iter().max() };
        *best.unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// Every shape of board and every length of line, borders included, against a search that knows nothing but the rules.
        #[test]
        fn small_boards_and_endings_are_as_exhaustive_search_has_them(
            [rows, columns, length] in [2_u32..=8, 2_u32..=8, 2_u32..=8],
            moves in prop::collection::vec(0_u16..8, 128),
        ) {
            let Ok(game) = ConnectFour::new(rows, columns, length) else { return Ok(()) };
            let mut state = game.start();
            for played in 0..moves.len() {
                state = play(&game, &moves[..played]);
                if rows * columns - game.ply(&state) <= 8 {
                    break;
                }
            }
            let (mut solver, mut slow) = (ConnectFourSolver::new(game, 1 << 20), Exhaustive::new(game, 1 << 16));
            let Ok(class) = slow.class(&state) else { return Ok(()) };
            prop_assert_eq!(solver.class(&state), Ok(class));
            prop_assert_eq!(solver.moves(&state), slow.moves(&state));
            prop_assert_eq!(Class::of_sign(solver.score(&state).unwrap()), class);
            prop_assert_eq!(solver.plies_left(&state), Ok(plies_left(&game, state, class, &mut solver.clone())));
        }
    }

    #[test]
    fn a_finished_game_has_its_outcome_and_no_moves() {
        let game = ConnectFour::default();
        let mut solver = ConnectFourSolver::new(game, 0);
        let mut won = game.start();
        [0, 0, 1, 1, 2, 2, 3].into_iter().for_each(|column| game.play(&mut won, column));
        assert_eq!(solver.class(&won), Ok(Class::Loss));
        assert_eq!((solver.moves(&won), solver.plies_left(&won)), (Ok(Vec::new()), Ok(0)));
    }

    #[test]
    fn a_solver_gives_up_when_it_is_told_to_and_can_go_on() {
        let game = ConnectFour::default();
        let mut solver = ConnectFourSolver::new(game, 100);
        let error = solver.class(&game.start()).unwrap_err();
        assert_eq!(error.to_string(), "solve the position: more than 100 positions would have to be looked at");
        let nearly_won = play(&game, &[3, 0, 3, 0, 3, 0]);
        assert_eq!((solver.class(&nearly_won), solver.plies_left(&nearly_won)), (Ok(Class::Win), Ok(1)));
    }
}
