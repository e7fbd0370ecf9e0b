//! One library in the page: its verdict and reasons, key figures, charts, and everything else that its record tells.

use super::super::summary::{self, Mark};
use super::super::words::{self, Text};
use super::super::{Error, built, cells, chart, terminal, units};
use super::Detail;
use super::figures::{Course, Pictures, Table, course};
use super::said::{Line, Said, in_short, said};
use super::traced::{Traced, traced};
use dlsoak_record::{Fault, Rule, Soak, quoted};

/// One library.
#[derive(Default)]
pub(super) struct Section {
    pub(super) anchor: String,
    pub(super) name: String,
    /// `pass`, `fail` or `open`: the class of everything that tells the verdict.
    pub(super) mark: &'static str,
    pub(super) symbol: &'static str,
    pub(super) word: &'static str,
    pub(super) verdict: &'static str,
    pub(super) language: &'static str,
    pub(super) path: String,
    pub(super) open: bool,
    /// The first reason.
    pub(super) why: Said,
    /// The summary of the page leaves it out.
    pub(super) brief: bool,
    /// The others.
    pub(super) further: Vec<Said>,
    pub(super) warnings: Vec<Said>,
    pub(super) loads: String,
    pub(super) growth: String,
    /// The same at a glance, as SVG.
    pub(super) spark: String,
    pub(super) open_p50: String,
    pub(super) open_p99: String,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) course: Course,
    pub(super) rules: Vec<[String; 4]>,
    /// Kind, detail, and the object it is about.
    pub(super) causes: Vec<[String; 3]>,
    pub(super) residue: Vec<Left>,
    pub(super) left: Vec<String>,
    pub(super) patterns: Option<Table>,
    pub(super) traced: Option<Traced>,
    pub(super) fault: Vec<(&'static str, String)>,
    pub(super) stacks: Vec<String>,
    pub(super) output: String,
    pub(super) notes: Vec<Said>,
    pub(super) repeat: Option<String>,
}

impl Section {
    /// What the summary says of it.
    pub(super) fn in_short(&self) -> impl Iterator<Item = &Line> {
        in_short(&self.why).filter(|_| !self.brief)
    }
}

/// Something that the process was left with.
pub(super) struct Left {
    pub(super) kind: &'static str,
    /// The fact, what it means, and what helps.
    pub(super) lines: Said,
}

/// Where a soak of the record is in the page.
pub(super) fn anchor(index: usize) -> String {
    format!("soak-{}", index + 1)
}

/// The word for a mark in a page.
pub(super) fn word(mark: Mark) -> &'static str {
    if mark == Mark::Undecided { "undecided" } else { mark.word() }
}

/// Everything of one soak.
pub(super) fn section(
    soak: &Soak,
    index: usize,
    detail: Detail,
    pictures: Pictures,
) -> Result<Section, Error> {
    let mark = Mark::of(soak);
    let anchor = anchor(index);
    let reasons = if mark == Mark::Pass { summary::texts(soak) } else { summary::reasons(soak) };
    let mut reasons = reasons.iter();
    let why = reasons.next().cloned().unwrap_or_else(|| Text::fact("no reason was recorded"));
    let text = |text: &String| units::printable(text);
    let [open_p50, open_p99] = cells::median_and_p99(soak, soak.latency_ns.open.as_ref());
    Ok(Section {
        name: units::printable(&soak.name),
        mark: mark.class(),
        symbol: mark.sign(),
        word: word(mark),
        verdict: soak.judged.verdict.name(),
        language: summary::language_word(soak.language),
        path: units::printable(&soak.path),
        // What has a picture is worth opening; hundreds of open sections take a browser seconds.
        open: detail.all_open || mark != Mark::Pass && pictures != Pictures::Few,
        why: of_finding(soak, &why),
        brief: false,
        further: reasons.map(|text| of_finding(soak, text)).collect(),
        warnings: summary::warnings(soak).iter().map(said).collect(),
        loads: cells::loads(soak),
        growth: cells::growth(soak, true).0,
        spark: chart::spark(soak),
        open_p50,
        open_p99,
        facts: facts(soak),
        course: course(soak, &anchor, detail, pictures)?,
        rules: soak.judged.gate.rules.iter().map(rule).collect(),
        causes: soak
            .unload
            .causes
            .iter()
            .map(|cause| {
                let detail = words::cause(cause).line();
                [cause.kind().name(), &detail, cause.object.as_deref().unwrap_or_default()]
                    .map(units::printable)
            })
            .collect(),
        residue: soak
            .residue
            .iter()
            .map(|left| Left { kind: left.kind().name(), lines: said(&words::residue(left)) })
            .collect(),
        left: soak.unload.objects_left.iter().map(text).collect(),
        traced: traced(soak, &anchor, detail)?,
        patterns: (!soak.judged.patterns.is_empty()).then(|| patterns(soak)),
        fault: soak.outcome.fault.as_ref().map(fault).unwrap_or_default(),
        stacks: words::stacks(&soak.outcome).iter().map(|stack| lines(&stack.join("\n"))).collect(),
        output: lines(&soak.worker.output_tail),
        notes: summary::measuring(soak).iter().map(said).collect(),
        repeat: (!soak.replay.is_empty()).then(|| units::printable(&soak.replay)),
        anchor,
    })
}

