//! The games in play and those that ended lately, as the status page shows them.
//!
//! Game threads call [`LiveGames::hook`] once a ply: it notes 80 bytes under a short lock. A reader copies what it needs
//! under the lock, and makes boards and text from the copy on its own thread.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use selfplay_actors::game::{GameHook, GameKey, GameNews};
use selfplay_engine::{
    Outcome,
    game::board::{Mark, Pieces},
    replay::PlyRecord,
};
use serde::Serialize;

use crate::{
    boards::view::{GameView, Ply, RulesView, result_name, rounded},
    played::PlayedGame,
    words::as_text,
};

/// How many games that ended are kept.
pub(crate) const MOST_RECENT: usize = 50;

/// All games in play: `GET /v1/games`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct GamesInPlay {
    /// What is the same in all of them.
    #[serde(flatten)]
    pub rules: RulesView,
    /// How many there are, on all pages.
    pub total: usize,
    /// How many of them come before these.
    pub offset: usize,
    /// The games of this page, by their slots.
    pub games: Vec<GameInPlay>,
}

/// A game in play at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct GameInPlay {
    /// Its slot, from 0.
    pub slot: usize,
    /// Its number under its seed.
    pub game: u64,
    /// The seed of the process that began it.
    #[serde(serialize_with = "as_text::serialize")]
    pub seed: u64,
    /// Plies played.
    pub ply: usize,
    /// Index of the player to move.
    pub to_move: usize,
    /// Value of the last searched position, from the *first* player's view, so that it does not alternate from ply to ply;
    /// `None` before the first ply.
    pub value: Option<f64>,
    /// Version of the newest model that had a say in the last ply.
    pub model: Option<i64>,
    /// What was played last.
    pub last: Option<String>,
    /// Where that was.
    pub last_mark: Option<Mark>,
    /// The present position.
    #[serde(flatten)]
    pub pieces: Pieces,
}

/// The games that ended lately: `GET /v1/recent`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RecentGames {
    /// The newest first, at most [`MOST_RECENT`].
    pub games: Vec<RecentGame>,
}

/// A game that ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RecentGame {
    /// Names it in `GET /v1/recent/{id}`: seed and number.
    pub id: String,
    /// Its number under its seed.
    pub game: u64,
    /// Its length.
    pub plies: usize,
    /// Who won: `first`, `second` or `draw`.
    pub result: &'static str,
    /// Version of the newest model that had a say in the first ply, as in the game's file.
    pub model: Option<i64>,
    /// When it ended, in seconds since 1970.
    pub unix: f64,
}

/// Boards of games in play and of those that ended lately. All methods may be called from any thread.
#[derive(Debug)]
pub(crate) struct LiveGames<G: PlayedGame> {
    game: G,
    table: Mutex<Table<G>>,
}

#[derive(Debug)]
struct Table<G: PlayedGame> {
    /// By slot.
    in_play: Vec<Option<InPlay<G>>>,
    /// The newest last.
    recent: VecDeque<Arc<Finished>>,
}

#[derive(Debug)]
struct InPlay<G: PlayedGame> {
    seed: u64,
    index: u64,
    plies: Vec<Ply>,
    state: G::State,
    /// The position before the last ply.
    before: G::State,
}

#[derive(Debug)]
struct Finished {
    seed: u64,
    index: u64,
    plies: Vec<Ply>,
    outcome: Outcome,
    unix: f64,
}

impl<G: PlayedGame> LiveGames<G> {
    /// Of games by these rules; none yet.
    pub(crate) fn new(game: G) -> Arc<Self> {
        Arc::new(Self { game, table: Mutex::new(Table { in_play: Vec::new(), recent: VecDeque::new() }) })
    }

    /// Takes note of games, for [`selfplay_actors::game::GamePlan::hook`].
    pub(crate) fn hook(self: &Arc<Self>) -> GameHook<G> {
        let live = self.clone();
        Arc::new(move |key, news| match news {
            GameNews::Begun(plies) => live.begun(key, plies),
            GameNews::Played(plies) => live.played(key, plies),
            GameNews::Over(outcome) => live.over(key, *outcome),
        })
    }

    fn begun(&self, key: GameKey, plies: &[PlyRecord<G>]) {
        let (state, before) = (self.game.start(), self.game.start());
        let mut game = InPlay { seed: key.seed, index: key.index, plies: Vec::new(), state, before };
        plies.iter().for_each(|ply| game.add(&self.game, Ply::of(&self.game, ply)));
        let mut table = self.table();
        if table.in_play.len() <= key.slot {
            table.in_play.resize_with(key.slot + 1, || None);
        }
        table.in_play[key.slot] = Some(game);
    }

