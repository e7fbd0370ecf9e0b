//! Sentences are pinned here and nowhere else: each snapshot has all that can be said of one subject.

use dlsoak_record::verification::Collections;
use dlsoak_record::{
    Cause, CauseFacts, CauseKind, Certainty, Collection, Disturbance, EndedEarly, Facts, Finding, Growth,
    HeldFree, Keeper, Lack, Language, Metric, Missing, OpenedBy, Prediction, Refusal, Restriction, Sandbox,
    Severity, Trend, Undiagnosed, sample,
};

use super::{Text, cause, finding, prediction};

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ENOSPC: i32 = 28;

fn written(texts: impl IntoIterator<Item = Text>) -> String {
    let texts: Vec<String> =
        texts.into_iter().map(|text| text.lines().collect::<Vec<_>>().join("\n  ")).collect();
    texts.join("\n")
}

fn unique() -> CauseFacts {
    CauseFacts::Unique { symbol: Some("empty".to_owned()), count: 12 }
}

fn keeper(root: Option<&str>, cause: CauseFacts) -> Keeper {
    Keeper { by: "/lib/libby.so.1".to_owned(), root: root.map(str::to_owned), cause: Box::new(cause) }
}

fn destructors(count: u64, threads: u64, language: Language) -> CauseFacts {
    CauseFacts::TlsDestructor { count, threads, language }
}

fn problems() -> Vec<EndedEarly> {
    vec![
        EndedEarly::Duration,
        EndedEarly::Died { status: None, signal: Some("SIGSEGV".to_owned()) },
        EndedEarly::NotStarted { problem: "no private directory".to_owned() },
    ]
}

#[test]
fn why_a_library_stays() {
    let symbol = || Some("_ZdlPv".to_owned());
    let handles = |handles, released| CauseFacts::ExtraReference { handles, released };
    let pinned = |cause: CauseFacts, keeps: &[&str]| CauseFacts::DependencyPinned {
        cause: Box::new(cause),
        keeps: keeps.iter().map(|path| (*path).to_owned()).collect(),
    };
    let ruled_out = vec![
        CauseKind::Nodelete,
        CauseKind::NodeleteRuntime,
        CauseKind::Unique,
        CauseKind::TlsDestructor,
        CauseKind::ExtraReference,
        CauseKind::RelocationDependency,
        CauseKind::NeededBy,
    ];
    let mut of_library = vec![
        CauseFacts::Nodelete { language: Language::C },
        CauseFacts::Nodelete { language: Language::Go },
        CauseFacts::NodeleteRuntime { opened_by: OpenedBy::Soak },
        CauseFacts::NodeleteRuntime { opened_by: OpenedBy::Library },
        CauseFacts::Unique { symbol: None, count: 0 },
        unique(),
        destructors(1, 1, Language::Rust),
        destructors(2, 1, Language::Cpp),
        destructors(2, 2, Language::C),
        CauseFacts::RelocationDependency { symbol: None, keeper: None },
        handles(Some(1), 0),
        handles(Some(1), 1),
        handles(Some(2), 2),
        handles(None, 0),
        CauseFacts::AlreadyLoaded,
        CauseFacts::LibcNeverUnloads,
        CauseFacts::InterfaceNeverUnloads,
        CauseFacts::Unknown(Undiagnosed::NotMade),
        CauseFacts::Unknown(Undiagnosed::NothingLeft { cycles: 3 }),
        CauseFacts::Unknown(Undiagnosed::RuledOut { cycles: 3, ruled_out }),
        CauseFacts::Unknown(Undiagnosed::NoMemory),
    ];
    of_library.extend(
        problems().into_iter().map(|problem| CauseFacts::Unknown(Undiagnosed::Failed { cycles: 1, problem })),
    );
    let of_object = vec![
        CauseFacts::RelocationDependency { symbol: symbol(), keeper: Some(keeper(None, unique())) },
        CauseFacts::RelocationDependency {
            symbol: None,
            keeper: Some(keeper(Some("/lib/libroot.so.2"), CauseFacts::Nodelete { language: Language::C })),
        },
        CauseFacts::NeededBy(keeper(None, handles(None, 0))),
        CauseFacts::NeededBy(keeper(Some("/lib/libroot.so.2"), destructors(1, 1, Language::C))),
        pinned(unique(), &[]),
        pinned(unique(), &["/lib/libm.so.6", "/lib/libz.so.1"]),
        unique(),
    ];
    let causes = of_library.into_iter().map(Cause::of_library);
    let causes = causes.chain(of_object.into_iter().map(|of| Cause::of_object(of, "/lib/libby.so.1")));
    insta::assert_snapshot!(written(causes.map(|one| cause(&one))));
}

