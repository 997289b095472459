//! The games that can be looked at: what the server asks of [`crate::boards::live`], which follows them.

use serde::Serialize;
use serde_json::Value;

use crate::{boards::live::LiveGames, played::PlayedGame};

/// Games in play and games that ended. All methods are called on the server's thread and must not wait.
pub(crate) trait LiveView: Send + Sync {
    /// The boards in play, after the first `offset` and at most `limit`: `{"rules", "board", "total", "offset", "games": [{"slot", "game",
    /// "seed", "ply", "to_move", "value", "model", "last", "last_mark", "stones", "walls", "beside"}]}`. Boards, stones, walls and
    /// marks are shapes: see [`selfplay_engine::game::board`].
    fn games(&self, offset: usize, limit: usize) -> Value;

    /// The game in play at `slot`, ply by ply: `{"game", "seed", "rules", "board", "plies": […], "result"}`.
    fn game(&self, slot: usize) -> Option<Value>;

    /// Whether games were ever in play at `slot`.
    fn has_slot(&self, slot: usize) -> bool;

    /// Games that ended: `{"games": [{"id", "game", "plies", "result", "model", "unix"}]}`, the newest first.
    fn recent(&self) -> Value;

    /// The game that ended with this `id`, in the form of [`Self::game`].
    fn recent_game(&self, id: &str) -> Option<Value>;
}

impl<G: PlayedGame> LiveView for LiveGames<G> {
    fn games(&self, offset: usize, limit: usize) -> Value {
        told(&Self::games(self, offset, limit))
    }

    fn game(&self, slot: usize) -> Option<Value> {
        Self::game(self, slot).as_ref().map(told)
    }

    fn has_slot(&self, slot: usize) -> bool {
        Self::has_slot(self, slot)
    }

    fn recent(&self) -> Value {
        told(&Self::recent(self))
    }

    fn recent_game(&self, id: &str) -> Option<Value> {
        Self::recent_game(self, id).as_ref().map(told)
    }
}

fn told(what: &impl Serialize) -> Value {
    // Neither maps with odd keys nor failing serialisers are in there.
    serde_json::to_value(what).unwrap_or_default()
}
