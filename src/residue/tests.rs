//! Pairs of snapshots with what is true of them.

use super::snapshot::{Action, Child, Environment, Mapping, Own, Snapshot, Stream, Thread, Timer, Wait};
use super::{Context, find};
use crate::record::{Residue, UnloadState};

/// Where the library was in these tests; nothing is mapped there.
const LIBRARY: (u64, u64) = (0x7000_0000, 0x7001_0000);
/// Where libc's code is.
const LIBC: u64 = 0x9000_0000;

fn map(start: u64, bytes: u64, perms: &str, name: &str) -> Mapping {
    Mapping {
        start,
        end: start + bytes,
        read: perms.contains('r'),
        write: perms.contains('w'),
        execute: perms.contains('x'),
        shared: perms.contains('s'),
        name: name.to_owned(),
    }
}

fn process() -> Snapshot {
    let own = Own { float_control: 0x1f80, x87_control: 0x37f, locale: 0 };
    let main = Thread { id: 1, name: "dlsoak".to_owned(), blocked: Some(0), own: Some(own), waits: None };
    Snapshot {
        mappings: vec![
            map(LIBC, 0x1000, "rx", "/usr/lib/libc.so.6"),
            map(0xa000_0000, 0x1000, "rw", ""),
            map(0xb000_0000, 0x1000, "rw", "[stack]"),
        ],
        threads: vec![main],
        descriptors: [(0, "/dev/null".to_owned()), (1, "pipe:[5]".to_owned())].into(),
        signals: vec![Action::default(); 64],
        keys_in_use: 2,
        environment: Some(Environment {
            array_gone: false,
            variables: vec![Some("HOME=/home".to_owned()), Some("LANG=C".to_owned())],
        }),
        locale: Some("C".to_owned()),
        cwd: Some("/srv".to_owned()),
        umask: Some(0o022),
        limits: [("max stack size".to_owned(), "8388608 / unlimited".to_owned())].into(),
        oom_score: Some(0),
        streams: Some(vec![Stream { address: 1, name: "stdout", descriptor: Some(1), buffer: LIBC }]),
        ..Snapshot::default()
    }
}

fn context() -> Context<'static> {
    Context {
        state: UnloadState::Unloaded,
        objects_left: &[],
        library: &[LIBRARY],
        refusal: None,
        makes_shared_files: true,
    }
}

/// What is found after `change` in a library that was unloaded.
fn after(change: impl FnOnce(&mut Snapshot)) -> Vec<Residue> {
    let mut later = process();
    later.cycle = 100;
    change(&mut later);
    find(&[process(), Snapshot { cycle: 0, ..later.clone() }, later], context())
}

/// The only finding, of that kind, whose detail holds these words.
fn told(found: &[Residue], kind: &str, words: &[&str]) {
    let [one] = found else { panic!("{kind}: {found:?}") };
    assert_eq!(one.kind, kind, "{found:?}");
    assert!(words.iter().all(|word| one.detail.contains(word)), "{words:?} in {found:?}");
}

#[test]
fn a_process_as_it_was_has_no_residue() {
    assert_eq!(after(|_| {}), []);
    assert_eq!(find(&[], context()), []);
    assert_eq!(find(&[process()], context()), []);
}

