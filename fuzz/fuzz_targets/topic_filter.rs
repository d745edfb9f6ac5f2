#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanmq_topic::fuzz::topic_filter(data));
