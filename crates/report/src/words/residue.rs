//! What the process was left with, in sentences.

use std::fmt::Display;

use dlsoak_record::why::Access;
use dlsoak_record::{
    At, Child, CrashHow, DanglingPointer, EnvironmentChange, Evidence, FpChange, FpRegister, HolderMemory,
    LocaleChange, Mapped, Place, PointerHolder, PointerTarget, Proof, Residue, ResidueKind, SharedMemory,
    SignalAction, SoftHard, Stream, StreamChange, Tally, ThreadCrash, Timer, Use, User, units,
};

use super::stack::frame;
use super::{Text, counted, file_name, listed};

/// Something that the process was left with.
pub fn left(left: &Residue) -> Text {
    let text = of_evidence(left);
    if !left.by.is_empty() {
        return together(text, left);
    }
    match &left.object {
        None => text,
        // What helps the author of a library that leaves it does not help one that only needs that.
        Some(object) => text.help(format!("keep {object} loaded in the host, or report it to its authors")),
    }
}

/// The same with the libraries that leave it, of several that were soaked together. Of a pointer the fact says what it points to.
fn together(text: Text, left: &Residue) -> Text {
    if left.kind() == ResidueKind::DanglingPointer {
        return text;
    }
    let by = match left.by.as_slice() {
        [one] => format!("it appears after the visit of {one}"),
        several => format!("it appears after the visits of {}", listed(several)),
    };
    let known = text.consequence.map_or(String::new(), |known| format!("; {known}"));
    Text { consequence: Some(by + &known), ..text }
}

fn of_evidence(left: &Residue) -> Text {
    let rate = Rate(left.per_cycle);
    match &left.evidence {
        Evidence::Threads { left, crash } => threads(left, crash.as_ref(), rate),
        Evidence::Fds { left, closed } => descriptors(left, closed, rate),
        Evidence::Mappings(mapped) => mappings(mapped, rate),
        Evidence::TlsKeys { left, limit, lasts_cycles, deleted } => {
            if deleted.is_empty() {
                keys(*left, *limit, *lasts_cycles, rate)
            } else {
                foreign_keys(*left, deleted)
            }
        }
        Evidence::StaticTls { loads, message } => Text::fact(format!(
            "the loader refused the library after {} loads, because static thread-local storage was used up: {message}",
            units::count(*loads)
        ))
        .means("glibc gets this storage back only if such libraries are closed in the reverse order of their loads")
        .help("compile without -ftls-model=initial-exec, or make room with GLIBC_TUNABLES=glibc.rtld.optional_static_tls=N"),
        Evidence::SignalHandler { signal, old, new, gone } => handler(signal, old, new, *gone),
        Evidence::SignalMask { blocked, unblocked } => mask(blocked, unblocked),
        Evidence::FpMode { register, old, new, changes } => floating(*register, old, new, changes),
        Evidence::Environment(change) => environment(change),
        Evidence::Locale(change) => locale(change),
        Evidence::Cwd { old, new } => Text::fact(format!("the working directory is {new} and was {old}"))
            .means("every relative path in the host now means another file")
            .help("use openat or absolute paths instead of chdir"),
        Evidence::Umask { old, new } => Text::fact(format!("the umask is {new} and was {old}"))
            .means("files that the host creates get other permissions")
            .help("set modes with fchmod, or put the umask back"),
        Evidence::Rlimits { limit, old, new } => limits(limit, *old, *new),
        Evidence::Timers { left } => timers(left, rate),
        Evidence::Children { left } => children(left, rate),
        Evidence::Ipc(memory) => shared(memory, rate),
        Evidence::Atexit { count, first } => exit_handlers(*count, first, rate),
        Evidence::Allocator { bytes } => allocator(*bytes, left.per_cycle),
        Evidence::ThreadName { new } => {
            Text::fact(format!("the thread that ran the library is now called `{new}`"))
                .help("name only threads that the library starts (pthread_setname_np, PR_SET_NAME)")
        }
        Evidence::OomScore { old, new } => {
            let likely = if new > old { "more" } else { "less" };
            Text::fact(format!("oom_score_adj is {new} and was {old}"))
                .means(format!("the kernel is {likely} likely to kill the host when memory runs out"))
                .help("leave oom_score_adj to the host")
        }
        Evidence::Stdio(change) => stdio(change, rate),
        Evidence::DanglingPointer(pointer) => dangling(pointer),
    }
}

/// `, 1 per cycle`, where something grows.
struct Rate(Option<f64>);

impl Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |rate| write!(f, ", {} per cycle", units::number(rate)))
    }
}

/// `1 child process`, `3 child processes`.
fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", units::count(number), if number == 1 { one } else { many })
}

/// `X (3 times), Y and 2 more`.
fn list<T>(tally: &Tally<T>, name: impl Fn(&T) -> String) -> String {
    let times = |count| if count == 1 { String::new() } else { format!(" ({} times)", units::count(count)) };
    let mut names: Vec<String> =
        tally.items.iter().map(|item| format!("{}{}", name(&item.what), times(item.count))).collect();
    if tally.more > 0 {
        names.push(format!("{} more", units::count(tally.more)));
    }
    listed(&names)
}

