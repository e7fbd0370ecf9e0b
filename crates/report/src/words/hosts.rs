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
            let fact = if of.unit() == dlsoak_record::Unit::Bytes {
                format!("{who} leaks {amount} each time it is loaded anew")
            } else {
                format!("{} grows by {amount} each time {who} is loaded anew", metric(of))
            };
            (fact, format!("{keeps} does not see this leak"))
        }
        Problem::Left { residue } => (
            format!("{who} leaves this residue behind, and not the library: {residue}"),
            format!("{keeps} is left without it"),
        ),
        Problem::Stays => (
            format!("the library stays because {who} comes and goes with it"),
            format!("in {keeps}, the library is unloaded"),
        ),
    };
    let help = if is_one {
        format!(
            "if your host keeps it, soak as it does with --hold {who}:link, or pass it with --blame library"
        )
    } else {
        format!(
            "if your host links {}, soak as it does with --hold deps, or pass it with --blame library",
            listed(&found.objects)
        )
    };
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
