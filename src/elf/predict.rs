//! What a file alone tells of whether it will be unloaded. A soak knows better; this costs nothing and runs nothing.

use serde::Serialize;

use super::Facts;
use crate::record::{Cause, Language};

/// How sure a prediction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// It depends on what is called, and by whom.
    Possible,
    /// As soon as a symbol is looked up that nearly every use looks up.
    Likely,
    /// Whatever anyone does.
    Certain,
}

/// A cause that the file gives for staying loaded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The cause, as a soak would name it.
    #[serde(flatten)]
    pub cause: Cause,
    /// How sure it is.
    pub certainty: Certainty,
}

/// The cause of a file that was linked so that it is never unloaded.
pub fn nodelete(facts: &Facts) -> Option<Cause> {
    let mend = match facts.language {
        Language::Go => {
            "Go links every c-shared library so, since its runtime can't be stopped: open it once and keep it"
        }
        _ => "link it without that flag",
    };
    facts.nodelete().then(|| Cause {
        kind: "nodelete".to_owned(),
        detail: format!(
            "linked with -z nodelete (DF_1_NODELETE in DT_FLAGS_1): dlclose never unloads it; {mend}"
        ),
        object: None,
    })
}

/// All causes that the file gives, the surest first.
pub fn predictions(facts: &Facts) -> Vec<Prediction> {
    let mut found = Vec::new();
    let mut add = |certainty, kind: &str, detail: String| {
        let cause = Cause { kind: kind.to_owned(), detail, object: None };
        found.push(Prediction { cause, certainty });
    };
    if let Some(cause) = nodelete(facts) {
        add(Certainty::Certain, "nodelete", cause.detail);
    }
    if let Some(symbol) = facts.unique_symbols.first() {
        let count = facts.unique_symbols.len();
        let symbols = if count == 1 { "symbol" } else { "symbols, the first one" };
        let number = if count == 1 { String::new() } else { format!("{count} ") };
        add(
            Certainty::Likely,
            "unique",
            format!(
                "defines {number}STB_GNU_UNIQUE {symbols} `{symbol}`: it stays once one of them is looked up, if no \
                 library before it defines the same; compile with -fno-gnu-unique, or do not export them: \
                 by a version script, or -fvisibility=hidden where they are not of the standard library's headers"
            ),
        );
    }
    let imports = |name: &str| facts.imports_of_note.iter().any(|import| import == name);
    if imports("__cxa_thread_atexit") || imports("__cxa_thread_atexit_impl") {
        let who = match facts.language {
            Language::Rust => "every Rust library can: it does where a thread_local! with a Drop is used",
            _ => "a thread_local object with a destructor does",
        };
        add(
            Certainty::Possible,
            "tls-destructor",
            format!(
                "registers thread-local destructors ({who}): it stays while one is pending on a thread that still \
                 runs"
            ),
        );
    }
    if imports("dlopen") || imports("dlmopen") {
        add(
            Certainty::Possible,
            "extra-reference",
            "calls dlopen: a handle on itself, or on a library that needs it, keeps it until it is closed"
                .to_owned(),
        );
    }
    found
}
