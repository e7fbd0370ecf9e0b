//! A checkup for a terminal: a line for each check, and below it the help where something is not as it should be.

use dlsoak_record::checkup::{
    Attempt, AuditLack, CgoOff, CgoProblem, Check, Checkup, Confinement, Failure, Found, GoRootFit,
    HeadersFit, KernelLack, Name, Room, Sight, Status, Unwatchable,
};

use super::advice::Advice;
use super::summary::Mark;
use super::terminal::{paint, wrap};
use super::{inspection, units, words};

/// Columns before a check's name, and for its name.
const NAME: usize = 20;

/// What a check has to say without help.
fn fact(text: impl Into<String>) -> Advice {
    Advice::fact(text)
}

/// The whole text; ends with a newline.
pub fn render(checkup: &Checkup, width: u16, color: bool) -> String {
    let mut out = String::new();
    let mut group = None;
    for check in &checkup.checks {
        if group != Some(check.group) {
            out.push_str(&format!("{}\n", check.group.name()));
            group = Some(check.group);
        }
        line(&mut out, check, width, color);
    }
    let count = |status, what: &str| {
        words::counted(checkup.checks.iter().filter(|check| check.status == status).count() as u64, what)
    };
    out + &format!("{}, {}\n", count(Status::Fail, "failure"), count(Status::Warn, "warning"))
}

fn line(out: &mut String, check: &Check, width: u16, color: bool) {
    let (word, mark) = match check.status {
        Status::Ok => ("ok  ", Some(Mark::Pass)),
        Status::Note => ("-   ", None),
        Status::Warn => ("warn", Some(Mark::Undecided)),
        Status::Fail => ("FAIL", Some(Mark::Fail)),
    };
    let indent = " ".repeat(NAME + 7);
    let before = format!("  {word} {:<NAME$}", check.name.name());
    let advice = advice(check);
    let mut text = String::new();
    wrap(&mut text, &before, &indent, &advice.fact, width);
    match mark.filter(|_| color) {
        Some(mark) => {
            let rest = text.get(2 + word.len()..).unwrap_or_default();
            out.push_str(&format!("  {}{rest}", paint(word, mark, false)));
        }
        None => out.push_str(&text),
    }
    if let Some(help) = advice.help {
        // Unbroken: most are commands, to be copied.
        out.push_str(&format!("{indent}help: {}\n", units::printable(&help)));
    }
}

