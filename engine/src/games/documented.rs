//! Holds docs/formats.md to the games that there are.

use std::ops::RangeInclusive;

use super::{
    breakthrough::Breakthrough, connect_four::ConnectFour, hex::Hex, mnk::Mnk, othello::Othello, tictactoe::TicTacToe,
};

const FORMATS: &str = include_str!("../../../docs/formats.md");

/// First words of the rows of a table whose head begins with `head`, and the rows.
fn rows(head: &str) -> Vec<(&'static str, &'static str)> {
    let (_, section) = FORMATS.split_once("\n## The other games\n").expect("the section");
    let (_, table) = section.split_once(head).unwrap_or_else(|| panic!("no {head:?}"));
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines.map(|line| (line.split('`').nth(1).unwrap_or_default(), line)).collect()
}

#[test]
fn every_game_is_documented_with_its_parameters_and_planes() {
    let range = |range: RangeInclusive<u32>| format!("{} to {}", range.start(), range.end());
    let sizes = Othello::SIZES;
    let expected = [
        (TicTacToe::NAME, "none".to_owned()),
        (Mnk::NAME, range(Mnk::SIDES)),
        (ConnectFour::NAME, range(ConnectFour::SIDES)),
        (Othello::NAME, format!("{}, {} or {}", sizes[0], sizes[1], sizes[2])),
        (Hex::NAME, range(Hex::SIZES)),
        (Breakthrough::NAME, range(Breakthrough::SIDES)),
    ];
    let parameters = rows("| game | parameters |");
    assert_eq!(parameters.iter().map(|row| row.0).collect::<Vec<_>>(), expected.each_ref().map(|row| row.0));
    for ((name, row), (_, allowed)) in parameters.iter().zip(&expected) {
        assert!(row.contains(allowed), "{name}: {row} does not say {allowed}");
    }
    let mut planes: Vec<&str> = rows("| game | input |").iter().map(|row| row.0).collect();
    planes.dedup();
    assert_eq!(planes, expected.each_ref().map(|row| row.0));
}
