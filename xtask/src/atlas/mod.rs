//! `cargo xtask atlas`: soaks the plugins of a distribution, each in the shape of its host, on two nodes of Slurm, and writes
//! `reports/atlas/`. Whatever was done before is not done again: packages that are unpacked, and soaks whose records are whole.

mod evidence;
mod root;
mod rows;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use dlsoak_wire::interface::Interface;
use serde::Deserialize;
use xtask::fixtures;

use crate::cluster::Cluster;
use crate::command::quoted;
use crate::plugins::is_of;
use crate::survey::libraries;
use crate::{command, demo};
use root::Root;

/// What the atlas is of.
#[derive(Args)]
pub(crate) struct Options {
    /// The list of kinds of hosts [default: xtask/atlas.toml]
    #[arg(long)]
    list: Option<PathBuf>,
    /// The kinds of hosts to look at, by the names that the list has; repeatable [default: all]
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Where packages, the root and records go; 6 GB for the whole list [default: target/atlas]
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// Write reports/atlas/ anew from the records that are there
    #[arg(long)]
    write: bool,
}

/// Plugins per task: what a task that dies takes with it.
const TASK: usize = 20;

/// What a soak may take, besides its time.
const LIMITS: [&str; 4] = ["--stall-timeout", "10s", "--memory-limit", "1GiB"];

/// The time of a soak. A clean plugin of a small host is decided in 0.1 s, and one of Qt in 10 s.
const DURATION: &str = "8s";

/// The time of what is undecided after that. It is soaked by itself, so that no other delays it.
const LONGER: &str = "30s";

/// Begins the name of such a record.
const AGAIN: &str = "again-";

/// The list of kinds.
#[derive(Deserialize)]
struct List {
    kind: Vec<Kind>,
}

/// A kind of host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kind {
    name: String,
    /// As people call it.
    title: String,
    /// Directories of its plugins, below the root. A component may be `*`.
    at: Vec<PathBuf>,
    /// What gives a soak the shape of the host.
    flags: Vec<String>,
    packages: Vec<String>,
    /// Whether only what exports what its driver knows is a plugin: other libraries are there, too.
    #[serde(default)]
    exports: bool,
    /// Whether plugins are links to libraries.
    #[serde(default)]
    links: bool,
}

impl Kind {
    /// Its driver, where dlsoak has one.
    fn interface(&self) -> Option<Interface> {
        let name = self.flags.iter().skip_while(|flag| *flag != "--as").nth(1)?;
        Interface::ALL.iter().find(|interface| interface.facts().name == name).copied()
    }

    /// What gives the soak of this plugin the shape of the host. Where the host holds plugins that others need, it does not hold this one.
    fn flags(&self, plugin: &Path) -> Vec<&str> {
        let is_it = |value: &str| Path::new(value.trim_end_matches(":link")) == plugin;
        let mut flags = Vec::new();
        let mut words = self.flags.iter().map(String::as_str).peekable();
        while let Some(flag) = words.next() {
            match words.next_if(|value| flag == "--hold" && is_it(value)) {
                Some(_) => {}
                None => flags.push(flag),
            }
        }
        flags
    }

    /// Its plugins in a root, as they are called inside.
    fn plugins(&self, root: &Path) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for directory in self.at.iter().flat_map(|at| expand(root, at)) {
            found.extend(libraries(&directory, self.links)?);
        }
        if let Some(interface) = self.interface().filter(|_| self.exports) {
            found.retain(|file| is_of(interface, file));
        }
        found.sort();
        Ok(found
            .into_iter()
            .filter_map(|file| Some(Path::new("/").join(file.strip_prefix(root).ok()?)))
            .collect())
    }
}

/// The directories that are there of a path in which a component may be `*`.
fn expand(root: &Path, at: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    for part in at.components() {
        found = if part.as_os_str() == "*" {
            let entries = found.iter().flat_map(|directory| fs::read_dir(directory).into_iter().flatten());
            entries.flatten().map(|entry| entry.path()).collect()
        } else {
            found.into_iter().map(|directory| directory.join(part)).collect()
        };
        found.retain(|directory| directory.is_dir());
    }
    found
}

