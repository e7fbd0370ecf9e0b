//! Drivers of plugin interfaces, each against a plugin that does one thing wrong at a time: the sources are in `tests/drivers`, and the
//! environment's `FIXTURE` says what and in which step.

use std::path::{Path, PathBuf};

use dlsoak::record::{Code, Metric, OutcomeKind, Verdict, Why};
use tempfile::TempDir;

use crate::support::{Finished, compile, dlsoak, growth, has, library, run};

/// A plugin of `tests/drivers`, and the steps in which it can leak, fail and crash.
struct Plugin {
    driver: &'static str,
    source: &'static str,
    leak: &'static [&'static str],
    fail: &'static [&'static str],
    crash: &'static [&'static str],
    /// Files that the driver's host finds beside the plugin.
    beside: &'static [(&'static str, &'static str)],
    /// Whether hosts of the interface never unload a plugin.
    keeps: bool,
}

const PLUGIN: Plugin =
    Plugin { driver: "", source: "", leak: &[], fail: &[], crash: &[], beside: &[], keeps: false };

fn soak(plugin: &Path, driver: &str, cycles: &str, fixture: &str, more: &[&str]) -> Finished {
    let fixture = format!("FIXTURE={fixture}");
    let plugin = plugin.to_str().unwrap();
    run(&[&[plugin, "--as", driver, "-n", cycles, "--env", &fixture], more].concat())
}

impl Plugin {
    fn built(&self, directory: &TempDir) -> PathBuf {
        let to = directory.path().join(self.source.replace(".c", ".so"));
        compile(&["-shared", "-fPIC", "-g", "-O1"], &format!("tests/drivers/{}", self.source), &to);
        for (name, text) in self.beside {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        to
    }

    fn is_known_by_its_driver(&self) {
        let directory = tempfile::tempdir().unwrap();
        let plugin = self.built(&directory);
        let passes = ["--passes", "measure"];
        let clean = soak(&plugin, self.driver, "2000", "", &[]);
        assert_eq!(clean.code, 0, "{}", clean.stdout);
        let driven = clean.soak().driver.as_ref().unwrap();
        assert_eq!((driven.instances, driven.keeps), (1, self.keeps));
        assert_eq!(has(clean.soak(), Code::PinnedInterfaceNeverUnloads), self.keeps, "{}", clean.stdout);
        for step in self.leak {
            let leaks = soak(&plugin, self.driver, "1000", &format!("leak-{step}"), &passes);
            assert_eq!(leaks.soak().judged.verdict, Verdict::Leak, "{step}: {}", leaks.stdout);
            // 40 bytes for each call of the step, in chunks of malloc; some have two calls.
            let rate = growth(leaks.soak(), Metric::Heap).per_cycle;
            assert!((40.0..200.0).contains(&rate), "{step}: {rate}");
        }
        for step in self.fail {
            let fails = soak(&plugin, self.driver, "100", &format!("fail-{step}"), &passes);
            assert_eq!(fails.soak().judged.verdict, Verdict::CallFailed, "{step}: {}", fails.stdout);
            match &fails.soak().outcome.why {
                Some(Why::StepFailed { step: failed, .. }) => assert_eq!(failed, step),
                other => panic!("{step}: {other:?}"),
            }
        }
        for step in self.crash {
            let crashes = soak(&plugin, self.driver, "100", &format!("crash-{step}"), &passes);
            assert_eq!(crashes.soak().outcome.kind, OutcomeKind::Crashed, "{step}: {}", crashes.stdout);
            let function = format!("crash_{step}");
            let named = [function.as_str(), self.source, "in dlsoak-drivers.so"]
                .iter()
                .all(|it| crashes.stdout.contains(it));
            assert!(named, "{step}: {}", crashes.stdout);
        }
    }
}

#[test]
fn ladspa() {
    Plugin {
        driver: "ladspa",
        source: "ladspa.c",
        leak: &["describe", "instantiate", "connect_port", "activate", "run", "deactivate", "cleanup"],
        fail: &["instantiate"],
        crash: &["describe", "instantiate", "connect_port", "activate", "run", "deactivate", "cleanup"],
        ..PLUGIN
    }
    .is_known_by_its_driver();
}

#[test]
fn lv2() {
    Plugin {
        driver: "lv2",
        source: "lv2.c",
        leak: &["instantiate", "activate", "run", "work", "deactivate", "cleanup"],
        fail: &["instantiate"],
        crash: &["instantiate", "connect_port", "run", "work", "cleanup"],
        beside: &[(
            "manifest.ttl",
            "@prefix lv2: <http://lv2plug.in/ns/lv2core#> . @prefix atom: <http://lv2plug.in/ns/ext/atom#> .
             <urn:dlsoak:fixture> a lv2:Plugin ; lv2:binary <lv2.so> ; lv2:port
               [ a lv2:InputPort , lv2:AudioPort ; lv2:index 0 ] , [ a lv2:OutputPort , lv2:AudioPort ; lv2:index 1 ] ,
               [ a lv2:InputPort , lv2:ControlPort ; lv2:index 2 ; lv2:default 0.5 ] ,
               [ a lv2:InputPort , atom:AtomPort ; lv2:index 3 ] , [ a lv2:OutputPort , atom:AtomPort ; lv2:index 4 ] .",
        )],
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
    Plugin { driver: "lua", source: "lua.c", leak: close, fail: open, crash: close, ..PLUGIN }
        .is_known_by_its_driver();
    Plugin {
        driver: "lua-kept",
        source: "lua.c",
        leak: &["open", "collect"],
        fail: open,
        crash: open,
        ..PLUGIN
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
        leak: steps,
        fail: &["init"],
        crash: &["init"],
        ..PLUGIN
    };
    Plugin { keeps: true, ..plugin }.is_known_by_its_driver();
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
fn gstreamer() {
    if library("libgstreamer-1.0.so.0", "libgstreamer1.0-0").is_none() {
        return;
    }
    let steps = &["create", "unref"];
    let plugin = Plugin {
        driver: "gstreamer",
        source: "gstreamer.c",
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
