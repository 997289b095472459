//! A table of many games. Memory is bounded by the number of games asked for: one game is read at a time.

use std::{
    collections::{BTreeSet, HashMap},
    io::Write,
    path::Path,
};

use anyhow::Context as _;
use selfplay_engine::{
    Outcome, Player,
    game::Notation,
    replay::{GameMetadata, ReadGame},
};

use super::archives;
use crate::boards::{
    game::{ShownGame, outcome_of},
    view::result_name,
};

/// The first moves of a game, by its own rules.
pub(super) type Opening<'a> = &'a dyn Fn(&ReadGame) -> anyhow::Result<Vec<String>>;

/// First plies that are shown, and that make an opening.
const OPENING: usize = 4;

/// Prints a table of the newest `most` games of `dir` and what they have in common; says on `notes` what cannot be read.
///
/// # Errors
/// When the directory cannot be listed, holds no game that can be read, or `out` does not take the table.
pub(super) fn summarise(
    dir: &Path,
    most: usize,
    opening: Opening<'_>,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> anyhow::Result<()> {
    let mut newest = BTreeSet::new();
    let mut found = 0_u64;
    for path in archives(dir)? {
        found += 1;
        newest.insert(path);
        if newest.len() > most {
            newest.pop_first();
        }
    }
    anyhow::ensure!(found > 0, "failed to find a game in {}: it holds no .npz file", dir.display());
    let mut sum = Sum::default();
    writeln!(
        out,
        "{:>5}  {:<6}  {:<15}  {:>7}  {:>6}  {:<20}  game",
        "plies", "result", "end", "model", "value", "moves"
    )?;
    for path in &newest {
        match Row::read(path, opening) {
            Ok(row) => {
                row.print(out)?;
                sum.add(&row);
            }
            Err(error) => {
                sum.skipped += 1;
                writeln!(notes, "skipped {}: {error:#}", name_of(path)).ok(); // The table matters more.
            }
        }
    }
    sum.print(found, out)?;
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The first moves of a game of `rules`.
///
/// # Errors
/// When it does not keep them.
pub(crate) fn opening(rules: &impl Notation, read: &ReadGame) -> anyhow::Result<Vec<String>> {
    let game = ShownGame::new(read, rules.clone())?;
    Ok(game.plies.iter().take(OPENING).map(|ply| game.rules.action_name(ply.action)).collect())
}

/// One game.
struct Row {
    name: String,
    plies: usize,
    outcome: Outcome,
    end: String,
    /// The oldest and the newest model that had a say.
    models: (i64, i64),
    /// Mean of the search's values, first player's view.
    value: Option<f32>,
    /// The first moves, where the file tells.
    opening: Option<Vec<String>>,
}

impl Row {
    fn read(npz: &Path, opening: Opening<'_>) -> anyhow::Result<Self> {
        let read =
            ReadGame::open(npz).map_err(|error| anyhow::anyhow!("failed to {:#}", anyhow::Error::from(error)))?;
        let GameMetadata { model_version, end_reason, .. } = &read.metadata;
        // Without actions there is no game to replay, but the rest can be told.
        let opening = read.actions.is_some().then(|| opening(&read)).transpose()?;
        let versions = read.model_versions.iter().flatten().copied();
        Ok(Self {
            name: name_of(npz),
            plies: read.plies(),
            outcome: outcome_of(&read),
            end: end_reason.clone().unwrap_or_else(|| "–".to_owned()),
            models: versions
                .fold((*model_version, *model_version), |(old, new), version| (old.min(version), new.max(version))),
            value: mean_value(&read),
            opening,
        })
    }

    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        let value = self.value.map_or_else(|| "–".to_owned(), |value| format!("{value:+.2}"));
        let opening = self.opening.as_ref().map_or_else(|| "–".to_owned(), |moves| moves.join(" "));
        writeln!(
            out,
            "{:>5}  {:<6}  {:<15}  {:>7}  {value:>6}  {opening:<20}  {}",
            self.plies,
            result_name(self.outcome),
            self.end,
            range(self.models),
            self.name
        )
    }
}

fn range((from, to): (i64, i64)) -> String {
    if from == to { from.to_string() } else { format!("{from}–{to}") }
}

fn mean_value(read: &ReadGame) -> Option<f32> {
    let values = read.root_values.as_ref().filter(|values| !values.is_empty())?;
    let signed = values.iter().zip(&read.players).map(|(&value, &player)| if player == 0 { value } else { -value });
    Some(signed.sum::<f32>() / values.len() as f32)
}

