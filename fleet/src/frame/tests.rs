//! Frames there and back, at every bound, and from hostile hands.

use std::fs;

use proptest::prelude::*;

use super::{
    pack::{seal, sum},
    *,
};
use crate::name::Origin;

pub(crate) fn header() -> Header {
    Header {
        origin: Origin::new([7; 16]),
        number: 1,
        receipted: 0,
        run: "run".parse().unwrap(),
        worker: "w1".parse().unwrap(),
        settings_hash: "5e77".to_owned(),
        part: None,
        games: Vec::new(),
    }
}

pub(crate) fn stem(number: u64) -> Stem {
    format!("game_{:013}_{number:04}_77-0000abcd", 1_700_000_000_000 + number).parse().unwrap()
}

pub(crate) fn game(number: u64, yaml: &[u8], npz: &[u8]) -> OutGame {
    let model = Model { version: 3, sha256: [9; 32] };
    OutGame { stem: stem(number), model, yaml: yaml.to_vec(), npz: npz.to_vec() }
}

/// Bytes that cannot be packed.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut dice = crate::disk::fake::Dice::new(seed);
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(dice.roll().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn pack(games: &[OutGame]) -> Vec<Packed> {
    let mut packer = Packer::new().unwrap();
    games.iter().map(|game| packer.pack(game).unwrap()).collect()
}

/// What comes out of frames.
fn unpack(made: &[OutFrame]) -> Vec<(Stem, GameFiles)> {
    let mut found = Vec::new();
    let mut parts = Vec::new();
    for frame in made {
        assert!(frame.bytes.len() <= MOST_BYTES);
        let read = Frame::read(&frame.bytes).unwrap();
        assert_eq!(read.header().number, frame.number);
        if read.header().part.is_none() {
            let games = read.header().games.iter().zip(read.games());
            found.extend(games.map(|(game, files)| (game.stem.clone(), files.unwrap())));
            continue;
        }
        assert_eq!(read.games().count(), 0);
        parts.push(read);
        if parts.len() as u64 == parts[0].header().parts() {
            found.push((parts[0].header().games[0].stem.clone(), join(&parts).unwrap()));
            parts.clear();
        }
    }
    found
}

fn refusal(bytes: &[u8]) -> String {
    Frame::read(bytes).map(|_| ()).unwrap_err().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn games_come_back_from_frames(
        sizes in proptest::collection::vec((0_usize..200, 0_usize..30_000), 0..90), first in 1_u64..1 << 40, plain: bool,
    ) {
        let games: Vec<_> = sizes.iter().enumerate().map(|(number, &(yaml, npz))| {
            let npz = if plain { vec![1; npz] } else { noise(npz, number as u64) };
            game(number as u64, &vec![b'y'; yaml], &npz)
        }).collect();
        let first = Header { number: first, receipted: first - 1, ..header() };
        let made = frames(&first, &pack(&games));
        let numbers: Vec<_> = made.iter().map(|frame| frame.number).collect();
        prop_assert_eq!(numbers, (first.number..).take(made.len()).collect::<Vec<_>>());
        let expected: Vec<_> = games.into_iter().map(|OutGame { stem, yaml, npz, .. }| (stem, GameFiles { yaml, npz })).collect();
        prop_assert_eq!(unpack(&made), expected);
        for frame in &made {
            let header = Frame::read(&frame.bytes).unwrap().header().clone();
            prop_assert!(header.games.len() <= MOST_GAMES);
            prop_assert!(header.games.len() == 1 || frame.bytes.len() <= TARGET_BYTES + MOST_HEADER);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), sealed: bool) {
        if sealed && bytes.len() > HEAD {
            bytes[..4].copy_from_slice(&MAGIC);
            bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
            let length = (bytes[6] as u32) & 63;
            bytes[6..10].copy_from_slice(&length.to_le_bytes());
            bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        }
        if let Ok(frame) = Frame::read(&bytes) {
            frame.games().for_each(drop);
        }
    }

    #[test]
    fn one_damaged_byte_is_found(at: prop::sample::Index, flip in 1_u8..=255) {
        let mut bytes = frames(&header(), &pack(&[game(1, b"yaml", b"arrays"), game(2, b"", b"")]))[0].bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(Frame::read(&bytes).is_err());
    }
}

#[test]
fn the_trainer_s_files_shrink_to_a_tenth_and_less() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/golden/golden_05_b9w10_n25_hash");
    let files = ["yaml", "npz"].map(|ending| fs::read(format!("{golden}.{ending}")).unwrap());
    let game = game(1, &files[0], &files[1]);
    let made = frames(&header(), &pack(&[game]));
    assert!(made[0].bytes.len() * 10 < files[1].len(), "{} of {} bytes", made[0].bytes.len(), files[1].len());
    assert_eq!(unpack(&made)[0].1, GameFiles { yaml: files[0].clone(), npz: files[1].clone() });
}

