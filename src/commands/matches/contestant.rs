//! The players of a match, as they are named on the command line.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail, ensure};
use selfplay_engine::{
    matches::{Mover, Seat},
    search::{Root, Simulations},
};

use crate::{
    commands::models::{last_number, short},
    daemon::agents::terms,
    settings::{Resolved, Settings},
};

/// The setting of a player that searches each move for this many milliseconds.
const MOVE_MS: &str = "move_ms";
/// Longest time for a move.
const LONGEST_MS: u64 = 60_000;
/// What settings say of the simulations of such a player: more than there will be.
const UNLIMITED: (&str, &str) = ("mcts_n", "1000000");
/// Most simulations of such a player without a look at the clock, but for those that are gathered at once: some tenths of a millisecond.
const INSTALLMENT: u32 = 64;

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
    /// How long it searches a move, if that is how its search ends.
    pub move_time: Option<Duration>,
    /// Of its model, by the last number in the name of its file; 0 without one.
    pub version: i64,
    /// Of the settings that shape its games.
    pub settings_hash: String,
    /// What was probably not meant in the settings of its search.
    warnings: Vec<String>,
}

impl Contestant {
    /// Reads `KIND` or `KIND:key=value,…`, the keys being those of the section `search`, and `move_ms`.
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
        let (times, mut own): (Vec<_>, Vec<_>) = own.into_iter().partition(|(key, _)| *key == MOVE_MS);
        let move_time = times.last().map(|(_, value)| read_time(value)).transpose();
        let move_time = move_time.with_context(|| format!("player {text:?}"))?;
        if move_time.is_some() {
            ensure!(
                own.iter().all(|(key, _)| !key.starts_with("mcts_")),
                "player {text:?}: its search ends after {MOVE_MS} or after a number of simulations: give one of them"
            );
            own.push(UNLIMITED);
        }
        let resolved = common.with_search(&own, &format!("player {text}"))?;
        let warnings = resolved.warnings().to_vec();
        let settings = resolved.into_settings()?;
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
        let mut seat = seat(mover, &settings);
        let mut settings_hash = settings.games_hash();
        if let Some(time) = move_time {
            ensure!(mover == Mover::Search, "player {text:?}: {MOVE_MS} has no meaning for it, as it does not search");
            ensure!(
                !matches!(seat.search.root, Root::Gumbel(_)),
                "player {text:?}: {MOVE_MS} cannot be had with search.root = \"gumbel\", which divides a number of simulations that must be \
                 known before: give mcts_n, or root=puct"
            );
            seat.open_ended = true;
            seat.search.simulations = Simulations::PerMove(INSTALLMENT.max(seat.search.leaf_parallelism));
            settings_hash += &format!("@{}ms", time.as_millis());
        }
        let version = match &source {
            Some(Source::Model(path)) => last_number(short(&path.to_string_lossy())),
            _ => None,
        };
        let version = version.and_then(|version| i64::try_from(version).ok()).unwrap_or(0);
        let warnings = if mover == Mover::Search { warnings } else { Vec::new() };
        Ok(Self { name: text.to_owned(), source, seat, move_time, version, settings_hash, warnings })
    }
}

/// Says what was probably not meant in the settings of those who search, each thing once.
pub(super) fn warn(players: &[Contestant]) {
    warnings(players).into_iter().for_each(|warning| tracing::warn!("{warning}"));
}

fn warnings(players: &[Contestant]) -> Vec<&String> {
    let mut said = BTreeSet::new();
    players.iter().flat_map(|player| &player.warnings).filter(|warning| said.insert(*warning)).collect()
}

fn read_time(text: &str) -> anyhow::Result<Duration> {
    let number = text.trim().parse().ok().filter(|ms| (1..=LONGEST_MS).contains(ms));
    let number = number.with_context(|| format!("{MOVE_MS} = {text} must be a whole number from 1 to {LONGEST_MS}"))?;
    Ok(Duration::from_millis(number))
}

