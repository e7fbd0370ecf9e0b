//! What the fuzz targets call, one function per parser. `tests/it/fuzz.rs` includes this file and puts every file of
//! the corpora through it, so that a corpus that no longer fits is noticed without a fuzzer.

mod recipe;

use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;

use dlsoak::elf;
use dlsoak::elf::Cache;
use dlsoak::explain::{self, Rules};
use dlsoak::lddebug::Log;
use dlsoak::record::read;
use dlsoak::report::{Format, terminal};
use dlsoak::settings::{self, Call, CountLimits, Exercise, LeakRate, MAX_TEXT, Settings, quantity};
use dlsoak::suite::file::as_written;
use dlsoak::suite::partition::Share;
use dlsoak::suite::plan::Plan;

/// A suite file: a plan, or an error that begins with the file's name.
pub fn suite(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Plan::from_suite(text, Path::new("a/dlsoak.toml"), &Settings::default(), &as_written) {
        Ok(plan) => assert!(!plan.soaks.is_empty()),
        Err(error) => assert!(error.to_string().starts_with("a/dlsoak.toml"), "{error}"),
    }
}

/// A call expression: what is understood means the same when it is spelt again.
pub fn call(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(exercise) = text.parse::<Exercise>() {
        let spelt = exercise.to_string();
        assert_eq!(spelt.parse(), Ok(exercise));
    }
    match Call::parse(text) {
        Ok(call) => {
            let args: Vec<String> = call.args.iter().map(ToString::to_string).collect();
            let spelt = format!("{}({})", call.symbol, args.join(", "));
            // A string of control bytes is four times as long when it is spelt again.
            if spelt.len() <= MAX_TEXT {
                let again = Call::parse(&spelt).unwrap_or_else(|error| panic!("{spelt}: {error}"));
                assert_eq!((again.symbol, again.args), (call.symbol, call.args));
            }
        }
        Err(error) => assert!(error.column >= 1),
    }
}

/// A record, or a recipe for one: refused in one line, or all reports can be made from it.
pub fn record(data: &[u8]) {
    let made;
    let data = if data.trim_ascii_start().starts_with(b"{") {
        data
    } else {
        made = recipe::record(data);
        &made
    };
    let run = match read(data) {
        Ok(run) => run,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
            return;
        }
    };
    for (width, color) in [(60, false), (200, true)] {
        let _ = terminal::render(&run, width, color);
    }
    for format in [Format::Json, Format::Svg] {
        for file in format.render(&run).unwrap_or_else(|error| panic!("{error}")) {
            if format == Format::Json {
                let again = read(&file.contents).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(again, run);
            }
        }
    }
    // Pixels take a thousand times as long as text, so few inputs get them.
    if data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) == 0 {
        let _ = Format::Png.render(&run).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// An ELF file, or the loader's cache: facts, or a reason in one line. The pool's reader gets the same bytes.
pub fn elf(data: &[u8]) {
    let _ = dlsoak_pool::reasons(data);
    let cache = Cache::parse(data);
    assert!(cache.find("libc.so.6").count() <= cache.len());
    match elf::parse(data) {
        Ok(facts) => {
            if let Err(error) = elf::check_loadable(&facts, elf::Host::CURRENT) {
                let text = dlsoak::report::inspection::problem(&error).to_string();
                assert!(!text.contains('\n'), "{text:?}");
            }
            let _ = elf::predictions(&facts);
            let _ = elf::nodelete(&facts);
            let _ = facts.nearest_export("fibonacci");
            for name in facts.exports().take(4) {
                assert!(facts.has_export(name), "{name}");
            }
            assert_eq!(facts.exports().count(), facts.export_count());
            // As of a host, and a plugin that takes all that it offers.
            let offers = elf::offers(data).unwrap_or_default();
            let mut wanted: std::collections::BTreeSet<String> =
                elf::wants(data).unwrap_or_default().into_iter().collect();
            wanted.extend(offers.iter().map(|offer| offer.name.clone()));
            if let Ok(stubs) = elf::stubs_for(offers, &wanted, |_| false)
                && let Ok(written) = elf::stubs::library(&stubs, "handler", elf::Machine::X86_64)
            {
                let written = elf::parse(&written).expect("it is an ELF file");
                assert!(stubs.iter().all(|stub| written.has_export(&stub.name)));
            }
        }
        Err(error) => {
            let text = dlsoak::report::inspection::unreadable(&error).to_string();
            assert!(!text.contains('\n'), "{text:?}");
        }
    }
}

/// What the loader says: read to its end, whatever it is.
pub fn lddebug(data: &[u8]) {
    let log = Log::read(data);
    assert!(log.lines <= data.len() as u64);
}

/// A build log: every error is one of a line that is there, and can be told.
pub fn explain(data: &[u8]) {
    // Compiled once: patterns take longer than most logs.
    static RULES: OnceLock<Rules> = OnceLock::new();
    let rules = RULES.get_or_init(|| Rules::own().unwrap_or_else(|error| panic!("{error}")));
    let found = explain::explain(rules, "log", data, false).unwrap_or_else(|error| panic!("{error}"));
    for error in &found.errors {
        assert!(1 <= error.line && error.line <= error.last_line && error.last_line <= found.lines);
        assert!(error.count >= 1 && !error.text.contains('\n') && error.here.is_empty());
    }
    for all in [false, true] {
        assert!(dlsoak::report::explanation::render(&found, 80, all, all).ends_with('\n'));
    }
}

/// Values with units, limits, flags and names: what is understood means the same when it is spelt again.
pub fn units(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(rate) = text.parse::<LeakRate>() {
        assert!(rate.bytes().is_finite() && rate.bytes() >= 0.0, "{rate}");
    }
    spelt_again::<quantity::Cycles>(text);
    spelt_again::<quantity::Warmup>(text);
    spelt_again::<quantity::Threads>(text);
    spelt_again::<quantity::Checkpoints>(text);
    spelt_again::<quantity::Time>(text);
    spelt_again::<quantity::Size>(text);
    spelt_again::<settings::Variable>(text);
    spelt_again::<settings::Passes>(text);
    spelt_again::<settings::Chaos>(text);
    spelt_again::<settings::ResidueKind>(text);
    spelt_again::<settings::OpenFlags>(text);
    spelt_again::<settings::Increase>(text);
    spelt_again::<CountLimits>(text);
    spelt_again::<LeakRate>(text);
    let _ = text.parse::<settings::Mode>();
    let _ = text.parse::<Share>();
}

/// What is understood is understood the same when it is spelt again.
fn spelt_again<T: FromStr + ToString + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let spelt = value.to_string();
        assert_eq!(spelt.parse::<T>().ok().as_ref(), Some(&value), "{spelt}");
    }
}
