//! Which walls would cut a pawn off from its goal row, for all walls at once and without a search.
//!
//! # Method
//!
//! The corners of cells are the *posts* of a lattice. A wall covers two lattice edges: from its one end to its middle and on
//! to its other end. The inner posts are the middles of the anchors, so a set of them is a `u64` like any set of anchors.
//! By planar duality a pawn is cut off exactly if walls and border close a curve round it or round its goal. For player p the
//! border on three sides counts as one post, and the posts of the border behind p's goal row stay apart: to pass between
//! them is what p wants.
//!
//! - *Labels.* Posts joined by walls have the same label, so that a new wall closes a curve if its three posts (end, middle,
//!   end) share labels. Labels are bit-sliced, five planes of one bit a post, which compares all posts with their neighbours
//!   in a few word operations. Label 0 is a post of its own, or one of the border's component for both players. Who reaches
//!   the border is one more board per player.
//! - *Chains.* For each player, an open way from the pawn to the goal row, kept as the set of lattice edges that it crosses an
//!   odd number of times. It need be neither short nor simple. It crosses a closed curve an odd number of times exactly if
//!   the curve cuts the pawn off.
//!
//! So a wall from a over m to b, with a ~ m for "in one component", cuts the pawn off if and only if
//! `a ~ m and am is crossed`, or `m ~ b and mb is crossed`, or `a ~ b and one of the two is crossed`.
//!
//! A new wall on a chain needs no search either. To cross every edge between a set S of posts and the others once more takes
//! the chain round S and back: it leaves from pawn to goal, and if S consists of whole components, no standing wall is in the
//! way. Which of the wall's posts S must hold follows from which halves are crossed; that there is an answer is what the
//! legality of the wall means.

use super::board::{Cell, Geometry, Orientation, ROW, Walls};
use crate::game::Player;

/// Bits of a label. A component with a label has at least two inner posts of its own; at most 16 have just two (those that
/// hang from the upper or lower border) and the others three or more, so that 26 is the most that fit among 64 posts.
const LABEL_BITS: usize = 5;

/// Components of the posts, and a way to the goal for each player. Starts with no walls and follows every ply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paths {
    labels: [u64; LABEL_BITS],
    players: [PlayerPaths; 2],
    /// Bit l: label l is in use. Bit 0 is always set.
    used: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PlayerPaths {
    /// Inner posts joined to the border on the three sides that are not the player's goal.
    border: u64,
    chain: Chain,
}

/// A set of lattice edges: those from an inner post to its upper, lower, left and right neighbour, by inner post. An edge
/// between two inner posts is kept twice, under either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Chain {
    up: u64,
    down: u64,
    left: u64,
    right: u64,
}

/// A post of a new wall.
#[derive(Clone, Copy)]
enum Post {
    Inner(u64),
    /// On the border behind the goal row of this player; for the other player part of the border.
    Goal(Player),
    /// On the left or right border.
    Side,
}

/// A wall about to be placed: its posts from above or left, and the component that each of them belongs to so far.
struct NewWall {
    posts: [Post; 3],
    /// Labels of the components, 0 for none.
    labels: [u32; 3],
    /// Inner posts of the components.
    components: [u64; 3],
}

impl Chain {
    /// Adds or removes the edge between two neighbouring cells.
    fn cross(&mut self, geometry: &Geometry, from: Cell, to: Cell) {
        let (row, col) = (from.row.min(to.row), from.col.min(to.col));
        let below_right = geometry.anchor_bit(row, col);
        if from.row == to.row {
            self.up ^= below_right;
            self.down ^= geometry.anchor_bit(row.wrapping_sub(1), col);
        } else {
            self.left ^= below_right;
            self.right ^= geometry.anchor_bit(row, col.wrapping_sub(1));
        }
    }

