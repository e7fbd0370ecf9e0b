//! What another host shows, in sentences: whose fault it is, and what depends on the kind of the host.

use dlsoak_record::{Behaviour, Dependency, HostKind, OutcomeKind, Problem, UnloadState};

use super::growth::{metric, rate};
use super::{Text, cause, counted, listed};

/// A dependency is at fault.
pub(super) fn dependency(found: &Dependency) -> Text {
    let (who, is_one) = match found.objects.as_slice() {
        [one] => (one.clone(), true),
        // No single one is.
        _ => ("what the library needs".to_owned(), false),
    };
    let keeps = if is_one { "a host that keeps it loaded" } else { "a host that links all of it" };
    let (fact, means) = match found.problem {
        Problem::Grows { metric: of } => {
            let amount = found
                .per_cycle
                .map_or_else(|| "it".to_owned(), |each| rate(of, each).replace(" per cycle", ""));
            let unseen = format!("{keeps} does not see this leak");
            if is_one && found.alone == Some(0.0) {
                let fact = format!(
                    "this growth by {amount} goes with {who}, which leaks nothing when it is loaded by itself"
                );
                let lost = "what the library has it keep is lost when it is unloaded: the library does not call its \
                            clean-up function, or it has none";
                (fact, format!("{lost}; {unseen}"))
            } else if of.unit() == dlsoak_record::Unit::Bytes {
                (format!("{who} leaks {amount} each time it is loaded anew"), unseen)
            } else {
                (format!("{} grows by {amount} each time {who} is loaded anew", metric(of)), unseen)
            }
        }
        Problem::Left { residue } => (
            format!("{who} leaves this residue behind, and not the library: {residue}"),
            format!("{keeps} is left without it"),
        ),
        Problem::Stays => (
            format!("the library stays because {who} comes and goes with it"),
            format!("in {keeps}, the library is unloaded"),
        ),
        Problem::Crashes => (
            format!("it crashes where {who} comes and goes with the library"),
            format!("{keeps} does not crash"),
        ),
    };
    let mut help = if is_one {
        format!("if your host keeps it, soak as it does with --hold {who}:link")
    } else {
        format!("if your host links {}, soak as it does with --hold deps", listed(&found.objects))
    };
    // No gate passes what crashed.
    if found.problem != Problem::Crashes {
        help.push_str(", or pass it with --blame library");
    }
    Text::fact(fact).means(format!("{means}, as {} in one show", counted(found.cycles, "cycle"))).help(help)
}

/// A library behaves otherwise in a host of the other kind.
pub(super) fn differ(here: &Behaviour, there: &Behaviour) -> Text {
    let mut why = there.causes.first().or(here.causes.first()).map(|first| cause(first).fact);
    if there.state == here.state {
        why = None;
    }
    let because = why.map(|why| format!(", because {why}")).unwrap_or_default();
    let fact = format!("{}; {}{because}", behaviour(here), behaviour(there));
    let (flag, name) = match there.host {
        HostKind::Cxx => ("c++", "C++"),
        HostKind::C | HostKind::Auto => ("c", "C"),
    };
    Text::fact(fact)
        .means("a host in C++ has libstdc++ before the library comes, and one in C has not; the gate goes by the first of the two")
        .help(format!("if your host is written in {name}, soak with --host-kind {flag}"))
}

fn behaviour(of: &Behaviour) -> String {
    let host = match of.host {
        HostKind::Cxx => "in a C++ host",
        HostKind::C | HostKind::Auto => "in a C host",
    };
    let mut said = match of.end {
        OutcomeKind::Completed => match of.state {
            UnloadState::Unloaded => format!("unloads {host}"),
            UnloadState::Partial => format!("unloads {host}, where objects that it brought stay"),
            UnloadState::Pinned => format!("stays {host}"),
        },
        end => format!("ends as `{}` {host}", end.name()),
    };
    for grows in &of.grows {
        said.push_str(&format!(
            ", where {} grows by {}",
            metric(grows.metric),
            rate(grows.metric, grows.per_cycle)
        ));
    }
    if !of.residue.is_empty() {
        let kinds: Vec<&str> = of.residue.iter().map(|kind| kind.name()).collect();
        said.push_str(&format!(", and leaves {}", listed(&kinds)));
    }
    said
}

#[cfg(test)]
mod tests {
    use dlsoak_record::{Cause, CauseFacts, Metric, MetricRate, ResidueKind, Undiagnosed};

    use super::*;

    #[test]
    fn a_dependency_at_fault_is_named_with_its_condition() {
        let of = |problem, objects: &[&str], per_cycle| {
            let objects = objects.iter().map(|name| (*name).to_owned()).collect();
            dependency(&Dependency { problem, objects, per_cycle, alone: None, cycles: 1000 })
                .lines()
                .collect::<Vec<_>>()
                .join("\n")
        };
        let heap = Problem::Grows { metric: Metric::Heap };
        assert_eq!(
            of(heap, &["libpixman-1.so.0"], Some(12_480.0)),
            "libpixman-1.so.0 leaks 12,480 B each time it is loaded anew\n\
             a host that keeps it loaded does not see this leak, as 1,000 cycles in one show\n\
             help: if your host keeps it, soak as it does with --hold libpixman-1.so.0:link, or pass it with --blame library"
        );
        let threads = Problem::Grows { metric: Metric::Threads };
        assert!(
            of(threads, &["a.so"], Some(2.0))
                .starts_with("the number of threads grows by 2 each time a.so is loaded anew")
        );
        let keys = Problem::Left { residue: ResidueKind::TlsKeys };
        assert!(
            of(keys, &["a.so"], None)
                .starts_with("a.so leaves this residue behind, and not the library: tls-keys")
        );
        assert_eq!(
            of(Problem::Crashes, &["libgomp.so.1"], None),
            "it crashes where libgomp.so.1 comes and goes with the library\n\
             a host that keeps it loaded does not crash, as 1,000 cycles in one show\n\
             help: if your host keeps it, soak as it does with --hold libgomp.so.1:link"
        );
        let both = of(Problem::Stays, &["a.so", "b.so"], None);
        assert!(
            both.contains("if your host links a.so and b.so, soak as it does with --hold deps"),
            "{both}"
        );
    }

    #[test]
    fn the_two_kinds_of_host_stand_side_by_side() {
        let unloads = Behaviour {
            host: HostKind::Cxx,
            end: OutcomeKind::Completed,
            state: UnloadState::Unloaded,
            causes: Vec::new(),
            grows: Vec::new(),
            residue: Vec::new(),
        };
        let stays = Behaviour {
            host: HostKind::C,
            state: UnloadState::Pinned,
            causes: vec![Cause::of_library(CauseFacts::Unknown(Undiagnosed::NotMade))],
            ..unloads.clone()
        };
        let text = differ(&unloads, &stays);
        assert!(text.fact.starts_with("unloads in a C++ host; stays in a C host, because "), "{}", text.fact);
        assert!(text.help.unwrap().ends_with("--host-kind c"));
        let grows = vec![MetricRate { metric: Metric::Heap, per_cycle: 32.0 }];
        let leaks = Behaviour { grows, residue: vec![ResidueKind::Fds], ..unloads.clone() };
        let text = differ(&leaks, &Behaviour { host: HostKind::C, end: OutcomeKind::Crashed, ..unloads });
        assert_eq!(
            text.fact,
            "unloads in a C++ host, where heap grows by 32 B per cycle, and leaves fds; ends as `crashed` in a C host"
        );
    }
}
