#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanmq_link_protocol::fuzz::link_message(data));
