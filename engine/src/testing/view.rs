//! What the network sees: positions, turning, encodings, packing.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    hash::{BuildHasher, RandomState},
};

use super::{Broken, Law, hold, rules::Trace};
use crate::game::{Action, ActionSet, Game, Player};

/// Positions remembered at most.
const REMEMBERED: usize = 200_000;

/// Priors of actions, by which one sees where they go: the number of the action.
pub(super) fn numbers<A: ActionSet>(actions: &A) -> Vec<f32> {
    actions.iter().map(f32::from).collect()
}

/// That `image` is an involution of all actions, for both players.
pub(super) fn check_all_actions<G: Game>(game: &G) -> Result<(), Broken> {
    for player in Player::BOTH {
        for action in 0..game.policy_size() as Action {
            let turned = game.turn_action(player, action);
            let back = if usize::from(turned) < game.policy_size() { game.turn_action(player, turned) } else { turned };
            hold(Law::Turning, back == action && usize::from(turned) < game.policy_size(), &[], || {
                format!("action {action} of the {player:?} player turns to {turned}, which turns to {back}")
            })?;
        }
    }
    Ok(())
}

/// What was seen of a position when it came first.
struct Seen<G: Game> {
    /// Network frame; none where the game was over.
    legal: Option<G::Actions>,
    /// Of each encoding.
    encoded: Vec<u64>,
}

/// The input of one encoding that is written over again and again.
struct Kept<G: Game> {
    encoding: G::Encoding,
    /// The last position and its input.
    last: Option<(G::Position, Vec<f32>)>,
}

/// Checks positions and remembers them.
pub(super) struct Views<'a, G: Game> {
    game: &'a G,
    hasher: RandomState,
    seen: BTreeMap<G::Position, Seen<G>>,
    kept: Vec<Kept<G>>,
}

impl<'a, G: Game> Views<'a, G> {
    pub(super) fn new(game: &'a G) -> Result<Self, Broken> {
        let encodings = game.encodings();
        hold(Law::Encoding, !encodings.is_empty(), &[], || "there is no encoding".to_owned())?;
        for (number, &one) in encodings.iter().enumerate() {
            let shape = game.input_shape(one);
            hold(Law::Encoding, shape.iter().product::<usize>() > 0, &[], || format!("an input has shape {shape:?}"))?;
            for &other in &encodings[..number] {
                let differ = game.input_shape(other) != shape && game.encoding_name(other) != game.encoding_name(one);
                hold(Law::Encoding, differ, &[], || {
                    let names = [other, one].map(|encoding| game.encoding_name(encoding));
                    format!("encodings {names:?} have shapes {:?} and {shape:?}", game.input_shape(other))
                })?;
            }
        }
        let kept = encodings.into_iter().map(|encoding| Kept { encoding, last: None }).collect();
        Ok(Self { game, hasher: RandomState::new(), seen: BTreeMap::new(), kept })
    }

    pub(super) fn positions(&self) -> usize {
        self.seen.len()
    }

    pub(super) fn check(&mut self, trace: &Trace<G>, ply: usize) -> Result<(), Broken> {
        let (state, actions) = (&trace.states[ply], trace.before(ply));
        let position = self.game.position(state);
        let mut legal = None;
        if let Some(in_game_frame) = trace.legal.get(ply) {
            let mover = self.game.side_to_move(state);
            legal = Some(self.check_turn(mover, in_game_frame, actions)?);
        }
        let mut encoded = Vec::new();
        for number in 0..self.kept.len() {
            encoded.push(self.check_encoding(number, &position, actions)?);
        }
        self.remember(position, Seen { legal, encoded }, actions)
    }

    /// The legal actions in the network frame.
    fn check_turn(&self, mover: Player, legal: &G::Actions, actions: &[Action]) -> Result<G::Actions, Broken> {
        let turn = |action| self.game.turn_action(mover, action);
        let (turned, one_by_one) = (self.game.turn_actions(mover, legal), legal.map(turn));
        hold(Law::Turning, turned == one_by_one, actions, || {
            format!("legal actions turn to {turned:?} together and to {one_by_one:?} one by one")
        })?;
        // As prior of an action, its number in the game frame.
        let mut priors: Vec<f32> = turned.iter().map(|action| f32::from(turn(action))).collect();
        self.game.turn_priors(mover, legal, &mut priors);
        hold(Law::Turning, priors == numbers(legal), actions, || {
            format!("priors of actions {:?} are turned to the order of {priors:?}", numbers(legal))
        })?;
        Ok(turned)
    }

    /// A sum over the network input.
    fn check_encoding(&mut self, number: usize, position: &G::Position, actions: &[Action]) -> Result<u64, Broken> {
        let game = self.game;
        let Kept { encoding, last } = &mut self.kept[number];
        let name = game.encoding_name(*encoding);
        let length = game.input_shape(*encoding).iter().product();
        let written = [f32::NAN, 0.0, 7.0].map(|before| {
            let mut out = vec![before; length];
            game.encode(*encoding, position, &mut out);
            out
        });
        let [out, others @ ..] = &written;
        let finite = out.iter().all(|entry| entry.is_finite());
        hold(Law::Encoding, finite && others.iter().all(|other| other == out), actions, || {
            let place = (0..length).find(|&at| !out[at].is_finite() || others.iter().any(|other| other[at] != out[at]));
            format!("encoding {name} leaves something, or what is no number, at place {place:?} of {length}")
        })?;
        if let Some((before, input)) = last {
            game.encode_over(*encoding, before, position, input);
            hold(Law::Encoding, input == out, actions, || {
                format!("encoding {name} written over {before:?} differs from the same written anew")
            })?;
        }
        *last = Some((*position, out.clone()));
        if let Some(packing) = game.packing(*encoding) {
            let unpacked = [0x00, 0xff].map(|before| {
                let (mut packed, mut unpacked) = (vec![before; packing.bytes], vec![f32::NAN; length]);
                game.pack(*encoding, position, &mut packed);
                packing.unpack(&packed, &mut unpacked);
                unpacked
            });
            hold(Law::Packing, unpacked.iter().all(|unpacked| unpacked == out), actions, || {
                format!("encoding {name} unpacks to other numbers than those encoded")
            })?;
        }
        let bits: Vec<u32> = out.iter().map(|entry| entry.to_bits()).collect();
        Ok(self.hasher.hash_one(bits))
    }

    fn remember(&mut self, position: G::Position, new: Seen<G>, actions: &[Action]) -> Result<(), Broken> {
        let full = self.seen.len() >= REMEMBERED;
        let old = match self.seen.entry(position) {
            Entry::Vacant(place) if !full => {
                place.insert(new);
                return Ok(());
            }
            Entry::Vacant(_) => return Ok(()),
            Entry::Occupied(old) => old,
        };
        let equal = *old.key() == position && self.hasher.hash_one(old.key()) == self.hasher.hash_one(position);
        hold(Law::Position, equal, actions, || {
            format!("{:?} and {position:?} are equal in order, and differ in themselves or in their hashes", old.key())
        })?;
        let old = old.get();
        // A game may be over by what no network sees, such as the step limit.
        let same = old.legal.zip(new.legal).is_none_or(|(old, new)| old == new);
        hold(Law::Position, same, actions, || {
            let (before, now) = (old.legal, new.legal);
            format!("position {position:?} came before with legal actions {before:?}, now with {now:?}")
        })?;
        hold(Law::Position, old.encoded == new.encoded, actions, || {
            format!("position {position:?} came before and was encoded otherwise")
        })
    }
}
