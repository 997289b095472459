//! Holds docs/formats.md, by which other programs read games, to what is written.

use std::io::{Cursor, Read as _};

use super::{
    arrays::GameArrays,
    metadata::GameMetadata,
    record::{PlyKind, ResignNotes},
    table_game::small_game,
};
use crate::evaluation::DrawChance;

const FORMATS: &str = include_str!("../../../docs/formats.md");

/// What the daemon's tests check games with.
const INGEST: &str = include_str!("../../../tests/daemon/ingest.py");

/// The cells of each row of the first table below `heading`, its first two lines left out.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, below) = FORMATS.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading:?}"));
    let lines = below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    lines.skip(2).map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

fn quoted(text: &str) -> String {
    format!("`{text}`")
}

#[test]
fn every_array_is_documented_with_its_type_and_number_of_axes() {
    let (game, mut record) = small_game();
    record.plies[0].root_draw = DrawChance::new(0.5);
    let npz = GameArrays::new(&record, &game, ()).unwrap().to_npz().unwrap();
    let mut archive = zip::ZipArchive::new(Cursor::new(npz)).unwrap();
    let mut written = Vec::new();
    for number in 0..archive.len() {
        let mut member = archive.by_index(number).unwrap();
        let name = member.name().unwrap().strip_suffix(".npy").unwrap().to_owned();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        let header = String::from_utf8_lossy(&bytes[..128]).into_owned();
        let kind = match header.split('\'').nth(3).unwrap() {
            "<f4" => "float32",
            "<i4" => "int32",
            "<i8" => "int64",
            "|u1" => "uint8",
            other => panic!("{name} has elements of type {other}, which formats.md has no word for"),
        };
        let (_, shape) = header.split_once("'shape': (").unwrap();
        let axes = shape.split(')').next().unwrap().split(',').filter(|axis| !axis.trim().is_empty()).count();
        // How a position is laid out is the game's own.
        written.push((quoted(&name), if name == "input_arrays" { 0 } else { axes }, quoted(kind)));
    }
    let documented: Vec<_> = table("### NAME.npz")
        .into_iter()
        .map(|row| {
            let axes = if row[0] == "`input_arrays`" { 0 } else { row[1].split(',').count() };
            (row[0].to_owned(), axes, row[2].to_owned())
        })
        .collect();
    assert_eq!(documented, written);
}

#[test]
fn the_value_targets_that_are_documented_are_those_that_are_tested() {
    let (_, below) = INGEST.split_once("def td(").unwrap();
    let (body, _) = below.split_once("\n\n").unwrap();
    assert!(FORMATS.contains(&format!("def td({body}\n```")));
}

#[test]
fn every_key_of_the_yaml_file_is_documented() {
    let (_, mut record) = small_game();
    record.plies[0].notes.kind = PlyKind::Opening;
    record.resign = Some(ResignNotes { would_resign_ply: Some(2), ..ResignNotes::default() });
    // Of a game that is named, as Quoridor is not, and of a match.
    let metadata = GameMetadata {
        rules: Some("hex".to_owned()),
        first_player: Some("A".to_owned()),
        second_player: Some("B".to_owned()),
        ..GameMetadata::new(&record, 1, "hash", "0.1.0")
    };
    let yaml = metadata.to_yaml().unwrap();
    let written: Vec<_> = yaml.lines().map(|line| quoted(line.split(':').next().unwrap())).collect();
    let documented: Vec<_> = table("### NAME.yaml").into_iter().map(|row| row[0].to_owned()).collect();
    assert_eq!(documented, written);
}
