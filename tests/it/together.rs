//! Several libraries in one process, as a scanner of plugins has them: which of them leaves what, which pointer belonged to whom, and what can't
//! be told apart. Beside each stands its twin, which must not trip.

use dlsoak::record::why::{CrashCause, FaultPlace};
use dlsoak::record::{
    Code, Evidence, Facts, Finding, Member, Metric, OutcomeKind, Phase, ResidueKind, Soak, UnloadState,
    Verdict, Why,
};

use crate::hosts::{Built, refused};
use crate::support::{Finished, dlsoak, has, read_record, run};

/// Libraries in the order of their names, each of which leaves what it is told to.
fn leaving(built: &Built, each: &[(&str, &[&str])]) -> Vec<String> {
    each.iter()
        .map(|(name, flags)| built.library(&format!("lib{name}.so"), "../together/leaves.c", flags))
        .collect()
}

fn together(libraries: &[String], more: &[&str]) -> Finished {
    let mut args = vec!["--together"];
    args.extend(libraries.iter().map(String::as_str));
    args.extend(more);
    run(&args)
}

fn of(soak: &Soak, code: Code) -> &Finding {
    let found = soak.judged.findings.iter().find(|finding| finding.code == code);
    found.unwrap_or_else(|| panic!("{}: {:?}", code.name(), soak.judged.findings))
}

#[test]
fn a_pointer_that_one_library_leaves_crashes_the_load_of_another() {
    let built = Built::new();
    built.library("libreg.so", "registry.c", &[]);
    let plugins = |name: &str, undone: &[&str]| {
        // The large one comes first: what is loaded after it does not reach down to its strings.
        [("first", &["-DLARGE"][..]), ("second", &[][..])].map(|(which, large)| {
            let define = format!("-DNAME=\"{which}\"");
            let flags = [&[define.as_str(), "-lreg"], undone, large].concat();
            built.library(&format!("lib{name}-{which}.so"), "../together/scanned.c", &flags)
        })
    };
    let hold = built.text("libreg.so");
    let bad = plugins("bad", &[]);
    for passes in ["+measure", "measure"] {
        let crashed = together(&bad, &["--hold", &hold, "-n", "3", "--passes", passes]);
        let soak = crashed.soak();
        assert_eq!((crashed.code, soak.judged.verdict), (1, Verdict::Crashed), "{}", crashed.stdout);
        assert_eq!((soak.outcome.cycle, soak.outcome.phase), (Some(0), Some(Phase::Open)));
        assert_eq!(soak.outcome.library.as_deref(), Some("libbad-second.so"));
        let Some(Why::Crash(crash)) = &soak.outcome.why else { panic!("{:?}", soak.outcome) };
        let owner = match (&crash.cause, soak.outcome.fault.as_ref().and_then(|fault| fault.place.as_ref())) {
            (CrashCause::StalePointer(pointer), _) if passes == "+measure" => &pointer.target.object,
            (CrashCause::Access, Some(FaultPlace::Unloaded { object, .. })) if passes == "measure" => object,
            other => panic!("{other:?}"),
        };
        assert_eq!(owner, "libbad-first.so");
        assert_eq!(soak.judged.findings[0].object.as_deref(), Some("libbad-first.so"));
        assert!(crashed.stdout.contains("in dlopen of libbad-second.so in cycle 0"), "{}", crashed.stdout);
        assert!(crashed.stdout.contains("libbad-first.so"), "{}", crashed.stdout);
    }
    let good = plugins("good", &["-DUNDONE"]);
    for order in ["given", "shuffle"] {
        let clean = together(&good, &["--hold", &hold, "-n", "800", "--order", order]);
        assert_eq!((clean.code, clean.soak().judged.verdict), (0, Verdict::Clean), "{}", clean.stdout);
    }
    // One library alone comes back to its old address, where the pointer is right again.
    let lone = run(&[&bad[0], "--hold", &hold, "-n", "3", "--passes", "measure"]);
    assert_eq!(lone.soak().outcome.kind, OutcomeKind::Completed, "{}", lone.stdout);
}

