//! `report.html`: one file that holds everything, with no script and nothing to fetch, so that it works from a mail
//! attachment. First what failed and why; then each library with its charts, and a table behind each chart.

mod figures;
mod filter;
mod said;
mod section;
mod style;
mod traced;
mod watched;

use askama::Template;

use super::groups::{self, Fold};
use super::summary::{self, Mark};
use super::{Error, units};
use dlsoak_record::{Facts, Run, Soak};

use figures::Pictures;
use filter::Chip;
use said::Said;
use section::Section;
use watched::Watched;

/// How much of each series a page of so many soaks holds: the page stays of a size that a phone opens.
#[derive(Debug, Clone, Copy)]
struct Detail {
    /// Points of a line.
    points: usize,
    /// Rows of a table.
    rows: usize,
    /// Whether passing libraries are open from the start.
    all_open: bool,
}

impl Detail {
    fn of(soaks: usize) -> Self {
        let share = |all: usize, least: usize, most: usize| (all / soaks.max(1)).clamp(least, most);
        Detail { points: share(1_000, 24, 100), rows: share(1_600, 12, 200), all_open: soaks <= 12 }
    }
}

/// Soaks with pictures where not all have some: more make a page that takes long to open.
const PICTURED: usize = 24;

/// Renders the page.
///
/// # Errors
///
/// When a chart can't be drawn, which no record should cause.
pub(super) fn render(run: &Run) -> Result<String, Error> {
    let libraries = run.watch.as_ref().map_or(0, |watch| watch.libraries.len());
    let detail = Detail::of(run.soaks.len() + libraries);
    let mut order: Vec<(usize, &Soak)> = run.soaks.iter().enumerate().collect();
    // Of those that failed, what leaks has the first right to a picture.
    order.sort_by_key(|(_, soak)| (Mark::of(soak), soak.judged.leak.is_none()));
    let groups = shared(&order);
    let sections = order.into_iter().enumerate().map(|(place, (index, soak))| {
        let pictures = match () {
            () if detail.all_open => Pictures::All,
            () if place < PICTURED => Pictures::Growth,
            () => Pictures::Few,
        };
        section::section(soak, index, detail, pictures)
    });
    let mut sections = sections.collect::<Result<Vec<_>, _>>()?;
    // Of many, the summary has what needs a look, and what several share is in their group.
    for section in sections.iter_mut().filter(|_| run.soaks.len() > 1) {
        let grouped = |group: &Shared| group.libraries.iter().any(|(anchor, _)| *anchor == section.anchor);
        section.brief = section.mark == Mark::Pass.class() || groups.iter().any(grouped);
    }
    let watch = run.watch.as_ref().map(|watch| watched::watched(watch, detail)).transpose()?;
    let filter = filter::chips(run);
    let page = Page {
        title: summary::closing(run),
        started_at: when(&run.started_at),
        version: units::printable(&run.tool.version),
        schema: units::printable(&run.schema),
        host: host(run),
        compared: compared(run),
        style: style::css() + &filter::css(&filter),
        filter,
        groups,
        sections,
        watch,
    };
    page.render().map_err(|error| Error::Page(error.to_string()))
}

/// What the template is filled with. All text but the style and the charts is escaped by the template.
#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    title: String,
    filter: Vec<Chip>,
    started_at: String,
    version: String,
    schema: String,
    host: Vec<(&'static str, String)>,
    /// The baseline, where there is one.
    compared: Option<String>,
    style: String,
    groups: Vec<Shared>,
    sections: Vec<Section>,
    watch: Option<Watched>,
}

impl Page {
    /// What has a section of its own: soaks, and libraries of a watched host.
    fn all(&self) -> impl Iterator<Item = &Section> {
        let watched = self.watch.iter().flat_map(|watch| watch.libraries.iter().map(|(section, _)| section));
        self.sections.iter().chain(watched)
    }
}

/// A group of several libraries.
struct Shared {
    title: String,
    mark: &'static str,
    symbol: &'static str,
    word: &'static str,
    verdict: &'static str,
    /// The first fact.
    why: String,
    findings: Vec<Said>,
    /// Where each is in the page, and its name.
    libraries: Vec<(String, String)>,
}

