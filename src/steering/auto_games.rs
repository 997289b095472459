//! `play.games_per_process = "auto"`: more games at once where the device waits for them.
//!
//! The number of games changes none of them, so that it may follow from measurements.

use std::{sync::Arc, time::Duration};

use selfplay_actors::{
    bottleneck::Monitor,
    root::{Controller, SettingsChange},
};

use crate::steering::live_settings::LiveSettings;

/// Between two looks: what is judged are the last ten seconds, which must all be of the present number of games.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Looks with nothing to change after which the number stays.
const SETTLED: u32 = 3;
/// Looks at most.
const LOOKS: u32 = 20;
/// More games at a time than this would begin too many at once, all in their openings.
const MOST_GROWTH: u64 = 4;

/// Looks until the number of games fits. `most`: as many as there is memory for.
pub(crate) async fn watch(
    controller: Controller,
    monitor: Arc<Monitor>,
    settings: Arc<LiveSettings>,
    mut games: u64,
    most: u64,
) {
    let mut settled = 0;
    for _ in 0..LOOKS {
        tokio::time::sleep(LOOK_EVERY).await;
        let state = controller.state();
        // The number was set meanwhile.
        if state.draining || !settings.games_are_automatic() || settled == SETTLED {
            return;
        }
        if state.paused || !state.serving {
            continue;
        }
        match next(games, monitor.more_games(), most) {
            Some(more) => {
                tracing::info!(from = games, to = more, "more games at once: the device waits for positions");
                (games, settled) = (more, 0);
                monitor.set_games_at_once(games);
                controller
                    .set(SettingsChange { games_at_once: usize::try_from(games).ok(), ..SettingsChange::default() });
            }
            None => settled += 1,
        }
    }
}

/// The number after `games` where `wanted` are, at most `most`; `None`: it stays.
fn next(games: u64, wanted: Option<u64>, most: u64) -> Option<u64> {
    wanted.map(|wanted| wanted.min(games.saturating_mul(MOST_GROWTH)).min(most)).filter(|&next| next > games)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn games_grow_step_by_step_to_what_is_wanted_and_there_is_memory_for() {
        assert_eq!(next(32, None, 1000), None);
        assert_eq!(next(32, Some(96), 1000), Some(96));
        assert_eq!(next(32, Some(4096), 1000), Some(128));
        assert_eq!(next(128, Some(4096), 300), Some(300));
        assert_eq!(next(300, Some(4096), 300), None);
        assert_eq!(next(300, Some(200), 1000), None, "never fewer");
    }
}
