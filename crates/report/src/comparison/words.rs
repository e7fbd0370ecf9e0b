//! The sentences of a comparison: what changed, and what limits it.

use dlsoak_judge::compare::{Against, Change, Changed, Difference, HostField, Setting};
use dlsoak_judge::merge::Merged;
use dlsoak_record::{OutcomeKind, UnloadState};
use serde_json::Value;

use super::super::units;
use super::super::words::{amount, metric as name};

/// A change in one sentence. `per` is what growth is counted in.
pub(super) fn change(change: &Change, per: &str) -> String {
    match &change.what {
        Changed::Verdict { before, after } => {
            format!("the verdict changed from {before} to {after}")
        }
        Changed::Watched { before, after } => {
            format!("the verdict changed from {before} to {after}")
        }
        Changed::Outcome { before, after, signal, phase } => {
            let signal = signal.as_ref().map(|signal| format!(" ({signal})")).unwrap_or_default();
            let phase = phase.map(|phase| format!(" in phase {}", phase.name())).unwrap_or_default();
            format!("the soak {}{signal}{phase}; before, it {}", ended(*after), ended(*before))
        }
        Changed::Unload { before, after } => {
            format!("the unload state changed from {} to {}", unload(*before), unload(*after))
        }
        Changed::Causes { new, gone } => format!("causes that keep it loaded: {}", new_and_gone(new, gone)),
        Changed::Residue { new, gone } => format!("residue: {}", new_and_gone(new, gone)),
        Changed::Growth { metric, before, after, also } => {
            let also: Vec<&str> = also.iter().map(|metric| name(*metric)).collect();
            let also =
                if also.is_empty() { String::new() } else { format!("; also changed: {}", also.join(", ")) };
            format!(
                "{} grows by {} per {per} instead of {} per {per}{also}",
                name(*metric),
                amount(*metric, *after),
                amount(*metric, *before)
            )
        }
        Changed::Latency { phase, before, after, ratio } => {
            let micro = |ns: u64| units::number(ns as f64 / 1e3);
            format!(
                "{} is {}: the median takes {} us instead of {} us ({} times as long)",
                phase.name(),
                if ratio > &1.0 { "slower" } else { "faster" },
                micro(*after),
                micro(*before),
                units::number(*ratio)
            )
        }
    }
}

/// The kind of a change, for a column of a table.
pub(super) fn kind(change: &Change) -> &'static str {
    match change.what {
        Changed::Verdict { .. } | Changed::Watched { .. } => "verdict",
        Changed::Outcome { .. } => "outcome",
        Changed::Unload { .. } => "unload",
        Changed::Causes { .. } => "causes",
        Changed::Growth { .. } => "growth",
        Changed::Residue { .. } => "residue",
        Changed::Latency { .. } => "latency",
    }
}

/// What limits a comparison: one sentence for hosts, versions, each setting, and the pace.
pub(super) fn warnings(against: &Against) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut hosts = Vec::new();
    let mut rest = Vec::new();
    for difference in &against.differences {
        match difference {
            Difference::Host { field, before, after } => {
                hosts.push(format!("{} ({})", host_field(*field), both(before, after)));
            }
            Difference::Version { before, after } => {
                rest.push(format!("the versions of dlsoak differ ({before} before, {after} after)"));
            }
            Difference::Setting { setting: which, before, after, soaks } => {
                let whose = if soaks.len() == against.soaks.len() && soaks.len() > 1 {
                    "all libraries".to_owned()
                } else {
                    soaks.join(", ")
                };
                let what = setting(*which);
                rest.push(format!("{whose}: {what} differ ({})", both(before, after)));
            }
        }
    }
    if !hosts.is_empty() {
        warnings.push(format!("the hosts differ in {}", hosts.join(", ")));
    }
    warnings.extend(rest);
    if let (Some(pace), true) = (against.pace, against.pace_changed) {
        warnings.push(format!(
            "everything took {pace:.2} times as long, because the machine or its load differs, or because all libraries changed \
             alike; a phase counts as changed only if it stands out from that"
        ));
    }
    warnings
}

/// What a reader of a merged record should know.
pub fn of_merged(merged: &Merged) -> Option<&'static str> {
    merged
        .hosts_differ
        .then_some("the parts ran on different machines; `host` of each soak names its machine")
}

fn ended(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Completed => "completed",
        OutcomeKind::Crashed => "crashed",
        OutcomeKind::Hung => "hung",
        OutcomeKind::Exited => "exited",
        OutcomeKind::Limit => "hit a limit",
        OutcomeKind::NeedsHost => "called what only its real host has",
        OutcomeKind::CallFailed => "ended because a call failed",
        OutcomeKind::LoadFailed => "failed to load",
        OutcomeKind::Interrupted => "was interrupted",
    }
}

fn unload(state: UnloadState) -> &'static str {
    match state {
        UnloadState::Unloaded => "unloaded",
        UnloadState::Partial => "partly unloaded",
        UnloadState::Pinned => "pinned",
    }
}