/// A name in a list.
fn quoted(name: &String) -> String {
    format!("`{name}`")
}

/// `it` or `they`, for one thing or several.
fn pronoun(number: u64) -> &'static str {
    if number == 1 { "it" } else { "they" }
}

/// An address with what is mapped there.
fn place(at: &At) -> String {
    let address = &at.address;
    match &at.place {
        Place::Unmapped => format!("{address}, where nothing is mapped any more"),
        Place::Anonymous => format!("{address}, in anonymous memory"),
        Place::File(file) => format!("{address}, in {file}"),
    }
}

fn threads(left: &Tally<String>, crash: Option<&ThreadCrash>, rate: Rate) -> Text {
    let text = Text::fact(format!(
        "the library leaves {} behind{rate}: {}",
        counted(left.count, "thread"),
        list(left, quoted)
    ));
    let them = if left.count == 1 { "it" } else { "them" };
    let Some(crash) = crash else {
        return text.help(format!("end {them} and join {them} before the library is unloaded"));
    };
    let who = if left.count == 1 { "it" } else { "one of them" };
    let does = match crash.how {
        CrashHow::InGoneCode => "waits in code",
        CrashHow::ReturnsToGoneCode => "returns to the library's code",
    };
    text.means(format!(
        "{who} {does} at {}, and crashes the process as soon as it wakes up",
        place(&crash.at)
    ))
    .help(format!("end {them} and join {them} in the library's destructor"))
}

fn descriptors(left: &Tally<String>, closed: &[i32], rate: Rate) -> Text {
    let open = (!left.is_empty()).then(|| {
        let left_open = counted(left.count, "descriptor");
        format!("leaves {left_open} open{rate}: {}", list(left, Clone::clone))
    });
    let numbers: Vec<String> = closed.iter().map(ToString::to_string).collect();
    let lost = (!closed.is_empty()).then(|| {
        let what = if closed.len() == 1 { "descriptor" } else { "descriptors" };
        format!("closes {what} {} of the host", listed(&numbers))
    });
    let parts: Vec<String> = lost.iter().chain(&open).cloned().collect();
    let mut text = Text::fact(format!("the library {}", parts.join(", and ")));
    if lost.is_some() {
        text =
            text.means("the host's next use of it fails, or reaches another file that now has that number");
    }
    if open.is_some() {
        text.help("close what the library opens, in its destructor at the latest")
    } else {
        text.help("close only what the library opened")
    }
}

fn mappings(mapped: &Mapped, rate: Rate) -> Text {
    /// What the kernel calls anonymous memory that is shared.
    const SHARED: &str = "/dev/zero";
    let fact = match mapped {
        Mapped::Files { left } => {
            let name = |name: &String| match name.starts_with(SHARED) {
                true => "shared anonymous memory".to_owned(),
                false => name.clone(),
            };
            format!(
                "the library leaves {} behind{rate}: {}",
                counted(left.count, "mapping"),
                list(left, name)
            )
        }
        Mapped::Anonymous { bytes, executable } => {
            let code = if *executable { " (some of it executable)" } else { "" };
            format!(
                "the library leaves {} of anonymous memory mapped{code}, which malloc does not account for",
                units::bytes(*bytes as f64)
            )
        }
    };
    Text::fact(fact).help("call munmap before the library is unloaded")
}

fn keys(left: u64, limit: u64, lasts_cycles: Option<u64>, rate: Rate) -> Text {
    let text =
        Text::fact(format!("the library leaves {} behind{rate}", counted(left, "thread-specific key")));
    let text = match lasts_cycles {
        Some(cycles) => text.means(format!(
            "a process has {} keys, so pthread_key_create fails for the whole process after about {} cycles, and Rust's \
             standard library aborts",
            units::count(limit),
            units::count(cycles)
        )),
        None => text,
    };
    text.help(
        "call pthread_key_delete in the destructor, or keep the library loaded if Rust's standard library makes the key \
         (one in each load that runs thread::current())",
    )
}

/// Keys of the host that the library deletes.
fn foreign_keys(left: u64, deleted: &[u32]) -> Text {
    let numbers: Vec<String> = deleted.iter().map(ToString::to_string).collect();
    let numbers = listed(&numbers);
    let whose = match deleted {
        [_] => format!("a thread-specific key that is not its own (number {numbers})"),
        _ => format!("thread-specific keys that are not its own (numbers {numbers})"),
    };
    let also = if left == 0 { String::new() } else { format!(", and leaves {} behind", units::count(left)) };
    Text::fact(format!("the library deletes {whose}{also}"))
        .means(
            "the host loses the values that its threads have stored there, and the next pthread_key_create gives the number to another owner",
        )
        .help("delete only a key that pthread_key_create has made. A variable that was never set names key 0, which belongs to the host")
}