#[test]
fn what_a_file_predicts() {
    let of_library = [
        CauseFacts::Nodelete { language: Language::C },
        CauseFacts::Unique { symbol: Some("calls".to_owned()), count: 1 },
        unique(),
        destructors(0, 0, Language::Rust),
        destructors(0, 0, Language::Cpp),
        CauseFacts::ExtraReference { handles: None, released: 0 },
    ];
    let of_object = [unique(), CauseFacts::Nodelete { language: Language::C }]
        .map(|cause| CauseFacts::DependencyPinned { cause: Box::new(cause), keeps: Vec::new() });
    let causes = of_library.into_iter().map(Cause::of_library);
    let causes = causes.chain(of_object.into_iter().map(|of| Cause::of_object(of, "/lib/libstdc++.so.6")));
    let predicted = causes.map(|cause| Prediction { cause, certainty: Certainty::Likely });
    insta::assert_snapshot!(written(predicted.map(|one| prediction(&one))));
}

#[test]
fn what_kept_and_disturbed_the_process() {
    let missing = |restriction, lacks| Missing { restriction, lacks };
    let landlock = |restriction, version| missing(restriction, Lack::Landlock { version });
    let network = |errno| missing(Restriction::Network, Lack::Namespace { errno });
    let path = || "/tmp/libx.so".to_owned();
    let done = |what: &str, times| Disturbance { what: what.to_owned(), times, refused: None };
    let refused = |what: &str, why| {
        Facts::DisturbanceRefused(Disturbance { what: what.to_owned(), times: 0, refused: Some(why) })
    };
    let facts = [
        Facts::Sandboxed(Sandbox { applied: Restriction::ALL.to_vec(), missing: Vec::new() }),
        Facts::Sandboxed(Sandbox { applied: vec![Restriction::Network], missing: Vec::new() }),
        Facts::SandboxIncomplete(Sandbox {
            applied: Vec::new(),
            missing: vec![
                landlock(Restriction::Writing, 1),
                landlock(Restriction::Truncating, 3),
                network(EPERM),
                landlock(Restriction::Tcp, 4),
                landlock(Restriction::Signals, 6),
            ],
        }),
        Facts::SandboxIncomplete(Sandbox { applied: Vec::new(), missing: vec![network(ENOSPC)] }),
        Facts::Disturbed(vec![done("stop@5Hz", 1), done("signal:SIGUSR1@2kHz", 12_345)]),
        refused("signal:SIGUSR1@2kHz", Refusal::NotSent { signal: "SIGUSR1".to_owned(), errno: EPERM }),
        refused("cold-cache@10Hz", Refusal::Tmpfs { path: path() }),
        refused("cold-cache@10Hz", Refusal::NotOpened { path: path(), errno: ENOENT }),
        refused("cold-cache@10Hz", Refusal::NotWrittenBack { path: path(), errno: ENOSPC }),
        refused("cold-cache@10Hz", Refusal::NotDropped { path: path(), errno: ENOSPC }),
        refused("memory-pressure@10Hz", Refusal::NotReclaimed { errno: EPERM }),
        refused("memory-pressure@10Hz", Refusal::NotReclaimed { errno: ENOSPC }),
    ];
    let texts = facts.map(|facts| finding(&Finding::new(Severity::Note, facts)));
    insta::assert_snapshot!(written(texts));
}

#[test]
fn what_does_not_count_as_a_leak() {
    let growth = |trend| Growth { trend, ..sample::run(2).soaks[1].judged.growth[0].clone() };
    let mib = |count: u64| count << 20;
    let (gogc, total, live_before) = (10, 220, 0);
    let ran = |measured, halfway, after| {
        let (live_halfway, live_after) = (mib(halfway), mib(after));
        Some(Collections { gogc, total, measured, live_before, live_halfway, live_after })
    };
    let collected = |trend, collections| {
        Facts::Collected(Collection { metric: Metric::Anon, without: 34.0, with: growth(trend), collections })
    };
    let facts = [
        collected(Trend::Flat, ran(214, 1, 1)),
        collected(Trend::Unclear, ran(1, 0, 0)),
        collected(Trend::Growing, ran(61, 48, 95)),
        collected(Trend::Flat, None),
        Facts::MallocHoldsFree(HeldFree {
            halfway: 653_616,
            end: 1_046_832,
            least_before: 129_328,
            least_after: 653_616,
        }),
    ];
    let texts = facts.map(|facts| finding(&Finding::new(Severity::Note, facts)));
    insta::assert_snapshot!(written(texts));
}
