//! Where the records are and how they are read.
//!
//! A test calls [`check`] with the name of the file it knows; it runs over `tests/data`, which must have that file, and over
//! every folder in `CONFORMANCE_DIR`, which need not. A folder that does not exist, a folder without any known file, and a
//! file without records are failures. `cargo test -- --nocapture` shows how many records of each kind were checked.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use selfplay_engine::{Action, Game, games::quoridor::Quoridor};
use serde::de::DeserializeOwned;

/// Beginnings of the names of all files that some test reads: a folder with none of them is a mistake.
const KNOWN: [&str; 9] = [
    "games.jsonl.gz",
    "games",
    "perft.jsonl.gz",
    "obs_b",
    "mcts.jsonl.gz",
    "mcts_onnx.jsonl.gz",
    "net_",
    "golden",
    "connect_four_solved.jsonl.gz",
];

/// The folder that comes with the repository.
pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data")
}

/// [`data`], then those of `CONFORMANCE_DIR`.
fn folders() -> Vec<PathBuf> {
    let more = env::var_os("CONFORMANCE_DIR").unwrap_or_default();
    let more = env::split_paths(&more).filter(|folder| !folder.as_os_str().is_empty());
    let folders: Vec<PathBuf> = std::iter::once(data()).chain(more).collect();
    for folder in &folders {
        let known = names(folder).iter().any(|name| KNOWN.iter().any(|known| name.starts_with(known)));
        assert!(known, "{} has no conformance records", folder.display());
    }
    folders
}

/// Names of a folder's entries, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("read {}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable folder").file_name().into_string().expect("a name in UTF-8"))
        .collect();
    names.sort();
    names
}

/// Runs `check_file` on every file whose name begins with `kind` in every folder. It returns the number of records checked, and
/// panics on a difference. `kind` may begin with the name of a folder below, as `games/hex`.
#[expect(clippy::print_stdout, reason = "the counts tell a run that checked nothing from one that checked all")]
pub(crate) fn check(kind: &str, check_file: impl Fn(&Path) -> usize) {
    for (number, folder) in folders().into_iter().enumerate() {
        let (folder, kind) = match kind.split_once('/') {
            Some((below, _)) if number > 0 && !folder.join(below).is_dir() => continue,
            Some((below, kind)) => (folder.join(below), kind),
            None => (folder, kind),
        };
        let files: Vec<String> = names(&folder).into_iter().filter(|name| name.starts_with(kind)).collect();
        assert!(number > 0 || !files.is_empty(), "{} has no {kind}", folder.display());
        for name in files {
            let file = folder.join(name);
            let records = check_file(&file);
            assert!(records > 0, "{} has no records", file.display());
            println!("{}: {records} records checked", file.display());
        }
    }
}

/// The records of a `.jsonl.gz` file: one JSON object a line.
pub(crate) fn read_jsonl<T: DeserializeOwned>(file: &Path) -> Vec<T> {
    let open = fs::File::open(file).unwrap_or_else(|error| panic!("open {}: {error}", file.display()));
    let lines = BufReader::new(GzDecoder::new(open)).lines();
    lines
        .map(|line| serde_json::from_str(&line.expect("a line of text")))
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("read {}: {error}", file.display()))
}

/// The bytes of one array in a `.npz` file, in NumPy's own format.
pub(crate) fn read_npz_entry(file: &Path, array: &str) -> Vec<u8> {
    let open = fs::File::open(file).unwrap_or_else(|error| panic!("open {}: {error}", file.display()));
    let mut archive = zip::ZipArchive::new(open).expect("a zip archive");
    let mut bytes = Vec::new();
    let mut entry = archive
        .by_name(&format!("{array}.npy"))
        .unwrap_or_else(|error| panic!("find {array} in {}: {error}", file.display()));
    entry.read_to_end(&mut bytes).expect("an intact archive");
    bytes
}

/// An array of strings in a `.npz` file: UTF-32 filled up with zeros. (`ndarray-npy` has no string type.)
pub(crate) fn read_strings(file: &Path, array: &str) -> Vec<String> {
    let bytes = read_npz_entry(file, array);
    let header_end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[..header_end]);
    let (_, rest) = header.split_once("'<U").expect("an array of little-endian strings");
    let (width, _) = rest.split_once('\'').expect("the end of the element type");
    let text = |units: &[u8]| {
        units
            .chunks_exact(4)
            .map(|unit| u32::from_le_bytes(unit.try_into().expect("four bytes")))
            .take_while(|&unit| unit != 0)
            .map(|unit| char::from_u32(unit).expect("a character"))
            .collect()
    };
    bytes[header_end..].chunks_exact(4 * width.parse::<usize>().expect("a width")).map(text).collect()
}

/// The state after a sequence of legal actions from the start.
pub(crate) fn replay(game: &Quoridor, actions: &[Action]) -> <Quoridor as Game>::State {
    let mut state = game.start();
    for &action in actions {
        game.play(&mut state, action);
    }
    state
}
