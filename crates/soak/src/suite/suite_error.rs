//! How an error in a suite file is shown: place, key, the line itself with a mark, and what to write instead.
//! The TOML library and serde word their errors for programmers; this words them for the person who wrote the file.

use std::ops::Range;
use std::path::Path;

use thiserror::Error;
use toml::de::{DeTable, DeValue};

use crate::settings::nearest;

/// Longest part of a line, in characters, that is shown around an error.
const SHOWN: usize = 100;

/// What is wrong with a suite file, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}:{line}:{column}: {}{problem}{excerpt}", .key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default())]
pub struct SuiteError {
    /// The file, as given.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key and its table, where there is one.
    pub key: Option<String>,
    /// What is wrong and what was expected.
    pub problem: String,
    /// The line with a mark under the place, ready to print; begins with a line break, or is empty.
    pub excerpt: String,
}

/// An error that knows its place as a byte range only.
pub(super) struct Fault {
    span: Option<Range<usize>>,
    problem: String,
}

impl Fault {
    pub(super) fn at(span: Range<usize>, problem: impl Into<String>) -> Self {
        Self { span: Some(span), problem: problem.into() }
    }

    /// Puts the error at `span` if it has no place yet.
    pub(super) fn or_at(self, span: &Range<usize>) -> Self {
        Self { span: self.span.or_else(|| Some(span.clone())), ..self }
    }

    /// Words an unknown key or value anew, with a suggestion; `more` are further keys known here.
    pub(super) fn suggesting(self, more: &[&str]) -> Self {
        let is_key = self.problem.starts_with("unknown field");
        if !is_key && !self.problem.starts_with("unknown variant") {
            return self;
        }
        // serde: "unknown field `x`, expected one of `a`, `b`". Every second piece between backticks is a word.
        let mut words = self.problem.split('`').skip(1).step_by(2);
        let Some(word) = words.next() else { return self };
        let known = words.chain(if is_key { more } else { &[] }.iter().copied());
        let problem = suggestion(if is_key { "unknown key" } else { "unknown value" }, word, known);
        Self { problem, ..self }
    }

    /// Finds line, column and key in the text.
    pub(super) fn in_file(self, text: &str, file: &Path) -> SuiteError {
        let span = self.span.unwrap_or(0..0);
        let start = floor(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = text[..start].matches('\n').count() + 1;
        let column = text[line_start..start].chars().count() + 1;
        let whole_line = text[line_start..].lines().next().unwrap_or_default();
        // The parser's own errors come before there are tables to name a key from.
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut path = Vec::new();
        let found = errors.is_empty() && key_at(root.get_ref(), &span, &mut path);
        SuiteError {
            file: file.display().to_string(),
            line,
            column,
            key: if found { name_key(&path) } else { None },
            problem: self.problem,
            excerpt: excerpt(whole_line, line, column, &text[start..floor(text, span.end).max(start)]),
        }
    }
}

impl From<toml::de::Error> for Fault {
    fn from(error: toml::de::Error) -> Self {
        Self { span: error.span(), problem: error.message().to_owned() }
    }
}

/// The error about a key that is not known; `known` are those that are.
pub(super) fn unknown_key<'a>(
    key: &str,
    span: Range<usize>,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Fault {
    Fault::at(span, suggestion("unknown key", key, known))
}

fn suggestion<'a>(what: &str, word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(meant) => format!("{what}; did you mean `{meant}`?"),
        None => format!("{what}; expected one of {}", known.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// Fills `path` with the keys down to the value or key that `span` lies in.
fn key_at(table: &DeTable<'_>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    let inside = |outer: Range<usize>| outer.contains(&span.start);
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        // A header repeats the key of its array for each element, so the element's own span counts too.
        let found = inside(key.span())
            || match value.get_ref() {
                DeValue::Table(inner) => key_at(inner, span, path) || inside(value.span()),
                DeValue::Array(items) => {
                    let in_item = items.iter().any(|item| {
                        item.get_ref().as_table().is_some_and(|inner| key_at(inner, span, path))
                            || inside(item.span())
                    });
                    in_item || inside(value.span())
                }
                _ => inside(value.span()),
            };
        if found {
            return true;
        }
        path.pop();
    }
    false
}

/// `["library", "cycles"]` as a person would say it.
fn name_key(path: &[String]) -> Option<String> {
    let (table, key) = path.split_first()?;
    let table = match table.as_str() {
        "library" => "[[library]]".to_owned(),
        other => format!("[{other}]"),
    };
    Some(if key.is_empty() { table } else { format!("`{}` in {table}", key.join(".")) })
}

/// The line and a mark under `marked`, which begins at `column`.
fn excerpt(line: &str, number: usize, column: usize, marked: &str) -> String {
    if line.is_empty() {
        return String::new();
    }
    let skipped = (column - 1).saturating_sub(SHOWN / 2);
    // A tab is as wide as the terminal says; one space each keeps the mark below its place.
    let shown: String =
        line.chars().skip(skipped).take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let before = column - 1 - skipped;
    let width = marked.lines().next().unwrap_or_default().chars().count().min(SHOWN - before).max(1);
    let gutter = " ".repeat(number.to_string().len());
    format!("\n{gutter} |\n{number} | {shown}\n{gutter} | {}{}", " ".repeat(before), "^".repeat(width))
}

/// The largest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