#[test]
fn sixty_four_games_fill_a_frame_and_so_do_256_kibibytes() {
    let lengths = |games: &[OutGame]| {
        let made = frames(&header(), &pack(games));
        made.iter().map(|frame| Frame::read(&frame.bytes).unwrap().header().games.len()).collect::<Vec<_>>()
    };
    let many: Vec<_> = (0..130).map(|number| game(number, b"yaml", b"arrays")).collect();
    assert_eq!(lengths(&many), [64, 64, 2]);
    let large: Vec<_> = (0..5).map(|number| game(number, b"yaml", &noise(100 << 10, number))).collect();
    assert_eq!(lengths(&large), [2, 2, 1]);
    let larger: Vec<_> = (0..3).map(|number| game(number, b"yaml", &noise(800_000, number))).collect();
    assert_eq!(lengths(&larger), [1, 1, 1]);
    // Many games that pack well may have too many bytes unpacked.
    let airy: Vec<_> = (0..5).map(|number| game(number, b"yaml", &vec![0; 30 << 20])).collect();
    assert_eq!(lengths(&airy), [2, 2, 1]);
}

#[test]
fn a_game_too_large_for_a_message_is_split() {
    let games = [
        game(1, b"small", b"small"),
        game(2, b"large", &noise(2 * PART_BYTES + 17, 2)),
        game(3, b"small too", b"small"),
        game(4, b"just small enough", &noise(PART_BYTES - 1_000, 4)),
    ];
    let made = frames(&header(), &pack(&games));
    let headers = made.iter().map(|frame| Frame::read(&frame.bytes).unwrap().header().clone());
    let found: Vec<_> = headers.map(|header| (header.games[0].stem.clone(), header.part)).collect();
    let expected = [(1, None), (2, Some(0)), (2, Some(1)), (2, Some(2)), (3, None), (4, None)];
    assert_eq!(found, expected.map(|(number, part)| (stem(number), part)));
    let found = unpack(&made);
    assert!(found.len() == 4 && found[1].1.npz == games[1].npz);
}

#[test]
fn a_game_larger_than_any_is_not_packed() {
    let mut packer = Packer::new().unwrap();
    let large = game(1, b"", &vec![0; MOST_UNPACKED as usize + 1]);
    assert!(packer.pack(&large).unwrap_err().to_string().contains("have 67108865 bytes, and may have 67108864"));
    assert!(packer.pack(&game(1, &vec![b' '; MOST_YAML as usize + 1], b"")).is_err());
    assert!(packer.pack(&game(1, b"", &vec![0; MOST_UNPACKED as usize])).is_ok());
}

#[test]
fn names_in_the_trainer_s_folder_follow_from_the_frame_s() {
    let games: Vec<_> = (0..3).map(|number| game(number, b"yaml", b"arrays")).collect();
    let made = frames(&Header { number: 5, ..header() }, &pack(&games));
    let header = Frame::read(&made[0].bytes).unwrap().header().clone();
    assert_eq!(header.stem(2).as_str(), "game_1700000000002_0322_117901063-07070707");
    let large = frames(&Header { number: 5, ..header.clone() }, &pack(&[game(9, b"", &noise(PART_BYTES * 2, 1))]));
    let names = large.iter().map(|frame| Frame::read(&frame.bytes).unwrap().header().stem(0).to_string());
    assert!(names.collect::<Vec<_>>().windows(2).all(|pair| pair[0] == pair[1]), "parts are of one game");
}

/// A frame of one game whose header and body are changed before it is sealed.
fn forged(change: impl FnOnce(&mut Header, &mut Vec<u8>)) -> Vec<u8> {
    let packed = pack(&[game(1, b"yaml", b"arrays of a game")]).remove(0);
    let (mut header, mut body) = (Header { games: vec![packed.entry], ..header() }, packed.bytes);
    change(&mut header, &mut body);
    seal(&header, &body)
}

#[test]
fn what_is_no_frame_is_refused_in_words() {
    let sound = forged(|_, _| {});
    assert!(Frame::read(&sound).unwrap().games().all(|game| game.is_ok()));
    assert!(refusal(b"").contains("0 bytes are not the length of one"));
    assert!(refusal(&vec![0; MOST_BYTES + 1]).contains("are not the length of one"));
    assert!(refusal(&[b"PK\x03\x04", &sound[4..]].concat()).contains("does not begin as one does"));
    let mut other = sound.clone();
    other[4] = 2;
    assert!(refusal(&other).contains("it has format 2, this program reads 1; run the same version"));
    for cut in HEAD + TAIL..sound.len() {
        assert!(Frame::read(&sound[..cut]).is_err());
    }
    let mut long = sound[..sound.len() - TAIL].to_vec();
    long[6..10].copy_from_slice(&u32::MAX.to_le_bytes());
    long.extend(crc32fast::hash(&long).to_le_bytes());
    assert!(refusal(&long).contains("its header is said to have 4294967295 bytes"));
}

