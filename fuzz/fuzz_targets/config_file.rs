#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanmq_config::fuzz::config_file(data));
