//! Pairs of snapshots with what is true of them.

use super::snapshot::{Action, Child, Environment, Mapping, Own, Snapshot, Stream, Thread, Timer, Wait};
use super::{Context, find, tally};
use crate::record::{
    self, At, Counted, CrashHow, EnvironmentChange, Evidence, FpChange, FpRegister, LocaleChange, Mapped,
    Place, Residue, SharedMemory, SignalAction, SoftHard, StreamChange, Tally, ThreadCrash, UnloadState,
};

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
        keys_most: 1024,
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
        until: u64::MAX,
        refusal: None,
        makes_shared_files: true,
        page: 4096,
    }
}

/// What is found after `change` in a library that was unloaded.
fn after(change: impl FnOnce(&mut Snapshot)) -> Vec<Residue> {
    let mut later = process();
    later.cycle = 100;
    change(&mut later);
    find(&[process(), Snapshot { cycle: 0, ..later.clone() }, later], context())
}

/// That there is one finding, with that evidence.
#[track_caller]
fn is(found: &[Residue], evidence: &Evidence) {
    let [one] = found else { panic!("{evidence:?} is not the only one of {found:?}") };
    assert_eq!(one.evidence, *evidence);
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// Things of which there is one each.
fn each<T: PartialEq>(things: impl IntoIterator<Item = T>) -> Tally<T> {
    let items: Vec<_> = things.into_iter().map(|what| Counted { what, count: 1 }).collect();
    Tally { count: items.len() as u64, items, more: 0 }
}

fn names(names: &[&str]) -> Tally<String> {
    each(names.iter().map(|name| text(name)))
}

fn gone(address: u64) -> At {
    At { address: format!("{address:#x}"), place: Place::Unmapped }
}

#[test]
fn a_process_as_it_was_has_no_residue() {
    assert_eq!(after(|_| {}), []);
    assert_eq!(find(&[], context()), []);
    assert_eq!(find(&[process()], context()), []);
}

#[test]
fn a_tally_keeps_the_most_frequent() {
    let tally = tally(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "j"]);
    assert_eq!((tally.count, tally.items.len(), tally.more), (11, 8, 2));
    assert_eq!(tally.items[0], Counted { what: "j", count: 2 });
}

#[test]
fn settings_are_found_with_what_they_were() {
    let cwd = Evidence::Cwd { old: text("/srv"), new: text("/") };
    is(&after(|s| s.cwd = Some(text("/"))), &cwd);
    is(&after(|s| s.umask = Some(0)), &Evidence::Umask { old: text("0022"), new: text("0000") });
    let locale = LocaleChange::Process { old: text("C"), new: text("de_DE") };
    is(&after(|s| s.locale = Some(text("de_DE"))), &Evidence::Locale(locale));
    is(&after(|s| s.oom_score = Some(500)), &Evidence::OomScore { old: 0, new: 500 });
    let limit = |soft, hard| Evidence::Rlimits {
        limit: text("max stack size"),
        old: SoftHard { soft: Some(8_388_608), hard: None },
        new: SoftHard { soft: Some(soft), hard },
    };
    let lower = |s: &mut Snapshot| drop(s.limits.insert(text("max stack size"), text("1 / 1")));
    is(&after(lower), &limit(1, Some(1)));
    // What lives may raise a limit, as Go does, and lower none.
    let held = Context { state: UnloadState::Pinned, ..context() };
    let with = |limit: &str| {
        let limits = [(text("max stack size"), text(limit))].into();
        find(&[process(), Snapshot { limits, ..process() }], held)
    };
    assert_eq!(with("9388608 / unlimited"), []);
    is(&with("9388608 / 9388608"), &limit(9_388_608, Some(9_388_608)));
    is(&after(|s| s.threads[0].name = text("mine")), &Evidence::ThreadName { new: text("mine") });
    let mask = Evidence::SignalMask { blocked: vec![text("SIGUSR1")], unblocked: vec![] };
    is(&after(|s| s.threads[0].blocked = Some(1 << 9)), &mask);
    let own = |own: Own| move |s: &mut Snapshot| s.threads[0].own = Some(own);
    let plain = Own { float_control: 0x1f80, x87_control: 0x37f, locale: 0 };
    is(&after(own(Own { locale: 7, ..plain })), &Evidence::Locale(LocaleChange::Thread));
    let mode = |register, old: &str, new: &str, changes: &[FpChange]| Evidence::FpMode {
        register,
        old: text(old),
        new: text(new),
        changes: changes.to_vec(),
    };
    let x87 = mode(FpRegister::X87, "0x37f", "0x27f", &[FpChange::Precision]);
    is(&after(own(Own { x87_control: 0x27f, ..plain })), &x87);
    if cfg!(target_arch = "aarch64") {
        let float = mode(FpRegister::Fpcr, "0x1f80", "0x1001f80", &[FpChange::FlushToZero { on: true }]);
        is(&after(own(Own { float_control: 0x100_1f80, ..plain })), &float);
    } else {
        let zero = [FpChange::FlushToZero { on: true }, FpChange::DenormalsAreZero { on: true }];
        let float = mode(FpRegister::Mxcsr, "0x1f80", "0x9fc0", &zero);
        is(&after(own(Own { float_control: 0x9fc0, ..plain })), &float);
    }
}

