//! The languages that the record tells apart.

use dlsoak_settings::named;

named! {
    /// Language a library was written in, read from its file.
    #[derive(Default)]
    pub enum Language {
        /// C.
        C = "c",
        /// C++.
        Cpp = "c++",
        /// Rust.
        Rust = "rust",
        /// Go.
        Go = "go",
        /// The file does not tell.
        #[default]
        Unknown = "unknown",
    }
}
