//! Why an object stays loaded, with the evidence for it.

use dlsoak_settings::named;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EndedEarly, Language};

/// One cause for which an object stays loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// Which cause, and what shows it.
    #[serde(flatten)]
    pub facts: CauseFacts,
    /// The object it is about, where that is not the library itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub object: Option<String>,
    /// The library that stays, by the name of its file, where several were soaked together.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub library: Option<String>,
}

impl Cause {
    /// A cause of the library itself.
    pub fn of_library(facts: CauseFacts) -> Self {
        Self { facts, object: None, library: None }
    }

    /// A cause that is about another object.
    pub fn of_object(facts: CauseFacts, object: impl Into<String>) -> Self {
        Self { facts, object: Some(object.into()), library: None }
    }

    /// Which cause.
    pub fn kind(&self) -> CauseKind {
        self.facts.kind()
    }
}

/// What shows a cause. What a file alone predicts has no counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum CauseFacts {
    /// Linked with `-z nodelete` (`DF_1_NODELETE` in `DT_FLAGS_1`).
    Nodelete {
        /// Language of the file: Go links every library so.
        language: Language,
    },
    /// Opened with `RTLD_NODELETE`.
    NodeleteRuntime {
        /// Who opened it so.
        opened_by: OpenedBy,
    },
    /// The loader bound one of its `STB_GNU_UNIQUE` symbols.
    Unique {
        /// The symbol; absent where the loader's log does not name it. A prediction names the first one of the file.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        symbol: Option<String>,
        /// How many such symbols its file defines; 0 where the file could not be read.
        count: u64,
    },
    /// A thread-local destructor is pending.
    TlsDestructor {
        /// How many are pending; 0 in a prediction.
        count: u64,
        /// On how many threads; 0 in a prediction.
        threads: u64,
        /// Language of the file.
        language: Language,
    },
    /// An object that stays, or the program itself, was bound to it.
    RelocationDependency {
        /// The symbol; absent where the loader's log does not name it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        symbol: Option<String>,
        /// The object that was bound to it; absent where it was the program itself.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        keeper: Option<Keeper>,
    },
    /// An object that stays needs it (`DT_NEEDED`).
    NeededBy(Keeper),
    /// A handle stays open.
    ExtraReference {
        /// How many handles were still open; absent where the loader's log shows only that it was opened and not closed, and in a
        /// prediction.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        handles: Option<u64>,
        /// How many calls of `dlclose` more unloaded it; 0 where none did.
        released: u32,
    },
    /// Something that the library brought stays by itself: the object of the cause.
    DependencyPinned {
        /// Why that object stays.
        cause: Box<CauseFacts>,
        /// Other objects that stay because it does.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        keeps: Vec<String>,
    },
    /// It was in the process before the first open.
    AlreadyLoaded,
    /// The C library never unloads anything, as musl.
    LibcNeverUnloads,
    /// Hosts of its plugin interface never unload a plugin, and so its driver kept it.
    InterfaceNeverUnloads,
    /// None of these.
    Unknown(Undiagnosed),
}

impl CauseFacts {
    /// Which cause.
    pub fn kind(&self) -> CauseKind {
        match self {
            Self::Nodelete { .. } => CauseKind::Nodelete,
            Self::NodeleteRuntime { .. } => CauseKind::NodeleteRuntime,
            Self::Unique { .. } => CauseKind::Unique,
            Self::TlsDestructor { .. } => CauseKind::TlsDestructor,
            Self::RelocationDependency { .. } => CauseKind::RelocationDependency,
            Self::NeededBy(_) => CauseKind::NeededBy,
            Self::ExtraReference { .. } => CauseKind::ExtraReference,
            Self::DependencyPinned { .. } => CauseKind::DependencyPinned,
            Self::AlreadyLoaded => CauseKind::AlreadyLoaded,
            Self::LibcNeverUnloads => CauseKind::LibcNeverUnloads,
            Self::InterfaceNeverUnloads => CauseKind::InterfaceNeverUnloads,
            Self::Unknown(_) => CauseKind::Unknown,
        }
    }
}

/// An object that keeps another loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Keeper {
    /// The object that uses the other.
    pub by: String,
    /// The object that stays by itself and so keeps `by`; absent where that is `by`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub root: Option<String>,
    /// Why that one stays.
    pub cause: Box<CauseFacts>,
}

impl Keeper {
    /// The object that stays by itself.
    pub fn root(&self) -> &str {
        self.root.as_deref().unwrap_or(&self.by)
    }
}

