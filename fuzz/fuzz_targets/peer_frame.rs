#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanmq_forward::fuzz::peer_frame(data));
