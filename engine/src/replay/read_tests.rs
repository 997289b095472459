//! Games written and read back, and every way in which a file can be wrong.

use std::{
    fs,
    io::{Cursor, Write},
};

use ndarray::{Array1, Array2, ArrayD, IxDyn};
use ndarray_npy::{WritableElement, WriteNpyExt};
use proptest::prelude::*;
use tempfile::TempDir;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{
    GameArrays, GameMetadata, ReadError, ReadGame, ReplayStore, SessionId, StemClock, Target,
    table_game::{TableGame, small_game, target},
};
use crate::{evaluation::DrawChance, game::Action};

const YAML: &str = "model_version: 1\ngame_length: 2\ncreator: '1'\n";

/// An archive under construction: member names and contents.
#[derive(Clone)]
struct Archive(Vec<(&'static str, Vec<u8>)>);

fn npy<T: WritableElement, D: ndarray::Dimension>(array: &ndarray::Array<T, D>) -> Vec<u8> {
    let mut bytes = Vec::new();
    array.write_npy(&mut bytes).unwrap();
    bytes
}

/// An `.npy` file with this header and data.
fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16 + 1).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

impl Archive {
    /// Two plies with three actions, as the trainer's Python producer stores them.
    fn python() -> Self {
        let policies = Array2::from_shape_vec((2, 3), vec![1.0_f32, 0.0, 0.0, 0.0, 0.5, 0.5]).unwrap();
        let masks = Array2::from_shape_vec((2, 3), vec![1_i8, 1, 0, 0, 1, 1]).unwrap();
        Self(vec![
            ("input_arrays", npy(&ArrayD::<f32>::zeros(IxDyn(&[2, 2, 3])))),
            ("policies", npy(&policies)),
            ("action_masks", npy(&masks)),
            ("values", npy(&Array1::from_vec(vec![1.0_f32, -1.0]))),
            ("players", npy(&Array1::from_vec(vec![0_i32, 1]))),
        ])
    }

    /// The same with one member replaced or added.
    fn with(mut self, name: &'static str, bytes: Vec<u8>) -> Self {
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, bytes));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.0.retain(|(other, _)| *other != name);
        self
    }

    fn zipped(&self, method: CompressionMethod) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in &self.0 {
            let options = SimpleFileOptions::default().compression_method(method);
            archive.start_file(format!("{name}.npy"), options).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn read(&self) -> Result<ReadGame, ReadError> {
        ReadGame::read(Cursor::new(self.zipped(CompressionMethod::Stored)), YAML)
    }

    /// The message of the error that reading must end in.
    fn error(&self) -> String {
        self.read().unwrap_err().to_string()
    }
}

#[test]
fn compressed_files_of_the_python_producer_are_read() {
    let bytes = Archive::python().zipped(CompressionMethod::Deflated);
    let read = ReadGame::read(Cursor::new(bytes), YAML).unwrap();
    assert_eq!((read.plies(), read.policy_size()), (2, 3));
    assert_eq!(read.action_masks.row(1).to_vec(), [false, true, true]);
    assert_eq!(read.policies.row(1).to_vec(), [0.0, 0.5, 0.5]);
    assert!(read.actions.is_none());
}

#[test]
fn a_stranger_s_archive_takes_no_more_memory_than_it_is_given() {
    let stored = Archive::python().zipped(CompressionMethod::Stored);
    assert!(ReadGame::read_within(Cursor::new(&stored), YAML, stored.len() as u64).is_ok());
    let zeros = Array2::<f32>::zeros((2, 50_000));
    let packed = Archive::python().with("input_arrays", npy(&zeros)).zipped(CompressionMethod::Deflated);
    assert!(packed.len() < 10_000 && ReadGame::read(Cursor::new(&packed), YAML).is_ok());
    let error = ReadGame::read_within(Cursor::new(&packed), YAML, packed.len() as u64).unwrap_err();
    assert!(matches!(error, ReadError::Large { name: "input_arrays", bytes: 400_000, .. }), "{error}");
}

#[test]
fn fortran_order_is_turned_into_rows() {
    let data: Vec<u8> = [1.0_f32, 0.0, 0.0, 0.5, 0.0, 0.5].iter().flat_map(|entry| entry.to_le_bytes()).collect();
    let policies = raw("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", &data);
    let read = Archive::python().with("policies", policies).read().unwrap();
    assert_eq!(read.policies, Archive::python().read().unwrap().policies);
    assert!(read.policies.is_standard_layout());
}

