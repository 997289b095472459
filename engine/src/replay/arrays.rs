//! The arrays of a finished game, and the `.npz` file the trainer reads them from (contract, section 5).
//!
//! A row that the trainer would choke on or learn garbage from is an error here, so that it never reaches a file.

use std::io::Cursor;

use ndarray::{Array, Array1, Array2, ArrayD, Axis, Dimension, IxDyn};
use ndarray_npy::{WritableElement, WriteNpyError, WriteNpyExt};
use thiserror::Error;
use zip::{CompressionMethod, DateTime, ZipWriter, result::ZipError, write::SimpleFileOptions};

use super::{
    plies::PlyArrays,
    record::{GameRecord, PlyRecord},
};
use crate::game::{Action, ActionSet, Game, Player};

/// How far the sum of a stored policy row may be from 1.
pub const POLICY_SUM_TOLERANCE: f32 = 1e-4;

/// Why a finished game cannot be turned into files.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The game has no plies: the trainer cannot sample from it.
    #[error("store a game without plies")]
    NoPlies,
    /// No ply of the game is a policy target: there is nothing for the trainer to sample.
    #[error("store a game without policy targets")]
    NoRows,
    /// A weight is negative or no number.
    #[error("store ply {ply}: its weight is {weight}, which is not from 0 up")]
    Weight {
        /// Number of the ply, from 0.
        ply: usize,
        /// The weight on record.
        weight: f32,
    },
    /// A ply was played by the player whose turn it was not.
    #[error("store ply {ply}: it was played by player {found} out of turn")]
    WrongPlayer {
        /// Number of the ply, from 0.
        ply: usize,
        /// Index of the player on record.
        found: usize,
    },
    /// An action that was played, or has a share of the policy, is not legal.
    #[error("store ply {ply}: {role} action {action} is not legal")]
    IllegalAction {
        /// Number of the ply, from 0.
        ply: usize,
        /// `played` (then `action` is in the game frame) or `target` (network frame).
        role: &'static str,
        /// The policy index.
        action: Action,
    },
    /// An action has two shares of one policy.
    #[error("store ply {ply}: action {action} has two targets")]
    DuplicateTarget {
        /// Number of the ply, from 0.
        ply: usize,
        /// The policy index, network frame.
        action: Action,
    },
    /// A share of the policy is negative.
    #[error("store ply {ply}: action {action} has the negative probability {probability}")]
    NegativeProbability {
        /// Number of the ply, from 0.
        ply: usize,
        /// The policy index, network frame.
        action: Action,
        /// Its share.
        probability: f32,
    },
    /// The shares of a policy do not sum to 1 within [`POLICY_SUM_TOLERANCE`].
    #[error("store ply {ply}: its policy sums to {sum}, not 1")]
    PolicySum {
        /// Number of the ply, from 0.
        ply: usize,
        /// The sum found.
        sum: f32,
    },
    /// A number is NaN or infinite.
    #[error("store ply {ply}: {what} is not a finite number")]
    NonFinite {
        /// Number of the ply, from 0.
        ply: usize,
        /// Which number.
        what: &'static str,
    },
    /// A probability of a draw is none.
    #[error("store ply {ply}: a draw with the probability {probability}, which is not from 0 to 1")]
    DrawProbability {
        /// Number of the ply, from 0.
        ply: usize,
        /// The probability on record.
        probability: f32,
    },
    /// A visit count does not fit the file's 32-bit integers.
    #[error("store ply {ply}: {visits} visits of action {action} do not fit 32 bits")]
    TooManyVisits {
        /// Number of the ply, from 0.
        ply: usize,
        /// The policy index, network frame.
        action: Action,
        /// Visits on record.
        visits: u32,
    },
    /// The archive around the arrays could not be written.
    #[error("write the archive of a game")]
    Archive(#[source] ZipError),
    /// One array could not be written.
    #[error("write array {name} of a game")]
    Array {
        /// Name of the array, without `.npy`.
        name: &'static str,
        /// What went wrong.
        #[source]
        source: WriteNpyError,
    },
}

