//! The YAML file beside each game's arrays (contract, section 5): three keys for the trainer, the rest for people and tools.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::record::GameRecord;
use crate::game::{Game, Outcome, Player};

/// Why metadata cannot be written or read.
#[derive(Debug, Error)]
pub enum MetadataError {
    /// They cannot be expressed as YAML.
    #[error("write a game's metadata")]
    Write(#[source] Box<serde_saphyr::SerializeError>),
    /// The text is not YAML, lacks a key of the trainer's, or holds another kind of value there.
    #[error("read a game's metadata")]
    Read(#[source] Box<serde_saphyr::Error>),
}

/// Who won, as files name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GameResult {
    /// The player who moved first.
    First,
    /// The player who moved second.
    Second,
    /// Neither.
    Draw,
}

impl From<Outcome> for GameResult {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Win(Player::First) => Self::First,
            Outcome::Win(Player::Second) => Self::Second,
            Outcome::Draw(_) => Self::Draw,
        }
    }
}

/// What a game's YAML file says.
///
/// Keys that only this daemon writes are optional: the trainer's own producer has none of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GameMetadata {
    /// Version of the model that served when the game began.
    pub model_version: i64,
    /// Rows of the trainer's arrays: plies that are policy targets. The trainer samples games in proportion to it.
    pub game_length: u64,
    /// Process that played the game. Always a quoted string in the file: the trainer dies of a number.
    pub creator: String,
    /// The process's seed: with `game_index` it fixes all randomness of the game.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Number of the game within its process and seed, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub game_index: Option<u64>,
    /// Fingerprint of the settings that shape games.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_hash: Option<String>,
    /// Who won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<GameResult>,
    /// Why the game ended: [`GameRecord::end_reason`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
    /// Version of the daemon that wrote the game.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon_version: Option<String>,
    /// Newest model that had a say in the first ply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_model_version: Option<i64>,
    /// Newest model that had a say in the last ply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_model_version: Option<i64>,
    /// Which game it is, with its parameters, such as `hex(size=11,swap=true)`; nothing for Quoridor, the first there was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
    /// Plies at the start that belong to no recorded game; nothing where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening_plies: Option<u64>,
    /// Whether players could not resign, whatever their values; this and the next two only where players may resign at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_resign: Option<bool>,
    /// The first ply at which its mover would have resigned; nothing where none would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_resign_ply: Option<u32>,
    /// Value below which a player resigns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resign_threshold: Option<f32>,
    /// Who moved first, where two players played a match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_player: Option<String>,
    /// Who moved second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_player: Option<String>,
}

impl GameMetadata {
    /// The metadata of a finished game, played by process `pid` under settings with the fingerprint `settings_hash`.
    #[must_use]
    pub fn new<G: Game>(record: &GameRecord<G>, pid: u32, settings_hash: &str, daemon_version: &str) -> Self {
        Self {
            model_version: record.model_version,
            game_length: record.rows().count() as u64,
            creator: pid.to_string(),
            seed: Some(record.seed),
            game_index: Some(record.index),
            settings_hash: Some(settings_hash.to_owned()),
            result: Some(record.outcome.into()),
            end_reason: Some(record.end_reason().to_owned()),
            daemon_version: Some(daemon_version.to_owned()),
            first_model_version: record.plies.first().map(|ply| ply.model_version),
            last_model_version: record.plies.last().map(|ply| ply.model_version),
            rules: None,
            opening_plies: Some(record.opening_plies() as u64).filter(|&plies| plies > 0),
            no_resign: record.resign.map(|resign| resign.no_resign),
            would_resign_ply: record.resign.and_then(|resign| resign.would_resign_ply),
            resign_threshold: record.resign.map(|resign| resign.threshold),
            first_player: None,
            second_player: None,
        }
    }

    /// The file's text. All strings are quoted, since YAML readers differ in what else they take for a number or a date.
    ///
    /// # Errors
    /// When a text cannot be expressed as YAML.
    pub fn to_yaml(&self) -> Result<String, MetadataError> {
        let options = serde_saphyr::ser_options! { quote_all: true };
        serde_saphyr::to_string_with_options(self, options).map_err(|source| MetadataError::Write(Box::new(source)))
    }