#[test]
fn a_pointer_into_the_last_library_is_found_too() {
    let built = Built::new();
    built.library("libreg.so", "registry.c", &[]);
    let hold = built.text("libreg.so");
    let clean = leaving(&built, &[("clean", &[])]).remove(0);
    let bad = built.library("libbad.so", "../together/scanned.c", &["-DNAME=\"bad\"", "-lreg"]);
    // It comes back to its own address as long as nothing else takes that.
    let found = together(&[clean, bad], &["--hold", &hold, "-n", "800"]);
    let soak = found.soak();
    let pointer = soak.residue.iter().find(|left| left.kind() == ResidueKind::DanglingPointer);
    let Some(Evidence::DanglingPointer(pointer)) = pointer.map(|left| &left.evidence) else {
        panic!("{}", found.stdout)
    };
    assert_eq!((found.code, pointer.target.object.as_str()), (1, "libbad.so"), "{}", found.stdout);
    assert_eq!(of(soak, Code::ResidueDanglingPointer).object.as_deref(), Some("libbad.so"));
}

#[test]
fn what_grows_is_that_of_the_library_after_whose_visit_it_does() {
    let built = Built::new();
    let libraries = leaving(
        &built,
        &[("clean", &[]), ("heap", &["-DHEAP"]), ("fds", &["-DFDS"]), ("signal", &["-DSIGNAL"])],
    );
    for order in [&[][..], &["--order", "shuffle:7"], &["-t", "2"], &["--call-from", "short-lived"]] {
        let left = together(&libraries, &[&["-n", "800", "-c", "answer(3) == 3"], order].concat());
        let soak = left.soak();
        assert_eq!((left.code, soak.judged.verdict), (1, Verdict::Leak), "{order:?}: {}", left.stdout);
        let leak = soak.judged.leak.as_ref().unwrap();
        assert_eq!(
            (leak.metric, leak.object.as_deref()),
            (Metric::Heap, Some("libheap.so")),
            "{}",
            left.stdout
        );
        assert_eq!(of(soak, Code::LeakHeap).object.as_deref(), Some("libheap.so"));
        assert_eq!(of(soak, Code::LeakFds).object.as_deref(), Some("libfds.so"), "{}", left.stdout);
        assert_eq!(
            of(soak, Code::ResidueSignalHandler).object.as_deref(),
            Some("libsignal.so"),
            "{}",
            left.stdout
        );
        let fds = soak.residue.iter().find(|left| left.kind() == ResidueKind::Fds).unwrap();
        assert_eq!(fds.object.as_deref(), Some("libfds.so"));
        assert!(soak.together.iter().all(|member| member.state == UnloadState::Unloaded));
        let grows: Vec<f64> = soak
            .together
            .iter()
            .filter_map(|member| member.grows.iter().find(|grows| grows.metric == Metric::Heap))
            .map(|grows| grows.per_cycle)
            .collect();
        assert_eq!(grows, [32.0], "{order:?}");
        let of_heap = of(soak, Code::LeakHeap);
        let Facts::Leak(facts) = &of_heap.facts else { panic!("{of_heap:?}") };
        assert_eq!(facts.by.len(), 1, "{order:?}: {:?}", facts.by);
        assert!(left.stdout.contains("after the visit of libheap.so"), "{}", left.stdout);
        // A lone thread loads each library once in each cycle.
        let loads = soak.together.iter().map(|member| (member.loads_per_cycle, member.unloads_per_cycle));
        let once = if order.first() == Some(&"-t") { (None, None) } else { (Some(1.0), Some(1.0)) };
        assert!(loads.into_iter().all(|loads| loads == once), "{order:?}: {:?}", soak.together);
    }
    // Two that leave the same share it.
    let both = leaving(&built, &[("one", &["-DHEAP", "-DFDS"]), ("two", &["-DHEAP"])]);
    let shared = together(&both, &["-n", "800"]);
    let soak = shared.soak();
    assert_eq!(soak.judged.leak.as_ref().unwrap().object, None, "{}", shared.stdout);
    assert_eq!(of(soak, Code::LeakFds).object.as_deref(), Some("libone.so"));
    assert!(shared.stdout.contains("libone.so by 32 B per cycle and libtwo.so by 32 B"), "{}", shared.stdout);
}

