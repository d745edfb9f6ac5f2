#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanmq_link_protocol::fuzz::etf_decode(data));
