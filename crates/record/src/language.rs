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
        /// D.
        D = "d",
        /// Nim, whose compiler writes C.
        Nim = "nim",
        /// OCaml.
        OCaml = "ocaml",
        /// Haskell.
        Haskell = "haskell",
        /// Zig.
        Zig = "zig",
        /// A language of the JVM, compiled by GraalVM's native-image.
        GraalVm = "graalvm",
        /// Ada.
        Ada = "ada",
        /// Pascal.
        Pascal = "pascal",
        /// Fortran.
        Fortran = "fortran",
        /// Swift.
        Swift = "swift",
        /// The file does not show it.
        #[default]
        Unknown = "unknown",
    }
}
