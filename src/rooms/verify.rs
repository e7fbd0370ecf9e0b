//! A verification for a terminal: what each instrument found, what it can and can't see, who agrees, and the conclusion.

use crate::record::Unit;
use crate::verify::{Accord, Answer, Figure, Instrument, Look, State, Trend, Verification};
use dlsoak_report::summary::{self, Mark};
use dlsoak_report::terminal::{paint, wrap};
use dlsoak_report::units;

/// Where values begin.
const INDENT: &str = "                ";

/// Figures that are shown of each instrument where not all are asked for; of others those that grow.
const SHOWN: [&str; 8] = ["heap", "anon", "rss", "virtual", "VmRSS", "RssAnon", "lost", "not freed"];

/// The whole text; ends with a newline. `all` shows every figure of every instrument.
pub fn render(found: &Verification, width: u16, color: bool, all: bool) -> String {
    let calls = if found.calls.is_empty() { "load and unload".to_owned() } else { found.calls.join(", ") };
    let mut out = format!("{} ({}): ", units::printable(&found.path), summary::language_word(found.language));
    out.push_str(&units::printable(&calls));
    out.push_str("\n\n");
    for look in &found.looks {
        one(&mut out, look, width, color, all);
    }
    let mut row = |name: &str, value: &str| wrap(&mut out, &format!("{name:<16}"), INDENT, value, width);
    for (index, agreement) in found.agreements.iter().enumerate() {
        let [a, b] = agreement.between.map(Instrument::name);
        let (word, mark) = match agreement.accord {
            Accord::Agree => ("agree", Mark::Pass),
            Accord::Disagree => ("DISAGREE", Mark::Fail),
            Accord::CannotTell => ("can't tell", Mark::Undecided),
        };
        let word = painted(word, mark, color);
        let title = if index == 0 { "held together" } else { "" };
        row(title, &format!("{}: {a} and {b} {word}: {}", agreement.about, agreement.detail));
    }
    let (word, mark) = match found.answer {
        Answer::Grows => ("it grows", Mark::Fail),
        Answer::NothingGrows => ("nothing grows", Mark::Pass),
        Answer::Undecided => ("undecided", Mark::Undecided),
        Answer::EndedEarly => ("ended early", Mark::Fail),
        Answer::Interrupted => ("interrupted", Mark::Undecided),
    };
    out.push('\n');
    let mut row = |name: &str, value: &str| wrap(&mut out, &format!("{name:<16}"), INDENT, value, width);
    row("conclusion", &painted(word, mark, color));
    for line in &found.conclusion {
        row("", &format!("- {}", units::printable(line)));
    }
    out
}

fn painted(text: &str, mark: Mark, color: bool) -> String {
    if color { paint(text, mark, true) } else { text.to_owned() }
}

fn one(out: &mut String, look: &Look, width: u16, color: bool, all: bool) {
    let mut row = |name: &str, value: &str| wrap(out, &format!("{name:<16}"), INDENT, value, width);
    let name = look.instrument.name();
    let detail = units::printable(look.detail.as_deref().unwrap_or_default());
    match look.state {
        State::Missing => return row(name, &detail),
        State::Failed => {
            return row(name, &format!("{}: {detail}", painted("did not look", Mark::Undecided, color)));
        }
        State::Looked => {}
    }
    let shown = |figure: &&Figure| {
        all || figure.trend == Trend::Growing || SHOWN.contains(&figure.what) || look.figures.len() == 1
    };
    let figures: Vec<String> = look.figures.iter().filter(shown).map(|figure| told(figure, color)).collect();
    let span = look.cycles.map_or_else(String::new, |(from, to)| {
        format!(" (cycles {} to {})", units::count(from + 1), units::count(to))
    });
    row(name, &format!("{}{span}", figures.join("; ")));
    if !look.stack.is_empty() {
        let frames: Vec<String> =
            look.stack.iter().map(|frame| units::printable(&frame.to_string())).collect();
        row("", &format!("most of it by {}", frames.join(" < ")));
    }
    for note in &look.notes {
        row("", &units::printable(note));
    }
    row("", &format!("sees {}", look.sees));
    row("", &format!("does not see {}", look.blind_to));
    out.push('\n');
}

/// "heap 32 B/cycle", "RssAnon flat (less than 13 B/cycle)".
fn told(figure: &Figure, color: bool) -> String {
    let amount = |x: f64| match figure.unit {
        Unit::Bytes => format!("{}/cycle", units::bytes(x)),
        Unit::Count => format!("{} per cycle", units::number(x)),
    };
    let what = figure.what;
    match figure.trend {
        Trend::Growing => {
            let grown = painted(&amount(figure.per_cycle), Mark::Fail, color);
            let blocks = figure.blocks_per_cycle;
            let blocks =
                blocks.map_or_else(String::new, |blocks| format!(" in {} blocks", units::number(blocks)));
            format!("{what} +{grown}{blocks}")
        }
        Trend::Flat => match figure.smallest {
            smallest if figure.blocks_per_cycle.is_none() && smallest > 0.0 => {
                format!("{what} flat (can't see less than {})", amount(smallest))
            }
            _ => format!("{what} flat"),
        },
        Trend::Unclear if figure.blocks_per_cycle.is_some() => {
            format!("{what} unclear ({} in too few blocks to tell)", amount(figure.per_cycle))
        }
        Trend::Unclear => format!("{what} unclear ({} to {})", amount(figure.low), amount(figure.high)),
    }
}
