//! Call expressions and exercises: any text is a call that can be spelt again, or an error with a column.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlsoak_fuzz::call(data));
