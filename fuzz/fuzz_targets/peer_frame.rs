//! What comes in on the peer port.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| trireme::consensus::decode_frames(data));