#[test]
fn three_that_leave_nothing_are_clean() {
    let built = Built::new();
    let libraries = leaving(&built, &[("one", &[]), ("two", &[]), ("three", &[])]);
    for order in [&[][..], &["--order", "shuffle"], &["-t", "3"], &["--call-from", "short-lived"]] {
        // In 800 cycles three threads move their page tables by a page or two, which is more than the limit of a clean result.
        let clean = together(&libraries, &[&["-n", "3000"], order].concat());
        let soak = clean.soak();
        assert_eq!((clean.code, soak.judged.verdict), (0, Verdict::Clean), "{order:?}: {}", clean.stdout);
        assert_eq!((soak.together.len(), soak.unload.state), (3, UnloadState::Unloaded));
        let counts = [Metric::Heap, Metric::Threads, Metric::Fds];
        let grows = |member: &Member| member.grows.iter().any(|grows| counts.contains(&grows.metric));
        assert!(!soak.together.iter().any(grows), "{:?}", soak.together);
        assert!(clean.stdout.contains("all are unloaded"), "{}", clean.stdout);
    }
}

#[test]
fn one_of_three_that_stays_is_named() {
    let built = Built::new();
    let libraries = leaving(&built, &[("one", &[]), ("stays", &["-Wl,-z,nodelete"]), ("three", &[])]);
    let pinned = together(&libraries, &["-n", "800"]);
    let soak = pinned.soak();
    assert_eq!((pinned.code, soak.judged.verdict), (1, Verdict::Pinned), "{}", pinned.stdout);
    let states = [UnloadState::Unloaded, UnloadState::Pinned, UnloadState::Unloaded];
    assert!(soak.together.iter().map(|member| member.state).eq(states), "{:?}", soak.together);
    assert_eq!(of(soak, Code::PinnedNodelete).object.as_deref(), Some("libstays.so"));
    assert!(pinned.stdout.contains("libstays.so stays"), "{}", pinned.stdout);
    let allowed = together(&libraries, &["-n", "800", "--allow-pinned=a test"]);
    assert_eq!((allowed.code, allowed.soak().judged.verdict), (0, Verdict::Pinned), "{}", allowed.stdout);
    // Why one stays that the file says nothing of, the loader's log of all of them shows.
    built.library("libkept.so", "kept.c", &["-Wl,-z,nodelete"]);
    let hooks = built.library("libhooks.so", "hooks.c", &["-lkept"]);
    let other = built.library("libother.so", "hooks.c", &["-lkept"]);
    let pinned =
        together(&[libraries[0].clone(), hooks, other], &["-n", "800", "--passes", "measure,diagnose"]);
    let soak = pinned.soak();
    assert!(pinned.code == 1 && soak.unload.state != UnloadState::Unloaded, "{}", pinned.stdout);
    assert_eq!(soak.together[0].state, UnloadState::Unloaded);
}

#[test]
fn an_order_is_repeated_by_its_seed() {
    let built = Built::new();
    let names = ["one", "two", "three", "four"];
    let libraries: Vec<String> = names
        .iter()
        .map(|name| {
            let says = format!("-DSAYS=\"{name}\"");
            built.library(&format!("lib{name}.so"), "../together/leaves.c", &[&says])
        })
        .collect();
    let said = |order: &str| {
        let said = together(&libraries, &["-n", "20", "--passes", "measure", "--order", order]);
        assert!(
            said.soak().replay.contains("--order shuffle:") == (order != "given"),
            "{}",
            said.soak().replay
        );
        assert!(said.soak().replay.contains(&format!("--together {}", libraries[3])));
        said.soak().worker.output_tail.clone()
    };
    let given = said("given");
    let last: Vec<&str> = given.lines().rev().take(4).collect();
    assert_eq!(last, ["four", "three", "two", "one"]);
    let shuffled = said("shuffle:7");
    assert_eq!(shuffled, said("shuffle:7"));
    assert!(shuffled != given && shuffled != said("shuffle:8"), "{shuffled}");
}

