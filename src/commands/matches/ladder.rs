//! `selfplayd ladder DIR`: the models of a directory rated by matches among them.
//!
//! Each model plays the next one, some play others further away, and the first and last play players that never change, so that ratings
//! of different days can be compared. All ratings come from all games together.

use std::fs;

use anyhow::Context as _;
use selfplay_engine::rating::{Encounter, Rating, ratings};

use super::{
    contest::{Arena, Kept, MatchPlan},
    contestant::{self, Contestant},
    opening_file, progress_bar,
    report::Ending,
};
use crate::{
    cli::LadderArgs,
    commands::{
        bench::text::table,
        models::{models_of, short},
    },
    daemon::signals::Signals,
    exit::Exit,
    matches::picture::{Standing, picture},
    played::PlayedGame,
    settings::{Resolved, Settings},
    streams,
};

/// Players that never change. All ratings are above the first.
const ANCHORS: [&str; 2] = ["uniform", "random"];
/// Every so many models one plays the next but so many.
const FAR: usize = 4;

/// Plays and prints.
///
/// # Errors
/// When there are no models, or one of them cannot play.
pub(crate) fn play_ladder(
    game: &impl PlayedGame,
    args: &LadderArgs,
    settings: &Settings,
    resolved: &Resolved,
) -> anyhow::Result<Exit> {
    let mut models = models_of(&args.dir)?;
    models.drain(..models.len().saturating_sub(args.models as usize));
    let named = ANCHORS.into_iter().map(str::to_owned).chain(models.iter().map(|model| model.display().to_string()));
    let players = named.map(|name| Contestant::parse(&name, resolved)).collect::<anyhow::Result<Vec<_>>>()?;
    contestant::warn(&players);
    let mut signals = Signals::catch()?;
    let arena = Arena::open(settings, game, &players)?;
    let plan = MatchPlan {
        pairs: args.games.div_ceil(2),
        openings: opening_file::source(game, args.openings.as_deref(), args.opening_plies)?,
        seed: settings.play.seed.unwrap_or(0),
        sprt: None,
    };
    if let Some(dir) = &args.record {
        fs::create_dir_all(dir).with_context(|| format!("--record {}", dir.display()))?;
    }
    let pairings = pairings(players.len() - ANCHORS.len());
    let bar = progress_bar();
    let mut encounters = Vec::new();
    for (number, &[one, other]) in pairings.iter().enumerate() {
        let names = [one, other].map(|player| short(&players[player].name));
        bar.set_prefix(format!("match {} of {}, {} – {}: ", number + 1, pairings.len(), names[0], names[1]));
        let of_match = format!("{}_{}", names[0], names[1]);
        let record = args.record.as_ref().map(|dir| dir.join(format!("{of_match}.jsonl")));
        let games = args.games_dir.as_ref().map(|dir| dir.join(&of_match));
        let kept = Kept { record: record.as_deref(), games: games.as_deref() };
        let outcome = arena.play([&players[one], &players[other]], &plan, kept, &mut signals, &bar)?;
        tracing::info!(a = names[0], b = names[1], "{}", outcome.score.line());
        if outcome.ending == Ending::Interrupted {
            bar.finish_and_clear();
            tracing::error!(
                "stopped in match {} of {}; with --record it goes on from there",
                number + 1,
                pairings.len()
            );
            return Ok(Exit::CutShort);
        }
        encounters.push(Encounter { players: [one, other], pairs: outcome.score.pairs });
    }
    bar.finish_and_clear();
    let games = |number| {
        let of_it = encounters.iter().filter(move |encounter| encounter.players.contains(&number));
        of_it.map(|encounter| 2 * encounter.pairs.total()).sum()
    };
    let rated = players.iter().zip(ratings(players.len(), &encounters, 0)?).enumerate();
    let standings: Vec<_> =
        rated.map(|(number, (player, rating))| standing(&player.name, rating, games(number))).collect();
    if let Some(file) = &args.svg {
        let picture = picture(&game.title(), &standings, ANCHORS.len());
        fs::write(file, picture).with_context(|| format!("failed to write {}", file.display()))?;
    }
    streams::print(&if args.json { serde_json::to_string(&standings)? } else { text(&standings) })?;
    Ok(Exit::Clean)
}

fn standing(name: &str, Rating { elo, margin }: Rating, games: u64) -> Standing {
    Standing { player: short(name).to_owned(), elo, margin, games }
}

fn text(standings: &[Standing]) -> String {
    let mut rows = vec![["", "Elo", "±", "games"].map(str::to_owned).to_vec()];
    for Standing { player, elo, margin, games } in standings {
        rows.push(vec![player.clone(), format!("{elo:+.0}"), format!("{margin:.0}"), games.to_string()]);
    }
    format!("{}\n\nElo above {}, with the 95% interval of each difference", table(&rows), ANCHORS[0])
}

/// Who plays whom: anchors come first, then the models, oldest first.
fn pairings(models: usize) -> Vec<[usize; 2]> {
    let [first, last] = [ANCHORS.len(), ANCHORS.len() + models - 1];
    let mut pairings = vec![[0, 1], [first, 0], [first, 1]];
    pairings.extend((first..last).map(|model| [model + 1, model]));
    pairings.extend((first..).step_by(FAR).map(|model| [model + FAR, model]).take_while(|[newer, _]| *newer <= last));
    if last > first {
        pairings.push([last, 0]);
    }
    if last > first + 1 && last - first != FAR {
        pairings.push([last, first]);
    }
    pairings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_play_neighbours_some_others_and_the_anchors_and_all_are_joined() {
        assert_eq!(pairings(1), [[0, 1], [2, 0], [2, 1]]);
        assert_eq!(pairings(2), [[0, 1], [2, 0], [2, 1], [3, 2], [3, 0]]);
        for models in 1..30 {
            let all = pairings(models);
            let players = models + ANCHORS.len();
            let mut once = all.clone();
            once.iter_mut().for_each(|pair| pair.sort_unstable());
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), all.len(), "{models}: no two play each other twice: {all:?}");
            let even = selfplay_engine::rating::Tally([0, 0, 9, 0, 0]);
            let encounters: Vec<_> = all.iter().map(|&players| Encounter { players, pairs: even }).collect();
            assert!(ratings(players, &encounters, 0).is_ok(), "{models}: {all:?}");
        }
    }

    #[test]
    fn standings_are_told_to_people_and_drawn() {
        let standing = |player: &str, elo, margin| Standing { player: player.to_owned(), elo, margin, games: 120 };
        let standings = [
            standing("uniform", 0.0, 0.0),
            standing("random", -310.0, 80.0),
            standing("model_1", 40.0, 35.0),
            standing("model_2", 130.0, 38.0),
        ];
        insta::assert_snapshot!(text(&standings));
        let drawn = picture("connect_four", &standings, 2);
        assert_eq!(drawn.matches("<circle").count(), 4, "{drawn}");
        assert!(drawn.contains(">model_2</text>") && drawn.ends_with("</svg>\n"), "{drawn}");
    }
}