/// What a check found, and what to do about it.
pub fn advice(check: &Check) -> Advice {
    let name = check.name.name();
    let warns = check.status >= Status::Warn;
    match &check.found {
        Found::NotInPath { elsewhere } => not_in_path(check.name, elsewhere.as_deref()),
        Found::Program { path, version: Some(version) } => fact(format!("{version} ({path})")),
        Found::Program { path, version: None } => fact(match check.name {
            Name::Gcc | Name::Clang => format!("{path} reports no version"),
            _ => path.clone(),
        }),
        Found::OldProgram { path, version, oldest } => Advice::new(
            format!("{version} ({path}), older than {name} {oldest}, the oldest that dlsoak is tested with"),
            format!("install {name} {oldest} or later, and set CC to it"),
        ),
        Found::Broken { path, failure, variable } => Advice {
            fact: format!("{path} {}", failed(failure)),
            help: match (check.name, variable, failure) {
                (Name::Go, Some(variable), _) => Some(format!("unset {variable}; go env {variable}")),
                (Name::Go, None, Failure::Nonsense) => Some("go env -json".to_owned()),
                (Name::Go, None, _) => Some("go env".to_owned()),
                (Name::Rustc, ..) => Some("rustup toolchain list".to_owned()),
                (Name::Gcc | Name::Clang, ..) => Some(format!("{name} --version")),
                _ => None,
            },
        },
        Found::Set { value } => match check.name {
            Name::LdLibraryPath => fact(format!(
                "{value}, which the loader searches before the system's libraries, in soaks too"
            )),
            Name::LdPreload => Advice::new(
                format!("{value}, which the loader loads into every program, the measured process included"),
                "unset LD_PRELOAD",
            ),
            _ => fact(value.clone()),
        },
        Found::NamesNoProgram { value, program } => Advice::new(
            format!("{value}, but {program} is not there, so builds that use {name} fail"),
            format!("unset {name}, or install {program}"),
        ),
        Found::CompilesFor { value, target, host } if target.split('-').next() != Some(host) => Advice::new(
            format!("{value} compiles for {target}, and such libraries do not load on {host}"),
            format!("unset {name}"),
        ),
        Found::CompilesFor { value, target, .. } => Advice::new(
            format!("{value} compiles for {target}, and such libraries do not load into programs on glibc"),
            format!("unset {name}"),
        ),
        Found::MissingDirectories { value, missing } => Advice::new(
            format!("{value}, but there is no directory {}", missing.join(", ")),
            match check.name {
                Name::LdLibraryPath => format!("unset {name}"),
                _ => format!("remove it from {name}, or install what belongs there"),
            },
        ),
        Found::EmptyEntry { value } => Advice::new(
            format!("{value}, whose empty entry stands for the current directory of each program"),
            "remove leading, trailing and double colons",
        ),
        Found::GoRoot { root, by_environment, fit } => go_root(root, *by_environment, fit),
        Found::GoTarget { target, host, variables } => Advice::new(
            format!("Go builds for {target} on {host}, and such libraries do not load here"),
            match variables.is_empty() {
                true => "go env -u GOOS GOARCH".to_owned(),
                false => format!("unset {}", variables.join(" ")),
            },
        ),
        Found::CgoOff { why } => cgo_off(why),
        Found::CgoOn { compiler, problem } => cgo_on(compiler, problem.as_ref()),
        Found::Rustc { release, host, .. } if warns => Advice::new(
            format!("{release} for {host}, and libraries for musl do not load into programs on glibc"),
            format!("cargo build --target {}-unknown-linux-gnu", host.split('-').next().unwrap_or_default()),
        ),
        Found::Rustc { path, release, host } => fact(format!("{release} for {host} ({path})")),
        Found::RustTargets { targets, host } if targets.is_empty() => {
            Advice::new("rustc has no standard library for any target", format!("rustup target add {host}"))
        }
        Found::RustTargets { targets, .. } => fact(targets.join(", ")),
        Found::CargoTarget { target, host } => Advice::new(
            format!(
                "cargo builds for {target}, and rustc runs on {host}, so its libraries may not load here"
            ),
            format!("unset {name}"),
        ),
        Found::NoCLibrary => Advice::new(
            "neither glibc nor musl is here, so no library can be soaked",
            "install libc6 or musl (Debian, Ubuntu)",
        ),
        Found::CLibrary { libc, musl: false } => fact(libc.clone()),
        Found::CLibrary { libc, musl: true } => {
            fact(format!("{libc}, and also musl, whose libraries do not load into programs on glibc"))
        }
        Found::Kernel { release, machine, lacks } => {
            kernel(&format!("Linux {release} ({machine})"), lacks.as_ref())
        }
        Found::Landlock { lacks } => landlock(lacks),
        Found::Ptrace { scope, attempt } => ptrace(scope.as_deref(), attempt),
        Found::PerfEvents { paranoid, sight } => perf(*paranoid, sight),
        Found::Auditing { libc, lacks } => auditing(libc, *lacks),
        Found::Watchable { path } => fact(format!("dlsoak watch can start {path} and see what it loads")),
        Found::NotWatchable { path, why } => unwatchable(path, why),
        Found::Script { path } => fact(format!(
            "{path} is a script; dlsoak watches the program that it becomes (exec), and only counts those that it starts"
        )),
        Found::OwnMalloc => Advice::new(
            "the program has a malloc of its own, so dlsoak watch can't measure what libraries allocate",
            "build the program without it, or watch only loads and unloads",
        ),
        Found::Proc { missing, hidepid: Some(hidepid) } if missing.is_empty() => fact(format!(
            "hidepid={hidepid}, so dlsoak watch --pid finds only this user's processes unless it runs as root"
        )),
        Found::Proc { missing, .. } if missing.is_empty() => {
            fact("dlsoak can read the memory, mappings and descriptors of a measured process")
        }
        Found::Proc { missing, .. } => Advice::new(
            format!("/proc/self has no {}, so dlsoak can't measure", missing.join(", ")),
            "mount -t proc proc /proc (smaps_rollup needs Linux 4.14)",
        ),
        Found::TmpDir { directory, room } => temporary(directory, room, warns),
        Found::Limit { soft, hard, enough } => limit(check.name, *soft, *hard, *enough),
        Found::Cpus { .. }
        | Found::Memory { .. }
        | Found::Threads { .. }
        | Found::Mappings { .. }
        | Found::HugePages { .. }
        | Found::CpuFrequency { .. } => machine(&check.found, warns),
        Found::Loads { .. }
        | Found::DoesNotLoad { .. }
        | Found::MoreProblems { .. }
        | Found::StaticTls { .. }
        | Found::ExecutableStack
        | Found::TextRelocations => library(&check.found),
        Found::Headers { package, version, library, fit } => headers(package, version, library, fit),
    }
}

fn not_in_path(name: Name, elsewhere: Option<&str>) -> Advice {
    if let Some(directory) = elsewhere {
        return Advice::new(
            format!("not in PATH, and GOROOT points to {directory}"),
            format!("export PATH=\"$PATH:{directory}\""),
        );
    }
    let matters = |what: &str| fact(format!("not in PATH, which only matters for {what}"));
    match name {
        Name::CCompiler => Advice::new(
            "gcc, clang and cc are not in PATH, which only matters for building libraries",
            "apt-get install build-essential",
        ),
        Name::Ld => Advice::new("no linker is in PATH, and gcc needs one", "apt-get install binutils"),
        Name::CppCompiler => matters("C++"),
        Name::PkgConfig => matters("builds that use it"),
        Name::Valgrind => matters("a second opinion on leaks of the C heap"),
        Name::Gdb => matters("debugging a crash"),
        Name::Go => matters("building Go libraries (https://go.dev/dl)"),
        Name::Rustc => matters("building Rust libraries (https://rustup.rs)"),
        _ => fact("not in PATH"),
    }
}

