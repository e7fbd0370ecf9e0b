//! Help for what the runtime of a language leaves behind, which no author of a library sees in the source (docs/languages.md).

use dlsoak_record::{Facts, Finding, Language, Metric, ResidueKind};

use super::Text;

/// The same with what helps against the runtime of this language, if that may be what left it.
pub(crate) fn with_runtime(text: Text, finding: &Finding, language: Language) -> Text {
    // What another object leaves is not this library's runtime.
    if finding.object.is_some() || finding.allowed.is_some() {
        return text;
    }
    let more = match &finding.facts {
        Facts::Leak(leak) => of_memory(language, leak.growth.metric),
        Facts::Left(left) => of_residue(language, left.kind()),
        _ => None,
    };
    match (text.help.clone(), more) {
        (_, None) => text,
        (None, Some(more)) => text.help(more),
        (Some(help), Some(more)) => text.help(format!("{help}. {more}")),
    }
}

fn of_memory(language: Language, metric: Metric) -> Option<&'static str> {
    if matches!(metric, Metric::Threads | Metric::Fds) {
        return None;
    }
    Some(match language {
        Language::OCaml => {
            "If it is OCaml's own, start OCaml with caml_startup_pooled and call caml_shutdown in a destructor, or link the library with \
             -z nodelete"
        }
        Language::Nim if metric != Metric::Heap => {
            "If it is Nim's own, compile with --mm:arc -d:useMalloc, because Nim does not give its own heap back"
        }
        Language::Haskell => {
            "If it is Haskell's own, call hs_exit for each hs_init, or link the library with -z nodelete"
        }
        Language::GraalVm => {
            "If it is GraalVM's own, call graal_tear_down_isolate for each isolate that the library creates"
        }
        Language::D => {
            "If it is D's own, call rt_term for each rt_init, or link the library with -z nodelete"
        }
        Language::Ada => "If it is Ada's own, call adafinal for each adainit",
        _ => return None,
    })
}

fn of_residue(language: Language, kind: ResidueKind) -> Option<&'static str> {
    let handler = kind == ResidueKind::SignalHandler;
    let threads = kind == ResidueKind::Threads;
    Some(match language {
        Language::Nim if handler => "If it is Nim's own, compile with -d:noSignalHandler",
        Language::OCaml if handler => {
            "If it is OCaml's own, link the library with -z nodelete, because caml_shutdown leaves this handler before OCaml 4.14"
        }
        Language::D if handler => {
            "If it is that of D's collector, link the library with -z nodelete, or compile with -betterC, which has no collector"
        }
        Language::Haskell if handler || threads => "If it is Haskell's own, call hs_exit for each hs_init",
        Language::GraalVm if handler || threads => {
            "If it is GraalVM's own, call graal_tear_down_isolate for each isolate that the library creates"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runtime_has_its_own_help_and_c_has_none() {
        for (language, word) in [
            (Language::OCaml, "caml_shutdown"),
            (Language::Nim, "-d:useMalloc"),
            (Language::Haskell, "hs_exit"),
            (Language::GraalVm, "graal_tear_down_isolate"),
            (Language::D, "rt_term"),
            (Language::Ada, "adafinal"),
        ] {
            assert!(of_memory(language, Metric::Anon).unwrap().contains(word));
            assert_eq!(of_memory(language, Metric::Fds), None);
        }
        assert_eq!(of_memory(Language::Nim, Metric::Heap), None);
        assert!(
            of_residue(Language::Nim, ResidueKind::SignalHandler).unwrap().contains("-d:noSignalHandler")
        );
        assert!(of_residue(Language::Haskell, ResidueKind::Threads).unwrap().contains("hs_exit"));
        for language in
            [Language::C, Language::Cpp, Language::Rust, Language::Go, Language::Zig, Language::Unknown]
        {
            assert_eq!(of_memory(language, Metric::Heap), None);
            assert_eq!(of_residue(language, ResidueKind::SignalHandler), None);
        }
    }

    #[test]
    fn it_follows_the_help_that_is_there_and_stays_away_from_what_others_leave() {
        let run = dlsoak_record::sample::run(2);
        let leak =
            run.soaks[1].judged.findings.iter().find(|one| matches!(one.facts, Facts::Leak(_))).unwrap();
        let plain = super::super::finding(leak);
        let (help, whole) = (plain.help.clone().unwrap(), with_runtime(plain.clone(), leak, Language::OCaml));
        assert!(whole.help.unwrap().starts_with(&format!("{help}. If it is OCaml's own, ")));
        assert_eq!(with_runtime(plain.clone(), leak, Language::C), plain);
        let of_another = Finding { object: Some("libz.so.1".to_owned()), ..leak.clone() };
        assert_eq!(with_runtime(plain.clone(), &of_another, Language::OCaml), plain);
    }
}
