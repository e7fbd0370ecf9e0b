//! Counts, durations, sizes, limits and flags, of the command line and the suite file alike.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlsoak_fuzz::units(data));