fn failed(failure: &Failure) -> String {
    match failure {
        Failure::NotStarted { error } => format!("can't be started: {error}"),
        Failure::NoAnswer { seconds } => format!("did not answer within {seconds} s"),
        Failure::Message { line } => format!("fails: {line}"),
        Failure::Status { exit_code: Some(code) } => format!("fails with exit code {code}"),
        Failure::Status { exit_code: None } => "was ended by a signal".to_owned(),
        Failure::Nonsense => "gives an answer that dlsoak can't read".to_owned(),
    }
}

fn go_root(root: &str, by_environment: bool, fit: &GoRootFit) -> Advice {
    let (by, help) = match by_environment {
        true => ("the environment", "unset GOROOT"),
        false => ("`go env -w` or the build of Go", "go env -u GOROOT"),
    };
    match fit {
        GoRootFit::Same => fact(root),
        GoRootFit::NoInstallation => Advice::new(
            format!("{root} (set by {by}) is not a Go installation, because it has no VERSION"),
            help,
        ),
        GoRootFit::OtherVersion { version, go } => Advice::new(
            format!(
                "{root} (set by {by}) holds {version}, and the go in PATH is {go}, so builds stop or mix the two"
            ),
            help,
        ),
        GoRootFit::OtherCopy { directory } => Advice::new(
            format!(
                "{root} (set by {by}) has the same version as the go in PATH, which belongs to {directory}"
            ),
            help,
        ),
    }
}

fn cgo_off(why: &CgoOff) -> Advice {
    let (by, help) = match why {
        CgoOff::Environment => ("set by the environment".to_owned(), "unset CGO_ENABLED".to_owned()),
        CgoOff::Setting => ("set by `go env -w`".to_owned(), "go env -u CGO_ENABLED".to_owned()),
        CgoOff::OtherMachine { target, host, fix } => (
            format!("the default for {target} on {host}"),
            format!("CGO_ENABLED=1 {}", with_compiler(fix, target)),
        ),
        CgoOff::NoCompiler { compiler } => (
            format!("the default without a C compiler ({compiler} is not in PATH)"),
            "apt-get install gcc libc6-dev".to_owned(),
        ),
    };
    Advice::new(format!("0, {by}, so Go refuses -buildmode=c-shared and skips files with import \"C\""), help)
}

fn cgo_on(compiler: &str, problem: Option<&CgoProblem>) -> Advice {
    match problem {
        None => fact(format!("1, with {compiler}")),
        Some(CgoProblem::NotInPath) => Advice::new(
            format!("1, but its C compiler {compiler} is not in PATH"),
            "apt-get install gcc libc6-dev, or set CC",
        ),
        Some(CgoProblem::OtherMachine { machine, target, fix }) => Advice::new(
            format!(
                "1, but {compiler} compiles for {machine} and Go builds for {target}, so the assembler fails"
            ),
            with_compiler(fix, target),
        ),
    }
}

/// A build with another C compiler.
fn with_compiler(fix: &Option<String>, target: &str) -> String {
    match fix {
        Some(compiler) => format!("CC={compiler} go build"),
        None => format!("CC=COMPILER go build, with a C compiler for {target}"),
    }
}

fn kernel(what: &str, lacks: Option<&KernelLack>) -> Advice {
    match lacks {
        None => fact(what),
        Some(KernelLack::SealedMemory { error }) => Advice::new(
            format!("{what} refuses sealed shared memory (memfd_create): {error}"),
            "run on Linux 3.17 or later, or allow memfd_create in the container's seccomp profile",
        ),
        Some(KernelLack::ProcessMadvise) => Advice::new(
            format!("{what} lacks process_madvise, so --chaos can't create memory pressure"),
            "run on Linux 5.10 or later",
        ),
    }
}

fn confinement(what: Confinement) -> &'static str {
    match what {
        Confinement::WritingFiles => "writing files",
        Confinement::TruncatingFiles => "truncating files",
        Confinement::Tcp => "using TCP",
        Confinement::Signals => "signalling other processes",
    }
}

