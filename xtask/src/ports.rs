//! `cargo xtask ports`: soaks the fixtures with the program that ships, on the C libraries that it is for: those of other releases of
//! Debian, each in a root of its own, and musl; and on the other processor, which is emulated; and those in Go as each version of Go builds
//! them. Writes docs/ports.md, where each fixture is a line and each C library, or version of Go, a column.

mod emulated;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use xtask::fixtures::{self, Fixture, Language, Situation, Table, Truth};
use xtask::judge;
use xtask::record::Soak;

use crate::{build, check, command, dist, nightly};

/// Which columns to make.
#[derive(Args)]
pub(crate) struct Options {
    /// Only this row, a C library or a version of Go; repeatable [default: all]. docs/ports.md is written where each row has been soaked once
    #[arg(long, value_name = "NAME")]
    row: Vec<String>,
    /// Only this fixture, in place of what was said of it last; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Fill one column with this program and write it to --cells; what each row calls
    #[arg(long, hide = true, requires = "cells")]
    program: Option<PathBuf>,
    /// Where the column goes
    #[arg(long, hide = true)]
    cells: Option<PathBuf>,
    /// The C library that its fixtures need, with its version where a truth asks for it
    #[arg(long, hide = true, default_value = GLIBC)]
    libc: String,
    /// The C library that they are built against
    #[arg(long, hide = true, default_value = GLIBC)]
    built: String,
}

impl Options {
    fn situation(&self) -> Situation<'_> {
        Situation { libc: &self.libc, built: &self.built, ..Situation::default() }
    }
}

/// A C library, and where it is.
struct Row {
    name: String,
    libc: &'static str,
    place: Place,
    /// The version that its fixtures are built with, which then are those in Go.
    go: Option<&'static str>,
}

