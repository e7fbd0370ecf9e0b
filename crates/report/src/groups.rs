//! What several libraries have in common. Soaks that did not pass for the same reason are one group, with the names of all and each
//! finding once. The terminal, the page and Markdown write the same groups.

use dlsoak_record::{Code, Facts, Finding, OutcomeKind, Rule, Soak, Verdict};

use super::summary::{self, Mark};
use super::units;
use super::words::{self, Text};

/// Names that stand where not all do.
const NAMES: usize = 5;

/// How much of a group is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fold {
    /// All names, and of findings that differ all facts.
    pub(super) all: bool,
    /// Columns of a name.
    pub(super) longest: usize,
}

impl Fold {
    /// How many of `count` are written.
    fn of(self, count: usize) -> usize {
        if self.all || count <= NAMES + 1 { count } else { NAMES }
    }

    fn name(self, soak: &Soak) -> String {
        units::elide(&units::printable(&soak.name), self.longest)
    }

    /// `a, b, c and 97 more`, or all of them.
    pub(super) fn names(self, soaks: &[&Soak]) -> String {
        let shown = self.of(soaks.len());
        let mut names: Vec<String> = soaks[..shown].iter().map(|soak| self.name(soak)).collect();
        if shown < soaks.len() {
            names.push(more(soaks.len() - shown));
        }
        words::listed(&names)
    }
}

/// `no growth (497 libraries): c-clean, rust-clean and 495 more`.
#[cfg(feature = "files")]
pub(super) fn named(what: &str, soaks: &[&Soak]) -> String {
    /// Columns of a name.
    const LONGEST: usize = 32;
    let names = Fold { all: false, longest: LONGEST }.names(soaks);
    format!("{what} ({}): {names}", libraries(soaks.len()))
}

fn more(count: usize) -> String {
    format!("{} more", units::count(count as u64))
}

/// Soaks with the same verdict for the same first reason.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// In the order of the run.
    pub(super) soaks: Vec<&'a Soak>,
    /// The object that is at fault for what they leak, where the record has it.
    object: Option<&'a str>,
    /// Their reasons, most important first.
    pub(super) said: Vec<Said<'a>>,
}

/// A finding of one soak or of several.
#[derive(Debug)]
pub(super) struct Said<'a> {
    key: Key<'a>,
    /// The soaks that have it.
    pub(super) soaks: Vec<&'a Soak>,
    /// What was measured, each with the soaks of which it is true: one for all of them, unless they differ.
    pub(super) facts: Vec<(Vec<&'a Soak>, String)>,
    /// What is true of all of them where the facts differ.
    common: Option<String>,
    consequence: Option<String>,
    /// What helps all of them.
    pub(super) help: Option<String>,
    /// The cycles that help speaks of, where they are no part of the key.
    cycles: u64,
}

/// Findings with the same key are one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key<'a> {
    /// The code of a finding, or the name of a rule.
    name: &'static str,
    object: Option<&'a str>,
    help: Option<String>,
    /// The fact, of what is the same only if the facts are.
    fact: Option<String>,
}

/// A finding of one soak.
struct Item<'a> {
    key: Key<'a>,
    text: Text,
    common: Option<String>,
    /// More cycles than help one soak help it as well.
    cycles: u64,
}

impl<'a> Item<'a> {
    fn of(soak: &'a Soak, finding: &'a Finding) -> Self {
        let text = summary::text(soak, finding);
        let common = match &finding.facts {
            Facts::Unsettled(open) => Some(format!("{} is undecided", words::metric(open.growth.metric))),
            Facts::KeptOnce(_) => Some("the first loads have a one-time cost".to_owned()),
            _ => None,
        };
        let fact = matches!(finding.facts, Facts::Ended(_)) && came_to_an_end(soak);
        let fact = fact.then(|| text.fact.clone());
        let (help, cycles) = match &finding.facts {
            Facts::Unsettled(open) => (None, open.cycles_needed.unwrap_or(0)),
            _ => (text.help.clone(), 0),
        };
        let object = finding.object.as_deref();
        Self { key: Key { name: finding.code.name(), object, help, fact }, text, common, cycles }
    }

