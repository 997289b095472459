//! A stand-in for the trainer's reader: takes games as the trainer does, dies where the trainer would, and remembers every game.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use selfplay_engine::replay::GameMetadata;

use crate::{
    games::{Written, archives, strict_metadata},
    models::Models,
    numpy::Numpy,
    site::Site,
};

/// What a game is, whichever process played or wrote it: its seed and number fix all its randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Identity {
    pub(crate) seed: u64,
    pub(crate) index: u64,
}

/// Takes games out of the output directory, checks each one, and remembers it by seed and number.
pub(crate) struct Ingest {
    numpy: Numpy,
    taken: BTreeMap<Identity, GameMetadata>,
    /// Digest of each game's moves, values and visits.
    contents: HashMap<u64, Identity>,
}

impl Ingest {
    pub(crate) fn new() -> Self {
        Self { numpy: Numpy::start(), taken: BTreeMap::new(), contents: HashMap::new() }
    }

    /// All games taken so far.
    pub(crate) const fn taken(&self) -> &BTreeMap<Identity, GameMetadata> {
        &self.taken
    }

    /// Takes all games that are there.
    ///
    /// # Panics
    /// Where the trainer would die; at any game that is not what it says, was there before, or was played with a model that is
    /// not one of the good ones.
    pub(crate) fn round(&mut self, site: &Site, models: &Models) {
        for npz in archives(&site.ready()) {
            let name = npz.file_name().unwrap().to_str().unwrap().to_owned();
            let taken = site.path("replay_buffers").join(format!("game_{:07}.npz", self.taken.len() + 1));
            let yaml = taken.with_extension("yaml");
            fs::rename(npz.with_extension("yaml"), &yaml)
                .unwrap_or_else(|error| panic!("{name}: the YAML file is there before the archive: {error}"));
            let metadata = strict_metadata(&yaml);
            fs::rename(&npz, &taken).unwrap();
            let loaded = self.numpy.load(&taken, &metadata, site.config);
            let written = Written::read(&taken, site.config);
            assert_eq!(loaded.searched, metadata.game_length, "{name}");
            for version in loaded.model_versions.iter().chain([&metadata.model_version]) {
                assert!(models.good().contains(version), "{name} was played with model {version}, which is broken");
            }
            self.remember(&name, &written);
            // A trainer keeps them; these tests may run for hours.
            fs::remove_file(&taken).unwrap();
            fs::remove_file(&yaml).unwrap();
        }
    }

    fn remember(&mut self, name: &str, written: &Written) {
        let game = &written.game;
        let metadata = &game.metadata;
        let identity = Identity { seed: metadata.seed.unwrap(), index: metadata.game_index.unwrap() };
        if let Some(before) = self.taken.insert(identity, metadata.clone()) {
            panic!("{name}: {identity:?} was there before: {before:?}, now {metadata:?}");
        }
        let mut content = DefaultHasher::new();
        game.actions.as_ref().unwrap().iter().for_each(|action| action.hash(&mut content));
        game.root_values.as_ref().unwrap().iter().for_each(|value| value.to_bits().hash(&mut content));
        game.visit_counts.as_ref().unwrap().iter().for_each(|visits| visits.hash(&mut content));
        if let Some(twin) = self.contents.insert(content.finish(), identity) {
            panic!("{name}: {identity:?} holds the same moves, values and visits as {twin:?}");
        }
    }
}
