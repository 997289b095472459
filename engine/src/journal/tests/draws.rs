//! What plies carry beside their moves: draws, where the network says how likely they are, notes, and journals from before there were any.

use serde::Serialize;

use super::*;
use crate::{
    evaluation::DrawChance,
    replay::{PlyKind, PlyNotes},
};

/// A ply as earlier versions wrote it.
type OldPly = (u64, u32, Option<i64>, u16, Vec<(u16, u32, f32)>, f32, i64);

/// An entry as earlier versions wrote it.
#[derive(Serialize)]
#[expect(dead_code, reason = "entries are told by their place")]
enum OldEntry {
    Header(()),
    Begun(()),
    Ply(OldPly),
    Staging(()),
    Staged(()),
    End(()),
    BegunWith(()),
    PlyWithDraw(OldPly, f32),
}

/// What is read of the content of an entry.
fn read_back(content: &[u8]) -> JournaledPly {
    let mut frame = (content.len() as u32).to_le_bytes().to_vec();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame);
    hasher.update(content);
    frame.extend(hasher.finalize().to_le_bytes());
    frame.extend(content);
    let (read, _) = entry::decode(&mut &frame[..], &mut Vec::new()).unwrap().unwrap();
    let (place, ply) = read.into_ply().unwrap();
    assert_eq!(place, (300, 2, Some(7)));
    ply
}

fn drawn(mut record: GameRecord<TicTacToe>, plies: &[usize]) -> GameRecord<TicTacToe> {
    for &ply in plies {
        record.plies[ply].root_draw = DrawChance::new(0.125 * ply as f32);
    }
    record
}

#[test]
fn plies_of_earlier_versions_are_read_with_what_is_known_of_them() {
    for (targets, kind) in [(vec![(4, 3, 1.0)], PlyKind::Full), (vec![(4, 0, 1.0)], PlyKind::NoSearch)] {
        let old = || (300, 2, Some(7), 4, targets.clone(), 0.25, 9);
        let expected = |root_draw| JournaledPly {
            action: 4,
            targets: targets.clone(),
            root_value: 0.25,
            root_draw,
            model_version: 9,
            notes: PlyNotes { kind, ..PlyNotes::unknown(true) },
        };
        let plain = read_back(&postcard::to_stdvec(&OldEntry::Ply(old())).unwrap());
        assert_eq!(plain, expected(DrawChance::UNKNOWN));
        let drawn = read_back(&postcard::to_stdvec(&OldEntry::PlyWithDraw(old(), 0.5)).unwrap());
        assert_eq!(drawn, expected(DrawChance::new(0.5)));
    }
}

#[test]
fn notes_come_back_with_their_plies_and_are_short() {
    let stage = Stage::new();
    let journal = stage.open(1).journal;
    let number = journal.begin(SEED, 0);
    let mut record = whole_game(0);
    let notes = |ply: usize| PlyNotes {
        kind: PlyKind::ALL[ply % 4],
        weight: 0.5 * ply as f32,
        simulations: 600 + ply as u32,
        noise: ply & 1 == 1,
        mixed: ply & 2 == 2,
        proven: ply == 3,
        raw_value: -0.25,
        best_value: 0.5,
        played_value: f32::NAN,
        divergence: 1.5,
    };
    for (index, ply) in record.plies[..4].iter_mut().enumerate() {
        ply.notes = notes(index);
        journal.ply(number, index, ply, Some(7));
    }
    drop(journal);
    for session in 2..4 {
        let unfinished = &stage.open(session).unfinished[0];
        assert_eq!(unfinished.plies.iter().map(|ply| ply.notes).collect::<Vec<_>>(), [0, 1, 2, 3].map(notes));
        let restored = restore_plies(&TicTacToe, &unfinished.plies).unwrap();
        assert_eq!(all_journaled(&restored), unfinished.plies);
    }
    assert!(postcard::to_stdvec(&notes(3)).unwrap().len() <= 26);
}

#[test]
fn draws_come_back_with_their_plies_through_any_number_of_sessions() {
    let stage = Stage::new();
    let record = drawn(whole_game(0), &[0, 1, 3]);
    let journal = stage.open(1).journal;
    let number = journal.begin(SEED, 0);
    for (index, ply) in record.plies[..5].iter().enumerate() {
        journal.ply(number, index, ply, Some(7));
    }
    // Ply 4 is played again, as after a panic.
    let again = drawn(whole_game(0), &[4]);
    journal.ply(number, 4, &again.plies[4], Some(7));
    drop(journal);
    for session in 2..4 {
        let recovered = stage.open(session);
        let unfinished = &recovered.unfinished[0];
        let draws: Vec<_> = unfinished.plies.iter().map(|ply| ply.root_draw.known()).collect();
        assert_eq!(draws, [Some(0.0), Some(0.125), None, Some(0.375), Some(0.5)]);
        let restored = restore_plies(&TicTacToe, &unfinished.plies).unwrap();
        assert_eq!(all_journaled(&restored), unfinished.plies);
    }
}