fn seat(mover: Mover, settings: &Settings) -> Seat {
    let play = terms(settings).settings;
    Seat {
        mover,
        search: play.search,
        tree_reuse: play.tree_reuse,
        penalize_visited_states: play.penalize_visited_states,
        open_ended: false,
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::settings::{FlagValue, Purpose, Sources, resolve};

    fn common() -> Resolved {
        common_with(&[("search.mcts_n", "50")])
    }

    fn common_with(own: &[(&'static str, &str)]) -> Resolved {
        let flag = |&(key, value): &(&'static str, &str)| FlagValue { flag: "--", key, value: value.to_owned() };
        let flags: Vec<_> = [("game.name", "connect_four")].iter().chain(own).map(flag).collect();
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
    fn a_player_may_have_a_time_for_each_move_in_place_of_simulations() {
        let read = |text: &str| Contestant::parse(text, &common()).unwrap();
        let timed = read("uniform:move_ms=50,leaf_parallelism=100");
        assert_eq!((timed.move_time, timed.seat.open_ended), (Some(Duration::from_millis(50)), true));
        assert_eq!(
            (timed.seat.search.simulations, timed.seat.search.leaf_parallelism),
            (Simulations::PerMove(100), 100)
        );
        let other = read("uniform:move_ms=60");
        assert_eq!(other.seat.search.simulations, Simulations::PerMove(64));
        assert_ne!(timed.settings_hash, other.settings_hash);
        assert!(other.settings_hash.ends_with("@60ms"), "{}", other.settings_hash);
        assert_eq!((read("uniform").move_time, read("uniform").seat.open_ended), (None, false));
        let said = |text: &str| format!("{:#}", Contestant::parse(text, &common()).unwrap_err());
        for time in ["0", "-1", "soon", "60001", "1.5"] {
            let error = said(&format!("uniform:move_ms={time}"));
            assert!(error.ends_with(&format!("move_ms = {time} must be a whole number from 1 to 60000")), "{error}");
        }
        assert!(said("uniform:move_ms=9,mcts_n=9").ends_with("or after a number of simulations: give one of them"));
        assert!(said("random:move_ms=9").ends_with("move_ms has no meaning for it, as it does not search"));
        assert!(said("uniform:move_ms=9,root=gumbel").ends_with("must be known before: give mcts_n, or root=puct"));
    }

    #[test]
    fn nothing_is_missed_that_each_player_who_searches_says() {
        let said = |common: &[(&'static str, &str)], players: &[&str]| {
            let common = common_with(common);
            let players: Vec<_> = players.iter().map(|text| Contestant::parse(text, &common).unwrap()).collect();
            warnings(&players).into_iter().cloned().collect::<Vec<_>>()
        };
        let missing = "nothing says how many simulations a move gets";
        assert_eq!(said(&[], &["uniform:mcts_n=64", "uniform:mcts_n=32"]), [""; 0]);
        assert_eq!(said(&[], &["uniform:move_ms=64", "random"]), [""; 0]);
        assert_eq!(said(&[], &["solver", "random"]), [""; 0]);
        for players in [["uniform:mcts_n=64", "uniform"], ["uniform", "uniform"]] {
            let found = said(&[], &players);
            assert!(found.len() == 1 && found[0].starts_with(missing), "{found:?}");
        }
        // What is common to both is no one's who says otherwise.
        let many = [("search.mcts_n", "64"), ("search.leaf_parallelism", "8")];
        assert_eq!(said(&many, &["uniform:leaf_parallelism=1", "random"]), [""; 0]);
        let found = said(&many, &["uniform:leaf_parallelism=1", "uniform:leaf_parallelism=4"]);
        assert!(found.len() == 1 && found[0].contains("search.leaf_parallelism = 4 (player uniform:"), "{found:?}");
    }

    #[test]
    fn versions_are_those_of_file_names() {
        let dir = TempDir::new().unwrap();
        for (file, version) in [("model_41.onnx", 41), ("b5w3_2x32.onnx", 32), ("best.onnx", 0)] {
            let path = dir.path().join(file);
            std::fs::write(&path, "").unwrap();
            let player = format!("raw:{}", path.display());
            assert_eq!(Contestant::parse(&player, &common()).unwrap().version, version, "{file}");
        }
        assert_eq!(Contestant::parse("uniform", &common()).unwrap().version, 0);
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
