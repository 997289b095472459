//! The games of this crate keep the laws, and games that break one are caught.

mod faulty;
mod walk;

use self::{
    faulty::{FAULTS, Fault, Faulty},
    walk::Walk,
};
use super::*;
use crate::{
    game::Notation,
    games::{
        breakthrough::Breakthrough, connect_four::ConnectFour, hex::Hex, mnk::Mnk, othello::Othello,
        quoridor::Quoridor, tictactoe::TicTacToe,
    },
};

#[test]
fn tic_tac_toe_keeps_the_laws() {
    let report = check_game(&TicTacToe, 2000).unwrap();
    assert_eq!((report.symmetries, report.symmetries_played, report.cut), (8, 8, 0));
    assert!(report.drawn > 100 && report.won.iter().all(|&won| won > 100), "{report}");
    assert!(report.positions > 3000, "{report}");
    check_notation(&TicTacToe, 50).unwrap();
}

#[test]
fn quoridor_keeps_the_laws() {
    for (size, walls, steps, playouts) in [(3, 1, 12, 200), (5, 3, 40, 60), (6, 4, 40, 30), (9, 10, 80, 10)] {
        let game = Quoridor::new(size, walls, Some(steps)).unwrap();
        let report = check_game(&game, playouts).unwrap();
        assert_eq!(report.symmetries_played, if size % 2 == 1 { 2 } else { 1 });
        assert!(report.limited > 0 && report.drawn == 0, "{report}");
        check_notation(&game, 3).unwrap();
    }
}

/// Checks a game whose players have about the same chances; how many symmetries were played.
fn keeps_the_laws<G: Notation>(game: &G, playouts: usize) -> Report {
    let report = check_game(game, playouts).unwrap();
    assert!(report.cut + report.limited + report.stuck == 0 && report.won.iter().all(|&won| won > 0), "{report}");
    check_notation(game, 5).unwrap();
    report
}

#[test]
fn connect_four_keeps_the_laws() {
    for (rows, columns, length, playouts) in [(6, 7, 4, 200), (8, 8, 4, 50), (2, 5, 3, 200), (8, 4, 5, 50)] {
        let report = keeps_the_laws(&ConnectFour::new(rows, columns, length).unwrap(), playouts);
        assert_eq!(report.symmetries_played, 2);
    }
}

#[test]
fn mnk_keeps_the_laws() {
    for (m, n, k, playouts) in [(3, 3, 3, 500), (4, 6, 4, 100), (9, 9, 5, 30), (19, 19, 5, 5)] {
        let report = keeps_the_laws(&Mnk::new(m, n, k).unwrap(), playouts);
        assert_eq!(report.symmetries_played, if m == n { 8 } else { 4 });
    }
}

#[test]
fn othello_keeps_the_laws() {
    for (size, playouts) in [(4, 400), (6, 60), (8, 30)] {
        let report = keeps_the_laws(&Othello::new(size).unwrap(), playouts);
        assert_eq!((report.symmetries, report.symmetries_played), (8, 4));
        assert!(size > 4 || report.drawn > 0, "{report}");
    }
}

#[test]
fn hex_keeps_the_laws() {
    for (size, playouts) in [(3, 300), (5, 100), (11, 10), (13, 5)] {
        for swap in [false, true] {
            let report = keeps_the_laws(&Hex::new(size, swap).unwrap(), playouts);
            assert_eq!((report.symmetries_played, report.drawn), (2, 0));
        }
    }
}

#[test]
fn breakthrough_keeps_the_laws() {
    for (rows, columns, playouts) in [(8, 8, 30), (4, 4, 300), (5, 7, 60), (6, 6, 50)] {
        let report = keeps_the_laws(&Breakthrough::new(rows, columns).unwrap(), playouts);
        assert_eq!((report.symmetries_played, report.drawn), (2, 0));
    }
}

#[test]
fn a_game_that_breaks_a_law_is_caught_by_it() {
    let sound = Faulty::new(Fault::Nothing);
    let report = check_game(&sound, 1000).unwrap();
    assert!(report.drawn > 0 && report.won.iter().all(|&won| won > 0), "{report}");
    check_notation(&sound, 20).unwrap();
    for (fault, law) in FAULTS {
        let game = Faulty::new(fault);
        let broken = match law {
            Law::Notation => check_notation(&game, 20),
            _ => check_game(&game, 1000).map(|_| ()),
        };
        assert_eq!(broken.as_ref().map_err(|broken| broken.law), Err(law), "{fault:?}: {broken:?}");
    }
}

#[test]
fn a_record_that_does_not_come_back_is_noticed() {
    assert_eq!(records::check(&Faulty::new(Fault::Nothing), 0), Ok(()));
    for number in 0..2 {
        let broken = records::check(&Faulty::new(Fault::TurnsSetsOtherwise), number).unwrap_err();
        assert_eq!(broken.law, Law::Records, "{broken}");
    }
    // What the files say of a ply is not what the rules say later.
    let caught =
        (0..RECORDED as u64).any(|number| records::check(&Faulty::new(Fault::PlaysElsewhere), number).is_err());
    assert!(caught);
}

#[test]
fn a_position_holds_what_the_rules_look_back_at() {
    let report = check_game(&Walk { forgets: false }, 1000).unwrap();
    // Only the identity leaves the start as it is.
    assert_eq!((report.symmetries, report.symmetries_played), (14, 1));
    assert!(report.limited > 0 && report.won.iter().all(|&won| won > 0), "{report}");
    let game = Walk { forgets: false };
    for symmetry in 0..game.symmetries() {
        check_images(&game, symmetry, [&game.start(), &game.image_of_start(symmetry)], 20).unwrap();
    }
    let broken = check_game(&Walk { forgets: true }, 1000).unwrap_err();
    assert_eq!(broken.law, Law::Position, "{broken}");
}

#[test]
fn a_start_that_is_no_image_is_refused() {
    let (first, mut other) = (TicTacToe.start(), TicTacToe.start());
    TicTacToe.play(&mut other, 0);
    let broken = check_images(&TicTacToe, 1, [&first, &other], 1).unwrap_err();
    assert_eq!((broken.law, broken.actions.len()), (Law::Symmetry, 0));
    let message = broken.to_string();
    assert!(
        message.ends_with(
            "; after the actions []; but the law says: legal actions, successors and results of an image \
        are images of those of the position"
        ),
        "{message}"
    );
}