#[test]
fn forged_headers_are_refused_before_memory_is_asked_for() {
    for (bytes, reason) in [
        (forged(|header, _| header.number = 0), "number 0 after receipts up to 0"),
        (forged(|header, _| header.number = u64::MAX), "number 18446744073709551615 after"),
        (forged(|header, _| header.receipted = 1), "number 1 after receipts up to 1"),
        (forged(|header, _| header.settings_hash = "x".repeat(65)), "fingerprint of settings"),
        (forged(|header, _| header.settings_hash = "\u{1b}[2J".to_owned()), "fingerprint of settings"),
        (forged(|header, _| header.games[0].npz.bytes = u64::MAX), "said to have 18446744073709551615 bytes"),
        (forged(|header, _| header.games[0].npz.bytes = MOST_UNPACKED), "and may have 67108864"),
        (forged(|header, _| header.games[0].yaml.bytes = MOST_YAML + 1), "its YAML file is said to have 65537"),
        (
            forged(|header, _| header.games[0].stem = "game_99999999999999_1_1-00000001".parse().unwrap()),
            "it is said to have ended 99999999999999 milliseconds after 1970",
        ),
        (forged(|header, _| header.games[0].packed += 1), "its body has"),
        (forged(|header, _| header.games[0].packed = u64::MAX), "are said to have 18446744073709551615 bytes"),
        (forged(|_, body| body.push(0)), "its body has"),
        (forged(|header, _| header.games = vec![header.games[0].clone(); 65]), "it has 65 games"),
        (forged(|header, _| header.part = Some(0)), "part 0 of a game of"),
        (
            forged(|header, _| {
                (header.part, header.games[0].packed) = (Some(1), 2 * PART_BYTES as u64);
            }),
            "part 1 of a game of 1800000 bytes is none",
        ),
        (forged(|header, _| (header.part, header.number) = (Some(u32::MAX), 1 << 40)), "is none"),
    ] {
        assert!(refusal(&bytes).contains(reason), "{reason}: {}", refusal(&bytes));
    }
    let many = Header { games: vec![forged_entry(); 65], ..header() };
    assert!(refusal(&seal(&many, &[])).contains("65 games"));
    let empty = Header { part: Some(0), ..header() };
    assert!(refusal(&seal(&empty, &[])).contains("is none"));
}

fn forged_entry() -> Entry {
    let sum = Sum { bytes: 0, sha256: [0; 32] };
    Entry { stem: stem(1), model: Model { version: 0, sha256: [0; 32] }, yaml: sum, npz: sum, packed: 0 }
}

#[test]
fn games_that_are_not_what_the_header_says_are_refused_and_spoil_no_other() {
    let first_error = |bytes: &[u8]| {
        let frame = Frame::read(bytes).unwrap();
        frame.games().find_map(Result::err).map(|error| error.to_string()).unwrap()
    };
    let lies = |bytes| forged(move |header, _| header.games[0].npz.bytes = bytes);
    assert!(first_error(&lies(60 << 20)).contains("62914564 bytes are said to be packed as"));
    assert!(first_error(&lies(3)).contains("7 bytes are said to be packed as"));
    assert!(first_error(&forged(|header, _| header.games[0].npz.sha256[0] ^= 1)).contains("checksums"));
    let moved = forged(|header, _| {
        header.games[0].yaml.bytes += 1;
        header.games[0].npz.bytes -= 1;
    });
    assert!(first_error(&moved).contains("checksums"));
    assert!(first_error(&forged(|_, body| body.iter_mut().skip(6).for_each(|byte| *byte ^= 0x55))).contains("game 0"));
    // zstd's own header says 50 MB, and hardly anything comes.
    let bomb = zstd::bulk::compress(&vec![0; 50 << 20], 1).unwrap();
    let cut = forged(|header, body| {
        *body = bomb[..bomb.len() / 2].to_vec();
        header.games[0].npz.bytes = (50 << 20) - 4;
        header.games[0].packed = body.len() as u64;
    });
    assert!(first_error(&cut).contains("game 0"));

    let packed = pack(&[game(1, b"one", b"1"), game(2, b"two", b"2"), game(3, b"three", b"3")]);
    let header = Header { games: packed.iter().map(|game| game.entry.clone()).collect(), ..header() };
    let mut body: Vec<_> = packed.iter().map(|game| game.bytes.clone()).collect();
    body[1].iter_mut().for_each(|byte| *byte = 0);
    let bytes = seal(&header, &body.concat());
    let read: Vec<_> = Frame::read(&bytes).unwrap().games().map(|game| game.is_ok()).collect();
    assert_eq!(read, [true, false, true]);
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let of = |number, seed| {
        let large = game(seed, b"large", &noise(2 * PART_BYTES + 17, seed));
        frames(&Header { number, ..header() }, &pack(&[large])).into_iter().map(|frame| frame.bytes).collect::<Vec<_>>()
    };
    let (one, other) = (of(4, 1), of(4, 2));
    let parts: Vec<_> = one.iter().chain(&other).map(|bytes| Frame::read(bytes).unwrap()).collect();
    assert!(join(&parts[..3]).is_ok());
    for wrong in [&[0, 1][..], &[0, 2, 1], &[0, 1, 5], &[1, 2], &[0, 0, 0], &[], &[3, 4, 2], &[0, 1, 2, 2]] {
        let wrong: Vec<_> = wrong.iter().map(|&place: &usize| parts[place].clone()).collect();
        assert!(join(&wrong).unwrap_err().to_string().contains("do not belong together"));
    }
}

