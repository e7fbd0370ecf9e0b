//! Libraries that a soak opens besides the one that it is of.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::UnitError;

/// Makes a type of its own for the path of each kind of library, and says what is expected where the text is none.
macro_rules! other_libraries {
    ($($(#[$of:meta])* $type:ident: $expected:literal;)*) => {$(
        $(#[$of])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $type(PathBuf);

        impl $type {
            /// The library in this file; `None` where its path is no text, or can't be a path.
            pub fn new(path: &Path) -> Option<Self> {
                path.to_str()?.parse().ok()
            }

            /// Its file.
            pub fn path(&self) -> &Path {
                &self.0
            }

            /// The same library, where a path is relative to this directory.
            #[must_use]
            pub fn in_directory(&self, directory: &Path) -> Self {
                Self(directory.join(&self.0))
            }
        }

        impl FromStr for $type {
            type Err = UnitError;

            fn from_str(text: &str) -> Result<Self, UnitError> {
                if text.is_empty() || text.contains('\0') {
                    Err(UnitError::new($expected))
                } else {
                    Ok(Self(PathBuf::from(text)))
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.display().fmt(f)
            }
        }
    )*};
}

other_libraries! {
    /// A library that each cycle opens after the one that the soak is of.
    Companion: "expected the path of a library";
    /// The file of another build of the library.
    OtherBuild: "expected the path of another build of the library";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_companion_is_a_path() {
        let companion: Companion = "b/liba.so".parse().unwrap();
        assert_eq!(companion.in_directory(Path::new("/x")).to_string(), "/x/b/liba.so");
        assert!("".parse::<Companion>().is_err());
        assert!("".parse::<OtherBuild>().is_err());
    }
}