    fn of_rule(rule: &Rule) -> Self {
        let key = Key { name: rule.name.name(), object: None, help: None, fact: None };
        Self {
            key,
            text: Text::fact(summary::rule(rule)),
            common: Some(summary::rule_in_short(rule)),
            cycles: 0,
        }
    }

    fn plain(fact: String) -> Self {
        let key = Key { name: "", object: None, help: None, fact: Some(fact.clone()) };
        Self { key, text: Text::fact(fact), common: None, cycles: 0 }
    }

    /// Without what it means and what helps.
    fn quiet(mut self) -> Self {
        self.key.help = None;
        Self { text: Text::fact(self.text.fact), ..self }
    }
}

impl Said<'_> {
    /// The fact that all share: what each has, or else what is true of all.
    pub(super) fn fact(&self) -> Option<&str> {
        match self.facts.as_slice() {
            [(_, one)] => Some(one),
            _ => self.common.as_deref(),
        }
    }

    /// Its lines after the facts.
    pub(super) fn rest(&self) -> impl Iterator<Item = String> {
        let help = self.help.as_ref().map(|help| format!("help: {help}"));
        self.consequence.clone().into_iter().chain(help)
    }
}

impl<'a> Said<'a> {
    fn new(soak: &'a Soak, Item { key, text, common, cycles }: Item<'a>) -> Self {
        let Text { fact, consequence, help } = text;
        let facts = vec![(vec![soak], fact)];
        Self { key, soaks: vec![soak], facts, common, consequence, help, cycles }
    }

    fn add(&mut self, soak: &'a Soak, Item { text, common, cycles, .. }: Item<'a>) {
        if cycles > self.cycles {
            self.cycles = cycles;
            self.help = text.help;
        }
        self.soaks.push(soak);
        match self.facts.iter_mut().find(|(_, fact)| *fact == text.fact) {
            Some((soaks, _)) => soaks.push(soak),
            None => self.facts.push((vec![soak], text.fact)),
        }
        self.common = self.common.take().filter(|known| Some(known) == common.as_ref());
        self.consequence = self.consequence.take().filter(|known| Some(known) == text.consequence.as_ref());
    }
}

/// Adds each finding of a soak to the one that is like it, or after all others. Two findings of one soak stay two.
fn merge<'a>(said: &mut Vec<Said<'a>>, soak: &'a Soak, items: impl IntoIterator<Item = Item<'a>>) {
    for item in items {
        let alike = |known: &Said<'_>| {
            known.key == item.key && known.soaks.last().is_none_or(|last| !std::ptr::eq(*last, soak))
        };
        let same =
            |known: &Said<'_>| alike(known) && known.facts.iter().any(|(_, fact)| *fact == item.text.fact);
        match said.iter().position(same).or_else(|| said.iter().position(alike)) {
            Some(at) => said[at].add(soak, item),
            None => said.push(Said::new(soak, item)),
        }
    }
}

/// The soaks that did not pass, each in one group; in the order of the first of each. `rules`: with the rules of the gate.
pub(super) fn failed<'a>(soaks: impl IntoIterator<Item = &'a Soak>, rules: bool) -> Vec<Group<'a>> {
    let soaks = soaks.into_iter().filter(|soak| Mark::of(soak) != Mark::Pass);
    grouped(soaks, |soak| {
        let rules = soak.judged.gate.rules.iter().filter(|rule| rules && summary::is_not_met(soak, rule));
        let reasons = summary::reasoning(soak).map(|finding| Item::of(soak, finding));
        reasons.chain(rules.map(Item::of_rule)).collect()
    })
}

