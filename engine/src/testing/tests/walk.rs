//! A game that looks back: whoever moves may not return to the cell that he came from, so that the position must hold it.

use crate::game::{Action, ActionBits, ActionSet, Draw, Game, Outcome, Player};

/// Cells of the ring.
const RING: u8 = 7;
/// A cell that was never left.
const NOWHERE: u8 = u8::MAX;

/// Two pawns on a ring of seven cells, one or two steps a move, never back to where the pawn came from and never onto the other
/// one. Who lands on the cell that the opponent has just left wins. Action: the cell to go to, so that nothing is turned.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// Leave out of the position what the rules look back at.
    pub(super) forgets: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pawns: [u8; 2],
    left: [u8; 2],
    ply: u32,
}

/// The mover's cell, the opponent's, the cell the mover came from, the one the opponent came from.
pub(super) type View = [u8; 4];

impl Walk {
    pub(super) fn image_of_start(&self, symmetry: usize) -> State {
        let start = self.start();
        State { pawns: start.pawns.map(|cell| self.transform_action(symmetry, cell.into()) as u8), ..start }
    }
}

impl Game for Walk {
    type State = State;
    type Position = View;
    type Actions = ActionBits<1>;
    type Encoding = ();

    fn start(&self) -> State {
        State { pawns: [0, 3], left: [NOWHERE; 2], ply: 0 }
    }
    fn policy_size(&self) -> usize {
        usize::from(RING)
    }
    fn ply(&self, state: &State) -> u32 {
        state.ply
    }
    fn outcome(&self, state: &State) -> Option<Outcome> {
        let mover = Player::at_ply(state.ply);
        let opponent = mover.opponent();
        if state.pawns[opponent.index()] == state.left[mover.index()] {
            return Some(Outcome::Win(opponent));
        }
        (state.ply >= 16).then_some(Outcome::Draw(Draw::StepLimit))
    }
    fn legal_actions(&self, state: &State) -> ActionBits<1> {
        let mover = Player::at_ply(state.ply);
        let (own, other) = (state.pawns[mover.index()], state.pawns[mover.opponent().index()]);
        let mut legal = ActionBits::default();
        for step in [1, 2, RING - 2, RING - 1] {
            let to = (own + step) % RING;
            if to != other && to != state.left[mover.index()] {
                legal.insert(to.into());
            }
        }
        legal
    }
    fn play(&self, state: &mut State, action: Action) {
        let mover = Player::at_ply(state.ply).index();
        state.left[mover] = state.pawns[mover];
        state.pawns[mover] = action as u8;
        state.ply += 1;
    }

    fn position(&self, state: &State) -> View {
        let mover = Player::at_ply(state.ply);
        let [own, other] = [mover, mover.opponent()].map(Player::index);
        let view = [state.pawns[own], state.pawns[other], state.left[own], state.left[other]];
        if self.forgets { [view[0], view[1], NOWHERE, NOWHERE] } else { view }
    }
    fn input_shape(&self, (): ()) -> Vec<usize> {
        vec![4, usize::from(RING)]
    }
    fn encode(&self, (): (), position: &View, out: &mut [f32]) {
        for (plane, cell) in out.chunks_exact_mut(usize::from(RING)).zip(position) {
            plane.fill(0.0);
            if let Some(entry) = plane.get_mut(usize::from(*cell)) {
                *entry = 1.0;
            }
        }
    }

    /// The ring can be turned by any number of cells and mirrored.
    fn symmetries(&self) -> usize {
        2 * usize::from(RING)
    }
    fn transform(&self, symmetry: usize, position: &View) -> View {
        position.map(|cell| if cell == NOWHERE { cell } else { self.transform_action(symmetry, cell.into()) as u8 })
    }
    fn transform_entry(&self, (): (), symmetry: usize, entry: usize) -> usize {
        let cell = entry % usize::from(RING);
        entry - cell + usize::from(self.transform_action(symmetry, cell as Action))
    }
    fn transform_action(&self, symmetry: usize, action: Action) -> Action {
        let (turn, ring) = ((symmetry / 2) as Action, Action::from(RING));
        if symmetry.is_multiple_of(2) { (action + turn) % ring } else { (ring - action + turn) % ring }
    }
}
