//! Games that leave their slot to be played on later, because there are to be fewer games at once.

use actix::{Handler, Message};
use selfplay_engine::Game;

use super::{Assigned, GameActor, GameNews, PlayGame, Playing, ResumedGame};
use crate::account;

/// Leave the game in play to be played on later. Sent by the games' supervisor when there are to be fewer games at once;
/// answered by [`SlotParked`] where there is a game.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ParkGame;

/// A slot gives back a game that is to be played later, and has nothing to play. Sent by its game actor to the games'
/// supervisor.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SlotParked<G: Game> {
    /// The slot.
    pub slot: usize,
    /// The game: as it was sent if it never began, else [`PlayGame::Parked`].
    pub game: PlayGame<G>,
}

impl<G: Game> GameActor<G> {
    /// Gives the game in play back, as far as it is played.
    fn park(&mut self) {
        let playing = self.playing.take();
        let Some(mut assigned) = self.assigned.take() else { return };
        self.ticket += 1; // What it has asked is answered in vain.
        let (plies, first_version) = match &playing {
            Some(Playing { game, .. }) => (game.plies().to_vec(), game.first_version()),
            None => (std::mem::take(&mut assigned.plies), assigned.first_version),
        };
        assigned.note(&self.plan, self.slot, &plies, first_version);
        account::game_ends();
        assigned.tell(&self.plan, self.slot, GameNews::Over(None));
        let Assigned { number, seed, index, terms, .. } = assigned;
        let resign_below = Some(terms.resign_below);
        let game = Box::new(ResumedGame { number, seed, index, first_version, resign_below, plies });
        self.give_back(PlayGame::Parked { game, terms });
    }

    pub(super) fn give_back(&self, game: PlayGame<G>) {
        self.addresses.parked.do_send(SlotParked { slot: self.slot, game });
    }
}

impl<G: Game> Handler<ParkGame> for GameActor<G> {
    type Result = ();

    fn handle(&mut self, ParkGame: ParkGame, _: &mut Self::Context) {
        self.park();
    }
}