/// What games have in common.
#[derive(Default)]
struct Sum {
    games: u64,
    skipped: u64,
    /// Won by the first, by the second, drawn.
    results: [u64; 3],
    plies: u64,
    lengths: Option<(usize, usize)>,
    models: Option<(i64, i64)>,
    openings: HashMap<Vec<String>, u64>,
}

impl Sum {
    fn add(&mut self, row: &Row) {
        self.games += 1;
        self.results[match row.outcome {
            Outcome::Win(Player::First) => 0,
            Outcome::Win(Player::Second) => 1,
            Outcome::Draw(_) => 2,
        }] += 1;
        self.plies += row.plies as u64;
        let (least, most) = self.lengths.unwrap_or((row.plies, row.plies));
        self.lengths = Some((least.min(row.plies), most.max(row.plies)));
        let (oldest, newest) = self.models.unwrap_or(row.models);
        self.models = Some((oldest.min(row.models.0), newest.max(row.models.1)));
        if let Some(opening) = &row.opening {
            *self.openings.entry(opening.clone()).or_default() += 1;
        }
    }

    fn print(&self, found: u64, out: &mut impl Write) -> anyhow::Result<()> {
        let (least, most) = self.lengths.context("failed to read any of the games")?;
        let share = |count: u64| 100.0 * count as f64 / self.games as f64;
        let [first, second, draws] = self.results;
        let of = if found > self.games + self.skipped { format!(" of {found}, the newest") } else { String::new() };
        let skipped = if self.skipped > 0 { format!(", {} skipped", self.skipped) } else { String::new() };
        let games = if self.games == 1 { "game" } else { "games" };
        writeln!(out, "\n{} {games}{of}{skipped}", self.games)?;
        writeln!(
            out,
            "results   first {first} ({:.0}%), second {second} ({:.0}%), draw {draws} ({:.0}%)",
            share(first),
            share(second),
            share(draws)
        )?;
        writeln!(out, "length    {:.1} plies on average, {least} to {most}", self.plies as f64 / self.games as f64)?;
        writeln!(out, "models    {}", self.models.map_or_else(|| "–".to_owned(), range))?;
        let common = self.openings.iter().max_by(|(a, x), (b, y)| x.cmp(y).then_with(|| b.cmp(a)));
        if let Some((moves, count)) = common {
            let distinct = self.openings.len();
            let most = format!(", the most common {} in {count} of {}", moves.join(" "), self.games);
            writeln!(out, "openings  {distinct} of {OPENING} plies{}", if *count > 1 { most } else { String::new() })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::{Games, rules, write_games};

    fn of_quoridor(read: &ReadGame) -> anyhow::Result<Vec<String>> {
        opening(&rules(), read)
    }

    fn summary(dir: &Path, most: usize) -> (String, String) {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        summarise(dir, most, &of_quoridor, &mut out, &mut notes).unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap())
    }

    #[test]
    fn many_games_are_a_table() {
        let Games { dir, .. } = write_games(6);
        insta::assert_snapshot!(summary(dir.path(), 100).0);
        let (newest, notes) = summary(dir.path(), 2);
        assert!(newest.contains("2 games of 6, the newest\n") && !newest.contains("game_0003"), "{newest}");
        assert!(newest.contains("game_0004") && newest.contains("game_0005") && notes.is_empty(), "{newest}{notes}");
    }

    #[test]
    fn what_cannot_be_read_is_skipped_with_a_word() {
        let Games { dir, archives } = write_games(3);
        fs::write(&archives[0], b"no archive").unwrap();
        fs::remove_file(archives[1].with_extension("yaml")).unwrap();
        let (table, notes) = summary(dir.path(), 100);
        assert!(table.contains("1 game, 2 skipped\n") && table.contains("game_0002"), "{table}");
        let notes: Vec<_> = notes.lines().collect();
        assert!(notes.len() == 2 && notes[0].starts_with("skipped game_0000: failed to read the archive"), "{notes:?}");
        assert!(notes[1].starts_with("skipped game_0001: failed to read ") && notes[1].contains("yaml"), "{notes:?}");
        fs::write(&archives[2], b"").unwrap();
        let error = summarise(dir.path(), 100, &of_quoridor, &mut Vec::new(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "failed to read any of the games");
    }
}
