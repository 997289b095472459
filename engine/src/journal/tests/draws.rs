//! Plies of networks that say how likely a draw is, beside those of networks that do not, and journals from before there were any.

use serde::Serialize;

use super::*;
use crate::evaluation::DrawChance;

/// An entry as it was when no network said how likely a draw is.
#[derive(Serialize)]
#[expect(dead_code, reason = "entries are told by their place")]
enum OldEntry {
    Header(()),
    Begun {
        number: u64,
        seed: u64,
        index: u64,
    },
    Ply {
        number: u64,
        index: u32,
        first_version: Option<i64>,
        action: u16,
        targets: Vec<(u16, u32, f32)>,
        root_value: f32,
        model_version: i64,
    },
}

fn drawn(mut record: GameRecord<TicTacToe>, plies: &[usize]) -> GameRecord<TicTacToe> {
    for &ply in plies {
        record.plies[ply].root_draw = DrawChance::new(0.125 * ply as f32);
    }
    record
}

#[test]
fn a_ply_without_a_draw_is_written_as_it_always_was() {
    let record = whole_game(0);
    for (index, ply) in record.plies.iter().enumerate() {
        let old = OldEntry::Ply {
            number: 300,
            index: index as u32,
            first_version: Some(7),
            action: ply.action,
            targets: journaled(ply).targets,
            root_value: ply.root_value,
            model_version: ply.model_version,
        };
        let old = postcard::to_stdvec(&old).unwrap();
        let mut frame = Vec::new();
        entry::encode(&Entry::played((300, index, Some(7)), ply), &mut frame);
        assert_eq!(frame[8..], old);
        let (read, _) = entry::decode(&mut &frame[..], &mut Vec::new()).unwrap().unwrap();
        assert_eq!(read.into_ply(), Some(((300, index, Some(7)), journaled(ply))));
    }
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