#[test]
fn settings_are_told_with_what_they_were() {
    told(&after(|s| s.cwd = Some("/".to_owned())), "cwd", &["is / and was /srv"]);
    told(&after(|s| s.umask = Some(0)), "umask", &["0000", "0022"]);
    told(&after(|s| s.locale = Some("de_DE".to_owned())), "locale", &["de_DE", "was C"]);
    told(&after(|s| s.oom_score = Some(500)), "oom-score", &["500"]);
    let limit = |s: &mut Snapshot| drop(s.limits.insert("max stack size".to_owned(), "1 / 1".to_owned()));
    told(&after(limit), "rlimits", &["max stack size", "1 / 1", "8388608"]);
    // What lives may raise a limit, as Go does, and lower none.
    let held = Context { state: UnloadState::Pinned, ..context() };
    let with = |limit: &str| {
        let limits = [("max stack size".to_owned(), limit.to_owned())].into();
        find(&[process(), Snapshot { limits, ..process() }], held)
    };
    assert_eq!(with("9388608 / unlimited"), []);
    told(&with("9388608 / 9388608"), "rlimits", &["9388608"]);
    told(&after(|s| s.threads[0].name = "mine".to_owned()), "thread-name", &["`mine`"]);
    told(&after(|s| s.threads[0].blocked = Some(1 << 9)), "signal-mask", &["blocks SIGUSR1"]);
    let own = |own: Own| move |s: &mut Snapshot| s.threads[0].own = Some(own);
    let plain = Own { float_control: 0x1f80, x87_control: 0x37f, locale: 0 };
    told(&after(own(Own { float_control: 0x9fc0, ..plain })), "fp-mode", &["0x9fc0", "-ffast-math"]);
    told(&after(own(Own { x87_control: 0x27f, ..plain })), "fp-mode", &["x87", "0x27f"]);
    told(&after(own(Own { locale: 7, ..plain })), "locale", &["uselocale"]);
}

#[test]
fn a_handler_whose_code_is_gone_kills() {
    let handler = |signal: usize, handler: u64| {
        move |s: &mut Snapshot| s.signals[signal - 1] = Action { handler, flags: 0x400_0000 }
    };
    told(&after(handler(10, LIBRARY.0)), "signal-handler", &["the next SIGUSR1 kills", "not", "mapped"]);
    told(&after(handler(10, LIBC)), "signal-handler", &["SIGUSR1", "libc.so.6", "its default"]);
    told(&after(handler(13, 1)), "signal-handler", &["SIGPIPE has being ignored"]);
    // The default, put back through glibc.
    assert_eq!(after(handler(10, 0)), []);
    // Those are glibc's.
    assert_eq!(after(handler(32, LIBC)), []);
    assert_eq!(after(handler(33, LIBC)), []);
}

#[test]
fn what_lives_may_hold_what_is_left_but_not_what_dangles() {
    let held = Context { state: UnloadState::Pinned, ..context() };
    let mut later = process();
    later.signals[9].handler = LIBC;
    later.threads.push(Thread { id: 2, name: "pool".to_owned(), ..Thread::default() });
    later.descriptors.insert(3, "/dev/null".to_owned());
    later.keys_in_use = 3;
    later.mappings.insert(0, map(0x1000_0000, 0x10_0000, "rw", ""));
    assert_eq!(find(&[process(), later.clone()], held), []);
    assert_eq!(find(&[process(), later.clone()], context()).len(), 5);
    // The same where what stays is not the library but something it brought; a runtime holds nothing.
    let brought = ["/usr/lib/libp11-kit.so.0".to_owned()];
    let partial = Context { state: UnloadState::Partial, objects_left: &brought, ..context() };
    assert_eq!(find(&[process(), later.clone()], partial), []);
    let runtime = ["/usr/lib/libstdc++.so.6".to_owned()];
    let partial = Context { objects_left: &runtime, ..partial };
    assert_eq!(find(&[process(), later.clone()], partial).len(), 5);
    later.signals[9].handler = LIBRARY.0;
    told(&find(&[process(), later.clone()], held), "signal-handler", &["kills"]);
    later.signals[9].handler = 0;
    later.cwd = Some("/".to_owned());
    told(&find(&[process(), later], held), "cwd", &["/srv"]);
}

