//! The players of a match, as they are named on the command line.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use selfplay_engine::matches::{Mover, Seat};

use crate::{
    daemon::agents::terms,
    settings::{Resolved, Settings},
};

/// What evaluates positions for a player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A model.
    Model(PathBuf),
    /// Nothing is known of any position.
    Uniform,
}

/// A player.
#[derive(Clone, Debug)]
pub(super) struct Contestant {
    /// As it was named, with its settings.
    pub name: String,
    /// What it asks, if it asks anything.
    pub source: Option<Source>,
    /// How it plays.
    pub seat: Seat,
    /// Of the settings that shape its games.
    pub settings_hash: String,
}

impl Contestant {
    /// Reads `KIND` or `KIND:key=value,…`, the keys being those of the section `search`.
    ///
    /// # Errors
    /// When it is no player, or a setting of its own is not what it may be.
    pub(super) fn parse(text: &str, common: &Resolved) -> anyhow::Result<Self> {
        let (kind, own) = match text.rsplit_once(':') {
            Some((kind, own)) if own.contains('=') => (kind, own),
            _ => (text, ""),
        };
        let pairs: Vec<_> = own.split(',').filter(|pair| !pair.is_empty()).collect();
        let own = pairs.into_iter().map(|pair| {
            pair.split_once('=').with_context(|| format!("{pair:?} of player {text:?} is no setting: write key=value"))
        });
        let own = own.collect::<anyhow::Result<Vec<_>>>()?;
        let settings = common.with_search(&own, &format!("player {text}"))?.into_settings()?;
        let (mover, source) = match kind {
            "random" => (Mover::Random, None),
            "solver" => (Mover::Solver, None),
            "uniform" => (Mover::Search, Some(Source::Uniform)),
            _ => match kind.strip_prefix("raw:") {
                Some(model) => (Mover::Raw, Some(Source::Model(model.into()))),
                None => (Mover::Search, Some(Source::Model(kind.into()))),
            },
        };
        if let Some(Source::Model(path)) = &source
            && !path.is_file()
        {
            bail!(
                "player {text:?}: there is no file {}; a player is MODEL.onnx, raw:MODEL.onnx, uniform, random or solver",
                path.display()
            );
        }
        Ok(Self { name: text.to_owned(), source, seat: seat(mover, &settings), settings_hash: settings.games_hash() })
    }
}

fn seat(mover: Mover, settings: &Settings) -> Seat {
    let play = terms(settings).settings;
    Seat {
        mover,
        search: play.search,
        tree_reuse: play.tree_reuse,
        penalize_visited_states: play.penalize_visited_states,
    }
}

#[cfg(test)]
mod tests {
    use selfplay_engine::search::Simulations;
    use tempfile::TempDir;

    use super::*;
    use crate::settings::{FlagValue, Purpose, Sources, resolve};

    fn common() -> Resolved {
        let flag = |(key, value): (&'static str, &str)| FlagValue { flag: "--", key, value: value.to_owned() };
        let flags: Vec<_> = [("game.name", "connect_four"), ("search.mcts_n", "50")].map(flag).to_vec();
        let sources =
            Sources { preset: None, trainer: None, own: None, environment: &Default::default(), flags: &flags };
        resolve(&sources, Purpose::Bench)
    }

    #[test]
    fn players_are_models_or_what_needs_none_each_with_settings_of_its_own() {
        let dir = TempDir::new().unwrap();
        let model = dir.path().join("m.onnx");
        std::fs::write(&model, "").unwrap();
        let model = model.to_str().unwrap();
        let read = |text: &str| Contestant::parse(text, &common()).unwrap();
        let searching = read(model);
        assert_eq!((searching.source, searching.seat.mover), (Some(Source::Model(model.into())), Mover::Search));
        assert_eq!(searching.seat.search.simulations, Simulations::PerMove(50));
        let raw = read(&format!("raw:{model}"));
        assert_eq!((raw.source, raw.seat.mover), (Some(Source::Model(model.into())), Mover::Raw));
        let own = read("uniform:mcts_n=9,c_puct=2,tree_reuse=false,solver=false");
        assert_eq!((own.source, own.seat.search.simulations), (Some(Source::Uniform), Simulations::PerMove(9)));
        assert_eq!((own.seat.search.c_puct, own.seat.tree_reuse), (2.0, false));
        assert!(
            !own.seat.search.solver && searching.seat.search.solver,
            "the best search holds where nothing else is asked for"
        );
        let reducing =
            read("uniform:fpu=reduction,fpu_value=0.2,n_counts=visits,root_policy_temperature=1.5").seat.search;
        let text = "PUCT, untried moves count their position's value - 0.2 √P, root policy temperature 1.5, kept visits counted";
        assert_eq!(reducing.root.to_string(), text);
        assert_eq!(read(model).seat.search.root.to_string(), "PUCT");
        assert_eq!(read("random").source, None);
        assert_ne!(own.settings_hash, searching.settings_hash);
    }

    #[test]
    fn what_is_no_player_is_refused_with_what_is() {
        let said = |text: &str| format!("{:#}", Contestant::parse(text, &common()).unwrap_err());
        assert!(
            said("nowhere.onnx").contains("there is no file nowhere.onnx; a player is MODEL.onnx"),
            "{}",
            said("nowhere.onnx")
        );
        assert!(said("uniform:mcts=4").contains("did you mean search.mcts_"), "{}", said("uniform:mcts=4"));
        assert!(said("uniform:mcts_n=many").contains("must be a whole number"), "{}", said("uniform:mcts_n=many"));
        assert!(said("uniform:mcts_n=4,x").contains("\"x\" of player"), "{}", said("uniform:mcts_n=4,x"));
    }
}
