//! Reads a log line by line and keeps what the rules fit: causes, folded where they repeat, each with the lines that only
//! echo it. What is kept is bounded, however long the log is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, BufRead};

use super::line;
use super::rules::{Echo, Rule, Rules};
use crate::record::explanation::EchoLine;
use crate::settings::units;

/// Different errors that are kept; a log with more has one cause.
const MOST: usize = 500;
/// Echoes that are kept of each.
const ECHOES: usize = 6;
/// Lines between a cause and its echo.
const NEAR: u64 = 60;
/// Lines between a cause and an echo that may stand on either side of it.
const BESIDE: u64 = 3;
/// Columns of a line that are kept.
const KEPT: usize = 400;

/// An error that was found, as often as it was.
#[derive(Debug)]
pub(super) struct Hit {
    /// Index of its rule.
    pub(super) rule: usize,
    /// Number of its first line, from 1.
    pub(super) line: u64,
    /// Number of its last line.
    pub(super) last_line: u64,
    /// How often it is there.
    pub(super) count: u64,
    /// Its first line, without colours and prefixes.
    pub(super) text: String,
    /// What the pattern's groups have found.
    pub(super) found: BTreeMap<String, String>,
    /// The first lines that repeat it.
    pub(super) echoes: Vec<EchoLine>,
}

/// What a log has.
#[derive(Debug, Default)]
pub struct Scanned {
    /// Errors, by the first line of each.
    pub(super) hits: Vec<Hit>,
    /// Lines of errors that are not kept, since there are so many others.
    pub(super) left_out: u64,
    /// Lines of the log.
    pub(super) lines: u64,
}

struct Pending {
    rule: usize,
    found: BTreeMap<String, String>,
    echo: EchoLine,
}

/// A log that is being read.
pub struct Scan<'r> {
    rules: &'r Rules,
    done: Scanned,
    known: HashMap<(usize, Vec<String>), usize>,
    /// The cause that came last.
    last: Option<usize>,
    /// Echoes whose cause is still to come.
    pending: VecDeque<Pending>,
}

impl<'r> Scan<'r> {
    /// Begins.
    pub fn new(rules: &'r Rules) -> Self {
        Self { rules, done: Scanned::default(), known: HashMap::new(), last: None, pending: VecDeque::new() }
    }

    /// Reads a whole log.
    ///
    /// # Errors
    /// Whatever reading it gives.
    pub fn read(mut self, input: impl BufRead) -> io::Result<Scanned> {
        line::each(input, |line| self.line(line))?;
        Ok(self.finish())
    }

    /// Takes one line, without its end.
    fn line(&mut self, raw: &[u8]) {
        self.done.lines += 1;
        let rules = self.rules;
        for text in line::overwritten(raw) {
            let text = rules.without_prefix(&text);
            let Some((rule, found)) = rules.find(text) else { continue };
            self.hit(rule, found, units::elide(&units::printable(text), KEPT));
            break;
        }
        self.settle(NEAR);
    }

    fn rule(&self, index: usize) -> Option<&'r Rule> {
        self.rules.rules().get(index)
    }

    fn hit(&mut self, rule: usize, found: BTreeMap<String, String>, text: String) {
        let line = self.done.lines;
        match self.rule(rule).and_then(|rule| rule.echo) {
            None => {
                let cause = self.keep(rule, found, line, text);
                self.last = cause.or(self.last);
                for pending in std::mem::take(&mut self.pending) {
                    self.attach(cause, pending.echo);
                }
            }
            Some(echo) => {
                let pending = Pending { rule, found, echo: EchoLine { line, text } };
                let near = match echo {
                    Echo::Earlier => self.near(NEAR),
                    Echo::Either => self.near(BESIDE),
                    Echo::Later => None,
                };
                match near {
                    Some(cause) => self.attach(Some(cause), pending.echo),
                    None if echo == Echo::Earlier && self.pending.is_empty() => self.by_itself(pending),
                    None => self.pending.push_back(pending),
                }
            }
        }
    }

    /// The cause that came last, where it is no further away than so many lines.
    fn near(&self, within: u64) -> Option<usize> {
        let last = self.last?;
        let hit = self.done.hits.get(last)?;
        (self.done.lines - hit.last_line <= within).then_some(last)
    }

    /// Keeps an error: a new one, or one more of its kind.
    fn keep(
        &mut self,
        rule: usize,
        found: BTreeMap<String, String>,
        line: u64,
        text: String,
    ) -> Option<usize> {
        let key = (rule, found.values().cloned().collect());
        if let Some(at) = self.known.get(&key) {
            let hit = self.done.hits.get_mut(*at)?;
            hit.count += 1;
            hit.last_line = line;
            return Some(*at);
        }
        if self.done.hits.len() == MOST {
            self.done.left_out += 1;
            return None;
        }
        let at = self.done.hits.len();
        self.known.insert(key, at);
        self.done.hits.push(Hit { rule, line, last_line: line, count: 1, text, found, echoes: Vec::new() });
        Some(at)
    }

    fn attach(&mut self, cause: Option<usize>, echo: EchoLine) {
        let Some(hit) = cause.and_then(|at| self.done.hits.get_mut(at)) else { return };
        if hit.echoes.len() < ECHOES && !hit.echoes.iter().any(|known| known.text == echo.text) {
            hit.echoes.push(echo);
        }
    }

    /// An echo without a cause counts by itself, where it says enough.
    fn by_itself(&mut self, pending: Pending) {
        if self.rule(pending.rule).is_some_and(|rule| rule.alone) {
            self.keep(pending.rule, pending.found, pending.echo.line, pending.echo.text);
        }
    }

    /// Gives up on causes that did not come within so many lines.
    fn settle(&mut self, within: u64) {
        while let Some(first) = self.pending.front() {
            if self.done.lines - first.echo.line < within {
                break;
            }
            let Some(pending) = self.pending.pop_front() else { break };
            self.by_itself(pending);
        }
    }

    fn finish(mut self) -> Scanned {
        self.settle(0);
        self.done.hits.sort_by_key(|hit| hit.line);
        self.done
    }
}
