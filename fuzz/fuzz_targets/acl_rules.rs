#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanmq_access::fuzz::acl_rules(data));