/// The soaks that passed, with their findings; what is a remark has its own place.
pub(super) fn passed<'a>(soaks: impl IntoIterator<Item = &'a Soak>) -> Vec<Group<'a>> {
    let soaks = soaks.into_iter().filter(|soak| Mark::of(soak) == Mark::Pass);
    grouped(soaks, |soak| {
        let remarks: Vec<&Finding> = summary::warning(soak).chain(summary::noted(soak, true)).collect();
        let other = |finding: &&Finding| !remarks.iter().any(|remark| std::ptr::eq(*remark, *finding));
        soak.judged.findings.iter().filter(other).map(|finding| Item::of(soak, finding)).collect()
    })
}

fn grouped<'a>(
    soaks: impl Iterator<Item = &'a Soak>,
    items: impl Fn(&'a Soak) -> Vec<Item<'a>>,
) -> Vec<Group<'a>> {
    type First<'a> = (Verdict, Option<&'a str>, Option<Key<'a>>);
    let mut groups: Vec<(First<'_>, Group<'_>)> = Vec::new();
    for soak in soaks {
        let items = items(soak);
        let object = soak.judged.leak.as_ref().and_then(|leak| leak.object.as_deref());
        let first = match object {
            Some(_) => None,
            None => items.first().map(|item| item.key.clone()),
        };
        let key = (soak.judged.verdict, object, first);
        let at = groups.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            groups.push((key, Group { soaks: Vec::new(), object, said: Vec::new() }));
            groups.len() - 1
        });
        let group = &mut groups[at].1;
        group.soaks.push(soak);
        merge(&mut group.said, soak, items);
    }
    let mut groups: Vec<Group<'_>> = groups.into_iter().map(|(_, group)| group).collect();
    groups.iter_mut().for_each(Group::put_fault_first);
    groups
}

impl Group<'_> {
    /// What the object leaks is what all of them leak, so it stands first and once.
    fn put_fault_first(&mut self) {
        let at = self.said.iter().position(|said| said.key.name == Code::DependencyAtFault.name());
        if let (Some(at), Some(_), 2..) = (at, self.object, self.soaks.len()) {
            let fault = self.said.remove(at);
            self.said.retain(|said| !said.key.name.starts_with("leak-"));
            self.said.insert(0, fault);
        }
    }

    /// What it is about: the library, or how many there are and who is at fault.
    pub(super) fn title(&self) -> String {
        match (self.soaks.as_slice(), self.object) {
            ([one], _) => units::printable(&one.name),
            (several, None) => libraries(several.len()),
            (several, Some(object)) => {
                format!("{}, by way of {}", units::printable(object), libraries(several.len()))
            }
        }
    }

    pub(super) fn mark(&self) -> Mark {
        self.soaks.first().map_or(Mark::Pass, |soak| Mark::of(soak))
    }

    pub(super) fn verdict(&self) -> &'static str {
        self.soaks.first().map_or("", |soak| soak.judged.verdict.name())
    }

    /// Whether the process of each came to the same bad end.
    pub(super) fn ended(&self) -> bool {
        self.soaks.iter().all(|soak| came_to_an_end(soak))
    }

    /// The first fact that all of them share, or one of it where each has figures of its own.
    #[cfg(feature = "files")]
    pub(super) fn first_fact(&self) -> String {
        let Some(said) = self.said.first() else { return String::new() };
        let example = || said.facts.first().map(|(_, fact)| format!("for example: {fact}"));
        said.fact().map(str::to_owned).or_else(example).unwrap_or_default()
    }

    /// Each finding in lines, names folded or not. The first line of each is the fact.
    pub(super) fn findings(&self, fold: Fold) -> Vec<Vec<String>> {
        self.said.iter().map(|said| self.lines(said, fold)).collect()
    }

    fn lines(&self, said: &Said<'_>, fold: Fold) -> Vec<String> {
        let of = if said.soaks.len() == self.soaks.len() {
            String::new()
        } else {
            format!("{} of them ({}): ", units::count(said.soaks.len() as u64), fold.names(&said.soaks))
        };
        let mut lines = match said.fact().filter(|_| !fold.all || said.facts.len() == 1) {
            Some(fact) => vec![format!("{of}{fact}")],
            None => {
                let (shown, left) = said.facts.split_at(fold.of(said.facts.len()));
                let each = shown.iter().map(|(soaks, fact)| format!("{}: {fact}", fold.names(soaks)));
                let left: usize = left.iter().map(|(soaks, _)| soaks.len()).sum();
                each.chain((left > 0).then(|| format!("and {}", more(left)))).collect()
            }
        };
        lines.extend(said.rest());
        lines
    }
}

