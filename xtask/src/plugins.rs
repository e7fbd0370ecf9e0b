//! `cargo xtask plugins`: soaks the plugins of Debian's packages by the drivers of their interfaces, lets the bare host in C of
//! `tests/drivers` make the same cycles of each that has a finding, and writes `docs/drivers-debian.md`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use dlsoak_wire::interface::Interface;
use serde_json::Value;
use xtask::fixtures;

use crate::survey::{Soaks, kinds, lesser_user, libraries, text};
use crate::{command, demo};

/// What to soak.
#[derive(Args)]
pub(crate) struct Options {
    /// The program to soak with [default: a release build of this tree]
    #[arg(long)]
    dlsoak: Option<PathBuf>,
    /// Cycles per plugin
    #[arg(short = 'n', long, default_value_t = 400)]
    cycles: u64,
    /// Soak up to this many batches of plugins at the same time [default: one per CPU]
    #[arg(short, long)]
    jobs: Option<usize>,
    /// Soak the plugins of this interface only, by the name that --as takes; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Install the packages first; needs root
    #[arg(long)]
    install: bool,
    /// Stay root where root starts this, instead of becoming nobody
    #[arg(long)]
    privileged: bool,
    /// Where the record goes [default: target/plugins]
    #[arg(short, long)]
    out: Option<PathBuf>,
}

/// The packages, by interface.
const PACKAGES: &str = include_str!("../plugins.txt");

/// What a plugin gets before its run is given up, and the bare host. A soak of a slow plugin ends before, by `--duration`.
const PER_PLUGIN: Duration = Duration::from_secs(60);

/// Where an interface's plugins are below the directories of libraries, and what its bare host is linked with. `.` stands for the files of a
/// directory itself.
const PLACES: [(&str, &[&str], &[&str]); 13] = [
    ("ladspa", &["ladspa"], &["-Wl,--no-as-needed", "-lm"]),
    ("lv2", &["lv2"], &["-Wl,--no-as-needed", "-lm"]),
    ("clap", &["clap"], &["-Wl,--no-as-needed", "-lm"]),
    ("frei0r", &["frei0r-1"], &[]),
    ("gconv", &["gconv"], &[]),
    ("sqlite", &[".", "sqlite3"], &["-l:libsqlite3.so.0"]),
    ("openssl", &["ossl-modules"], &["-l:libcrypto.so.3"]),
    ("nss", &["."], &[]),
    ("lua", &["lua"], &[]),
    ("python", &["python3/dist-packages", "python3.11/lib-dynload"], &["-l:libpython3.11.so.1.0"]),
    ("vulkan", &["."], &[]),
    ("opencl", &["."], &[]),
    ("gstreamer", &["gstreamer-1.0"], &["-l:libgstreamer-1.0.so.0", "-l:libgobject-2.0.so.0"]),
];

const HEAD: &str = "# Plugins of Debian 12, soaked by their drivers

`cargo xtask plugins` soaks each plugin with its driver ([drivers.md](drivers.md)) and writes this page. A plugin with a finding is run again in
a bare host of its interface, a program in C of `tests/drivers` that shares no code with dlsoak, for as many cycles (for ten times as many
after a crash). The packages are those of `xtask/plugins.txt`, which `cargo xtask plugins --install` installs.

- The bare host's growth of the heap is the median of 16 parts of its second half, or else the mean of that half, by `mallinfo2` without malloc's
  thread cache. `yes` says that it is within 16 B or 10 % of dlsoak's. [drivers.md](drivers.md#the-second-witness) says why they may differ.
- Descriptors, threads, thread-specific keys and mappings of the bare host are what it has left at its end, and so are words of its memory that
  point into an object that is gone (`dangling`).
- `no` says that the bare host does not repeat the finding. `-` says that it does not measure this: growth outside the heap.
- `cut short` counts soaks that took 4 seconds and ended there, many of them before 400 cycles. They may be too short for a verdict.
";

