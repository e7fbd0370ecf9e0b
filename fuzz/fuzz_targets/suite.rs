//! Suite files, as people write them: any text is a plan or an error that names its place.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlsoak_fuzz::suite(data));