fn new_and_gone(new: &[String], gone: &[String]) -> String {
    let part =
        |names: &[String], word: &str| (!names.is_empty()).then(|| format!("{word} {}", names.join(", ")));
    let parts: Vec<String> = [part(new, "new"), part(gone, "gone")].into_iter().flatten().collect();
    parts.join("; ")
}

fn host_field(field: HostField) -> &'static str {
    match field {
        HostField::Kernel => "kernel",
        HostField::Libc => "libc",
        HostField::Machine => "machine",
        HostField::Cpus => "CPUs",
        HostField::PageSize => "page size",
        HostField::Thp => "transparent huge pages",
    }
}

fn setting(setting: Setting) -> &'static str {
    match setting {
        Setting::Cycles => "cycles",
        Setting::Beside => "soaks at the same time",
        Setting::Mode => "modes",
        Setting::Threads => "threads",
        Setting::CallFrom => "calling threads",
        Setting::Calls => "calls",
        Setting::Setup => "calls of the set-up",
        Setting::Replace => "builds that replace the library",
        Setting::Env => "environments",
        Setting::Flags => "flags",
        Setting::Agent => "agents",
        Setting::SharePath => "shared paths",
        Setting::Chaos => "disturbances",
        Setting::Sandbox => "sandboxes",
    }
}

fn both(before: &Value, after: &Value) -> String {
    format!("{} before, {} after", value(before), value(after))
}

/// A value of a setting. Collections are listed.
fn value(value: &Value) -> String {
    let listed = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Array(items) => listed(items.iter().map(self::value).collect()),
        Value::Object(fields) => {
            listed(fields.iter().map(|(name, field)| format!("{name}={}", self::value(field))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use dlsoak_judge::compare::SoakChange;
    use dlsoak_record::{Metric, Phase, Verdict};
    use serde_json::json;

    use super::*;

    #[test]
    fn every_change_has_a_sentence() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let latency = |before, after| Changed::Latency {
            phase: Phase::Call,
            before,
            after,
            ratio: after as f64 / before as f64,
        };
        let changes = [
            Changed::Verdict { before: Verdict::Clean, after: Verdict::Leak },
            Changed::Outcome {
                before: OutcomeKind::Completed,
                after: OutcomeKind::Crashed,
                signal: Some("SIGSEGV".to_owned()),
                phase: Some(Phase::Close),
            },
            Changed::Outcome {
                before: OutcomeKind::Hung,
                after: OutcomeKind::Completed,
                signal: None,
                phase: None,
            },
            Changed::Unload { before: UnloadState::Pinned, after: UnloadState::Partial },
            Changed::Causes { new: names(&["nodelete", "unique"]), gone: names(&["tls"]) },
            Changed::Residue { new: Vec::new(), gone: names(&["fds"]) },
            Changed::Growth { metric: Metric::Heap, before: 0.0, after: 32.0, also: Vec::new() },
            Changed::Growth {
                metric: Metric::Fds,
                before: 2.0,
                after: 0.5,
                also: vec![Metric::Rss, Metric::Anon],
            },
            latency(1_200, 2_400),
            latency(2_400, 1_200),
        ];
        let text: Vec<String> =
            changes.into_iter().map(|what| change(&Change { worse: None, what }, "cycle")).collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn every_difference_has_a_sentence() {
        let host = |field, before, after| Difference::Host { field, before, after };
        let setting = |setting, before, after, soaks: &[&str]| Difference::Setting {
            setting,
            before,
            after,
            soaks: soaks.iter().map(|name| (*name).to_owned()).collect(),
        };
        let soak = |name: &str| SoakChange {
            name: name.to_owned(),
            other_name: None,
            changes: Vec::new(),
            verdict: (Verdict::Clean, Verdict::Clean),
            unload: (UnloadState::Unloaded, UnloadState::Unloaded),
            growth: Vec::new(),
            latency: Vec::new(),
        };
        let against = Against {
            label: "after".to_owned(),
            differences: vec![
                host(HostField::Kernel, json!("6.1"), json!("6.12")),
                host(HostField::Cpus, json!(2), json!(8)),
                Difference::Version { before: "1".to_owned(), after: "2".to_owned() },
                setting(Setting::Cycles, json!(200), json!(300), &["a", "b"]),
                setting(Setting::Calls, json!([]), json!(["f(1)", "g()"]), &["a"]),
                setting(Setting::Env, json!({}), json!({"A": "b"}), &["b"]),
                setting(Setting::SharePath, json!(false), json!(true), &["b"]),
            ],
            pace: Some(1.4),
            pace_changed: true,
            libraries: Vec::new(),
            soaks: vec![soak("a"), soak("b")],
            only_in_base: Vec::new(),
            only_here: Vec::new(),
        };
        insta::assert_snapshot!(warnings(&against).join("\n"));
    }
}
