//! What makes two runs less comparable than they look: other machines, other settings.

use dlsoak_record::{Host, Run, Soak};

/// Why the two can't be compared as they stand, in plain words.
pub(super) fn warnings(base: &Run, other: &Run, pairs: &[(&Soak, &Soak)]) -> Vec<String> {
    let mut warnings = Vec::new();
    let differ = differing(&base.host, &other.host);
    if !differ.is_empty() {
        warnings.push(format!("the hosts differ: {}", differ.join(", ")));
    }
    if base.tool.version != other.tool.version {
        warnings
            .push(format!("the versions of dlsoak differ: {} and {}", base.tool.version, other.tool.version));
    }
    // One line for each setting, with the libraries that it is about.
    let mut settings: Vec<(String, Vec<&str>)> = Vec::new();
    for (a, b) in pairs {
        for difference in settings_of(a, b) {
            match settings.iter_mut().find(|(text, _)| *text == difference) {
                Some((_, names)) => names.push(&a.name),
                None => settings.push((difference, vec![&a.name])),
            }
        }
    }
    warnings.extend(settings.into_iter().map(|(text, names)| {
        let whose = if names.len() == pairs.len() && names.len() > 1 {
            "all libraries".to_owned()
        } else {
            names.join(", ")
        };
        format!("{whose}: {text}")
    }));
    warnings
}

/// What differs of two machines.
fn differing(a: &Host, b: &Host) -> Vec<String> {
    let mut differ = Vec::new();
    let mut field = |name: &str, a: &dyn std::fmt::Display, b: &dyn std::fmt::Display| {
        let (a, b) = (a.to_string(), b.to_string());
        if a != b {
            differ.push(format!("{name} {a} and {b}"));
        }
    };
    field("kernel", &a.kernel, &b.kernel);
    field("libc", &a.libc, &b.libc);
    field("machine", &a.machine, &b.machine);
    field("cpus", &a.cpus, &b.cpus);
    field("page size", &a.page_size, &b.page_size);
    field("transparent huge pages", &a.thp, &b.thp);
    differ
}

/// What differs of two soaks' settings.
fn settings_of(a: &Soak, b: &Soak) -> Vec<String> {
    let mut differ = Vec::new();
    let mut field = |name: &str, a: String, b: String| {
        if a != b {
            differ.push(format!("{name} differ: {a} and {b}"));
        }
    };
    let json = |value: serde_json::Result<serde_json::Value>| match value {
        Ok(serde_json::Value::String(text)) => text,
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    };
    let listed = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    field("cycles", a.cycles.requested.to_string(), b.cycles.requested.to_string());
    field("soaks at the same time", (a.beside + 1).to_string(), (b.beside + 1).to_string());
    field("modes", json(serde_json::to_value(a.mode)), json(serde_json::to_value(b.mode)));
    field("threads", a.threads.to_string(), b.threads.to_string());
    field("calling threads", a.call_from.name().to_owned(), b.call_from.name().to_owned());
    field("calls", listed(&a.calls), listed(&b.calls));
    let of = |soak: &Soak| -> Vec<String> {
        soak.env.iter().map(|(name, value)| format!("{name}={value}")).collect()
    };
    field("environments", listed(&of(a)), listed(&of(b)));
    // Older records do not say.
    if let (Some(a), Some(b)) = (&a.flags, &b.flags) {
        field("flags", a.clone(), b.clone());
    }
    let agent = |soak: &Soak| soak.worker.agent.name().to_owned();
    field("the workers' agents", agent(a), agent(b));
    field("shared paths", a.share_path.to_string(), b.share_path.to_string());
    let disturbed = |soak: &Soak| soak.chaos.iter().map(|one| one.what.clone()).collect::<Vec<_>>();
    field("disturbances", listed(&disturbed(a)), listed(&disturbed(b)));
    field("sandboxes", listed(&confined(a)), listed(&confined(b)));
    differ
}

/// What the worker was kept from; nothing without a sandbox.
fn confined(soak: &Soak) -> Vec<String> {
    soak.sandbox.as_ref().map(|sandbox| sandbox.applied.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::{Agent, Disturbance, SCHEMA, Sandbox, Tool};

    #[test]
    fn what_differs_is_named_once() {
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
        };
        let flags = Some("now,local".to_owned());
        let a = Soak { name: "a".to_owned(), threads: 1, flags, ..Soak::default() };
        let b = Soak { name: "b".to_owned(), threads: 1, ..Soak::default() };
        assert!(warnings(&run, &run, &[(&a, &a), (&b, &b)]).is_empty());
        let mut other = run.clone();
        other.host.cpus = 8;
        let mut more = a.clone();
        (more.threads, more.calls) = (4, vec!["f(1)".to_owned()]);
        more.flags = Some("lazy,local".to_owned());
        more.worker.agent = Agent::Plain;
        more.chaos = vec![Disturbance { what: "stop@5Hz".to_owned(), ..Disturbance::default() }];
        more.sandbox = Some(Sandbox { applied: vec!["no network".to_owned()], missing: Vec::new() });
        let four = Soak { threads: 4, ..b.clone() };
        assert_eq!(
            warnings(&run, &other, &[(&a, &more), (&b, &four)]),
            [
                "the hosts differ: cpus 2 and 8",
                "all libraries: threads differ: 1 and 4",
                "a: calls differ: none and f(1)",
                "a: flags differ: now,local and lazy,local",
                "a: the workers' agents differ: counting and plain",
                "a: disturbances differ: none and stop@5Hz",
                "a: sandboxes differ: none and no network"
            ]
        );
    }
}
