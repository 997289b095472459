//! A game with the shapes of the test models, the library, the models and the recorded outputs.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use ndarray::{Array, Dimension};
use ndarray_npy::{ReadNpyExt, ReadableElement};
use selfplay_actors::onnx::{
    DeviceRequest, GameDescription, LibrarySearch, LoadError, LoadOptions, Loaded, ModelFile, Network, Rows, Runtime,
    load_evaluators,
};
use selfplay_engine::{
    evaluation::{Leaf, mix},
    game::{Action, ActionBits, ActionSet, Game, Outcome},
};
use zip::ZipArchive;

/// No game at all, but with the shapes of Quoridor's: a position is a number, its planes follow from the number.
#[derive(Clone, Debug)]
pub(crate) struct Shapes {
    board: usize,
}

impl Shapes {
    /// The shapes of an N×N board.
    pub(crate) const fn board(board: usize) -> Self {
        Self { board }
    }

    /// First entry of the planes is −1 in this position, whereas no other has a negative entry.
    pub(crate) const NEGATIVE: u32 = 1_000_013;

    pub(crate) fn leaf(&self, position: u32) -> Leaf<Self> {
        Leaf { position, legal: self.legal_actions(&position) }
    }

    pub(crate) fn leaves(&self, count: u32) -> Vec<Leaf<Self>> {
        (100..100 + count).map(|position| self.leaf(position)).collect()
    }
}

/// How the test game's positions are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    #[default]
    Planes,
    Flat,
}

impl Game for Shapes {
    type State = u32;
    type Position = u32;
    type Actions = ActionBits<4>;
    type Encoding = Encoding;

    fn start(&self) -> u32 {
        0
    }
    fn policy_size(&self) -> usize {
        self.board * self.board + 2 * (self.board - 1) * (self.board - 1)
    }
    fn ply(&self, state: &u32) -> u32 {
        *state
    }
    fn outcome(&self, _: &u32) -> Option<Outcome> {
        None
    }
    fn legal_actions(&self, state: &u32) -> ActionBits<4> {
        let mut legal = ActionBits::default();
        let members =
            (0..self.policy_size() as Action).filter(|&a| mix(u64::from(*state) << 16 | u64::from(a)) & 1 == 0);
        members.for_each(|action| legal.insert(action));
        legal
    }
    fn play(&self, state: &mut u32, _: Action) {
        *state += 1;
    }
    fn position(&self, state: &u32) -> u32 {
        *state
    }
    fn encodings(&self) -> Vec<Encoding> {
        vec![Encoding::Planes, Encoding::Flat]
    }
    fn encoding_name(&self, encoding: Encoding) -> &'static str {
        match encoding {
            Encoding::Planes => "resnet",
            Encoding::Flat => "mlp",
        }
    }
    fn input_shape(&self, encoding: Encoding) -> Vec<usize> {
        match encoding {
            Encoding::Planes => vec![5, 2 * self.board + 3, 2 * self.board + 3],
            Encoding::Flat => vec![2 * self.board * self.board + 2 * (self.board - 1) * (self.board - 1) + 2],
        }
    }
    fn encode(&self, _: Encoding, position: &u32, out: &mut [f32]) {
        for (index, entry) in out.iter_mut().enumerate() {
            *entry = (mix(u64::from(*position) << 32 | index as u64) % 4) as f32;
        }
        if *position == Self::NEGATIVE {
            out[0] = -1.0;
        }
    }
    /// As all of the input is different, this only sees to it that `before` is what was there.
    fn encode_over(&self, encoding: Encoding, before: &u32, position: &u32, out: &mut [f32]) {
        let mut expected = vec![f32::NAN; out.len()];
        self.encode(encoding, before, &mut expected);
        assert_eq!(out, expected, "the input holds another position than {before}");
        self.encode(encoding, position, out);
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The one runtime of the test binary: `ORT_DYLIB_PATH`, else `.ort/` of the checkout wherever the build folder is.
pub(crate) fn runtime() -> Runtime {
    let mut search = LibrarySearch::new(None, &DeviceRequest::Cpu);
    search.roots.push(repository());
    Runtime::start(&search).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn data(name: &str) -> PathBuf {
    repository().join("tests/data").join(name)
}

pub(crate) fn model(name: &str) -> ModelFile {
    ModelFile::read(data(&format!("models/{name}.onnx"))).unwrap()
}

/// One thread on the CPU.
pub(crate) fn options(game: &Shapes) -> LoadOptions {
    let description = GameDescription { settings: format!("board {}", game.board), recognise };
    LoadOptions::on_cpu(16, description)
}

fn recognise(row: &[usize], policy: Option<usize>) -> Option<String> {
    match row {
        [5, height, width] if height == width && height % 2 == 1 => {
            let board = (height - 3) / 2;
            let fits = policy.is_none_or(|policy| policy == Shapes::board(board).policy_size());
            fits.then(|| format!("a {board}x{board} resnet"))
        }
        _ => None,
    }
}

pub(crate) fn load(game: &Shapes, name: &str) -> Result<Loaded<Shapes>, LoadError> {
    load_evaluators(&runtime(), game, &model(name), &options(game))
}

/// The input of a network that takes planes, for a run of `batch` positions.
pub(crate) fn planes(network: &mut Network, batch: usize) -> &mut [f32] {
    match network.rows_mut(batch).unwrap() {
        Rows::Planes(rows) => rows,
        Rows::Packed(_) => panic!("the network takes packed positions"),
    }
}

/// The error's text, with the models' folder taken out.
pub(crate) fn refusal(game: &Shapes, name: &str) -> String {
    let error = load(game, name).expect_err("the model must be refused").to_string();
    error.replace(&format!("{}/", data("models").display()), "")
}

/// One array of an npz file under `tests/data`.
pub(crate) fn array<T: ReadableElement, D: Dimension>(file: &str, name: &str) -> Array<T, D> {
    let mut archive = ZipArchive::new(File::open(data(file)).unwrap()).unwrap();
    let entry = archive.by_name(&format!("{name}.npy")).unwrap();
    Array::read_npy(entry).unwrap()
}
