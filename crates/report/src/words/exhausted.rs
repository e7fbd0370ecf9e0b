//! What ran out, in sentences.

use dlsoak_record::{OutcomeKind, RanOut, Resource, units};

use super::Text;

pub(super) fn ran_out(ran_out: &RanOut) -> Text {
    let what = &ran_out.what;
    let amount = |amount: f64| match what.resource {
        Resource::AddressSpace | Resource::Memory | Resource::StaticTls => units::bytes(amount),
        _ => units::number(amount),
    };
    let (name, whose, help) = match what.resource {
        Resource::TlsKeys => {
            ("thread-specific keys", "a process may have", "call pthread_key_delete in the destructor")
        }
        Resource::Fds => {
            ("descriptors", "RLIMIT_NOFILE allows", "close each descriptor before the library is unloaded")
        }
        Resource::Threads => (
            "threads",
            "the user, the control group or the machine may have",
            "end and join each thread before the library is unloaded",
        ),
        Resource::Inotify => (
            "instances of inotify",
            "a user may have (fs.inotify.max_user_instances)",
            "close each descriptor before the library is unloaded",
        ),
        Resource::Mappings => ("mappings", "vm.max_map_count allows", "call munmap for each mmap"),
        Resource::AddressSpace => ("address space", "RLIMIT_AS allows", "call munmap for each mmap"),
        Resource::Memory => ("memory", "the machine has", "free what the library allocates"),
        Resource::StaticTls => (
            "static thread-local storage",
            "glibc keeps for libraries",
            "compile without -ftls-model=initial-exec",
        ),
        Resource::Namespaces => ("namespaces", "glibc provides", "close each namespace"),
    };
    let fact = format!("{name} ran out in cycle {}", units::count(what.cycle));
    let of = what.limit.map(|limit| format!("the {} that {whose}", amount(limit as f64)));
    let fact = match (what.per_cycle, of) {
        (Some(rate), Some(of)) => format!("{fact}, because each cycle takes {} of {of}", amount(rate)),
        (None, Some(of)) => format!("{fact}, of {of}"),
        (_, None) => fact,
    };
    let then = match ran_out.ended {
        Some(OutcomeKind::Crashed) => "the crash",
        Some(OutcomeKind::Hung) => "the hang",
        Some(OutcomeKind::Exited) => "the exit",
        Some(OutcomeKind::NeedsHost) => "the call of the host",
        Some(OutcomeKind::CallFailed) => "the failed call",
        Some(OutcomeKind::LoadFailed) => "the failed load",
        _ => "",
    };
    let judged = "dlsoak judges growth by the cycles before, because what fails can't grow";
    let means = if then.is_empty() {
        format!("every further attempt fails, also in the host; {judged}")
    } else {
        format!("{then} came after that and may be a consequence; {judged}")
    };
    Text::fact(fact).means(means).help(help)
}

#[cfg(test)]
mod tests {
    use dlsoak_record::Exhausted;

    use super::*;

    #[test]
    fn what_ran_out_is_told_with_the_cycle_and_what_came_of_it() {
        let keys =
            |per_cycle| Exhausted { resource: Resource::TlsKeys, limit: Some(1024), cycle: 1022, per_cycle };
        let of = |what, ended| ran_out(&RanOut { what, ended });
        let text = of(keys(Some(1.0)), None);
        assert_eq!(
            text.fact,
            "thread-specific keys ran out in cycle 1,022, because each cycle takes 1 of the 1,024 that a process may have"
        );
        let text = of(keys(None), Some(OutcomeKind::Crashed));
        assert_eq!(
            text.fact,
            "thread-specific keys ran out in cycle 1,022, of the 1,024 that a process may have"
        );
        assert!(text.consequence.unwrap().starts_with("the crash came after that"));
        let space =
            Exhausted { resource: Resource::AddressSpace, limit: Some(1 << 30), ..keys(Some(1048576.0)) };
        assert_eq!(
            of(space, None).fact,
            "address space ran out in cycle 1,022, because each cycle takes 1.0 MiB of the 1.0 GiB that RLIMIT_AS allows"
        );
        let unknown = Exhausted { resource: Resource::Memory, limit: None, ..keys(None) };
        assert_eq!(of(unknown, None).fact, "memory ran out in cycle 1,022");
    }
}