fn landlock(lacks: &[Confinement]) -> Advice {
    let list =
        |all: &[Confinement]| words::listed(&all.iter().map(|what| confinement(*what)).collect::<Vec<_>>());
    if lacks.is_empty() {
        fact(format!("--sandbox can keep a library from {}", list(&Confinement::ALL)))
    } else if lacks.len() == Confinement::ALL.len() {
        Advice::new(
            "not available, so --sandbox can only cut off the network",
            "boot with lsm=landlock,... (Linux 5.13 or later), and allow landlock_create_ruleset in a container",
        )
    } else {
        fact(format!("--sandbox can't keep a library from {}, which a newer kernel can", list(lacks)))
    }
}

fn ptrace(scope: Option<&str>, attempt: &Attempt) -> Advice {
    let setting = scope.map_or_else(|| "no ptrace_scope".to_owned(), |scope| format!("ptrace_scope {scope}"));
    match attempt {
        Attempt::Succeeded => fact(format!("dlsoak can trace a measured process ({setting})")),
        Attempt::NotMade => fact(format!("not tried, because `cat` can't be started ({setting})")),
        Attempt::Refused { error } => Advice::new(
            format!(
                "dlsoak can't trace a measured process ({error}, {setting}), so it reports a crash without stacks or cause"
            ),
            match scope {
                Some("2" | "3") => "sysctl kernel.yama.ptrace_scope=1",
                _ => "docker run --cap-add=SYS_PTRACE, or allow ptrace in the seccomp profile",
            },
        ),
    }
}

fn perf(paranoid: Option<i32>, sight: &Sight) -> Advice {
    let setting = paranoid
        .map_or_else(|| "no perf_event_paranoid".to_owned(), |level| format!("perf_event_paranoid {level}"));
    match sight {
        Sight::LoadsAndUnloads => fact(format!("dlsoak watch --pid counts loads and unloads ({setting})")),
        Sight::Loads => fact(format!(
            "dlsoak watch --pid counts loads, and unloads by what is mapped at the end, because only root can read the kernel's tracepoints \
             ({setting})"
        )),
        Sight::Nothing { error } => Advice::new(
            format!(
                "dlsoak watch --pid can't count loads and unloads, because the kernel refuses perf events ({error}, {setting})"
            ),
            "run as root or with CAP_PERFMON, or sysctl kernel.perf_event_paranoid=2",
        ),
    }
}

fn auditing(libc: &str, lacks: Option<AuditLack>) -> Advice {
    match lacks {
        None => fact(format!("dlsoak watch can see what a host loads ({libc})")),
        Some(AuditLack::Auditors) => Advice::new(
            format!("{libc} has no LD_AUDIT, so dlsoak watch can't start a host"),
            "dlsoak watch --pid PID",
        ),
        Some(AuditLack::QuickCalls) => Advice::new(
            format!(
                "under an auditor {libc} makes each call of a library's function slow (BZ#15533), so dlsoak watch refuses to start a host"
            ),
            "dlsoak watch --force, dlsoak watch --pid PID, or glibc 2.34 or later",
        ),
    }
}

fn unwatchable(path: &str, why: &Unwatchable) -> Advice {
    let what = match why {
        Unwatchable::Static => "is static, so no loader reports what it loads".to_owned(),
        Unwatchable::Setuid => {
            "is setuid or setgid and belongs to another user, so the loader ignores LD_AUDIT and LD_PRELOAD"
                .to_owned()
        }
        Unwatchable::Musl => "uses musl, whose loader has no LD_AUDIT and never unloads a library".to_owned(),
        Unwatchable::WrongMachine { machine } => {
            return Advice::new(format!("{path} is for {machine}"), "build it for this machine");
        }
    };
    Advice::new(format!("{path} {what}"), "start it yourself, then dlsoak watch --pid PID")
}

fn temporary(directory: &str, room: &Room, warns: bool) -> Advice {
    let what = match room {
        Room::Free { bytes } => {
            let free = format!("{directory}, {} free", units::bytes(*bytes as f64));
            if !warns {
                return fact(free);
            }
            format!("{free}, which is little room for copies of libraries")
        }
        Room::Unreachable { error } => format!("{directory} can't be used: {error}"),
        Room::NoExec => {
            format!("{directory} is mounted noexec, so copies of libraries made there do not load")
        }
        Room::NotWritable => format!("{directory} can't be written to"),
    };
    Advice::new(what, "set TMPDIR to a writable directory with room, on a file system that is not noexec")
}

/// A limit of a process. Two of them count bytes, and any value of those is too low.
fn limit(name: Name, soft: Option<u64>, hard: Option<u64>, enough: Option<u64>) -> Advice {
    let hard =
        hard.map_or_else(|| "no hard limit".to_owned(), |hard| format!("hard limit {}", units::count(hard)));
    let found = format!("{} ({hard})", soft.map_or_else(|| "no limit".to_owned(), units::count));
    let bytes = format!(
        "{}, and Go libraries and sanitizers reserve far more than they use",
        units::bytes(soft.unwrap_or(u64::MAX) as f64)
    );
    match (name, enough) {
        (Name::AddressSpace, _) => Advice::new(bytes, "ulimit -v unlimited"),
        (Name::DataSegment, _) => Advice::new(bytes, "ulimit -d unlimited"),
        (_, Some(enough)) if soft.is_some_and(|soft| soft < enough) => Advice::new(
            format!("{found}, and a soak with threads may need {}", units::count(enough)),
            if name == Name::OpenFiles { "ulimit -n 65536" } else { "ulimit -u unlimited" },
        ),
        _ => fact(found),
    }
}

