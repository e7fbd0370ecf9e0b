//! Where in the source a finding is: the line that the judgement, a trace, a crash or the debug information gives.

use dlsoak_record::{
    DanglingPointer, Evidence, Facts, Finding, Frame, Metric, Outcome, PlaceKind, PlaceTrend, Soak,
    SourcePlace, TracePlace, User, WatchedLibrary, Why,
};

/// A line of a source file, in a function if its name is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) function: Option<&'a str>,
    pub(super) file: &'a str,
    /// `None` where only the file is known.
    pub(super) line: Option<u32>,
}

/// A function with its file and line, each as far as it is known: what the parts of a record that are places have in common.
type Known<'a> = (&'a Option<String>, &'a Option<String>, Option<u32>);

impl<'a> Place<'a> {
    fn of((function, file, line): Known<'a>) -> Option<Self> {
        let line = line.filter(|line| *line > 0);
        Some(Self { function: function.as_deref(), file: file.as_deref()?, line })
    }
}

/// What a record has beside a finding that says where it is.
pub(super) struct Sources<'a> {
    traced: Vec<&'a TracePlace>,
}

impl<'a> Sources<'a> {
    /// The sources of a soak: its trace, or else what the pass `cohorts` noted.
    pub(super) fn of_soak(soak: &'a Soak) -> Self {
        let traced = soak.trace.as_ref().map(|trace| &trace.places);
        Self::of_places(traced.or(soak.cohorts.as_ref().map(|cohorts| &cohorts.places)).into_iter().flatten())
    }

    /// The sources of a watched library.
    pub(super) fn of_watched(library: &'a WatchedLibrary) -> Self {
        Self::of_places(&library.places)
    }

    fn of_places(places: impl IntoIterator<Item = &'a TracePlace>) -> Self {
        Self { traced: places.into_iter().filter(|place| place.trend == PlaceTrend::Growing).collect() }
    }

    /// The place of a finding, where one is known.
    pub(super) fn place(&self, finding: &'a Finding) -> Option<Place<'a>> {
        let judged = finding.place.as_ref().map(of_judged).and_then(Place::of);
        judged.or_else(|| match &finding.facts {
            Facts::Ended(ended) => of_end(&ended.outcome),
            Facts::Held { by: Some(by), .. } => Place::of((&by.function, &by.file, by.line)),
            Facts::Leak(leak) => self.traced(of_metric(leak.growth.metric)),
            Facts::Left(residue) => match &residue.evidence {
                Evidence::DanglingPointer(pointer) => of_pointer(pointer),
                Evidence::Threads { .. } => self.traced(Some(PlaceKind::Thread)),
                Evidence::Fds { .. } => self.traced(Some(PlaceKind::Fd)),
                Evidence::TlsKeys { .. } => self.traced(Some(PlaceKind::Key)),
                Evidence::Mappings(_) | Evidence::Allocator { .. } => self.traced(Some(PlaceKind::Mapping)),
                _ => None,
            },
            _ => None,
        })
    }

    /// The first traced place of this kind, or of any, that has a line.
    fn traced(&self, kind: Option<PlaceKind>) -> Option<Place<'a>> {
        let of_kind = self.traced.iter().filter(|place| kind.is_none_or(|kind| place.kind == kind));
        of_kind.copied().find_map(|place| Place::of((&place.function, &place.file, place.line)))
    }
}

fn of_judged(place: &SourcePlace) -> Known<'_> {
    (&place.function, &place.file, place.line)
}

/// The kind of thing that growth of a metric consists of; resident memory consists of any.
fn of_metric(metric: Metric) -> Option<PlaceKind> {
    match metric {
        Metric::Heap => Some(PlaceKind::Heap),
        Metric::Fds => Some(PlaceKind::Fd),
        Metric::Threads => Some(PlaceKind::Thread),
        Metric::Mappings => Some(PlaceKind::Mapping),
        _ => None,
    }
}

/// Where the process was when it ended: what is known to be the library's part in it, or else the innermost frame with a line.
fn of_end(outcome: &Outcome) -> Option<Place<'_>> {
    let by = match &outcome.why {
        Some(Why::Crash(crash)) => crash.by.as_ref(),
        Some(Why::NeedsHost(call)) => call.by.as_ref(),
        Some(Why::Exit(exit)) => exit.by.as_ref(),
        Some(Why::Hang(hang)) => {
            let doing = hang.doing.as_ref().and_then(|doing| doing.by.as_ref());
            doing.or(hang.stopped.as_ref().and_then(|stopped| stopped.by.as_ref()))
        }
        _ => None,
    };
    let first = outcome.stacks.iter().flatten().next();
    let frames = by.into_iter().chain(first.into_iter().flat_map(|stack| &stack.frames));
    frames.into_iter().find_map(of_frame)
}

