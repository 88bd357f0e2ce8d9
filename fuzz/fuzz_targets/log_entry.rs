//! Entries of the replicated log: as they stand in its files, and as nodes put them together from parts.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    trireme::consensus::decode_stored(data);
    trireme::replicator::take_bodies(data);
});
