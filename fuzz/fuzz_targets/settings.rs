//! Any bytes as our settings and as the trainer's: refused with a short message, or accepted, printed and read again alike.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static DIR: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a directory for the files"));

fuzz_target!(|bytes: &[u8]| selfplayd::fuzzing::settings(DIR.path(), bytes).expect("room for the files"));
