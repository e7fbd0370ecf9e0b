//! Who says what of a library, and when: a leak on each load, one on every fourth, and none. What each tool answers is read from
//! its own output and exit code, and only then held against the truth.

use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::bare::{Bench, Build};
use super::peers::{self, SHELL, SHELL_PAUSE};
use super::process::{self, Ran};
use super::soak;
use super::table::{ends, markdown, median};

/// What is asked of: a library, whether it leaks, and what malloc's books have for a cycle.
const QUESTIONS: [(&str, &str, bool); 3] = [
    ("c-leak-constructor", "32 B each cycle", true),
    ("c-leak-fourth", "32 B every 4th cycle", true),
    ("c-clean", "clean", false),
];

/// Cycles that the loop makes for those that say what is left at its end: few are enough for them.
const FEW: u64 = 1_000;
/// Cycles for those that see a process's memory alone.
const MANY: u64 = 100_000;

/// Bytes per cycle above which a tool that only gives a figure is taken to say that there is a leak: half of the smaller truth.
const FIGURE: f64 = 4.0;

/// What a tool says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// Whether it leaks; `None` where it says neither.
    leaks: Option<bool>,
    /// Bytes per cycle, where it gives a figure.
    per_cycle: Option<f64>,
}

/// Those that are asked, each with how it is called.
const ASKED: [(&str, &str); 9] = [
    ("run", "dlsoak run --until-decided"),
    ("run", "dlsoak run -n 1000"),
    ("trace", "dlsoak trace -n 1000"),
    ("heaptrack", "heaptrack, 1,000 cycles"),
    ("valgrind", "valgrind memcheck, 1,000 cycles"),
    ("valgrind", "valgrind memcheck, as many cycles as dlsoak made"),
    ("lsan", "LeakSanitizer, 1,000 cycles"),
    ("shell", "shell loop over /proc/PID/status, 100,000 cycles"),
    ("psleak", "psleak"),
];

/// The fixtures that are asked about.
pub(super) fn libraries() -> impl Iterator<Item = String> {
    QUESTIONS.into_iter().map(|(library, _, _)| library.to_owned())
}

/// All that one tool said of one library.
#[derive(Debug, Default)]
struct Said {
    walls: Vec<f64>,
    answers: Vec<Answer>,
    missing: Option<String>,
}

/// Asks all that are wanted, in turns: the table, and the figures it was made from.
pub(super) fn measure(bench: &Bench, only: &[String], rounds: u32) -> Result<(String, Value)> {
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    let asked: Vec<_> =
        ASKED.into_iter().filter(|(name, _)| only == ["verdicts"] || peers::wants(only, name)).collect();
    let mut all: Vec<Vec<Said>> = Vec::new();
    for (library, what, _) in QUESTIONS {
        let mut said: Vec<Said> = asked.iter().map(|_| Said::default()).collect();
        // Until a run has told, what it takes to tell the larger leak.
        let mut decided = 10_000;
        for round in 1..=rounds {
            eprintln!("verdicts: {what}, round {round} of {rounds}");
            for ((name, how), said) in asked.iter().zip(&mut said) {
                if said.missing.is_some() {
                    continue;
                }
                match ask(bench, name, how, library, &mut decided) {
                    Ok(Some((ran, answer))) => {
                        said.walls.push(ran.wall.as_secs_f64());
                        said.answers.push(answer);
                    }
                    Ok(None) => said.missing = Some(peers::missing(name)),
                    Err(error) => said.missing = Some(format!("{error:#}")),
                }
            }
        }
        all.push(said);
    }
    for (index, (name, how)) in asked.iter().enumerate() {
        let mut row = vec![(*how).to_owned()];
        for ((library, what, leaks), said) in QUESTIONS.iter().zip(&all) {
            let Some(said) = said.get(index) else { continue };
            row.push(cell(said, *leaks));
            let (least, most) = ends(&said.walls);
            figures.push(json!({
                "peer": name, "how": how, "library": library, "truth": what, "missing": said.missing,
                "turns": said.walls, "seconds": Some(median(&said.walls)).filter(|s| s.is_finite()),
                "least": Some(least).filter(|s| s.is_finite()), "most": Some(most).filter(|s| s.is_finite()),
                "answers": said.answers.iter().map(|answer| json!({
                    "leaks": answer.leaks, "bytes_per_cycle": answer.per_cycle,
                    "is": judged(answer, *leaks),
                })).collect::<Vec<_>>(),
            }));
        }
        rows.push(row);
    }
    let mut header = vec!["time to an answer, whole process".to_owned()];
    header.extend(QUESTIONS.map(|(_, what, _)| what.to_owned()));
    Ok((markdown(&header, &rows), figures.into()))
}

/// What an answer is worth.
fn judged(answer: &Answer, leaks: bool) -> &'static str {
    match answer.leaks {
        None => "no verdict",
        Some(said) if said == leaks => "right",
        Some(_) => "wrong",
    }
}

