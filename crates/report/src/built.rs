//! What a library was built with, in the words that every format uses.

use std::collections::BTreeSet;

use super::units;
use dlsoak_record::{Run, Soak, Toolchain};

/// Longest setting that is shown whole: `DefaultGODEBUG` has hundreds of characters.
const LONGEST: usize = 60;

/// The whole of it, for one library; `not recorded in the file` where it does not.
pub fn told(toolchain: &Toolchain) -> String {
    let mut parts = versions(toolchain);
    if !toolchain.go_settings.is_empty() {
        let settings: Vec<String> = toolchain
            .go_settings
            .iter()
            .map(|(name, value)| units::elide(&format!("{name}={value}"), LONGEST))
            .collect();
        parts.push(settings.join(" "));
    }
    parts.extend(toolchain.c.iter().cloned());
    parts.extend(toolchain.libc.iter().map(|libc| format!("needs {libc}")));
    let text = if parts.is_empty() { "not recorded in the file".to_owned() } else { parts.join("; ") };
    units::printable(&text)
}

/// The versions of Go and Rust that the libraries of a run were built with, each once; `None` where no file tells.
pub(super) fn of_run(run: &Run) -> Option<String> {
    let all: BTreeSet<String> = run.soaks.iter().flat_map(|soak| versions(&soak.toolchain)).collect();
    (!all.is_empty()).then(|| units::printable(&all.into_iter().collect::<Vec<_>>().join(", ")))
}

/// The version of the language that one library was built with; empty where its file does not tell.
pub(super) fn of_soak(soak: &Soak) -> String {
    units::printable(&versions(&soak.toolchain).join(", "))
}

/// Version of the language's own compiler.
fn versions(toolchain: &Toolchain) -> Vec<String> {
    let rust =
        toolchain.rust.as_ref().map(|rust| format!("rustc {}", rust.split(' ').next().unwrap_or(rust)));
    toolchain.go.iter().cloned().chain(rust).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::sample;

    #[test]
    fn what_the_file_tells_is_said_and_long_settings_are_cut() {
        assert_eq!(told(&Toolchain::default()), "not recorded in the file");
        let go = Toolchain {
            go: Some("go1.27.3".to_owned()),
            go_settings: [("CGO_ENABLED", "1".to_owned()), ("DefaultGODEBUG", "x=0,".repeat(100))]
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            c: vec!["GCC: (Debian) 12.2.0".to_owned()],
            libc: Some("glibc 2.34".to_owned()),
            ..Toolchain::default()
        };
        let text = told(&go);
        assert!(text.starts_with("go1.27.3; CGO_ENABLED=1 DefaultGODEBUG=x=0,"), "{text}");
        assert!(text.ends_with("; GCC: (Debian) 12.2.0; needs glibc 2.34") && text.len() < 160, "{text}");
        let mut run = sample::run(3);
        assert_eq!(of_run(&run), None);
        run.soaks[0].toolchain = go.clone();
        run.soaks[1].toolchain.rust = Some("1.95.0 (59807616e 2026-04-14)".to_owned());
        run.soaks[2].toolchain = go;
        assert_eq!(of_run(&run).as_deref(), Some("go1.27.3, rustc 1.95.0"));
    }
}
