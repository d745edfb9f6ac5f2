#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanmq_mqtt::proxy_header(data));
