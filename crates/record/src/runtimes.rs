//! Files that belong to the C library or to a language's own, which are there for others: by their names, both as other files need them
//! (`libc.so.6`) and as files were called before glibc 2.34 (`libc-2.31.so`).

/// Parts of glibc and of musl, but for the loader.
const OF_C: [&str; 6] = ["libc", "libm", "libmvec", "libpthread", "libdl", "librt"];

/// How the names of the language's own libraries begin.
const OF_LANGUAGES: [&str; 4] = ["libstdc++.so", "libgcc_s.so", "libc++.so", "libc++abi.so"];

/// Whether a file is a part of the C library or its loader.
pub fn is_c_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let begins = |rest: &str| [".so", "-2.", ".musl-"].iter().any(|with| rest.starts_with(with));
    let is_loader =
        ["ld-linux", "ld64.so", "ld-musl-", "ld-2."].iter().any(|loader| name.starts_with(loader));
    is_loader || OF_C.iter().any(|part| name.strip_prefix(part).is_some_and(begins))
}

/// Whether a file is a part of the C library, or of what C++ or the unwinder needs: code that runs for others.
pub fn is_runtime(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    is_c_library(name) || OF_LANGUAGES.iter().any(|library| name.starts_with(library))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_old_and_new_files_are_known() {
        for file in [
            "/lib/libc.so.6",
            "/lib/libc-2.31.so",
            "libpthread-2.31.so",
            "ld-2.31.so",
            "libc.musl-x86_64.so.1",
        ] {
            assert!(is_c_library(file) && is_runtime(file), "{file}");
        }
        assert!(!is_c_library("libstdc++.so.6") && is_runtime("/usr/lib/libstdc++.so.6.0.28"));
        for file in [
            "libcurl.so.4",
            "libmagic.so.1",
            "libdlplugin.so",
            "ld-plugin.so",
            "libc-clean.so",
            "librt_own.so",
        ] {
            assert!(!is_runtime(file), "{file}");
        }
    }
}
