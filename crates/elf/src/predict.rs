//! What a file alone tells of whether it will be unloaded. A soak knows better; this costs nothing and runs nothing.

use super::Facts;
use super::{Certainty, Prediction};
use dlsoak_record::{Cause, CauseFacts};

/// What shows that a file was linked so that it is never unloaded.
pub fn nodelete(facts: &Facts) -> Option<CauseFacts> {
    facts.nodelete().then_some(CauseFacts::Nodelete { language: facts.language })
}

/// The `STB_GNU_UNIQUE` symbols of a file, where it has any.
pub fn unique(facts: &Facts) -> Option<CauseFacts> {
    let symbol = facts.unique_symbols.first()?;
    Some(CauseFacts::Unique { symbol: Some(symbol.clone()), count: facts.unique_symbols.len() as u64 })
}

/// All causes that the file gives, the surest first.
pub fn predictions(facts: &Facts) -> Vec<Prediction> {
    let imports =
        |names: [&str; 2]| facts.imports_of_note.iter().any(|import| names.contains(&import.as_str()));
    let registers = imports(["__cxa_thread_atexit", "__cxa_thread_atexit_impl"]);
    let opens = imports(["dlopen", "dlmopen"]);
    let found = [
        (Certainty::Certain, nodelete(facts)),
        (Certainty::Likely, unique(facts)),
        (
            Certainty::Possible,
            registers.then_some(CauseFacts::TlsDestructor { count: 0, threads: 0, language: facts.language }),
        ),
        (Certainty::Possible, opens.then_some(CauseFacts::ExtraReference { handles: None, released: 0 })),
    ];
    let predicted =
        |(certainty, evidence)| Some(Prediction { cause: Cause::of_library(evidence?), certainty });
    found.into_iter().filter_map(predicted).collect()
}
