//! Reads a game back from its two files: for people, for tests, and to compare producers.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek},
    path::{Path, PathBuf},
};

use ndarray::{Array, Array1, Array2, ArrayD, Axis, Dimension};
use thiserror::Error;
use zip::result::ZipError;

use super::{
    metadata::{GameMetadata, MetadataError},
    npy::{Arrays, Element, HeaderError},
    plies::PlyArrays,
};

/// Longest YAML file read, in bytes; ours have some hundred.
const MAX_YAML_BYTES: u64 = 64 << 10;

/// Why a game cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A file cannot be opened or read.
    #[error("read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The YAML file does not hold a game's metadata.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The file is not a zip archive, or its end is missing.
    #[error("read the archive of a game")]
    Archive(#[source] ZipError),
    /// The archive has two members of one name.
    #[error("read the archive of a game: it has two members of one name")]
    Duplicate,
    /// An array that the trainer needs is not there.
    #[error("find array {name}: the archive has no such member")]
    Missing {
        /// Name of the array, without `.npy`.
        name: &'static str,
    },
    /// An array's bytes cannot be read from the archive.
    #[error("read array {name} from the archive")]
    Member {
        /// Name of the array, without `.npy`.
        name: &'static str,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// An array does not begin like an `.npy` file of numbers.
    #[error("read the header of array {name}")]
    Header {
        /// Name of the array, without `.npy`.
        name: &'static str,
        /// What is wrong with it.
        #[source]
        source: HeaderError,
    },
    /// The arrays are larger than those of any game, or than a stranger's may be.
    #[error("read array {name}: with its {bytes} bytes the arrays have more than the {most} that they may have")]
    Large {
        /// Name of the array, without `.npy`.
        name: &'static str,
        /// Its bytes.
        bytes: u64,
        /// Most bytes of all arrays.
        most: u64,
    },
    /// An array's elements have another type than the contract says.
    #[error("use array {name}: its elements are {found}, not {expected}")]
    Type {
        /// Name of the array, without `.npy`.
        name: &'static str,
        /// numpy's names of the types accepted.
        expected: &'static str,
        /// numpy's name of the type found.
        found: String,
    },
    /// An array holds more or fewer bytes than its shape needs.
    #[error("use array {name}: {bytes} bytes do not fill shape {shape:?}")]
    Length {
        /// Name of the array, without `.npy`.
        name: &'static str,
        /// The shape in its header.
        shape: Vec<usize>,
        /// Bytes after the header.
        bytes: u64,
    },
    /// An array's shape does not fit the other arrays, or the game's length in the metadata.
    #[error("use array {name}: its shape is {found:?}, not {expected}")]
    Shape {
        /// Name of the array, without `.npy`.
        name: &'static str,
        /// The shape needed, in words.
        expected: String,
        /// The shape found.
        found: Vec<usize>,
    },
    /// An entry is infinite or no number.
    #[error("use array {name}: entry {value} of ply {ply} is not finite")]
    NotFinite {
        /// Name of the array, without `.npy`.
        name: &'static str,
        /// Number of the ply, from 0.
        ply: usize,
        /// The entry.
        value: f32,
    },
    /// An entry is neither a probability nor NaN.
    #[error("use array {name}: entry {value} of ply {ply} is neither from 0 to 1 nor NaN")]
    NoProbability {
        /// Name of the array, without `.npy`.
        name: &'static str,
        /// Number of the ply, from 0.
        ply: usize,
        /// The entry.
        value: f32,
    },
    /// A mover is neither 0 nor 1, or an action is no policy index.
    #[error("use array {name}: entry {value} of ply {ply} is out of range")]
    Range {
        /// Name of the array, without `.npy`.
        name: &'static str,
        /// Number of the ply, from 0.
        ply: usize,
        /// The entry.
        value: i32,
    },
    /// The arrays over all plies say something else of a row than the trainer's.
    #[error("use array {name}: it says something else of row {row} than the arrays over all plies")]
    Disagree {
        /// Name of the array, without `.npy`.
        name: &'static str,
        /// Number of the row, from 0.
        row: usize,
    },
    /// A weight is negative, infinite or no number.
    #[error("use array weights: entry {value} of row {row} is not from 0 up")]
    Weight {
        /// Number of the row, from 0.
        row: usize,
        /// The entry.
        value: f32,
    },
}

/// A game read back; T plies that are policy targets, policy size A. A row is the position before such a ply.
///
/// All that may be missing are this daemon's additions: `None` in the files of other producers.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadGame {
    /// The YAML file.
    pub metadata: GameMetadata,
    /// Network input (T, …input shape), network frame.
    pub input_arrays: ArrayD<f32>,
    /// Training policy (T, A), network frame.
    pub policies: Array2<f32>,
    /// Legal actions (T, A), network frame.
    pub action_masks: Array2<bool>,
    /// Outcome from the mover's view (T).
    pub values: Array1<f32>,
    /// Index of the mover, 0 or 1 (T).
    pub players: Array1<i32>,
    /// Policy index of the action played (T), game frame.
    pub actions: Option<Array1<i32>>,
    /// Value of the position by the search (T), mover's view.
    pub root_values: Option<Array1<f32>>,
    /// Visits of the root's children (T, A), network frame.
    pub visit_counts: Option<Array2<i32>>,
    /// Version of the newest model that had a say in the ply (T).
    pub model_versions: Option<Array1<i64>>,
    /// Weight as a policy target (T), at least 0.
    pub weights: Option<Array1<f32>>,
    /// All plies, those that are no policy targets too.
    pub all: Option<PlyArrays>,
    /// Probability of a draw by the search (T); NaN for plies where the network did not say. `None` where it never did.
    pub root_draws: Option<Array1<f32>>,
}

