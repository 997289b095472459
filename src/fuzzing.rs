//! What fuzz targets, and the test that repeats their property, may call. No part of any interface.

use std::{collections::BTreeMap, fs, io, path::Path};

use crate::settings::{self, FlagValue, Purpose, Settings, Sources};

/// Reads `bytes` as our settings in TOML, as our settings in YAML, and as the trainer's file, through files in `dir`.
///
/// # Errors
/// When the files cannot be written.
///
/// # Panics
/// When settings that are accepted, printed and read again are not the same settings, or when a message is too long for people.
pub fn settings(dir: &Path, bytes: &[u8]) -> io::Result<()> {
    let printed = dir.join("printed.toml");
    for name in ["own.toml", "own.yaml", "trainer.yaml"] {
        let path = dir.join(name);
        fs::write(&path, bytes)?;
        let ours = name.starts_with("own");
        match resolve((!ours).then_some(path.as_path()), ours.then_some(path.as_path()), ours) {
            Ok((settings, toml)) => {
                fs::write(&printed, &toml)?;
                let again = resolve(None, Some(&printed), false).map(|(settings, _)| settings);
                assert_eq!(again, Ok(settings), "{toml}");
            }
            Err(message) => assert!(message.len() < 64 << 10, "{message}"),
        }
    }
    Ok(())
}

/// The settings and how they are printed, or what is wrong with them. `board`: where no file is to say what board it is.
fn resolve(trainer: Option<&Path>, own: Option<&Path>, board: bool) -> Result<(Settings, String), String> {
    // What would be missing otherwise, so that something is accepted.
    let always = [("output.dir", "out"), ("model.path", "m.onnx"), ("model.latest_yaml", "latest.yaml")];
    let rules = [("game.board_size", "5"), ("game.max_walls", "3")];
    let given = always.iter().chain(rules.iter().filter(|_| board));
    let flags: Vec<_> = given.map(|&(key, value)| FlagValue { flag: "--it", key, value: value.to_owned() }).collect();
    let environment = BTreeMap::new();
    let sources = Sources { preset: None, trainer, own, environment: &environment, flags: &flags };
    let resolved = settings::resolve(&sources, Purpose::Play);
    let toml = resolved.to_toml();
    resolved.into_settings().map(|settings| (settings, toml)).map_err(|mistakes| mistakes.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::{prelude::*, sample::Index};
    use selfplay_engine::latest;
    use tempfile::TempDir;

    use super::*;

    /// What fuzzing `target` starts from, and what it found.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        // Fuzzing leaves files of its own beside those that are kept.
        let kept = names.filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .is_some_and(|name| name.starts_with("seed_") || name.starts_with("found_"))
        });
        let files: Vec<_> = kept.map(|path| fs::read(path).unwrap()).collect();
        assert!(files.len() > 2);
        files
    }

    #[test]
    fn the_corpora_are_read_or_refused() {
        let dir = TempDir::new().unwrap();
        corpus("settings").iter().for_each(|bytes| settings(dir.path(), bytes).unwrap());
        corpus("latest_yaml").iter().for_each(|bytes| latest::read_any(bytes));
    }

    /// `bytes` with some of them replaced, and the end cut off.
    fn damaged(mut bytes: Vec<u8>, from: &Index, length: usize, inserted: &str, end: &Index) -> Vec<u8> {
        let from = from.index(bytes.len() + 1);
        bytes.splice(from..bytes.len().min(from + length), inserted.bytes());
        bytes.truncate(end.index(bytes.len() * 2 + 1));
        bytes
    }

    fn odd_text() -> impl Strategy<Value = String> {
        prop_oneof!["[\\[\\]{}:,&*!|>'\"\\-? \t\n#=.~]{1,4}", "[0-9.e_+-]{1,25}", ".{0,4}"]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn damaged_settings_are_read_or_refused(
            file: Index, from: Index, length in 0_usize..8, inserted in odd_text(), end: Index,
        ) {
            let bytes = file.get(&corpus("settings")).clone();
            settings(TempDir::new().unwrap().path(), &damaged(bytes, &from, length, &inserted, &end)).unwrap();
        }

        #[test]
        fn damaged_news_of_models_are_read_or_refused(
            file: Index, from: Index, length in 0_usize..8, inserted in odd_text(), end: Index,
        ) {
            let bytes = file.get(&corpus("latest_yaml")).clone();
            latest::read_any(&damaged(bytes, &from, length, &inserted, &end));
        }
    }
}
