//! Any bytes as a frame of games from another machine: it is refused, or its games are what its header says.
//!
//! An input that begins with a zero is header and body, to which what stands before and behind them is added here, so that mutations reach
//! what lies behind the checksum; any other is a frame as it stands.

#![no_main]

use libfuzzer_sys::fuzz_target;
use selfplay_fleet::frame::{Frame, MOST_GAMES, MOST_UNPACKED, VERSION};

/// The frame that `input` stands for.
fn frame(input: &[u8]) -> Vec<u8> {
    let [0, low, high, rest @ ..] = input else { return input.to_vec() };
    let mut bytes = b"SPFG".to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(u32::from(u16::from_le_bytes([*low, *high])).to_le_bytes());
    bytes.extend_from_slice(rest);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fuzz_target!(|input: &[u8]| {
    let bytes = frame(input);
    let Ok(frame) = Frame::read(&bytes) else { return };
    let header = frame.header();
    assert!(header.games.len() <= MOST_GAMES && header.unpacked() <= MOST_UNPACKED);
    for (place, (entry, files)) in header.games.iter().zip(frame.games()).enumerate() {
        assert!(header.stem(place).as_str().starts_with("game_"));
        let Ok(files) = files else { continue };
        assert_eq!((files.yaml.len() as u64, files.npz.len() as u64), (entry.yaml.bytes, entry.npz.bytes));
    }
});