/// Makes the atlas; true when each plugin has a record that was not cut short.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let began = Instant::now();
    let repository = fixtures::root();
    let list = options.list.clone().unwrap_or_else(|| repository.join("xtask/atlas.toml"));
    let list = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let List { mut kind } = toml::from_str(&list).context("the list of kinds is wrong")?;
    kind.retain(|kind| options.only.is_empty() || options.only.contains(&kind.name));
    let out = options.out.clone().unwrap_or_else(|| command::target(&repository).join("atlas"));
    let out = std::path::absolute(out)?;
    let groups: Vec<&[String]> = kind.iter().map(|kind| &kind.packages[..]).collect();
    let root = Root::of(&out, &groups)?;
    let mut seen = HashSet::new();
    let mut plugins = Vec::new();
    for kind in kind {
        let mut files = kind.plugins(root.dir())?;
        files.retain(|file| seen.insert(file.clone()));
        eprintln!("{}: {} plugins", kind.name, files.len());
        plugins.push((kind, files));
    }
    if !options.write {
        let dlsoak = demo::release(&repository)?;
        fs::copy(&dlsoak, root.dir().join("usr/bin/dlsoak")).context("cannot copy dlsoak into the root")?;
        let cluster = Cluster::start(&repository)?;
        let tasks = tasks(&plugins);
        ensure!(!tasks.is_empty(), "there are no plugins");
        soak(&root, &cluster, &tasks, DURATION)?;
        let first = rows::Atlas::read(&root, &plugins)?;
        let again = undecided(&first);
        if !again.is_empty() {
            soak(&root, &cluster, &again, LONGER)?;
        }
    }
    let atlas = rows::Atlas::read(&root, &plugins)?;
    let missing = atlas.missing();
    for row in &missing {
        eprintln!("no whole record: {}", row.file.display());
    }
    if options.only.is_empty() {
        let reports = repository.join("reports/atlas");
        evidence::write(&root, &atlas, &reports)?;
        atlas.write(&reports)?;
        println!("page: {}", reports.join("index.html").display());
    }
    atlas.print();
    println!("{} without a whole record; {} s", missing.len(), began.elapsed().as_secs());
    Ok(missing.is_empty())
}

/// Plugins that are soaked one after the other, with what gives them the shape of their host.
struct Task<'a> {
    /// Names its record.
    name: String,
    flags: Vec<&'a str>,
    files: Vec<&'a Path>,
}

/// Some plugins of one kind in each task; what a host holds for the others is soaked by itself.
fn tasks(plugins: &[(Kind, Vec<PathBuf>)]) -> Vec<Task<'_>> {
    let mut tasks = Vec::new();
    for (kind, files) in plugins {
        let files = files.iter().map(PathBuf::as_path);
        let (held, free): (Vec<&Path>, Vec<&Path>) =
            files.partition(|file| kind.flags(file).len() < kind.flags.len());
        for (part, files) in free.chunks(TASK).chain(held.chunks(1)).enumerate() {
            let name = format!("{}-{part:03}", kind.name);
            tasks.push(Task { name, flags: kind.flags(files[0]), files: files.to_vec() });
        }
    }
    tasks
}

/// What was undecided, each by itself.
fn undecided(atlas: &rows::Atlas) -> Vec<Task<'_>> {
    let rows = atlas.rows.iter().filter(|row| row.verdict() == "inconclusive");
    rows.map(|row| {
        let name = row.file.to_string_lossy().trim_start_matches('/').replace('/', "-");
        let flags = atlas.kinds[row.kind].flags(&row.file);
        Task { name: format!("{AGAIN}{name}"), flags, files: vec![&row.file] }
    })
    .collect()
}