impl ReadGame {
    /// Reads the pair of files of which `npz` is one; the YAML file has the same name but for its ending.
    ///
    /// # Errors
    /// When either file is missing, or is not what the contract says; see [`ReadError`].
    pub fn open(npz: &Path) -> Result<Self, ReadError> {
        let yaml = npz.with_extension("yaml");
        let mut text = String::new();
        let read = open_regular(&yaml).and_then(|file| file.take(MAX_YAML_BYTES + 1).read_to_string(&mut text));
        let checked = read.and_then(|bytes| if bytes as u64 > MAX_YAML_BYTES { Err(too_long()) } else { Ok(()) });
        checked.map_err(|source| ReadError::File { path: yaml, source })?;
        let file = open_regular(npz).map_err(|source| ReadError::File { path: npz.to_owned(), source })?;
        Self::read(BufReader::new(file), &text)
    }

    /// Reads an archive and the text of its YAML file.
    ///
    /// # Errors
    /// When either is not what the contract says; see [`ReadError`].
    pub fn read(npz: impl Read + Seek, yaml: &str) -> Result<Self, ReadError> {
        Self::read_within(npz, yaml, u64::MAX)
    }

    /// As [`ReadGame::read`], of arrays that may have `most` bytes in all: as many as the archive itself, where it is a stranger's, so
    /// that it takes no more memory than it has bytes.
    ///
    /// # Errors
    /// As there; [`ReadError::Large`] when they have more.
    pub fn read_within(npz: impl Read + Seek, yaml: &str, most: u64) -> Result<Self, ReadError> {
        let metadata = GameMetadata::from_yaml(yaml)?;
        let mut arrays = Arrays::open(npz, most)?;
        let game = Self {
            metadata,
            input_arrays: required(&mut arrays, "input_arrays")?,
            policies: required(&mut arrays, "policies").and_then(|array| ranked("policies", array))?,
            action_masks: required(&mut arrays, "action_masks").and_then(|array| ranked("action_masks", array))?,
            values: required(&mut arrays, "values").and_then(|array| ranked("values", array))?,
            players: required(&mut arrays, "players").and_then(|array| ranked("players", array))?,
            actions: optional(&mut arrays, "actions")?,
            root_values: optional(&mut arrays, "root_values")?,
            visit_counts: optional(&mut arrays, "visit_counts")?,
            model_versions: optional(&mut arrays, "model_versions")?,
            weights: optional(&mut arrays, "weights")?,
            all: PlyArrays::read(&mut arrays)?,
            root_draws: optional(&mut arrays, "root_draws")?,
        };
        game.check()?;
        Ok(game)
    }

