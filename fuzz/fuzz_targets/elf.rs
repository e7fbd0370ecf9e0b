//! ELF files and the loader's cache: no bytes whatever make the reader panic or keep it busy.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlsoak_fuzz::elf(data));