fn handler(signal: &str, old: &SignalAction, new: &SignalAction, gone: bool) -> Text {
    const HELP: &str = "restore the old action with sigaction before the library is unloaded";
    let known = |action: &SignalAction, has: &str, is: &str| match action {
        SignalAction::Default => format!("{has} the default action"),
        SignalAction::Ignore => format!("{is} ignored"),
        SignalAction::Handler { at, .. } => format!("{has} a handler at {}", place(at)),
    };
    let now = known(new, "has", "is");
    match (old, new) {
        _ if gone => {
            let unmapped = matches!(new, SignalAction::Handler { at, .. } if at.place == Place::Unmapped);
            let code = if unmapped { "" } else { ", where there is no code any more" };
            Text::fact(format!("{signal} {now}{code}")).means(format!("the next {signal} kills the process"))
        }
        (
            SignalAction::Handler { at: before, flags: had },
            SignalAction::Handler { at: after, flags: has },
        ) if before == after => {
            Text::fact(format!("the handler of {signal} has the flags {has} and had {had}"))
        }
        _ => Text::fact(format!("{signal} {now}, and {} before", known(old, "had", "was")))
            .means("the host did not ask for this"),
    }
    .help(HELP)
}

fn mask(blocked: &[String], unblocked: &[String]) -> Text {
    let (mut fact, mut means) = (Vec::new(), Vec::new());
    if !blocked.is_empty() {
        fact.push(format!("blocks {}", listed(blocked)));
        means.push("that thread no longer receives signals that the host expects".to_owned());
    }
    if !unblocked.is_empty() {
        fact.push(format!("no longer blocks {}", listed(unblocked)));
        means.push("signals that the host had blocked now reach that thread".to_owned());
    }
    Text::fact(format!("the thread that ran the library {}", listed(&fact)))
        .means(means.join(", and "))
        .help("put back the mask that pthread_sigmask returned")
}

fn floating(register: FpRegister, old: &str, new: &str, changes: &[FpChange]) -> Text {
    let (name, whose) = match register {
        FpRegister::Mxcsr => ("MXCSR", "the host's computations"),
        FpRegister::X87 => ("the x87 control word", "the host's long double computations"),
        FpRegister::Fpcr => ("FPCR", "the host's computations"),
    };
    let denormal = if register == FpRegister::Fpcr { "denormals" } else { "denormal results" };
    let does = |change: &FpChange| {
        let (on, what) = match change {
            FpChange::FlushToZero { on } => (*on, format!("flush {denormal} to zero")),
            FpChange::DenormalsAreZero { on } => (*on, "read denormal operands as zero".to_owned()),
            FpChange::DefaultNan { on } => (*on, "return the default NaN".to_owned()),
            FpChange::Rounding => (true, "round differently".to_owned()),
            FpChange::Precision => (true, "use another precision".to_owned()),
            FpChange::Traps => (true, "trap on other exceptions".to_owned()),
        };
        if on { what } else { format!("no longer {what}") }
    };
    let does: Vec<String> = changes.iter().map(does).collect();
    let does = if does.is_empty() { "may give other results".to_owned() } else { listed(&does) };
    let text = Text::fact(format!("{name} of the thread that ran the library is {new} and was {old}"))
        .means(format!("on that thread, {whose} {does}"));
    let denormals = |change: &FpChange| {
        matches!(change, FpChange::FlushToZero { .. } | FpChange::DenormalsAreZero { .. })
    };
    match register {
        FpRegister::Mxcsr if changes.iter().any(denormals) => text.help(
            "link without -ffast-math and -Ofast, whose crtfastmath.o sets these modes in a constructor, or with \
             -fno-fast-math after them (gcc 13 and later: -mno-daz-ftz). Otherwise save and restore the modes with fegetenv and fesetenv",
        ),
        FpRegister::Fpcr if changes.iter().any(denormals) => text.help(
            "link without -ffast-math and -Ofast, whose crtfastmath.o sets these modes in a constructor. Otherwise save \
             and restore the modes with fegetenv and fesetenv",
        ),
        _ => text.help("save the modes with fegetenv, and restore them with fesetenv"),
    }
}

fn environment(change: &EnvironmentChange) -> Text {
    const REMAINS: &str = "the change holds for the whole process and its children";
    const HELP: &str = "put the environment back before the library is unloaded";
    match change {
        EnvironmentChange::ArrayGone => Text::fact("environ points to memory that is no longer mapped")
            .means("the next getenv crashes the process")
            .help("keep the array that environ points to outside the library"),
        EnvironmentChange::TextGone { count: number, names } => {
            let variables = counted(*number, "environment variable");
            let which = if names.is_empty() { String::new() } else { format!(": {}", list(names, quoted)) };
            let them = if *number == 1 { "it" } else { "them" };
            Text::fact(format!("the text of {variables} lies in memory that is no longer mapped{which}"))
                .means(format!("the next getenv that looks at {them} crashes the process"))
                .help("use setenv, which makes a copy, instead of putenv, which keeps the pointer")
        }
        EnvironmentChange::Set { names } => {
            Text::fact(format!("the library sets {} in the environment", list(names, quoted)))
                .means(REMAINS)
                .help(HELP)
        }
        EnvironmentChange::Changed { names } => {
            Text::fact(format!("the library changes {} in the environment", list(names, quoted)))
                .means(REMAINS)
                .help(HELP)
        }
        EnvironmentChange::Removed { names } => {
            Text::fact(format!("the library removes {} from the environment", list(names, quoted)))
                .means(REMAINS)
                .help(HELP)
        }
    }
}

