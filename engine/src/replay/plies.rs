//! The arrays over all plies of a game, those that are no policy targets too: what value targets are computed from.

use std::io::{Read, Seek};

use ndarray::Array1;

use super::{
    arrays::{Archive, ReplayError},
    npy::Arrays,
    read::{ReadError, below, finite, optional, probable, shaped},
    record::{GameRecord, PlyKind, PlyNotes, PlyRecord},
};
use crate::game::Game;

/// Bits of [`PlyArrays::flags`].
pub mod flag {
    /// A policy target: one of the rows that trainers sample from, which have the plies with this bit in their order.
    pub const ROW: u8 = 1;
    /// The search drew at its root.
    pub const NOISE: u8 = 2;
    /// Values of more than one model are mixed in it.
    pub const MIXED: u8 = 4;
    /// The search proved its value.
    pub const PROVEN: u8 = 8;
    /// All of them.
    pub(super) const ALL: u8 = ROW | NOISE | MIXED | PROVEN;
}

/// One entry for every ply of a game (L), in order. Values are from the view of the ply's mover, who is player t mod 2 at ply t; NaN where
/// they are not known.
#[derive(Clone, Debug, PartialEq)]
pub struct PlyArrays {
    /// Policy index of the action played, game frame.
    pub actions: Array1<i32>,
    /// How the ply was found: its place in [`PlyKind::ALL`].
    pub kinds: Array1<u8>,
    /// What else is true of it: bits of [`flag`].
    pub flags: Array1<u8>,
    /// Simulations of its search, without those kept from an earlier move; 0 without a search.
    pub simulations: Array1<i32>,
    /// Value of the position by the search.
    pub root_values: Array1<f32>,
    /// What the network says of the position by itself.
    pub raw_values: Array1<f32>,
    /// Mean value of the best action: the one with the most visits.
    pub best_values: Array1<f32>,
    /// Mean value of the action played.
    pub played_values: Array1<f32>,
    /// Kullback-Leibler divergence of the policy target from the network's policy, in nats.
    pub divergences: Array1<f32>,
    /// Version of the newest model that had a say in the ply.
    pub model_versions: Array1<i64>,
    /// Probability of a draw by the search; `None` where the network never told.
    pub root_draws: Option<Array1<f32>>,
}

impl PlyArrays {
    /// Lays out the plies of a game.
    ///
    /// # Errors
    /// When a ply has a number that is none of those that stand there.
    pub(super) fn new<G: Game>(record: &GameRecord<G>) -> Result<Self, ReplayError> {
        record.plies.iter().enumerate().try_for_each(|(number, ply)| check(number, &ply.notes))?;
        fn all<G: Game, T>(record: &GameRecord<G>, entry: impl Fn(&PlyRecord<G>) -> T) -> Array1<T> {
            record.plies.iter().map(entry).collect()
        }
        Ok(Self {
            actions: all(record, |ply| i32::from(ply.action)),
            kinds: all(record, |ply| ply.notes.kind as u8),
            flags: all(record, flags),
            simulations: all(record, |ply| i32::try_from(ply.notes.simulations).unwrap_or(i32::MAX)),
            root_values: all(record, |ply| ply.root_value),
            raw_values: all(record, |ply| ply.notes.raw_value),
            best_values: all(record, |ply| ply.notes.best_value),
            played_values: all(record, |ply| ply.notes.played_value),
            divergences: all(record, |ply| ply.notes.divergence),
            model_versions: all(record, |ply| ply.model_version),
            root_draws: record.says_draws().then(|| all(record, |ply| ply.root_draw.or_nan())),
        })
    }

    /// Number of plies L.
    #[must_use]
    pub fn len(&self) -> usize {
        self.actions.len()
    }

    /// Whether there are none; no game is like that.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The plies that are policy targets: row r of the trainer's arrays is ply `rows()[r]`.
    #[must_use]
    pub fn rows(&self) -> Vec<usize> {
        (0..self.len()).filter(|&ply| self.flags[ply] & flag::ROW != 0).collect()
    }

    /// Appends all arrays but the one that is not always there.
    pub(super) fn write(&self, archive: &mut Archive) -> Result<(), ReplayError> {
        archive.add("all_actions", &self.actions)?;
        archive.add("all_kinds", &self.kinds)?;
        archive.add("all_flags", &self.flags)?;
        archive.add("all_simulations", &self.simulations)?;
        archive.add("all_root_values", &self.root_values)?;
        archive.add("all_raw_values", &self.raw_values)?;
        archive.add("all_best_values", &self.best_values)?;
        archive.add("all_played_values", &self.played_values)?;
        archive.add("all_divergences", &self.divergences)?;
        archive.add("all_model_versions", &self.model_versions)
    }