#[test]
fn a_missing_array_is_named() {
    for name in ["input_arrays", "policies", "action_masks", "values", "players"] {
        let error = Archive::python().without(name).error();
        assert_eq!(error, format!("find array {name}: the archive has no such member"));
    }
}

#[test]
fn wrong_types_are_named() {
    let archive = Archive::python();
    let doubles = npy(&Array1::<f64>::zeros(2));
    assert_eq!(archive.clone().with("values", doubles).error(), "use array values: its elements are <f8, not <f4");
    let big_endian = raw("{'descr': '>i4', 'fortran_order': False, 'shape': (2,), }", &[0; 8]);
    assert_eq!(archive.clone().with("players", big_endian).error(), "use array players: its elements are >i4, not <i4");
    let fields = raw("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", &[0; 8]);
    assert!(matches!(archive.clone().with("values", fields).read(), Err(ReadError::Type { name: "values", .. })));
    let pickled = raw("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", &[0; 6]);
    let error = archive.with("action_masks", pickled).error();
    assert_eq!(error, "use array action_masks: its elements are |O, not <f4, |i1, |u1 or |b1");
}

#[test]
fn shapes_that_do_not_fit_each_other_are_named() {
    let archive = Archive::python();
    let error = archive.clone().with("input_arrays", npy(&ArrayD::<f32>::zeros(IxDyn(&[3, 2])))).error();
    assert_eq!(error, "use array input_arrays: its shape is [3, 2], not (2, …) as the metadata say");
    let error = archive.clone().with("input_arrays", npy(&ArrayD::<f32>::zeros(IxDyn(&[])))).error();
    assert_eq!(error, "use array input_arrays: its shape is [], not (2, …) as the metadata say");
    let error = archive.clone().with("policies", npy(&Array1::<f32>::zeros(6))).error();
    assert_eq!(error, "use array policies: its shape is [6], not 2-dimensional");
    let error = archive.clone().with("action_masks", npy(&Array2::<f32>::zeros((2, 4)))).error();
    assert_eq!(error, "use array action_masks: its shape is [2, 4], not [2, 3]");
    for name in ["values", "root_values"] {
        let error = archive.clone().with(name, npy(&Array1::<f32>::zeros(3))).error();
        assert_eq!(error, format!("use array {name}: its shape is [3], not [2]"));
    }
    for name in ["players", "actions"] {
        let error = archive.clone().with(name, npy(&Array1::<i32>::zeros(1))).error();
        assert_eq!(error, format!("use array {name}: its shape is [1], not [2]"));
    }
    let error = archive.clone().with("visit_counts", npy(&Array2::<i32>::zeros((3, 3)))).error();
    assert_eq!(error, "use array visit_counts: its shape is [3, 3], not [2, 3]");
    let error = archive.with("model_versions", npy(&Array1::<i64>::zeros(0))).error();
    assert_eq!(error, "use array model_versions: its shape is [0], not [2]");
}

#[test]
fn indices_out_of_range_are_named() {
    let archive = Archive::python();
    for (name, value) in [("players", 2), ("players", -1), ("actions", 3), ("actions", i32::MIN)] {
        let error = archive.clone().with(name, npy(&Array1::from_vec(vec![0, value]))).error();
        assert_eq!(error, format!("use array {name}: entry {value} of ply 1 is out of range"));
    }
}

#[test]
fn lengths_that_do_not_fit_the_shape_are_errors_before_memory_is_asked_for() {
    let archive = Archive::python();
    let shapes = ["(2, 3), ", "(1, 3), ", "(18446744073709551615, 2), ", "(4294967296, 4294967296), ", "(0, 3), "];
    for shape in shapes {
        let bytes = raw(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}"), &[0; 23]);
        let error = archive.clone().with("policies", bytes).read().unwrap_err();
        assert!(matches!(error, ReadError::Length { name: "policies", bytes: 23, .. }), "{shape}: {error}");
    }
}

#[test]
fn headers_that_are_no_headers_are_errors() {
    let archive = Archive::python();
    let short = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
    let far = [b"\x93NUMPY\x02\x00\xff\xff\xff\x7f".as_slice(), short.as_bytes()].concat();
    let nest = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
    for (bytes, reason) in [
        (Vec::new(), "the file ends within it"),
        (b"\x93NUMPY".to_vec(), "the file ends within it"),
        (b"not an array".to_vec(), "it does not begin like an .npy file"),
        (raw("", &[]), "it is not a dictionary of descr, fortran_order and shape"),
        (raw(&nest(400), &[]), "it is not a dictionary of descr, fortran_order and shape"),
        (raw(&nest(30_000), &[]), "it is too long"),
        (far, "it is too long"),
    ] {
        let error = archive.clone().with("values", bytes.clone()).read().unwrap_err();
        assert!(matches!(&error, ReadError::Header { name: "values", .. }), "{bytes:?}: {error}");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), reason, "{bytes:?}");
    }
}