#[test]
fn a_handler_whose_code_is_gone_kills() {
    let handler = |signal: usize, handler: u64| {
        move |s: &mut Snapshot| s.signals[signal - 1] = Action { handler, flags: 0x400_0000 }
    };
    let action = |signal: &str, new: SignalAction, gone: bool| Evidence::SignalHandler {
        signal: text(signal),
        old: SignalAction::Default,
        new,
        gone,
    };
    let at = |at: At| SignalAction::Handler { at, flags: text("0x4000000") };
    is(&after(handler(10, LIBRARY.0)), &action("SIGUSR1", at(gone(LIBRARY.0)), true));
    let libc = At { address: format!("{LIBC:#x}"), place: Place::File(text("/usr/lib/libc.so.6")) };
    is(&after(handler(10, LIBC)), &action("SIGUSR1", at(libc), false));
    is(&after(handler(13, 1)), &action("SIGPIPE", SignalAction::Ignore, false));
    // Memory without code.
    let anonymous = At { address: text("0xa0000000"), place: Place::Anonymous };
    is(&after(handler(10, 0xa000_0000)), &action("SIGUSR1", at(anonymous), true));
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
    let found = find(&[process(), later.clone()], held);
    assert!(matches!(&found[..], [Residue { evidence: Evidence::SignalHandler { gone: true, .. }, .. }]));
    later.signals[9].handler = 0;
    // What lives owns keys by right, but none of the host's.
    later.keys_deleted = 1;
    let deleted = Evidence::TlsKeys { left: 0, limit: 1024, lasts_cycles: None, deleted: vec![0] };
    is(&find(&[process(), later.clone()], held), &deleted);
    later.keys_deleted = 0;
    later.cwd = Some("/".to_owned());
    is(&find(&[process(), later], held), &Evidence::Cwd { old: text("/srv"), new: text("/") });
}

#[test]
fn a_thread_that_returns_to_code_that_is_gone_is_a_crash_to_come() {
    let thread = |stack: Vec<u64>, at: u64, call: i64| {
        move |s: &mut Snapshot| {
            let waits = Some(Wait { call, at, stack });
            s.threads.push(Thread { id: 2, name: "late".to_owned(), waits, ..Thread::default() });
        }
    };
    let late = |crash| Evidence::Threads { left: names(&["late"]), crash };
    let crash = |how, address| Some(ThreadCrash { how, at: gone(address) });
    let returns = crash(CrashHow::ReturnsToGoneCode, LIBRARY.0 + 16);
    is(&after(thread(vec![0, LIBRARY.0 + 16], LIBC, 34)), &late(returns));
    is(&after(thread(vec![], LIBRARY.0 + 8, 202)), &late(crash(CrashHow::InGoneCode, LIBRARY.0 + 8)));
    is(&after(thread(vec![LIBC], LIBC, 34)), &late(None));
    // glibc's own, for timers.
    assert_eq!(after(thread(vec![LIBC], LIBC, libc::SYS_rt_sigtimedwait)), []);
}

