//! What the host has besides the library: what it holds, of which kind it is, and on which C library.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::mode::word;
use crate::{UnitError, named};

/// What ends the name of a library that the host links.
const LINK: &str = ":link";
/// The libraries that the library itself needs.
const DEPENDENCIES: &str = "deps";

/// A library that the host has before the first cycle and keeps until the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// What the library needs (`DT_NEEDED`), linked by the host.
    Dependencies,
    /// One library.
    Library {
        /// Its path, or a name that the loader searches for, which has no slash.
        library: PathBuf,
        /// Whether the host links it, so that it is there before `main`. Otherwise the host opens it.
        linked: bool,
    },
}

impl FromStr for Hold {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (name, linked) = text.strip_suffix(LINK).map_or((text, false), |name| (name, true));
        if name == DEPENDENCIES {
            return Ok(Self::Dependencies);
        }
        if name.is_empty() || name.contains('\0') {
            return Err(UnitError::new(
                "expected LIB, LIB:link or deps, where LIB is a path or a name such as libgomp.so.1",
            ));
        }
        Ok(Self::Library { library: PathBuf::from(name), linked })
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dependencies => f.write_str(DEPENDENCIES),
            Self::Library { library, linked } => {
                write!(f, "{}{}", library.display(), if *linked { LINK } else { "" })
            }
        }
    }
}

named! {
    /// The kind of a host: what it links for the sake of its own code.
    #[derive(Default)]
    pub enum HostKind {
        /// The kind that the library is written for: C++ where it needs libstdc++.
        #[default]
        Auto = "auto",
        /// A host in C, which links the C library alone.
        C = "c",
        /// A host in C++, which links libstdc++ as well.
        Cxx = "c++",
    }
}

named! {
    /// Whose faults a gate fails for.
    #[derive(Default)]
    pub enum Blame {
        /// The library's, and those of what it brings.
        #[default]
        All = "all",
        /// The library's alone: not what only a dependency does, as a host that keeps the dependency loaded shows.
        Library = "library",
    }
}

named! {
    /// A C library, by the name of its project.
    #[derive(Default)]
    pub enum Libc {
        /// The C library of most distributions.
        #[default]
        Glibc = "glibc",
        /// The C library of Alpine. It never unloads a library.
        Musl = "musl",
    }
}

impl FromStr for Libc {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        word(text)
    }
}

impl FromStr for HostKind {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        word(text)
    }
}

impl FromStr for Blame {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        word(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_a_path_a_name_or_what_the_library_needs() {
        for (text, hold) in [
            ("deps", Hold::Dependencies),
            ("libgomp.so.1", Hold::Library { library: "libgomp.so.1".into(), linked: false }),
            ("a b/lib:x.so:link", Hold::Library { library: "a b/lib:x.so".into(), linked: true }),
            ("./deps", Hold::Library { library: "./deps".into(), linked: false }),
        ] {
            assert_eq!(text.parse(), Ok(hold.clone()));
            assert_eq!(hold.to_string(), text);
        }
        assert_eq!("deps:link".parse(), Ok(Hold::Dependencies));
        for wrong in ["", ":link", "a\0b"] {
            assert!(wrong.parse::<Hold>().is_err(), "{wrong:?}");
        }
        assert_eq!("c++".parse(), Ok(HostKind::Cxx));
        assert!("rust".parse::<HostKind>().unwrap_err().to_string().contains("c++"));
    }
}
