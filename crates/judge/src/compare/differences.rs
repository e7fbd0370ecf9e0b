//! Differences in hosts, versions and settings, which make two runs less comparable.

use serde::Serialize;
use serde_json::Value;

use dlsoak_record::{Host, Run, Soak};

/// A difference that limits what a comparison means.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Difference {
    /// The runs were made on hosts that differ.
    Host {
        /// In what.
        field: HostField,
        /// The first run's value.
        before: Value,
        /// The other run's value.
        after: Value,
    },
    /// Different versions of dlsoak made the runs.
    Version {
        /// The first run's version.
        before: String,
        /// The other run's version.
        after: String,
    },
    /// The settings of some soaks differ.
    Setting {
        /// Which setting.
        setting: Setting,
        /// Its value in the first run.
        before: Value,
        /// Its value in the other run.
        after: Value,
        /// Names of the soaks in the first run.
        soaks: Vec<String>,
    },
}

/// A property of a host, as the record names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostField {
    /// Kernel release.
    Kernel,
    /// C library.
    Libc,
    /// Machine.
    Machine,
    /// Number of CPUs.
    Cpus,
    /// Page size.
    PageSize,
    /// Transparent huge pages.
    Thp,
}

/// A setting of a soak, as the record names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// Cycles that were requested.
    Cycles,
    /// Other soaks that ran at the same time.
    Beside,
    /// What a cycle opens.
    Mode,
    /// Threads.
    Threads,
    /// Which thread a cycle runs on.
    CallFrom,
    /// Calls of a cycle.
    Calls,
    /// The calls of the set-up.
    Setup,
    /// The build that replaces the library.
    Replace,
    /// Environment variables.
    Env,
    /// Flags for `dlopen`.
    Flags,
    /// How malloc is counted.
    Agent,
    /// Whether all threads open one path.
    SharePath,
    /// Disturbances.
    Chaos,
    /// Restrictions of the sandbox.
    Sandbox,
}

/// Everything in which the runs differ. A setting that differs alike in several soaks is one entry.
pub(super) fn differences(base: &Run, other: &Run, pairs: &[(&Soak, &Soak)]) -> Vec<Difference> {
    let mut differences = hosts(&base.host, &other.host);
    let (before, after) = (&base.tool.version, &other.tool.version);
    if before != after {
        differences.push(Difference::Version { before: before.clone(), after: after.clone() });
    }
    let mut all: Vec<((Setting, Value, Value), Vec<String>)> = Vec::new();
    for (a, b) in pairs {
        for difference in settings(a, b) {
            match all.iter_mut().find(|(known, _)| *known == difference) {
                Some((_, names)) => names.push(a.name.clone()),
                None => all.push((difference, vec![a.name.clone()])),
            }
        }
    }
    differences.extend(all.into_iter().map(|((setting, before, after), soaks)| Difference::Setting {
        setting,
        before,
        after,
        soaks,
    }));
    differences
}