#[test]
fn entries_that_are_no_numbers_are_named() {
    let archive = Archive::python();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let row = Array1::from_vec(vec![0.0, value]);
        let plane = Array2::from_shape_vec((2, 3), vec![0.0, 0.0, 1.0, 0.0, value, 1.0]).unwrap();
        for (name, bytes) in [
            ("values", npy(&row)),
            ("root_values", npy(&row)),
            ("policies", npy(&plane)),
            ("input_arrays", npy(&plane)),
        ] {
            let error = archive.clone().with(name, bytes).error();
            assert_eq!(error, format!("use array {name}: entry {value} of ply 1 is not finite"));
        }
    }
}

#[test]
fn draws_may_be_unknown_but_are_else_probabilities() {
    let archive = Archive::python();
    let draws = |draws: [f32; 2]| archive.clone().with("root_draws", npy(&Array1::from_vec(draws.to_vec())));
    let read = draws([f32::NAN, 1.0]).read().unwrap().root_draws.unwrap();
    assert!(read[0].is_nan() && read[1] == 1.0);
    for wrong in [-0.5, 1.5, f32::INFINITY] {
        let expected = format!("use array root_draws: entry {wrong} of ply 1 is neither from 0 to 1 nor NaN");
        assert_eq!(draws([0.5, wrong]).error(), expected);
    }
    let error = archive.with("root_draws", npy(&Array1::<f32>::zeros(3))).error();
    assert_eq!(error, "use array root_draws: its shape is [3], not [2]");
}

#[test]
fn two_members_of_one_name_are_an_error() {
    // Written under a name of the same length, and then renamed in both places that hold it.
    let bytes = Archive::python().with("valuez", npy(&Array1::<f32>::zeros(2))).zipped(CompressionMethod::Stored);
    let mut renamed = bytes.clone();
    for start in 0..bytes.len() - 6 {
        if &bytes[start..start + 6] == b"valuez" {
            renamed[start + 5] = b's';
        }
    }
    assert!(ReadGame::read(Cursor::new(bytes), YAML).is_ok(), "other members are ignored");
    assert!(matches!(ReadGame::read(Cursor::new(renamed), YAML), Err(ReadError::Duplicate)));
}

/// Where the central directory's entry for `name` begins.
fn entry_of(archive: &[u8], name: &str) -> usize {
    let named = (0..archive.len()).rfind(|&at| archive[at..].starts_with(name.as_bytes())).unwrap();
    let entry = named - 46;
    assert!(archive[entry..].starts_with(b"PK\x01\x02"));
    entry
}

#[test]
fn members_that_cannot_be_unpacked_are_named() {
    let encrypt = |archive: &mut [u8], entry: usize| archive[entry + 8] |= 1;
    let compress_oddly = |archive: &mut [u8], entry: usize| archive[entry + 10] = 12;
    for damage in [encrypt as fn(&mut [u8], usize), compress_oddly] {
        let mut bytes = Archive::python().zipped(CompressionMethod::Deflated);
        let entry = entry_of(&bytes, "policies.npy");
        damage(&mut bytes, entry);
        let error = ReadGame::read(Cursor::new(bytes), YAML).unwrap_err();
        assert!(matches!(error, ReadError::Member { name: "policies", .. }), "{error}");
    }
}

#[test]
fn sizes_that_the_archive_claims_are_not_believed() {
    // The directory claims a terabyte or nothing: neither agrees with the shape.
    for claimed in [0_u32, 1, u32::MAX - 1] {
        let mut bytes = Archive::python().zipped(CompressionMethod::Deflated);
        let entry = entry_of(&bytes, "policies.npy");
        bytes[entry + 24..entry + 28].copy_from_slice(&claimed.to_le_bytes());
        let error = ReadGame::read(Cursor::new(bytes), YAML).unwrap_err();
        let named =
            matches!(error, ReadError::Length { name: "policies", .. } | ReadError::Member { name: "policies", .. });
        assert!(named, "{claimed}: {error}");
    }
}