/// Carries the tasks out in one array job; each soak may take so long.
fn soak(root: &Root, cluster: &Cluster, tasks: &[Task<'_>], duration: &str) -> Result<()> {
    let [lists, records, logs] = ["tasks", "records", "logs"].map(|name| root.shared().join(name));
    for directory in [&lists, &records, &logs] {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    // Who soaks is nobody.
    fs::set_permissions(&records, fs::Permissions::from_mode(0o1777))?;
    let mut script = "#!/bin/sh\n#SBATCH --job-name=atlas\n#SBATCH --cpus-per-task=2\n#SBATCH --requeue\n\
        #SBATCH --output=/dev/null\ncase $SLURM_ARRAY_TASK_ID in\n"
        .to_owned();
    for (index, Task { name, flags, files }) in tasks.iter().enumerate() {
        let paths: String = files.iter().map(|file| format!("{}\n", file.display())).collect();
        // A record of other plugins is of an earlier list.
        let list = lists.join(name);
        if fs::read_to_string(&list).is_ok_and(|before| before != paths) {
            let _ = fs::remove_dir_all(records.join(name));
        }
        fs::write(list, paths)?;
        let mut run = root.run("dlsoak");
        run.args(["run", "--quiet", "--until-decided", "--no-report", "--resume"]).args(LIMITS);
        run.args(["--duration", duration]).args(flags).arg(format!("@/atlas/tasks/{name}"));
        run.args(["--out", &format!("/atlas/records/{name}")]);
        let words: Vec<String> = std::iter::once(run.get_program())
            .chain(run.get_args())
            .map(|word| quoted(&word.to_string_lossy()))
            .collect();
        let log = quoted(&logs.join(name).to_string_lossy());
        let _ = writeln!(script, "{}) {} > {log} 2>&1 ;;", index + 1, words.join(" "));
    }
    // What dlsoak refuses with 2 it refuses on each node, so that Slurm need not try again.
    script.push_str("esac\ncode=$?\n[ $code -ne 2 ] || exit 3\nexit $code\n");
    let job = cluster.dir().join("atlas.sbatch");
    fs::write(&job, script)?;
    let array = format!("--array=1-{}", tasks.len());
    let job = cluster.submit(&job, &[&array, "atlas.sbatch"])?;
    eprintln!("job {job} of {} tasks", tasks.len());
    cluster.wait(&job)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<Kind> {
        let list = fs::read_to_string(fixtures::root().join("xtask/atlas.toml")).unwrap();
        toml::from_str::<List>(&list).unwrap().kind
    }

    #[test]
    fn each_kind_of_the_list_has_a_name_of_its_own_and_packages() {
        let kinds = list();
        let names: HashSet<&str> = kinds.iter().map(|kind| &*kind.name).collect();
        assert!(names.len() == kinds.len() && kinds.iter().all(|kind| !kind.packages.is_empty()));
        // What an interface is asked for has a driver.
        let with = kinds.iter().filter(|kind| kind.flags.first().is_some_and(|flag| flag == "--as"));
        assert!(with.clone().count() > 10 && with.clone().all(|kind| kind.interface().is_some()));
    }

    #[test]
    fn a_plugin_that_its_host_holds_for_others_is_soaked_in_a_host_that_does_not_hold_it() {
        let kinds = list();
        let apache = kinds.iter().find(|kind| kind.name == "apache").unwrap();
        let others = apache.flags(Path::new("/usr/lib/apache2/modules/mod_alias.so"));
        let own = apache.flags(Path::new("/usr/lib/apache2/modules/mod_dav.so"));
        assert_eq!((others.len(), own.len()), (apache.flags.len(), apache.flags.len() - 2));
        assert!(!own.iter().any(|flag| flag.contains("mod_dav.so")));
    }

    #[test]
    fn a_star_stands_for_any_directory() {
        let root = tempfile::tempdir().unwrap();
        for name in ["lib/a/x", "lib/b/x", "lib/b/y"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        let mut found = expand(root.path(), Path::new("lib/*/x"));
        found.sort();
        assert_eq!(found, ["lib/a/x", "lib/b/x"].map(|name| root.path().join(name)));
    }
}
