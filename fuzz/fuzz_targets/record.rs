//! Records, as other versions and other hands write them: any bytes are refused or become every report.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlsoak_fuzz::record(data));
