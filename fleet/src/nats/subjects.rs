//! Names of subjects, streams, buckets and the consumer.

use crate::{models::Hash, name::Name};

/// The stream of frames: a work queue.
pub const GAMES: &str = "GAMES";

/// What every frame's subject begins with.
const GAMES_PREFIX: &str = "games";

/// All frames, of any run and worker.
pub const ALL_GAMES: &str = "games.*.*";

/// The one consumer of [`GAMES`].
pub const COLLECTOR: &str = "collector";

/// The stream of models, in chunks.
pub const MODELS: &str = "MODELS";

/// All chunks of all models.
pub const ALL_MODELS: &str = "models.>";

/// Bucket of the pointers to models.
pub const FLEET: &str = "fleet";

/// Bucket of what each worker has receipts for, and how the stream is.
pub const RECEIPTS: &str = "receipts";

/// Bucket of what each worker says of itself.
pub const PRESENCE: &str = "presence";

/// Under which key all workers read how the stream is; no worker has this name.
const ALL: &str = "all";

/// Where a worker's frames go.
#[must_use]
pub fn games(run: &Name, worker: &Name) -> String {
    format!("{GAMES_PREFIX}.{run}.{worker}")
}

/// The worker that a frame's subject is for.
#[must_use]
pub fn sender(subject: &str) -> Option<Name> {
    let mut tokens = subject.split('.');
    let worker = match (tokens.next(), tokens.next(), tokens.next(), tokens.next()) {
        (Some(GAMES_PREFIX), Some(_), Some(worker), None) => worker,
        _ => return None,
    };
    worker.parse().ok()
}

/// The stream that a bucket is.
#[must_use]
pub fn bucket(name: &str) -> String {
    format!("KV_{name}")
}

/// The subject of a bucket's key.
#[must_use]
pub fn key(bucket: &str, key: &str) -> String {
    format!("$KV.{bucket}.{key}")
}

/// The subject on which what is put under a bucket's key is told at once.
#[must_use]
pub fn now(bucket: &str, key: &str) -> String {
    format!("now.{bucket}.{key}")
}

/// Key of a worker's receipts.
#[must_use]
pub fn receipts_of(worker: &Name) -> String {
    key(RECEIPTS, worker.as_str())
}

/// Key of how the stream is.
#[must_use]
pub fn report() -> String {
    key(RECEIPTS, ALL)
}

/// Where a worker hears of its receipts at once.
#[must_use]
pub fn receipts_now(worker: &Name) -> String {
    now(RECEIPTS, worker.as_str())
}

/// Where all hear at once how the stream is.
#[must_use]
pub fn report_now() -> String {
    now(RECEIPTS, ALL)
}

/// Where the last value under a bucket's key is asked for.
#[must_use]
pub fn last(bucket_name: &str, key_name: &str) -> String {
    format!("$JS.API.DIRECT.GET.{}.{}", bucket(bucket_name), key(bucket_name, key_name))
}

/// Where a worker's last receipts are asked for.
#[must_use]
pub fn last_receipts(worker: &Name) -> String {
    last(RECEIPTS, worker.as_str())
}

/// Where the last report is asked for.
#[must_use]
pub fn last_report() -> String {
    last(RECEIPTS, ALL)
}

/// Where a worker says how it is.
#[must_use]
pub fn presence_of(worker: &Name) -> String {
    key(PRESENCE, worker.as_str())
}

/// Where is heard at once how every worker is.
#[must_use]
pub fn presence_now() -> String {
    now(PRESENCE, "*")
}

/// The worker that such a subject is for.
#[must_use]
pub fn speaker(subject: &str) -> Option<Name> {
    let worker = subject.strip_prefix("now.")?.strip_prefix(PRESENCE)?.strip_prefix('.')?;
    worker.parse().ok()
}

/// Key of the pointer to a run's newest model, in its bucket.
#[must_use]
pub fn pointer_key(run: &Name) -> String {
    format!("{run}.model")
}

/// Where a chunk of a model is.
#[must_use]
pub fn chunk(model: Hash, number: u64) -> String {
    format!("models.{model}.{number:05}")
}

/// All chunks of a model.
#[must_use]
pub fn chunks(model: Hash) -> String {
    format!("models.{model}.>")
}

/// Where a chunk is asked for.
#[must_use]
pub fn get_chunk(model: Hash, number: u64) -> String {
    format!("$JS.API.DIRECT.GET.{MODELS}.{}", chunk(model, number))
}

/// Where models are forgotten.
#[must_use]
pub fn purge_models() -> String {
    format!("$JS.API.STREAM.PURGE.{MODELS}")
}

/// Where the collector asks for frames.
#[must_use]
pub fn pull() -> String {
    format!("$JS.API.CONSUMER.MSG.NEXT.{GAMES}.{COLLECTOR}")
}

/// Where it asks how the stream is.
#[must_use]
pub fn stream_info() -> String {
    format!("$JS.API.STREAM.INFO.{GAMES}")
}

/// Where it asks how far it is behind.
#[must_use]
pub fn consumer_info() -> String {
    format!("$JS.API.CONSUMER.INFO.{GAMES}.{COLLECTOR}")
}

/// What the subjects begin with on which a client gets its answers. Another's is closed to it.
#[must_use]
pub fn inbox(client: &str) -> String {
    format!("_INBOX_{client}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_who_the_subject_is_for() {
        let name = |name: &str| name.parse::<Name>().unwrap();
        assert_eq!(sender(&games(&name("r1"), &name("w_2-b"))), Some(name("w_2-b")));
        for other in ["games.r1", "games.r1.w1.x", "models.r1.w1", "games.r1.all", "games.r1.W", "", "games..", "."] {
            assert_eq!(sender(other), None, "{other}");
        }
    }

    #[test]
    fn the_speaker_is_who_the_subject_is_for() {
        let name = |name: &str| name.parse::<Name>().unwrap();
        assert_eq!(presence_now(), "now.presence.*");
        assert_eq!(presence_of(&name("w1")), "$KV.presence.w1");
        assert_eq!(speaker(&now(PRESENCE, "w_2-b")), Some(name("w_2-b")));
        for other in ["now.presence", "now.presence.", "now.presence.a.b", "now.presence.all", "now.fleet.w1", "w1", ""]
        {
            assert_eq!(speaker(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_those_of_the_rights() {
        let worker = "w1".parse().unwrap();
        assert_eq!(last_receipts(&worker), "$JS.API.DIRECT.GET.KV_receipts.$KV.receipts.w1");
        assert_eq!(report(), "$KV.receipts.all");
        assert_eq!(receipts_now(&worker), "now.receipts.w1");
    }
}