#[test]
fn a_thread_that_returns_to_code_that_is_gone_is_a_crash_to_come() {
    let thread = |stack: Vec<u64>, at: u64, call: i64| {
        move |s: &mut Snapshot| {
            let waits = Some(Wait { call, at, stack });
            s.threads.push(Thread { id: 2, name: "late".to_owned(), waits, ..Thread::default() });
        }
    };
    told(&after(thread(vec![0, LIBRARY.0 + 16], LIBC, 34)), "threads", &["`late`", "returns", "crashes"]);
    told(&after(thread(vec![], LIBRARY.0 + 8, 202)), "threads", &["is at 0x70000008", "crashes"]);
    told(&after(thread(vec![LIBC], LIBC, 34)), "threads", &["end and join it before"]);
    // glibc's own, for timers.
    assert_eq!(after(thread(vec![LIBC], LIBC, libc::SYS_rt_sigtimedwait)), []);
}

#[test]
fn things_are_told_by_what_they_are() {
    let fd = |s: &mut Snapshot| {
        s.descriptors.extend([(3, "socket:[77]".to_owned()), (4, "socket:[78]".to_owned())]);
    };
    told(&after(fd), "fds", &["2 descriptors", "socket (2 times)"]);
    told(&after(|s| drop(s.descriptors.remove(&1))), "fds", &["descriptor 1 of the host was closed"]);
    let timer = Timer { id: 0, signal: 10, notify: "signal/pid.7".to_owned() };
    told(&after(|s| s.timers.push(timer)), "timers", &["1 timer is left", "sends SIGUSR1"]);
    told(&after(|s| s.interval_timers[0] = 5), "timers", &["SIGALRM"]);
    let child = Child { id: 9, name: "helper".to_owned(), ended: true };
    told(&after(|s| s.children.push(child)), "children", &["`helper`", "nobody has waited"]);
    let segment = |s: &mut Snapshot| s.segments.extend([(5, 4096)]);
    told(&after(segment), "ipc", &["SysV", "4096 B"]);
    let file = |s: &mut Snapshot| s.shared_files.extend([("mine".to_owned(), 3)]);
    told(&after(file), "ipc", &["/dev/shm/mine"]);
    told(&after(|s| s.exit_handlers = (vec![LIBRARY.0], 1)), "atexit", &["on_exit", "exit crashes"]);
    assert_eq!(after(|s| s.exit_handlers = (vec![LIBC], 1)), []);
    told(&after(|s| s.keys_in_use = 3), "tls-keys", &["1 thread-specific key is left"]);
    let refused = Context { refusal: Some((214, "cannot allocate memory in static TLS block")), ..context() };
    told(&find(&[process(), process()], refused), "static-tls", &["after 214 loads", "optional_static_tls"]);
    let at_once = Context { refusal: refused.refusal.map(|(_, text)| (0, text)), ..refused };
    assert_eq!(find(&[process(), process()], at_once), []);
}

#[test]
fn what_grows_is_told_with_its_rate() {
    let at = |cycle: u64, keys_in_use: u32| Snapshot { cycle, keys_in_use, ..process() };
    let series = [process(), at(0, 3), at(10, 13), at(20, 23), at(40, 43)];
    let found = find(&series, context());
    told(&found, "tls-keys", &["41 thread-specific keys", "after about 1022 cycles"]);
    assert_eq!(found[0].per_cycle, Some(1.0));
    // Also where the library stays.
    let held = Context { state: UnloadState::Pinned, ..context() };
    assert_eq!(find(&series, held).len(), 1);
    // A growth that ends is none.
    let series = [process(), at(0, 3), at(10, 13), at(20, 13), at(40, 13)];
    assert_eq!(find(&series, held), []);
    assert_eq!(find(&series, context())[0].per_cycle, None);
}

