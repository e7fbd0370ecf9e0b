//! Drivers of plugin interfaces, each against a plugin that does one thing wrong at a time: the sources are in `tests/drivers`, and the
//! environment's `FIXTURE` says what and in which step. A bare host in C makes the same cycles, and has to find the same.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dlsoak::record::{Code, Metric, OutcomeKind, Verdict, Why};
use dlsoak_wire::interface::Interface;
use tempfile::TempDir;

use crate::support::{Finished, compile, dlsoak, growth, has, installed, library, run};

/// A plugin of `tests/drivers`, and the steps in which it can leak, fail and crash.
#[derive(Clone, Copy)]
struct Plugin {
    driver: &'static str,
    source: &'static str,
    /// More for its compiler.
    flags: &'static [&'static str],
    leak: &'static [&'static str],
    fail: &'static [&'static str],
    crash: &'static [&'static str],
    /// Files that the driver's host finds beside the plugin.
    beside: &'static [(&'static str, &'static str)],
    /// Whether hosts of the interface never unload a plugin.
    keeps: bool,
    /// Cycles that show a leak.
    cycles: &'static str,
    /// What the bare host is linked with, and what it is called with besides the plugin and the cycles.
    link: &'static [&'static str],
    argument: Option<&'static str>,
    /// Steps that are one with another of the bare host.
    joined: &'static [(&'static str, &'static str)],
    /// Bytes per cycle by which the two hosts may differ.
    tolerance: f64,
}

const PLUGIN: Plugin = Plugin {
    driver: "",
    source: "",
    flags: &[],
    leak: &[],
    fail: &[],
    crash: &[],
    beside: &[],
    keeps: false,
    cycles: "1000",
    link: &[],
    argument: None,
    joined: &[],
    // A gap of the heap that is up to 16 B larger than a block goes with the block, and where gaps are is up to the host.
    tolerance: 16.0,
};

fn soak(plugin: &Path, driver: &str, cycles: &str, fixture: &str, more: &[&str]) -> Finished {
    let fixture = format!("FIXTURE={fixture}");
    let plugin = plugin.to_str().unwrap();
    run(&[&[plugin, "--as", driver, "-n", cycles, "--env", &fixture], more].concat())
}