/// Who opened an object with `RTLD_NODELETE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OpenedBy {
    /// The soak, by its own `--flags`.
    Soak,
    /// The library, or something that it brought.
    Library,
}

/// Why the cause is not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "diagnosis", rename_all = "kebab-case")]
pub enum Undiagnosed {
    /// No diagnostic soak was made, because the soak ended early.
    NotMade,
    /// The diagnostic soak failed.
    Failed {
        /// Cycles that it completed.
        cycles: u64,
        /// What ended it.
        problem: EndedEarly,
    },
    /// The diagnostic soak left nothing behind.
    NothingLeft {
        /// Cycles that it completed.
        cycles: u64,
    },
    /// The diagnostic soak excluded the causes that it can detect.
    RuledOut {
        /// Cycles that it completed.
        cycles: u64,
        /// The causes that it excluded.
        ruled_out: Vec<CauseKind>,
    },
    /// The loader had no memory to note a dependency, and keeps the object to be safe.
    NoMemory,
}

named! {
    /// The causes for which an object stays loaded.
    pub enum CauseKind {
        /// Linked with `-z nodelete`.
        Nodelete = "nodelete",
        /// Opened with `RTLD_NODELETE`.
        NodeleteRuntime = "nodelete-runtime",
        /// The loader bound one of its `STB_GNU_UNIQUE` symbols.
        Unique = "unique",
        /// A thread-local destructor is pending.
        TlsDestructor = "tls-destructor",
        /// An object that stays was bound to it.
        RelocationDependency = "relocation-dependency",
        /// An object that stays needs it (`DT_NEEDED`).
        NeededBy = "needed-by",
        /// A handle stays open.
        ExtraReference = "extra-reference",
        /// Something that it brought stays by itself.
        DependencyPinned = "dependency-pinned",
        /// It was in the process before the first open.
        AlreadyLoaded = "already-loaded",
        /// The C library never unloads anything.
        LibcNeverUnloads = "libc-never-unloads",
        /// Hosts of its plugin interface never unload a plugin.
        InterfaceNeverUnloads = "interface-never-unloads",
        /// None of these.
        Unknown = "unknown",
    }
}

/// How sure a prediction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// It depends on what is called, and by whom.
    Possible,
    /// As soon as a symbol is looked up that nearly every use looks up.
    Likely,
    /// Whatever anyone does.
    Certain,
}

/// A cause that a file gives for staying loaded, before anything is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    /// The cause, as a soak would name it.
    #[serde(flatten)]
    pub cause: Cause,
    /// How sure it is.
    pub certainty: Certainty,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(cause: &Cause, json: serde_json::Value) {
        assert_eq!(serde_json::to_value(cause).unwrap(), json);
        assert_eq!(serde_json::from_value::<Cause>(json).unwrap(), *cause);
    }

    #[test]
    fn evidence_stands_beside_the_kind() {
        use serde_json::json;
        let nodelete = || Box::new(CauseFacts::Nodelete { language: Language::C });
        let keeper = Keeper { by: "/b.so".to_owned(), root: None, cause: nodelete() };
        let of_keeper = json!({"kind": "nodelete", "language": "c"});
        round_trip(
            &Cause::of_object(
                CauseFacts::RelocationDependency {
                    symbol: Some("f".to_owned()),
                    keeper: Some(keeper.clone()),
                },
                "/b.so",
            ),
            json!({"kind": "relocation-dependency", "symbol": "f", "by": "/b.so", "cause": of_keeper, "object": "/b.so"}),
        );
        round_trip(
            &Cause::of_library(CauseFacts::RelocationDependency { symbol: None, keeper: None }),
            json!({"kind": "relocation-dependency"}),
        );
        round_trip(
            &Cause::of_object(
                CauseFacts::NeededBy(Keeper { root: Some("/c.so".to_owned()), ..keeper }),
                "/b.so",
            ),
            json!({"kind": "needed-by", "by": "/b.so", "root": "/c.so", "cause": of_keeper, "object": "/b.so"}),
        );
        let signal = Some("SIGSEGV".to_owned());
        let problem = EndedEarly::Died { signal, status: None };
        round_trip(
            &Cause::of_library(CauseFacts::Unknown(Undiagnosed::Failed { cycles: 1, problem })),
            json!({"kind": "unknown", "diagnosis": "failed", "cycles": 1, "problem": {"kind": "died", "signal": "SIGSEGV"}}),
        );
        round_trip(
            &Cause::of_library(CauseFacts::Unknown(Undiagnosed::NotMade)),
            json!({"kind": "unknown", "diagnosis": "not-made"}),
        );
    }
}
