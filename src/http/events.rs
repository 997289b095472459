//! What streams of events carry: the status every second, and what happened in between.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc};

use axum::response::{IntoResponse, Sse, sse};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};

use super::{connection::stopped, live::LiveView};
use crate::status::{Status, Swap};

/// Most finished games that are told of at a time; of more, the newest.
const MOST_GAMES: usize = 5;

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// A game ended: `{"id", "game", "result", "plies"}`.
    Game(Value),
    /// A model came into service, was refused or was taken out of service.
    Swap(Swap),
}

/// Notices finished games.
#[derive(Debug, Default)]
pub(super) struct FinishedGames {
    /// Those that were there at the last look; `None` before the first.
    known: Option<BTreeSet<String>>,
}

impl FinishedGames {
    /// The games that have finished since the last look, the oldest first.
    pub(super) fn look(&mut self, live: &dyn LiveView) -> Vec<News> {
        let recent = live.recent();
        let games = recent["games"].as_array().map_or(&[][..], Vec::as_slice);
        let id = |game: &Value| game["id"].as_str().map(str::to_owned);
        let now = games.iter().filter_map(id).collect();
        let Some(known) = self.known.replace(now) else { return Vec::new() };
        let is_new = |game: &&Value| id(game).is_some_and(|id| !known.contains(&id));
        let mut news: Vec<_> = games
            .iter()
            .filter(is_new)
            .take(MOST_GAMES)
            .map(|game| {
                News::Game(json!({
                    "id": game["id"],
                    "game": game["game"],
                    "result": game["result"],
                    "plies": game["plies"],
                }))
            })
            .collect();
        news.reverse();
        news
    }
}

/// One reader of events.
pub(super) struct Reader {
    /// The status of every second.
    pub status: watch::Receiver<Arc<Status>>,
    /// What happens in between.
    pub news: broadcast::Receiver<News>,
    /// True when the server stops.
    pub stopping: watch::Receiver<bool>,
    /// Whether the reader may control the daemon.
    pub control: bool,
    /// Keeps the number of readers bounded.
    pub _seat: OwnedSemaphorePermit,
}

impl Reader {
    /// The stream, which begins with the status.
    pub(super) fn into_response(mut self) -> axum::response::Response {
        self.status.mark_changed();
        let events = stream::unfold(self, |mut reader| async move {
            let event = reader.next().await?;
            Some((Ok::<_, Infallible>(event), reader))
        });
        Sse::new(events).into_response()
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            let event = tokio::select! {
                biased;
                () = stopped(&mut self.stopping) => return None,
                news = self.news.recv() => match news {
                    Ok(News::Game(game)) => sse::Event::default().event("game").json_data(game),
                    Ok(News::Swap(swap)) => sse::Event::default().event("swap").json_data(swap),
                    // A slow reader misses some.
                    Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                changed = self.status.changed() => {
                    changed.ok()?;
                    let status = Status { control: self.control, ..Status::clone(&self.status.borrow_and_update()) };
                    sse::Event::default().event("status").json_data(status)
                }
            };
            return event.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Recent(Mutex<Vec<u64>>);

    impl LiveView for Recent {
        fn games(&self, _: usize, _: usize) -> Value {
            Value::Null
        }

        fn game(&self, _: usize) -> Option<Value> {
            None
        }

        fn has_slot(&self, _: usize) -> bool {
            false
        }

        fn recent(&self) -> Value {
            let games = self.0.lock().unwrap();
            let games =
                games.iter().rev().map(|game| json!({ "id": game.to_string(), "game": game, "plies": 9, "model": 1 }));
            json!({ "games": games.collect::<Vec<_>>() })
        }

        fn recent_game(&self, _: &str) -> Option<Value> {
            None
        }
    }

    #[test]
    fn each_finished_game_is_told_of_once_and_of_many_the_newest() {
        let live = Recent(Mutex::new(vec![1, 2]));
        let mut finished = FinishedGames::default();
        let mut look = || {
            finished
                .look(&live)
                .iter()
                .map(|news| if let News::Game(game) = news { game["game"].as_u64().unwrap() } else { 0 })
                .collect::<Vec<_>>()
        };
        assert_eq!(look(), [0; 0], "what ended before anybody listened is no news");
        live.0.lock().unwrap().extend([3, 4]);
        assert_eq!(look(), [3, 4]);
        assert_eq!(look(), [0; 0]);
        live.0.lock().unwrap().extend(5..20);
        assert_eq!(look(), [15, 16, 17, 18, 19]);
    }
}