/// The function that is gone, or else the one that used it.
fn of_pointer(pointer: &DanglingPointer) -> Option<Place<'_>> {
    let target = &pointer.target;
    Place::of((&target.symbol, &target.file, target.line)).or_else(|| match &pointer.used.as_ref()?.user {
        User::Function { by } => of_frame(by.as_ref()?),
        User::Thread { start } => {
            let start = start.as_ref()?;
            Place::of((&start.symbol, &start.file, start.line))
        }
        _ => None,
    })
}

fn of_frame(frame: &Frame) -> Option<Place<'_>> {
    Place::of((&frame.function, &frame.file, frame.line))
}

#[cfg(test)]
mod tests {
    use dlsoak_record::why::{Crash, CrashCause};
    use dlsoak_record::{Ended, OutcomeKind, Proof, Residue, Severity, Stack, sample};

    use super::*;

    fn frame(function: &str, line: Option<u32>) -> Frame {
        Frame {
            function: Some(function.to_owned()),
            file: line.map(|_| "src/a.c".to_owned()),
            line,
            ..Frame::default()
        }
    }

    fn at<'a>(function: &'a str, file: &'a str, line: u32) -> Option<Place<'a>> {
        Some(Place { function: Some(function), file, line: Some(line) })
    }

    #[test]
    fn a_crash_is_at_the_frame_of_the_library_or_at_the_innermost_with_a_line() {
        let soak = sample::load_failed();
        let stack = Stack { frames: vec![frame("memcpy", None), frame("fill", Some(7))], ..Stack::default() };
        let crash = |by| {
            let cause = CrashCause::Access;
            let why = Some(Why::Crash(Crash { cause, callee: None, by, handled: None }));
            let kind = OutcomeKind::Crashed;
            let outcome = Outcome { kind, why, stacks: Some(vec![stack.clone()]), ..Outcome::default() };
            Finding::new(Severity::Fail, Facts::Ended(Box::new(Ended { outcome, measured: 0 })))
        };
        let sources = Sources::of_soak(&soak);
        assert_eq!(sources.place(&crash(Some(frame("copy", Some(3))))), at("copy", "src/a.c", 3));
        assert_eq!(sources.place(&crash(Some(frame("copy", None)))), at("fill", "src/a.c", 7));
        assert_eq!(sources.place(&soak.judged.findings[0]), None);
    }

    #[test]
    fn a_pointer_is_at_the_function_that_is_gone() {
        let target = dlsoak_record::PointerTarget {
            object: "libx.so".to_owned(),
            code: true,
            symbol: Some("on_event".to_owned()),
            offset: 0,
            file: Some("src/events.c".to_owned()),
            line: Some(12),
        };
        let proof = Proof::Follows;
        let pointer =
            DanglingPointer { proof, holder: None, target, loads: 3, of: 4, pointers: 1, used: None };
        let residue = Residue::once(Evidence::DanglingPointer(Box::new(pointer)));
        let finding = Finding::new(Severity::Fail, Facts::Left(residue));
        let soak = sample::load_failed();
        assert_eq!(Sources::of_soak(&soak).place(&finding), at("on_event", "src/events.c", 12));
    }

    #[test]
    fn a_leak_is_where_a_trace_has_what_it_consists_of() {
        let mut soak = sample::run(2).soaks.remove(1);
        let leak = soak.judged.findings[0].clone();
        assert_eq!(Sources::of_soak(&soak).place(&leak), None);
        soak.measured.trace = Some(sample::trace());
        let sources = Sources::of_soak(&soak);
        assert_eq!(sources.place(&leak), at("keep", "src/leak.c", 9));
        // That trace has no descriptors.
        let fds = Evidence::Fds { left: dlsoak_record::Tally::default(), closed: Vec::new() };
        let fds = Finding::new(Severity::Fail, Facts::Left(Residue::once(fds)));
        assert_eq!(sources.place(&fds), None);
    }
}
