//! Any bytes as the archive of a game: refused, or a game whose arrays fit each other.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use selfplay_engine::replay::ReadGame;

fuzz_target!(|bytes: &[u8]| {
    // Seeds have one or two plies; other lengths end before the arrays are compared.
    for plies in 1..=2 {
        let yaml = format!("model_version: 1\ngame_length: {plies}\ncreator: '1'\n");
        if let Ok(game) = ReadGame::read(Cursor::new(bytes), &yaml) {
            assert_eq!(game.plies(), plies);
            assert_eq!(game.policies.dim(), (plies, game.policy_size()));
            assert!(game.values.iter().chain(&game.policies).all(|value| value.is_finite()));
        }
    }
});
