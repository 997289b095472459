//! Any bytes as the trainer's `latest.yaml`: refused with a short message, or understood.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| selfplay_engine::latest::read_any(bytes));