/// The checked arrays of one game; T plies that are policy targets, policy size A. A row is the position before such a ply.
#[derive(Clone, Debug, PartialEq)]
pub struct GameArrays {
    /// Network input (T, …input shape), network frame.
    pub input_arrays: ArrayD<f32>,
    /// Training policy (T, A), network frame. Each row sums to 1 over legal actions.
    pub policies: Array2<f32>,
    /// 1 for legal actions, else 0 (T, A), network frame.
    pub action_masks: Array2<f32>,
    /// Outcome from the mover's view (T): 1, −1 or 0.
    pub values: Array1<f32>,
    /// Index of the mover (T).
    pub players: Array1<i32>,
    /// Policy index of the action played (T), game frame.
    pub actions: Array1<i32>,
    /// Value of the position by the search (T), mover's view.
    pub root_values: Array1<f32>,
    /// Visits of the root's children (T, A), network frame.
    pub visit_counts: Array2<i32>,
    /// Version of the newest model that had a say in the ply (T).
    pub model_versions: Array1<i64>,
    /// Weight as a policy target (T), above 0.
    pub weights: Array1<f32>,
    /// All plies, those that are no policy targets too.
    pub all: PlyArrays,
    /// Probability of a draw by the search (T), the same from either player's view; NaN for plies where the network did not say.
    /// `None` where it never did.
    pub root_draws: Option<Array1<f32>>,
}

impl GameArrays {
    /// Lays out a finished game, with its positions encoded as `encoding`.
    ///
    /// # Errors
    /// When the game has no plies, or any row is not what the trainer can learn from; see [`ReplayError`].
    pub fn new<G: Game>(record: &GameRecord<G>, game: &G, encoding: G::Encoding) -> Result<Self, ReplayError> {
        if record.plies.is_empty() {
            return Err(ReplayError::NoPlies);
        }
        let plies = record.rows().count();
        if plies == 0 {
            return Err(ReplayError::NoRows);
        }
        let actions = game.policy_size();
        let mut input_shape = vec![plies];
        input_shape.extend(game.input_shape(encoding));

        let mut arrays = Self {
            input_arrays: ArrayD::zeros(IxDyn(&input_shape)),
            policies: Array2::zeros((plies, actions)),
            action_masks: Array2::zeros((plies, actions)),
            values: Array1::zeros(plies),
            players: Array1::zeros(plies),
            actions: Array1::zeros(plies),
            root_values: Array1::zeros(plies),
            visit_counts: Array2::zeros((plies, actions)),
            model_versions: Array1::zeros(plies),
            weights: record.rows().map(|ply| ply.notes.weight).collect(),
            all: PlyArrays::new(record)?,
            root_draws: record.says_draws().then(|| record.rows().map(|ply| ply.root_draw.or_nan()).collect()),
        };
        let mut planes = vec![0.0; input_shape[1..].iter().product()];
        let mut next = 0..;
        for (number, ply) in record.plies.iter().enumerate() {
            check_ply(number, ply, game)?;
            let Some(row) = ply.is_row().then(|| next.next()).flatten() else { continue };
            game.encode(encoding, &ply.leaf.position, &mut planes);
            if !planes.iter().all(|entry| entry.is_finite()) {
                return Err(ReplayError::NonFinite { ply: number, what: "the network input" });
            }
            let mut input = arrays.input_arrays.index_axis_mut(Axis(0), row);
            for (to, from) in input.iter_mut().zip(&planes) {
                *to = *from;
            }
            arrays.fill_row(row, number, ply)?;
            arrays.values[row] = record.outcome.value_for(ply.player);
        }
        Ok(arrays)
    }