fn locale(change: &LocaleChange) -> Text {
    match change {
        LocaleChange::Process { old, new } => Text::fact(format!("the locale is {new} and was {old}"))
            .means("decimal points, collation and messages of the host change")
            .help("use newlocale and uselocale, or put back what setlocale returned"),
        LocaleChange::Thread => {
            Text::fact("the thread that ran the library uses another locale than before (uselocale)")
                .means("decimal points, collation and messages of the host change on that thread")
                .help("put back what uselocale returned")
        }
    }
}

fn limits(name: &str, old: SoftHard, new: SoftHard) -> Text {
    let value = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), units::count);
    let pair = |limit: SoftHard| format!("{} / {}", value(limit.soft), value(limit.hard));
    let text = Text::fact(format!("the limit `{name}` (soft / hard) is {} and was {}", pair(new), pair(old)));
    let lower = new.hard.unwrap_or(u64::MAX) < old.hard.unwrap_or(u64::MAX);
    let text = if lower { text.means("an unprivileged host can't raise the hard limit again") } else { text };
    text.help("put the limit back with setrlimit, and never lower a hard limit")
}

fn timers(left: &Tally<Timer>, rate: Rate) -> Text {
    let name = |timer: &Timer| match timer {
        Timer::Signal { signal } => format!("one that sends {signal}"),
        Timer::Thread => "one that calls a function on a thread (SIGEV_THREAD)".to_owned(),
        Timer::Silent => "one that does nothing (SIGEV_NONE)".to_owned(),
        Timer::Interval { signal } => format!("an interval timer (setitimer, alarm) that sends {signal}"),
    };
    let text = Text::fact(format!(
        "the library leaves {} behind{rate}: {}",
        counted(left.count, "timer"),
        list(left, name)
    ));
    text.means("a timer that fires interrupts or kills a host that does not expect it")
        .help("call timer_delete, or setitimer with zeros, before the library is unloaded")
}

fn children(left: &Tally<Child>, rate: Rate) -> Text {
    let name = |child: &Child| {
        let state = if child.ended { "ended" } else { "running" };
        format!("{state} `{}`", child.name)
    };
    let them = if left.count == 1 { "it" } else { "them" };
    let text = Text::fact(format!(
        "the library leaves {} behind{rate}: {}",
        count(left.count, "child process", "child processes"),
        list(left, name)
    ));
    let text = if left.items.iter().any(|item| item.what.ended) {
        text.means("a process that has ended stays a zombie until its parent waits for it")
    } else {
        text
    };
    text.help(format!("end {them} and call waitpid before the library is unloaded"))
}

fn shared(memory: &SharedMemory, rate: Rate) -> Text {
    let fact = |count: String, names: String| {
        Text::fact(format!("the library leaves {count} behind{rate}: {names}"))
    };
    match memory {
        SharedMemory::Sysv { left } => fact(
            counted(left.count, "SysV shared memory segment"),
            list(left, |bytes| units::bytes(*bytes as f64)),
        )
        .means(format!(
            "without shmctl(IPC_RMID), {} outlive{} the process",
            pronoun(left.count),
            ending(left)
        ))
        .help("call shmdt and shmctl(IPC_RMID)"),
        SharedMemory::Posix { left } => fact(
            count(
                left.count,
                "file of POSIX shared memory or semaphores",
                "files of POSIX shared memory or semaphores",
            ),
            list(left, Clone::clone),
        )
        .means(format!("{} outlive{} the process", pronoun(left.count), ending(left)))
        .help("call shm_unlink or sem_unlink"),
        SharedMemory::Mapped { left } => fact(
            count(left.count, "mapping of shared memory", "mappings of shared memory"),
            list(left, Clone::clone),
        )
        .help("call munmap or shmdt"),
    }
}

/// The ending of a verb, for one thing or several.
fn ending<T>(tally: &Tally<T>) -> &'static str {
    if tally.count == 1 { "s" } else { "" }
}

fn exit_handlers(number: u64, first: &At, rate: Rate) -> Text {
    let (functions, which) =
        (counted(number, "function"), if number == 1 { "its code" } else { "the code of the first" });
    Text::fact(format!(
        "the library leaves {functions} registered with on_exit{rate}: {which} was at {}",
        place(first)
    ))
    .means("the process crashes when it exits")
    .help("use a destructor, or atexit, which runs when the library is unloaded")
}

fn allocator(bytes: u64, per_cycle: Option<f64>) -> Text {
    let all = units::bytes(bytes as f64);
    let amount = per_cycle
        .map_or_else(|| all.clone(), |rate| format!("{} per cycle ({all} in all)", units::bytes(rate)));
    Text::fact(format!("address space grows by {amount}, and the C heap does not account for it"))
    .means("the library maps memory, by mmap or by an allocator that is linked into it, and does not give it back")
    .help("call munmap in the destructor, or link the allocator into the host instead")
}