/// What the machine has room for, and its settings.
fn machine(found: &Found, warns: bool) -> Advice {
    let unknown = "can't be read";
    match found {
        Found::Cpus { count: 1 } => Advice::new(
            "1, so the measured process and dlsoak take turns, and no two threads run at once, which hides races",
            "give the container or machine two or more CPUs",
        ),
        Found::Cpus { count } => fact(count.to_string()),
        Found::Memory { free: Some(free) } => {
            let what = format!("{} free, control groups considered", units::bytes(*free as f64));
            match warns {
                false => fact(what),
                true => Advice::new(
                    format!("{what}, and a soak may use half of it by default"),
                    "raise memory.max of the control group, or end other programs",
                ),
            }
        }
        Found::Threads { free: Some(free) } => {
            let what = format!("room for {} more", units::count(*free));
            match warns {
                false => fact(what),
                true => Advice::new(
                    format!("{what}, and a Go library may need more"),
                    "raise pids.max of the control group, or kernel.threads-max",
                ),
            }
        }
        Found::Mappings { most: Some(most), usual } => {
            let what = format!("max_map_count {}", units::count(*most));
            match warns {
                false => fact(what),
                true => Advice::new(
                    format!("{what}, which libraries that stay loaded use up sooner than usual"),
                    format!("sysctl vm.max_map_count={usual}"),
                ),
            }
        }
        Found::HugePages { setting } if setting == "always" => Advice::new(
            "always, so resident memory grows in steps of 2 MiB",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        ),
        Found::HugePages { setting } => fact(setting.clone()),
        Found::CpuFrequency { governor } => match governor.as_deref() {
            Some("powersave") => {
                Advice::new("powersave, so latencies vary", "cpupower frequency-set -g performance")
            }
            Some(governor) => fact(governor),
            None => fact("no governor to set, as in a virtual machine"),
        },
        _ => fact(unknown),
    }
}

/// What a library needs.
fn library(found: &Found) -> Advice {
    match found {
        Found::Loads { machine, libc } => {
            fact(format!("yes, as far as the files show ({machine}, {})", inspection::libc(libc)))
        }
        Found::DoesNotLoad { problem } => {
            let Advice { fact, help } = inspection::problem(problem);
            Advice { fact: format!("no, {fact}"), help }
        }
        Found::MoreProblems { count } => Advice::new(
            format!("no, with {} more problems", units::count(*count)),
            "run dlsoak inspect on it",
        ),
        Found::StaticTls { bytes, room, at_most } => Advice::new(
            format!(
                "it takes {} of the {} that glibc leaves to libraries opened at run time, so at most {} such \
                 libraries load",
                units::bytes(*bytes as f64),
                units::bytes(*room as f64),
                units::count(*at_most)
            ),
            "build it without -ftls-model=initial-exec, or start the program with \
             GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096",
        ),
        Found::ExecutableStack => Advice::new(
            "it asks for an executable stack, which glibc 2.41 and later and hardened kernels refuse in dlopen",
            "link it with -Wl,-z,noexecstack",
        ),
        _ => Advice::new(
            "the loader has to rewrite its code, which SELinux and other policies refuse",
            "compile all of it with -fPIC",
        ),
    }
}

