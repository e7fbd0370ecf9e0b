//! Why an object stays loaded, in sentences: as a soak saw it, and as a file alone predicts it.

use dlsoak_record::{
    Cause, CauseFacts, CauseKind, Keeper, Language, OpenedBy, Prediction, TraceFrame, Undiagnosed, units,
};

use super::{Text, counted, ended, file_name, listed};

const LIBRARY: &str = "the library";

/// A cause that a soak saw.
pub fn cause(cause: &Cause) -> Text {
    let object = cause.object.as_deref().map(file_name);
    let library = cause.library.as_deref().unwrap_or(LIBRARY);
    match &cause.facts {
        // The object is what keeps the library.
        CauseFacts::RelocationDependency { keeper: Some(_), .. } | CauseFacts::NeededBy(_) => {
            seen(&cause.facts, library)
        }
        evidence => seen(evidence, object.unwrap_or(library)),
    }
}

/// A cause that a file gives, before anything is loaded.
pub fn prediction(prediction: &Prediction) -> Text {
    let cause = &prediction.cause;
    predicted(&cause.facts, cause.object.as_deref().map_or(LIBRARY, file_name))
}

/// The library goes, and objects that it brought do not.
pub(super) fn dependencies(objects: &[String]) -> Text {
    Text::fact(format!(
        "the library is unloaded in every cycle, but objects that it brought stay: {}",
        objects.join(", ")
    ))
}

/// A host keeps handles of the library.
pub(super) fn held(opens: u64, closes: u64, by: Option<&TraceFrame>) -> Text {
    if opens == 0 {
        return Text::fact("the C library opened it for the host, and keeps it");
    }
    Text::fact(format!("the host opened it {} and closed it {}", times(opens), times(closes))).means(match by
    {
        None => "it stays loaded while a handle is open".to_owned(),
        Some(by) => {
            let (function, file) = (by.function.as_deref(), file_name(&by.module));
            let of = function.map_or_else(String::new, |function| format!("{function} of "));
            format!("{of}{file} opened it, and it stays loaded while a handle is open")
        }
    })
}

/// A host opens the library again before it closes it.
pub(super) fn never_reloaded(opens: u64, closes: u64) -> Text {
    Text::fact(format!(
        "the host opened it {} and closed it {}, and it was loaded once",
        times(opens),
        times(closes)
    ))
    .means("each reload uses the code and the data of the first load")
    .help("close every handle before you open the library again")
}

fn times(count: u64) -> String {
    counted(count, "time")
}

/// `` `name` ``, or what stands for a symbol that the log does not name.
fn symbol(symbol: Option<&str>) -> String {
    symbol.map_or_else(|| "a symbol".to_owned(), |symbol| format!("the symbol `{symbol}`"))
}

/// Why `who` stays.
fn seen(evidence: &CauseFacts, who: &str) -> Text {
    match evidence {
        CauseFacts::Nodelete { language } => nodelete(*language, who),
        CauseFacts::NodeleteRuntime { opened_by: OpenedBy::Soak } => {
            Text::fact(format!("this soak opens {who} with RTLD_NODELETE (--flags nodelete)"))
                .means("dlclose never unloads it")
                .help("leave `nodelete` out of --flags")
        }
        CauseFacts::NodeleteRuntime { opened_by: OpenedBy::Library } => {
            Text::fact(format!("the loader never unloads {who}, because a dlopen asked for RTLD_NODELETE"))
                .means("the soak does not pass this flag, so the library or something that it loads does")
                .help("look for dlopen with RTLD_NODELETE, and drop the flag")
        }
        CauseFacts::Unique { symbol, count } => {
            let fact = match symbol {
                Some(symbol) if *count > 1 => {
                    format!("`{symbol}`, one of {} STB_GNU_UNIQUE symbols of {who}", units::count(*count))
                }
                Some(symbol) => format!("the STB_GNU_UNIQUE symbol `{symbol}` of {who}"),
                None => format!("an STB_GNU_UNIQUE symbol of {who}"),
            };
            Text::fact(format!("the loader resolved {fact}"))
                .means(
                    "such a symbol exists once per process, so the library that defines it is never unloaded",
                )
                .help(HIDE_UNIQUE)
        }
        CauseFacts::TlsDestructor { count, threads, language } => {
            destructors(*count, *threads, *language, who)
        }
        CauseFacts::RelocationDependency { symbol: name, keeper } => {
            bound(name.as_deref(), keeper.as_ref(), who)
        }
        CauseFacts::NeededBy(keeper) => {
            let text = kept(format!("{} needs {who} (DT_NEEDED)", file_name(&keeper.by)), keeper);
            match seen(&keeper.cause, file_name(keeper.root())).help {
                Some(help) => text.help(help),
                None => text,
            }
        }
        CauseFacts::ExtraReference { handles, released } => open_handles(*handles, *released, who),
        CauseFacts::DependencyPinned { cause, keeps } => {
            let keeps: Vec<&str> = keeps.iter().map(|path| file_name(path)).collect();
            let keeps =
                if keeps.is_empty() { String::new() } else { format!(", and keeps {}", listed(&keeps)) };
            Text::fact(format!("{who} stays after the library is unloaded ({}){keeps}", cause.kind()))
                .means(format!("a host that links {who}, or opens it first, keeps it loaded anyway"))
        }
        CauseFacts::AlreadyLoaded => Text::fact(format!("{who} was in the process before the first open"))
            .means("the measured process needs it itself, so closing a handle can't unload it"),
        CauseFacts::InterfaceNeverUnloads => {
            Text::fact(format!("{who} stays, because hosts of its plugin interface never unload a plugin"))
                .means("the driver kept it loaded as such a host does, so this is not the library's fault")
                .help("pass --as none to see whether the library by itself is unloaded")
        }
        CauseFacts::LibcNeverUnloads => Text::fact(format!(
            "{who} stays, because its C library never unloads anything"
        ))
        .means(
            "dlclose does nothing in musl, so this is not the library's fault, and a constructor runs once",
        )
        .help("pass --mode copies to measure what each load costs"),
        CauseFacts::Unknown(undiagnosed) => unknown(undiagnosed, who),
    }
}

