//! `cargo xtask hosts`: soaks the modules of Debian's Apache, nginx, PostgreSQL and Python as inside their hosts, and plugins that bring a
//! dependency at fault, and writes the tables of `docs/hosts-debian.md`. Of what is not installed nothing is written.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;
use xtask::fixtures;

use crate::{demo, hosts_watched};

/// What to soak with.
#[derive(Args)]
pub(crate) struct Hosts {
    /// The program to soak with [default: a release build of this tree]
    #[arg(long)]
    dlsoak: Option<PathBuf>,
    /// Cycles per module
    #[arg(short = 'n', long, default_value_t = 200)]
    cycles: u64,
    /// Watch hosts that reload by themselves instead, and count wrong verdicts
    #[arg(long)]
    watched: bool,
    /// Watch each of them this often
    #[arg(long, default_value_t = 5, requires = "watched")]
    runs: u32,
}

/// Name, program, and directory of modules, on Debian 12.
const HOSTS: [(&str, &str, &str); 4] = [
    ("Apache", "/usr/sbin/apache2", "/usr/lib/apache2/modules"),
    ("nginx", "/usr/sbin/nginx", "/usr/lib/nginx/modules"),
    ("PostgreSQL", "/usr/lib/postgresql/15/bin/postgres", "/usr/lib/postgresql/15/lib"),
    ("Python", "/usr/bin/python3.11", "/usr/lib/python3.11/lib-dynload"),
];

/// Plugins of Debian 12 whose faults are those of what they bring.
const PLUGINS: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/gtk-2.0/2.10.0/engines/libpixmap.so",
    "/usr/lib/x86_64-linux-gnu/qt5/plugins/platforms/libqeglfs.so",
    "/usr/lib/x86_64-linux-gnu/gstreamer-1.0/libgstsoundtouch.so",
];

const DEPENDENCIES: &str = "
## Dependencies at fault

These plugins are soaked in a plain host, where what they bring comes and goes with them. `finding` is what dlsoak says of the dependency at
fault, `held` is the verdict in a host that links it.

```sh
apt install --no-install-recommends gtk2-engines-pixbuf libqt5gui5 gstreamer1.0-plugins-bad
```

| plugin | verdict | finding | held |
| --- | --- | --- | --- |
";

/// Most modules that one module needs to be loaded before.
const MOST_BEFORE: usize = 8;

const HEAD: &str = "# Modules of Debian 12, in their hosts

`cargo xtask hosts` soaks each module with `--host` ([hosts.md](hosts.md)) and writes this page. Install the hosts first:

```sh
apt install --no-install-recommends apache2-bin libapache2-mod-security2 nginx-core '^libnginx-mod-.*' postgresql-15 python3
```

`loads` says whether the loader takes the module, and `unloads` whether it and all that it brought go again. `leak` is what each load is
proven to leak in 200 cycles, which is enough for a block of the heap in each. `needs` names the modules of the same directory that the
host loads before, which the soak gives as `--hold MODULE:link`.
";

/// Soaks them all; true when each loads.
pub(crate) fn run(options: &Hosts) -> Result<bool> {
    let root = fixtures::root();
    let dlsoak = match &options.dlsoak {
        Some(program) => program.clone(),
        None => demo::release(&root)?,
    };
    if options.watched {
        return hosts_watched::run(&root, &dlsoak, options.runs);
    }
    let mut page = HEAD.to_owned();
    let mut refused = Vec::new();
    for (name, host, directory) in HOSTS {
        if !Path::new(host).exists() {
            eprintln!("{host} is not installed");
            continue;
        }
        let mut modules: Vec<PathBuf> = fs::read_dir(directory)
            .with_context(|| format!("cannot read {directory}"))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "so"))
            .collect();
        modules.sort();
        eprintln!("{name}: {} modules", modules.len());
        let soaks = soak_in(&dlsoak, host, &modules, &[], options.cycles)?;
        let loaded = |soak: &&Value| soak["verdict"] != "load-failed";
        let _ = write!(
            page,
            "\n## {name}: {}\n\n| module | loads | unloads | leak | needs |\n| --- | --- | --- | --- | --- |\n",
            host
        );
        for (module, first) in modules.iter().zip(soaks) {
            let mut soak_of_it = first;
            let mut before: Vec<String> = Vec::new();
            while !loaded(&&soak_of_it) && before.len() < MOST_BEFORE {
                let provider = &soak_of_it["outcome"]["why"]["provider"];
                let Some(path) = provider["path"].as_str().filter(|_| provider["kind"] == "sibling") else {
                    break;
                };
                before.push(path.to_owned());
                let again = soak_in(&dlsoak, host, std::slice::from_ref(module), &before, options.cycles)?;
                soak_of_it = again.into_iter().next().context("the record has no soak")?;
            }
            if !loaded(&&soak_of_it) {
                refused.push(module.display().to_string());
            }
            page.push_str(&row(module, &soak_of_it, &before));
        }
    }
    let plugins: Vec<&str> = PLUGINS.into_iter().filter(|plugin| Path::new(plugin).exists()).collect();
    if !plugins.is_empty() {
        page.push_str(DEPENDENCIES);
    }
    for plugin in plugins {
        eprintln!("{plugin}");
        page.push_str(&at_fault(&dlsoak, Path::new(plugin))?);
    }
    let to = root.join("docs/hosts-debian.md");
    fs::write(&to, page).with_context(|| format!("cannot write {}", to.display()))?;
    println!("table: {}", to.display());
    for module in &refused {
        println!("does not load: {module}");
    }
    Ok(refused.is_empty())
}

