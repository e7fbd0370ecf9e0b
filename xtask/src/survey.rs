//! `cargo xtask survey`: soaks every library of a directory shortly, so that what dlsoak says is held against
//! libraries that nobody here wrote. It ends by itself whatever they do.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{Read, Seek};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use xtask::fixtures;

use crate::demo;

/// What to survey.
#[derive(Args)]
pub(crate) struct Survey {
    /// The directory; all below it is looked at [default: that of this machine's libraries]
    directory: Option<PathBuf>,
    /// Cycles per library
    #[arg(short = 'n', long, default_value_t = 200)]
    cycles: u64,
    /// Stay root where the survey is started by root, instead of becoming nobody
    #[arg(long)]
    privileged: bool,
    /// Where the record and the table go [default: target/survey]
    #[arg(short, long)]
    out: Option<PathBuf>,
}

/// Libraries per run of dlsoak: what a run that dies takes with it.
const BATCH: usize = 20;

/// What a library gets before its run is given up; dlsoak itself gives up on it long before.
const PER_LIBRARY: Duration = Duration::from_secs(20);

/// The user and group that own nothing.
const NOBODY: u32 = 65534;

/// Soaks all libraries; true when each that was not unloaded has a cause.
pub(crate) fn run(options: &Survey) -> Result<bool> {
    let root = fixtures::root();
    let dlsoak = demo::release(&root)?;
    let directory = match &options.directory {
        Some(directory) => directory.clone(),
        None => default_directory()?,
    };
    let libraries = libraries(&directory, false)?;
    let out = options.out.clone().unwrap_or_else(|| root.join("target/survey"));
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let user = if options.privileged { None } else { lesser_user(&dlsoak, &out) };
    let began = Instant::now();
    eprintln!(
        "{} libraries below {}, {} cycles each{}",
        libraries.len(),
        directory.display(),
        options.cycles,
        user.map_or("", |_| ", as nobody")
    );
    let soaks = Soaks {
        dlsoak,
        user,
        out: out.clone(),
        per_library: PER_LIBRARY,
        args: [
            "--warmup",
            "10",
            "--checkpoints",
            "10",
            "--stall-timeout",
            "5s",
            "-n",
            &options.cycles.to_string(),
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let Some((mut run, soaks)) = soaks.of(&libraries, workers) else {
        bail!("no library below {} left a record", directory.display())
    };
    let took = began.elapsed();
    run["passed"] = soaks.iter().all(|soak| soak["gate"]["passed"] == true).into();
    run["soaks"] = soaks.into();
    let record = out.join("record.json");
    fs::write(&record, serde_json::to_vec(&run)?)
        .with_context(|| format!("cannot write {}", record.display()))?;
    println!("record: {}", record.display());
    tell(run["soaks"].as_array().map_or(&[], Vec::as_slice), libraries.len(), took, &out)
}

/// How libraries are soaked that may do anything.
pub(crate) struct Soaks {
    pub(crate) dlsoak: PathBuf,
    /// The user and the group to run as, where it is another one.
    pub(crate) user: Option<u32>,
    /// Where what a run needs and leaves goes. Who runs must be able to write there.
    pub(crate) out: PathBuf,
    /// What a library gets before its run is given up.
    pub(crate) per_library: Duration,
    /// Further arguments of `dlsoak run`.
    pub(crate) args: Vec<String>,
}

impl Soaks {
    /// A run, and the soaks of all, in the order of their paths; none when nothing left a record.
    pub(crate) fn of(&self, libraries: &[PathBuf], workers: usize) -> Option<(Value, Vec<Value>)> {
        let batches: Vec<&[PathBuf]> = libraries.chunks(BATCH).collect();
        let next = AtomicUsize::new(0);
        let soaks = Mutex::new((None, Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(batch) = batches.get(next.fetch_add(1, Relaxed)) {
                        let mut found = self.soak(batch);
                        let Ok(mut all) = soaks.lock() else { return };
                        if let Some(Value::Array(new)) = found.as_mut().and_then(|run| run.get_mut("soaks")) {
                            all.1.append(new);
                        }
                        all.0 = all.0.take().or(found);
                    }
                });
            }
        });
        let (run, mut soaks) = soaks.into_inner().unwrap_or_default();
        soaks.sort_by(|a, b| text(a, "/path").cmp(text(b, "/path")));
        for soak in &mut soaks {
            // Names are unique within a run of dlsoak; here the path is.
            soak["name"] = text(soak, "/path").into();
        }
        Some((run?, soaks))
    }

    /// One run of dlsoak over a few libraries; none when it left no record.
    fn soak(&self, batch: &[PathBuf]) -> Option<Value> {
        let own = tempfile::Builder::new().prefix("batch-").tempdir_in(&self.out).ok()?;
        // Who runs as nobody must be able to write there.
        fs::set_permissions(own.path(), fs::Permissions::from_mode(0o777)).ok()?;
        let mut command = Command::new(&self.dlsoak);
        command.args(["run", "-q", "--memory-limit", "1GiB"]).args(&self.args);
        command.arg("-o").arg(own.path()).args(batch);
        self.ends(&mut command, self.per_library * u32::try_from(batch.len()).unwrap_or(1))?;
        serde_json::from_slice(&fs::read(own.path().join("record.json")).ok()?).ok()
    }

    /// Runs a command without input as the user, and ends it after this time: its output and its status, if it ended by itself.
    pub(crate) fn ends(
        &self,
        command: &mut Command,
        within: Duration,
    ) -> Option<(String, Option<ExitStatus>)> {
        let output = tempfile::tempfile().ok()?;
        let home = self.out.join("home");
        fs::create_dir_all(&home).ok()?;
        fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).ok()?;
        command.current_dir("/").env("HOME", home).stdin(Stdio::null()).stderr(Stdio::null());
        command.stdout(output.try_clone().ok()?);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        ends(command, output, within).ok()
    }
}