/// Why `who` will stay, by its file.
fn predicted(evidence: &CauseFacts, who: &str) -> Text {
    match evidence {
        CauseFacts::Unique { symbol, count } => {
            let name = symbol.as_deref().unwrap_or_default();
            let fact = match count {
                0 | 1 => format!("{who} defines the STB_GNU_UNIQUE symbol `{name}`"),
                _ => format!("{who} defines {} STB_GNU_UNIQUE symbols, the first one `{name}`", units::count(*count)),
            };
            let one = if *count > 1 { "one of them" } else { "it" };
            Text::fact(fact)
                .means(format!(
                    "{who} stays once the loader resolves {one}, unless a library that was loaded before defines the same symbol"
                ))
                .help(HIDE_UNIQUE)
        }
        CauseFacts::TlsDestructor { language, .. } => {
            let fact = match language {
                Language::Rust => {
                    format!("{who} can register thread-local destructors, as every Rust library can")
                }
                _ => format!("{who} registers destructors of its thread_local objects"),
            };
            let text = "it stays while a destructor is pending on a thread that still runs";
            Text::fact(fact).means(match language {
                Language::Rust => format!("{text}, and each thread_local! with Drop that is used has one"),
                _ => text.to_owned(),
            })
        }
        CauseFacts::ExtraReference { .. } => Text::fact(format!("{who} calls dlopen"))
            .means("a handle on the library itself, or on one that needs it, keeps it loaded until that handle is closed"),
        CauseFacts::DependencyPinned { cause, .. } => {
            let why = predicted(cause, "it");
            let text = Text::fact(format!("{who} will stay when the library is unloaded, because {}", why.fact));
            match why.consequence {
                Some(consequence) => text.means(consequence),
                None => text,
            }
        }
        _ => seen(evidence, who),
    }
}

const HIDE_UNIQUE: &str = "compile with -fno-gnu-unique, or hide the symbol with a version script";

fn nodelete(language: Language, who: &str) -> Text {
    let text = Text::fact(format!("{who} is linked with -z nodelete (DF_1_NODELETE in DT_FLAGS_1)"));
    match language {
        Language::Go => text
            .means("dlclose never unloads it, and Go links every c-shared library this way because its runtime can't be stopped")
            .help("open it once and keep it"),
        _ => text.means("dlclose never unloads it").help("link it without -z nodelete"),
    }
}

fn destructors(count: u64, threads: u64, language: Language, who: &str) -> Text {
    let (are, they) = if count == 1 { ("is", "it has") } else { ("are", "they have") };
    let (on, when) = match threads {
        0 | 1 => ("a thread that still runs".to_owned(), "when that thread ends"),
        _ => (format!("{} threads that still run", units::count(threads)), "when those threads end"),
    };
    let threads_end = "use the library on threads that end before the last dlclose";
    Text::fact(format!("{} of {who} {are} pending on {on}", counted(count, "thread-local destructor")))
        .means(format!("{who} stays until {they} run, {when}"))
        .help(match language {
            Language::Rust => format!("keep types with Drop out of thread_local!, or {threads_end}"),
            Language::Cpp => {
                format!("give the thread_local objects a trivially destructible type, or {threads_end}")
            }
            _ => threads_end.to_owned(),
        })
}