    /// Adds or removes all edges with one end in a set of inner posts.
    ///
    /// A goal post that belongs with the set is left out, which does not matter: its only edge inwards lies under the wall that
    /// joins it, and that place is taken.
    fn cross_around(&mut self, geometry: &Geometry, posts: u64) {
        self.up ^= (posts ^ posts << ROW) & geometry.anchors;
        self.down ^= posts ^ posts >> ROW;
        self.left ^= (posts ^ (posts << 1 & !geometry.left)) & geometry.anchors;
        self.right ^= posts ^ (posts >> 1 & !geometry.right);
    }
}

impl Paths {
    /// Context of a board without walls.
    pub(super) fn without_walls(geometry: &Geometry, pawns: [Cell; 2]) -> Self {
        let mut players = [PlayerPaths::default(); 2];
        for (player, pawn) in [Player::First, Player::Second].into_iter().zip(pawns) {
            let chain = &mut players[player.index()].chain;
            let rows = match player {
                Player::First => pawn.row..geometry.size - 1,
                Player::Second => 0..pawn.row,
            };
            for row in rows {
                chain.cross(geometry, Cell { row, ..pawn }, Cell { row: row + 1, ..pawn });
            }
        }
        Self { labels: [0; LABEL_BITS], players, used: 1 }
    }

    /// Walls that would cut a pawn off from its goal row. Says nothing useful of those that overlap or cross others.
    pub(super) fn blocking_walls(&self, geometry: &Geometry) -> Walls {
        let Geometry { top, bottom, left, right, .. } = *geometry;
        let mut labelled = 0;
        let (mut differ_up, mut differ_left, mut differ_ends_v, mut differ_ends_h) = (0, 0, 0, 0);
        for plane in self.labels {
            labelled |= plane;
            differ_up |= plane ^ plane << ROW;
            differ_left |= plane ^ plane << 1;
            differ_ends_v |= plane << ROW ^ plane >> ROW;
            differ_ends_h |= plane << 1 ^ plane >> 1;
        }
        // Beyond the upper and lower border all planes are 0, which differs from every label. Beyond the left and right border
        // lies the neighbouring row.
        let same_up = labelled & !differ_up;
        let same_down = same_up >> ROW;
        let same_left = labelled & !differ_left & !left;
        let same_right = same_left >> 1;
        let same_ends_v = labelled << ROW & !differ_ends_v;
        let same_ends_h = labelled << 1 & !differ_ends_h & !left & !right;

        let mut blocking = Walls::default();
        let goal_borders = [(top, 0), (0, bottom)];
        for (PlayerPaths { border, chain }, (border_above, border_below)) in self.players.into_iter().zip(goal_borders)
        {
            let up = border << ROW | border_above;
            let down = border >> ROW | border_below;
            blocking.vertical |= ((same_up | up & border) & chain.up)
                | ((same_down | down & border) & chain.down)
                | ((same_ends_v | up & down) & (chain.up ^ chain.down));
            let left = border << 1 | left;
            let right = border >> 1 | right;
            blocking.horizontal |= ((same_left | left & border) & chain.left)
                | ((same_right | right & border) & chain.right)
                | ((same_ends_h | left & right) & (chain.left ^ chain.right));
        }
        blocking
    }

    /// Follows a pawn's step, or its jump by way of the opponent's cell.
    pub(super) fn move_pawn(&mut self, geometry: &Geometry, mover: Player, from: Cell, opponent: Cell, to: Cell) {
        let chain = &mut self.players[mover.index()].chain;
        if from.row.abs_diff(to.row) + from.col.abs_diff(to.col) == 1 {
            chain.cross(geometry, from, to);
        } else {
            chain.cross(geometry, from, opponent);
            chain.cross(geometry, opponent, to);
        }
    }