impl Plugin {
    fn built(&self, directory: &TempDir) -> PathBuf {
        let to = directory.path().join(self.source.replace(".c", ".so"));
        let flags = [&["-shared", "-fPIC", "-g", "-O1"], self.flags].concat();
        compile(&flags, &format!("tests/drivers/{}", self.source), &to);
        for (name, text) in self.beside {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        to
    }

    /// Four threads at the same time. What else than the heap grows is undecided after as few cycles.
    fn is_the_same_in_threads(&self, plugin: &Path) {
        let threads = ["--threads", "4", "--passes", "measure"];
        let clean = soak(plugin, self.driver, self.cycles, "", &threads);
        let heap = growth(clean.soak(), Metric::Heap).per_cycle;
        assert!(clean.soak().outcome.kind == OutcomeKind::Completed && heap < 8.0, "{}", clean.stdout);
        let leak = format!("leak-{}", self.leak[0]);
        let leaks = soak(plugin, self.driver, self.cycles, &leak, &threads);
        assert_eq!(leaks.soak().judged.verdict, Verdict::Leak, "{leak}: {}", leaks.stdout);
    }

    /// The bare host.
    fn host(&self, directory: &TempDir) -> PathBuf {
        let to = directory.path().join("host");
        compile(self.link, &format!("tests/drivers/host_{}", self.source), &to);
        to
    }

    /// What the bare host says of the plugin.
    fn bare(&self, host: &Path, plugin: &Path, cycles: &str, fixture: &str) -> Output {
        let mut command = Command::new(host);
        command.arg(plugin).arg(cycles).args(self.argument).env("FIXTURE", fixture);
        command.output().unwrap()
    }

    fn is_known_by_its_driver(&self) {
        let directory = tempfile::tempdir().unwrap();
        let (plugin, host) = (self.built(&directory), self.host(&directory));
        let passes = ["--passes", "measure"];
        let clean = soak(&plugin, self.driver, "2000", "", &[]);
        assert_eq!(clean.code, 0, "{}", clean.stdout);
        let driven = clean.soak().driver.as_ref().unwrap();
        assert_eq!((driven.instances, driven.keeps), (1, self.keeps));
        assert_eq!(has(clean.soak(), Code::PinnedInterfaceNeverUnloads), self.keeps, "{}", clean.stdout);
        self.is_the_same_in_threads(&plugin);
        let bare = facts(&self.bare(&host, &plugin, self.cycles, ""));
        for (name, value) in [
            ("unloaded", if self.keeps { "no" } else { "yes" }),
            ("descriptors", "0"),
            ("threads", "0"),
            ("dangling", "0"),
            ("modes", "same"),
            ("locale", "same"),
        ] {
            assert_eq!(bare.get(name).map(String::as_str), Some(value), "{bare:?}");
        }
        for step in self.leak {
            let leaks = soak(&plugin, self.driver, self.cycles, &format!("leak-{step}"), &passes);
            assert_eq!(leaks.soak().judged.verdict, Verdict::Leak, "{step}: {}", leaks.stdout);
            // 40 bytes for each call of the step, in chunks of malloc; some have two calls.
            let rate = growth(leaks.soak(), Metric::Heap).per_cycle;
            assert!((40.0..200.0).contains(&rate), "{step}: {rate}");
            let bare = facts(&self.bare(&host, &plugin, self.cycles, &format!("leak-{step}")));
            let differs = (bare["heap"].parse::<f64>().unwrap() - rate).abs();
            assert!(differs <= self.tolerance, "{step}: {rate}, {bare:?}");
        }
        if !self.keeps {
            let dangling = format!("dangling-{}", self.leak[0]);
            let leaves = soak(&plugin, self.driver, "100", &dangling, &["--passes", "measure,pointers"]);
            assert!(has(leaves.soak(), Code::ResidueDanglingPointer), "{}", leaves.stdout);
            let bare = facts(&self.bare(&host, &plugin, "100", &dangling));
            assert!(bare["dangling"].parse::<u64>().unwrap() > 0, "{bare:?}");
        }
        let of_leak = format!("FIXTURE=leak-{}", self.leak[0]);
        let mut trace = dlsoak();
        trace.arg("trace").arg(&plugin).args(["--as", self.driver, "-n", "50", "--env", &of_leak, "-o"]);
        let traced = trace.arg(directory.path().join("trace")).output().unwrap();
        let traced = String::from_utf8_lossy(&traced.stdout);
        let place = format!("leak_{} ({}:", self.leak[0], self.source);
        assert!(traced.contains(&place), "{place}: {traced}");
        for step in self.fail {
            let fails = soak(&plugin, self.driver, "100", &format!("fail-{step}"), &passes);
            assert_eq!(fails.soak().judged.verdict, Verdict::CallFailed, "{step}: {}", fails.stdout);
            match &fails.soak().outcome.why {
                Some(Why::StepFailed { step: failed, .. }) => assert_eq!(failed, step),
                other => panic!("{step}: {other:?}"),
            }
            let interface = Interface::ALL.iter().find(|interface| interface.facts().name == self.driver);
            let steps = interface.unwrap().facts().steps;
            let of_host = self
                .joined
                .iter()
                .find(|(of_driver, _)| of_driver == step)
                .map_or(*step, |(_, of_host)| *of_host);
            let number = steps.iter().position(|name| *name == of_host).unwrap() + 1;
            let bare = facts(&self.bare(&host, &plugin, "100", &format!("fail-{step}")));
            assert_eq!(bare["step"], number.to_string(), "{step}: {bare:?}");
        }
        for step in self.crash {
            let all_frames = [passes.as_slice(), &["-v"]].concat();
            let crashes = soak(&plugin, self.driver, "100", &format!("crash-{step}"), &all_frames);
            assert_eq!(crashes.soak().outcome.kind, OutcomeKind::Crashed, "{step}: {}", crashes.stdout);
            let function = format!("crash_{step}");
            let named = [function.as_str(), self.source, "in dlsoak-drivers.so"]
                .iter()
                .all(|it| crashes.stdout.contains(it));
            assert!(named, "{step}: {}", crashes.stdout);
            let bare = self.bare(&host, &plugin, "100", &format!("crash-{step}"));
            assert!(bare.status.signal().is_some(), "{step}: {bare:?}");
        }
    }
}

/// The facts in the last line of a bare host's output: `key=value`, with spaces between.
fn facts(output: &Output) -> HashMap<String, String> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let words = stdout.lines().last().unwrap_or_default().split(' ').filter_map(|word| word.split_once('='));
    words.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn ladspa() {
    Plugin {
        driver: "ladspa",
        source: "ladspa.c",
        link: &["-Wl,--no-as-needed", "-lm"],
        leak: &["describe", "instantiate", "connect_port", "activate", "run", "deactivate", "cleanup"],
        fail: &["instantiate"],
        crash: &["describe", "instantiate", "connect_port", "activate", "run", "deactivate", "cleanup"],
        ..PLUGIN
    }
    .is_known_by_its_driver();
}

#[test]
fn lv2() {
    // The bare host asks it for what the bundle says.
    if library("liblilv-0.so.0", "liblilv-0-0").is_none() {
        return;
    }
    let plugin = Plugin {
        driver: "lv2",
        source: "lv2.c",
        link: &["-Wl,--no-as-needed", "-lm"],
        leak: &["instantiate", "activate", "run", "work", "deactivate", "cleanup"],
        fail: &["instantiate"],
        crash: &["instantiate", "connect_port", "run", "work", "cleanup"],
        beside: &[(
            "manifest.ttl",
            "@prefix lv2: <http://lv2plug.in/ns/lv2core#> . @prefix atom: <http://lv2plug.in/ns/ext/atom#> .
             <urn:dlsoak:fixture> a lv2:Plugin ; lv2:binary <lv2.so> ; lv2:port
               [ a lv2:InputPort , lv2:AudioPort ; lv2:index 0 ; lv2:symbol \"in\" ] ,
               [ a lv2:OutputPort , lv2:AudioPort ; lv2:index 1 ; lv2:symbol \"out\" ] ,
               [ a lv2:InputPort , lv2:ControlPort ; lv2:index 2 ; lv2:symbol \"gain\" ; lv2:default 0.5 ] ,
               [ a lv2:InputPort , atom:AtomPort ; lv2:index 3 ; lv2:symbol \"events\" ] ,
               [ a lv2:OutputPort , atom:AtomPort ; lv2:index 4 ; lv2:symbol \"answers\" ] .",
        )],
        ..PLUGIN
    };
    plugin.is_known_by_its_driver();
    // The same, where the library's descriptor gives those of the plugins.
    let steps = &["lib_descriptor", "lib_cleanup"];
    Plugin { flags: &["-DLIBRARY"], leak: steps, fail: &["lib_descriptor"], crash: steps, ..plugin }
        .is_known_by_its_driver();
}

#[test]
fn a_bundle_may_have_many_plugins_and_a_link_to_their_file() {
    let (bundle, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let plugin = Plugin { driver: "lv2", source: "lv2.c", ..PLUGIN }.built(&elsewhere);
    // More than a call expression may have.
    let others = (0..3000).map(|number| format!("-{number}"));
    let plugins = others.chain([String::new()]);
    let plugins =
        plugins.map(|end| format!("<urn:dlsoak:fixture{end}> a lv2:Plugin ; lv2:binary <lv2.so> .\n"));
    let manifest = format!("@prefix lv2: <http://lv2plug.in/ns/lv2core#> .\n{}", plugins.collect::<String>());
    std::fs::write(bundle.path().join("manifest.ttl"), manifest).unwrap();
    let link = bundle.path().join("lv2.so");
    std::os::unix::fs::symlink(plugin, &link).unwrap();
    let fails = soak(&link, "lv2", "10", "fail-instantiate", &["--passes", "measure"]);
    assert_eq!(fails.soak().judged.verdict, Verdict::CallFailed, "{}", fails.stdout);
}

#[test]
fn clap() {
    let steps = &[
        "init",
        "get_factory",
        "describe",
        "create",
        "plugin_init",
        "get_extension",
        "ports",
        "activate",
        "start_processing",
        "process",
        "stop_processing",
        "on_main_thread",
        "deactivate",
        "destroy",
        "deinit",
    ];
    Plugin {
        driver: "clap",
        source: "clap.c",
        link: &["-Wl,--no-as-needed", "-lm"],
        leak: steps,
        fail: &[
            "init",
            "describe",
            "create",
            "plugin_init",
            "ports",
            "activate",
            "start_processing",
            "process",
        ],
        crash: steps,
        ..PLUGIN
    }
    .is_known_by_its_driver();
}

#[test]
fn frei0r() {
    Plugin {
        driver: "frei0r",
        source: "frei0r.c",
        leak: &["init", "get_plugin_info", "construct", "set_param_value", "update", "destruct", "deinit"],
        fail: &["init", "construct"],
        crash: &["init", "construct", "update", "destruct", "deinit"],
        ..PLUGIN
    }
    .is_known_by_its_driver();
}

#[test]
fn gconv() {
    Plugin {
        driver: "gconv",
        source: "gconv.c",
        leak: &["init", "convert", "flush", "end"],
        fail: &["init", "convert", "flush"],
        crash: &["init", "convert", "flush", "end"],
        beside: &[("gconv-modules", "module FIXTURE// INTERNAL gconv 1\n")],
        ..PLUGIN
    }
    .is_known_by_its_driver();
}

#[test]
fn sqlite() {
    if library("libsqlite3.so.0", "libsqlite3-0").is_none() {
        return;
    }
    let steps = &["init", "function", "close"];
    Plugin {
        driver: "sqlite",
        source: "sqlite.c",
        link: &["-l:libsqlite3.so.0"],
        leak: steps,
        fail: &["init", "function"],
        crash: steps,
        ..PLUGIN
    }
    .is_known_by_its_driver();
}

#[test]
fn nss() {
    let steps = &["passwd", "hosts"];
    Plugin { driver: "nss", source: "nss.c", leak: steps, fail: steps, crash: steps, ..PLUGIN }
        .is_known_by_its_driver();
}

#[test]
fn lua() {
    if library("liblua5.3.so.0", "liblua5.3-0").is_none() {
        return;
    }
    let (open, close) = (&["open"], &["open", "close"]);
    let plugin = Plugin { source: "lua.c", link: &["-l:liblua5.3.so.0"], fail: open, ..PLUGIN };
    Plugin { driver: "lua", leak: close, crash: close, ..plugin }.is_known_by_its_driver();
    Plugin {
        driver: "lua-kept",
        leak: &["open", "collect"],
        crash: &["open", "collect"],
        argument: Some("kept"),
        ..plugin
    }
    .is_known_by_its_driver();
}

#[test]
fn python() {
    if library("libpython3.11.so.1.0", "libpython3.11").is_none() {
        return;
    }
    let steps = &["init", "create", "exec", "collect"];
    let plugin = Plugin {
        driver: "python",
        source: "python.c",
        link: &["-l:libpython3.11.so.1.0"],
        // What Python keeps moves about in the heap, and a gap that is larger than a block goes with the block.
        tolerance: 32.0,
        // importlib makes one call of both.
        joined: &[("create", "init")],
        leak: steps,
        fail: &["init", "create", "exec"],
        crash: steps,
        ..PLUGIN
    };
    Plugin { keeps: true, ..plugin }.is_known_by_its_driver();
}

#[test]
fn a_fresh_interpreter_for_each_cycle() {
    if library("libpython3.11.so.1.0", "libpython3.11").is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let plugin = Plugin { source: "python.c", ..PLUGIN }.built(&directory);
    // A cycle takes 10 ms.
    let soaked =
        |fixture: &str| soak(&plugin, "python-fresh", "100", fixture, &["--passes", "measure", "-v"]);
    for (fixture, bytes) in [("", 0.0), ("leak-init", 48.0), ("leak-exec", 48.0), ("leak-finalize", 48.0)] {
        let finished = soaked(fixture);
        let rate = growth(finished.soak(), Metric::Heap).per_cycle;
        assert!((rate - bytes).abs() <= 16.0, "{fixture}: {rate}");
        assert!(has(finished.soak(), Code::PinnedInterfaceNeverUnloads), "{fixture}: {}", finished.stdout);
        assert!(!has(finished.soak(), Code::ResidueLocale), "{fixture}: {}", finished.stdout);
    }
    let fails = soaked("fail-exec");
    assert!(matches!(&fails.soak().outcome.why, Some(Why::StepFailed { step, .. }) if step == "exec"));
    let crashes = soaked("crash-finalize");
    assert!(
        ["crash_finalize", "python.c", "in dlsoak-drivers.so"].iter().all(|it| crashes.stdout.contains(it)),
        "{}",
        crashes.stdout
    );
}

#[test]
fn vulkan() {
    Plugin {
        driver: "vulkan",
        source: "vulkan.c",
        leak: &["negotiate", "create_instance", "enumerate", "properties", "destroy_instance"],
        fail: &["negotiate", "create_instance", "enumerate"],
        crash: &["negotiate", "create_instance", "enumerate", "properties", "destroy_instance"],
        ..PLUGIN
    }
    .is_known_by_its_driver();
}

#[test]
fn opencl() {
    let steps =
        &["platform_ids", "platform_info", "device_ids", "device_info", "create_context", "release_context"];
    Plugin { driver: "opencl", source: "opencl.c", leak: steps, fail: steps, crash: steps, ..PLUGIN }
        .is_known_by_its_driver();
}

#[test]
fn opencl_s_loader_is_no_driver() {
    let directory = tempfile::tempdir().unwrap();
    for (flags, is_driver) in [(&["-DHIDDEN"], true), (&["-DLOADER"], false)] {
        let plugin = Plugin { driver: "opencl", source: "opencl.c", flags, ..PLUGIN }.built(&directory);
        // Nobody says which interface it is.
        let finished = run(&[plugin.to_str().unwrap(), "-n", "100"]);
        assert_eq!(finished.soak().driver.is_some(), is_driver, "{}", finished.stdout);
    }
}

/// They export names like those of their plugins.
#[test]
fn a_host_s_own_library_is_no_plugin() {
    let hosts = [("libsqlite3.so.0", "libsqlite3-0"), ("liblua5.3.so.0", "liblua5.3-0")];
    for library in hosts.into_iter().filter_map(|(name, package)| library(name, package)) {
        let finished = run(&[library.to_str().unwrap(), "-n", "20"]);
        assert_eq!(finished.soak().driver, None, "{}", finished.stdout);
        assert!(!has(finished.soak(), Code::PinnedAlreadyLoaded), "{}", finished.stdout);
    }
}

#[test]
fn openssl() {
    if library("libcrypto.so.3", "libssl3").is_none() {
        return;
    }
    // The bare host includes them.
    let headers = Path::new("/usr/include/openssl/provider.h").exists();
    if !installed("OpenSSL's headers", headers, "apt install libssl-dev") {
        return;
    }
    let steps = &[
        "load",
        "query",
        "digest_new",
        "digest",
        "digest_free",
        "cipher",
        "mac",
        "kdf",
        "rand",
        "key",
        "key_free",
        "sign",
        "exchange",
        "encrypt",
        "encapsulate",
        "encode",
        "decode",
        "teardown",
    ];
    Plugin {
        driver: "openssl",
        source: "openssl.c",
        leak: steps,
        fail: &[
            "load",
            "fetch",
            "digest",
            "cipher",
            "mac",
            "rand",
            "sign",
            "exchange",
            "encrypt",
            "encapsulate",
        ],
        crash: steps,
        // A cycle takes milliseconds.
        cycles: "100",
        link: &["-lcrypto"],
        argument: Some("strict"),
        ..PLUGIN
    }
    .is_known_by_its_driver();
}

#[test]
fn gstreamer() {
    if library("libgstreamer-1.0.so.0", "libgstreamer1.0-0").is_none() {
        return;
    }
    let steps = &["create", "unref"];
    let plugin = Plugin {
        driver: "gstreamer",
        source: "gstreamer.c",
        link: &["-l:libgstreamer-1.0.so.0", "-l:libgobject-2.0.so.0"],
        leak: steps,
        fail: &["load"],
        crash: steps,
        ..PLUGIN
    };
    Plugin { keeps: true, ..plugin }.is_known_by_its_driver();
}

#[test]
fn what_instances_leak_stands_apart_from_what_a_load_leaks() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = Plugin { driver: "ladspa", source: "ladspa.c", ..PLUGIN }.built(&directory);
    // Nobody says which interface it is.
    let leaks =
        run(&[plugin.to_str().unwrap(), "-n", "1000", "--instances", "3", "--env", "FIXTURE=leak-run"]);
    assert_eq!(leaks.soak().driver.as_ref().map(|driven| &*driven.interface), Some("LADSPA"));
    assert_eq!(growth(leaks.soak(), Metric::Heap).per_cycle, 144.0);
    assert!(has(leaks.soak(), Code::ShareCall), "{}", leaks.stdout);
    assert!(leaks.stdout.contains("48 B for each"), "{}", leaks.stdout);
    let loads = soak(&plugin, "none", "1000", "leak-run", &[]);
    assert_eq!((loads.code, &loads.soak().driver), (0, &None), "{}", loads.stdout);
}

#[test]
fn a_driver_that_can_not_be_used_is_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = Plugin { driver: "ladspa", source: "ladspa.c", ..PLUGIN }.built(&directory);
    for (more, said) in [
        (&["--as", "frei0r"][..], "exports no `f0r_get_plugin_info`"),
        (&["--as", "vst"][..], "there is no driver of this name"),
        (&["--as", "ladspa", "-c", "f()"][..], "makes all calls of a cycle"),
        (&["--as", "ladspa", "--mode", "namespace"][..], "without mode `namespace`"),
        (&["--instances", "0"][..], "out of range"),
    ] {
        let output =
            dlsoak().args(["run", plugin.to_str().unwrap(), "-n", "10"]).args(more).output().unwrap();
        let failed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{failed}");
        assert!(failed.contains(said), "{failed}");
    }
}
