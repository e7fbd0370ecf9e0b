//! The flags of `dlopen` as words (`now,local`), so that a suite file can be read without a header beside it.

use std::fmt;
use std::str::FromStr;

use crate::UnitError;

/// `RTLD_DEEPBIND`. The libc crate has it for glibc only; musl ignores the bit.
const DEEPBIND: i32 = 0x8;

/// Flags that may be given together with one of `now`, `lazy` and one of `local`, `global`.
const WORDS: [(&str, i32); 6] = [
    ("now", libc::RTLD_NOW),
    ("lazy", libc::RTLD_LAZY),
    ("local", libc::RTLD_LOCAL),
    ("global", libc::RTLD_GLOBAL),
    ("nodelete", libc::RTLD_NODELETE),
    ("deepbind", DEEPBIND),
];

/// Flags for `dlopen`. Always exactly one of `now` and `lazy`, and one of `local` and `global`; what is not
/// said is `now` and `local`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFlags(i32);

impl OpenFlags {
    /// The value for the second argument of `dlopen`.
    #[must_use]
    pub fn bits(self) -> i32 {
        self.0
    }
}

impl Default for OpenFlags {
    fn default() -> Self {
        Self(libc::RTLD_NOW | libc::RTLD_LOCAL)
    }
}

impl FromStr for OpenFlags {
    type Err = UnitError;

    /// Parses words separated by `,` or `|`; `RTLD_NOW` is the same as `now`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let mut given: Vec<&str> = Vec::new();
        let mut bits = 0;
        for word in text.split([',', '|']).map(str::trim) {
            let plain = word.to_ascii_lowercase();
            let plain = plain.strip_prefix("rtld_").unwrap_or(&plain);
            let Some((name, bit)) = WORDS.iter().find(|(name, _)| *name == plain) else {
                return Err(UnitError::new(match plain {
                    "noload" => "`noload` opens nothing, so there is nothing to soak".to_owned(),
                    "" => "expected flags such as now,local".to_owned(),
                    _ => format!(
                        "unknown flag `{}`: use now, lazy, local, global, nodelete, deepbind",
                        word.chars().take(20).collect::<String>()
                    ),
                }));
            };
            given.push(name);
            bits |= bit;
        }
        for (one, other) in [("now", "lazy"), ("local", "global")] {
            if given.contains(&one) && given.contains(&other) {
                return Err(UnitError::new(format!("`{one}` and `{other}` are mutually exclusive")));
            }
        }
        if !given.contains(&"lazy") {
            bits |= libc::RTLD_NOW;
        }
        Ok(Self(bits))
    }
}

impl OpenFlags {
    /// Whether they ask the loader never to unload the library.
    pub fn nodelete(self) -> bool {
        self.0 & libc::RTLD_NODELETE != 0
    }

    /// Whether the library finds symbols in itself and in what it needs first.
    pub fn deepbind(self) -> bool {
        self.0 & DEEPBIND != 0
    }
}

impl fmt::Display for OpenFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 & libc::RTLD_LAZY != 0 { "lazy" } else { "now" })?;
        f.write_str(if self.0 & libc::RTLD_GLOBAL != 0 { ",global" } else { ",local" })?;
        for (bit, word) in [(libc::RTLD_NODELETE, ",nodelete"), (DEEPBIND, ",deepbind")] {
            if self.0 & bit != 0 {
                f.write_str(word)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_the_bits_of_glibc() {
        for (text, bits, shown) in [
            ("now,local", 0x2, "now,local"),
            ("lazy,global", 0x101, "lazy,global"),
            ("nodelete", 0x1002, "now,local,nodelete"),
            ("deepbind, lazy", 0x9, "lazy,local,deepbind"),
            ("RTLD_NOW|RTLD_GLOBAL", 0x102, "now,global"),
        ] {
            let flags: OpenFlags = text.parse().unwrap();
            assert_eq!((flags.bits(), flags.to_string().as_str()), (bits, shown), "{text}");
            assert_eq!(shown.parse(), Ok(flags));
        }
        assert_eq!("now,local".parse(), Ok(OpenFlags::default()));
    }

    #[test]
    fn conflicts_and_unknown_words_are_refused() {
        for (text, part) in [
            ("now,lazy", "mutually exclusive"),
            ("global,local", "mutually exclusive"),
            ("noload", "nothing to soak"),
            ("", "expected flags"),
            ("now,", "expected flags"),
            ("nwo", "unknown flag `nwo`"),
        ] {
            let error = text.parse::<OpenFlags>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