    /// Fills all of a row but its input and value, with the ply of this number.
    fn fill_row<G: Game>(&mut self, row: usize, number: usize, ply: &PlyRecord<G>) -> Result<(), ReplayError> {
        for action in ply.leaf.legal.iter() {
            self.action_masks[[row, usize::from(action)]] = 1.0;
        }
        let mut seen = G::Actions::default();
        let mut sum = 0.0;
        for target in &ply.targets {
            let (action, cell) = (target.action, [row, usize::from(target.action)]);
            if seen.contains(action) {
                return Err(ReplayError::DuplicateTarget { ply: number, action });
            }
            seen.insert(action);
            self.policies[cell] = target.probability;
            self.visit_counts[cell] = i32::try_from(target.visits).map_err(|_| ReplayError::TooManyVisits {
                ply: number,
                action,
                visits: target.visits,
            })?;
            sum += f64::from(target.probability);
        }
        if (sum - 1.0).abs() > f64::from(POLICY_SUM_TOLERANCE) {
            return Err(ReplayError::PolicySum { ply: number, sum: sum as f32 });
        }
        self.players[row] = ply.player.index() as i32;
        self.actions[row] = i32::from(ply.action);
        self.root_values[row] = ply.root_value;
        self.model_versions[row] = ply.model_version;
        Ok(())
    }

    /// The `.npz` archive: uncompressed, the trainer's five arrays first, the same bytes for the same arrays.
    ///
    /// # Errors
    /// When an array exceeds the 4 GiB that an archive can hold.
    pub fn to_npz(&self) -> Result<Vec<u8>, ReplayError> {
        let room = 4 * (self.input_arrays.len() + 3 * self.policies.len()) + 8 * 1024;
        let mut archive = Archive(ZipWriter::new(Cursor::new(Vec::with_capacity(room))));
        archive.add("input_arrays", &self.input_arrays)?;
        archive.add("policies", &self.policies)?;
        archive.add("action_masks", &self.action_masks)?;
        archive.add("values", &self.values)?;
        archive.add("players", &self.players)?;
        archive.add("actions", &self.actions)?;
        archive.add("root_values", &self.root_values)?;
        archive.add("visit_counts", &self.visit_counts)?;
        archive.add("model_versions", &self.model_versions)?;
        archive.add("weights", &self.weights)?;
        self.all.write(&mut archive)?;
        self.root_draws.iter().try_for_each(|draws| archive.add("root_draws", draws))?;
        self.all.root_draws.iter().try_for_each(|draws| archive.add("all_root_draws", draws))?;
        Ok(archive.0.finish().map_err(ReplayError::Archive)?.into_inner())
    }
}

/// Checks what concerns one ply alone: the mover, the numbers, and that every action named is legal.
fn check_ply<G: Game>(row: usize, ply: &PlyRecord<G>, game: &G) -> Result<(), ReplayError> {
    let mover = Player::at_ply(row as u32);
    if ply.player != mover {
        return Err(ReplayError::WrongPlayer { ply: row, found: ply.player.index() });
    }
    if !ply.root_value.is_finite() {
        return Err(ReplayError::NonFinite { ply: row, what: "the root value" });
    }
    if let Some(probability) = ply.root_draw.known().filter(|draw| !(0.0..=1.0).contains(draw)) {
        return Err(ReplayError::DrawProbability { ply: row, probability });
    }
    // Sets of actions may panic when asked for a policy index that does not exist.
    let exists = |action: Action| usize::from(action) < game.policy_size();
    if !exists(ply.action) || !ply.leaf.legal.contains(game.turn_action(mover, ply.action)) {
        return Err(ReplayError::IllegalAction { ply: row, role: "played", action: ply.action });
    }
    for target in &ply.targets {
        if !exists(target.action) || !ply.leaf.legal.contains(target.action) {
            return Err(ReplayError::IllegalAction { ply: row, role: "target", action: target.action });
        }
        if !target.probability.is_finite() {
            return Err(ReplayError::NonFinite { ply: row, what: "a probability" });
        }
        if target.probability < 0.0 {
            let (action, probability) = (target.action, target.probability);
            return Err(ReplayError::NegativeProbability { ply: row, action, probability });
        }
    }
    Ok(())
}

