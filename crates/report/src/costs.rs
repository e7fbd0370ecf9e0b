//! What a library costs its host, by what it was built with and by its settings: per reopening, per copy, and per call from
//! each kind of thread. Soaks of one file with the same settings make one row, whichever suite or matrix they come from.

use std::fmt::Write as _;
use std::path::Path;

use dlsoak_record::{Call, CallFrom, InstanceCost, Metric, Mode, OpenFlags, Run, Soak, Variable};

use super::markdown::text;
use super::{built, cells, units};

/// What one file costs with one choice of settings.
pub(super) struct Row<'a> {
    /// Name of the file.
    pub(super) library: String,
    /// Version of its language, where the file tells.
    pub(super) built: String,
    /// Variables, threads and flags that were set.
    pub(super) settings: String,
    /// The soak that reopens it.
    reopen: Option<&'a Soak>,
    /// The soak in mode `copies`.
    copies: Option<&'a Soak>,
    /// The soaks that call it, in the order of [`CallFrom::ALL`].
    calls: [Option<&'a Soak>; 3],
}

/// What is shown of each copy.
const COPY: [(Metric, &str); 5] = [
    (Metric::Rss, "resident"),
    (Metric::Anon, "of it anonymous"),
    (Metric::Threads, "threads"),
    (Metric::Mappings, "mappings"),
    (Metric::Virtual, "address space"),
];

/// The rows, in the order of the record.
pub(super) fn rows(run: &Run) -> Vec<Row<'_>> {
    let mut rows: Vec<(Key<'_>, Row<'_>)> = Vec::new();
    for soak in &run.soaks {
        let key = Key::of(soak);
        let index = rows.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            rows.push((key, Row::new(soak)));
            rows.len() - 1
        });
        if let Some((_, row)) = rows.get_mut(index) {
            row.take(soak);
        }
    }
    rows.into_iter().map(|(_, row)| row).filter(Row::tells).collect()
}

/// What makes soaks belong to one row.
#[derive(PartialEq)]
struct Key<'a> {
    path: &'a str,
    build_id: Option<&'a str>,
    env: Option<&'a [Variable]>,
    threads: u32,
    share_path: bool,
    flags: OpenFlags,
    calls: Option<&'a [Call]>,
}

impl<'a> Key<'a> {
    fn of(soak: &'a Soak) -> Self {
        Self {
            path: &soak.path,
            build_id: soak.build_id.as_deref(),
            env: soak.asked.env.as_deref(),
            threads: soak.threads(),
            share_path: soak.share_path,
            flags: soak.flags(),
            calls: soak.asked.call.as_deref(),
        }
    }
}

impl<'a> Row<'a> {
    fn new(soak: &Soak) -> Self {
        let file = Path::new(&soak.path).file_name().map(|name| name.to_string_lossy().into_owned());
        let mut settings: Vec<String> = soak.asked.env.iter().flatten().map(ToString::to_string).collect();
        if soak.threads() > 1 {
            settings.push(format!("{} threads", soak.threads()));
        }
        if soak.share_path {
            settings.push("one path".to_owned());
        }
        if soak.flags() != OpenFlags::default() {
            settings.push(soak.flags().to_string());
        }
        Self {
            library: units::printable(&file.unwrap_or_else(|| soak.path.clone())),
            built: built::of_soak(soak),
            settings: units::printable(&settings.join(" ")),
            reopen: None,
            copies: None,
            calls: [None; 3],
        }
    }

    /// Adds what a soak of this row tells; of two that tell the same, the first counts.
    fn take(&mut self, soak: &'a Soak) {
        match soak.mode() {
            Mode::Copies => self.copies = self.copies.or(Some(soak)),
            Mode::Reopen => {
                // What a host does that reopens a library it does on one thread.
                if self.reopen.is_none_or(|known| known.call_from() != CallFrom::Main) {
                    self.reopen = Some(soak);
                }
                let place = CallFrom::ALL.iter().position(|from| *from == soak.call_from());
                let called = soak.latency_ns.call.is_some() && !soak.calls().is_empty();
                if let Some(call) = place.filter(|_| called).and_then(|place| self.calls.get_mut(place)) {
                    *call = call.or(Some(soak));
                }
            }
            Mode::Namespace => {}
        }
    }

    fn tells(&self) -> bool {
        self.reopen.is_some() || self.copies.is_some()
    }

    /// Median of a call from this kind of thread, in nanoseconds.
    pub(super) fn call(&self, from: CallFrom) -> Option<u64> {
        let place = CallFrom::ALL.iter().position(|known| *known == from)?;
        let latency = self.calls.get(place)?.as_ref()?.latency_ns.call.as_ref()?;
        Some(latency.p50)
    }

    /// What one more copy takes of this metric; 0 where no copy stays.
    pub(super) fn copy(&self, metric: Metric) -> Option<f64> {
        let soak = self.copies.filter(|soak| soak.cycles.completed > 0)?;
        let Some(instances) = &soak.instances else { return Some(0.0) };
        let of = |cost: &&InstanceCost| cost.metric == metric;
        instances.cost.iter().find(of).map(|cost| cost.per_instance)
    }

    /// What one more copy takes of this metric, in words.
    pub(super) fn copy_text(&self, metric: Metric) -> String {
        let counted = matches!(metric, Metric::Threads | Metric::Mappings | Metric::Fds);
        let write = if counted { |x: f64| format!("{x:.1}") } else { units::bytes };
        self.copy(metric).map_or_else(|| units::NONE.to_owned(), write)
    }

