//! The games that can be looked at: what the server asks of whoever follows them.

use serde_json::{Value, json};

/// Games in play and games that ended. All methods are called on the server's thread and must not wait.
pub(crate) trait LiveView: Send + Sync {
    /// The boards in play: `{"board_size", "max_walls", "games": [{"slot", "game", "seed", "ply", "to_move", "value",
    /// "model"}]}`.
    fn games(&self) -> Value;

    /// The game in play at `slot`, ply by ply: `{"game", "seed", "board_size", "plies": […], "result"}`.
    fn game(&self, slot: usize) -> Option<Value>;

    /// Games that ended: `{"games": [{"id", "game", "plies", "result", "model", "unix"}]}`, the newest first.
    fn recent(&self) -> Value;

    /// The game that ended with this `id`, in the form of [`Self::game`].
    fn recent_game(&self, id: &str) -> Option<Value>;
}

/// PENDING: nobody follows the games. To be replaced by the follower of games.
pub(crate) struct NoGames {
    /// Cells per side.
    pub board_size: u8,
    /// Walls that each player starts with.
    pub max_walls: u8,
}

impl LiveView for NoGames {
    fn games(&self) -> Value {
        json!({ "board_size": self.board_size, "max_walls": self.max_walls, "games": [] })
    }

    fn game(&self, _: usize) -> Option<Value> {
        None
    }

    fn recent(&self) -> Value {
        json!({ "games": [] })
    }

    fn recent_game(&self, _: &str) -> Option<Value> {
        None
    }
}