fn stdio(change: &StreamChange, rate: Rate) -> Text {
    const CRASHES: &str = "the next output, or the flush at exit, crashes the process";
    let name = |stream: &Stream| match (&stream.name, stream.descriptor) {
        (Some(name), _) => name.clone(),
        (None, Some(descriptor)) => format!("the stream on descriptor {descriptor}"),
        (None, None) => "a stream".to_owned(),
    };
    match change {
        StreamChange::FileGone { stream } => {
            Text::fact(format!("the FILE of {} lies in memory that is no longer mapped", name(stream)))
                .means(CRASHES)
                .help("call fclose before the library is unloaded")
        }
        StreamChange::BufferGone { stream } => {
            Text::fact(format!("the buffer of {} lies in memory that is no longer mapped", name(stream)))
                .means(CRASHES)
                .help("call fflush and setvbuf(stream, NULL, _IONBF, 0) before the library is unloaded")
        }
        StreamChange::Replaced { stream } => {
            Text::fact(format!("{} no longer names the stream that it named before", name(stream)))
                .help("put it back before the library is unloaded")
        }
        StreamChange::Open { count: number } => {
            Text::fact(format!("the library leaves {} open{rate}", counted(*number, "stream")))
                .help("call fclose after fopen and fdopen, and pclose after popen")
        }
    }
}

/// The same in a host that keeps what the library needs, where the plain host keeps nothing.
pub(super) fn if_held(objects: &[String], pointers: &[DanglingPointer]) -> Text {
    let keeps = listed(objects);
    let Some(first) = pointers.first().map(dangling) else { return Text::default() };
    let others = match pointers.len() - 1 {
        0 => String::new(),
        more => format!(", and {} like it", super::counted(more as u64, "more finding")),
    };
    Text::fact(format!("in a host that keeps {keeps} loaded, {}{others}", first.fact))
        .means("dlsoak's host unloads both together, so this soak has no such pointers")
        .help(format!("if your host keeps it, soak with --hold deps, and {UNDO}"))
}

/// Pointers of one holder into a library that is gone.
fn dangling(pointer: &DanglingPointer) -> Text {
    if pointer.proof == Proof::Used {
        let Text { fact, help, .. } = used(pointer);
        let during = pointer.used.as_ref().and_then(|used| used.during.as_ref());
        let during = during.map(|library| format!(", in the visit of {library}")).unwrap_or_default();
        let text = Text::fact(format!(
            "the process crashed once no load came back to the address of an earlier one{during}: {fact}"
        ));
        return Text { help, ..text }.means(
            "a host crashes in the same way once anything else is at that address. While each load comes back to the \
             same address, the old pointer happens to be right again",
        );
    }
    // What glibc keeps of all keys.
    if pointer.holder.as_ref().is_some_and(|holder| holder.symbol.as_deref() == Some("__pthread_keys")) {
        let keys = match pointer.pointers {
            0 | 1 => "a thread-specific key".to_owned(),
            more => format!("{} thread-specific keys", units::count(more)),
        };
        let target = target(&pointer.target);
        return Text::fact(format!("{target} is unloaded, and still the destructor of {keys}"))
            .means("a thread that ends with a value for this key jumps into what is unloaded")
            .help("call pthread_key_delete before the library is unloaded, or link the library with -Wl,-z,nodelete");
    }
    let others = match pointer.pointers.saturating_sub(1) {
        0 => String::new(),
        1 => ", and 1 more pointer like it".to_owned(),
        more => format!(", and {} more pointers like it", units::count(more)),
    };
    let holder = pointer.holder.as_ref().map(holder);
    let means = if pointer.target.code {
        "a host crashes when it calls this, unless the library is loaded at the same address again"
    } else {
        "a host that follows the pointer crashes or reads something else, unless the library is loaded at the same \
         address again"
    };
    Text::fact(format!(
        "{} still points to {}, which is unloaded{others}",
        holder.unwrap_or_else(|| "memory that stays".to_owned()),
        target(&pointer.target)
    ))
    .means(means)
    .help(UNDO)
}

const UNDO: &str =
    "undo the registration before the library is unloaded, or link the library with -Wl,-z,nodelete";

/// Who used what is gone, and what that was.
pub(super) fn used(pointer: &DanglingPointer) -> Text {
    let Some(Use { user, access, .. }) = &pointer.used else { return Text::default() };
    let (who, help) = match user {
        User::Thread { start } => {
            let start = start.as_ref().map(|start| format!(" ({})", at_symbol(start))).unwrap_or_default();
            let who = format!("a thread that an earlier load had started{start}");
            (
                who,
                "stop and join each thread of the library before it is unloaded, in its destructor at the latest",
            )
        }
        User::KeyDestructor => (
            "a thread that ended called the destructor of a thread-specific key, and".to_owned(),
            "call pthread_key_delete before the library is unloaded, in its destructor at the latest",
        ),
        User::ExitFunction => (
            "the process, when it ended, called what was registered for that, and".to_owned(),
            "register with atexit or __cxa_atexit, which dlclose runs, and not with on_exit or in another object",
        ),
        User::ForkHandler => ("fork, which calls what was registered for it,".to_owned(), UNDO),
        User::SignalHandler { signal } => (
            format!("the handler of {}", signal.as_deref().unwrap_or("a signal")),
            "put back each signal handler and delete each timer before the library is unloaded",
        ),
        User::Function { by } => (by.as_ref().map_or_else(|| "the process".to_owned(), frame), UNDO),
    };
    let did = match access {
        Some(Access::Execute) => "ran",
        Some(Access::Write) => "wrote to",
        Some(Access::Read) => "read",
        None => "used",
    };
    let held = pointer.holder.as_ref().map(|held| format!("; {} pointed there", holder(held)));
    Text::fact(format!(
        "{who} {did} {}, which was unloaded{}",
        target(&pointer.target),
        held.unwrap_or_default()
    ))
    .help(help)
}

