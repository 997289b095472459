//! What came of a reload, as it is answered.

use std::time::Duration;

use selfplay_actors::findings::Found;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use crate::steering::{
    live_settings::Changes,
    operator::{Reload, SettingsRead},
};

/// What came of a reload by the time that it was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    /// What became of the settings; `null` if they were still being read, or stay as they are.
    pub settings: Option<Changes>,
    /// Why the settings stay as they are, if they hold a mistake.
    pub settings_error: Option<String>,
    /// What was found of models; `null` if that was not known yet.
    pub model: Option<Found>,
    /// Both in words.
    pub words: String,
}

impl Reloaded {
    /// What is known after so long, or as soon as all is known.
    pub(super) async fn within(limit: Duration, Reload { settings, mut model }: Reload) -> Self {
        let deadline = Instant::now() + limit;
        let (mut ended, mut found) = (false, None);
        let settings = match timeout_at(deadline, settings).await {
            Ok(Ok(read)) => Some(read),
            Ok(Err(_)) => {
                ended = true;
                None
            }
            Err(_) => None,
        };
        while !ended && settings.is_some() {
            match timeout_at(deadline, model.recv()).await {
                Ok(Some(more)) => found = Some(more),
                Ok(None) | Err(_) => break,
            }
        }
        let words = if ended { "of no effect: play is ending".to_owned() } else { words(&settings, &found) };
        let (settings, settings_error) = match settings {
            Some(Ok(changes)) => (Some(changes), None),
            Some(Err(reason)) => (None, Some(reason)),
            None => (None, None),
        };
        Self { settings, settings_error, model: found, words }
    }
}

fn words(settings: &Option<SettingsRead>, found: &Option<Found>) -> String {
    let settings = match settings {
        Some(Ok(changes)) => {
            let number = |count: usize| match count {
                0 => "no setting".to_owned(),
                1 => "1 setting".to_owned(),
                more => format!("{more} settings"),
            };
            let (changed, refused) = (changes.changed.len(), changes.refused.iter());
            let refused: Vec<_> = refused.map(|refused| format!("; {}: {}", refused.key, refused.reason)).collect();
            format!("{} changed{}", number(changed), refused.concat())
        }
        Some(Err(reason)) => format!("the settings stay as they are: {reason}"),
        None => "the settings are still being read".to_owned(),
    };
    let unknown = || "what models there are is not known yet: see the status".to_owned();
    format!("{settings}\n{}", found.as_ref().map_or_else(unknown, Found::to_string))
}

#[cfg(test)]
mod tests {
    use selfplay_actors::findings::LookOutcome;
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    #[test]
    fn the_last_word_within_the_limit_counts() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let found = |outcome| Found { outcome, version: Some(5), reason: Some("too small".to_owned()) };
            let begin = || {
                let ((send_settings, settings), (send_model, model)) = (oneshot::channel(), mpsc::unbounded_channel());
                (send_settings, send_model, Reload { settings, model })
            };
            let limit = Duration::from_secs(3);
            let (settings, model, reload) = begin();
            settings.send(Ok(Changes::default())).unwrap();
            model.send(found(LookOutcome::Coming)).unwrap();
            let slow = Reloaded::within(limit, reload).await;
            assert_eq!(slow.words, "no setting changed\nmodel 5 is on its way");

            let (settings, model, reload) = begin();
            settings.send(Err("1 mistake".to_owned())).unwrap();
            model.send(found(LookOutcome::Coming)).unwrap();
            model.send(found(LookOutcome::Refused)).unwrap();
            drop(model);
            let quick = Reloaded::within(limit, reload).await;
            assert_eq!(quick.words, "the settings stay as they are: 1 mistake\nmodel 5 is refused: too small");

            let (settings, model, reload) = begin();
            let hangs = Reloaded::within(limit, reload).await;
            assert!(hangs.words.starts_with("the settings are still being read\n"), "{}", hangs.words);
            drop((settings, model));
            let (_, _, reload) = begin();
            assert_eq!(Reloaded::within(limit, reload).await.words, "of no effect: play is ending");
        });
    }
}