    /// Number of rows T.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.players.len()
    }

    /// Number of plies that were played; where another producer wrote the files, of rows.
    #[must_use]
    pub fn plies(&self) -> usize {
        self.all.as_ref().map_or(self.rows(), PlyArrays::len)
    }

    /// Policy size A.
    #[must_use]
    pub fn policy_size(&self) -> usize {
        self.policies.len_of(Axis(1))
    }

    /// Checks that the arrays fit each other and the metadata.
    fn check(&self) -> Result<(), ReadError> {
        let plies = usize::try_from(self.metadata.game_length).unwrap_or(usize::MAX);
        let actions = self.policy_size();
        if self.input_arrays.shape().first() != Some(&plies) {
            let expected = format!("({plies}, …) as the metadata say");
            return Err(ReadError::Shape { name: "input_arrays", expected, found: self.input_arrays.shape().to_vec() });
        }
        shaped("policies", &[plies, actions], &self.policies)?;
        shaped("action_masks", &[plies, actions], &self.action_masks)?;
        shaped("values", &[plies], &self.values)?;
        shaped("players", &[plies], &self.players)?;
        self.actions.iter().try_for_each(|array| shaped("actions", &[plies], array))?;
        self.root_values.iter().try_for_each(|array| shaped("root_values", &[plies], array))?;
        self.visit_counts.iter().try_for_each(|array| shaped("visit_counts", &[plies, actions], array))?;
        self.model_versions.iter().try_for_each(|array| shaped("model_versions", &[plies], array))?;
        self.root_draws.iter().try_for_each(|array| shaped("root_draws", &[plies], array))?;
        finite("input_arrays", &self.input_arrays)?;
        finite("policies", &self.policies)?;
        finite("values", &self.values)?;
        self.root_values.iter().try_for_each(|array| finite("root_values", array))?;
        self.root_draws.iter().try_for_each(|array| probable("root_draws", array))?;
        below("players", 2, &self.players)?;
        self.actions.iter().try_for_each(|array| below("actions", actions, array))?;
        if let Some(weights) = &self.weights {
            shaped("weights", &[plies], weights)?;
            if let Some(row) = weights.iter().position(|weight| !(0.0..f32::INFINITY).contains(weight)) {
                return Err(ReadError::Weight { row, value: weights[row] });
            }
        }
        self.all.iter().try_for_each(|all| self.check_all(all))
    }

    /// Checks the arrays over all plies, and that they say what the others do.
    fn check_all(&self, all: &PlyArrays) -> Result<(), ReadError> {
        all.check(self.policy_size())?;
        let rows = all.rows();
        if rows.len() != self.rows() {
            let expected = format!("one with {} rows, as the others have", self.rows());
            return Err(ReadError::Shape { name: "all_flags", expected, found: vec![rows.len()] });
        }
        for (row, ply) in rows.into_iter().enumerate() {
            let differs = |name| Err(ReadError::Disagree { name, row });
            if self.players[row] != (ply % 2) as i32 {
                return differs("players");
            }
            if self.actions.as_ref().is_some_and(|actions| actions[row] != all.actions[ply]) {
                return differs("actions");
            }
            if self.root_values.as_ref().is_some_and(|values| values[row] != all.root_values[ply]) {
                return differs("root_values");
            }
            if self.model_versions.as_ref().is_some_and(|versions| versions[row] != all.model_versions[ply]) {
                return differs("model_versions");
            }
        }
        Ok(())
    }
}

/// Opens a file. Opening a pipe would wait for its writer, perhaps for ever.
fn open_regular(path: &Path) -> io::Result<File> {
    let metadata = fs::metadata(path)?;
    if metadata.is_file() {
        return File::open(path);
    }
    Err(if metadata.is_dir() {
        io::ErrorKind::IsADirectory.into()
    } else {
        io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
    })
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "too long for a game's metadata")
}

/// Reads an array that every producer writes.
fn required<T: Element, R: Read + Seek>(arrays: &mut Arrays<R>, name: &'static str) -> Result<ArrayD<T>, ReadError> {
    arrays.read(name)?.ok_or(ReadError::Missing { name })
}

/// Reads an array that only this daemon writes.
pub(super) fn optional<T: Element, D: Dimension, R: Read + Seek>(
    arrays: &mut Arrays<R>,
    name: &'static str,
) -> Result<Option<Array<T, D>>, ReadError> {
    arrays.read(name)?.map(|array| ranked(name, array)).transpose()
}

/// Fixes the number of dimensions.
fn ranked<T, D: Dimension>(name: &'static str, array: ArrayD<T>) -> Result<Array<T, D>, ReadError> {
    let found = array.shape().to_vec();
    let expected = || format!("{}-dimensional", D::NDIM.unwrap_or_default());
    array.into_dimensionality().map_err(|_| ReadError::Shape { name, expected: expected(), found })
}

/// Checks a shape.
pub(super) fn shaped<T, D: Dimension>(
    name: &'static str,
    expected: &[usize],
    array: &Array<T, D>,
) -> Result<(), ReadError> {
    if array.shape() == expected {
        return Ok(());
    }
    Err(ReadError::Shape { name, expected: format!("{expected:?}"), found: array.shape().to_vec() })
}

/// Checks that all entries are numbers.
pub(super) fn finite<D: Dimension>(name: &'static str, array: &Array<f32, D>) -> Result<(), ReadError> {
    let Some(at) = array.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let row = array.len() / array.shape().first().copied().unwrap_or(1).max(1);
    let value = array.iter().nth(at).copied().unwrap_or(f32::NAN);
    Err(ReadError::NotFinite { name, ply: at / row.max(1), value })
}

/// Checks that all entries are probabilities, or NaN where there is none.
pub(super) fn probable(name: &'static str, array: &Array1<f32>) -> Result<(), ReadError> {
    match array.iter().position(|value| !value.is_nan() && !(0.0..=1.0).contains(value)) {
        Some(ply) => Err(ReadError::NoProbability { name, ply, value: array[ply] }),
        None => Ok(()),
    }
}

/// Checks that all entries are indices below `limit`.
pub(super) fn below(name: &'static str, limit: usize, array: &Array1<i32>) -> Result<(), ReadError> {
    match array.iter().position(|&value| usize::try_from(value).map_or(true, |index| index >= limit)) {
        Some(ply) => Err(ReadError::Range { name, ply, value: array[ply] }),
        None => Ok(()),
    }
}