/// `` `poll` at plugin.c:12 ``
fn at_symbol(target: &PointerTarget) -> String {
    let name =
        target.symbol.as_ref().map_or_else(|| format!("{:#x}", target.offset), |name| format!("`{name}`"));
    match (&target.file, target.line) {
        (Some(file), Some(line)) => format!("{name} at {}:{line}", file_name(file)),
        _ => name,
    }
}

/// `the function cb (plugA.c:3) of libplugA.so`
fn target(target: &PointerTarget) -> String {
    let what = if target.code { "the function" } else { "the variable" };
    let place = match (&target.file, target.line) {
        (Some(file), Some(line)) => format!(" ({}:{line})", file_name(file)),
        _ => String::new(),
    };
    match &target.symbol {
        Some(symbol) => format!("{what} `{symbol}`{}{place} of {}", plus(target.offset), target.object),
        None if target.code => format!("code at {:#x} of {}", target.offset, target.object),
        None => format!("data at {:#x} of {}", target.offset, target.object),
    }
}

/// `` `t`+16 in the data of libreg.so ``
fn holder(holder: &PointerHolder) -> String {
    let object = holder.object.as_deref();
    let of = |what: &str| object.map_or_else(String::new, |object| format!(" {what} {object}"));
    match (holder.memory, &holder.symbol) {
        (HolderMemory::Data, Some(symbol)) => format!("`{symbol}`{}{}", plus(holder.offset), of("in")),
        (HolderMemory::Data, None) => format!("data at {:#x}{}", holder.offset, of("of")),
        (HolderMemory::ThreadLocal, _) => format!("thread-local memory{}", of("of")),
        (HolderMemory::Stack, _) => "the stack of a thread".to_owned(),
        (HolderMemory::Anonymous, _) => "memory without a file".to_owned(),
        (HolderMemory::Heap, symbol) => {
            let size = holder.size.map_or_else(String::new, |size| format!(" of {} B", units::count(size)));
            let by = match (symbol, object) {
                (Some(symbol), Some(object)) => format!(" that `{symbol}` of {object} allocated"),
                (None, Some(object)) => format!(" that {object} allocated"),
                _ => String::new(),
            };
            format!("a heap block{size}{by}")
        }
    }
}