/// A warning or a note on soaks, whether they passed or not.
pub(super) struct Remark<'a> {
    /// `warning` or `note`.
    pub(super) label: &'static str,
    said: Said<'a>,
}

impl Remark<'_> {
    /// In one line.
    pub(super) fn line(&self, fold: Fold) -> String {
        let said = &self.said;
        let who = match said.soaks.as_slice() {
            [one] => fold.name(one),
            several => format!("{} ({})", libraries(several.len()), fold.names(several)),
        };
        let fact = match said.facts.as_slice() {
            [(_, one)] => one.clone(),
            [(_, first), ..] => format!("for example, {first}"),
            [] => String::new(),
        };
        let lines: Vec<String> = std::iter::once(fact).chain(said.rest()).collect();
        format!("{who}: {}", lines.join("; "))
    }
}

/// The warnings and notes of a run. Facts about passes of several libraries stand without what they mean and what helps, because nobody
/// has to act on them; `verbose` has all.
pub(super) fn remarks(soaks: &[Soak], verbose: bool) -> Vec<Remark<'_>> {
    let (mut warnings, mut notes) = (Vec::new(), Vec::new());
    for soak in soaks {
        let passed = soaks.len() > 1 && !verbose && Mark::of(soak) == Mark::Pass;
        let is_fact = |finding: &Finding| {
            matches!(
                finding.facts,
                Facts::Stays(_) | Facts::Left(_) | Facts::DependenciesStay { .. } | Facts::MallocHoldsFree(_)
            )
        };
        let item = |finding| {
            let item = Item::of(soak, finding);
            if passed && is_fact(finding) { item.quiet() } else { item }
        };
        let plain = summary::unmeasured(soak).map(Item::plain);
        merge(&mut warnings, soak, summary::warning(soak).map(item).chain(plain));
        merge(&mut notes, soak, summary::noted(soak, verbose).map(item));
    }
    let labelled = |label| move |said| Remark { label, said };
    warnings.into_iter().map(labelled("warning")).chain(notes.into_iter().map(labelled("note"))).collect()
}

/// Whether the process of a soak ended in a way that has a place and stacks.
fn came_to_an_end(soak: &Soak) -> bool {
    use OutcomeKind::{CallFailed, Crashed, Exited, Hung, Limit};
    matches!(soak.outcome.kind, Crashed | Hung | Exited | Limit | CallFailed)
}

/// `3 libraries`.
fn libraries(count: usize) -> String {
    format!("{} {}", units::count(count as u64), if count == 1 { "library" } else { "libraries" })
}

#[cfg(test)]
mod tests {
    use dlsoak_record::{Cause, CauseFacts, Dependency, Language, Leak, Metric, Problem, Severity, sample};

    use super::*;

    const SHORT: Fold = Fold { all: false, longest: 60 };
    const ALL: Fold = Fold { all: true, longest: 60 };

    /// Copies of a soak under the names `n0`, `n1` and so on.
    fn copies(soak: &Soak, count: usize) -> Vec<Soak> {
        let copy = |index| {
            let mut copy = soak.clone();
            copy.name = format!("n{index}");
            copy
        };
        (0..count).map(copy).collect()
    }

    fn unique(symbol: &str) -> Finding {
        let evidence = CauseFacts::Unique { symbol: Some(symbol.to_owned()), count: 1 };
        Finding::new(Severity::Fail, Facts::Stays(Cause::of_library(evidence)))
    }

