//! Which settings go together and which do not, in one place.

use super::plan::Refusal;
use crate::settings::{Call, ChaosKind, HostKind, Mode, Pass, Settings, check_names};

/// Namespaces that glibc has to give besides the one that a program starts in.
pub(crate) const NAMESPACES: u64 = 15;

/// What does not go together with a mode.
pub(super) fn check_mode(mode: Mode, settings: &Settings) -> Result<(), Refusal> {
    let shares = settings.share_path == Some(true);
    match mode {
        Mode::Copies if shares => {
            Err(("share-path", "mode `copies` opens a new file in each cycle; remove share-path".to_owned()))
        }
        Mode::Namespace if shares => {
            Err(("share-path", "mode `namespace` shares only the file; remove share-path".to_owned()))
        }
        Mode::Namespace if settings.flags.is_some_and(|flags| flags.bits() & libc::RTLD_GLOBAL != 0) => Err(
            ("flags", "dlmopen does not accept `global`, because the namespace is new and empty".to_owned()),
        ),
        Mode::Namespace if settings.threads.is_some_and(|threads| threads.get() > NAMESPACES) => {
            Err(("threads", format!("glibc provides {NAMESPACES} namespaces, and each thread needs one")))
        }
        Mode::Reopen | Mode::Copies | Mode::Namespace => Ok(()),
    }
}

/// What does not go together with a host.
pub(super) fn check_host(mode: Mode, settings: &Settings) -> Result<(), Refusal> {
    let unused = |key| {
        Err((
            key,
            "dlmopen loads all that a library needs anew, so it uses nothing of the host; remove this"
                .to_owned(),
        ))
    };
    let holds = settings.hold.as_ref().is_some_and(|holds| !holds.is_empty());
    match mode {
        Mode::Namespace if holds => unused("hold"),
        Mode::Namespace if settings.host.is_some() => unused("host"),
        _ if settings.host.is_some() && settings.host_kind.is_some() => {
            Err(("host-kind", "what the host links decides of which kind it is; remove this".to_owned()))
        }
        Mode::Namespace if settings.host_kind == Some(HostKind::Cxx) => unused("host-kind"),
        _ if settings.after.is_some() && !holds => {
            Err(("after", "the host holds no library, so there is no function to call; add hold".to_owned()))
        }
        _ => Ok(()),
    }
}

/// What does not go together with several libraries in one process.
pub(super) fn check_together(mode: Mode, settings: &Settings) -> Result<(), Refusal> {
    match &settings.together {
        None if settings.order.is_some() => {
            Err(("order", "one library alone has no order; add together, or remove this".to_owned()))
        }
        Some(others) if others.is_empty() => {
            Err(("together", "there is one library only; name at least two".to_owned()))
        }
        Some(_) if mode != Mode::Reopen => Err((
            "mode",
            format!(
                "together opens each library by its path, and mode `{mode}` does not; remove one of the two"
            ),
        )),
        _ => Ok(()),
    }
}

/// What does not go together with another build that replaces the library's file.
pub(super) fn check_replace(mode: Mode, settings: &Settings) -> Result<(), Refusal> {
    if settings.replace.is_none() {
        return Ok(());
    }
    let refuse = |key, problem: &str| Err((key, problem.to_owned()));
    let traces = settings.passes.as_ref().is_some_and(|passes| passes.contains(Pass::Trace));
    match mode {
        Mode::Copies => {
            refuse("replace", "mode `copies` opens a new file in each cycle; remove one of the two")
        }
        Mode::Namespace => {
            refuse("replace", "mode `namespace` loads each build beside the other; remove one of the two")
        }
        Mode::Reopen if settings.together.is_some() => refuse(
            "replace",
            "this is another build of one library, and together opens several; remove one of the two",
        ),
        Mode::Reopen if settings.threads.is_some_and(|threads| threads.get() > 1) => refuse(
            "threads",
            "the file is replaced between two opens of one thread; remove threads or replace",
        ),
        Mode::Reopen if traces || settings.trace_on_leak == Some(true) => {
            refuse("replace", "a trace names the functions of one build; trace each build alone")
        }
        Mode::Reopen => Ok(()),
    }
}

