//! Progress on stderr: a bar on a terminal, a plain line every few seconds elsewhere.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use indicatif::{
    BinaryBytes, HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState,
    ProgressStyle,
};

use crate::supervisor::Progress;

/// How often a line is printed where there is no terminal.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The bars of soaks that run at the same time.
pub(super) struct Bars(MultiProgress);

impl Bars {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)))
    }
}

/// How far a run is.
pub(super) struct Course {
    begin: Instant,
    soaks: usize,
    over: AtomicUsize,
}

impl Course {
    /// A run of this many soaks begins.
    pub(super) fn new(soaks: usize) -> Self {
        Self { begin: Instant::now(), soaks, over: AtomicUsize::new(0) }
    }

    /// How long the rest of the run takes, by what the part before took; `share` is what a soak has done of its cycles.
    fn left(&self, share: f64) -> String {
        let done = self.over.load(Relaxed) as f64 + share;
        let left = left(self.begin.elapsed(), done, self.soaks as f64);
        left.map_or_else(String::new, |left| format!("{:#} left", HumanDuration(left)))
    }
}

/// How long it takes to do all, where this much took so long.
fn left(elapsed: Duration, done: f64, all: f64) -> Option<Duration> {
    let factor = (all - done).max(0.0) / done;
    // A year is as good as any time beyond.
    (done > 0.0).then(|| Duration::from_secs_f64((elapsed.as_secs_f64() * factor).min(3.2e7)))
}

/// Shows progress as it is reported.
pub(super) struct Reporter {
    kind: Kind,
    course: Arc<Course>,
    /// What the soak has done of its cycles; a pass after the first one does not begin again.
    share: Cell<f64>,
    cycles: Cell<u64>,
    /// `[3/121] `, or nothing.
    position: RefCell<String>,
}

enum Kind {
    Quiet,
    Bar(ProgressBar),
    Lines(RefCell<Lines>),
}

struct Lines {
    name: String,
    begin: Instant,
    last: Instant,
}

impl Reporter {
    /// A reporter for one soak.
    pub(super) fn new(quiet: bool) -> Self {
        Self::of(&Arc::new(Course::new(1)), quiet)
    }

    /// A reporter for the soaks of a run.
    pub(super) fn of(course: &Arc<Course>, quiet: bool) -> Self {
        let kind = if quiet {
            Kind::Quiet
        } else if std::io::stderr().is_terminal() {
            // Not of length 0, of which all is done.
            let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(10));
            let template = "{prefix} {wide_bar:.cyan/dim} {human_pos}/{human_len}  {rate}  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = out.write_str(&per_second(state.per_sec()));
                };
                bar.set_style(style.with_key("rate", rate));
            }
            Kind::Bar(bar)
        } else {
            let now = Instant::now();
            Kind::Lines(RefCell::new(Lines { name: String::new(), begin: now, last: now }))
        };
        let position = RefCell::new(String::new());
        Self { kind, course: Arc::clone(course), share: Cell::new(0.0), cycles: Cell::new(0), position }
    }

    /// A reporter for one of several soaks that run at the same time.
    pub(super) fn beside(bars: &Bars, course: &Arc<Course>, quiet: bool) -> Self {
        let mut reporter = Self::of(course, quiet);
        if let Kind::Bar(bar) = reporter.kind {
            reporter.kind = Kind::Bar(bars.0.add(bar));
        }
        reporter
    }

    /// Sets which soak of how many comes next.
    pub(super) fn position(&self, index: usize, of: usize) {
        self.share.set(0.0);
        *self.position.borrow_mut() = format!("[{}/{of}] ", index + 1);
    }

    /// The soak is over, with all its passes.
    pub(super) fn over(&self) {
        self.course.over.fetch_add(1, Relaxed);
    }

    /// Shows the progress that a soak reports.
    pub(super) fn show(&self, progress: Progress<'_>) {
        match progress {
            Progress::Begin { cycles, .. } => self.cycles.set(cycles),
            Progress::Cycles { completed, .. } => {
                let share = completed as f64 / self.cycles.get().max(1) as f64;
                self.share.set(self.share.get().max(share.min(1.0)));
            }
            Progress::Checkpoint(_) | Progress::End => {}
        }
        match &self.kind {
            Kind::Quiet => {}
            Kind::Bar(bar) => self.draw(bar, progress),
            Kind::Lines(lines) => self.print(&mut lines.borrow_mut(), progress),
        }
    }

    /// What is left of the run, and what the process holds.
    fn rest(&self, resident: Option<u64>) -> String {
        let resident = resident.map(|resident| format!("RSS {}", BinaryBytes(resident)));
        let left = Some(self.course.left(self.share.get())).filter(|left| !left.is_empty());
        resident.into_iter().chain(left).collect::<Vec<_>>().join(", ")
    }

    fn draw(&self, bar: &ProgressBar, progress: Progress<'_>) {
        match progress {
            Progress::Begin { name, cycles } => {
                bar.set_prefix(format!("{}{name}", self.position.borrow()));
                bar.set_message(String::new());
                bar.set_length(cycles);
                bar.reset();
            }
            Progress::Cycles { completed, resident } => {
                bar.set_position(completed);
                bar.set_message(self.rest(resident));
            }
            Progress::Checkpoint(_) => {}
            Progress::End => bar.finish_and_clear(),
        }
    }

    fn print(&self, lines: &mut Lines, progress: Progress<'_>) {
        let position = self.position.borrow();
        let mut text = String::new();
        match progress {
            Progress::Begin { name, cycles } => {
                let now = Instant::now();
                *lines = Lines { name: name.to_owned(), begin: now, last: now };
                let _ = writeln!(text, "{position}{name}: {} cycles", HumanCount(cycles));
            }
            Progress::Cycles { completed, resident } if lines.last.elapsed() >= HEARTBEAT => {
                lines.last = Instant::now();
                let rate = completed as f64 / lines.begin.elapsed().as_secs_f64().max(1e-9);
                let _ = writeln!(
                    text,
                    "{position}{}: {} of {} cycles, {}, {}",
                    lines.name,
                    HumanCount(completed),
                    HumanCount(self.cycles.get()),
                    per_second(rate),
                    self.rest(resident),
                );
            }
            Progress::Cycles { .. } | Progress::Checkpoint(_) | Progress::End => return,
        }
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Whole cycles per second.
fn per_second(rate: f64) -> String {
    format!("{}/s", HumanCount(rate as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_run_takes_what_the_part_before_took() {
        let minute = Duration::from_secs(60);
        assert_eq!(left(minute, 0.0, 121.0), None);
        assert_eq!(left(minute, 1.0, 121.0), Some(120 * minute));
        assert_eq!(left(minute, 2.5, 10.0), Some(3 * minute));
        assert_eq!(left(minute, 3.0, 2.0), Some(Duration::ZERO));
        assert_eq!(left(minute, 1e-300, 2.0), Some(Duration::from_secs(32_000_000)));
    }

    #[test]
    fn a_rate_is_whole() {
        assert_eq!(per_second(4_958.03), "4,958/s");
        assert_eq!(per_second(f64::NAN), "0/s");
    }
}