/// A finding, with commands that can be copied as they stand.
fn of_finding(soak: &Soak, text: &Text) -> Said {
    const TRACE: &str = "`dlsoak trace`";
    let Some(help) = text.help.as_ref().filter(|help| help.contains(TRACE)) else { return said(text) };
    let calls = soak.calls();
    let calls = calls.iter().map(|call| format!(" -c {}", quoted(call.as_bytes())));
    let command = format!("`dlsoak trace {}{}`", quoted(soak.path.as_bytes()), calls.collect::<String>());
    let help = help.replace(&format!("{TRACE} on it"), &command).replace(TRACE, &command);
    said(&Text { help: Some(help), ..text.clone() })
}

/// Text of several lines, each without what moves a cursor.
fn lines(text: &str) -> String {
    text.lines().map(units::printable).collect::<Vec<_>>().join("\n")
}

/// What was asked for and what came of it, in pairs.
fn facts(soak: &Soak) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        (
            "Cycles",
            format!("{} of {}", units::count(soak.cycles.completed), units::count(soak.cycles.requested)),
        ),
        ("Loads per cycle", cells::loads(soak)),
        ("Unloaded", summary::unload_word(soak).to_owned()),
    ];
    let (growth, rate) = cells::growth(soak, true);
    facts.push(("Growth per cycle", growth));
    facts.push(("Growth per second", rate));
    for (title, latency) in
        [("Open p50, p99", &soak.latency_ns.open), ("Close p50, p99", &soak.latency_ns.close)]
    {
        if let Some(latency) = latency {
            let [p50, p99] = [latency.p50, latency.p99].map(|ns| units::nanos(ns as f64));
            facts.push((title, format!("{p50}, {p99}")));
        }
    }
    facts.push(("Active time", units::nanos(soak.seconds * 1e9)));
    let threads =
        if soak.threads() == 1 { "1 thread".to_owned() } else { format!("{} threads", soak.threads()) };
    let share = if soak.share_path { ", one path" } else { "" };
    facts.push(("Mode", format!("{}, {threads}{share}, from {}", soak.mode(), soak.call_from())));
    if !soak.calls().is_empty() {
        facts.push(("Calls", units::printable(&soak.calls().join(", "))));
    }
    if !soak.together.is_empty() {
        facts.push(("Together", terminal::together(soak)));
    }
    if let Some(instances) = &soak.instances {
        facts.push(("Instances", units::printable(&terminal::instances(soak.mode(), instances))));
    }
    if !soak.toolchain.is_empty() {
        facts.push(("Built with", built::told(&soak.toolchain)));
    }
    if let Some(id) = &soak.build_id {
        facts.push(("Build id", units::printable(id)));
    }
    for (name, value) in &soak.env {
        facts.push(("Environment", units::printable(&format!("{name}={value}"))));
    }
    facts
}

/// A rule of the gate: its name, limit, what was measured with the detail, and the answer.
fn rule(rule: &Rule) -> [String; 4] {
    let answer = match rule.passed {
        Some(true) => "✓ met",
        Some(false) => "✕ not met",
        None => "? undecided",
    };
    [
        rule.name.name().to_owned(),
        units::printable(&words::rule_limit(rule)),
        units::printable(&words::rule_measured(rule)),
        answer.to_owned(),
    ]
}

/// The short soaks of each calling pattern.
fn patterns(soak: &Soak) -> Table {
    let row = |pattern: &dlsoak_record::Pattern| {
        vec![
            pattern.call_from.name().to_owned(),
            pattern.verdict.name().to_owned(),
            units::count(pattern.cycles),
            units::number(pattern.loads_per_cycle),
            pattern.heap_per_cycle.map_or_else(|| units::NONE.to_owned(), units::bytes),
            pattern.cycle_p50_ns.map_or_else(|| units::NONE.to_owned(), |ns| units::nanos(ns as f64)),
        ]
    };
    Table {
        caption: "By the thread that calls".to_owned(),
        head: ["called from", "verdict", "cycles", "loads/cycle", "heap/cycle", "cycle p50"]
            .map(str::to_owned)
            .to_vec(),
        rows: soak.judged.patterns.iter().map(row).collect(),
    }
}

/// Where a crash happened: each part that is known.
fn fault(fault: &Fault) -> Vec<(&'static str, String)> {
    let address = fault.address.as_deref().unwrap_or("unknown");
    let mut parts =
        vec![("access", words::access_word(fault.access).to_owned()), ("address", units::printable(address))];
    let place = fault.place.as_ref().map(words::at_address);
    parts.extend(place.map(|place| ("what is there", units::printable(&place))));
    parts.push(("instruction", units::printable(&fault.instruction)));
    parts
}