    /// Reads the arrays of an archive; `None` where another producer wrote it. All are there or none.
    pub(super) fn read<R: Read + Seek>(arrays: &mut Arrays<R>) -> Result<Option<Self>, ReadError> {
        let Some(actions) = optional(arrays, "all_actions")? else { return Ok(None) };
        let root_draws = optional(arrays, "all_root_draws")?;
        let missing = |name| move || ReadError::Missing { name };
        macro_rules! array {
            ($name:literal) => {
                optional(arrays, $name)?.ok_or_else(missing($name))?
            };
        }
        Ok(Some(Self {
            actions,
            kinds: array!("all_kinds"),
            flags: array!("all_flags"),
            simulations: array!("all_simulations"),
            root_values: array!("all_root_values"),
            raw_values: array!("all_raw_values"),
            best_values: array!("all_best_values"),
            played_values: array!("all_played_values"),
            divergences: array!("all_divergences"),
            model_versions: array!("all_model_versions"),
            root_draws,
        }))
    }

    /// Checks that the arrays fit each other, for a policy of `actions` actions.
    pub(super) fn check(&self, actions: usize) -> Result<(), ReadError> {
        let plies = &[self.len()];
        shaped("all_kinds", plies, &self.kinds)?;
        shaped("all_flags", plies, &self.flags)?;
        shaped("all_simulations", plies, &self.simulations)?;
        shaped("all_root_values", plies, &self.root_values)?;
        shaped("all_model_versions", plies, &self.model_versions)?;
        finite("all_root_values", &self.root_values)?;
        below("all_actions", actions, &self.actions)?;
        below("all_kinds", PlyKind::ALL.len(), &self.kinds.mapv(i32::from))?;
        below("all_flags", usize::from(flag::ALL) + 1, &self.flags.mapv(i32::from))?;
        below("all_simulations", usize::MAX, &self.simulations)?;
        for (name, values) in [
            ("all_raw_values", &self.raw_values),
            ("all_best_values", &self.best_values),
            ("all_played_values", &self.played_values),
            ("all_divergences", &self.divergences),
        ] {
            shaped(name, plies, values)?;
            if let Some(ply) = values.iter().position(|value| value.is_infinite()) {
                return Err(ReadError::NotFinite { name, ply, value: values[ply] });
            }
        }
        self.root_draws.iter().try_for_each(|draws| {
            shaped("all_root_draws", plies, draws)?;
            probable("all_root_draws", draws)
        })
    }
}

fn flags<G: Game>(ply: &PlyRecord<G>) -> u8 {
    let notes = &ply.notes;
    [(ply.is_row(), flag::ROW), (notes.noise, flag::NOISE), (notes.mixed, flag::MIXED), (notes.proven, flag::PROVEN)]
        .iter()
        .map(|&(holds, bit)| if holds { bit } else { 0 })
        .sum()
}

