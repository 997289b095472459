//! Random games, and that nothing but their actions decides them.

use std::cmp::Ordering;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Broken, LONGEST, Law, hold};
use crate::game::{Action, ActionSet, Draw, Game, Outcome, Player};

/// A random game.
pub(super) struct Trace<G: Game> {
    /// The states before each action and the last one.
    pub(super) states: Vec<G::State>,
    /// Legal actions of the states that go on.
    pub(super) legal: Vec<G::Actions>,
    pub(super) actions: Vec<Action>,
    /// How it ended, if it did.
    pub(super) outcome: Option<Outcome>,
}

impl<G: Game> Trace<G> {
    /// The actions that lead to state `ply`.
    pub(super) fn before(&self, ply: usize) -> &[Action] {
        &self.actions[..ply]
    }
}

/// Plays at random from `start`.
pub(super) fn playout<G: Game>(game: &G, start: G::State, rng: &mut ChaCha8Rng) -> Result<Trace<G>, Broken> {
    let mut trace = Trace { states: vec![start], legal: Vec::new(), actions: Vec::new(), outcome: None };
    let first = game.ply(&trace.states[0]);
    hold(Law::Start, first == 0 && game.outcome(&trace.states[0]).is_none(), &[], || {
        format!("it begins at ply {first}, and its result is {:?}", game.outcome(&trace.states[0]))
    })?;
    while trace.outcome.is_none() && trace.actions.len() < LONGEST {
        let state = &trace.states[trace.actions.len()];
        let legal = game.legal_actions(state);
        check_set(game, &legal, &trace.actions)?;
        if legal.is_empty() {
            trace.outcome = Some(Outcome::Draw(Draw::NoLegalAction));
            break;
        }
        let action = legal.nth(rng.random_range(0..legal.len()));
        let (mut next, ply) = (state.clone(), game.ply(state));
        game.play(&mut next, action);
        trace.legal.push(legal);
        trace.actions.push(action);
        let (now, mover) = (game.ply(&next), game.side_to_move(&next));
        hold(Law::Turns, now == ply + 1 && mover == Player::at_ply(now), &trace.actions, || {
            format!("the last action leads from ply {ply} to ply {now}, where the {mover:?} player moves")
        })?;
        trace.outcome = game.outcome(&next);
        for _ in 0..2 {
            let again = game.outcome(&next.clone());
            hold(Law::Outcome, again == trace.outcome, &trace.actions, || {
                format!("the result is {:?} and then {again:?}", trace.outcome)
            })?;
        }
        trace.states.push(next);
    }
    Ok(trace)
}

/// That a set is what its trait says.
fn check_set<G: Game>(game: &G, legal: &G::Actions, actions: &[Action]) -> Result<(), Broken> {
    let members: Vec<Action> = legal.iter().collect();
    let ascending = members.is_sorted_by(|a, b| a < b);
    let known = members.iter().all(|&action| usize::from(action) < game.policy_size());
    let ranked = members
        .iter()
        .enumerate()
        .all(|(rank, &action)| legal.contains(action) && legal.nth(rank) == action && legal.rank(action) == rank);
    let size = legal.len() == members.len() && legal.is_empty() == members.is_empty();
    hold(Law::LegalActions, ascending && known && ranked && size, actions, || {
        let (len, policy_size) = (legal.len(), game.policy_size());
        format!("the legal actions are {members:?} of {len}, and the policy has {policy_size}")
    })
}

/// Plays the same actions again, on another copy of the rules and one state all along, and looks at every state of the first time
/// again.
pub(super) fn check_again<G: Game>(game: &G, trace: &Trace<G>) -> Result<(), Broken> {
    let again = game.clone();
    let mut state = again.start();
    for (ply, (before, legal)) in trace.states.iter().zip(&trace.legal).enumerate() {
        let actions = trace.before(ply);
        let seen = |game: &G, state: &G::State| (game.ply(state), game.outcome(state), game.position(state));
        let (first, second) = (seen(game, before), seen(&again, &state));
        hold(Law::Determinism, first == second, actions, || format!("{first:?} the first time, then {second:?}"))?;
        hold(Law::Position, first.2.cmp(&second.2) == Ordering::Equal, actions, || {
            format!("{:?} equals itself and comes before or after itself in order", first.2)
        })?;
        let (first, second) = (game.legal_actions(before), again.legal_actions(&state));
        hold(Law::Determinism, *legal == first && first == second, actions, || {
            format!("legal actions were {legal:?}, then {first:?}, and {second:?} when played again")
        })?;
        again.play(&mut state, trace.actions[ply]);
    }
    // When there was no legal action, the rules may see it the same way.
    let outcome = again.outcome(&state).or_else(|| {
        let stuck = trace.outcome.is_some() && again.legal_actions(&state).is_empty();
        stuck.then_some(Outcome::Draw(Draw::NoLegalAction))
    });
    hold(Law::Determinism, outcome == trace.outcome, &trace.actions, || {
        format!("the result was {:?}, then {outcome:?}", trace.outcome)
    })
}