    #[test]
    fn an_equal_finding_stands_once_for_all_of_them() {
        let soaks = copies(&sample::run(7).soaks[6], 102);
        let groups = failed(&soaks, true);
        assert_eq!((groups.len(), groups[0].title().as_str()), (1, "102 libraries"));
        assert_eq!(SHORT.names(&groups[0].soaks), "n0, n1, n2, n3, n4 and 97 more");
        assert_eq!(ALL.names(&groups[0].soaks).matches('n').count(), 102 + "and".matches('n').count());
        let said = groups[0].findings(SHORT);
        assert_eq!((said.len(), said[0].len()), (1, 3), "{said:?}");
        assert_eq!(said[0][0], "the library is linked with -z nodelete (DF_1_NODELETE in DT_FLAGS_1)");
        // One more that is not worth a fold.
        assert_eq!(SHORT.names(&groups[0].soaks[..6]), "n0, n1, n2, n3, n4 and n5");
    }

    #[test]
    fn other_reasons_and_other_verdicts_are_other_groups() {
        let mut run = sample::run(8);
        run.soaks.push(sample::load_failed());
        let titles: Vec<String> = failed(&run.soaks, true).iter().map(Group::title).collect();
        let names: Vec<&str> =
            run.soaks.iter().filter(|soak| Mark::of(soak) != Mark::Pass).map(|soak| &*soak.name).collect();
        assert_eq!(titles, names);
    }

    #[test]
    fn what_differs_is_written_by_library_and_folded() {
        let mut soaks = copies(&sample::run(4).soaks[3], 9);
        for (index, soak) in soaks.iter_mut().enumerate().skip(2) {
            soak.judged.findings = vec![unique(&format!("s{index}"))];
        }
        let groups = failed(&soaks, true);
        assert_eq!(groups.len(), 1);
        let [said] = &groups[0].findings(SHORT)[..] else { panic!("{groups:?}") };
        assert_eq!(said.len(), 5 + 1 + 2, "{said:?}");
        assert!(said[0].starts_with("n0 and n1: the loader resolved"), "{said:?}");
        assert_eq!(said[5], "and 3 more");
        assert!(said[7].starts_with("help: compile with -fno-gnu-unique"), "{said:?}");
        assert_eq!(groups[0].findings(ALL)[0].len(), 8 + 2);
    }

    #[test]
    fn what_more_cycles_decide_is_one_with_the_cycles_that_decide_all() {
        let run = sample::run(8);
        let is_open = |finding: &Finding| matches!(finding.facts, Facts::Unsettled(_));
        let open = run.soaks.iter().find(|soak| soak.judged.findings.iter().any(is_open)).unwrap();
        let mut soaks = copies(open, 3);
        for (soak, cycles) in soaks.iter_mut().zip([Some(770), Some(11_000), None]) {
            soak.judged.findings.retain(is_open);
            for finding in &mut soak.judged.findings {
                if let Facts::Unsettled(open) = &mut finding.facts {
                    (open.cycles_needed, open.growth.high) = (cycles, 30.0 + cycles.unwrap_or(0) as f64);
                }
            }
        }
        let groups = failed(&soaks, false);
        assert_eq!((groups.len(), groups[0].said.len()), (1, soaks[0].judged.findings.len()));
        let said = groups[0].findings(SHORT);
        assert!(said[0].iter().any(|line| line.starts_with("help: run about 11,000 cycles")), "{said:?}");
    }

    #[test]
    fn two_findings_of_one_library_stay_two() {
        let mut soaks = copies(&sample::run(4).soaks[3], 2);
        for soak in &mut soaks {
            soak.judged.findings = vec![unique("a"), unique("b")];
        }
        soaks[1].judged.findings.push(unique("c"));
        let groups = failed(&soaks, true);
        let first: Vec<String> =
            groups[0].findings(SHORT).into_iter().map(|lines| lines.into_iter().next().unwrap()).collect();
        let of =
            |symbol: &str| format!("the loader resolved the STB_GNU_UNIQUE symbol `{symbol}` of the library");
        assert_eq!(first, [of("a"), of("b"), format!("1 of them (n1): {}", of("c"))]);
    }