/// The groups of more than one library, in the order of the page.
fn shared(order: &[(usize, &Soak)]) -> Vec<Shared> {
    let fold = Fold { all: false, longest: usize::MAX };
    let groups = groups::failed(order.iter().map(|(_, soak)| *soak), false);
    let several = groups.iter().filter(|group| group.soaks.len() > 1);
    several
        .map(|group| {
            let findings = group.findings(fold);
            let link = |soak: &&Soak| {
                let at = order.iter().find(|(_, of)| std::ptr::eq(*of, *soak));
                let anchor = at.map_or_else(String::new, |(index, _)| section::anchor(*index));
                (anchor, units::printable(&soak.name))
            };
            Shared {
                title: group.title(),
                mark: group.mark().class(),
                symbol: group.mark().sign(),
                word: section::word(group.mark()),
                verdict: group.verdict(),
                why: units::printable(&group.first_fact()),
                findings: findings
                    .iter()
                    .map(|lines| lines.iter().map(|text| said::line(text)).collect())
                    .collect(),
                libraries: group.soaks.iter().map(link).collect(),
            }
        })
        .collect()
}

/// What the libraries are compared with, and with what result.
fn compared(run: &Run) -> Option<String> {
    let baseline = run.soaks.iter().find_map(|soak| soak.baseline.as_ref())?;
    let is_worse =
        |soak: &&Soak| soak.judged.findings.iter().any(|of| matches!(of.facts, Facts::Baseline { .. }));
    let lacks = |soak: &&Soak| soak.baseline.as_ref().is_some_and(|baseline| baseline.soak.is_none());
    let count = |which: &dyn Fn(&&Soak) -> bool| run.soaks.iter().filter(which).count();
    let name = units::printable(&baseline.name);
    Some(format!(
        "compared with {name}: {} worse or not clearly as good, {} not in it",
        count(&is_worse),
        count(&lacks)
    ))
}

/// The machine, as a list.
fn host(run: &Run) -> Vec<(&'static str, String)> {
    let host = &run.host;
    vec![
        ("Kernel", units::printable(&host.kernel)),
        ("C library", units::printable(&host.libc)),
        ("Machine", units::printable(&host.machine)),
        ("CPUs", host.cpus.to_string()),
        ("Page size", units::bytes(host.page_size as f64)),
        ("Transparent huge pages", units::printable(&host.thp)),
    ]
}

