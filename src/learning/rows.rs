//! What is kept of each model version, and how much of it: lines of a file, merged over processes. Plain state: no file.

use std::collections::BTreeMap;

use selfplay_actors::{changes::ModelChange, learning::VersionSums, standings::Standings};
use serde::{Deserialize, Serialize};

/// The newest versions are all kept.
const NEWEST: usize = 128;
/// Of older ones so many, evenly over their numbers.
const OLDER: usize = 128;

/// All that is kept of a version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Row {
    /// The trainer's number.
    pub version: i64,
    /// When it was seen first, in seconds since 1970.
    pub first_unix: f64,
    /// When something was added last.
    pub unix: f64,
    /// Its games.
    pub sums: VersionSums,
    /// Its rating and half of the 95% interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elo: Option<[f64; 2]>,
    /// What it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<ModelChange>,
}

impl Row {
    /// Notes what the model changed, if that says more than what is known, or as much later; whether it did. A daemon that starts with a
    /// model has nothing to compare it with.
    fn note_change(&mut self, change: &ModelChange) -> bool {
        let worth = |change: &ModelChange| (change.against.is_some(), change.unix);
        let is_news = self.change.as_ref().is_none_or(|known| worth(known) < worth(change));
        if is_news {
            self.change = Some(change.clone());
        }
        is_news
    }
}

/// Rows by version.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rows(BTreeMap<i64, Row>);

