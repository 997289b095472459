//! What is called at every move, to watch the games: traces, the boards in play, tests.

use std::sync::Arc;

use selfplay_engine::{Game, Outcome, replay::PlyRecord};

/// Which game a [`GameNews`] is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GameKey {
    /// The slot that plays it, from 0.
    pub slot: usize,
    /// The seed of the process that began it.
    pub seed: u64,
    /// Its number under that seed.
    pub index: u64,
}

/// What happens to a game.
#[derive(Debug)]
pub enum GameNews<'a, G: Game> {
    /// It begins, or goes on from the plies that an earlier process played.
    Begun(&'a [PlyRecord<G>]),
    /// The last of these plies, which are all so far, was just played.
    Played(&'a [PlyRecord<G>]),
    /// It left its slot: with its result, or with none where it was set aside, given up or stopped.
    Over(Option<Outcome>),
}

/// Called on the game's own thread, which does nothing else meanwhile: it must be quick. If it panics, so does the game.
pub type GameHook<G> = Arc<dyn Fn(GameKey, &GameNews<'_, G>) + Send + Sync>;

/// A hook that hears only of plies: `tell` is called with the number of a game and all its plies so far.
pub fn each_ply<G: Game>(tell: impl Fn(u64, &[PlyRecord<G>]) + Send + Sync + 'static) -> GameHook<G> {
    Arc::new(move |key, news| {
        if let GameNews::Played(plies) = news {
            tell(key.index, plies);
        }
    })
}

/// Both hear of everything, `first` before `second`.
pub fn both<G: Game>(first: GameHook<G>, second: GameHook<G>) -> GameHook<G> {
    Arc::new(move |key, news| {
        first(key, news);
        second(key, news);
    })
}
