#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanmq_state::fuzz::snapshot_decode(data));