    /// Follows the placing of a legal wall.
    pub(super) fn place_wall(&mut self, geometry: &Geometry, orientation: Orientation, anchor: Cell) {
        let middle = geometry.anchor_bit(anchor.row, anchor.col);
        let [before, after] = match orientation {
            Orientation::Vertical => [
                if middle & geometry.top != 0 { Post::Goal(Player::Second) } else { Post::Inner(middle >> ROW) },
                if middle & geometry.bottom != 0 { Post::Goal(Player::First) } else { Post::Inner(middle << ROW) },
            ],
            Orientation::Horizontal => [
                if middle & geometry.left != 0 { Post::Side } else { Post::Inner(middle >> 1) },
                if middle & geometry.right != 0 { Post::Side } else { Post::Inner(middle << 1) },
            ],
        };
        let posts = [before, Post::Inner(middle), after];
        let wall = NewWall {
            posts,
            labels: posts.map(|post| self.label(post)),
            components: posts.map(|post| self.component(post)),
        };
        for player in [Player::First, Player::Second] {
            let Chain { up, down, left, right } = self.players[player.index()].chain;
            let crossed = match orientation {
                Orientation::Vertical => [up & middle != 0, down & middle != 0],
                Orientation::Horizontal => [left & middle != 0, right & middle != 0],
            };
            if crossed != [false; 2] {
                self.clear_chain(geometry, player, &wall, crossed);
            }
        }
        self.join(&wall);
    }

    /// Takes the chain of `player` off a new wall. `crossed`: whether it crosses the wall's first and second half.
    fn clear_chain(&mut self, geometry: &Geometry, player: Player, wall: &NewWall, crossed: [bool; 2]) {
        // A crossed half must have one end inside the set, the other half both or none; the border is outside for good.
        let [before, _, after] = wall.posts.map(|post| self.at_border(player, post));
        let middle_inside = crossed[0] && before || crossed[1] && after;
        let inside = [middle_inside ^ crossed[0], middle_inside, middle_inside ^ crossed[1]];
        let set = wall.components.into_iter().zip(inside).fold(
            0,
            |set, (component, inside)| {
                if inside { set | component } else { set }
            },
        );
        self.players[player.index()].chain.cross_around(geometry, set);
    }

    /// Makes one component of those that a new wall joins.
    fn join(&mut self, wall: &NewWall) {
        let joined = wall.components[0] | wall.components[1] | wall.components[2];
        for player in [Player::First, Player::Second] {
            if wall.posts.into_iter().any(|post| self.at_border(player, post)) {
                self.players[player.index()].border |= joined;
            }
        }
        for label in wall.labels {
            self.used &= !(1 << label) | 1;
        }
        let label = if self.players[0].border & self.players[1].border & joined != 0 {
            0
        } else {
            // One that has just come free, or else a new one.
            let label = self.used.trailing_ones();
            debug_assert!(label < 1 << LABEL_BITS, "more components than posts allow");
            self.used |= 1 << label;
            label
        };
        for (bit, plane) in self.labels.iter_mut().enumerate() {
            *plane &= !joined;
            if label >> bit & 1 == 1 {
                *plane |= joined;
            }
        }
    }

    fn label(&self, post: Post) -> u32 {
        let Post::Inner(post) = post else { return 0 };
        self.labels.iter().enumerate().fold(0, |label, (bit, plane)| label | u32::from(plane & post != 0) << bit)
    }

    /// Inner posts of a post's component: those with its label, or itself alone if it has none.
    fn component(&self, post: Post) -> u64 {
        let Post::Inner(post) = post else { return 0 };
        let mut members = u64::MAX;
        let mut labelled = false;
        for plane in self.labels {
            let set = plane & post != 0;
            labelled |= set;
            members &= if set { plane } else { !plane };
        }
        if labelled { members } else { post }
    }

    /// Whether a post is joined to the three sides of the border that are not the goal of `player`.
    fn at_border(&self, player: Player, post: Post) -> bool {
        match post {
            Post::Inner(post) => self.players[player.index()].border & post != 0,
            Post::Goal(owner) => owner != player,
            Post::Side => true,
        }
    }
}