#[test]
fn the_environment_is_told_by_name_and_not_by_value() {
    let set = |index: usize, text: Option<&str>| {
        let text = text.map(str::to_owned);
        move |s: &mut Snapshot| {
            let variables = &mut s.environment.as_mut().unwrap().variables;
            variables.truncate(index.max(1));
            variables.push(text);
        }
    };
    let found = after(set(2, Some("TOKEN=secret")));
    told(&found, "environment", &["`TOKEN` was set"]);
    assert!(!found[0].detail.contains("secret"));
    told(&after(set(1, Some("LANG=de"))), "environment", &["`LANG` has another value"]);
    told(&after(set(2, None)), "environment", &["1 of the environment's", "getenv", "putenv"]);
    told(&after(set(1, None)), "environment", &["no longer readable: `LANG`"]);
    let removed = |s: &mut Snapshot| drop(s.environment.as_mut().unwrap().variables.pop());
    told(&after(removed), "environment", &["`LANG` was removed"]);
    let gone = |s: &mut Snapshot| s.environment.as_mut().unwrap().array_gone = true;
    told(&after(gone), "environment", &["environ itself"]);
}

#[test]
fn streams_and_their_buffers_are_looked_at() {
    let stream = |address, descriptor, buffer| Stream { address, name: "", descriptor, buffer };
    let open = |s: &mut Snapshot| s.streams.as_mut().unwrap().push(stream(7, Some(4), 0));
    told(&after(open), "stdio", &["1 stream was left open"]);
    let lost = |s: &mut Snapshot| s.streams.as_mut().unwrap()[0].buffer = LIBRARY.0;
    told(&after(lost), "stdio", &["stdout has its buffer", "setvbuf"]);
    let gone = |s: &mut Snapshot| s.streams.as_mut().unwrap().push(stream(LIBRARY.0, None, 0));
    told(&after(gone), "stdio", &["a stream has its FILE"]);
}

#[test]
fn mappings_of_the_c_library_are_not_residue() {
    let with = |maps: Vec<Mapping>| {
        move |s: &mut Snapshot| {
            s.mappings.extend(maps);
            s.mappings.sort_by_key(|m| m.start);
        }
    };
    let arena = 0x4_0000_0000;
    for own in [
        // An arena, its rest reserved; a stack with its guard; a stack without; a table of locales.
        vec![map(arena, 0x2_1000, "rw", ""), map(arena + 0x2_1000, (64 << 20) - 0x2_1000, "", "")],
        vec![map(0x5000_0000, 0x1000, "", ""), map(0x5000_1000, 0x80_0000, "rw", "")],
        vec![map(0x5000_1000, 0x80_1000, "rw", "")],
        vec![map(0x5000_0000, 0x3000, "r", "/usr/lib/locale/C.utf8/LC_CTYPE")],
    ] {
        assert_eq!(after(with(own.clone())), [], "{own:?}");
    }
    let malloc = |s: &mut Snapshot| {
        s.malloc_mapped = 0x10_0000;
        with(vec![map(0x5000_0000, 0x10_0000, "rw", "")])(s);
    };
    assert_eq!(after(malloc), []);
    told(&after(with(vec![map(0x5000_0000, 0x10_0000, "rw", "")])), "mappings", &["1.0 MiB of anonymous"]);
    told(&after(with(vec![map(0x5000_0000, 0x1000, "rwx", "")])), "mappings", &["code may run"]);
    told(&after(with(vec![map(0x5000_0000, 0x1000, "r", "/tmp/data")])), "mappings", &["/tmp/data"]);
    told(&after(with(vec![map(0x5000_0000, 0x1000, "rws", "/SYSV00000001")])), "ipc", &["shmdt"]);
}

#[test]
fn address_space_that_grows_beside_the_heap_is_an_allocators() {
    let at = |cycle: u64| {
        let mut later = Snapshot { cycle, ..process() };
        later.mappings.insert(0, map(0x1000_0000, 0x1000 * (cycle + 1), "rw", ""));
        later
    };
    let found = find(&[process(), at(0), at(20), at(40)], context());
    told(&found, "allocator", &["4,096 B per cycle"]);
    assert_eq!(found[0].per_cycle, Some(4096.0));
}
