//! A watched host for people: a row for each library that was loaded while it ran, then why, then what the host itself grows by.

use dlsoak_record::{
    Attached, Certainty, Facts, Finding, Growth, HostEnd, LoadCounts, MappedLibrary, Metric, Severity,
    TracePlace, Trend, Watch, WatchVerdict, WatchedLibrary,
};

use super::summary::Mark;
use super::terminal::wrap;
use super::units;
use super::words::{self, amount, counted};

/// Libraries that the view of a watch under way lists.
const LIVE: usize = 10;
/// Places of a leak that are told.
const PLACES: usize = 3;
/// Frames of a stack that are told.
const FRAMES: usize = 6;

/// A line that says how far a watch is.
pub fn heartbeat(seconds: u64, steps: u64, loads: u64) -> String {
    format!("{seconds} s: {}, {}", counted(steps, "step"), counted(loads, "load"))
}

/// How far a watch is, in lines of a terminal that is so wide: each library that was loaded or opened again, with its verdict so far, and
/// the host.
pub fn live(watch: &Watch, elapsed: f64, width: u16) -> String {
    let moved = |library: &&WatchedLibrary| library.loads > 1 || library.opens > 1;
    let moved: Vec<&WatchedLibrary> = watch.libraries.iter().filter(moved).collect();
    let still = watch.libraries.len() - moved.len();
    let mut lines = vec![format!(
        "{}: {} in {elapsed:.0} s, {} loaded once",
        command(watch),
        counted(watch.steps, "step"),
        units::count(still as u64)
    )];
    for library in moved.iter().take(LIVE) {
        let [loads, unloads, ..] = counts(library).map(|(name, count)| format!("{count} {name}"));
        let heap = library.growth.iter().find(|growth| growth.metric == Metric::Heap);
        let heap = heap.filter(|growth| growth.per_cycle.is_finite() && library.loads > 1);
        let heap = heap
            .map_or_else(String::new, |growth| format!(", {} B per load", units::number(growth.per_cycle)));
        lines.push(format!(
            "  {:<14}  {}: {loads}, {unloads}{heap}",
            library.verdict.name(),
            units::printable(library.name())
        ));
    }
    if moved.len() > LIVE {
        lines.push(format!("  and {} more", moved.len() - LIVE));
    }
    let gained = gained(watch, Metric::Anon);
    lines.push(format!("  {:<14}  anonymous memory {gained} since the first step", "host"));
    let lines: Vec<String> =
        lines.iter().map(|line| units::elide(line, usize::from(width).saturating_sub(1))).collect();
    lines.join("\n")
}

/// What the host's process gained from the first step to the last.
fn gained(watch: &Watch, metric: Metric) -> String {
    let at = watch.checkpoints.position(metric);
    let gained = at.map_or(0, |at| difference(&watch.checkpoints.rows, at)) as f64;
    format!("{}{}", if gained < 0.0 { "" } else { "+" }, units::bytes(gained))
}

/// That a host was stopped because of a leak, and how to go on.
pub fn suspended(watch: &Watch, pid: u32) -> String {
    let leaking = watch.libraries.iter().find(|library| library.verdict == WatchVerdict::Leak);
    let why = leaking.map_or_else(String::new, |library| {
        let reason = reasons(library).into_iter().next().unwrap_or_default();
        format!("{}: {reason}\n", units::printable(library.name()))
    });
    format!(
        "{why}process {pid} is stopped, and dlsoak waits\n\
         help: `gdb -p {pid}` to look at it, `kill -CONT {pid}` to let it go on; Ctrl-C ends the watch and the host"
    )
}

