//! Journals that were torn, damaged or never were any.

use std::{fs::File, io::Write};

use proptest::prelude::*;

use super::*;
use crate::journal::read::{Contents, read};

/// A small journal: two games of three and two plies, one staged, one more begun and ended.
fn small() -> Vec<u8> {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    let (first, record) = begin(&journal, 0, 3);
    let (ended, _) = begin(&journal, 1, 1);
    drop(begin(&journal, 2, 2));
    journal.end(ended);
    journal.staging(first, &StemClock::new(session(1), 0).next(1, record.index));
    drop(journal);
    fs::read(stage.tmp().join("session_1-0000abcd.journal")).unwrap()
}

fn read_bytes(bytes: &[u8]) -> Result<Contents, String> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    read(&file)
}

/// Whether every game of `part` goes as far as it does in one of the moments of the small journal.
fn is_earlier(part: &Contents, whole: &Contents) -> bool {
    part.games.iter().all(|(number, game)| {
        // Game 1 ended: it has one ply before.
        let plies = whole.games.get(number).map_or(&[] as &[_], |game| &game.plies);
        *number == 1 && game.plies.len() <= 1 || plies.starts_with(&game.plies)
    })
}

#[test]
fn a_journal_cut_anywhere_says_what_stood_before() {
    let bytes = small();
    let whole = read_bytes(&bytes).unwrap();
    assert_eq!(whole.cut, None);
    assert_eq!(whole.games.values().map(|game| game.plies.len()).collect::<Vec<_>>(), [3, 2]);
    let (mut headless, mut ends) = (0, 0);
    let mut plies = 0;
    for length in 0..bytes.len() {
        let Ok(part) = read_bytes(&bytes[..length]) else {
            assert_eq!(headless, length, "once the header is whole it stays so");
            headless += 1;
            continue;
        };
        assert!(is_earlier(&part, &whole), "{length} bytes");
        let begun: usize = part.games.values().map(|game| 1 + game.plies.len()).sum();
        assert!(begun >= plies || part.games.len() == 2, "nothing is forgotten again");
        plies = begun;
        match part.cut {
            None => ends += 1,
            Some(cut) => assert!(cut.offset < length as u64 && cut.reason == "an entry is cut off"),
        }
    }
    // Between the entries: 3 begun, 6 plies, 1 end, 1 staging; the whole is not among the cuts.
    assert_eq!(ends, 11);
    assert!(headless > 8);
}

#[test]
fn a_torn_journal_is_recovered_and_reported() {
    let bytes = small();
    let stage = Stage::new();
    fs::write(stage.tmp().join("session_1-0000abcd.journal"), &bytes[..bytes.len() - 3]).unwrap();
    let recovered = stage.open(2);
    assert_eq!(recovered.unfinished.len(), 2);
    let report = recovered.report.to_string();
    assert!(report.starts_with("journal of session 1-0000abcd cut at byte "), "{report}");
    assert!(report.contains("2 games of session 1-0000abcd go on after 5 plies\n"), "{report}");
    drop(recovered);
    assert_eq!(stage.leftovers(), ["session_2-0000abcd.journal"]);
}

#[test]
fn journals_of_other_formats_are_set_aside() {
    let bytes = small();
    let other = [b"SPJL\x02\0\0\0", &bytes[8..]].concat();
    for (content, reason) in [
        (other.as_slice(), "it has format 2, of another version of this program"),
        (b"PK\x03\x04 an archive", "it does not begin as a journal does"),
        (b"", "it does not begin as a journal does"),
        (&bytes[..20], "an entry is cut off"),
        (&bytes[..8], "its first entry is missing"),
    ] {
        let stage = Stage::new();
        fs::write(stage.tmp().join("session_1-0000abcd.journal"), content).unwrap();
        let recovered = stage.open(2);
        assert_eq!(recovered.report.to_string(), format!("journal of session 1-0000abcd set aside: {reason}\n"));
        assert_eq!(recovered.unfinished, []);
        assert_eq!(stage.leftovers(), ["session_1-0000abcd.journal.unreadable", "session_2-0000abcd.journal"]);
        assert_eq!(fs::read(stage.tmp().join("session_1-0000abcd.journal.unreadable")).unwrap(), content);
    }
}

#[test]
fn a_damaged_byte_anywhere_is_found() {
    let bytes = small();
    let whole = read_bytes(&bytes).unwrap();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            if let Ok(part) = read_bytes(&damaged) {
                assert!(part.cut.is_some() && is_earlier(&part, &whole), "byte {at} flipped by {flip:#x}");
            }
        }
    }
}

#[test]
fn zeros_after_the_end_are_no_entries() {
    let mut bytes = small();
    let length = bytes.len() as u64;
    bytes.resize(bytes.len() + 4096, 0);
    assert_eq!(read_bytes(&bytes).unwrap().cut.unwrap().offset, length);
}

#[test]
fn an_enormous_entry_is_not_believed() {
    let mut bytes = small();
    bytes.extend([0xff; 64]);
    assert_eq!(read_bytes(&bytes).unwrap().cut.unwrap().reason, "an entry claims 4294967295 bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, sealed: bool) {
        let mut content = small_header();
        if sealed {
            // A good frame around nonsense.
            let length = (bytes.len() as u32).to_le_bytes();
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&length);
            hasher.update(&bytes);
            content.extend(length);
            content.extend(hasher.finalize().to_le_bytes());
        }
        content.extend(&bytes);
        let contents = read_bytes(&content).unwrap();
        prop_assert!(contents.games.values().all(|game| game.plies.is_empty()));
    }

    #[test]
    fn any_interleaving_of_games_comes_back(turns in prop::collection::vec((0_usize..6, any::<bool>()), 0..80)) {
        let stage = Stage::new();
        let journal = stage.open(1).journal;
        let records: Vec<_> = (0..6).map(whole_game).collect();
        // Number and plies of the games in play.
        let mut playing: Vec<Option<(JournalNumber, usize)>> = vec![None; 6];
        for (game, end) in turns {
            match &mut playing[game] {
                slot @ None => *slot = Some((journal.begin(SEED, game as u64), 0)),
                Some((number, plies)) if *plies < records[game].plies.len() && !(end && *plies > 2) => {
                    journal.ply(*number, *plies, &records[game].plies[*plies], None);
                    *plies += 1;
                }
                slot => journal.end(slot.take().unwrap().0),
            }
        }
        drop(journal);
        let file = File::open(stage.tmp().join("session_1-0000abcd.journal")).unwrap();
        let contents = read(&file).unwrap();
        prop_assert_eq!(&contents.cut, &None);
        let mut expected: Vec<_> = playing.iter().enumerate().filter_map(|(game, slot)| slot.map(|slot| (slot, game))).collect();
        expected.sort_unstable();
        prop_assert_eq!(contents.games.len(), expected.len());
        for ((number, known), ((wanted, plies), game)) in contents.games.iter().zip(expected) {
            prop_assert_eq!((*number, known.index), (wanted.0, game as u64));
            prop_assert_eq!(&known.plies, &all_journaled(&records[game].plies[..plies]));
        }
    }
}

/// A journal without games.
fn small_header() -> Vec<u8> {
    let stage = Stage::new();
    drop(stage.open(1));
    fs::read(stage.tmp().join("session_1-0000abcd.journal")).unwrap()
}
