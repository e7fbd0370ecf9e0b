//! Progress on stderr: a bar on a terminal, a plain line every few seconds elsewhere.

use std::cell::RefCell;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

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

/// Shows progress as it is reported.
pub(super) struct Reporter {
    kind: Kind,
}

enum Kind {
    Quiet,
    Bar(ProgressBar),
    Lines(RefCell<Lines>),
}

struct Lines {
    name: String,
    cycles: u64,
    begin: Instant,
    last: Instant,
    position: String,
}

impl Reporter {
    /// A reporter for a run of `soaks` soaks.
    pub(super) fn new(quiet: bool) -> Self {
        let kind = if quiet {
            Kind::Quiet
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            let template =
                "{prefix:>20} {wide_bar:.cyan/dim} {human_pos}/{human_len}  {per_sec}  {msg}  {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            Kind::Bar(bar)
        } else {
            let now = Instant::now();
            let lines =
                Lines { name: String::new(), cycles: 0, begin: now, last: now, position: String::new() };
            Kind::Lines(RefCell::new(lines))
        };
        Self { kind }
    }

    /// A reporter for one of several soaks that run at the same time.
    pub(super) fn beside(bars: &Bars, quiet: bool) -> Self {
        let reporter = Self::new(quiet);
        match reporter.kind {
            Kind::Bar(bar) => Self { kind: Kind::Bar(bars.0.add(bar)) },
            kind => Self { kind },
        }
    }

    /// Sets which soak of how many comes next.
    pub(super) fn position(&self, index: usize, of: usize) {
        if let Kind::Lines(lines) = &self.kind {
            lines.borrow_mut().position = format!("[{}/{of}] ", index + 1);
        }
    }

    /// Shows the progress that a soak reports.
    pub(super) fn show(&self, progress: Progress<'_>) {
        match &self.kind {
            Kind::Quiet => {}
            Kind::Bar(bar) => match progress {
                Progress::Begin { name, cycles } => {
                    bar.reset();
                    bar.set_length(cycles);
                    bar.set_prefix(name.to_owned());
                    bar.set_message(String::new());
                }
                Progress::Cycles { completed, resident } => {
                    bar.set_position(completed);
                    if let Some(resident) = resident {
                        bar.set_message(format!("RSS {}", indicatif::BinaryBytes(resident)));
                    }
                }
                Progress::Checkpoint(_) => {}
                Progress::End => bar.finish_and_clear(),
            },
            Kind::Lines(lines) => show_line(&mut lines.borrow_mut(), progress),
        }
    }
}

fn show_line(lines: &mut Lines, progress: Progress<'_>) {
    let mut stderr = std::io::stderr().lock();
    match progress {
        Progress::Begin { name, cycles } => {
            let now = Instant::now();
            (lines.name, lines.cycles, lines.begin, lines.last) = (name.to_owned(), cycles, now, now);
            let _ = writeln!(stderr, "{}{name}: {} cycles", lines.position, indicatif::HumanCount(cycles));
        }
        Progress::Cycles { completed, resident } if lines.last.elapsed() >= HEARTBEAT => {
            lines.last = Instant::now();
            let seconds = lines.begin.elapsed().as_secs_f64();
            let rate = completed as f64 / seconds.max(1e-9);
            let left = lines.cycles.saturating_sub(completed) as f64 / rate.max(1e-9);
            let resident =
                resident.map_or_else(String::new, |r| format!(", RSS {}", indicatif::BinaryBytes(r)));
            let _ = writeln!(
                stderr,
                "{}{}: {} of {} cycles, {}/s{resident}, {} left",
                lines.position,
                lines.name,
                indicatif::HumanCount(completed),
                indicatif::HumanCount(lines.cycles),
                indicatif::HumanCount(rate as u64),
                indicatif::HumanDuration(Duration::from_secs_f64(left.clamp(0.0, 1e9))),
            );
        }
        Progress::Cycles { .. } | Progress::Checkpoint(_) | Progress::End => {}
    }
}
