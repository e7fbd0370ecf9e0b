//! `cargo xtask hosts --watched`: watches hosts that reload a library that leaks, and the same hosts with one that does not, many times, and
//! counts the verdicts. A wrong one is a `clean` of what leaks, or a `leak` of anything else that the host loads.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::fixtures::Table;
use xtask::real_hosts::{self, Host, Needs};

use crate::{build, command};

/// A host with a library of one kind.
struct Case {
    host: &'static str,
    needs: Option<Needs>,
    /// The name of the library's file.
    library: String,
    leaks: bool,
    loads: &'static str,
    start: Box<dyn Fn() -> Result<Host>>,
}

/// What all runs of a case said.
#[derive(Default)]
struct Tally {
    runs: u32,
    leak: u32,
    clean: u32,
    /// Runs in which another library of the host leaks.
    others: u32,
    /// Growth per load where it leaks.
    rates: Vec<f64>,
    seconds: f64,
}

impl Tally {
    fn wrong(&self, leaks: bool) -> u32 {
        self.others + if leaks { self.clean } else { self.leak }
    }

    fn row(&self, case: &Case) -> String {
        let least = self.rates.iter().copied().reduce(f64::min);
        let most = self.rates.iter().copied().reduce(f64::max);
        let rate =
            least.zip(most).map_or("-".to_owned(), |(least, most)| format!("{least:.1} to {most:.1} B"));
        let open = self.runs - self.leak - self.clean;
        let seconds = self.seconds / f64::from(self.runs.max(1));
        let Self { runs, leak, clean, .. } = self;
        let wrong = self.wrong(case.leaks);
        let Case { host, library, .. } = case;
        format!(
            "| {host} | {library} | {runs} | {leak} | {clean} | {open} | {rate} | {wrong} | {seconds:.1} s |"
        )
    }
}

/// Watches each host this often and prints a table; false where a verdict is wrong.
pub(crate) fn run(root: &Path, dlsoak: &Path, runs: u32) -> Result<bool> {
    const FIXTURES: [&str; 2] = ["c-leak-constructor", "c-clean"];
    build::run(&build::Options::only(&FIXTURES.map(str::to_owned)))?;
    let table = Table::load(root)?;
    let library = |name: &str| table.get(name)?.library(root);
    let [leaking, clean] = [library(FIXTURES[0])?, library(FIXTURES[1])?];
    let mut all = Vec::new();
    for (module, leaks) in [("security2", true), ("xsendfile", false)] {
        let library = format!("mod_{module}.so");
        let start = Box::new(move || real_hosts::apache(module));
        all.push(Case {
            host: "Apache",
            needs: Some(real_hosts::APACHE),
            library,
            leaks,
            loads: "14",
            start,
        });
    }
    for (path, leaks) in [(leaking, true), (clean, false)] {
        let library = file_name(&path);
        let (of_python, of_java) = (path.clone(), path);
        let start = Box::new(move || real_hosts::python(&of_python));
        let needs = Some(real_hosts::PYTHON);
        all.push(Case { host: "Python", needs, library: library.clone(), leaks, loads: "300", start });
        let start = Box::new(move || real_hosts::java(&of_java));
        all.push(Case { host: "JVM", needs: Some(real_hosts::JAVA), library, leaks, loads: "300", start });
    }
    for leaks in [true, false] {
        let start = Box::new(move || real_hosts::garbage(leaks));
        let library = "module.so".to_owned();
        all.push(Case { host: "host with garbage", needs: None, library, leaks, loads: "13", start });
    }
    for needs in [real_hosts::APACHE, real_hosts::PYTHON, real_hosts::JAVA] {
        if !needs.are_met() {
            eprintln!("not watched: apt install {}", needs.packages);
        }
    }
    all.retain(|case| case.needs.is_none_or(Needs::are_met));
    let kept = root.join("target/hosts-watched");
    fs::create_dir_all(&kept).with_context(|| format!("cannot create {}", kept.display()))?;
    let mut tallies: Vec<Tally> = all.iter().map(|_| Tally::default()).collect();
    // In turn, so that what the machine does meanwhile meets all of them.
    for turn in 1..=runs {
        for (case, tally) in all.iter().zip(&mut tallies) {
            let wrong = tally.wrong(case.leaks);
            let out = tempfile::tempdir_in(&kept)?;
            watch(dlsoak, case, out.path(), tally)?;
            if tally.wrong(case.leaks) > wrong {
                println!("wrong: {} with {}, run {turn}: {}", case.host, case.library, out.keep().display());
            }
        }
        eprintln!("{turn} of {runs}");
    }
    println!("\n| host | library | runs | leak | clean | neither | growth per load | wrong | a run |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (case, tally) in all.iter().zip(&tallies) {
        println!("{}", tally.row(case));
    }
    let wrong: u32 = all.iter().zip(&tallies).map(|(case, tally)| tally.wrong(case.leaks)).sum();
    println!("\n{} runs, {wrong} wrong verdicts", tallies.iter().map(|tally| tally.runs).sum::<u32>());
    Ok(wrong == 0)
}

fn watch(dlsoak: &Path, case: &Case, out: &Path, tally: &mut Tally) -> Result<()> {
    let host = (case.start)()?;
    command::soaks(&mut host.watch(dlsoak, out, &["--until-loads", case.loads]), "build dlsoak")?;
    let record = fs::read(out.join("record.json")).context("dlsoak left no record")?;
    let record: Value = serde_json::from_slice(&record)?;
    let libraries = record["watch"]["libraries"].as_array().context("the record has no libraries")?;
    let name = |library: &Value| file_name(Path::new(library["path"].as_str().unwrap_or_default()));
    let (own, others): (Vec<&Value>, Vec<&Value>) =
        libraries.iter().partition(|library| name(library) == case.library);
    tally.runs += 1;
    tally.others += u32::from(others.iter().any(|library| library["verdict"] == "leak"));
    for library in own {
        tally.leak += u32::from(library["verdict"] == "leak");
        tally.clean += u32::from(library["verdict"] == "clean");
        tally.rates.extend(library["leak"]["bytes_per_cycle"].as_f64());
    }
    tally.seconds += record["watch"]["seconds"].as_f64().unwrap_or(0.0);
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