/// The soaks of these modules in this host, which loads those others before.
fn soak_in(
    dlsoak: &Path,
    host: &str,
    modules: &[PathBuf],
    before: &[String],
    cycles: u64,
) -> Result<Vec<Value>> {
    let cycles = cycles.to_string();
    let mut args = vec!["--warmup", "16", "-n", &cycles, "--host", host];
    // The last module that was found to be missing is the one that the others need.
    let holds: Vec<String> = before.iter().rev().map(|other| format!("{other}:link")).collect();
    args.extend(holds.iter().flat_map(|hold| ["--hold", hold]));
    soak(dlsoak, modules, &args)
}

/// The soaks of these libraries.
fn soak(dlsoak: &Path, libraries: &[PathBuf], args: &[&str]) -> Result<Vec<Value>> {
    let out = tempfile::tempdir()?;
    let mut command = Command::new(dlsoak);
    command.args(["run", "-q", "-j", "2"]).args(args);
    command.arg("-o").arg(out.path().join("out")).args(libraries).stdin(Stdio::null()).stdout(Stdio::null());
    command.status().with_context(|| format!("cannot run {}", dlsoak.display()))?;
    let record = fs::read(out.path().join("out/record.json")).context("dlsoak left no record")?;
    let record: Value = serde_json::from_slice(&record)?;
    let soaks = record["soaks"].as_array().cloned().unwrap_or_default();
    ensure!(soaks.len() == libraries.len(), "{} of {} libraries were soaked", soaks.len(), libraries.len());
    Ok(soaks)
}

/// The row of a plugin that brings a dependency at fault.
fn at_fault(dlsoak: &Path, plugin: &Path) -> Result<String> {
    const CODE: &str = "dependency-at-fault";
    let of = |args: &[&str]| -> Result<Value> {
        soak(dlsoak, &[plugin.to_owned()], args)?.pop().context("the record has no soak")
    };
    // A process has 1,024 keys, one of which each cycle may take.
    let alone = of(&["-n", "1000"])?;
    let mut findings = alone["findings"].as_array().into_iter().flatten();
    let blamed = findings.find(|finding| finding["code"] == CODE);
    let object = blamed.and_then(|finding| finding["object"].as_str());
    let finding = match (object, blamed.map(|finding| &finding["facts"][CODE])) {
        (Some(object), Some(facts)) => match facts["per_cycle"].as_f64() {
            Some(bytes) => format!("{object} leaks {bytes:.0} B each time it is loaded anew"),
            None => {
                format!("{object} leaves {} behind", facts["problem"]["residue"].as_str().unwrap_or("this"))
            }
        },
        _ => "none".to_owned(),
    };
    let held = match object {
        Some(object) => of(&["-n", "1000", "--hold", &format!("{object}:link")])?["verdict"].clone(),
        None => Value::Null,
    };
    let name = plugin.file_name().unwrap_or_default().to_string_lossy();
    let said = |verdict: &Value| verdict.as_str().unwrap_or("-").to_owned();
    Ok(format!("| {name} | {} | {finding} | {} |\n", said(&alone["verdict"]), said(&held)))
}

/// The first few of a list.
fn first(names: &[String]) -> String {
    const LISTED: usize = 4;
    match names.split_at_checked(LISTED) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
        _ => names.join(", "),
    }
}

fn row(module: &Path, soak: &Value, before: &[String]) -> String {
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let names = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(name).collect()
    };
    let verdict = soak["verdict"].as_str().unwrap_or("unknown");
    let loads = match verdict {
        "load-failed" => soak["outcome"]["why"]["said"].as_str().unwrap_or("no").to_owned(),
        "needs-host" => {
            format!("calls `{}`", soak["outcome"]["why"]["called"].as_str().unwrap_or("its host"))
        }
        "crashed" | "hung" | "exited" => verdict.to_owned(),
        _ => "yes".to_owned(),
    };
    let ran = loads == "yes";
    let unloads = match soak["unload"]["state"].as_str() {
        _ if !ran => "-".to_owned(),
        Some("unloaded") => "yes".to_owned(),
        Some("partial") => format!("yes, but not {}", first(&names(&soak["unload"]["objects_left"]))),
        _ => {
            let causes = soak["unload"]["causes"].as_array().into_iter().flatten();
            let causes: Vec<&str> = causes.filter_map(|cause| cause["kind"].as_str()).collect();
            format!("no: {}", causes.join(", "))
        }
    };
    let leak = match &soak["leak"] {
        _ if !ran => "-".to_owned(),
        Value::Object(leak) => {
            let of = leak.get("object").and_then(Value::as_str).map(|object| format!(" of {}", name(object)));
            let bytes = leak.get("bytes_per_cycle").and_then(Value::as_f64).unwrap_or(0.0);
            format!("{bytes:.1} B{}", of.unwrap_or_default())
        }
        _ => "none".to_owned(),
    };
    let needs: Vec<String> = before.iter().map(|path| name(path)).collect();
    let needs = if needs.is_empty() { "-".to_owned() } else { needs.join(", ") };
    format!("| {} | {loads} | {unloads} | {leak} | {needs} |\n", name(&module.to_string_lossy()))
}