#[test]
fn things_are_found_by_what_they_are() {
    let fd = |s: &mut Snapshot| {
        s.descriptors.extend([(3, text("socket:[77]")), (4, text("socket:[78]"))]);
    };
    let sockets = Tally { count: 2, items: vec![Counted { what: text("socket"), count: 2 }], more: 0 };
    is(&after(fd), &Evidence::Fds { left: sockets, closed: vec![] });
    let anonymous = |s: &mut Snapshot| {
        s.descriptors.extend([(3, text("anon_inode:[eventfd]")), (4, text("anon_inode:inotify"))]);
    };
    let left = each([text("[eventfd]"), text("[inotify]")]);
    is(&after(anonymous), &Evidence::Fds { left, closed: vec![] });
    let closed = Evidence::Fds { left: Tally::default(), closed: vec![1] };
    is(&after(|s| drop(s.descriptors.remove(&1))), &closed);
    let timers = |left| Evidence::Timers { left: each([left]) };
    let timer = |notify: &str| Timer { id: 0, signal: 10, notify: text(notify) };
    let signal = text("SIGUSR1");
    is(&after(|s| s.timers.push(timer("signal/pid.7"))), &timers(record::Timer::Signal { signal }));
    is(&after(|s| s.timers.push(timer("thread/pid.7"))), &timers(record::Timer::Thread));
    is(&after(|s| s.timers.push(timer("none/pid.7"))), &timers(record::Timer::Silent));
    let signal = text("SIGALRM");
    is(&after(|s| s.interval_timers[0] = 5), &timers(record::Timer::Interval { signal }));
    let child = Child { id: 9, name: text("helper"), ended: true };
    let left = each([record::Child { name: text("helper"), ended: true }]);
    is(&after(|s| s.children.push(child)), &Evidence::Children { left });
    let segment = |s: &mut Snapshot| s.segments.extend([(5, 4096)]);
    is(&after(segment), &Evidence::Ipc(SharedMemory::Sysv { left: each([4096]) }));
    let file = |s: &mut Snapshot| s.shared_files.extend([(text("mine"), 3)]);
    is(&after(file), &Evidence::Ipc(SharedMemory::Posix { left: names(&["/dev/shm/mine"]) }));
    let exit = Evidence::Atexit { count: 1, first: gone(LIBRARY.0) };
    is(&after(|s| s.exit_handlers = (vec![LIBRARY.0], 1)), &exit);
    assert_eq!(after(|s| s.exit_handlers = (vec![LIBC], 1)), []);
    let key = |left, deleted| Evidence::TlsKeys { left, limit: 1024, lasts_cycles: None, deleted };
    is(&after(|s| s.keys_in_use = 3), &key(1, vec![]));
    is(&after(|s| (s.keys_in_use, s.keys_deleted) = (2, 1)), &key(0, vec![0]));
    is(&after(|s| (s.keys_in_use, s.keys_deleted) = (4, 6)), &key(2, vec![1, 2]));
    let message = "cannot allocate memory in static TLS block";
    let refused = Context { refusal: Some((214, message)), ..context() };
    let full = Evidence::StaticTls { loads: 214, message: text(message) };
    is(&find(&[process(), process()], refused), &full);
    let at_once = Context { refusal: Some((0, message)), ..refused };
    assert_eq!(find(&[process(), process()], at_once), []);
}

#[test]
fn what_grows_is_found_with_its_rate() {
    let at = |cycle: u64, keys_in_use: u32| Snapshot { cycle, keys_in_use, ..process() };
    let series = [process(), at(0, 3), at(10, 13), at(20, 23), at(40, 43)];
    let found = find(&series, context());
    is(&found, &Evidence::TlsKeys { left: 41, limit: 1024, lasts_cycles: Some(1022), deleted: vec![] });
    assert_eq!(found[0].per_cycle, Some(1.0));
    // Also where the library stays.
    let held = Context { state: UnloadState::Pinned, ..context() };
    assert_eq!(find(&series, held).len(), 1);
    // A growth that ends is none.
    let series = [process(), at(0, 3), at(10, 13), at(20, 13), at(40, 13)];
    assert_eq!(find(&series, held), []);
    assert_eq!(find(&series, context())[0].per_cycle, None);
    // Unless none was left: then its rate is that of the cycles before.
    let until = Context { until: 10, ..context() };
    assert_eq!(find(&series, until)[0].per_cycle, Some(1.0));
}

#[test]
fn the_environment_is_recorded_by_name_and_not_by_value() {
    let set = |index: usize, text: Option<&str>| {
        let text = text.map(str::to_owned);
        move |s: &mut Snapshot| {
            let variables = &mut s.environment.as_mut().unwrap().variables;
            variables.truncate(index.max(1));
            variables.push(text);
        }
    };
    let is = |found: &[Residue], change| is(found, &Evidence::Environment(change));
    let found = after(set(2, Some("TOKEN=secret")));
    is(&found, EnvironmentChange::Set { names: names(&["TOKEN"]) });
    assert!(!serde_json::to_string(&found).unwrap().contains("secret"));
    is(&after(set(1, Some("LANG=de"))), EnvironmentChange::Changed { names: names(&["LANG"]) });
    let lost = |lost: &[&str]| EnvironmentChange::TextGone { count: 1, names: names(lost) };
    is(&after(set(2, None)), lost(&[]));
    is(&after(set(1, None)), lost(&["LANG"]));
    let removed = |s: &mut Snapshot| drop(s.environment.as_mut().unwrap().variables.pop());
    is(&after(removed), EnvironmentChange::Removed { names: names(&["LANG"]) });
    let gone = |s: &mut Snapshot| s.environment.as_mut().unwrap().array_gone = true;
    is(&after(gone), EnvironmentChange::ArrayGone);
}

