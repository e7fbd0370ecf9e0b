//! `junit.xml`: a test case for each soak, for whatever collects test results. A soak that did not pass is a failure,
//! an undecided one an error: a reader that knows only red and green must not take it for green.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use dlsoak_record::{Run, Soak, Watch};

use super::summary::{self, Mark};
use super::watch::{self, Row};
use super::words::{self, Text};
use super::{Error, cells, units};

/// Renders the file.
///
/// # Errors
///
/// When the XML writer refuses, which text without control characters gives it no cause for.
pub(super) fn render(run: &Run) -> Result<Vec<u8>, Error> {
    let mut suite = TestSuite::new("dlsoak");
    for (name, value) in [
        ("version", &run.tool.version),
        ("kernel", &run.host.kernel),
        ("libc", &run.host.libc),
        ("machine", &run.host.machine),
    ] {
        suite.add_property((name, value.as_str()));
    }
    let watched = run.watch.iter().map(|watch| watch.seconds);
    suite.set_time(seconds(run.soaks.iter().map(|soak| soak.seconds).chain(watched).sum()));
    suite.add_test_cases(run.soaks.iter().map(case));
    suite.add_test_cases(run.watch.iter().flat_map(cases));
    let mut report = Report::new("dlsoak");
    report.add_test_suite(suite);
    let mut text = report.to_string().map_err(|error| Error::Export(error.to_string()))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text.into_bytes())
}

/// One soak.
fn case(soak: &Soak) -> TestCase {
    let mark = Mark::of(soak);
    let mut status = status(mark);
    if mark != Mark::Pass {
        let reasons = summary::reasons(soak);
        let verdict = soak.judged.verdict.name();
        let first = reasons.first().map_or("no reason was recorded", |reason| reason.fact.as_str());
        status.set_type(verdict).set_message(format!("{verdict}: {}", units::printable(first)));
        let mut text = reasons.iter().flat_map(Text::lines).collect::<Vec<_>>().join("\n");
        for stack in words::stacks(&soak.outcome) {
            text.push_str("\n\n");
            text.push_str(&stack.join("\n"));
        }
        status.set_description(text);
    }
    let mut case = TestCase::new(units::printable(&soak.name), status);
    case.set_classname(format!("dlsoak.{}", soak.language)).set_time(seconds(soak.seconds));
    let (growth, rate) = cells::growth(soak, true);
    let property = |name: &str, value: String| (name.to_owned(), value);
    case.add_properties([
        property("verdict", soak.judged.verdict.name().to_owned()),
        property("cycles", soak.cycles.completed.to_string()),
        property("unload", summary::unload_word(soak).to_owned()),
        property("loads_per_cycle", cells::loads(soak)),
        property("growth_per_cycle", growth),
        property("growth_per_second", rate),
    ]);
    let latency =
        [("open", &soak.latency_ns.open), ("call", &soak.latency_ns.call), ("close", &soak.latency_ns.close)];
    for (phase, latency) in latency {
        if let Some(latency) = latency {
            case.add_property((format!("{phase}_p50_ns"), latency.p50.to_string()));
            case.add_property((format!("{phase}_p99_ns"), latency.p99.to_string()));
        }
    }
    if !soak.worker.output_tail.is_empty() {
        case.set_system_out(soak.worker.output_tail.as_str());
    }
    case
}

fn status(mark: Mark) -> TestCaseStatus {
    match mark {
        Mark::Pass => TestCaseStatus::success(),
        Mark::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Mark::Undecided => TestCaseStatus::non_success(NonSuccessKind::Error),
    }
}

/// A watch: a case for each library, and one for the host, which is an error where something was not seen.
fn cases(watch: &Watch) -> impl Iterator<Item = TestCase> {
    let case = |row: Row<'_>| {
        let mut status = status(row.mark);
        if row.mark != Mark::Pass {
            let first = row.reasons.first().map_or("no reason was recorded", String::as_str);
            status.set_type(row.verdict).set_message(format!("{}: {first}", row.verdict));
            status.set_description([row.reasons, row.places].concat().join("\n"));
        }
        let mut case = TestCase::new(row.name, status);
        case.set_classname("dlsoak.watch");
        case.add_property(("verdict", row.verdict));
        if let Some(library) = row.library {
            case.add_properties(watch::counts(library).map(|(name, count)| (name.to_owned(), count)));
            case.add_property(("growth_per_load", watch::rate(library).as_str()));
        } else {
            case.set_time(seconds(watch.seconds));
        }
        case
    };
    watch::rows(watch).into_iter().map(case)
}

/// A time that a record may have as anything.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use resvg::usvg::roxmltree::Document;

    use super::*;
    use dlsoak_record::sample;

    #[test]
    fn each_soak_is_a_case_with_its_reasons() {
        let mut run = sample::run(8);
        run.soaks.push(sample::load_failed());
        run.soaks[1].judged.findings = sample::stays("a < b & \"c\" \u{1b}[31m ]]>".to_owned());
        run.soaks[1].seconds = f64::NAN;
        let text = String::from_utf8(render(&run).unwrap()).unwrap();
        let document = Document::parse(&text).unwrap();
        let count = |name: &str| document.descendants().filter(|node| node.has_tag_name(name)).count();
        assert_eq!((count("testcase"), count("failure"), count("error")), (9, 5, 1));
        let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
        assert_eq!((suite.attribute("tests"), suite.attribute("failures")), (Some("9"), Some("5")));
        let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
        assert_eq!(failure.attribute("type"), Some("leak"));
        assert!(failure.text().unwrap().contains("a < b & \"c\""), "{failure:?}");
    }

    #[test]
    fn each_watched_library_is_a_case_and_so_is_the_host() {
        let mut run = sample::watched();
        let text = |run: &Run| String::from_utf8(render(run).unwrap()).unwrap();
        let watched = text(&run);
        let document = Document::parse(&watched).unwrap();
        let case =
            |name: &str| document.descendants().find(|node| node.attribute("name") == Some(name)).unwrap();
        let inner = |name: &str, kind: &str| case(name).descendants().any(|node| node.has_tag_name(kind));
        assert!(inner("leaking.so", "failure") && inner("rare.so", "error"));
        assert!(!inner("clean.so", "failure") && !inner("clean.so", "error") && !inner("host", "error"));
        let failure = case("leaking.so").descendants().find(|node| node.has_tag_name("failure")).unwrap();
        assert_eq!(failure.attribute("message"), Some("leak: heap grows by exactly 1,008 B per load"));
        assert!(failure.text().unwrap().contains("keep (leak.c:9)"), "{failure:?}");
        // What was lost is in no library's case.
        run.watch.as_mut().unwrap().lost = 1;
        assert_eq!(text(&run).matches("<error").count(), watched.matches("<error").count() + 1);
        // Nor is what a program loads that does not report it.
        let watch = run.watch.as_mut().unwrap();
        (watch.lost, watch.unseen) = (0, true);
        assert_eq!(text(&run).matches("<error").count(), watched.matches("<error").count() + 1);
    }
}
