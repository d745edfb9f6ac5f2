#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spanmq_mqtt::fuzz::mqtt_v3_packet(data));