/// What the bare host says of a plugin.
pub(crate) struct Bare {
    facts: HashMap<String, String>,
    end: String,
}

impl Bare {
    /// A fact by its name.
    pub(crate) fn fact(&self, name: &str) -> Option<&str> {
        self.facts.get(name).map(String::as_str)
    }

    /// Whether it made all its cycles.
    pub(crate) fn is_ended(&self) -> bool {
        self.end == "ends"
    }
}

/// A finding, and how the bare host answers it.
pub(crate) struct Finding {
    pub(crate) what: String,
    pub(crate) figure: String,
    function: String,
    pub(crate) check: Check,
}

/// What of the bare host's facts a finding is compared with.
pub(crate) enum Check {
    /// Growth of the heap in bytes per cycle.
    Heap(f64),
    /// A count or a rate that is above 0.
    Grows(&'static str),
    /// A value that is no longer `same`.
    Changes(&'static str),
    /// The file stays loaded.
    Stays,
    /// How it ends.
    Ends(String),
    Unmeasured,
}

/// Whether the bare host repeats a finding.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Repeated {
    Yes,
    No,
    Unknown,
}

/// Soaks them all; true when each plugin left a record and each finding is repeated.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let packages = packages();
    if options.install {
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "--no-install-recommends"]).args(packages.values().flatten());
        if !command::succeeds(apt.env("DEBIAN_FRONTEND", "noninteractive"), "this is for Debian")? {
            bail!("`{}` failed", command::spelt(&apt));
        }
    }
    let root = fixtures::root();
    let dlsoak = match &options.dlsoak {
        Some(program) => program.clone(),
        None => demo::release(&root)?,
    };
    let out = options.out.clone().unwrap_or_else(|| root.join("target/plugins"));
    let out = std::path::absolute(out).context("no output directory")?;
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let user = if options.privileged { None } else { lesser_user(&dlsoak, &out) };
    let workers = options.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let page = root.join("docs/drivers-debian.md");
    let began = Instant::now();
    let mut sums = String::new();
    let mut table = String::new();
    let (mut all, mut missing, mut disputed) = (Vec::new(), Vec::new(), 0);
    for (name, directories, _) in PLACES {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        let interface = Interface::ALL.iter().find(|interface| interface.facts().name == name);
        let interface = *interface.with_context(|| format!("there is no driver `{name}`"))?;
        let plugins = plugins(interface, directories)?;
        eprintln!("{name}: {} plugins", plugins.len());
        let cycles = options.cycles.to_string();
        let kind = if interface.facts().keeps { name } else { "auto" };
        let limits = ["--duration", "4s", "--stall-timeout", "20s"];
        let passes = ["--passes", "measure,diagnose,pointers", "--trace-on-leak"];
        let args = [&["--as", kind, "-n", &cycles][..], &limits, &passes].concat();
        let soaks = Soaks {
            dlsoak: dlsoak.clone(),
            user,
            out: out.clone(),
            per_library: PER_PLUGIN,
            args: args.into_iter().map(str::to_owned).collect(),
        };
        if interface == Interface::Gstreamer {
            // The first host of all looks into each plugin of the system, and keeps what it finds beside the home.
            let first = plugins.first().map_or(Path::new(""), PathBuf::as_path);
            let mut command = Command::new(bare_host(&out, Some(interface), "", None)?);
            soaks.ends(command.arg(first).arg("1"), PER_PLUGIN);
        }
        let Some((_, found)) = soaks.of(&plugins, workers) else { continue };
        let left: Vec<&str> = found.iter().map(|soak| text(soak, "/path")).collect();
        missing
            .extend(plugins.into_iter().filter(|plugin| !left.iter().any(|path| Path::new(path) == plugin)));
        let (row, rows, no) = reported(&soaks, interface, &found)?;
        sums.push_str(&row);
        table.push_str(&rows);
        disputed += no;
        all.extend(found);
        if options.only.is_empty() {
            // After each interface, because all of them take long.
            fs::write(&page, format!("{HEAD}\n{SUMS}{sums}\n## Findings\n\n{TABLE}{table}"))
                .with_context(|| format!("cannot write {}", page.display()))?;
        }
    }
    let record = out.join("record.json");
    fs::write(&record, serde_json::to_vec(&all)?)
        .with_context(|| format!("cannot write {}", record.display()))?;
    println!("soaks: {}", record.display());
    if options.only.is_empty() {
        println!("page: {}", page.display());
    } else {
        print!("{SUMS}{sums}\n{TABLE}{table}");
    }
    for plugin in &missing {
        println!("no record: {}", plugin.display());
    }
    println!(
        "{} plugins left a record, in {} s; {} left none; the bare hosts do not repeat {disputed} findings",
        all.len(),
        began.elapsed().as_secs(),
        missing.len()
    );
    Ok(missing.is_empty() && disputed == 0)
}