fn cell(said: &Said, leaks: bool) -> String {
    if let Some(missing) = &said.missing {
        return missing.clone();
    }
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for kind in said.answers.iter().map(|answer| judged(answer, leaks)) {
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let words = match kinds.as_slice() {
        [(kind, _)] => (*kind).to_owned(),
        several => {
            several.iter().map(|(kind, count)| format!("{kind} {count}x")).collect::<Vec<_>>().join(", ")
        }
    };
    let rates: Vec<f64> = said.answers.iter().filter_map(|answer| answer.per_cycle).collect();
    let figure =
        if rates.is_empty() { String::new() } else { format!(", {:.1} B/cycle", median(&rates).max(0.0)) };
    format!("{}: {words}{figure}", seconds(median(&said.walls)))
}

/// A time as a person says it.
pub(super) fn seconds(value: f64) -> String {
    if value < 1.0 { format!("{:.0} ms", value * 1e3) } else { format!("{value:.2} s") }
}

/// One question to one tool; `None` where it is not installed. `decided` is the number of cycles that dlsoak took last.
fn ask(
    bench: &Bench,
    name: &str,
    how: &str,
    library: &str,
    decided: &mut u64,
) -> Result<Option<(Ran, Answer)>> {
    let subject = bench.subject(library)?;
    // The loop warms up by a tenth and one more.
    let made = |cycles: u64| (cycles + cycles / 10 + 1) as f64;
    let looped = |by: &[&str], build, cycles| -> Result<Command> {
        bench.command(build, by, &subject.path, cycles, "none", 1)
    };
    Ok(match name {
        "run" | "trace" => {
            let few = FEW.to_string();
            let arguments: &[&str] =
                if how.ends_with("--until-decided") { &["--until-decided"] } else { &["-n", &few] };
            let soaked = soak::soak(bench, name, &subject.path, arguments, false)?;
            let answer = of_verdict(soaked.verdict(), soaked.heap_per_cycle());
            if how.ends_with("--until-decided") {
                *decided = soaked.made()? as u64;
            }
            Some((soaked.ran, answer))
        }
        "heaptrack" => {
            let Some(ran) = process::run(&mut looped(&["heaptrack", "-o", "answer"], Build::Plain, FEW)?)?
            else {
                return Ok(None);
            };
            // Its figures are in a file, which another program of it reads.
            let file = ran.stderr.lines().chain(ran.stdout.lines());
            let file =
                file.filter_map(|line| line.split('"').nth(1)).next().unwrap_or("answer.zst").to_owned();
            let mut print = Command::new("heaptrack_print");
            print.arg(&file).current_dir(bench.scratch.path());
            let Some(printed) = process::run(&mut print)? else { return Ok(None) };
            let answer = of_heaptrack(&printed.stdout, made(FEW));
            let wall = ran.wall + printed.wall;
            Some((Ran { wall, ..printed }, answer))
        }
        "valgrind" => {
            let cycles = if how.ends_with("dlsoak made") { *decided } else { FEW };
            let by = ["valgrind", "--leak-check=full", "--error-exitcode=9"];
            let ran = process::run(&mut looped(&by, Build::Plain, cycles)?)?;
            ran.map(|ran| {
                let answer = of_valgrind(ran.code, &ran.stderr, made(cycles));
                (ran, answer)
            })
        }
        "lsan" => {
            if bench.compile(Build::LeakSanitizer).is_err() {
                return Ok(None);
            }
            let ran = process::run(&mut looped(&[], Build::LeakSanitizer, FEW)?)?;
            ran.map(|ran| {
                let answer = of_leak_sanitizer(ran.code, &ran.stderr, made(FEW));
                (ran, answer)
            })
        }
        "shell" => {
            let mut command = looped(&["sh", "-c", SHELL, "sh"], Build::Plain, MANY)?;
            let ran = process::run(command.env("PAUSE", SHELL_PAUSE))?;
            ran.map(|ran| {
                let answer = of_samples(&ran.stderr);
                (ran, answer)
            })
        }
        _ => peers::psleak_says(bench, &subject)?.map(|(ran, said)| {
            let answer = Answer { leaks: said["leak"].as_bool(), per_cycle: None };
            (ran, answer)
        }),
    })
}

/// dlsoak: its verdict.
fn of_verdict(verdict: &str, per_cycle: Option<f64>) -> Answer {
    let leaks = match verdict {
        "leak" => Some(true),
        "clean" => Some(false),
        _ => None,
    };
    Answer { leaks, per_cycle }
}

/// valgrind: its exit code, with `--error-exitcode=9`, and the bytes that are lost.
fn of_valgrind(code: Option<i32>, words: &str, cycles: f64) -> Answer {
    let lost =
        words.lines().find_map(|line| line.split_once("definitely lost:")).map(|(_, rest)| number(rest));
    // Where nothing is left at all it has another line, and no figure.
    let lost = lost.or_else(|| words.contains("All heap blocks were freed").then_some(Some(0.0))).flatten();
    let leaks = match code {
        Some(9) => Some(true),
        Some(0) => Some(false),
        _ => None,
    };
    Answer { leaks, per_cycle: lost.map(|bytes| bytes / cycles) }
}

/// LeakSanitizer: its exit code, and its last line.
fn of_leak_sanitizer(code: Option<i32>, words: &str, cycles: f64) -> Answer {
    let lost = words.lines().find_map(|line| line.strip_prefix("SUMMARY: LeakSanitizer:")).and_then(number);
    match code {
        Some(23) => Answer { leaks: Some(true), per_cycle: lost.map(|bytes| bytes / cycles) },
        Some(0) => Answer { leaks: Some(false), per_cycle: Some(0.0) },
        _ => Answer { leaks: None, per_cycle: None },
    }
}

/// heaptrack: the figure that it gives as leaked, which a person has to judge.
fn of_heaptrack(words: &str, cycles: f64) -> Answer {
    let lost = words.lines().find_map(|line| line.strip_prefix("total memory leaked:")).and_then(number);
    // What the loop itself keeps is a fixed few kilobytes.
    const KEPT: f64 = 8e3;
    let per_cycle = lost.map(|bytes| if bytes < KEPT { 0.0 } else { bytes / cycles });
    Answer { leaks: per_cycle.map(|bytes| bytes >= FIGURE), per_cycle }
}

/// The shell loop: whether the last figure is larger than the one after a third of them, as a person would look.
fn of_samples(words: &str) -> Answer {
    let samples: Vec<f64> =
        words.lines().filter_map(|line| line.strip_prefix("VmRSS:")).filter_map(number).collect();
    // Too few tell nothing.
    let third = samples.get(samples.len() / 3).filter(|_| samples.len() >= 6);
    Answer { leaks: third.zip(samples.last()).map(|(early, last)| last > early), per_cycle: None }
}

/// The first number of a text, `16,000` or `4.36K` as tools write it.
fn number(text: &str) -> Option<f64> {
    let word = text.split_whitespace().next()?.replace(',', "");
    let (digits, scale) = match word.char_indices().last()? {
        (at, 'K') => (&word[..at], 1e3),
        (at, 'M') => (&word[..at], 1e6),
        (at, 'G') => (&word[..at], 1e9),
        (at, 'B') => (&word[..at], 1.0),
        _ => (word.as_str(), 1.0),
    };
    Some(digits.parse::<f64>().ok()? * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn answer(leaks: Option<bool>, per_cycle: Option<f64>) -> Answer {
        Answer { leaks, per_cycle }
    }

    #[test]
    fn each_is_read_in_its_own_words() {
        let words = "==1== LEAK SUMMARY:\n==1==    definitely lost: 16,000 bytes in 1,000 blocks\n";
        assert_eq!(of_valgrind(Some(9), words, 1000.0), answer(Some(true), Some(16.0)));
        let words = "==1== All heap blocks were freed -- no leaks are possible\n";
        assert_eq!(of_valgrind(Some(0), words, 1000.0), answer(Some(false), Some(0.0)));
        assert_eq!(of_valgrind(None, "", 1.0), answer(None, None));
        let words = "SUMMARY: LeakSanitizer: 33448 byte(s) leaked in 221 allocation(s).\n";
        assert_eq!(of_leak_sanitizer(Some(23), words, 100.0), answer(Some(true), Some(334.48)));
        assert_eq!(of_leak_sanitizer(Some(0), "", 1.0), answer(Some(false), Some(0.0)));
        assert_eq!(of_leak_sanitizer(None, "", 1.0), answer(None, None));
        let heaptrack = |figure: &str| of_heaptrack(&format!("total memory leaked: {figure}\n"), 1000.0);
        assert_eq!(heaptrack("4.36K"), answer(Some(false), Some(0.0)));
        assert_eq!(heaptrack("32K"), answer(Some(true), Some(32.0)));
        assert_eq!(of_heaptrack("", 1.0), answer(None, None));
        assert_eq!(of_verdict("leak", Some(32.0)), answer(Some(true), Some(32.0)));
        assert_eq!(of_verdict("inconclusive", None), answer(None, None));
    }

    #[test]
    fn samples_are_judged_from_a_third_on() {
        let samples = |sizes: &[u32]| {
            of_samples(&sizes.iter().map(|size| format!("VmRSS:\t  {size} kB\n")).collect::<String>()).leaks
        };
        assert_eq!(samples(&[1, 5, 9, 9, 9, 9]), Some(false));
        assert_eq!(samples(&[1, 5, 9, 10, 11, 12]), Some(true));
        assert_eq!(samples(&[1, 2]), None);
    }

    #[test]
    fn a_cell_tells_how_often_it_was_right() {
        let right = answer(Some(true), Some(32.0));
        let said =
            Said { walls: vec![0.25, 0.75], answers: vec![right.clone(), right.clone()], missing: None };
        assert_eq!(cell(&said, true), "500 ms: right, 32.0 B/cycle");
        assert_eq!(cell(&said, false), "500 ms: wrong, 32.0 B/cycle");
        let answers = vec![right, answer(None, None)];
        let said = Said { walls: vec![2.0], answers, missing: None };
        assert_eq!(cell(&said, true), "2.00 s: right 1x, no verdict 1x, 32.0 B/cycle");
        let said = Said { missing: Some("not installed".to_owned()), ..Said::default() };
        assert_eq!(cell(&said, true), "not installed");
    }
}