fn value(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn hosts(a: &Host, b: &Host) -> Vec<Difference> {
    [
        (HostField::Kernel, value(&a.kernel), value(&b.kernel)),
        (HostField::Libc, value(&a.libc), value(&b.libc)),
        (HostField::Machine, value(&a.machine), value(&b.machine)),
        (HostField::Cpus, value(a.cpus), value(b.cpus)),
        (HostField::PageSize, value(a.page_size), value(b.page_size)),
        (HostField::Thp, value(&a.thp), value(&b.thp)),
    ]
    .into_iter()
    .filter(|(_, before, after)| before != after)
    .map(|(field, before, after)| Difference::Host { field, before, after })
    .collect()
}

fn settings(a: &Soak, b: &Soak) -> impl Iterator<Item = (Setting, Value, Value)> {
    let chaos = |soak: &Soak| soak.chaos.iter().map(|one| one.what.clone()).collect::<Vec<_>>();
    let sandbox =
        |soak: &Soak| soak.sandbox.as_ref().map_or_else(Vec::new, |sandbox| sandbox.applied.clone());
    [
        (Setting::Cycles, value(a.cycles.requested), value(b.cycles.requested)),
        (Setting::Beside, value(a.beside), value(b.beside)),
        (Setting::Mode, value(a.mode()), value(b.mode())),
        (Setting::Threads, value(a.threads()), value(b.threads())),
        (Setting::CallFrom, value(a.call_from()), value(b.call_from())),
        (Setting::Calls, value(a.calls()), value(b.calls())),
        (Setting::Setup, value(&a.asked.setup), value(&b.asked.setup)),
        (Setting::Replace, value(&a.asked.replace), value(&b.asked.replace)),
        (Setting::Env, value(&a.env), value(&b.env)),
        (Setting::Flags, value(a.flags()), value(b.flags())),
        (Setting::Agent, value(a.worker.agent), value(b.worker.agent)),
        (Setting::SharePath, value(a.share_path), value(b.share_path)),
        (Setting::Chaos, value(chaos(a)), value(chaos(b))),
        (Setting::Sandbox, value(sandbox(a)), value(sandbox(b))),
    ]
    .into_iter()
    .filter(|(_, before, after)| before != after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::{Agent, Disturbance, Measured, SCHEMA, Sandbox, Settings, Tool};
    use serde_json::json;

    #[test]
    fn each_difference_is_found_once() {
        let host = Host {
            kernel: "6.1".to_owned(),
            libc: "glibc 2.36".to_owned(),
            machine: "x86_64".to_owned(),
            cpus: 2,
            page_size: 4096,
            thp: "madvise".to_owned(),
        };
        let run = Run {
            schema: SCHEMA.to_owned(),
            tool: Tool { version: "1".to_owned() },
            started_at: String::new(),
            passed: true,
            host,
            partition: None,
            soaks: Vec::new(),
            watch: None,
        };
        let of = |measured| Soak { measured, ..Soak::default() };
        let a = of(Measured { name: "a".to_owned(), ..Measured::default() });
        let b = of(Measured { name: "b".to_owned(), ..Measured::default() });
        assert!(differences(&run, &run, &[(&a, &a), (&b, &b)]).is_empty());
        let mut other = run.clone();
        other.host.cpus = 8;
        let mut soak = a.clone();
        let more = &mut soak.measured;
        more.asked = Settings {
            call: "f(1)".parse().ok().map(|call| vec![call]),
            flags: "lazy".parse().ok(),
            threads: "4".parse().ok(),
            ..Settings::default()
        };
        more.worker.agent = Agent::Plain;
        more.chaos = vec![Disturbance { what: "stop@5Hz".to_owned(), ..Disturbance::default() }];
        more.sandbox =
            Some(Sandbox { applied: vec![dlsoak_record::Restriction::Network], missing: Vec::new() });
        let asked = Settings { threads: "4".parse().ok(), ..Settings::default() };
        let four = of(Measured { asked, ..b.measured.clone() });
        let setting = |setting, before, after, soaks: &[&str]| Difference::Setting {
            setting,
            before,
            after,
            soaks: soaks.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(
            differences(&run, &other, &[(&a, &soak), (&b, &four)]),
            [
                Difference::Host { field: HostField::Cpus, before: json!(2), after: json!(8) },
                setting(Setting::Threads, json!(1), json!(4), &["a", "b"]),
                setting(Setting::Calls, json!([]), json!(["f(1)"]), &["a"]),
                setting(Setting::Flags, json!("now,local"), json!("lazy,local"), &["a"]),
                setting(Setting::Agent, json!("counting"), json!("plain"), &["a"]),
                setting(Setting::Chaos, json!([]), json!(["stop@5Hz"]), &["a"]),
                setting(Setting::Sandbox, json!([]), json!(["network"]), &["a"]),
            ]
        );
    }
}