/// A `.npz` file in the making.
pub(super) struct Archive(ZipWriter<Cursor<Vec<u8>>>);

impl Archive {
    /// Appends one array.
    pub(super) fn add<T: WritableElement, D: Dimension>(
        &mut self,
        name: &'static str,
        array: &Array<T, D>,
    ) -> Result<(), ReplayError> {
        // A fixed time of change: with the clock in it, the same game would give other bytes.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::DEFAULT)
            .unix_permissions(0o644);
        self.0.start_file(format!("{name}.npy"), options).map_err(ReplayError::Archive)?;
        array.write_npy(&mut self.0).map_err(|source| ReplayError::Array { name, source })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::{
        super::table_game::{TableGame, small_game, target},
        *,
    };
    use crate::{
        evaluation::DrawChance,
        game::{Draw, Outcome},
    };

    /// The error of a game whose ply 1 was changed by `damage`.
    fn error_of(damage: impl FnOnce(&mut PlyRecord<TableGame>)) -> ReplayError {
        let (game, mut record) = small_game();
        damage(&mut record.plies[1]);
        GameArrays::new(&record, &game, ()).unwrap_err()
    }

    #[test]
    fn rows_are_in_the_network_frame_and_actions_in_the_game_s() {
        let (game, record) = small_game();
        let arrays = GameArrays::new(&record, &game, ()).unwrap();
        assert_eq!(arrays.input_arrays.shape(), [3, 2, 3]);
        assert_eq!(arrays.input_arrays.as_slice().unwrap(), game.planes.as_slice());
        let policies = array![[0.25, 0.0, 0.0, 0.0, 0.75], [0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5, 0.0]];
        assert_eq!(arrays.policies, policies);
        let masks = array![[1.0, 1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0, 0.0], [1.0; 5]];
        assert_eq!(arrays.action_masks, masks);
        assert_eq!(arrays.values, array![1.0, -1.0, 1.0]);
        assert_eq!(arrays.players, array![0, 1, 0]);
        assert_eq!(arrays.actions, array![4, 3, 2]);
        assert_eq!(arrays.root_values, array![0.25, -0.75, -1.75]);
        assert_eq!(arrays.visit_counts, array![[1, 0, 0, 0, 3], [0, 8, 0, 0, 0], [0, 0, 1, 1, 0]]);
        assert_eq!(arrays.model_versions, array![40, 41, 42]);
    }

    #[test]
    fn a_draw_is_worth_nothing_to_either_side() {
        let (game, mut record) = small_game();
        record.outcome = Outcome::Draw(Draw::Rule);
        assert_eq!(GameArrays::new(&record, &game, ()).unwrap().values, array![0.0, 0.0, 0.0]);
    }

    #[test]
    fn the_same_game_gives_the_same_bytes() {
        let (game, record) = small_game();
        let arrays = GameArrays::new(&record, &game, ()).unwrap();
        let bytes = arrays.to_npz().unwrap();
        assert_eq!(bytes, GameArrays::new(&record.clone(), &game, ()).unwrap().to_npz().unwrap());
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        for number in 0..archive.len() {
            let member = archive.by_index(number).unwrap();
            assert_eq!(member.last_modified(), Some(DateTime::DEFAULT));
            assert_eq!(member.compression(), CompressionMethod::Stored);
        }
    }

    #[test]
    fn draws_are_told_where_any_ply_knows_of_one() {
        let (game, mut record) = small_game();
        let before = GameArrays::new(&record, &game, ()).unwrap();
        assert_eq!(before.root_draws, None);
        record.plies[1].root_draw = DrawChance::new(0.25);
        let arrays = GameArrays::new(&record, &game, ()).unwrap();
        let draws: Vec<_> = arrays.root_draws.iter().flatten().map(|draw| draw.to_bits()).collect();
        assert_eq!(draws, [f32::NAN, 0.25, f32::NAN].map(f32::to_bits));
        // The new array comes after all that was there, which stays as it was.
        let members = |arrays: &GameArrays| {
            let mut archive = zip::ZipArchive::new(Cursor::new(arrays.to_npz().unwrap())).unwrap();
            let count = archive.len();
            let mut read = |number| {
                let mut member = archive.by_index(number).unwrap();
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut member, &mut bytes).unwrap();
                (member.name().unwrap().into_owned(), bytes)
            };
            (0..count).map(&mut read).collect::<Vec<_>>()
        };
        let (without, with) = (members(&before), members(&arrays));
        assert_eq!(with[..without.len()], without);
        let added: Vec<_> = with[without.len()..].iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(added, ["root_draws.npy", "all_root_draws.npy"]);
    }