#[test]
fn bombs_are_not_unpacked() {
    // Much more data than the shape asks for, and a shape that asks for more than any game has.
    let mut small = raw("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", &[]);
    small.resize(64 << 20, 0);
    let bytes = Archive::python().with("policies", small).zipped(CompressionMethod::Deflated);
    assert!(bytes.len() < 1 << 20);
    let error = ReadGame::read(Cursor::new(bytes), YAML).unwrap_err();
    assert!(matches!(error, ReadError::Length { name: "policies", .. }), "{error}");

    let rows = (1_u64 << 30) / 8 + 1;
    let shape = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 2), }}");
    let header = raw(&shape, &[]);
    let size = header.len() as u64 + rows * 8;
    let mut bytes = Archive::python().with("policies", header).zipped(CompressionMethod::Stored);
    let entry = entry_of(&bytes, "policies.npy");
    bytes[entry + 24..entry + 28].copy_from_slice(&(size as u32).to_le_bytes());
    let error = ReadGame::read(Cursor::new(bytes), YAML).unwrap_err();
    assert!(matches!(error, ReadError::Large { name: "policies", bytes, .. } if bytes == rows * 8), "{error}");
}

#[test]
fn the_length_in_the_metadata_must_be_the_arrays_() {
    let bytes = Archive::python().zipped(CompressionMethod::Stored);
    let yaml = YAML.replace("game_length: 2", "game_length: 3");
    assert!(matches!(ReadGame::read(Cursor::new(bytes), &yaml), Err(ReadError::Shape { name: "input_arrays", .. })));
}

#[test]
fn a_truncated_archive_is_an_error_wherever_it_ends() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let bytes = Archive::python().zipped(method);
        for end in 0..bytes.len() {
            let error = ReadGame::read(Cursor::new(&bytes[..end]), YAML).unwrap_err();
            assert!(matches!(error, ReadError::Archive(_)), "{end}: {error}");
        }
    }
}

#[test]
fn damaged_data_are_found_by_their_checksum() {
    let mut bytes = Archive::python().zipped(CompressionMethod::Stored);
    let start = bytes.windows(4).position(|window| window == 0.5_f32.to_le_bytes()).unwrap();
    bytes[start] ^= 1;
    let error = ReadGame::read(Cursor::new(bytes), YAML).unwrap_err();
    assert!(matches!(error, ReadError::Member { name: "policies", .. }), "{error}");
}

#[test]
fn missing_files_and_broken_metadata_are_errors() {
    let root = TempDir::new().unwrap();
    let npz = root.path().join("game.npz");
    assert!(matches!(ReadGame::open(&npz), Err(ReadError::File { path, .. }) if path.ends_with("game.yaml")));
    fs::write(npz.with_extension("yaml"), YAML).unwrap();
    assert!(matches!(ReadGame::open(&npz), Err(ReadError::File { path, .. }) if path == npz));
    fs::write(&npz, b"").unwrap();
    assert!(matches!(ReadGame::open(&npz), Err(ReadError::Archive(_))));
    for yaml in ["", "creator: '1'\n", "model_version: 1\ngame_len", "a: &a [*a]\n", &"[".repeat(60_000)] {
        fs::write(npz.with_extension("yaml"), yaml).unwrap();
        assert!(matches!(ReadGame::open(&npz), Err(ReadError::Metadata(_))), "{yaml:.20}");
    }
    for yaml in [b"creator: \xff".to_vec(), " ".repeat(1 << 20).into_bytes()] {
        fs::write(npz.with_extension("yaml"), yaml).unwrap();
        assert!(matches!(ReadGame::open(&npz), Err(ReadError::File { path, .. }) if path.ends_with("game.yaml")));
    }
}

#[test]
fn what_is_no_regular_file_is_not_waited_for() {
    let root = TempDir::new().unwrap();
    let npz = root.path().join("game.npz");
    let yaml = npz.with_extension("yaml");
    fs::create_dir(&yaml).unwrap();
    assert!(matches!(ReadGame::open(&npz), Err(ReadError::File { path, .. }) if path == yaml));
    fs::remove_dir(&yaml).unwrap();
    fs::write(&yaml, YAML).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &npz, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(matches!(ReadGame::open(&npz), Err(ReadError::File { path, .. }) if path == npz));
}