/// The table and what it means. Ends with a newline.
pub fn render(watch: &Watch, width: u16) -> String {
    let mut out = head(watch);
    let mut lines =
        vec![["verdict", "library", "loads", "unloads", "opens", "closes", "growth/load"].map(str::to_owned)];
    lines.extend(watch.libraries.iter().map(row));
    let wide = |column: usize| lines.iter().map(|line| units::columns(&line[column])).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(wide);
    for line in &lines {
        let [verdict, library, figures @ ..] = line;
        let mut text = format!("  {verdict:<v$}  {library:<l$}", v = widths[0], l = widths[1]);
        for (figure, width) in figures.iter().zip(&widths[2..]) {
            text.push_str(&format!("  {figure:>width$}"));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    for library in &watch.libraries {
        explain(&mut out, library, width);
    }
    for text in remarks(watch) {
        wrap(&mut out, "", "  ", &text, width);
    }
    out
}

fn head(watch: &Watch) -> String {
    format!("{}: {}\n", command(watch), course(watch))
}

/// The host's command line.
pub(super) fn command(watch: &Watch) -> String {
    units::printable(&watch.host.command.join(" "))
}

/// How long it was watched, and how it ended.
pub(super) fn course(watch: &Watch) -> String {
    let end = match watch.host.end {
        HostEnd::Stopped => "stopped by dlsoak".to_owned(),
        HostEnd::Exited { code } => format!("exited with status {code}"),
        HostEnd::Killed { signal } => format!("killed by signal {signal}"),
        HostEnd::Lost => "ended".to_owned(),
    };
    format!("{} in {:.1} s, {end}", counted(watch.steps, "step"), watch.seconds)
}

/// What is counted of a library, each with its name.
pub(super) fn counts(library: &WatchedLibrary) -> [(&'static str, String); 4] {
    [
        ("loads", library.loads),
        ("unloads", library.unloads),
        ("opens", library.opens),
        ("closes", library.closes),
    ]
    .map(|(name, count)| (name, units::count(count)))
}

/// What a library leaks with each load; empty where it does not.
pub(super) fn rate(library: &WatchedLibrary) -> String {
    library.leak.as_ref().map_or_else(String::new, |leak| units::number(leak.bytes_per_cycle) + " B")
}

/// Why a library has its verdict, most important first, in a line each.
pub(super) fn reasons(library: &WatchedLibrary) -> Vec<String> {
    library.findings.iter().map(|finding| units::printable(&sentence(finding))).collect()
}

/// The places of a leak that are told, with their stacks: each line, and how deep it is indented.
fn places(library: &WatchedLibrary) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    if library.verdict == WatchVerdict::Leak {
        for place in library.places.iter().take(PLACES) {
            lines.push((2, of_place(place)));
            let frames = place.stacks.first().into_iter().flat_map(|stack| stack.frames.iter().take(FRAMES));
            lines.extend(frames.map(|frame| (6, units::printable(&super::trace::line(frame)))));
        }
    }
    lines
}

/// What exports say of a watch: a row for each library, and one for the host.
pub(super) struct Row<'a> {
    pub(super) mark: Mark,
    pub(super) name: String,
    pub(super) path: &'a str,
    pub(super) verdict: &'static str,
    /// The library; of the host's row there is none.
    pub(super) library: Option<&'a WatchedLibrary>,
    /// Why, most important first.
    pub(super) reasons: Vec<String>,
    /// Where it leaks, in lines.
    pub(super) places: Vec<String>,
}

/// The rows of a watch, the host's last.
pub(super) fn rows(watch: &Watch) -> Vec<Row<'_>> {
    let of = |library| Row {
        mark: Mark::of_watched(library),
        name: units::printable(library.name()),
        path: &library.path,
        verdict: library.verdict.name(),
        library: Some(library),
        reasons: reasons(library),
        places: places(library).into_iter().map(|(indent, line)| format!("{:indent$}{line}", "")).collect(),
    };
    let mark = Mark::of_watch(watch);
    let host = Row {
        mark,
        name: "host".to_owned(),
        path: watch.host.command.first().map_or("", String::as_str),
        verdict: if mark == Mark::Pass { "watched" } else { WatchVerdict::Inconclusive.name() },
        library: None,
        reasons: remarks(watch),
        places: Vec::new(),
    };
    watch.libraries.iter().map(of).chain([host]).collect()
}

/// What something grows by in each step, and in each minute.
pub(super) fn rates(of: &Growth) -> [String; 2] {
    [of.per_cycle, of.per_second * 60.0].map(|rate| amount(of.metric, rate))
}

fn row(library: &WatchedLibrary) -> [String; 7] {
    let [loads, unloads, opens, closes] = counts(library).map(|(_, count)| count);
    let (verdict, name) = (library.verdict.to_string(), units::printable(library.name()));
    [verdict, name, loads, unloads, opens, closes, rate(library)]
}