fn bound(name: Option<&str>, keeper: Option<&Keeper>, who: &str) -> Text {
    let Some(keeper) = keeper else {
        return Text::fact(format!("the program itself is bound to {} of {who}", symbol(name)))
            .means("the loader never unloads an object that the program uses")
            .help("open it with RTLD_LOCAL");
    };
    let by = file_name(&keeper.by);
    kept(format!("{by} is bound to {} of {who}", symbol(name)), keeper).help(format!(
        "hide the symbol with a version script, or in C++ with -fvisibility-inlines-hidden, so that {by} uses its own"
    ))
}

/// An object that uses another stays, and why.
fn kept(uses: String, keeper: &Keeper) -> Text {
    let root = file_name(keeper.root());
    let by = match keeper.root {
        Some(_) => format!(" and stays as long as {root} does"),
        None => " and stays".to_owned(),
    };
    Text::fact(format!("{uses}{by}")).means(format!("this is because {}", seen(&keeper.cause, root).fact))
}

fn open_handles(handles: Option<u64>, released: u32, who: &str) -> Text {
    let fact = match handles {
        Some(handles) => {
            let proof = match released {
                0 => String::new(),
                1 => ", and one more dlclose unloaded it".to_owned(),
                more => format!(", and {more} more calls to dlclose unloaded it"),
            };
            let are = if handles == 1 { "was" } else { "were" };
            format!(
                "{} on {who} {are} open after the soak had closed its own{proof}",
                counted(handles, "handle")
            )
        }
        None => format!("{who} was opened with dlopen and never closed"),
    };
    Text::fact(fact)
        .means("the library, or something that it loads, opens it with dlopen and does not close it")
        .help(
            "call dlclose once for each dlopen. A library that has to stay, because others call it back, says so with -Wl,-z,nodelete",
        )
}

fn unknown(why: &Undiagnosed, who: &str) -> Text {
    let cycles = |count: &u64| counted(*count, "cycle");
    match why {
        Undiagnosed::NotMade => {
            Text::fact(format!("{who} stays, and the cause is unknown because the soak ended early"))
                .help("let the soak run to its end")
        }
        Undiagnosed::Failed { cycles: done, problem } => Text::fact(format!(
            "{who} stays, and the cause is unknown because the diagnostic soak failed after {}",
            cycles(done)
        ))
        .means(ended::early(problem)),
        Undiagnosed::NothingLeft { cycles: done } => {
            Text::fact(format!("{who} stays, but a diagnostic soak of {} left nothing behind", cycles(done)))
                .means("it stays only in later cycles, or only sometimes")
                .help("soak it with more or fewer cycles and threads to see when")
        }
        Undiagnosed::RuledOut { cycles: done, ruled_out } => {
            let causes: Vec<&str> = ruled_out.iter().map(|kind| excluded(*kind)).collect();
            Text::fact(format!(
                "{who} stays for a reason that a diagnostic soak of {} did not find",
                cycles(done)
            ))
            .means(format!("it excluded {}", listed(&causes)))
            .help("run the library under LD_DEBUG=all and gdb")
        }
        Undiagnosed::NoMemory => {
            Text::fact(format!("the loader had no memory to record a dependency on {who}"))
                .means("the loader keeps the object to be safe")
        }
    }
}

fn excluded(kind: CauseKind) -> &'static str {
    match kind {
        CauseKind::Nodelete => "NODELETE in the file",
        CauseKind::NodeleteRuntime => "NODELETE at run time",
        CauseKind::Unique => "a unique symbol",
        CauseKind::TlsDestructor => "a pending thread-local destructor",
        CauseKind::RelocationDependency => "another object that is bound to it",
        CauseKind::NeededBy => "another object that needs it",
        CauseKind::ExtraReference => "a handle that was left open",
        CauseKind::DependencyPinned => "a dependency that stays",
        CauseKind::AlreadyLoaded => "a library that was loaded before the first open",
        CauseKind::LibcNeverUnloads => "a C library that never unloads",
        CauseKind::InterfaceNeverUnloads => "a plugin interface that forbids unloading",
        CauseKind::Unknown => "all else",
    }
}