    #[test]
    fn a_draw_that_is_no_probability_is_refused() {
        for probability in [-0.1, 1.5, f32::INFINITY] {
            let error = error_of(|ply| ply.root_draw = DrawChance::new(probability)).to_string();
            let expected = format!("store ply 1: a draw with the probability {probability}, which is not from 0 to 1");
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn a_game_without_plies_is_refused() {
        let (game, mut record) = small_game();
        record.plies.clear();
        assert!(matches!(GameArrays::new(&record, &game, ()), Err(ReplayError::NoPlies)));
    }

    #[test]
    fn policies_that_are_no_distribution_are_refused() {
        for (probability, message) in [
            (0.9998, "store ply 1: its policy sums to 0.9998, not 1"),
            (1.0002, "store ply 1: its policy sums to 1.0002, not 1"),
            (f32::NAN, "store ply 1: a probability is not a finite number"),
            (f32::INFINITY, "store ply 1: a probability is not a finite number"),
            (-0.5, "store ply 1: action 1 has the negative probability -0.5"),
        ] {
            assert_eq!(error_of(|ply| ply.targets[0].probability = probability).to_string(), message);
        }
        assert!(matches!(error_of(|ply| ply.targets.clear()), ReplayError::PolicySum { ply: 1, sum: 0.0 }));
        let twice = error_of(|ply| ply.targets = vec![target(1, 1, 0.5), target(1, 1, 0.5)]);
        assert!(matches!(twice, ReplayError::DuplicateTarget { ply: 1, action: 1 }));
    }

    #[test]
    fn rounding_in_a_policy_is_no_error() {
        let (game, mut record) = small_game();
        record.plies[1].targets[0].probability = 0.99995;
        assert!(GameArrays::new(&record, &game, ()).is_ok());
    }

    #[test]
    fn illegal_actions_are_refused() {
        for action in [0, 5, 255, Action::MAX] {
            let targets = error_of(|ply| ply.targets = vec![target(action, 1, 1.0)]);
            assert!(matches!(targets, ReplayError::IllegalAction { ply: 1, role: "target", .. }), "{action}");
            let played = error_of(|ply| ply.action = action);
            assert!(matches!(played, ReplayError::IllegalAction { ply: 1, role: "played", .. }), "{action}");
        }
    }

    #[test]
    fn movers_out_of_turn_and_senseless_numbers_are_refused() {
        assert!(matches!(error_of(|ply| ply.player = Player::First), ReplayError::WrongPlayer { ply: 1, found: 0 }));
        assert!(matches!(error_of(|ply| ply.root_value = f32::NAN), ReplayError::NonFinite { ply: 1, .. }));
        let visits = 1 << 31;
        assert!(matches!(error_of(|ply| ply.targets[0].visits = visits), ReplayError::TooManyVisits { ply: 1, .. }));
        let (mut game, record) = small_game();
        let mut planes = game.planes.to_vec();
        planes[17] = f32::NAN;
        game.planes = std::sync::Arc::new(planes);
        assert!(matches!(GameArrays::new(&record, &game, ()), Err(ReplayError::NonFinite { ply: 2, .. })));
    }
}