#[test]
fn a_set_is_one_soak_of_a_suite() {
    let built = Built::new();
    let libraries = leaving(&built, &[("one", &[]), ("two", &[]), ("three", &[])]);
    let suite = built.text("dlsoak.toml");
    let text = "[defaults]\ncycles = 50\npasses = 'measure'\n\
                [[library]]\npath = 'libone.so'\ntogether = ['libtwo.so', 'libthree.so']\norder = 'shuffle'\n\
                [[library]]\nname = 'alone'\npath = 'libone.so'\n";
    std::fs::write(&suite, text).unwrap();
    let out = built.text("out");
    let soaked = |more: &[&str]| {
        dlsoak().args(["run", &suite, "-o", &out]).args(more).output().unwrap();
        read_record(out.as_ref()).unwrap()
    };
    let both = soaked(&["--jobs", "2"]);
    let names: Vec<&str> = both.soaks.iter().map(|soak| soak.name.as_str()).collect();
    assert_eq!(names, ["one-and-2-more", "alone"]);
    assert_eq!(both.soaks[0].together.len(), 3);
    let again = soaked(&["--resume"]);
    assert_eq!((again.started_at, again.soaks), (both.started_at, both.soaks));
    // A directory stands for the libraries in it.
    let place = built.path("plugins");
    std::fs::create_dir(&place).unwrap();
    for library in &libraries {
        std::fs::copy(library, place.join(library.rsplit('/').next().unwrap())).unwrap();
    }
    let scanned = run(&["--together", place.to_str().unwrap(), "-n", "50", "--passes", "measure"]);
    assert_eq!(scanned.soak().together.len(), 3, "{}", scanned.stdout);
}

#[test]
fn what_can_not_be_told_apart_is_refused_in_one_line() {
    let built = Built::new();
    let [one, two, named, like] = leaving(
        &built,
        &[
            ("one", &[]),
            ("two", &[]),
            ("named", &["-Wl,-soname,libsame.so"]),
            ("like", &["-Wl,-soname,libsame.so"]),
        ],
    )
    .try_into()
    .unwrap();
    let lacks = built.library("liblacks.so", "../together/lacks.c", &[]);
    let (empty, other, link) = (built.path("empty"), built.path("other"), built.path("link.so"));
    std::fs::create_dir(&empty).unwrap();
    std::fs::create_dir(&other).unwrap();
    std::os::unix::fs::symlink(&one, &link).unwrap();
    let same = other.join("libone.so");
    std::fs::copy(&one, &same).unwrap();
    let (same, link, empty) = (same.to_str().unwrap(), link.to_str().unwrap(), empty.to_str().unwrap());
    let [one, two, named, like, lacks] = [&one, &two, &named, &like, &lacks].map(String::as_str);
    for (args, part) in [
        (vec![one, one], "are one file; name each library once"),
        (vec![one, link], "are one file"),
        (vec![one, same], "are both called libone.so"),
        (vec![named, like], "are both called libsame.so"),
        (vec![one], "there is one library only; name at least two"),
        (vec![], "--together names no library"),
        (vec![empty], "no shared library is in this directory"),
        (vec![one, "no/such.so"], "no/such.so: there is no such library"),
        (vec![one, two, "--mode", "copies"], "mode: together opens each library by its path"),
        (vec![one, two, "--mode", "namespace"], "mode: together opens each library by its path"),
        (vec![one, lacks, "-c", "answer(3)"], "liblacks.so: the library does not export `answer`"),
    ] {
        let said = refused(&[&["--together"], &args[..], &["-n", "800"]].concat());
        assert!(said.contains(part), "{args:?}: {said}");
    }
    let said = refused(&[one, "--order", "shuffle", "-n", "800"]);
    assert!(said.contains("order: one library alone has no order"), "{said}");
    let output = dlsoak().args(["verify", one, "--together", two]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.trim().lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("verify each library alone"), "{said}");
}

#[test]
fn a_trace_names_the_library_that_leaks() {
    let built = Built::new();
    let libraries = leaving(&built, &[("clean", &[]), ("heap", &["-DHEAP"])]);
    let leaks = together(&libraries, &["-n", "200", "--trace-on-leak"]);
    let soak = leaks.soak();
    assert!(has(soak, Code::Leaker), "{}", leaks.stdout);
    let place = of(soak, Code::Leaker).place.as_ref().unwrap();
    assert_eq!(place.function.as_deref(), Some("begin"), "{}", leaks.stdout);
    assert!(place.file.as_deref().is_some_and(|file| file.ends_with("leaves.c")));
}