/// The time of a run for people: to the minute, in UTC. What is no time stands as it is.
fn when(text: &str) -> String {
    text.parse::<jiff::Timestamp>()
        .map_or_else(|_| units::printable(text), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::{Cause, CauseFacts, Cohorts, EndedEarly, Frame, Note, Stack, Trace, sample};

    #[test]
    fn nothing_is_fetched_and_nothing_is_run() {
        let mut run = sample::run(8);
        run.soaks[1].trace = Some(sample::trace());
        run.soaks[1].cohorts = Some(sample::cohorts());
        let page = render(&run).unwrap();
        for word in
            ["<script", "javascript:", " src=", "@import", "url(", "<link", "<iframe", "<img", "onload="]
        {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("default-src 'none'"));
        // The one address is the name of a language, which is not fetched.
        assert!(!page.replace("http://www.w3.org/2000/svg", "").contains("://"));
    }

    #[test]
    fn what_failed_comes_first_with_its_reason() {
        let run = sample::run(8);
        let page = render(&run).unwrap();
        let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text}"));
        assert!(at("c-leak-constructor") < at("c-clean"));
        assert!(at("libz.so.1") < at("c-clean") && at("c-leak-constructor") < at("libz.so.1"));
        assert!(at("heap grows by exactly 32 B per cycle") < at("<section"));
        for soak in &run.soaks {
            assert!(page.matches(soak.name.as_str()).count() >= 2, "{}", soak.name);
        }
    }

    #[test]
    fn what_several_libraries_share_stands_once_above_the_summary() {
        let page = render(&sample::run(24)).unwrap();
        let (summary, sections) = page.split_at(page.find("<section id=\"soak-").unwrap());
        assert_eq!(summary.matches("<b>3 libraries</b>").count(), 5, "{summary}");
        let group = summary.find("<details class=\"shared of bad v-pinned\">").unwrap();
        assert!(group < summary.find("<table class=\"summary\"").unwrap());
        for link in ["<a href=\"#soak-7\">go-clean</a>", "<a href=\"#soak-23\">go-clean-3</a>"] {
            assert_eq!(summary.matches(link).count(), 2, "{link}");
        }
        let fact = "the library is linked with -z nodelete (DF_1_NODELETE in DT_FLAGS_1)";
        assert_eq!((summary.matches(fact).count(), sections.matches(fact).count()), (2, 6));
        // A pass has its figures, and no reason.
        assert!(!summary.contains("no growth in"));
        is_well_made(&page);
        assert!(!render(&sample::run(8)).unwrap().contains("class=\"shared"));
    }

    #[test]
    fn text_from_a_record_stays_text() {
        let mut run = sample::run(1);
        let bad = "</title><evil>&amp;\"'\u{202e}{{ x }}".to_owned();
        let soak = &mut run.soaks[0];
        soak.name.clone_from(&bad);
        soak.path.clone_from(&bad);
        soak.judged.findings = sample::stays(bad.clone());
        soak.notes = vec![Note::NotTraced { why: EndedEarly::NotStarted { problem: bad.clone() } }];
        soak.worker.output_tail.clone_from(&bad);
        let frame = Frame { function: Some(bad.clone()), ..Frame::default() };
        soak.outcome.stacks = Some(vec![Stack { frames: vec![frame], ..Stack::default() }]);
        soak.measured.asked.call = Some(vec!["f(\"<evil>\")".parse().unwrap()]);
        let evidence = CauseFacts::Unique { symbol: Some(bad.clone()), count: 1 };
        soak.unload.causes = vec![Cause::of_object(evidence, bad.clone())];
        let mut trace = sample::trace();
        for place in &mut trace.places {
            (place.function, place.file) = (Some(bad.clone()), Some(bad.clone()));
            place.module = bad.clone();
            for frame in place.stacks.iter_mut().flat_map(|stack| &mut stack.frames) {
                (frame.function, frame.file, frame.module) =
                    (Some(bad.clone()), Some(bad.clone()), bad.clone());
            }
        }
        trace.ended = Some(EndedEarly::NotStarted { problem: bad.clone() });
        let (places, ended) = (trace.places.clone(), trace.ended.clone());
        soak.cohorts = Some(Cohorts { places, ended, ..sample::cohorts() });
        soak.trace = Some(trace);
        run.host.kernel = bad;
        let page = render(&run).unwrap();
        assert!(!page.contains("<evil>") && !page.contains('\u{202e}'));
        assert!(page.contains("&#60;evil&#62;"), "{}", &page[..3000]);
    }

    #[test]
    fn what_libraries_are_compared_with_is_above_them() {
        let mut run = sample::run(3);
        assert!(!render(&run).unwrap().contains("compared with"));
        let baseline = |soak| Some(dlsoak_record::Baseline { name: "<main>".to_owned(), soak });
        run.soaks[0].baseline = baseline(None);
        for soak in &mut run.soaks[1..] {
            soak.baseline = baseline(Some(dlsoak_record::BaselineSoak::default()));
        }
        let text =
            "<p class=\"meta\">compared with &#60;main&#62;: 0 worse or not clearly as good, 1 not in it</p>";
        let page = render(&run).unwrap();
        assert!(page.contains(text), "{}", &page[..3000]);
    }

    #[test]
    fn every_chart_has_a_name_and_every_table_a_caption_and_headers() {
        let mut run = sample::run(8);
        run.soaks.push(sample::load_failed());
        let page = render(&run).unwrap();
        assert!(pictures(&page) >= 5 + 3 * 3);
        is_well_made(&page);
    }

    /// How many pictures there are beside the lines in the table, which stand beside their figures.
    fn pictures(page: &str) -> usize {
        page.matches("<svg").count() - page.matches("<svg class=\"spark").count()
    }

    /// Pictures have names, tables captions, ids are there once, and links lead somewhere.
    fn is_well_made(page: &str) {
        assert_eq!(pictures(page), page.matches("<title id=").count());
        assert_eq!(pictures(page), page.matches("<desc id=").count());
        assert_eq!(page.matches("<table").count(), page.matches("<caption").count());
        assert_eq!(page.matches("<table").count(), page.matches("<thead").count());
        let mut ids: Vec<&str> =
            page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "an id is there twice");
        for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(ids.contains(&link), "#{link} leads nowhere");
        }
    }

    #[test]
    fn a_trace_names_places_draws_their_stacks_and_tells_what_is_not_explained() {
        let mut run = sample::run(3);
        assert!(!render(&run).unwrap().contains("Who left it behind"));
        for soak in &mut run.soaks {
            soak.trace = Some(sample::trace());
        }
        let page = render(&run).unwrap();
        assert_eq!(page.matches("Who left it behind").count(), 3);
        for text in [
            "<td>keep (leak.c:9)</td>",
            "<td>128</td>",
            "<td>grows</td>",
            "table (leak.c:30)",
            "32 B unattributed",
        ] {
            assert!(page.contains(text), "{text}");
        }
        // Of what does not grow there are no stacks.
        assert!(page.contains("Stacks: keep") && !page.contains("Stacks: fill"));
        let frames = page.split("<svg class=\"flame\"").nth(1).and_then(|rest| rest.split("</svg>").next());
        let frames = frames.unwrap();
        for text in ["table (96,000 bytes, 75.00%)", "names (32,000 bytes, 25.00%)", "<desc id=\"soak-"] {
            assert!(frames.contains(text), "{text}: {frames}");
        }
        is_well_made(&page);
        // Nothing that grows: no picture, and it says so.
        run.soaks.truncate(1);
        let clean = Trace { places: Vec::new(), ..sample::trace() };
        run.soaks[0].trace = Some(clean);
        let page = render(&run).unwrap();
        assert!(page.contains("nothing grows") && !page.contains("class=\"flame\""));
    }

    #[test]
    fn what_does_not_grow_is_a_line_and_what_grows_a_picture() {
        let run = sample::run(8);
        let page = render(&run).unwrap();
        let section = |index: usize| {
            let from = page.split(&format!("<section id=\"soak-{index}\"")).nth(1).unwrap();
            from.split("</section>").next().unwrap()
        };
        let figures = |index: usize| -> Vec<&str> {
            let parts = section(index).split("<figure id=\"").skip(1);
            parts.map(|rest| rest.split('"').next().unwrap().rsplit('-').next().unwrap()).collect()
        };
        assert_eq!(figures(1), ["latency", "heat"]);
        assert_eq!(figures(2), ["memory", "kinds", "latency", "heat"]);
        assert_eq!(figures(4), ["loads", "latency", "heat"]);
        for line in [
            "<li>No growth of memory: heap 0 B/cycle, exact; resident memory",
            "<li>Loads: opened and loaded 100,000 times</li>",
            "<li>Counts: mappings 36; threads 1; descriptors 5</li>",
        ] {
            assert!(section(1).contains(line), "{}", section(1));
        }
        assert!(
            section(4).contains("</span>opened 100,000 times</li>")
                && section(4).contains("</span>loaded once</li>")
        );
        assert_eq!(page.matches("<svg class=\"spark").count(), 8);
    }

    #[test]
    fn a_help_stands_on_a_line_of_its_own_with_its_command() {
        let page = render(&sample::run(8)).unwrap();
        let help = "<p class=\"help\">run <code class=\"copy\">dlsoak trace target/fixtures/libc-leak-constructor.so -c &#39;fibonacci(20)&#39;</code> to see";
        let (summary, sections) = page.split_at(page.find("<section id=\"soak-").unwrap());
        assert!(summary.contains(help) && sections.contains(help), "{summary}");
    }

    #[test]
    fn advice_that_was_followed_is_not_in_the_page() {
        let mut run = sample::run(2);
        run.soaks[1].trace = Some(sample::trace());
        assert!(!render(&run).unwrap().contains("dlsoak trace "));
    }

    #[test]
    fn a_suite_of_five_hundred_is_still_a_page() {
        let mut run = sample::run(500);
        run.soaks.push(sample::load_failed());
        let page = render(&run).unwrap();
        assert!(page.len() < 3_000_000, "{}", page.len());
        // What is proven has pictures, and not what is open.
        assert!(page.contains("id=\"soak-2-memory\"") && !page.contains("id=\"soak-8-memory\""));
        let size = render(&sample::run(7)).unwrap().len();
        assert!(size < 2_000_000, "{size}");
        render(&sample::run(0)).unwrap();
    }

    #[test]
    fn a_watch_has_a_section_for_the_host_and_for_each_library() {
        let page = render(&sample::watched()).unwrap();
        is_well_made(&page);
        let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text}"));
        assert!(at("heap grows by exactly 1,008 B per load") < at("<section"));
        assert!(
            at("id=\"host\"") < at("id=\"library-1\"") && at("id=\"library-1\"") < at("id=\"library-3\"")
        );
        for text in [
            "<h1>3 watched libraries: 1 clean, 1 leak, 1 inconclusive - not passed</h1>",
            "<td>anonymous memory</td><td>4,096 B</td><td>491,520 B</td><td>grows</td>",
            "the loads are too few to decide whether it grows</p><p class=\"help\">watch 8 loads",
            "<td>keep (leak.c:9)</td><td>heap</td><td>128</td>",
            "Stacks: keep",
        ] {
            assert!(page.contains(text), "{text}");
        }
        assert!(
            !page.contains("cycle 0") && !page.contains("B/cycle") && !page.contains("Nothing was soaked")
        );
    }
}