    fn played(&self, key: GameKey, plies: &[PlyRecord<G>]) {
        let Some(ply) = plies.last().map(|ply| Ply::of(&self.game, ply)) else { return };
        let mut table = self.table();
        let game = table.in_play.get_mut(key.slot).and_then(Option::as_mut);
        // One that went on in another slot, or missed a ply, would show boards that never were.
        if let Some(game) = game.filter(|game| game.is(key) && game.plies.len() + 1 == plies.len()) {
            game.add(&self.game, ply);
        }
    }

    fn over(&self, key: GameKey, outcome: Option<Outcome>) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let mut table = self.table();
        let slot = table.in_play.get_mut(key.slot);
        let Some(InPlay { seed, index, plies, .. }) = slot.and_then(|slot| slot.take_if(|game| game.is(key))) else {
            return;
        };
        let Some(outcome) = outcome else { return };
        let oldest = if table.recent.len() == MOST_RECENT { table.recent.pop_front() } else { None };
        table.recent.push_back(Arc::new(Finished { seed, index, plies, outcome, unix }));
        drop(table);
        drop(oldest); // Not under the lock.
    }

    /// The games in play: of all of them, those after the first `offset`, at most `limit`.
    pub(crate) fn games(&self, offset: usize, limit: usize) -> GamesInPlay {
        let (total, now): (usize, Vec<_>) = {
            let table = self.table();
            let games = table.in_play.iter().enumerate().filter_map(|(slot, game)| Some((slot, game.as_ref()?)));
            let page = games.clone().skip(offset).take(limit);
            let page = page.map(|(slot, game)| {
                let last = game.plies.last().map(|&ply| (ply, game.before.clone()));
                (slot, game.seed, game.index, game.state.clone(), last)
            });
            (games.count(), page.collect())
        };
        let games = now.into_iter().map(|(slot, seed, index, state, last)| GameInPlay {
            slot,
            game: index,
            seed,
            ply: self.game.ply(&state) as usize,
            to_move: self.game.side_to_move(&state).index(),
            value: last.as_ref().and_then(|(ply, _)| ply.value_for_first()).map(rounded),
            model: last.as_ref().map(|(ply, _)| ply.model),
            last: last.as_ref().map(|(ply, _)| self.game.action_name(ply.action)),
            last_mark: last.map(|(ply, before)| self.game.mark(&before, ply.action)),
            pieces: self.game.pieces(&state),
        });
        GamesInPlay { rules: RulesView::of(&self.game), total, offset, games: games.collect() }
    }

    /// Whether games were ever in play in `slot`.
    pub(crate) fn has_slot(&self, slot: usize) -> bool {
        slot < self.table().in_play.len()
    }

    /// The game in play in `slot`; `None` if there is none.
    pub(crate) fn game(&self, slot: usize) -> Option<GameView> {
        let (seed, index, plies) = {
            let table = self.table();
            let game = table.in_play.get(slot)?.as_ref()?;
            (game.seed, game.index, game.plies.clone())
        };
        Some(GameView::new(&self.game, seed, index, &plies, None))
    }

    /// The games that ended lately.
    pub(crate) fn recent(&self) -> RecentGames {
        let games: Vec<_> = self.table().recent.iter().rev().cloned().collect();
        RecentGames { games: games.iter().map(|game| game.summary()).collect() }
    }

    /// A game that ended lately, by its id; `None` if it is not, or no longer, among them.
    pub(crate) fn recent_game(&self, id: &str) -> Option<GameView> {
        let (seed, index) = id.split_once('-')?;
        let (seed, index) = (seed.parse().ok()?, index.parse().ok()?);
        let game = self.table().recent.iter().find(|game| (game.seed, game.index) == (seed, index)).cloned()?;
        Some(GameView::new(&self.game, seed, index, &game.plies, Some(game.outcome)))
    }

    fn table(&self) -> MutexGuard<'_, Table<G>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<G: PlayedGame> InPlay<G> {
    fn is(&self, key: GameKey) -> bool {
        (self.seed, self.index) == (key.seed, key.index)
    }

    fn add(&mut self, game: &G, ply: Ply) {
        self.plies.push(ply);
        self.before.clone_from(&self.state);
        game.play(&mut self.state, ply.action);
    }
}

impl Finished {
    fn summary(&self) -> RecentGame {
        RecentGame {
            id: format!("{}-{}", self.seed, self.index),
            game: self.index,
            plies: self.plies.len(),
            result: result_name(self.outcome),
            model: self.plies.first().map(|ply| ply.model),
            unix: self.unix,
        }
    }
}

#[cfg(test)]
mod tests;
