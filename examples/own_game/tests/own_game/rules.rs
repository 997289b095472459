//! Domineering by itself.

use own_game::Domineering;
use selfplayd::engine::{
    Game as _,
    solve::{Class, Exhaustive, Solver as _},
    testing::{check_game, check_notation},
};

#[test]
fn domineering_keeps_the_laws() {
    for size in [2, 5, 8] {
        let game = Domineering::new(size);
        let report = check_game(&game, 200).unwrap();
        assert_eq!(report.won.iter().sum::<usize>(), 200, "there are no draws");
        check_notation(&game, 20).unwrap();
    }
}

/// Of the square boards up to 8×8, the second player wins that of 5×5 alone (D. M. Breuker, J. W. H. M. Uiterwijk, H. J. van den
/// Herik: Solving 8×8 Domineering, 2000).
#[test]
fn small_boards_are_won_as_published() {
    let worth = [2, 3, 4, 5].map(|size| {
        let game = Domineering::new(size);
        Exhaustive::new(game.clone(), 1_000_000).class(&game.start()).unwrap()
    });
    assert_eq!(worth, [Class::Win, Class::Win, Class::Win, Class::Loss]);
}