    /// Reads the file's text; keys unknown here are ignored.
    ///
    /// # Errors
    /// When the text is not YAML, or one of the first three keys is missing or of another kind.
    pub fn from_yaml(text: &str) -> Result<Self, MetadataError> {
        serde_saphyr::from_str(text).map_err(|source| MetadataError::Read(Box::new(source)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn metadata() -> GameMetadata {
        GameMetadata {
            model_version: 7,
            game_length: 31,
            creator: "12345".to_owned(),
            seed: Some(u64::MAX),
            game_index: Some(u64::MAX - 1),
            settings_hash: Some("0123456789e10123".to_owned()),
            result: Some(GameResult::Second),
            end_reason: Some("win".to_owned()),
            daemon_version: Some("0.10".to_owned()),
            first_model_version: Some(7),
            last_model_version: Some(9),
            rules: None,
            opening_plies: None,
            no_resign: None,
            would_resign_ply: None,
            resign_threshold: None,
            first_player: None,
            second_player: None,
        }
    }

    #[test]
    fn the_file_reads_like_the_trainer_s_own_with_ours_below() {
        let text = metadata().to_yaml().unwrap();
        assert!(text.starts_with("model_version: 7\ngame_length: 31\ncreator: '12345'\n"), "{text}");
    }

    #[test]
    fn games_other_than_quoridor_are_named() {
        let hex = GameMetadata { rules: Some("hex(size=11,swap=true)".to_owned()), ..metadata() };
        let text = hex.to_yaml().unwrap();
        assert!(text.ends_with("\nrules: 'hex(size=11,swap=true)'\n"), "{text}");
        assert_eq!(GameMetadata::from_yaml(&text).unwrap(), hex);
        assert!(!metadata().to_yaml().unwrap().contains("rules:"));
    }

    #[test]
    fn a_reader_that_guesses_types_finds_strings_and_whole_seeds() {
        let text = metadata().to_yaml().unwrap();
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        let expected = json!({
            "model_version": 7, "game_length": 31, "creator": "12345", "seed": u64::MAX, "game_index": u64::MAX - 1,
            "settings_hash": "0123456789e10123", "result": "second", "end_reason": "win", "daemon_version": "0.10",
            "first_model_version": 7, "last_model_version": 9,
        });
        assert_eq!(value, expected, "{text}");
    }

    #[test]
    fn strings_survive_whatever_they_look_like() {
        for text in ["", "null", "~", "1:30", "2024-02-30", "it's", "a\nb\t\u{7}", "# no", "0x1F", "yes", " x ", "\\n"]
        {
            let text_of = || Some(text.to_owned());
            let written = GameMetadata { settings_hash: text_of(), first_player: text_of(), ..metadata() };
            let yaml = written.to_yaml().unwrap();
            assert_eq!(GameMetadata::from_yaml(&yaml).unwrap(), written, "{yaml}");
            let value: Value = serde_saphyr::from_str(&yaml).unwrap();
            assert_eq!(value["settings_hash"], json!(text), "{yaml}");
        }
    }

    #[test]
    fn the_trainer_s_own_producer_writes_three_keys() {
        let read =
            GameMetadata::from_yaml("model_version: 7\ngame_length: 50\ncreator: '12345'\nsurprise: [1]\n").unwrap();
        assert_eq!((read.model_version, read.game_length, read.creator.as_str()), (7, 50, "12345"));
        assert_eq!((read.seed, read.result, read.end_reason), (None, None, None));
    }

    #[test]
    fn missing_keys_wrong_kinds_and_broken_text_are_errors() {
        for text in [
            "",
            "model_version: 7\ncreator: '1'\n",
            "model_version: x\ngame_length: 1\ncreator: '1'\n",
            "model_version: 7\ngame_length: -1\ncreator: '1'\n",
            "model_version: 7\ngame_length: 1\ncreator: '1'\nresult: third\n",
            "model_version: [7\n",
        ] {
            assert!(matches!(GameMetadata::from_yaml(text), Err(MetadataError::Read(_))), "{text}");
        }
    }
}