fn headers(package: &str, version: &str, library: &str, fit: &HeadersFit) -> Advice {
    let what = format!("{package} has version {version}");
    match fit {
        HeadersFit::Same => fact(what),
        HeadersFit::NoLibrary => {
            fact(format!("{what}, and its library {library} is not there to compare with"))
        }
        HeadersFit::OtherMachine { machine } => {
            fact(format!("{what}, and its library {library} is for {machine}"))
        }
        HeadersFit::OtherSoname { theirs, ours } => {
            let has = match theirs {
                Some(theirs) => format!("the soname {theirs}, not {ours}"),
                None => format!("no soname instead of {ours}"),
            };
            Advice::new(
                format!("{what}, and its library {library} has {has}, so headers and library do not fit"),
                format!(
                    "build with the headers of this library, or load {}",
                    theirs.as_deref().unwrap_or(library)
                ),
            )
        }
        HeadersFit::OtherCopy { soname } => {
            let file = words::file_name(package);
            Advice::new(
                format!(
                    "{what}, and its library {library} is another copy of {soname}, maybe of another version"
                ),
                format!("pkg-config --variable=pcfiledir {}", file.strip_suffix(".pc").unwrap_or(file)),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use dlsoak_record::checkup::{Group, SCHEMA};
    use dlsoak_record::file::{Libc, Machine};
    use dlsoak_record::inspection::Problem;

    use super::*;

    /// One of each thing that a check can find.
    fn all() -> Vec<Check> {
        use Name::*;
        use Status::{Fail, Note, Ok, Warn};
        let text = str::to_owned;
        let absent = || Found::NotInPath { elsewhere: None };
        let program =
            |version: Option<&str>| Found::Program { path: text("/usr/bin/x"), version: version.map(text) };
        let broken = |failure, variable: Option<&str>| Found::Broken {
            path: text("/usr/bin/x"),
            failure,
            variable: variable.map(text),
        };
        let set = |value: &str| Found::Set { value: text(value) };
        let compiles = |target: &str| Found::CompilesFor {
            value: text("cross-gcc -O2"),
            target: text(target),
            host: text("x86_64"),
        };
        let missing = || Found::MissingDirectories { value: text("/a:/b"), missing: vec![text("/b")] };
        let root = |by_environment, fit| Found::GoRoot { root: text("/opt/go"), by_environment, fit };
        let target = |variables: &[&str]| Found::GoTarget {
            target: text("linux/arm64"),
            host: text("linux/amd64"),
            variables: variables.iter().map(|name| text(name)).collect(),
        };
        let off = |why| Found::CgoOff { why };
        let on = |problem| Found::CgoOn { compiler: text("gcc"), problem };
        let fix = || Some(text("aarch64-linux-gnu-gcc"));
        let other =
            |fix| CgoOff::OtherMachine { target: text("linux/arm64"), host: text("linux/amd64"), fix };
        let rustc = |host: &str| Found::Rustc {
            path: text("/usr/bin/rustc"),
            release: text("1.95.0"),
            host: text(host),
        };
        let targets = |all: &[&str]| Found::RustTargets {
            targets: all.iter().map(|name| text(name)).collect(),
            host: text("x86_64-unknown-linux-gnu"),
        };
        let kernel = |lacks| Found::Kernel { release: text("6.18.44"), machine: text("x86_64"), lacks };
        let error = || text("EPERM: Operation not permitted");
        let ptrace = |scope: Option<&str>, attempt| Found::Ptrace { scope: scope.map(text), attempt };
        let audits = |libc: &str, lacks| Found::Auditing { libc: text(libc), lacks };
        let proc = |missing: &[&str], hidepid: Option<&str>| Found::Proc {
            missing: missing.iter().map(|name| text(name)).collect(),
            hidepid: hidepid.map(text),
        };
        let host = || text("/usr/sbin/apache2");
        let not = |why| Found::NotWatchable { path: host(), why };
        let tmp = |room| Found::TmpDir { directory: text("/tmp"), room };
        let limit = |soft, hard, enough| Found::Limit { soft, hard, enough };
        let mappings = |most| Found::Mappings { most, usual: 65_530 };
        let headers = |fit| Found::Headers {
            package: text("/usr/lib/pkgconfig/demo.pc"),
            version: text("2.1.0"),
            library: text("/usr/lib/libdemo.so"),
            fit,
        };
        let wrong = Problem::WrongMachine { machine: Machine::AARCH64, host: Machine::X86_64 };
        let libc = Libc::Glibc { at_least: Some(text("2.34")) };
        let checks = [
            (
                Group::Host,
                vec![
                    (Watch, Ok, Found::Watchable { path: host() }),
                    (Watch, Note, Found::Script { path: host() }),
                    (Watch, Warn, not(Unwatchable::Static)),
                    (Watch, Warn, not(Unwatchable::Setuid)),
                    (Watch, Warn, not(Unwatchable::Musl)),
                    (Watch, Fail, not(Unwatchable::WrongMachine { machine: Machine::AARCH64 })),
                    (Allocator, Warn, Found::OwnMalloc),
                ],
            ),
            (
                Group::Library,
                vec![
                    (LoadsHere, Ok, Found::Loads { machine: Machine::X86_64, libc }),
                    (LoadsHere, Fail, Found::DoesNotLoad { problem: wrong }),
                    (LoadsHere, Fail, Found::MoreProblems { count: 12 }),
                    (StaticTls, Warn, Found::StaticTls { bytes: 256, room: 1664, at_most: 6 }),
                    (Stack, Warn, Found::ExecutableStack),
                    (TextRelocations, Warn, Found::TextRelocations),
                    (Headers, Ok, headers(HeadersFit::Same)),
                    (Headers, Note, headers(HeadersFit::NoLibrary)),
                    (Headers, Note, headers(HeadersFit::OtherMachine { machine: Machine::I386 })),
                    (
                        Headers,
                        Warn,
                        headers(HeadersFit::OtherSoname {
                            theirs: Some(text("libdemo.so.2")),
                            ours: text("libdemo.so.1"),
                        }),
                    ),
                    (Headers, Warn, headers(HeadersFit::OtherCopy { soname: text("libdemo.so.1") })),
                ],
            ),
            (
                Group::Tools,
                vec![
                    (Gcc, Ok, program(Some("12.2.0"))),
                    (Gcc, Note, program(None)),
                    (
                        Gcc,
                        Warn,
                        Found::OldProgram { path: text("/usr/bin/gcc"), version: text("8.3.0"), oldest: 9 },
                    ),
                    (Gcc, Warn, broken(Failure::NoAnswer { seconds: 5 }, None)),
                    (Clang, Note, absent()),
                    (Clang, Warn, broken(Failure::Status { exit_code: Some(3) }, None)),
                    (Clang, Warn, broken(Failure::Status { exit_code: None }, None)),
                    (CCompiler, Warn, absent()),
                    (CppCompiler, Note, absent()),
                    (Ld, Warn, absent()),
                    (Cc, Ok, set("gcc -O2")),
                    (Cc, Fail, Found::NamesNoProgram { value: text("icc -O2"), program: text("icc") }),
                    (Cc, Warn, compiles("s390x-linux-gnu")),
                    (Cxx, Warn, compiles("x86_64-alpine-linux-musl")),
                    (PkgConfig, Ok, program(None)),
                    (PkgConfig, Note, absent()),
                    (PkgConfigPath, Warn, missing()),
                    (LdLibraryPath, Note, set("/opt/lib")),
                    (LdLibraryPath, Warn, missing()),
                    (LdLibraryPath, Warn, Found::EmptyEntry { value: text("/lib:") }),
                    (LdPreload, Warn, set("/opt/libx.so")),
                    (Valgrind, Note, absent()),
                    (Gdb, Note, absent()),
                ],
            ),
            (
                Group::Go,
                vec![
                    (Go, Ok, program(Some("1.26.8"))),
                    (Go, Note, absent()),
                    (Go, Warn, Found::NotInPath { elsewhere: Some(text("/opt/go/bin")) }),
                    (Go, Warn, broken(Failure::Nonsense, None)),
                    (
                        Go,
                        Fail,
                        broken(
                            Failure::Message { line: text("go: cannot find GOROOT directory: /x") },
                            Some("GOROOT"),
                        ),
                    ),
                    (Go, Fail, broken(Failure::NotStarted { error: error() }, None)),
                    (GoRoot, Ok, root(false, GoRootFit::Same)),
                    (GoRoot, Fail, root(true, GoRootFit::NoInstallation)),
                    (
                        GoRoot,
                        Fail,
                        root(
                            false,
                            GoRootFit::OtherVersion { version: text("go1.21.13"), go: text("go1.26.8") },
                        ),
                    ),
                    (GoRoot, Warn, root(true, GoRootFit::OtherCopy { directory: text("/usr/local/go") })),
                    (GoTarget, Warn, target(&[])),
                    (GoTarget, Warn, target(&["GOOS", "GOARCH"])),
                    (CgoEnabled, Warn, off(CgoOff::Environment)),
                    (CgoEnabled, Warn, off(CgoOff::Setting)),
                    (CgoEnabled, Warn, off(other(fix()))),
                    (CgoEnabled, Warn, off(other(None))),
                    (CgoEnabled, Warn, off(CgoOff::NoCompiler { compiler: text("gcc") })),
                    (CgoEnabled, Ok, on(None)),
                    (CgoEnabled, Warn, on(Some(CgoProblem::NotInPath))),
                    (
                        CgoEnabled,
                        Warn,
                        on(Some(CgoProblem::OtherMachine {
                            machine: text("x86_64-linux-gnu"),
                            target: text("linux/arm64"),
                            fix: fix(),
                        })),
                    ),
                ],
            ),
            (
                Group::Rust,
                vec![
                    (Rustc, Ok, rustc("x86_64-unknown-linux-gnu")),
                    (Rustc, Warn, rustc("aarch64-unknown-linux-musl")),
                    (Rustc, Note, absent()),
                    (Rustc, Warn, broken(Failure::Nonsense, None)),
                    (RustTargets, Ok, targets(&["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"])),
                    (RustTargets, Warn, targets(&[])),
                    (
                        CargoBuildTarget,
                        Warn,
                        Found::CargoTarget {
                            target: text("wasm32-wasip1"),
                            host: text("x86_64-unknown-linux-gnu"),
                        },
                    ),
                ],
            ),
            (
                Group::System,
                vec![
                    (CLibrary, Fail, Found::NoCLibrary),
                    (CLibrary, Ok, Found::CLibrary { libc: text("glibc 2.36"), musl: false }),
                    (CLibrary, Ok, Found::CLibrary { libc: text("glibc 2.36"), musl: true }),
                    (Kernel, Ok, kernel(None)),
                    (Kernel, Warn, kernel(Some(KernelLack::ProcessMadvise))),
                    (Kernel, Fail, kernel(Some(KernelLack::SealedMemory { error: error() }))),
                    (Landlock, Ok, Found::Landlock { lacks: Vec::new() }),
                    (Landlock, Note, Found::Landlock { lacks: vec![Confinement::Tcp, Confinement::Signals] }),
                    (Landlock, Warn, Found::Landlock { lacks: Confinement::ALL.to_vec() }),
                    (Ptrace, Ok, ptrace(None, Attempt::Succeeded)),
                    (Ptrace, Note, ptrace(Some("1"), Attempt::NotMade)),
                    (Ptrace, Warn, ptrace(Some("2"), Attempt::Refused { error: error() })),
                    (Ptrace, Warn, ptrace(None, Attempt::Refused { error: error() })),
                    (PerfEvents, Ok, Found::PerfEvents { paranoid: Some(2), sight: Sight::LoadsAndUnloads }),
                    (PerfEvents, Ok, Found::PerfEvents { paranoid: Some(2), sight: Sight::Loads }),
                    (
                        PerfEvents,
                        Warn,
                        Found::PerfEvents { paranoid: Some(3), sight: Sight::Nothing { error: error() } },
                    ),
                    (LdAudit, Ok, audits("glibc 2.36", None)),
                    (LdAudit, Warn, audits("glibc 2.31", Some(AuditLack::QuickCalls))),
                    (LdAudit, Warn, audits("musl", Some(AuditLack::Auditors))),
                    (Proc, Ok, proc(&[], None)),
                    (Proc, Note, proc(&[], Some("2"))),
                    (Proc, Fail, proc(&["smaps_rollup", "fd"], None)),
                    (TmpDir, Ok, tmp(Room::Free { bytes: 33 << 30 })),
                    (TmpDir, Warn, tmp(Room::Free { bytes: 1 << 20 })),
                    (
                        TmpDir,
                        Fail,
                        tmp(Room::Unreachable { error: text("ENOENT: No such file or directory") }),
                    ),
                    (TmpDir, Fail, tmp(Room::NoExec)),
                    (TmpDir, Fail, tmp(Room::NotWritable)),
                ],
            ),
            (
                Group::Limits,
                vec![
                    (Cpus, Ok, Found::Cpus { count: 2 }),
                    (Cpus, Warn, Found::Cpus { count: 1 }),
                    (Memory, Ok, Found::Memory { free: Some(22 << 30) }),
                    (Memory, Warn, Found::Memory { free: Some(300 << 20) }),
                    (Memory, Note, Found::Memory { free: None }),
                    (OpenFiles, Ok, limit(Some(20_000), None, Some(1024))),
                    (OpenFiles, Warn, limit(Some(256), Some(4096), Some(1024))),
                    (Processes, Warn, limit(Some(100), Some(100), Some(200))),
                    (AddressSpace, Warn, limit(Some(4 << 30), None, None)),
                    (DataSegment, Warn, limit(Some(4 << 30), None, None)),
                    (Threads, Ok, Found::Threads { free: Some(32_630) }),
                    (Threads, Warn, Found::Threads { free: Some(20) }),
                    (Threads, Note, Found::Threads { free: None }),
                    (Mappings, Ok, mappings(Some(65_530))),
                    (Mappings, Warn, mappings(Some(4096))),
                    (Mappings, Note, mappings(None)),
                    (HugePages, Ok, Found::HugePages { setting: text("madvise") }),
                    (HugePages, Note, Found::HugePages { setting: text("always") }),
                    (CpuFrequency, Ok, Found::CpuFrequency { governor: None }),
                    (CpuFrequency, Ok, Found::CpuFrequency { governor: Some(text("performance")) }),
                    (CpuFrequency, Note, Found::CpuFrequency { governor: Some(text("powersave")) }),
                ],
            ),
        ];
        let of = |(group, checks): (Group, Vec<(Name, Status, Found)>)| {
            checks.into_iter().map(move |(name, status, found)| Check { group, name, status, found })
        };
        checks.into_iter().flat_map(of).collect()
    }

    #[test]
    fn each_check_is_a_line_with_its_help_below() {
        let checks = all();
        for name in Name::ALL {
            let absent = [Name::PkgConfigLibdir].contains(&name);
            assert!(absent || checks.iter().any(|check| check.name == name), "{name:?}");
        }
        let checkup = Checkup { schema: SCHEMA.to_owned(), status: Status::Fail, checks };
        insta::assert_snapshot!(render(&checkup, 110, false));
        let json = serde_json::to_string(&checkup).unwrap();
        assert_eq!(serde_json::from_str::<Checkup>(&json).unwrap(), checkup);
        let colored = render(&checkup, 110, true);
        assert!(colored.contains("\u{1b}[31mFAIL"), "{colored}");
    }

    #[test]
    fn trouble_has_help() {
        for check in all().iter().filter(|check| check.status >= Status::Warn) {
            assert!(advice(check).help.is_some(), "{check:?}");
        }
    }
}