enum Place {
    /// This machine.
    Here,
    /// A root of this release of Debian.
    Debian(&'static str),
    /// A root with nothing but the musl of this release of Debian.
    Alone(&'static str),
    /// Another processor.
    Emulated,
}

/// All rows, in the order of the columns.
fn rows() -> Vec<Row> {
    let libraries = [
        ("oldest", OLD, Place::Debian(OLDEST)),
        ("here", GLIBC, Place::Here),
        ("trixie", GLIBC, Place::Debian("trixie")),
        ("newest", GLIBC, Place::Debian("sid")),
        (MUSL, MUSL, Place::Here),
        ("musl-trixie", MUSL, Place::Alone("trixie")),
        (emulated::MACHINE, GLIBC, Place::Emulated),
    ];
    let row = |(name, libc, place): (&str, _, _)| Row { name: name.to_owned(), libc, place, go: None };
    let go =
        |version| Row { name: format!("go-{version}"), libc: GLIBC, place: Place::Here, go: Some(version) };
    libraries.into_iter().map(row).chain(build::versions_of_go().map(go)).collect()
}

const GLIBC: &str = "glibc";

const MUSL: &str = "musl";

/// The C library of [`OLDEST`].
const OLD: &str = "glibc 2.31";

/// Debian 11. Its compilers build what runs on each later one.
const OLDEST: &str = "bullseye";

const DEBOOTSTRAP: &str = "apt install debootstrap, and call this as root";

/// What the roots have beside the least of Debian: compilers for the fixtures, and the other C library.
const PACKAGES: &str = "g++,libc6-dev,musl,zlib1g";

/// Runs a program in a root that has some directories as they are here, and the kernel's files. The arguments are the root, the
/// directories up to `--`, and the program with its own.
const INSIDE: &str = r#"
root=$1
shift
mkdir -p "$root/proc"
mount --types proc proc "$root/proc"
while [ "$1" != -- ]; do
    mkdir -p "$root$1"
    mount --rbind "$1" "$root$1"
    shift
done
shift
exec unshare --root="$root" --wd="$PWD" "$@"
"#;

/// What one fixture gave in one row.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
enum Cell {
    /// As the table of fixtures says.
    Right { verdict: String },
    /// Not so; each point.
    Differs { verdict: String, differences: Vec<String> },
    /// The table says nothing about this C library.
    NoTruth,
    /// It can't be built for it.
    NotBuilt { why: String },
}

/// A column, as the row's own process writes it. It is kept until the row is soaked again.
#[derive(Default, Serialize, Deserialize)]
struct Column {
    date: String,
    /// The C library with its version, as the records have it.
    libc: String,
    cells: BTreeMap<String, Cell>,
    /// The libraries whose tests ran there, too.
    #[serde(default)]
    tests: Vec<emulated::Tests>,
}

/// Makes the columns; false when a fixture differs from its truth.
pub(crate) fn run(options: &Options) -> Result<bool> {
    if let (Some(program), Some(cells)) = (&options.program, &options.cells) {
        let column = if fixtures::foreign().is_some() { emulated::column } else { column };
        let column = column(program, &cells.with_file_name("soaks"), options)?;
        dist::write(cells, &serde_json::to_string_pretty(&column)?)?;
        return Ok(true);
    }
    let rows = rows();
    for name in &options.row {
        if !rows.iter().any(|row| row.name == *name) {
            let known: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            bail!("no row is called `{name}`: there are {}", known.join(", "));
        }
    }
    let root = fixtures::root();
    let table = Table::load(&root)?;
    options.only.iter().try_for_each(|name| table.get(name).map(drop))?;
    let ports = command::target(&root).join("ports");
    let (mut soaked, mut differing) = (0, 0);
    for row in rows.iter().filter(|row| options.row.is_empty() || options.row.contains(&row.name)) {
        let column = row.soak(&root, &ports, &options.only)?;
        let count = |of: fn(&Cell) -> bool| column.cells.values().filter(|cell| of(cell)).count();
        println!(
            "{} ({}): {} as they should be, {} differ, {} without a truth, {} not built",
            row.name,
            column.libc,
            count(|cell| matches!(cell, Cell::Right { .. })),
            count(|cell| matches!(cell, Cell::Differs { .. })),
            count(|cell| matches!(cell, Cell::NoTruth)),
            count(|cell| matches!(cell, Cell::NotBuilt { .. })),
        );
        for (name, cell) in &column.cells {
            if let Cell::Differs { verdict, differences } = cell {
                println!("    {name}: {verdict}: {}", differences.join("; "));
                differing += 1;
            }
        }
        let there = count(|cell| matches!(cell, Cell::Right { .. } | Cell::Differs { .. }));
        if there == 0 {
            println!("    no fixture was soaked");
            differing += 1;
        }
        soaked += there;
        for tests in &column.tests {
            println!("    {tests}");
            differing += usize::from(!tests.are_good());
        }
        row.keep(&ports, column, !options.only.is_empty())?;
    }
    let kept: Option<Vec<Column>> = rows.iter().map(|row| row.kept(&ports)).collect();
    match kept {
        Some(columns) => dist::write(&root.join("docs/ports.md"), &page(&rows, &columns)?)?,
        None => println!("docs/ports.md stays as it is: some rows have no column here yet"),
    }
    println!("{soaked} fixtures soaked, {differing} differ");
    Ok(differing == 0)
}

/// An error unless the program needs no library and no loader.
fn standalone(program: &Path) -> Result<()> {
    let facts =
        dlsoak_elf::facts_of(program).with_context(|| format!("cannot read {}", program.display()))?;
    if !facts.needed.is_empty() {
        bail!("{} needs {}", program.display(), facts.needed.join(", "));
    }
    Ok(())
}

/// Soaks each fixture that can be built, in the process that has the row's compilers. Rows may be soaked at the same time: each has a
/// directory for its records.
fn column(program: &Path, scratch: &Path, options: &Options) -> Result<Column> {
    let root = fixtures::root();
    fs::create_dir_all(scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let table = Table::load(&root)?;
    let situation = options.situation();
    let mut column = Column { date: nightly::today()?, ..Column::default() };
    build_helpers(&table, &options.libc);
    let wanted = |fixture: &&Fixture| {
        let alone = !fixture.hostile && !fixture.truths.is_empty();
        alone && (options.only.is_empty() || options.only.contains(&fixture.name))
    };
    for fixture in table.fixtures.iter().filter(wanted) {
        let cell = if let Some(truth) = fixture.truth(&situation) {
            match built(fixture, &options.libc) {
                Err(why) => Cell::NotBuilt { why },
                Ok(()) => {
                    let made = check::soak(program, scratch, fixture, truth, truth.cycles);
                    if let Some(soak) = &made.soak {
                        column.libc.clone_from(&soak.worker.libc);
                    }
                    cell(truth, made)
                }
            }
        } else {
            Cell::NoTruth
        };
        column.cells.insert(fixture.name.clone(), cell);
    }
    Ok(column)
}

fn cell(truth: &Truth, made: check::Short) -> Cell {
    let Some(Soak { verdict, .. }) = made.soak else {
        return Cell::Differs { verdict: "none".to_owned(), differences: made.differences };
    };
    let mut differences = made.differences;
    // A busy machine may leave it open.
    if !judge::accepted(truth, &verdict) && verdict != "inconclusive" {
        differences.push(format!("verdict is {verdict}, not {}", truth.verdict));
    }
    if differences.is_empty() { Cell::Right { verdict } } else { Cell::Differs { verdict, differences } }
}

/// Builds what is not soaked by itself: what others open while they run is not named among what they need.
fn build_helpers(table: &Table, libc: &str) {
    for helper in table.fixtures.iter().filter(|fixture| fixture.truths.is_empty()) {
        if let Err(why) = built(helper, libc) {
            eprintln!("{}: {why}", helper.name);
        }
    }
}

/// Builds it and what it needs; why that can't be, in a line.
fn built(fixture: &Fixture, libc: &str) -> Result<(), String> {
    if libc == MUSL && fixture.language != Language::C {
        return Err("musl-gcc compiles C only".to_owned());
    }
    let only = build::Options::only(std::slice::from_ref(&fixture.name));
    build::run(&only).map_err(|error| first_error(&format!("{error:#}")))
}

/// The line of a compiler's words that says what is wrong.
fn first_error(words: &str) -> String {
    let lines = || words.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().find(|line| line.contains("error: ")).or_else(|| lines().next_back());
    line.unwrap_or_default().to_owned()
}

impl Row {
    /// Where its last whole column is.
    fn place_kept(&self, ports: &Path) -> PathBuf {
        ports.join(&self.name).join("column.json")
    }

    /// Keeps it; where it is a part, in place of that part of the one that is kept.
    fn keep(&self, ports: &Path, column: Column, is_part: bool) -> Result<()> {
        let whole = match self.kept(ports) {
            Some(kept) if is_part => {
                let cells = kept.cells.into_iter().chain(column.cells).collect();
                Column { date: column.date, cells, ..kept }
            }
            None if is_part => return Ok(()),
            _ => column,
        };
        dist::write(&self.place_kept(ports), &serde_json::to_string_pretty(&whole)?)
    }

    fn kept(&self, ports: &Path) -> Option<Column> {
        serde_json::from_slice(&fs::read(self.place_kept(ports)).ok()?).ok()
    }

    fn soak(&self, root: &Path, ports: &Path, only: &[String]) -> Result<Column> {
        let is_emulated = matches!(self.place, Place::Emulated);
        let surroundings = if is_emulated { emulated::surroundings(ports)? } else { Vec::new() };
        let program = dist::program(root, if is_emulated { emulated::MACHINE } else { dist::HERE })?;
        standalone(&program)?;
        let at = ports.join(&self.name);
        fs::create_dir_all(&at).with_context(|| format!("cannot create {}", at.display()))?;
        let shared = shared()?;
        let program = match &self.place {
            Place::Here | Place::Emulated => program,
            Place::Debian(suite) => inside(&debian(ports, suite)?, &shared, &at.join("dlsoak"), &program)?,
            Place::Alone(suite) => {
                let alone = alone(&debian(ports, suite)?, &at.join("root"))?;
                inside(&alone, &shared, &at.join("dlsoak"), &program)?
            }
        };
        let cells = at.join("cells.json");
        let mut row = Command::new(std::env::current_exe().context("this program has no path")?);
        row.arg("ports").arg("--program").arg(&program).arg("--cells").arg(&cells);
        row.args(["--libc", self.libc]).current_dir(root);
        let only = if only.is_empty() && self.go.is_some() { in_go(root)? } else { only.to_owned() };
        row.args(only.iter().map(|name| format!("--only={name}")));
        let is_musl = self.libc == MUSL;
        let built = self.go.map_or(if is_musl { MUSL } else { GLIBC }, |_| &self.name);
        row.env(fixtures::DIRECTORY, ports.join("fixtures").join(built));
        if is_emulated {
            row.envs(surroundings);
        } else if let Some(version) = self.go {
            row.env("PATH", build::path_with_go(version)?);
        } else if is_musl {
            row.env("CC", "musl-gcc");
        } else {
            row.args(["--built", OLD]);
            let old = debian(ports, OLDEST)?;
            for (name, variable) in [("gcc", "CC"), ("g++", "CXX")] {
                let compiler = inside(&old, &shared, &ports.join(name), Path::new(name))?;
                if name == "gcc" {
                    row.env("RUSTFLAGS", format!("-Clinker={}", compiler.display()));
                }
                row.env(variable, compiler);
            }
        }
        if !command::succeeds(&mut row, command::CARGO)? {
            bail!("no column for {}", self.name);
        }
        let text = fs::read(&cells).with_context(|| format!("cannot read {}", cells.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no column", cells.display()))
    }
}

/// The fixtures that are in Go, or have some of it inside.
fn in_go(root: &Path) -> Result<Vec<String>> {
    let table = Table::load(root)?;
    let is_go = |fixture: &Fixture| fixture.language == Language::Go;
    let has_go = |fixture: &Fixture| {
        is_go(fixture) || fixture.needs.iter().any(|needed| table.get(needed).is_ok_and(is_go))
    };
    Ok(table.fixtures.iter().filter(|fixture| has_go(fixture)).map(|fixture| fixture.name.clone()).collect())
}

/// What each root has where it is here: devices, this repository, the directory for temporary files, Rust and Go.
fn shared() -> Result<Vec<PathBuf>> {
    let rust = command::quietly(Command::new("rustc").args(["--print", "sysroot"]), command::CARGO)?;
    let mut shared = vec!["/dev".into(), fixtures::root(), std::env::temp_dir(), PathBuf::from(rust.trim())];
    // Go's own C sources are compiled where they are. Where there is no Go on PATH, the one that builds is in the repository.
    if let Ok(go) = command::quietly(Command::new("go").args(["env", "GOROOT"]), "") {
        shared.push(PathBuf::from(go.trim()));
    }
    Ok(shared)
}

/// A script that runs `program` in a root, with what is shared.
fn inside(root: &Path, shared: &[PathBuf], script: &Path, program: &Path) -> Result<PathBuf> {
    let path = |path: &Path| command::quoted(&path.to_string_lossy());
    let shared: Vec<String> = shared.iter().map(|shared| path(shared)).collect();
    let text = format!(
        "#!/bin/sh\nexec unshare --mount sh -e -c {} sh {} {} -- {} \"$@\"\n",
        command::quoted(INSIDE),
        path(root),
        shared.join(" "),
        path(program),
    );
    fs::write(script, text)
        .and_then(|()| fs::set_permissions(script, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", script.display()))?;
    Ok(script.to_owned())
}

/// The root of a release, which is made where it is not there yet.
fn debian(ports: &Path, suite: &str) -> Result<PathBuf> {
    fetched(ports, suite, &["--variant=minbase", &format!("--include={PACKAGES}"), suite])
}

/// The root of this name, which debootstrap makes with these arguments where it is not there yet.
fn fetched(ports: &Path, name: &str, arguments: &[&str]) -> Result<PathBuf> {
    let root = ports.join("roots").join(name);
    if root.exists() {
        return Ok(root);
    }
    eprintln!("fetching Debian's {name}");
    let fresh = ports.join("roots").join(format!(".{name}.new"));
    dist::fresh(&fresh)?;
    command::quietly(Command::new("debootstrap").args(arguments).arg(&fresh), DEBOOTSTRAP)?;
    // In a container it is a link to itself.
    let proc = fresh.join("proc");
    if proc.is_symlink() {
        fs::remove_file(&proc)
            .and_then(|()| fs::create_dir(&proc))
            .with_context(|| format!("cannot replace {}", proc.display()))?;
    }
    fs::rename(&fresh, &root).with_context(|| format!("cannot write {}", root.display()))?;
    Ok(root)
}

/// A root that has nothing but the musl of another.
fn alone(of: &Path, root: &Path) -> Result<PathBuf> {
    let loader = format!("lib/ld-musl-{}.so.1", std::env::consts::ARCH);
    let (from, to) = (of.join(&loader), root.join(&loader));
    let real = fs::canonicalize(&from).or_else(|_| {
        // A link that is meant inside of that root.
        let link = fs::read_link(&from)?;
        fs::canonicalize(of.join(link.strip_prefix("/").unwrap_or(&link)))
    });
    let real = real.with_context(|| format!("cannot read {}", from.display()))?;
    fs::create_dir_all(root.join("lib"))
        .and_then(|()| fs::copy(&real, &to))
        .with_context(|| format!("cannot write {}", to.display()))?;
    Ok(root.to_owned())
}

/// The page: a table of the C libraries, and one of the versions of Go.
fn page(rows: &[Row], columns: &[Column]) -> Result<String> {
    let (of_go, of_libraries): (Vec<_>, Vec<_>) =
        rows.iter().zip(columns).partition(|(row, _)| row.go.is_some());
    let mut text = format!(
        "# Where it was tried\n\nMade by `cargo xtask ports` on {}: the program that ships, copied as it is, soaks each fixture on each \
         C\nlibrary. A cell is the verdict where state, causes, residue and findings are as \
         `fixtures.toml` says for that C\nlibrary. It is `inconclusive` where the cycles of a fixture, which are few, leave a \
         growth open, and empty where\nthe processor is emulated and a fixture needs more of them. Fixtures that harm their process are left \
         out.\n",
        std::env::consts::ARCH,
    );
    let mut notes = Vec::new();
    let head = |row: &Row, column: &Column| {
        let go = row.go.map(|version| format!("Go {version}, ")).unwrap_or_default();
        format!("{go}{} ({})", column.libc, column.date)
    };
    for (title, columns) in [("C libraries", of_libraries), ("Versions of Go", of_go)] {
        let heads: Vec<String> = columns.iter().map(|(row, column)| head(row, column)).collect();
        write!(text, "\n## {title}\n\n| | {} |\n", heads.join(" | "))?;
        writeln!(text, "| --- |{}", " --- |".repeat(columns.len()))?;
        let names: BTreeSet<&String> = columns.iter().flat_map(|(_, column)| column.cells.keys()).collect();
        for name in names {
            let cells: Vec<String> =
                columns.iter().map(|(_, column)| shown(column.cells.get(name), &mut notes)).collect();
            writeln!(text, "| {name} | {} |", cells.join(" | "))?;
        }
    }
    for (i, note) in notes.iter().enumerate() {
        write!(text, "\n[{}] {note}\n", i + 1)?;
    }
    for column in columns.iter().filter(|column| !column.tests.is_empty()) {
        write!(text, "\nThe tests of the libraries on {}:\n\n", column.libc)?;
        for tests in &column.tests {
            writeln!(text, "- {tests}")?;
        }
    }
    Ok(text)
}

/// A cell of the page. What needs more room becomes one of the notes below.
fn shown(cell: Option<&Cell>, notes: &mut Vec<String>) -> String {
    let mut note = |what: String| {
        let known = notes.iter().position(|note| *note == what);
        known.unwrap_or_else(|| {
            notes.push(what);
            notes.len() - 1
        }) + 1
    };
    match cell {
        None => String::new(),
        Some(Cell::Right { verdict }) => verdict.clone(),
        Some(Cell::Differs { verdict, differences }) => {
            format!("**{verdict}** [{}]", note(differences.join("; ")))
        }
        Some(Cell::NoTruth) => "no truth".to_owned(),
        Some(Cell::NotBuilt { why }) => format!("not built [{}]", note(why.clone())),
    }
}