#[test]
fn a_stored_game_is_read_back_from_its_files() {
    let root = TempDir::new().unwrap();
    let store = ReplayStore::open(root.path(), SessionId::new(9, 0)).unwrap();
    let (game, record) = small_game();
    let arrays = GameArrays::new(&record, &game, ()).unwrap();
    let metadata = GameMetadata::new(&record, 9, "00e1", "0.1.0");
    let stem = StemClock::new(SessionId::new(9, 0), 0).next(1, record.index);
    let yaml = metadata.to_yaml().unwrap();
    let written = store.write(&stem, yaml.as_bytes(), &arrays.to_npz().unwrap()).unwrap();
    let read = ReadGame::open(&written.npz).unwrap();
    assert_eq!(read.metadata, metadata);
    assert_eq!(read.actions.unwrap(), arrays.actions);
}

#[test]
fn what_fuzzing_found_is_read_or_refused() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/npz");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (mut good, mut bad) = (0, 0);
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        match ReadGame::read(Cursor::new(fs::read(&path).unwrap()), YAML) {
            Ok(_) => good += 1,
            Err(error) if name.starts_with("seed_") => panic!("{name}: {error}"),
            Err(_) => bad += 1,
        }
    }
    assert!(good >= 3, "{good} read, {bad} refused");
}

/// Plies with a random set of legal actions and random visits of some of them.
fn plies(actions: Action) -> impl Strategy<Value = Vec<Vec<(bool, u32)>>> {
    let ply = prop::collection::vec((any::<bool>(), prop_oneof![Just(0_u32), 1..1_000_u32]), usize::from(actions));
    prop::collection::vec(ply, 1..12)
}

/// The legal actions of a ply, and targets for those that were visited; for the first action when none was.
fn legal_and_targets(ply: &[(bool, u32)]) -> (Vec<Action>, Vec<Target>) {
    let legal: Vec<(Action, u32)> =
        (0..).zip(ply).filter(|(_, (legal, _))| *legal).map(|(action, &(_, visits))| (action, visits)).collect();
    let total: u32 = legal.iter().map(|(_, visits)| visits).sum();
    if total == 0 {
        return (vec![0], vec![target(0, 0, 1.0)]);
    }
    let visited = legal.iter().filter(|(_, visits)| *visits > 0);
    let targets = visited.map(|&(action, visits)| target(action, visits, visits as f32 / total as f32)).collect();
    (legal.iter().map(|&(action, _)| action).collect(), targets)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_game_comes_back_as_it_was(plies in plies(70), draw in prop::option::of(0.0_f32..=1.0)) {
        let game = TableGame::counting(plies.len(), 70);
        let plies: Vec<_> = plies.iter().map(|ply| legal_and_targets(ply)).collect();
        let mut record = game.record(&plies);
        record.plies[0].root_draw = draw.map_or(DrawChance::UNKNOWN, DrawChance::new);
        let arrays = GameArrays::new(&record, &game, ()).unwrap();
        let metadata = GameMetadata::new(&record, 12, "f00", "0.1.0");
        let npz = arrays.to_npz().unwrap();
        let read = ReadGame::read(Cursor::new(npz), &metadata.to_yaml().unwrap()).unwrap();
        prop_assert_eq!(&read.metadata, &metadata);
        prop_assert_eq!(read.input_arrays, arrays.input_arrays);
        prop_assert_eq!(&read.policies, &arrays.policies);
        prop_assert_eq!(read.action_masks, arrays.action_masks.mapv(|legal| legal == 1.0));
        prop_assert_eq!(read.values, arrays.values);
        prop_assert_eq!(read.players, arrays.players);
        prop_assert_eq!(read.actions, Some(arrays.actions));
        prop_assert_eq!(read.root_values, Some(arrays.root_values));
        prop_assert_eq!(read.visit_counts, Some(arrays.visit_counts));
        prop_assert_eq!(read.model_versions, Some(arrays.model_versions));
        let bits = |draws: &Array1<f32>| draws.mapv(f32::to_bits);
        prop_assert_eq!(read.root_draws.as_ref().map(bits), arrays.root_draws.as_ref().map(bits));
        for (row, (legal, targets)) in plies.iter().enumerate() {
            for target in targets {
                prop_assert_eq!(read.policies[[row, usize::from(target.action)]], target.probability);
                prop_assert!(legal.contains(&target.action));
            }
        }
    }

    #[test]
    fn damage_never_panics(compressed: bool, at: prop::sample::Index, byte: u8, more: prop::sample::Index, other: u8) {
        let method = if compressed { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        let mut bytes = Archive::python().zipped(method);
        let length = bytes.len();
        bytes[at.index(length)] = byte;
        bytes[more.index(length)] = other;
        // Either answer will do: some bytes, such as times, mean nothing to us.
        drop(ReadGame::read(Cursor::new(bytes), YAML));
    }
}