/// Refuses what does not go together.
pub(super) fn check_chaos(settings: &Settings) -> Result<(), Refusal> {
    let chaos = settings.chaos.as_deref().unwrap_or_default();
    for (position, one) in chaos.iter().enumerate() {
        if chaos[..position].iter().any(|other| other.kind == one.kind) {
            return Err(("chaos", format!("`{one}`: this kind of disturbance is listed twice")));
        }
    }
    let cold = chaos.iter().any(|one| one.kind == ChaosKind::ColdCache);
    if cold && settings.mode == Some(Mode::Copies) {
        let problem =
            "cold-cache has no effect in mode `copies`, because each cycle writes the file that it opens";
        return Err(("chaos", problem.to_owned()));
    }
    Ok(())
}

/// Refuses names that the calls don't set, or set twice, or set in vain.
pub(super) fn check_calls(settings: &Settings) -> Result<(), Refusal> {
    let of = |calls: &'_ Option<Vec<Call>>| calls.clone().unwrap_or_default();
    let (setup, calls) = (of(&settings.setup), of(&settings.call));
    let all = [calls.clone(), of(&settings.after)].concat();
    check_names(&setup, &all).map_err(|error| {
        let key = match () {
            () if error.in_setup => "setup",
            () if calls.iter().any(|call| call.text == error.call) => "call",
            () => "after",
        };
        (key, error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_holds_what_is_used() {
        let check = |settings: serde_json::Value| {
            let settings: Settings = serde_json::from_value(settings).unwrap();
            check_host(settings.mode.unwrap_or_default(), &settings).map_err(|(key, _)| key)
        };
        use serde_json::json;
        assert_eq!(check(json!({ "hold": "a.so", "after": "f()" })), Ok(()));
        assert_eq!(check(json!({ "after": "f()" })), Err("after"));
        assert_eq!(check(json!({ "hold": "a.so", "mode": "namespace" })), Err("hold"));
        assert_eq!(check(json!({ "host-kind": "c++", "mode": "namespace" })), Err("host-kind"));
        assert_eq!(check(json!({ "host-kind": "c", "mode": "namespace" })), Ok(()));
    }

    #[test]
    fn several_libraries_are_opened_by_their_paths() {
        let check = |settings: serde_json::Value| {
            let settings: Settings = serde_json::from_value(settings).unwrap();
            check_together(settings.mode.unwrap_or_default(), &settings).map_err(|(key, _)| key)
        };
        use serde_json::json;
        assert_eq!(check(json!({ "together": "b.so", "order": "shuffle", "threads": 3 })), Ok(()));
        assert_eq!(check(json!({ "mode": "copies" })), Ok(()));
        assert_eq!(check(json!({ "order": "given" })), Err("order"));
        assert_eq!(check(json!({ "together": [] })), Err("together"));
        for mode in ["copies", "namespace"] {
            assert_eq!(check(json!({ "together": "b.so", "mode": mode })), Err("mode"));
        }
    }

    #[test]
    fn two_builds_take_turns_on_one_path_and_one_thread() {
        let check = |settings: serde_json::Value| {
            let settings: Settings = serde_json::from_value(settings).unwrap();
            check_replace(settings.mode.unwrap_or_default(), &settings).map_err(|(key, _)| key)
        };
        use serde_json::json;
        assert_eq!(check(json!({ "replace": "b.so", "threads": 1, "call-from": "short-lived" })), Ok(()));
        assert_eq!(check(json!({ "mode": "copies", "threads": 2 })), Ok(()));
        assert_eq!(check(json!({ "replace": "b.so", "threads": 2 })), Err("threads"));
        for other in [
            json!({ "replace": "b.so", "mode": "copies" }),
            json!({ "replace": "b.so", "mode": "namespace" }),
            json!({ "replace": "b.so", "together": "c.so" }),
            json!({ "replace": "b.so", "trace-on-leak": true }),
            json!({ "replace": "b.so", "passes": "+trace" }),
        ] {
            assert_eq!(check(other), Err("replace"));
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let settings = |chaos: &[&str], mode| Settings {
            chaos: Some(chaos.iter().map(|text| text.parse().unwrap()).collect()),
            mode,
            ..Settings::default()
        };
        assert!(check_chaos(&settings(&["signal:SIGUSR1", "signal:SIGUSR2", "stop"], None)).is_ok());
        let (key, problem) = check_chaos(&settings(&["stop", "stop@2Hz"], None)).unwrap_err();
        assert!(key == "chaos" && problem.contains("listed twice"), "{problem}");
        let (_, problem) = check_chaos(&settings(&["cold-cache"], Some(Mode::Copies))).unwrap_err();
        assert!(problem.contains("no effect in mode `copies`"), "{problem}");
    }
}
