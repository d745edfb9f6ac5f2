#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanmq_session::fuzz::session_ops(data));
