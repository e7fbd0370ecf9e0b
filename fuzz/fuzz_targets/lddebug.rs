//! What the loader says under LD_DEBUG: any text is read to its end.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlsoak_fuzz::lddebug(data));
