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
    let flags: Vec<_> =
        given.map(|&(key, value)| FlagValue { flag: "--it", key, value: Some(value.to_owned()) }).collect();
    let environment = BTreeMap::new();
    let sources = Sources { preset: None, trainer, own, environment: &environment, flags: &flags };
    let resolved = settings::resolve(&sources, Purpose::Play);
    let toml = resolved.to_toml();
    resolved.into_settings().map(|settings| (settings, toml)).map_err(|mistakes| mistakes.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    /// What fuzzing starts from, and what it found.
    fn corpus() -> Vec<Vec<u8>> {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/settings");
        let files = fs::read_dir(dir).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
        let files: Vec<_> = files.collect();
        assert!(files.len() > 5);
        files
    }

    #[test]
    fn the_corpus_of_settings_is_read_or_refused() {
        let dir = TempDir::new().unwrap();
        corpus().iter().for_each(|bytes| settings(dir.path(), bytes).unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn damaged_settings_are_read_or_refused(
            file: prop::sample::Index,
            cut: prop::sample::Index,
            from: prop::sample::Index,
            length in 0_usize..8,
            inserted in prop_oneof!["[\\[\\]{}:,&*!|>'\"\\-? \t\n#=.~]{1,4}", "[0-9.e_+-]{1,25}", ".{0,4}"],
        ) {
            let corpus = corpus();
            let mut bytes = file.get(&corpus).clone();
            if !bytes.is_empty() {
                let from = from.index(bytes.len());
                bytes.splice(from..bytes.len().min(from + length), inserted.bytes());
                bytes.truncate(cut.index(bytes.len() * 2 + 1));
            }
            settings(TempDir::new().unwrap().path(), &bytes).unwrap();
        }
    }
}