impl Rows {
    /// All, the oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.0.values()
    }

    fn row(&mut self, version: i64, unix: f64) -> &mut Row {
        self.0.entry(version).or_insert_with(|| Row { version, first_unix: unix, unix, ..Row::default() })
    }

    /// Adds finished games.
    pub(super) fn learn(&mut self, version: i64, sums: &VersionSums, unix: f64) {
        let row = self.row(version, unix);
        row.sums.merge(sums);
        row.unix = unix;
        self.thin();
    }

    /// Notes what models changed and how they are rated; whether anything of that is new.
    pub(super) fn note(&mut self, changes: &[ModelChange], standings: Option<&Standings>, unix: f64) -> bool {
        let mut any = false;
        for change in changes {
            any |= self.row(change.version, change.unix).note_change(change);
        }
        let rated = standings.into_iter().flat_map(|standings| &standings.rated);
        for (version, elo) in rated.filter_map(|rated| Some((rated.version?, [rated.elo, rated.margin]))) {
            // One that is not kept any more, or has no game yet, is passed over.
            if let Some(row) = self.0.get_mut(&version).filter(|row| row.elo != Some(elo)) {
                (row.elo, row.unix) = (Some(elo), unix);
                any = true;
            }
        }
        if any {
            self.thin();
        }
        any
    }

    /// Adds another row; of what is not a sum the newest counts.
    pub(super) fn add(&mut self, row: &Row) {
        match self.0.get_mut(&row.version) {
            None => drop(self.0.insert(row.version, row.clone())),
            Some(own) => {
                own.sums.merge(&row.sums);
                own.first_unix = own.first_unix.min(row.first_unix);
                if row.unix >= own.unix || own.elo.is_none() {
                    own.elo = row.elo.or(own.elo);
                }
                if let Some(change) = &row.change {
                    own.note_change(change);
                }
                own.unix = own.unix.max(row.unix);
            }
        }
    }

    /// Adds all rows of another process.
    pub(super) fn merge(&mut self, other: &Self) {
        other.iter().for_each(|row| self.add(row));
        self.thin();
    }

    /// Keeps the newest versions, and of the older ones the newest of each span of numbers. Spans are powers of two and begin at multiples
    /// of their width, so that all processes keep the same ones, and what is dropped once is not missed later.
    fn thin(&mut self) {
        let Some(excess) = self.0.len().checked_sub(NEWEST + OLDER).filter(|&excess| excess > 0) else { return };
        let old: Vec<i64> = self.0.keys().copied().take(OLDER + excess).collect();
        for width in (0..63).map(|power| 1_i64 << power) {
            let mut kept: Vec<i64> = Vec::with_capacity(OLDER);
            for &version in &old {
                match kept.last_mut().filter(|last| last.div_euclid(width) == version.div_euclid(width)) {
                    Some(last) => *last = version,
                    None => kept.push(version),
                }
            }
            // Some room, so that this is not done for each version.
            if kept.len() <= OLDER / 2 {
                self.0.retain(|version, _| {
                    old.last().is_some_and(|last| version > last) || kept.binary_search(version).is_ok()
                });
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use selfplay_actors::{changes::Difference, standings::Rated};

    use super::*;

    fn games(games: u64) -> VersionSums {
        VersionSums { games, ..VersionSums::default() }
    }

    fn change(version: i64, unix: f64) -> ModelChange {
        let against =
            Difference { version: 1, policy_kl: 0.1, policy_kl_max: 0.2, value_change: 0.1, value_change_max: 0.2 };
        ModelChange {
            version,
            unix,
            against: Some(against),
            largest_logit: 3.0,
            entropy_share: 0.5,
            one_hot_share: 0.0,
            alarms: Vec::new(),
        }
    }

    #[test]
    fn games_add_up_and_ratings_are_those_of_the_last_word() {
        let mut rows = Rows::default();
        rows.learn(3, &games(5), 10.0);
        rows.learn(3, &games(2), 20.0);
        let rated = Rated { player: "3".into(), version: Some(3), elo: 50.0, margin: 9.0, games: 40 };
        let standings = Standings { rated: vec![rated], ..Standings::default() };
        assert!(rows.note(&[change(3, 9.0)], Some(&standings), 30.0));
        assert!(!rows.note(&[change(3, 9.0)], Some(&standings), 40.0), "nothing is new");
        let row = rows.iter().next().unwrap();
        assert_eq!((row.sums.games, row.first_unix, row.elo), (7, 10.0, Some([50.0, 9.0])));

        let mut other = Rows::default();
        other.learn(3, &games(1), 5.0);
        other.learn(4, &games(1), 50.0);
        let (mut here, mut there) = (rows.clone(), other.clone());
        here.merge(&other);
        there.merge(&rows);
        assert_eq!(here, there, "whoever merges whom");
        let row = here.iter().next().unwrap();
        assert_eq!((row.sums.games, row.first_unix, row.elo, row.change.is_some()), (8, 5.0, Some([50.0, 9.0]), true));
    }

    #[test]
    fn a_daemon_that_starts_again_does_not_forget_what_a_model_changed() {
        let mut rows = Rows::default();
        assert!(rows.note(&[change(3, 9.0)], None, 9.0));
        let afresh = ModelChange { against: None, ..change(3, 20.0) };
        assert!(!rows.note(std::slice::from_ref(&afresh), None, 20.0));
        let mut other = Rows::default();
        assert!(other.note(&[afresh], None, 20.0));
        let of = |rows: &Rows| rows.iter().next().unwrap().change.clone();
        rows.merge(&other);
        other.merge(&rows);
        assert_eq!((of(&rows), of(&other)), (Some(change(3, 9.0)), Some(change(3, 9.0))));
        assert!(rows.note(&[change(3, 30.0)], None, 30.0));
        assert_eq!(of(&rows), Some(change(3, 30.0)));
    }

    #[test]
    fn the_newest_are_kept_and_older_ones_thinned_evenly_and_alike_in_all_processes() {
        let (mut all, mut late) = (Rows::default(), Rows::default());
        for version in 0..5000 {
            all.learn(version, &games(1), 1.0);
            if version >= 1000 {
                late.learn(version, &games(1), 1.0);
            }
            assert!(all.0.len() <= NEWEST + OLDER);
        }
        let versions = |rows: &Rows| rows.iter().map(|row| row.version).collect::<Vec<_>>();
        let kept = versions(&all);
        assert_eq!(kept[kept.len() - NEWEST..], (5000 - NEWEST as i64..5000).collect::<Vec<_>>());
        assert!(kept[0] < 300, "{kept:?}");
        let gaps = kept.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(gaps <= 256, "{kept:?}");
        all.merge(&late);
        assert!(all.0.len() <= NEWEST + OLDER);
    }

    #[test]
    fn versions_far_apart_and_negative_ones_are_bounded_too() {
        let mut rows = Rows::default();
        for step in 0..600 {
            rows.learn(i64::MIN / 2 + step * (1 << 50), &games(1), 1.0);
            rows.learn(-step, &games(1), 1.0);
            assert!(rows.0.len() <= NEWEST + OLDER);
        }
    }
}
