//! What a game does when its request was lost, failed, or was answered with nonsense.

use std::time::Duration;

use actix::{AsyncContext as _, Context};
use selfplay_engine::Game;

use super::{GameActor, GameEnd};
use crate::{
    ticket::{Flaw, TicketError},
    writer::{KeepRejected, Nonsense},
};

/// How often a request is asked again before its game is given up.
pub(super) const MOST_RETRIES: u32 = 12;
pub(super) const FIRST_RETRY_WAIT: Duration = Duration::from_millis(5);
pub(super) const LONGEST_RETRY_WAIT: Duration = Duration::from_secs(2);

impl<G: Game> GameActor<G> {
    /// The network answered one of the leaves with nonsense: the first time it is asked again, the second time the game is set
    /// aside. Another model gets another chance.
    pub(super) fn doubt(&mut self, flaw: Flaw, ctx: &mut Context<Self>) {
        let (Some(playing), Some(assigned)) = (&mut self.playing, &self.assigned) else { return };
        if playing.nonsense.replace(flaw.generation.number) != Some(flaw.generation.number) {
            self.plan.stats.retries.add(1);
            return self.ask_again_after(FIRST_RETRY_WAIT, ctx);
        }
        let Some(&leaf) = playing.asked.get(flaw.leaf) else { return };
        let nonsense = Nonsense { leaf, generation: flaw.generation, output: flaw.output };
        let (seed, index, plies) = (assigned.seed, assigned.index, playing.game.plies().to_vec());
        self.plan.stats.games_set_aside.add(1);
        self.addresses.rejects.do_send(KeepRejected { number: assigned.number, seed, index, plies, nonsense });
        self.leave(GameEnd::Rejected, None, None);
    }

    /// Asks again after a wait that doubles, or gives the game up.
    pub(super) fn retry(&mut self, error: &TicketError, ctx: &mut Context<Self>) {
        let Some(playing) = &mut self.playing else { return };
        if playing.retries == MOST_RETRIES {
            return self.give_up(format!("asked {MOST_RETRIES} times: failed to {error}"));
        }
        let wait = FIRST_RETRY_WAIT.saturating_mul(1 << playing.retries).min(LONGEST_RETRY_WAIT);
        playing.retries += 1;
        self.plan.stats.retries.add(1);
        self.ask_again_after(wait, ctx);
    }

    /// Repeats the last request, unless the slot plays something else by then.
    fn ask_again_after(&self, wait: Duration, ctx: &mut Context<Self>) {
        let ticket = self.ticket;
        ctx.run_later(wait, move |actor, _| {
            if actor.ticket == ticket {
                actor.ask();
            }
        });
    }
}
