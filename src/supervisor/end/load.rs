//! A load that fails although others before it went well: what has run out or changed meanwhile, and the mend.

use std::collections::BTreeMap;

use crate::supervisor::session::Session;
use crate::supervisor::staging::Staging;

/// Room for static thread-local storage to be asked for where nothing tells how much is needed.
const TUNABLE: u64 = 8192;

/// What makes room for more libraries with static thread-local storage, by so many bytes.
pub(in crate::supervisor) fn tls_mend(bytes: Option<u64>) -> String {
    format!(
        "GLIBC_TUNABLES=glibc.rtld.optional_static_tls={} in the environment of the host makes room for more (512 is \
         the default)",
        bytes.unwrap_or(TUNABLE)
    )
}

/// What the loader's words mean in a cycle that is not the first, with the mend; `None` where they say it all.
pub(super) fn meaning(words: &str, session: &Session<'_>, staging: &Staging) -> Option<String> {
    if let Some(change) = staging.change() {
        return Some(change);
    }
    if words.contains("static TLS block") {
        return Some(format!(
            "earlier loads used up the static thread-local storage that glibc keeps for libraries: it comes back only \
             when they are closed in the opposite order of their opening; {}",
            tls_mend(None)
        ));
    }
    if words.contains("Too many open files") {
        return Some(descriptors(session));
    }
    if words.contains("annot allocate memory") || words.contains("failed to map") {
        return Some(memory(session));
    }
    if words.contains("No such file or directory") {
        return Some("a library that it needs was there in earlier cycles and is gone now".to_owned());
    }
    if words.contains("No space left") {
        return Some("the disk is full; TMPDIR chooses another place for copies".to_owned());
    }
    None
}

/// Who holds the descriptors.
fn descriptors(session: &Session<'_>) -> String {
    let process = session.process.pid();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let entries = std::fs::read_dir(format!("/proc/{process}/fd"));
    let links = entries.into_iter().flatten().filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    for link in links {
        let link = link.to_string_lossy();
        let kind = link.split_once(":[").map_or(&*link, |(kind, _)| kind);
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    let all: usize = kinds.values().sum();
    let mut most: Vec<(String, usize)> = kinds.into_iter().collect();
    most.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let most: Vec<String> = most.iter().take(3).map(|(kind, count)| format!("{count} of {kind}")).collect();
    let limit = limit(process, "Max open files");
    let of = limit.map(|limit| format!(" of {limit} that it may have (RLIMIT_NOFILE)")).unwrap_or_default();
    format!("the process has {all} descriptors open{of}, most of them {}", most.join(", "))
}

/// What memory may have run out.
fn memory(session: &Session<'_>) -> String {
    let process = session.process.pid();
    let mappings =
        std::fs::read_to_string(format!("/proc/{process}/maps")).map_or(0, |maps| maps.lines().count());
    let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    let most = most.and_then(|most| most.trim().parse::<usize>().ok());
    if let Some(most) = most.filter(|most| mappings + 16 > *most) {
        return format!("the process has {mappings} mappings of at most {most} (vm.max_map_count)");
    }
    match limit(process, "Max address space") {
        Some(limit) if limit != "unlimited" => {
            format!(
                "its address space is limited to {limit} bytes (RLIMIT_AS), and {mappings} mappings fill it"
            )
        }
        _ => format!("the machine or its control group has no memory left; {mappings} mappings are there"),
    }
}

/// A limit of a process that holds now, from `/proc/PID/limits`.
fn limit(process: i32, name: &str) -> Option<String> {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next().map(str::to_owned)
}