#[test]
fn an_empty_frame_has_a_name_and_nothing_else() {
    let bytes = void(&Header { number: 9, part: Some(3), ..header() });
    let frame = Frame::read(&bytes).unwrap();
    assert_eq!((frame.header().number, frame.header().parts(), frame.games().count()), (9, 1, 0));
}

/// What fuzzing starts from, and what it found.
fn corpus() -> Vec<Vec<u8>> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/frame");
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    // Fuzzing leaves files of its own beside those that are kept.
    let is_kept = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("seed_") || name.starts_with("found_")
    };
    let mut paths: Vec<_> = paths.filter(is_kept).collect();
    paths.sort_unstable();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// As the fuzz target has it: what begins with a zero is header and body.
fn sealed(input: &[u8]) -> Vec<u8> {
    let [0, low, high, rest @ ..] = input else { return input.to_vec() };
    let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &[*low, *high, 0, 0], rest].concat();
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

#[test]
fn the_corpus_is_read_or_refused() {
    let corpus = corpus();
    let read = corpus.iter().filter(|bytes| Frame::read(&sealed(bytes)).is_ok()).count();
    assert!(read >= 4, "{read} of {}", corpus.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn damaged_frames_are_read_or_refused(
        file: prop::sample::Index, from: prop::sample::Index, inserted in proptest::collection::vec(any::<u8>(), 0..6), length in 0_usize..6,
    ) {
        let mut bytes = file.get(&corpus()).clone();
        let from = from.index(bytes.len() + 1);
        bytes.splice(from..bytes.len().min(from + length), inserted);
        let bytes = sealed(&bytes);
        if let Ok(frame) = Frame::read(&bytes) {
            for (entry, files) in frame.header().games.iter().zip(frame.games()) {
                if let Ok(files) = files {
                    prop_assert_eq!((sum(&files.yaml), sum(&files.npz)), (entry.yaml, entry.npz));
                }
            }
        }
    }
}

/// Set to write anew what fuzzing starts from.
const UPDATE: &str = "SELFPLAYD_UPDATE_CORPUS";

#[test]
fn fuzzing_starts_from_frames_as_they_are_written() {
    let games = [game(1, b"model_version: 3\n", b"arrays"), game(2, b"", &[7; 300])];
    let two = frames(&header(), &pack(&games)).remove(0).bytes;
    let empty = void(&Header { number: 9, receipted: 4, ..header() });
    // The last part of a game is a short one.
    let part = frames(&header(), &pack(&[game(3, b"", &noise(PART_BYTES + 50, 1))])).remove(1).bytes;
    let open = |frame: &[u8]| [&[0, frame[6], frame[7]], &frame[HEAD..frame.len() - TAIL]].concat();
    for (name, bytes) in [
        ("empty", void(&header())),
        ("two_games", two.clone()),
        ("open_empty", open(&empty)),
        ("open_part", open(&part)),
        ("open_two_games", open(&two)),
    ] {
        let path = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/frame/seed_{}"), name);
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&path, &bytes).unwrap();
        }
        let found = fs::read(&path).unwrap_or_default();
        assert!(
            found == bytes,
            "{path} is not what is written today. If the format was changed on purpose, or zstd: `{UPDATE}=1 cargo test --package selfplay-fleet fuzzing_starts`"
        );
    }
}
