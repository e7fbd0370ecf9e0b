//! `dlsoak watch` with hosts that nobody here wrote, from Debian's packages: Apache, nginx, Python, the JVM, and PAM's modules.

use std::path::Path;
use std::process::{Child, Command};

use dlsoak::record::{Attached, HostEnd, Watch, WatchVerdict, WatchedLibrary};
use xtask::real_hosts::{self, APACHE, Host, JAVA, NGINX, Needs, PYTHON};

use crate::support::{dlsoak, fixture, installed, library, of_ci, read_record, until};
use crate::watch::named;

/// Whether a host is there. With `CI=1` it must be; else it is not asked for.
fn has(needs: Needs) -> bool {
    of_ci(needs.packages)
        && installed(needs.packages, needs.are_met(), &format!("apt install {}", needs.packages))
}

/// The exit code, and what was seen of a host.
fn watched(host: &Host, args: &[&str]) -> (i32, Watch) {
    let out = tempfile::tempdir().unwrap();
    let dlsoak = dlsoak();
    let output = host.watch(Path::new(dlsoak.get_program()), out.path(), args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let watch = read_record(out.path()).unwrap_or_else(|error| panic!("{error}: {said}")).watch.unwrap();
    assert_eq!((watch.lost, watch.lost_notes), (0, 0), "{said}");
    assert!(matches!(watch.host.end, HostEnd::Stopped | HostEnd::Exited { code: 0 }), "{:?}", watch.host.end);
    (output.status.code().unwrap(), watch)
}

/// Loads, unloads, opens and closes.
fn counts(library: &WatchedLibrary) -> [u64; 4] {
    [library.loads, library.unloads, library.opens, library.closes]
}

/// Counts of a module of Apache in 12 reloads. Apache reads its configuration twice as it starts, and has the module at the end.
const RELOADED: [u64; 4] = [14, 13, 14, 13];

/// A host that runs without any tool, and ends with this value.
struct Running(Child);

impl Running {
    fn start(host: &Host) -> Self {
        Self(host.command().spawn().unwrap())
    }

    /// Anonymous memory that is resident, in bytes.
    fn anonymous(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its group has no other number than its own.
        let _ = Command::new("kill").args(["-TERM", "--"]).arg(format!("-{}", self.0.id())).status();
        let _ = self.0.wait();
    }
}

/// Waits until a host that was started writes this to its log.
fn says(host: &Host, words: &str) {
    let log = host.directory().join("error.log");
    until(words, || std::fs::read_to_string(&log).ok().filter(|text| text.contains(words)));
}

/// What the parent's anonymous memory grows by per reload, without any tool.
fn growth_without_a_tool(host: &Host, reloads: u32) -> f64 {
    const WARMUP: u32 = 20;
    let running = Running::start(host);
    says(host, "resuming");
    let reload = |count: u32| {
        let loop_ = format!("for i in $(seq {count}); do {}; done", host.action());
        let mut shell = Command::new("sh");
        shell.args(["-c", &loop_]).env("PID", running.0.id().to_string());
        assert!(shell.status().unwrap().success());
        running.anonymous()
    };
    let before = reload(WARMUP);
    (reload(reloads) - before) / f64::from(reloads)
}

#[test]
fn a_module_of_apache_leaks_by_what_its_dependency_allocates() {
    if !has(APACHE) {
        return;
    }
    let (code, watch) = watched(&real_hosts::apache("security2").unwrap(), &["--until-loads", "14"]);
    let module = named(&watch, "mod_security2.so");
    assert_eq!((code, module.verdict), (1, WatchVerdict::Leak), "{module:#?}");
    assert_eq!((watch.steps, counts(module)), (12, RELOADED));
    let leak = module.leak.as_ref().unwrap().bytes_per_cycle;
    let without = growth_without_a_tool(&real_hosts::apache("security2").unwrap(), 250);
    assert!((leak / without - 1.0).abs() < 0.02, "{leak} B per load, {without} B without a tool");
    let frames = &module.places[0].stacks[0].frames;
    let at = |is: &dyn Fn(&dlsoak::record::TraceFrame) -> bool| frames.iter().position(is);
    let function = at(&|frame| frame.function.as_deref() == Some("asn1_array2tree"));
    let constructor = at(&|frame| frame.module.contains("libgnutls.so"));
    let loader = at(&|frame| frame.module.contains("ld-linux"));
    assert!(function.is_some() && function < constructor && constructor < loader, "{frames:#?}");
}

#[test]
fn another_module_of_apache_is_clean() {
    if !has(APACHE) {
        return;
    }
    let (code, watch) = watched(&real_hosts::apache("xsendfile").unwrap(), &["--until-loads", "14"]);
    assert_eq!((code, counts(named(&watch, "mod_xsendfile.so"))), (0, RELOADED));
    let dirty = watch.libraries.iter().find(|library| library.verdict != WatchVerdict::Clean);
    assert!(dirty.is_none(), "{dirty:#?}");
}

#[test]
fn apache_is_read_while_it_runs() {
    if !has(APACHE) {
        return;
    }
    let host = real_hosts::apache("xsendfile").unwrap();
    let running = Running::start(&host);
    says(&host, "resuming");
    let mut command = dlsoak();
    command.args(["watch", "--message-format", "json", "--for", "200ms", "--pid"]);
    let output = command.arg(running.0.id().to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let attached: Attached = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(attached.pid, running.0.id());
    for name in ["/apache2", "/libc.so.6", "/libapr-1.so.0", "/mod_xsendfile.so", "/mod_mpm_event.so"] {
        let found = attached.mapped.iter().find(|mapped| mapped.path.contains(name));
        assert_eq!(found.map(|mapped| (mapped.copies, mapped.deleted)), Some((1, 0)), "{name}");
    }
}

#[test]
fn nginx_opens_its_modules_before_it_closes_them() {
    if !has(NGINX) {
        return;
    }
    // A library that is loaded once does not end the watch by its loads, so the host ends.
    let (code, watch) = watched(&real_hosts::nginx().unwrap().ends_after(10), &[]);
    assert_eq!((code, watch.host.end.clone()), (0, HostEnd::Exited { code: 0 }), "{watch:#?}");
    for name in ["ngx_http_echo_module.so", "ngx_http_geoip_module.so"] {
        let module = named(&watch, name);
        assert_eq!(module.verdict, WatchVerdict::NeverReloaded, "{module:#?}");
        assert_eq!((module.loads, module.opens), (1, 11));
    }
}

/// Watches a host that loads a library 20 times per step, which leaks and which does not.
fn leaks_and_does_not(start: impl Fn(&Path) -> Host) {
    let (code, watch) = watched(&start(&fixture("c-leak-constructor")), &["--until-loads", "300"]);
    let leaking = named(&watch, "libc-leak-constructor.so");
    assert_eq!((code, leaking.verdict, counts(leaking)), (1, WatchVerdict::Leak, [300; 4]), "{leaking:#?}");
    // malloc gives a chunk of 48 B where it has one that it can't divide.
    let leak = leaking.leak.as_ref().unwrap().bytes_per_cycle;
    assert!((32.0..48.0).contains(&leak), "{leak}");
    let [place] = leaking.places.as_slice() else { panic!("{:#?}", leaking.places) };
    assert_eq!((place.function.as_deref(), place.count_per_cycle), (Some("leak"), 1.0), "{place:#?}");
    let (code, watch) = watched(&start(&fixture("c-clean")), &["--until-loads", "300"]);
    let clean = named(&watch, "libc-clean.so");
    assert_eq!((code, clean.verdict, counts(clean)), (0, WatchVerdict::Clean, [300; 4]), "{clean:#?}");
    // The host itself does not stand still meanwhile.
    assert!(clean.growth.iter().all(|growth| growth.per_cycle == 0.0), "{:#?}", clean.growth);
}

#[test]
fn a_library_that_python_loads_leaks_and_its_twin_does_not() {
    if has(PYTHON) {
        leaks_and_does_not(|library| real_hosts::python(library).unwrap());
    }
}

#[test]
fn a_library_in_class_loaders_that_are_collected_leaks_and_its_twin_does_not() {
    if has(JAVA) {
        leaks_and_does_not(|library| real_hosts::java(library).unwrap());
    }
}

#[test]
fn modules_of_pam_are_clean() {
    if library("libpam.so.0", "libpam0g").is_none() {
        return;
    }
    let (host, modules) = real_hosts::pam().unwrap();
    assert!(modules >= 17, "{modules} modules of PAM are installed");
    let (code, watch) = watched(&host, &["--until-loads", "200", "--only", "pam_*.so"]);
    assert_eq!((code, watch.libraries.len()), (0, modules), "{watch:#?}");
    for library in &watch.libraries {
        assert_eq!((library.verdict, counts(library)), (WatchVerdict::Clean, [200; 4]), "{library:#?}");
    }
}