/// A number that is not known is NaN, and none is infinite.
fn check(ply: usize, notes: &PlyNotes) -> Result<(), ReplayError> {
    let &PlyNotes { weight, raw_value, best_value, played_value, divergence, .. } = notes;
    if !(0.0..f32::INFINITY).contains(&weight) {
        return Err(ReplayError::Weight { ply, weight });
    }
    let numbers = [
        ("the network's value", raw_value),
        ("the best action's value", best_value),
        ("the played action's value", played_value),
        ("the divergence of its policy", divergence),
    ];
    match numbers.iter().find(|(_, number)| number.is_infinite()) {
        Some(&(what, _)) => Err(ReplayError::NonFinite { ply, what }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::replay::{
        GameArrays, GameMetadata, ReadGame,
        table_game::{TableGame, small_game},
    };

    /// Three plies of which the second was found by a cheap search.
    fn game() -> (TableGame, GameRecord<TableGame>) {
        let (game, mut record) = small_game();
        let notes =
            PlyNotes { simulations: 7, raw_value: 0.5, best_value: -0.5, divergence: 2.0, ..PlyNotes::unknown(true) };
        record.plies[0].notes = PlyNotes { weight: 1.5, noise: true, played_value: 0.125, ..notes };
        record.plies[1].notes = PlyNotes { kind: PlyKind::Cheap, weight: 0.0, mixed: true, proven: true, ..notes };
        record.plies[1].model_version = 99;
        (game, record)
    }

    fn read(arrays: &GameArrays, record: &GameRecord<TableGame>) -> Result<ReadGame, ReadError> {
        let yaml = GameMetadata::new(record, 1, "", "").to_yaml().unwrap();
        ReadGame::read(Cursor::new(arrays.to_npz().unwrap()), &yaml)
    }

    #[test]
    fn plies_that_are_no_policy_targets_are_left_out_of_the_rows_and_keep_their_values() {
        let (game, record) = game();
        let arrays = GameArrays::new(&record, &game, ()).unwrap();
        let whole = GameArrays::new(&small_game().1, &game, ()).unwrap();
        assert_eq!(arrays.policies.row(1), whole.policies.row(2));
        assert_eq!(arrays.input_arrays.shape(), [2, 2, 3]);
        assert_eq!((arrays.values.to_vec(), arrays.players.to_vec()), (vec![1.0, 1.0], vec![0, 0]));
        assert_eq!(arrays.weights.to_vec(), [1.5, 1.0]);
        let all = &arrays.all;
        assert_eq!(all.rows(), [0, 2]);
        assert_eq!(all.actions, whole.all.actions);
        assert_eq!(all.kinds.to_vec(), [1, 2, 1]);
        assert_eq!(all.flags.to_vec(), [flag::ROW | flag::NOISE, flag::MIXED | flag::PROVEN, flag::ROW]);
        assert_eq!((all.simulations.to_vec(), all.model_versions.to_vec()), (vec![7, 7, 0], vec![40, 99, 42]));
        assert_eq!(all.root_values, whole.all.root_values);
        let bits = |values: &Array1<f32>| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let nan = f32::NAN;
        for (values, expected) in [
            (&all.raw_values, [0.5, 0.5, nan]),
            (&all.best_values, [-0.5, -0.5, nan]),
            (&all.played_values, [0.125, nan, nan]),
            (&all.divergences, [2.0, 2.0, nan]),
        ] {
            assert_eq!(bits(values), expected.map(f32::to_bits));
        }

        let read = read(&arrays, &record).unwrap();
        assert_eq!((read.metadata.game_length, read.rows(), read.plies()), (2, 2, 3));
        // NaN differs from itself.
        assert_eq!(format!("{:?}", read.all), format!("{:?}", Some(&arrays.all)));
        assert_eq!(read.weights, Some(arrays.weights));
    }

    #[test]
    fn a_game_of_nothing_but_cheap_plies_has_nothing_to_store() {
        let (game, mut record) = game();
        record.plies.iter_mut().for_each(|ply| ply.notes.weight = 0.0);
        assert!(matches!(GameArrays::new(&record, &game, ()), Err(ReplayError::NoRows)));
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        let error = |damage: fn(&mut PlyNotes)| {
            let (game, mut record) = game();
            damage(&mut record.plies[1].notes);
            GameArrays::new(&record, &game, ()).unwrap_err().to_string()
        };
        for weight in [-1.0, f32::NAN, f32::INFINITY] {
            let expected = format!("store ply 1: its weight is {weight}, which is not from 0 up");
            let (game, mut record) = game();
            record.plies[1].notes.weight = weight;
            assert_eq!(GameArrays::new(&record, &game, ()).unwrap_err().to_string(), expected);
        }
        for (damage, what) in [
            ((|notes| notes.raw_value = f32::INFINITY) as fn(&mut PlyNotes), "the network's value"),
            (|notes| notes.best_value = f32::NEG_INFINITY, "the best action's value"),
            (|notes| notes.played_value = f32::INFINITY, "the played action's value"),
            (|notes| notes.divergence = f32::INFINITY, "the divergence of its policy"),
        ] {
            assert_eq!(error(damage), format!("store ply 1: {what} is not a finite number"));
        }
    }

    #[test]
    fn arrays_that_do_not_fit_are_refused() {
        let error = |damage: fn(&mut GameArrays)| {
            let (game, record) = game();
            let mut arrays = GameArrays::new(&record, &game, ()).unwrap();
            damage(&mut arrays);
            read(&arrays, &record).unwrap_err().to_string()
        };
        for (damage, message) in [
            (
                (|arrays| arrays.all.flags[1] |= flag::ROW) as fn(&mut GameArrays),
                "use array all_flags: its shape is [3], not one with 2 rows, as the others have",
            ),
            (|arrays| arrays.all.flags[1] = 16, "use array all_flags: entry 16 of ply 1 is out of range"),
            (|arrays| arrays.all.kinds[2] = 4, "use array all_kinds: entry 4 of ply 2 is out of range"),
            (|arrays| arrays.all.simulations[0] = -1, "use array all_simulations: entry -1 of ply 0 is out of range"),
            (|arrays| arrays.all.actions[1] = 5, "use array all_actions: entry 5 of ply 1 is out of range"),
            (
                |arrays| arrays.all.root_values[1] = f32::NAN,
                "use array all_root_values: entry NaN of ply 1 is not finite",
            ),
            (
                |arrays| arrays.all.best_values[1] = f32::INFINITY,
                "use array all_best_values: entry inf of ply 1 is not finite",
            ),
            (|arrays| arrays.all.kinds = Array1::zeros(2), "use array all_kinds: its shape is [2], not [3]"),
            (
                |arrays| arrays.all.model_versions[2] = 1,
                "use array model_versions: it says something else of row 1 than the arrays over all plies",
            ),
            (
                |arrays| arrays.all.actions[2] = 0,
                "use array actions: it says something else of row 1 than the arrays over all plies",
            ),
            (
                |arrays| arrays.players[1] = 1,
                "use array players: it says something else of row 1 than the arrays over all plies",
            ),
            (|arrays| arrays.weights[1] = f32::NAN, "use array weights: entry NaN of row 1 is not from 0 up"),
        ] {
            assert_eq!(error(damage), message);
        }
    }
}