#[test]
fn streams_and_their_buffers_are_looked_at() {
    let stream = |address, descriptor, buffer| Stream { address, name: "", descriptor, buffer };
    let open = |s: &mut Snapshot| s.streams.as_mut().unwrap().push(stream(7, Some(4), 0));
    let is = |found: &[Residue], change| is(found, &Evidence::Stdio(change));
    let named = |name: Option<&str>, descriptor| record::Stream { name: name.map(text), descriptor };
    is(&after(open), StreamChange::Open { count: 1 });
    let lost = |s: &mut Snapshot| s.streams.as_mut().unwrap()[0].buffer = LIBRARY.0;
    is(&after(lost), StreamChange::BufferGone { stream: named(Some("stdout"), Some(1)) });
    let gone = |s: &mut Snapshot| s.streams.as_mut().unwrap().push(stream(LIBRARY.0, None, 0));
    is(&after(gone), StreamChange::FileGone { stream: named(None, None) });
    let replaced = |s: &mut Snapshot| s.streams.as_mut().unwrap().clear();
    is(&after(replaced), StreamChange::Replaced { stream: named(Some("stdout"), None) });
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
        // An arena, its rest reserved; a stack with its guard; a table of locales.
        vec![map(arena, 0x2_1000, "rw", ""), map(arena + 0x2_1000, (64 << 20) - 0x2_1000, "", "")],
        vec![map(0x5000_0000, 0x1000, "", ""), map(0x5000_1000, 0x80_0000, "rw", "")],
        vec![map(0x5000_0000, 0x3000, "r", "/usr/lib/locale/C.utf8/LC_CTYPE")],
    ] {
        assert_eq!(after(with(own.clone())), [], "{own:?}");
    }
    // Stacks of 64 KiB side by side, which are one mapping since glibc 2.42, as their guards split it; and as large a mapping without.
    let stack = |number: u64| {
        let start = 0x5000_0000 + number * 0x1_1000;
        [map(start, 0x1000, "", ""), map(start + 0x1000, 0x1_0000, "rw", "")]
    };
    assert_eq!(after(with((0..8).flat_map(stack).collect())), []);
    is(
        &after(with(vec![map(0x5000_0000, 8 * 0x1_1000, "rw", "")])),
        &Evidence::Mappings(Mapped::Anonymous { bytes: 8 * 0x1_1000, executable: false }),
    );
    let malloc = |s: &mut Snapshot| {
        s.malloc_mapped = 0x10_0000;
        with(vec![map(0x5000_0000, 0x10_0000, "rw", "")])(s);
    };
    assert_eq!(after(malloc), []);
    let anonymous = |bytes, executable| Evidence::Mappings(Mapped::Anonymous { bytes, executable });
    is(&after(with(vec![map(0x5000_0000, 0x10_0000, "rw", "")])), &anonymous(0x10_0000, false));
    is(&after(with(vec![map(0x5000_0000, 0x1000, "rwx", "")])), &anonymous(0x1000, true));
    let files = Evidence::Mappings(Mapped::Files { left: names(&["/tmp/data"]) });
    is(&after(with(vec![map(0x5000_0000, 0x1000, "r", "/tmp/data")])), &files);
    let shared = Evidence::Ipc(SharedMemory::Mapped { left: names(&["/SYSV00000001"]) });
    is(&after(with(vec![map(0x5000_0000, 0x1000, "rws", "/SYSV00000001")])), &shared);
}

#[test]
fn address_space_that_grows_beside_the_heap_is_an_allocators() {
    let at = |cycle: u64| {
        let mut later = Snapshot { cycle, ..process() };
        later.mappings.insert(0, map(0x1000_0000, 0x1000 * (cycle + 1), "rw", ""));
        later
    };
    let found = find(&[process(), at(0), at(20), at(40)], context());
    is(&found, &Evidence::Allocator { bytes: 0x1000 * 41 });
    assert_eq!(found[0].per_cycle, Some(4096.0));
}