/// Why a library has its verdict, where that is to be told.
fn explain(out: &mut String, library: &WatchedLibrary, width: u16) {
    let told = |finding: &&Finding| {
        finding.severity != Severity::Note
            || finding.allowed.is_some()
            || library.verdict == WatchVerdict::Pinned
    };
    for finding in library.findings.iter().filter(told) {
        out.push('\n');
        let name = units::printable(library.name());
        wrap(out, &format!("{}: ", finding.code), "  ", &format!("{name}: {}", sentence(finding)), width);
    }
    for (indent, line) in places(library) {
        out.push_str(&format!("{:indent$}{line}\n", ""));
    }
}

/// A finding in a sentence, with the reason why it may be.
fn sentence(finding: &Finding) -> String {
    let fact = fact(finding);
    finding
        .allowed
        .as_ref()
        .map_or_else(|| fact.clone(), |reason| format!("{fact}; this is allowed: {reason}"))
}

/// What a finding says. "Per cycle" is per load here.
fn fact(finding: &Finding) -> String {
    match &finding.facts {
        Facts::Leak(leak) => grows(&leak.growth),
        Facts::Unsettled(open) => {
            let more = open
                .cycles_needed
                .map_or_else(String::new, |loads| format!("; help: watch {} loads", units::count(loads)));
            format!("the loads are too few to decide whether it grows{more}")
        }
        Facts::HeapNotMeasured {} => {
            "its heap was not measured, because the program has a malloc of its own".to_owned()
        }
        Facts::NothingMeasured {} => {
            "memory was not measured; help: watch more steps, and without --heap off".to_owned()
        }
        _ => words::finding(finding).line(),
    }
}

fn grows(growth: &Growth) -> String {
    let rate = format!("{} per load", amount(growth.metric, growth.per_cycle));
    let what = words::metric(growth.metric);
    if growth.exact {
        return format!("{what} grows by exactly {rate}");
    }
    format!("{what} grows by {rate} ({} to {})", units::number(growth.low), units::number(growth.high))
}

fn of_place(place: &TracePlace) -> String {
    let amount = if place.bytes_per_cycle > 0.0 {
        format!("{} B", units::number(place.bytes_per_cycle))
    } else {
        units::number(place.count_per_cycle)
    };
    format!("{amount} per load of {} from {}", place.kind, units::printable(&super::trace::title(place)))
}

/// What is to be said of the host and of the watch itself.
pub(super) fn remarks(watch: &Watch) -> Vec<String> {
    let mut remarks: Vec<String> = watch
        .growth
        .iter()
        .filter(|growth| growth.trend == Trend::Growing)
        .map(|of| {
            let [step, minute] = rates(of);
            let what = match of.metric {
                Metric::Heap => "heap that no library's code allocates",
                other => words::metric(other),
            };
            format!("host: {what} grows by {step} per step ({minute} per minute)")
        })
        .collect();
    if watch.checkpoints.rows.is_empty() && !watch.libraries.is_empty() {
        remarks.push(
            "no step was over, because the loader was never quiet for --settle, --ready never exited with 0, or the host ended before".to_owned(),
        );
    }
    if watch.libraries.is_empty() {
        remarks.push("the host loaded no library while it was watched".to_owned());
    }
    if watch.lost > 0 {
        remarks.push(format!(
            "{} of the loader were lost, so counts may be too low",
            counted(watch.lost, "event")
        ));
    }
    if watch.lost_notes > 0 {
        let lost = counted(watch.lost_notes, "allocation");
        remarks.push(format!("dlsoak had no room to note {lost}; help: watch with --heap groups"));
    }
    if watch.others > 0 {
        remarks.push(format!(
            "the host started {} of its own, which dlsoak did not watch",
            counted(watch.others, "program")
        ));
    }
    if watch.child_loads > 0 {
        remarks.push(format!(
            "{} that the host forked made {}, which dlsoak did not watch",
            if watch.children == 1 {
                "a process".to_owned()
            } else {
                format!("{} processes", units::count(watch.children))
            },
            counted(watch.child_loads, "load")
        ));
    }
    if watch.unseen {
        remarks.push(
            "the host became a program that does not report its loads, because it is static or setuid, or was started without LD_AUDIT; help: \
             watch that process with --pid"
                .to_owned(),
        );
    }
    if watch.execs > 0 {
        remarks.push(format!(
            "the host became another program {}; only the last one is reported",
            counted(watch.execs, "time")
        ));
    }
    remarks
}

