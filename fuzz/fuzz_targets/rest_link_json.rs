#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanmq_link_protocol::fuzz::rest_link_json(data));