/// Runs a command that writes to this file, and ends it after this time: its output and its status, if it ended by itself.
///
/// # Errors
/// When it can't be run, or its output can't be read.
pub(crate) fn ends(
    command: &mut Command,
    mut output: fs::File,
    within: Duration,
) -> std::io::Result<(String, Option<ExitStatus>)> {
    let mut child = command.spawn()?;
    let given_up = Instant::now() + within;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() > given_up => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let mut text = Vec::new();
    output.rewind()?;
    output.read_to_end(&mut text)?;
    Ok((String::from_utf8_lossy(&text).into_owned(), status))
}

/// Prints and writes the table, then the sums; true when each library that stayed has a cause.
fn tell(soaks: &[Value], libraries: usize, took: Duration, out: &Path) -> Result<bool> {
    let mut lines = String::from("path\tstate\tcauses\tleak\tresidue\tend\n");
    let mut sums: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    let mut add = |what: &'static str, word: &str| {
        *sums.entry(what).or_default().entry(word.to_owned()).or_default() += 1;
    };
    let mut without_cause = 0;
    for soak in soaks {
        let state = text(soak, "/unload/state");
        let causes = kinds(soak, "/unload/causes");
        let residue = kinds(soak, "/residue");
        let end = match text(soak, "/outcome/kind") {
            "completed" => "completed",
            "load-failed" => class(soak),
            other => other,
        };
        let leak = soak.pointer("/leak/bytes_per_cycle").and_then(Value::as_f64);
        let leak = leak.map_or("-".to_owned(), |bytes| format!("{bytes:.1} B/cycle"));
        add("end", end);
        if end == "completed" {
            add("state", state);
            add("verdict", text(soak, "/verdict"));
            causes
                .iter()
                .for_each(|cause| add(if state == "pinned" { "pinned by" } else { "partial by" }, cause));
            residue.iter().for_each(|kind| add("residue", kind));
        }
        without_cause += usize::from(state != "unloaded" && causes.is_empty());
        let causes = causes.join(",");
        lines.push_str(&format!(
            "{}\t{state}\t{causes}\t{leak}\t{}\t{end}\n",
            text(soak, "/path"),
            residue.join(",")
        ));
    }
    let table = out.join("survey.tsv");
    fs::write(&table, lines).with_context(|| format!("cannot write {}", table.display()))?;
    for (what, words) in &sums {
        let words: Vec<_> = words.iter().map(|(word, count)| format!("{word} {count}")).collect();
        println!("{what:<11} {}", words.join(", "));
    }
    println!("table: {}", table.display());
    println!(
        "{} of {libraries} libraries left a record, in {} s; {without_cause} stayed without a cause",
        soaks.len(),
        took.as_secs()
    );
    Ok(without_cause == 0 && soaks.len() == libraries)
}