    #[test]
    fn leaks_are_grouped_by_the_object_at_fault() {
        let mut soaks = copies(&sample::run(2).soaks[1], 25);
        let object = "libpixman-1.so.0".to_owned();
        for (index, soak) in soaks.iter_mut().enumerate().take(23) {
            let bytes = 12_480.0;
            let problem = Problem::Grows { metric: Metric::Heap };
            let objects = vec![object.clone()];
            let fault = Dependency { problem, objects, per_cycle: Some(bytes), alone: None, cycles: 1_000 };
            let finding = Finding::new(Severity::Note, Facts::DependencyAtFault(fault));
            soak.judged.findings.push(Finding { object: Some(object.clone()), ..finding });
            // What the plugin itself leaks beside it is in its own section.
            let bytes_per_cycle = bytes + index as f64;
            let leak = soak.judged.leak.clone().unwrap();
            soak.judged.leak = Some(Leak { object: Some(object.clone()), bytes_per_cycle, ..leak });
        }
        let groups = failed(&soaks, true);
        let titles: Vec<String> = groups.iter().map(Group::title).collect();
        assert_eq!(titles, ["libpixman-1.so.0, by way of 23 libraries", "2 libraries"]);
        let said = groups[0].findings(SHORT);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0][0], "libpixman-1.so.0 leaks 12,480 B each time it is loaded anew");
        // Alone, a library has all that is known.
        assert_eq!(failed(&soaks[..1], true)[0].findings(SHORT).len(), 2);
        assert_eq!(failed(&soaks[..1], true)[0].title(), "n0");
    }

    #[test]
    fn libraries_that_do_not_load_share_what_helps() {
        let soaks = copies(&sample::load_failed(), 3);
        let groups = failed(&soaks, true);
        assert_eq!((groups.len(), groups[0].ended()), (1, false));
        let mut ended = soaks;
        for soak in &mut ended {
            soak.outcome.kind = OutcomeKind::Crashed;
        }
        assert!(failed(&ended, true)[0].ended());
    }

    #[test]
    fn passes_share_one_quiet_line() {
        let mut passing = sample::run(4).soaks.remove(3);
        passing.judged.gate.passed = Some(true);
        for finding in &mut passing.judged.findings {
            finding.severity = Severity::Note;
        }
        let soaks = copies(&passing, 96);
        let lines = |soaks: &[Soak], verbose| -> Vec<String> {
            let fold = if verbose { ALL } else { SHORT };
            remarks(soaks, verbose).iter().map(|remark| remark.line(fold)).collect()
        };
        let few = lines(&soaks, false);
        assert_eq!(few.len(), 2, "{few:?}");
        let who = "96 libraries (n0, n1, n2, n3, n4 and 91 more): ";
        assert!(few.iter().all(|line| line.starts_with(who) && !line.contains("help: ")), "{few:?}");
        assert!(lines(&soaks, true)[0].contains("n95: ") || lines(&soaks, true)[0].contains("n95)"));
        assert!(lines(&soaks, true)[0].contains("help: "));
        // One alone has what helps.
        assert!(lines(&soaks[..1], false)[0].contains("help: "));
        let mut other = soaks;
        other[7].judged.findings = vec![Finding { severity: Severity::Note, ..unique("another") }];
        let few = lines(&other, false);
        assert_eq!(few.len(), 2);
        assert!(few[0].starts_with(&format!("{who}for example, the loader resolved")), "{few:?}");
    }

    #[test]
    fn a_nodelete_of_go_and_one_of_c_help_in_other_ways() {
        let of = |language| {
            let facts = Facts::Stays(Cause::of_library(CauseFacts::Nodelete { language }));
            Finding::new(Severity::Fail, facts)
        };
        let mut soaks = copies(&sample::run(7).soaks[6], 4);
        for (soak, language) in soaks.iter_mut().zip([Language::Go, Language::C, Language::Go, Language::C]) {
            soak.judged.findings = vec![of(language)];
        }
        assert_eq!(failed(&soaks, true).len(), 2);
    }
}