/// The packages of each interface.
fn packages() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut packages: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in PACKAGES.lines().filter(|line| !line.starts_with('#')) {
        if let Some((interface, names)) = line.split_once(':') {
            packages.entry(interface).or_default().extend(names.split_whitespace());
        }
    }
    packages
}

/// The plugins of an interface that are installed: each file that exports what it is known by.
fn plugins(interface: Interface, directories: &[&str]) -> Result<Vec<PathBuf>> {
    let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let mut found = Vec::new();
    for base in ["/usr/lib", &multiarch].map(Path::new) {
        for directory in directories {
            let files = if *directory == "." {
                let entries =
                    fs::read_dir(base).with_context(|| format!("cannot read {}", base.display()))?;
                let files = entries.flatten().map(|entry| entry.path());
                files.filter(|file| file.is_file() && !file.is_symlink()).collect()
            } else if base.join(directory).is_dir() {
                // Lua's modules are links to libraries, and so is calf's plugin.
                libraries(&base.join(directory), matches!(interface, Interface::Lua | Interface::Lv2))?
            } else {
                Vec::new()
            };
            found.extend(files.into_iter().filter(|file| is_of(interface, file)));
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file exports what plugins of this interface are known by.
pub(crate) fn is_of(interface: Interface, file: &Path) -> bool {
    // The host's own library has what its plugins are known by.
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_host = ["libc.so", "libsqlite3.so"].iter().any(|host| name.starts_with(host));
    let is_library = name.ends_with(".so") || name.contains(".so.") || name.ends_with(".clap");
    is_library
        && !is_host
        && fs::read(file)
            .ok()
            .and_then(|bytes| dlsoak_elf::parse(&bytes).ok())
            .is_some_and(|facts| facts.exports().any(|export| interface.exports(export)))
}

const SUMS: &str = "| interface | plugins | without a finding | leak | residue | stays | crashed | other ends | cut short | repeated | not repeated | not measured |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
";

const TABLE: &str = "| interface | package | plugin | finding | dlsoak | function | bare host | repeated |
| --- | --- | --- | --- | --- | --- | --- | --- |
";

/// The row of an interface, those of its findings, and how many of these the bare host does not repeat.
fn reported(soaks: &Soaks, interface: Interface, found: &[Value]) -> Result<(String, String, usize)> {
    let title = interface.facts().title;
    let (mut rows, mut counts, mut answers) = (String::new(), [0; 7], [0; 3]);
    let with: Vec<&Value> = found.iter().filter(|soak| !findings(soak, Some(interface)).is_empty()).collect();
    let packages = packages_of(with.iter().map(|soak| text(soak, "/path")))?;
    for soak in found {
        let findings = findings(soak, Some(interface));
        let has = |word: &str| usize::from(findings.iter().any(|finding| finding.what.starts_with(word)));
        let ends = usize::from(text(soak, "/outcome/kind") != "completed");
        let of = [
            usize::from(findings.is_empty()),
            has("leak"),
            has("residue"),
            has("stays"),
            has("crashed"),
            ends - has("crashed"),
            usize::from(text(soak, "/outcome/why/kind") == "duration"),
        ];
        counts.iter_mut().zip(of).for_each(|(count, more)| *count += more);
        if findings.is_empty() {
            continue;
        }
        let path = text(soak, "/path");
        let bare = bare(soaks, interface, soak)?;
        for finding in &findings {
            let (answer, repeated) =
                answer(&finding.check, &bare, text(soak, "/outcome/kind") == "completed");
            answers[repeated as usize] += 1;
            let said = ["yes", "**no**", "-"][repeated as usize];
            let package = packages.get(path).map_or("-", String::as_str);
            let plugin = path.trim_start_matches("/usr/lib/").trim_start_matches("x86_64-linux-gnu/");
            let words = [title, package, plugin, &finding.what, &finding.figure, &finding.function, &answer];
            let words = words.map(|word| word.replace('|', "\\|").replace('\n', " "));
            let _ = writeln!(rows, "| {} | {said} |", words.join(" | "));
        }
    }
    let counts: Vec<String> = counts.iter().chain(&answers).map(ToString::to_string).collect();
    Ok((
        format!("| {title} | {} | {} |\n", found.len(), counts.join(" | ")),
        rows,
        answers[Repeated::No as usize],
    ))
}

/// What dlsoak found, each by itself.
pub(crate) fn findings(soak: &Value, interface: Option<Interface>) -> Vec<Finding> {
    let list = |pointer: &str| soak.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let function = |of: Option<&Value>| of.map_or("", |of| text(of, "/where/function")).to_owned();
    let mut found = Vec::new();
    let mut add = |what: String, figure: String, function: String, check| {
        found.push(Finding { what, figure, function, check });
    };
    let leaker = list("/findings").find(|finding| text(finding, "/code") == "leaker");
    for finding in list("/findings").filter(|finding| text(finding, "/severity") == "fail") {
        let leak = &finding["facts"]["leak"];
        let Some(rate) = leak["per_cycle"].as_f64() else { continue };
        let check = match text(leak, "/metric") {
            "heap" => Check::Heap(rate),
            "tls_keys" => Check::Grows("keys"),
            "threads" => Check::Grows("threads"),
            "fds" => Check::Grows("descriptors"),
            _ => Check::Unmeasured,
        };
        let figure = format!("{rate:.1}");
        add(format!("leak of {}", text(leak, "/metric")), figure, function(leaker), check);
    }
    for residue in list("/residue") {
        let kind = text(residue, "/kind");
        let check = match kind {
            "fp-mode" => Check::Changes("modes"),
            "locale" => Check::Changes("locale"),
            "threads" => Check::Grows("threads"),
            "fds" => Check::Grows("descriptors"),
            "tls-keys" => Check::Grows("keys_left"),
            "signal-handler" => Check::Grows("handlers"),
            "environment" => Check::Grows("environment"),
            "mappings" => Check::Grows("mappings"),
            "dangling-pointer" => Check::Grows("dangling"),
            _ => Check::Unmeasured,
        };
        let figure = match (kind, residue["per_cycle"].as_f64()) {
            ("fp-mode", _) => format!("{} {}", text(residue, "/register"), text(residue, "/new")),
            (_, Some(rate)) => format!("{rate:.1} per cycle"),
            _ => "once".to_owned(),
        };
        let of = list("/findings").find(|finding| text(finding, "/facts/left/kind") == kind);
        add(format!("residue {kind}"), figure, function(of), check);
    }
    let end = text(soak, "/outcome/kind");
    let by = text(soak, "/outcome/why/by/function").to_owned();
    match end {
        "completed" => {}
        "call-failed" => {
            let step = text(soak, "/outcome/why/step");
            let steps = interface.map_or(&[][..], |interface| interface.facts().steps);
            let number = steps.iter().position(|name| *name == step).map_or(0, |at| at + 1);
            add(end.to_owned(), step.to_owned(), by, Check::Ends(format!("step {number}")));
        }
        "load-failed" => {
            add(
                end.to_owned(),
                text(soak, "/outcome/why/said").to_owned(),
                by,
                Check::Ends("exit 2".to_owned()),
            );
        }
        "crashed" => {
            let signal = text(soak, "/outcome/signal");
            add(
                end.to_owned(),
                format!("{signal} in {}", text(soak, "/outcome/phase")),
                by,
                Check::Ends("signal".to_owned()),
            );
        }
        "hung" => add(end.to_owned(), String::new(), by, Check::Ends("no end".to_owned())),
        // Of memory: what grows gets there.
        "limit" => add(end.to_owned(), text(soak, "/outcome/why/kind").to_owned(), by, Check::Grows("heap")),
        _ => add(end.to_owned(), text(soak, "/outcome/why/kind").to_owned(), by, Check::Unmeasured),
    }
    let causes = kinds(soak, "/unload/causes");
    let stays = end == "completed" && text(soak, "/unload/state") == "pinned";
    if stays && !causes.contains(&"interface-never-unloads") {
        add("stays loaded".to_owned(), causes.join(", "), String::new(), Check::Stays);
    }
    found
}

/// How the bare host answers; whether the soak came to its end.
pub(crate) fn answer(check: &Check, bare: &Bare, completed: bool) -> (String, Repeated) {
    let fact = |key: &str| bare.fact(key);
    let number = |key: &str| fact(key).and_then(|value| value.parse::<f64>().ok());
    let of = |repeats: bool| if repeats { Repeated::Yes } else { Repeated::No };
    // What ended early has no figures, which says nothing where the soak did so, too.
    let ended = || (bare.end.clone(), if completed { Repeated::No } else { Repeated::Unknown });
    match check {
        Check::Unmeasured => (String::new(), Repeated::Unknown),
        Check::Ends(as_here) => (bare.end.clone(), of(bare.end.starts_with(as_here))),
        Check::Heap(rate) => {
            let (Some(heap), Some(mean)) = (number("heap"), number("heap_mean")) else { return ended() };
            let near = |figure: f64| (figure - rate).abs() <= (rate * 0.1).max(16.0);
            // Half of a smallest chunk per cycle is what noise makes.
            let grows = |figure: f64| figure > rate / 2.0;
            let shown = if near(heap) { heap } else { mean };
            (format!("{shown:.1}"), of((near(heap) && grows(heap)) || (near(mean) && grows(mean))))
        }
        Check::Grows(key) => {
            let Some(grown) = number(key) else { return ended() };
            (format!("{grown} {}", key.trim_end_matches("_left")), of(grown > 0.0))
        }
        Check::Changes(key) => {
            let Some(value) = fact(key) else { return ended() };
            (value.to_owned(), of(value != "same"))
        }
        Check::Stays => {
            let Some(unloaded) = fact("unloaded") else { return ended() };
            (format!("unloaded: {unloaded}"), of(unloaded == "no"))
        }
    }
}

/// Runs the bare host of a soak's plugin for as many cycles as the soak had.
fn bare(soaks: &Soaks, interface: Interface, soak: &Value) -> Result<Bare> {
    let path = text(soak, "/path");
    let host = bare_host(&soaks.out, Some(interface), path, None)?;
    let count = |name: &str| soak["cycles"][name].as_u64().unwrap_or_default();
    let completed = text(soak, "/outcome/kind") == "completed";
    // A slow plugin may not get beyond the warm-up.
    let cycles = if completed { count("completed").max(count("warmup")).max(1) } else { count("requested") };
    // What brings a plugin down after hundreds of cycles may do so later in another host: None of Python, a reference fewer in each.
    let cycles = if text(soak, "/outcome/kind") == "crashed" { cycles * 10 } else { cycles };
    let mut command = Command::new(host);
    command.args([path, &cycles.to_string()]);
    let (output, status) = soaks.ends(&mut command, PER_PLUGIN).context("cannot run a bare host")?;
    Ok(ended(&output, status))
}

/// What a bare host says with its last line and its status; none where it had to be killed.
pub(crate) fn ended(output: &str, status: Option<ExitStatus>) -> Bare {
    let last = output.lines().last().unwrap_or_default();
    let words = last.split(' ').filter_map(|word| word.split_once('='));
    let facts: HashMap<_, _> = words.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let end = match (status.map(|status| (status.code(), status.signal())), facts.get("step")) {
        (None, _) => "no end".to_owned(),
        (Some((Some(0), _)), _) => "ends".to_owned(),
        (Some((Some(1), _)), Some(step)) => format!("step {step}"),
        (Some((_, Some(signal))), _) => format!("signal {signal}"),
        (Some((code, _)), _) => format!("exit {}", code.unwrap_or_default()),
    };
    Bare { facts, end }
}

/// The bare host of an interface, or the one that only opens and closes, built where it is not there yet; with the libraries of a root,
/// where it is to run inside one. That of Lua is linked with the library of the path's version.
pub(crate) fn bare_host(
    out: &Path,
    interface: Option<Interface>,
    plugin: &str,
    root: Option<&Path>,
) -> Result<PathBuf> {
    let name = interface.map_or("plain", |interface| interface.facts().name);
    let place = PLACES.iter().find(|(of, ..)| *of == name);
    let link = place.map_or(&[][..], |(_, _, link)| link).iter();
    let mut link: Vec<String> = link.map(|&word| word.to_owned()).collect();
    if interface == Some(Interface::Lua) {
        let version = plugin.split('/').find(|folder| folder.starts_with("5.")).unwrap_or("5.4");
        link.push(format!("-l:liblua{version}.so.0"));
    }
    let program = out.join(format!("host_{name}{}", link.concat().replace([':', ',', '/'], "-")));
    let source = fixtures::root().join(format!("tests/drivers/host_{name}.c"));
    let is_newer = |than: &Path| {
        Some(fs::metadata(&program).ok()?.modified().ok()? > fs::metadata(than).ok()?.modified().ok()?)
    };
    let sources = [&source, &source.with_file_name("host.h")];
    if !sources.iter().all(|source| is_newer(source).unwrap_or(false)) {
        let mut cc = Command::new(std::env::var_os("CC").unwrap_or("cc".into()));
        if let Some(root) = root {
            let libraries = root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
            cc.arg("-L").arg(&libraries).arg(format!("-Wl,-rpath-link,{}", libraries.display()));
        }
        cc.args(["-O2", "-g", "-pthread", "-o"]).arg(&program).arg(&source).args(&link).arg("-ldl");
        command::quietly(&mut cc, "apt install gcc, or set CC")?;
    }
    Ok(program)
}

/// The package of each file, by dpkg. A file that no package has is not there.
fn packages_of<'a>(files: impl Iterator<Item = &'a str>) -> Result<HashMap<String, String>> {
    let mut dpkg = Command::new("dpkg");
    let files: Vec<&str> = files.collect();
    // Libraries of packages that are older than the merge of /lib and /usr/lib.
    let others = files.iter().filter_map(|file| file.strip_prefix("/usr"));
    dpkg.arg("-S").args(&files).args(others).stdin(Stdio::null());
    let output = dpkg.output().context("cannot run dpkg")?;
    let output = String::from_utf8_lossy(&output.stdout);
    let lines = output.lines().filter_map(|line| line.split_once(": "));
    Ok(lines
        .map(|(package, file)| {
            let file = if file.starts_with("/lib") { format!("/usr{file}") } else { file.to_owned() };
            (file, package.split(':').next().unwrap_or(package).to_owned())
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_those_of_drivers() {
        let packages = packages();
        assert!(packages["ladspa"].contains(&"caps"));
        let drivers: Vec<&str> = Interface::ALL.iter().map(|interface| interface.facts().name).collect();
        assert!(packages.keys().all(|name| drivers.contains(name)), "{packages:?}");
    }
}