/// What `/proc` shows of a process that ran already, and what to do next. Ends with a newline.
pub fn attached(of: &Attached, width: u16) -> String {
    let command = units::printable(&of.command.join(" "));
    let files = counted(of.mapped.len() as u64, "file");
    let mut out =
        format!("process {}: {command}\n{files} mapped as code, watched for {:.1} s\n", of.pid, of.seconds);
    growing(&mut out, of);
    loads(&mut out, of, width);
    let certain =
        |library: &&MappedLibrary| library.stays.iter().any(|why| why.certainty != Certainty::Possible);
    let stay: Vec<&MappedLibrary> = of.mapped.iter().filter(certain).collect();
    if !stay.is_empty() {
        out.push_str("\nnever unloaded, by what their files say:\n");
    }
    for library in stay {
        let why = library.stays.iter().find(|why| why.certainty != Certainty::Possible);
        let why = why.map(|why| words::prediction(why).line()).unwrap_or_default();
        wrap(&mut out, "  ", "    ", &format!("{}: {why}", units::printable(library.name())), width);
    }
    let odd = of.mapped.iter().filter(|library| library.copies > 1 || library.deleted > 0);
    let mut odd = odd.peekable();
    if odd.peek().is_some() {
        out.push_str("\nmapped more than once, or from a file that was removed or replaced:\n");
    }
    for library in odd {
        let deleted =
            if library.deleted > 0 { format!(", {} deleted", library.deleted) } else { String::new() };
        let copies = format!("mapped {}", counted(library.copies, "time"));
        out.push_str(&format!("  {}: {copies}{deleted}\n", units::printable(&library.path)));
    }
    out.push('\n');
    let help = "help: start the program with `dlsoak watch -- PROGRAM` to learn which library leaks with each load, or soak a library alone \
                with `dlsoak run FILE`";
    wrap(&mut out, "", "  ", help, width);
    out
}

/// How often each library was loaded and unloaded, or why that is not known.
fn loads(out: &mut String, of: &Attached, width: u16) {
    let moved = || of.mapped.iter().filter(|library| library.loads + library.unloads > 0);
    let name = |library: &MappedLibrary| units::printable(library.name());
    let wide = moved().map(|library| units::columns(&name(library))).max().unwrap_or(0).max("library".len());
    if moved().next().is_some() {
        out.push_str(&format!("\n  {:<wide$}   loads  unloads\n", "library"));
    }
    for library in moved() {
        let (loads, unloads) = (units::count(library.loads), units::count(library.unloads));
        out.push_str(&format!("  {:<wide$}  {loads:>6}  {unloads:>7}\n", name(library)));
    }
    for text in of_loads(of, moved().next().is_some()) {
        wrap(out, "", "  ", &text, width);
    }
}

/// What is to be said of these counts.
fn of_loads(of: &Attached, any: bool) -> Vec<String> {
    let mut said = Vec::new();
    match &of.counted {
        LoadCounts::None { error, paranoid } => {
            let level = paranoid.map_or_else(String::new, |level| format!(", perf_event_paranoid is {level}"));
            said.push(format!(
                "loads and unloads are not counted, because the kernel refuses perf events ({error}{level}); help: run as root or with \
                 CAP_PERFMON, or set kernel.perf_event_paranoid to 2 for a process of your own"
            ));
        }
        _ if !any => said.push("it loaded and unloaded no library meanwhile".to_owned()),
        LoadCounts::Events {} => {}
        LoadCounts::Mappings {} => said.push(
            "unloads are counted by what is mapped at the end, because this user can't read the kernel's tracepoints; help: run as root"
                .to_owned(),
        ),
    }
    if of.lost > 0 {
        said.push(format!("the kernel lost {}, so counts may be too low", counted(of.lost, "report")));
    }
    if of.execs > 0 {
        said.push(format!(
            "it became another program {}; only the last one is counted",
            counted(of.execs, "time")
        ));
    }
    if of.child_loads > 0 {
        let loads = counted(of.child_loads, "load");
        said.push(format!("processes that it forked made {loads} of their own, which are not counted here"));
    }
    said
}

