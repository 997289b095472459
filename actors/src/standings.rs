//! How strong the last models are, as far as matches beside play have shown: for status, page and metrics.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// What matches beside play have shown so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standings {
    /// The match that is played.
    pub playing: Option<Playing>,
    /// The model rated last.
    pub newest: Option<Newest>,
    /// All ratings: of players that never change first, then of models, the oldest first.
    pub rated: Vec<Rated>,
    /// The last match that decided whether a model was promoted.
    pub gate: Option<Decided>,
    /// Why matches are not played, or their results not kept.
    pub trouble: Option<String>,
}

/// A match that is played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Playing {
    /// What the players are called.
    pub players: [String; 2],
    /// It decides whether the first is promoted.
    pub gate: bool,
    /// Pairs of games that are over.
    pub pairs: u64,
    /// Pairs to be played.
    pub of: u64,
}

/// A model's rating, and how it did against the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Newest {
    /// The trainer's number.
    pub version: i64,
    /// Above a search without a network.
    pub elo: f64,
    /// Half of the 95% interval.
    pub margin: f64,
    /// Games that it has played.
    pub games: u64,
    /// The trainer's number of the model rated before it.
    pub against: Option<i64>,
    /// Its score against that one, from 0 to 1.
    pub score: Option<f64>,
}

/// A player's rating.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rated {
    /// `uniform`, `random`, or the model's version.
    pub player: String,
    /// The trainer's number; `None` for players that never change.
    pub version: Option<i64>,
    /// Above `uniform`, a search without a network.
    pub elo: f64,
    /// Half of the 95% interval.
    pub margin: f64,
    /// Games that it has played.
    pub games: u64,
}

/// A match that decided whether a model was promoted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The model that was to serve.
    pub version: i64,
    /// The model that served.
    pub against: i64,
    /// Its score, from 0 to 1.
    pub score: f64,
    /// Pairs of games played.
    pub pairs: u64,
    /// Whether it serves.
    pub promoted: bool,
}

/// The last [`Standings`]. Its methods may be called from any thread.
#[derive(Debug, Default)]
pub struct Published(Mutex<Option<Arc<Standings>>>);

impl Published {
    /// Takes the place of what was said before.
    pub fn set(&self, standings: Standings) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(standings));
    }

    /// What was said last; `None` where no matches are played beside play.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Standings>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
