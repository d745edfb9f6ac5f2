#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanmq_port::fuzz::raft_frame(data));
