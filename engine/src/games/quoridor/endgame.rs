//! What every placing of the pawns is worth once no wall can follow: found backwards from the ends of games.

use super::{
    Quoridor, QuoridorState,
    board::{Cell, Geometry, Walls},
};
use crate::game::Player;

/// The result under perfect play of all placings of two pawns among fixed walls, and how soon it comes: the winner hurries, and
/// the loser delays.
pub(crate) struct Endgame {
    geometry: Geometry,
    /// By [`place`], for the mover: wins in so many plies; loses in so many where it is negative; 0 where neither side can force a
    /// win.
    plies: Vec<i16>,
}

impl Endgame {
    /// The endgame that has begun with `state`; `None` while a player has walls in hand.
    pub(crate) fn of(game: &Quoridor, state: &QuoridorState) -> Option<Self> {
        let plies = (state.walls_left == [0; 2]).then(|| solved(game, state.walls))?;
        Some(Self { geometry: game.geometry, plies })
    }

    /// In how many plies the mover wins, or loses where that is negative; 0 where neither side can force a win. Of a position of
    /// this endgame that is not over.
    pub(crate) fn plies(&self, state: &QuoridorState) -> i16 {
        self.plies[place(&self.geometry, state.mover(), state.pawns)]
    }
}

/// [`Endgame::plies`] of all placings.
fn solved(game: &Quoridor, walls: Walls) -> Vec<i16> {
    let geometry = &game.geometry;
    let mut plies = vec![0; 2 * usize::from(geometry.size).pow(4)];
    let mut graph = Graph::new(plies.len());
    // Places whose worth is known, the soonest first.
    let mut known = Vec::with_capacity(plies.len());
    for (mover, pawns) in open_placings(game) {
        let from = place(geometry, mover, pawns);
        let moves = walls.pawn_moves(geometry, pawns[mover.index()], pawns[mover.opponent().index()]);
        for to in bits(moves).map(|cell| geometry.cell(cell)) {
            if to.row == game.goal_row(mover) {
                plies[from] = 1;
                continue;
            }
            let mut after = pawns;
            after[mover.index()] = to;
            graph.add(from, place(geometry, mover.opponent(), after));
        }
        if plies[from] == 1 {
            known.push(from);
        }
    }
    let before = graph.reversed();
    let mut left = graph.moves;
    let mut next = 0;
    while let Some(&place) = known.get(next) {
        next += 1;
        for &earlier in before.of(place) {
            let earlier = usize::from(earlier);
            if plies[earlier] != 0 {
                continue;
            }
            left[earlier] -= 1;
            if plies[place] < 0 {
                plies[earlier] = 1 - plies[place];
            } else if left[earlier] == 0 {
                // All its moves lead to a win of the opponent's; the last one that was found to the latest.
                plies[earlier] = -1 - plies[place];
            } else {
                continue;
            }
            known.push(earlier);
        }
    }
    plies
}

/// Pawns on different cells, neither on its goal row, and who moves.
fn open_placings(game: &Quoridor) -> impl Iterator<Item = (Player, [Cell; 2])> {
    let cells = u32::from(game.geometry.size).pow(2);
    let open = move |player| {
        let goal = game.goal_row(player);
        (0..cells).map(|cell| game.geometry.cell(cell)).filter(move |cell| cell.row != goal)
    };
    let pairs = open(Player::First).flat_map(move |first| open(Player::Second).map(move |second| [first, second]));
    pairs.filter(|[first, second]| first != second).flat_map(|pawns| Player::BOTH.map(|mover| (mover, pawns)))
}

/// The number of a placing with this mover; below 2 · 81².
fn place(geometry: &Geometry, mover: Player, pawns: [Cell; 2]) -> usize {
    let size = usize::from(geometry.size);
    let [first, second] = pawns.map(|cell| size * usize::from(cell.row) + usize::from(cell.col));
    (mover.index() * size * size + first) * size * size + second
}

/// The numbers of the bits that are set.
fn bits(mut set: u128) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let lowest = (set != 0).then(|| set.trailing_zeros())?;
        set &= set - 1;
        Some(lowest)
    })
}

/// Moves from place to place.
struct Graph {
    edges: Vec<[u16; 2]>,
    /// Moves of each place.
    moves: Vec<u8>,
}

/// The places before each place, one after the other.
struct Before {
    places: Vec<u16>,
    /// Where those of each place begin, and at the end where the last ones end.
    starts: Vec<u32>,
}

impl Graph {
    fn new(places: usize) -> Self {
        Self { edges: Vec::with_capacity(4 * places), moves: vec![0; places] }
    }

    fn add(&mut self, from: usize, to: usize) {
        self.edges.push([from as u16, to as u16]);
        self.moves[from] += 1;
    }

    fn reversed(&self) -> Before {
        let mut starts = vec![0; self.moves.len() + 1];
        self.edges.iter().for_each(|&[_, to]| starts[usize::from(to) + 1] += 1);
        for place in 1..starts.len() {
            starts[place] += starts[place - 1];
        }
        let (mut places, mut free) = (vec![0; self.edges.len()], starts.clone());
        for &[from, to] in &self.edges {
            let free = &mut free[usize::from(to)];
            places[*free as usize] = from;
            *free += 1;
        }
        Before { places, starts }
    }
}

impl Before {
    fn of(&self, place: usize) -> &[u16] {
        &self.places[self.starts[place] as usize..self.starts[place + 1] as usize]
    }
}