/// `+16`; nothing for 0.
fn plus(offset: u64) -> String {
    if offset == 0 { String::new() } else { format!("+{offset}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::Counted;

    fn tally<T: Clone>(items: &[(T, u64)]) -> Tally<T> {
        let items = items.iter().map(|(what, count)| Counted { what: what.clone(), count: *count });
        let items: Vec<Counted<T>> = items.collect();
        Tally { count: items.iter().map(|item| item.count).sum(), items, more: 0 }
    }

    fn names(names: &[&str]) -> Tally<String> {
        tally(&names.iter().map(|name| ((*name).to_owned(), 1)).collect::<Vec<_>>())
    }

    fn at(address: &str, place: Place) -> At {
        At { address: address.to_owned(), place }
    }

    fn handler_at(address: &str, place: Place, flags: &str) -> SignalAction {
        SignalAction::Handler { at: at(address, place), flags: flags.to_owned() }
    }

    /// One of every kind of evidence, in each form that it may have, with a rate where there may be one.
    fn all() -> Vec<(Evidence, Option<f64>)> {
        let text = str::to_owned;
        let gone = |how| Some(ThreadCrash { how, at: at("0x70000010", Place::Unmapped) });
        let libc = || Place::File(text("/usr/lib/libc.so.6"));
        let standard = |name: &str| Stream { name: Some(text(name)), descriptor: Some(1) };
        let signal = |signal: &str, old: SignalAction, new: SignalAction, gone| {
            (Evidence::SignalHandler { signal: text(signal), old, new, gone }, None)
        };
        let mode = |register, changes: &[FpChange]| {
            let (old, new, changes) = (text("0x1f80"), text("0x9fc0"), changes.to_vec());
            (Evidence::FpMode { register, old, new, changes }, None)
        };
        let limit = |old, new| (Evidence::Rlimits { limit: text("max stack size"), old, new }, None);
        let keys = |left, lasts_cycles: Option<u64>, deleted: &[u32]| {
            let rate = lasts_cycles.map(|_| 1.0);
            (Evidence::TlsKeys { left, limit: 1024, lasts_cycles, deleted: deleted.to_vec() }, rate)
        };
        let many = Tally { count: 42, more: 3, ..tally(&[(text("pool"), 30), (text("late"), 9)]) };
        vec![
            (Evidence::Threads { left: names(&["late"]), crash: None }, None),
            (Evidence::Threads { left: names(&["late"]), crash: gone(CrashHow::InGoneCode) }, None),
            (Evidence::Threads { left: many, crash: gone(CrashHow::ReturnsToGoneCode) }, Some(2.0)),
            (Evidence::Fds { left: tally(&[(text("socket"), 2)]), closed: vec![] }, Some(0.1)),
            (Evidence::Fds { left: Tally::default(), closed: vec![1] }, None),
            (Evidence::Fds { left: names(&["/dev/null"]), closed: vec![0, 1, 2] }, None),
            (
                Evidence::Mappings(Mapped::Files { left: names(&["/tmp/data", "/dev/zero (deleted)"]) }),
                Some(1.0),
            ),
            (Evidence::Mappings(Mapped::Anonymous { bytes: 1 << 20, executable: false }), None),
            (Evidence::Mappings(Mapped::Anonymous { bytes: 4096, executable: true }), None),
            keys(1, None, &[]),
            keys(41, Some(1022), &[]),
            keys(0, None, &[0]),
            keys(1, None, &[0, 1]),
            (
                Evidence::StaticTls {
                    loads: 214,
                    message: text("cannot allocate memory in static TLS block"),
                },
                None,
            ),
            signal("SIGUSR1", SignalAction::Default, handler_at("0x70000000", Place::Unmapped, "0x4"), true),
            signal("SIGUSR1", SignalAction::Ignore, handler_at("0xa0000000", Place::Anonymous, "0x4"), true),
            signal("SIGPIPE", SignalAction::Default, SignalAction::Ignore, false),
            signal("SIGHUP", handler_at("0x9000", libc(), "0x4"), SignalAction::Default, false),
            signal("SIGUSR2", SignalAction::Ignore, handler_at("0x9000", libc(), "0x4"), false),
            signal(
                "SIGTERM",
                handler_at("0x9000", libc(), "0x4"),
                handler_at("0x9000", libc(), "0x0"),
                false,
            ),
            (Evidence::SignalMask { blocked: vec![text("SIGUSR1")], unblocked: vec![] }, None),
            (
                Evidence::SignalMask {
                    blocked: vec![text("SIGHUP"), text("SIGUSR1")],
                    unblocked: vec![text("SIGTERM")],
                },
                None,
            ),
            mode(
                FpRegister::Mxcsr,
                &[FpChange::FlushToZero { on: true }, FpChange::DenormalsAreZero { on: true }],
            ),
            mode(FpRegister::Mxcsr, &[FpChange::Rounding, FpChange::Traps]),
            mode(FpRegister::X87, &[FpChange::Precision]),
            mode(FpRegister::Fpcr, &[FpChange::FlushToZero { on: false }, FpChange::DefaultNan { on: true }]),
            mode(FpRegister::Fpcr, &[]),
            (Evidence::Environment(EnvironmentChange::ArrayGone), None),
            (Evidence::Environment(EnvironmentChange::TextGone { count: 1, names: names(&["LANG"]) }), None),
            (Evidence::Environment(EnvironmentChange::TextGone { count: 2, names: Tally::default() }), None),
            (Evidence::Environment(EnvironmentChange::Set { names: names(&["TOKEN", "HOME"]) }), None),
            (Evidence::Environment(EnvironmentChange::Changed { names: names(&["LANG"]) }), None),
            (Evidence::Environment(EnvironmentChange::Removed { names: names(&["LANG"]) }), None),
            (Evidence::Locale(LocaleChange::Process { old: text("C"), new: text("de_DE") }), None),
            (Evidence::Locale(LocaleChange::Thread), None),
            (Evidence::Cwd { old: text("/srv"), new: text("/") }, None),
            (Evidence::Umask { old: text("0022"), new: text("0000") }, None),
            limit(
                SoftHard { soft: Some(8 << 20), hard: None },
                SoftHard { soft: Some(1 << 20), hard: Some(1 << 20) },
            ),
            limit(SoftHard { soft: Some(8 << 20), hard: None }, SoftHard { soft: None, hard: None }),
            (
                Evidence::Timers {
                    left: tally(&[
                        (Timer::Signal { signal: text("SIGUSR1") }, 2),
                        (Timer::Thread, 1),
                        (Timer::Silent, 1),
                    ]),
                },
                Some(1.0),
            ),
            (Evidence::Timers { left: tally(&[(Timer::Interval { signal: text("SIGALRM") }, 1)]) }, None),
            (
                Evidence::Children {
                    left: tally(&[
                        (Child { name: text("helper"), ended: true }, 2),
                        (Child { name: text("daemon"), ended: false }, 1),
                    ]),
                },
                None,
            ),
            (Evidence::Ipc(SharedMemory::Sysv { left: tally(&[(4096, 2)]) }), Some(1.0)),
            (Evidence::Ipc(SharedMemory::Posix { left: names(&["/dev/shm/mine"]) }), None),
            (Evidence::Ipc(SharedMemory::Mapped { left: names(&["/SYSV00000001"]) }), None),
            (Evidence::Atexit { count: 1, first: at("0x70000000", Place::Unmapped) }, None),
            (Evidence::Atexit { count: 40, first: at("0x70000000", Place::Anonymous) }, Some(1.0)),
            (Evidence::Allocator { bytes: 160 << 10 }, Some(4096.0)),
            (Evidence::ThreadName { new: text("mine") }, None),
            (Evidence::OomScore { old: 0, new: 500 }, None),
            (Evidence::OomScore { old: 500, new: 0 }, None),
            (Evidence::Stdio(StreamChange::FileGone { stream: Stream::default() }), None),
            (Evidence::Stdio(StreamChange::BufferGone { stream: standard("stdout") }), None),
            (
                Evidence::Stdio(StreamChange::BufferGone {
                    stream: Stream { name: None, descriptor: Some(4) },
                }),
                None,
            ),
            (Evidence::Stdio(StreamChange::Replaced { stream: standard("stderr") }), None),
            (Evidence::Stdio(StreamChange::Open { count: 40 }), Some(1.0)),
            (use_of(User::Function { by: None }, None, Some(block("g_malloc")), data()), None),
            (
                use_of(
                    User::Thread { start: Some(code(Some("poll"))) },
                    Some(Access::Execute),
                    None,
                    code(Some("poll")),
                ),
                None,
            ),
            (use_of(User::KeyDestructor, Some(Access::Execute), None, code(None)), None),
            (use_of(User::ExitFunction, Some(Access::Execute), None, code(Some("bye"))), None),
            (use_of(User::ForkHandler, Some(Access::Execute), None, code(Some("child"))), None),
            (
                use_of(
                    User::SignalHandler { signal: Some(text("SIGVTALRM")) },
                    Some(Access::Execute),
                    None,
                    code(Some("tick")),
                ),
                None,
            ),
            (pointer(Proof::Follows, Some(variable("hook", 0)), code(Some("callback"))), None),
            (pointer(Proof::Stays, Some(block("reg_push")), code(Some("callback"))), None),
            (pointer(Proof::Stays, Some(variable("__pthread_keys", 72)), code(Some("destroy"))), None),
            (pointer(Proof::Stays, Some(PointerHolder { symbol: None, ..variable("", 640) }), data()), None),
        ]
    }

    fn pointer(proof: Proof, holder: Option<PointerHolder>, target: PointerTarget) -> Evidence {
        let pointers = if proof == Proof::Stays { 31 } else { 1 };
        Evidence::DanglingPointer(Box::new(DanglingPointer {
            proof,
            holder,
            target,
            loads: pointers,
            of: 32,
            pointers,
            used: None,
        }))
    }

    fn use_of(
        user: User,
        access: Option<Access>,
        holder: Option<PointerHolder>,
        target: PointerTarget,
    ) -> Evidence {
        let used = Some(Use { user, access, load: 3, during: None });
        Evidence::DanglingPointer(Box::new(DanglingPointer {
            proof: Proof::Used,
            holder,
            target,
            loads: 1,
            of: 4,
            pointers: 1,
            used,
        }))
    }

    fn variable(name: &str, offset: u64) -> PointerHolder {
        PointerHolder {
            memory: HolderMemory::Data,
            object: Some("libreg.so".to_owned()),
            symbol: Some(name.to_owned()),
            offset,
            size: None,
        }
    }

    fn block(by: &str) -> PointerHolder {
        PointerHolder { memory: HolderMemory::Heap, size: Some(48), ..variable(by, 8) }
    }

    fn code(symbol: Option<&str>) -> PointerTarget {
        PointerTarget {
            object: "libplugin.so".to_owned(),
            code: true,
            symbol: symbol.map(str::to_owned),
            offset: if symbol.is_some() { 0 } else { 0x1139 },
            file: symbol.map(|_| "/src/plugin.c".to_owned()),
            line: symbol.map(|_| 12),
        }
    }

    fn data() -> PointerTarget {
        PointerTarget { code: false, offset: 0x2000, ..code(None) }
    }

    #[test]
    fn each_kind_is_a_fact_with_what_it_means_and_what_helps() {
        let mut shown = String::new();
        for (evidence, per_cycle) in all() {
            let found = Residue::new(evidence, per_cycle);
            let lines: Vec<String> = left(&found).lines().collect();
            shown.push_str(&format!("{}: {}\n", found.kind(), lines.join("\n  ")));
        }
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn what_a_dependency_leaves_is_not_for_the_library_to_undo() {
        let (evidence, per_cycle) = all().remove(0);
        let found = Residue { object: Some("libEGL.so.1".to_owned()), ..Residue::new(evidence, per_cycle) };
        let help = left(&found).help.unwrap();
        assert_eq!(help, "keep libEGL.so.1 loaded in the host, or report it to its authors");
    }

    #[test]
    fn each_kind_is_read_as_it_was_written() {
        for (evidence, per_cycle) in all() {
            let found = Residue::new(evidence, per_cycle);
            let json = serde_json::to_value(&found).unwrap();
            assert_eq!(json["kind"], found.kind().name());
            assert_eq!(serde_json::from_value::<Residue>(json).unwrap(), found);
        }
        let kinds: std::collections::BTreeSet<_> = all().into_iter().map(|(one, _)| one.kind()).collect();
        assert_eq!(kinds.len(), dlsoak_record::ResidueKind::ALL.len());
    }
}