/// The kinds in a list of a soak, each once.
pub(crate) fn kinds<'a>(soak: &'a Value, list: &str) -> Vec<&'a str> {
    let mut kinds: Vec<_> = soak
        .pointer(list)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|one| text(one, "/kind"))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The class of a refusal.
pub(crate) fn class(soak: &Value) -> &'static str {
    let known = [
        ("/outcome/why/cause", "missing-symbol", "undefined symbol"),
        ("/outcome/why/shortage/kind", "static-tls", "no room for static TLS"),
        ("/outcome/why/cause", "missing-library", "a needed library is missing"),
        ("/outcome/why/cause", "missing-version", "a version is missing"),
        ("/outcome/why/cause", "bad-file", "no shared library for this machine"),
    ];
    let of = |(pointer, word, _): &&(&str, &str, &str)| text(soak, pointer) == *word;
    known.iter().find(of).map_or("refused otherwise", |(_, _, class)| class)
}

/// All ELF files below the directory whose name has `.so` in it or ends in `.clap`, each once whatever its names. Symbolic links count only where they are wanted.
pub(crate) fn libraries(directory: &Path, links: bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        // A directory that can't be read is passed over, but for the one that was asked for.
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if found.is_empty() && seen.is_empty() => {
                return Err(error).with_context(|| format!("cannot read {}", directory.display()));
            }
            Err(_) => continue,
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(mut metadata) = fs::symlink_metadata(&path) else { continue };
            if links && metadata.is_symlink() {
                match fs::metadata(&path) {
                    Ok(file) if file.is_file() => metadata = file,
                    _ => continue,
                }
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if metadata.is_dir() {
                open.push(path);
            } else if metadata.is_file()
                && (name.ends_with(".so") || name.contains(".so.") || name.ends_with(".clap"))
                && seen.insert((metadata.dev(), metadata.ino()))
                && is_elf(&path)
            {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

fn default_directory() -> Result<PathBuf> {
    let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    [&*multiarch, "/usr/lib64", "/usr/lib"]
        .into_iter()
        .map(PathBuf::from)
        .find(|directory| directory.is_dir())
        .context("no directory of libraries is known here: name one")
}

/// The user to become: nobody, where the survey runs as root and nobody can run the program and write the record.
pub(crate) fn lesser_user(dlsoak: &Path, out: &Path) -> Option<u32> {
    if fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let own = tempfile::Builder::new().prefix("try-").tempdir_in(out).ok()?;
    fs::set_permissions(own.path(), fs::Permissions::from_mode(0o777)).ok()?;
    let mut command = Command::new(dlsoak);
    command.arg("--version").current_dir(own.path()).uid(NOBODY).gid(NOBODY);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let can = command.status().is_ok_and(|status| status.success());
    if !can {
        eprintln!("nobody can't run {} in {}: the survey stays root", dlsoak.display(), out.display());
    }
    can.then_some(NOBODY)
}
