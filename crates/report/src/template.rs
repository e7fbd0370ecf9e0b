//! A `dlsoak.toml` to go on from: an entry for each library, with what its file says about it in comments.

use std::fmt::Write as _;

use dlsoak_record::file::{Export, ExportKind};
use dlsoak_record::inspection::{Answer, Inspection};

use crate::terminal::wrap;
use crate::{inspection, units, words};

/// Columns of a comment.
const WIDTH: u16 = 110;
/// Functions that are named of a library.
const NAMED: usize = 4;

/// What stands before the libraries.
const HEAD: &str = r#"
[defaults]
# Load and unload each library this often.
cycles = "100k"
# Stop as soon as the verdict is certain, and continue past `cycles` while it is not.
# until-decided = true
# Cycle on four threads at the same time.
# threads = 4
# Name the function that leaks.
# trace-on-leak = true

[gate]
# Pass memory that grows by up to this rate. Without it, any proven growth fails.
# max-leak-rate = "16B/cycle"
"#;

/// The text of a suite of this name. Each library has the path that is written there, and what was found out about it.
pub fn suite(name: &str, libraries: &[(String, Inspection)]) -> String {
    let mut text = format!(
        "# The libraries that `dlsoak run` soaks here. Lines that begin with # are suggestions. docs/settings.md has every key.\n\n\
         [suite]\nname = {}\n{HEAD}",
        quoted(name)
    );
    for (path, found) in libraries {
        let _ = write!(text, "\n[[library]]\npath = {}\n", quoted(path));
        let mut comment = |line: &str| wrap(&mut text, "# ", "# ", line, WIDTH);
        for problem in &found.problems {
            let advice = inspection::problem(problem);
            comment(&format!("It does not load on this machine, because {}.", advice.fact));
        }
        if matches!(found.unload.answer, Answer::Stays | Answer::ProbablyStays) {
            for prediction in &found.unload.causes {
                comment(&format!("It is not unloaded: {}.", words::prediction(prediction).fact));
            }
            comment("To pass it all the same, give the reason:");
            comment("allow-pinned = \"it is loaded once and kept\"");
        }
        let is_function = |export: &&Export| matches!(export.kind, ExportKind::Function);
        let functions: Vec<&str> =
            found.file.exports.iter().filter(is_function).map(|export| &*export.name).collect();
        let named = functions.iter().filter(|name| is_c(name)).take(NAMED).copied();
        let named: Vec<&str> = named.collect();
        if !named.is_empty() {
            let more = functions.len() - named.len();
            let more =
                if more > 0 { format!(" and {} more", units::count(more as u64)) } else { String::new() };
            comment(&format!(
                "It exports {}{more}. To call functions in each cycle, in this order:",
                named.join(", ")
            ));
            comment("call = [\"NAME(ARGUMENTS)\", \"NAME(ARGUMENTS)\"]");
        }
    }
    text
}

/// Whether a person would write this name: not a mangled one, and none of the compiler's or of cgo's.
fn is_c(name: &str) -> bool {
    const OF_CGO: [&str; 3] = ["crosscall", "x_cgo_", "fatalf"];
    let of_cgo = OF_CGO.iter().any(|begin| name.starts_with(begin));
    !of_cgo && !name.starts_with('_') && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_strings_of_toml() {
        assert_eq!(quoted("a \"b\"\\\n"), r#""a \"b\"\\\u000A""#);
        assert!(is_c("init_2") && !is_c("crosscall1") && !is_c("_ZN1a1bEv") && !is_c("f@V1"));
    }
}
