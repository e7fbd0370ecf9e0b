//! Build logs: any bytes are read to their end.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlsoak_fuzz::explain(data));
