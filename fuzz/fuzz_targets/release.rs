#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| passband_fuzz::release(data));