/// What grew between the first and the last point, per minute.
fn growing(out: &mut String, of: &Attached) {
    let minutes = of.seconds / 60.0;
    let columns = of.checkpoints.columns.iter().map(|column| column.name()).zip(0..);
    let kinds = of.resident_by_kind.columns.iter().map(|column| column.name()).zip(0..);
    let figures = columns
        .filter(|(name, _)| !["cycle", "active_ns"].contains(name))
        .map(|(name, at)| (name.to_owned(), difference(&of.checkpoints.rows, at)))
        .chain(
            kinds
                .filter(|(name, _)| *name != "cycle")
                .map(|(name, at)| (format!("{name} (resident)"), difference(&of.resident_by_kind.rows, at))),
        );
    for (name, grown) in figures.filter(|(_, grown)| *grown > 0) {
        let is_count = ["mappings", "threads", "fds"].contains(&name.as_str());
        let amount = |value: f64| if is_count { units::number(value) } else { units::bytes(value) };
        let each = if minutes > 0.0 {
            format!(", {} per minute", amount(grown as f64 / minutes))
        } else {
            String::new()
        };
        out.push_str(&format!("  {name} grew by {}{each}\n", amount(grown as f64)));
    }
}

/// By how much a column of rows grew from the first to the last.
fn difference(rows: &[Vec<i64>], at: usize) -> i64 {
    let value = |row: Option<&Vec<i64>>| row.and_then(|row| row.get(at)).copied().unwrap_or(0);
    value(rows.last()) - value(rows.first())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::sample;

    #[test]
    fn each_library_that_moved_is_a_line_that_fits() {
        let mut watch = sample::watch();
        watch.libraries[2].path = format!("/usr/lib/{}.so", "x".repeat(200));
        let mut once = watch.libraries[1].clone();
        (once.loads, once.opens) = (1, 1);
        watch.libraries.push(once);
        let text = live(&watch, 6.0, 80);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert_eq!(lines[0], "/usr/sbin/host --foreground: 12 steps in 6 s, 1 loaded once");
        let leaking = "  leak            leaking.so: 13 loads, 12 unloads, 1,008 B per load";
        assert_eq!(lines[1], leaking);
        assert_eq!(lines[4], "  host            anonymous memory +48.0 KiB since the first step");
        assert!(lines.iter().all(|line| units::columns(line) < 80), "{text}");
    }

    #[test]
    fn a_host_that_was_stopped_says_how_to_go_on() {
        assert_eq!(
            suspended(&sample::watch(), 7),
            "leaking.so: heap grows by exactly 1,008 B per load\nprocess 7 is stopped, and dlsoak waits\nhelp: `gdb -p 7` to look at it, \
             `kill -CONT 7` to let it go on; Ctrl-C ends the watch and the host"
        );
    }

    #[test]
    fn the_terminal_names_leaks_and_what_the_host_gains() {
        let text = render(&sample::watch(), 120);
        let host = "host: anonymous memory grows by 4,096 B per step (491,520 B per minute)";
        for line in ["leak-heap: leaking.so: heap grows by exactly 1,008 B per load", host] {
            assert!(text.lines().any(|found| found == line), "{text}");
        }
    }

    fn said(of: Attached) -> String {
        attached(&of, 100)
    }

    #[test]
    fn what_is_not_counted_is_said_with_the_right_that_is_missing() {
        let counted =
            LoadCounts::None { error: "Permission denied (os error 13)".to_owned(), paranoid: Some(3) };
        let text = said(Attached { counted, ..Attached::default() });
        assert!(text.contains("loads and unloads are not counted"), "{text}");
        assert!(text.contains("perf_event_paranoid is 3") && text.contains("CAP_PERFMON"), "{text}");
        let text = said(Attached { counted: LoadCounts::Mappings {}, ..Attached::default() });
        assert!(!text.contains("not counted") && text.contains("no library meanwhile"), "{text}");
    }

    #[test]
    fn loads_are_a_table_and_what_was_lost_is_said() {
        let library = |name: &str, loads, unloads| MappedLibrary {
            path: format!("/lib/{name}"),
            loads,
            unloads,
            copies: 1,
            ..MappedLibrary::default()
        };
        let of = Attached {
            counted: LoadCounts::Events {},
            lost: 1,
            mapped: vec![library("libc.so.6", 0, 0), library("mod_long_name.so", 12_000, 11_999)],
            ..Attached::default()
        };
        let text = said(of);
        assert!(
            text.contains("  library            loads  unloads\n  mod_long_name.so  12,000   11,999\n"),
            "{text}"
        );
        assert!(!text.contains("libc.so.6") && text.contains("the kernel lost 1 report"), "{text}");
    }
}
