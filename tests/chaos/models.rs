//! Models as a trainer hands them over, and as no trainer should.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::{config::model, site::Site};

/// What a file that is called a model may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The network of these runs; no two versions have the same bytes.
    Good,
    /// Another network of the same shapes.
    Constant,
    Empty,
    Truncated,
    Garbage,
    /// Right but for some weights, which are NaN.
    Nan,
    /// For another board.
    OtherBoard,
    /// For the same board, with another input: bad for a daemon that serves a model already, but a daemon that starts may take
    /// it for its first.
    OtherLayout,
    /// `latest.yaml` names a file that does not exist.
    Missing,
}

impl Kind {
    /// Never to be played with.
    pub(crate) const BAD: [Self; 6] =
        [Self::Empty, Self::Truncated, Self::Garbage, Self::Nan, Self::OtherBoard, Self::Missing];

    /// May be a model that is not there yet, or not as a whole.
    pub(crate) fn is_a_part(self) -> bool {
        matches!(self, Self::Empty | Self::Truncated | Self::Garbage | Self::Missing)
    }

    fn is_good(self) -> bool {
        matches!(self, Self::Good | Self::Constant)
    }

    /// The file of version `version`.
    fn bytes(self, version: i64) -> Option<Vec<u8>> {
        let mut bytes = match self {
            Self::Constant => fs::read(model("b5_const.onnx")).unwrap(),
            Self::OtherBoard => fs::read(model("b9_const.onnx")).unwrap(),
            Self::OtherLayout => fs::read(model("b5w1_mlp.onnx")).unwrap(),
            _ => fs::read(model("b5w3_resnet_2x32.onnx")).unwrap(),
        };
        let middle = bytes.len() / 2;
        match self {
            Self::Missing => return None,
            Self::Empty => bytes.clear(),
            Self::Truncated => bytes.truncate(middle),
            Self::Garbage => bytes = version.to_le_bytes().repeat(4096),
            // The middle of the file is in the middle of the weights; four bytes of ones are NaN, wherever a number begins.
            Self::Nan => bytes[middle..middle + 64].fill(0xFF),
            Self::Good | Self::Constant | Self::OtherBoard | Self::OtherLayout => {}
        }
        if !matches!(self, Self::Empty | Self::Truncated | Self::Garbage) {
            // Field 6 of a model is a text about it. Of a field that is there twice the last counts.
            let text = format!("version {version}");
            bytes.extend([0x32, text.len() as u8]);
            bytes.extend(text.as_bytes());
        }
        Some(bytes)
    }
}

/// What may become of `latest.yaml` beside being replaced as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mangled {
    Half,
    Empty,
    NoText,
    Removed,
    /// The version is a word.
    Word,
}

impl Mangled {
    pub(crate) const ALL: [Self; 5] = [Self::Half, Self::Empty, Self::NoText, Self::Removed, Self::Word];
}

/// The trainer's writing side.
pub(crate) struct Models {
    dir: PathBuf,
    version: i64,
    good: BTreeSet<i64>,
}

impl Models {
    pub(crate) fn new(site: &Site) -> Self {
        Self { dir: site.path("models"), version: -1, good: BTreeSet::new() }
    }

    pub(crate) fn latest_yaml(&self) -> PathBuf {
        self.dir.join("latest.yaml")
    }

    /// Versions that may be played.
    pub(crate) const fn good(&self) -> &BTreeSet<i64> {
        &self.good
    }

    fn onnx(&self, version: i64) -> PathBuf {
        self.dir.join(format!("checkpoints/model_{version}.onnx"))
    }

    /// Hands over the next version: the model first, then `latest.yaml`, replaced as a whole. Returns the version.
    pub(crate) fn publish(&mut self, kind: Kind) -> i64 {
        self.version += 1;
        let version = self.version;
        if kind.is_good() {
            self.good.insert(version);
        }
        let onnx = self.onnx(version);
        if let Some(bytes) = kind.bytes(version) {
            fs::write(&onnx, bytes).unwrap();
        }
        // A trainer keeps them all; these tests may run for hours.
        fs::remove_file(self.onnx(version - 20)).ok();
        let mut latest = NamedTempFile::new_in(&self.dir).unwrap();
        latest.write_all(named(&onnx, version).as_bytes()).unwrap();
        latest.persist(self.latest_yaml()).unwrap();
        version
    }

    /// Does to `latest.yaml` what no trainer should.
    pub(crate) fn mangle(&self, how: Mangled) {
        let latest = self.latest_yaml();
        let text = named(&self.onnx(self.version + 1), self.version + 1);
        match how {
            Mangled::Half => fs::write(latest, &text[..text.len() / 2]).unwrap(),
            Mangled::Empty => fs::write(latest, "").unwrap(),
            Mangled::NoText => fs::write(latest, [0xFF, 0xFE, 0, 1, 0x80].repeat(999)).unwrap(),
            // It may be gone already.
            Mangled::Removed => drop(fs::remove_file(latest)),
            Mangled::Word => fs::write(latest, text.replace("version: ", "version: v")).unwrap(),
        }
    }
}

/// `latest.yaml` as the trainer writes it.
fn named(onnx: &Path, version: i64) -> String {
    format!("filename: {}\nversion: {version}\n", onnx.with_extension("pt").display())
}