    /// What it is called beside a bar.
    pub(super) fn label(&self) -> String {
        let name = if self.built.is_empty() { &self.library } else { &self.built };
        [name.as_str(), &self.settings].join(" ").trim_end().to_owned()
    }
}

/// The table as Markdown.
pub(super) fn markdown(run: &Run) -> String {
    let mut out = String::from(
        "| library | built with | settings | loads/reopening | open p50 | close p50 | heap/reopening |",
    );
    for (_, title) in COPY {
        let _ = write!(out, " {title}/copy |");
    }
    for from in CallFrom::ALL {
        let _ = write!(out, " call from {} p50 |", from.name());
    }
    out.push_str("\n| --- | --- | --- |");
    out.push_str(&" ---: |".repeat(4 + COPY.len() + CallFrom::ALL.len()));
    out.push('\n');
    for row in rows(run) {
        let none = || units::NONE.to_owned();
        let mut cells = vec![text(&row.library), text(&row.built), text(&row.settings)];
        cells.push(row.reopen.map_or_else(none, cells::loads));
        for phase in [|soak: &Soak| soak.latency_ns.open.clone(), |soak: &Soak| soak.latency_ns.close.clone()]
        {
            let median = |soak| {
                let [median, _] = cells::median_and_p99(soak, phase(soak).as_ref());
                median
            };
            cells.push(row.reopen.map_or_else(none, median));
        }
        cells.push(row.reopen.map_or_else(none, |soak| text(&cells::growth(soak, true).0)));
        cells.extend(COPY.iter().map(|(metric, _)| row.copy_text(*metric)));
        cells.extend(CallFrom::ALL.iter().map(|from| call_text(&row, *from)));
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    let host = &run.host;
    let host = [&host.libc, &host.kernel, &host.machine].map(|fact| text(fact)).join(", ");
    let _ = writeln!(
        out,
        "\nA copy is an instance that stays loaded. Its figures are means over all copies, and 0 if none stays. p50 is the \
         median. {host}, {} CPUs; dlsoak {}, {}.",
        run.host.cpus,
        text(&run.tool.version),
        text(&run.started_at)
    );
    out
}

/// The median of a call, in words.
pub(super) fn call_text(row: &Row<'_>, from: CallFrom) -> String {
    row.call(from).map_or_else(|| units::NONE.to_owned(), |ns| units::nanos(ns as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::sample;
    use dlsoak_record::{Instances, Toolchain};

    /// One library called from three kinds of threads, its copies, and the same with a variable set.
    fn run() -> Run {
        let mut run = sample::run(5);
        for (index, soak) in run.soaks.iter_mut().enumerate() {
            soak.path = "x/libgo|1.so".to_owned();
            soak.build_id = None;
            soak.measured.asked.call = Some(vec!["f()".parse().unwrap()]);
            soak.toolchain = Toolchain { go: Some("go1.27.3".to_owned()), ..Toolchain::default() };
            soak.measured.asked.call_from = Some(CallFrom::ALL[index % 3]);
        }
        run.soaks[3].measured.asked.mode = Some(Mode::Copies);
        let cost = [(Metric::Rss, 2e6), (Metric::Threads, 5.25)]
            .map(|(metric, per_instance)| InstanceCost { metric, per_instance })
            .to_vec();
        run.soaks[3].instances = Some(Instances { live: 52, cost, next_load: None });
        run.soaks[4].measured.asked.mode = Some(Mode::Copies);
        run.soaks[4].measured.asked.env = Some(vec!["GOGC=off".parse().unwrap()]);
        run
    }

    #[test]
    fn soaks_of_one_file_and_setting_make_a_row() {
        let run = run();
        let rows = rows(&run);
        let labels: Vec<_> = rows.iter().map(Row::label).collect();
        assert_eq!(labels, ["go1.27.3", "go1.27.3 GOGC=off"]);
        let [all, set] = rows.as_slice() else { panic!("two rows") };
        for (from, soak) in CallFrom::ALL.into_iter().zip(&run.soaks) {
            assert_eq!(all.call(from), soak.latency_ns.call.as_ref().map(|call| call.p50));
            assert_eq!(set.call(from), None);
        }
        assert_eq!((all.copy(Metric::Rss), all.copy(Metric::Fds)), (Some(2e6), None));
        // Copies that are unloaded cost nothing.
        assert_eq!(
            (set.copy_text(Metric::Rss), all.copy_text(Metric::Threads)),
            ("0 B".to_owned(), "5.2".to_owned())
        );
        let table = markdown(&run);
        let lines: Vec<&str> = table.lines().take(4).collect();
        assert!(lines.iter().all(|line| line.matches(" |").count() == 15), "{table}");
        assert!(table.contains("| libgo&#124;1.so | go1.27.3 | GOGC=off | - |"), "{table}");
    }

    #[test]
    fn a_run_without_soaks_has_an_empty_table() {
        let run = sample::run(0);
        assert!(rows(&run).is_empty());
        assert!(markdown(&run).starts_with("| library |"));
        assert!(super::super::chart::costs(&[]).unwrap().contains("</svg>"));
    }

    #[test]
    fn the_chart_has_a_bar_for_what_is_known_and_no_column_for_what_is_not() {
        let mut run = run();
        let svg = super::super::chart::costs(&rows(&run)).unwrap();
        for part in ["go1.27.3 GOGC=off", "copy: threads", "5.2", "call: short-lived"] {
            assert!(svg.contains(part), "{part}");
        }
        run.soaks.truncate(2);
        let svg = super::super::chart::costs(&rows(&run)).unwrap();
        assert!(svg.contains("call: worker") && !svg.contains("copy:") && !svg.contains("short-lived"));
    }
}
