//! The row of another processor: an emulated machine soaks the fixtures with the program that ships and runs the tests of the libraries.
//! Its kernel and its root are Debian's. It reads the program, the fixtures and the tests from a directory of the host and leaves the
//! records there, so that the host judges them.

use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xtask::fixtures::{self, Fixture, Table, Truth};
use xtask::judge;
use xtask::record::{self, Soak};

use super::{Cell, Column, Options, build_helpers, built, cell, fetched};
use crate::{check, command, dist, nightly, truth};

/// What the machine is, as `uname -m` prints it.
pub(super) const MACHINE: &str = "aarch64";

/// The release whose kernel and C library run there. Cross compilers of a later release link with a later C library.
const SUITE: &str = "bookworm";

/// What its root has besides the least of Debian. Busybox does what needs an installed system otherwise.
const PACKAGES: [&str; 5] = ["busybox-static", "libgomp1", "libstdc++6", "linux-image-arm64", "zlib1g"];

/// Programs that this needs on this machine, and the packages that have them.
const NEEDED: [(&str, &str); 5] = [
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu"),
    ("debootstrap", "debootstrap"),
    ("cpio", "cpio"),
];

/// Modules that a share of the host needs, in the order in which the kernel takes them.
const MODULES: [&str; 6] = [
    "drivers/virtio/virtio_mmio",
    "fs/netfs/netfs",
    "fs/fscache/fscache",
    "net/9p/9pnet",
    "net/9p/9pnet_virtio",
    "fs/9p/9p",
];

/// The first program of the machine. It turns the machine off at the end, in whichever way the work ended.
const INIT: &str = r#"#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin HOME=/root
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
$b mkdir -p /dev/pts /dev/shm /share
$b mount -t devpts devpts /dev/pts
$b mount -t tmpfs -o mode=1777 shm /dev/shm
$b ip link set lo up
while read -r module; do $b insmod "/modules/$module.ko"; done < /modules/order
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576 share /share
sh /share/run > /share/log 2>&1
echo $? > /share/status
$b sync
$b poweroff -f
"#;

/// Soaks one fixture there. A record on a local disk is written in less time, and only the record is of use to the host.
const ONE: &str = r#"name=$1
out=/share/out/$name
mkdir -p "$out" "$SCRATCH"
cd "$SCRATCH"
from=$(date +%s)
sh "/share/soaks/$name" > "$out/said" 2> "$out/errors" < /dev/null
status=$?
cp "$SCRATCH/$name/record.json" "$out/"
echo "$name: $(($(date +%s) - from)) s"
echo $status > "$out/status"
rm -rf "${SCRATCH:?}/$name"
"#;

/// Fixtures whose truth shows in at most this number of cycles are soaked; a cycle takes about 3 ms there. Those of the demo are, too.
const WITHIN: u64 = 300;

/// What may have no more cycles than this has long ones: `c-threads-at-once` begins 1,100 threads in each, and takes four minutes there.
const LONG: u64 = 20;

/// Descriptors that a process may have there. The kernel's own 1,024 are so close to the 1,000 of a fixture's `fd-limit` that the fixture can
/// meet either first.
const DESCRIPTORS: u32 = 20_000;

/// Where a soak leaves its record before it is copied.
const SCRATCH: &str = "/tmp/soaks";

/// The longest that the machine may run.
const DEADLINE: Duration = Duration::from_secs(40 * 60);

/// What the row's own process needs to build for that machine.
pub(super) fn surroundings(ports: &Path) -> Result<Vec<(String, String)>> {
    for (program, package) in NEEDED {
        let mut version = Command::new(program);
        let found = version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if found.status().is_err() {
            let packages: Vec<&str> = NEEDED.iter().map(|(_, package)| *package).collect();
            bail!(
                "`{program}` of {package} is missing: apt install {} libc6-dev-arm64-cross",
                packages.join(" ")
            );
        }
    }
    let compiler = "aarch64-linux-gnu-gcc".to_owned();
    Ok(vec![
        (fixtures::MACHINE.to_owned(), MACHINE.to_owned()),
        (fixtures::DIRECTORY.to_owned(), ports.join("fixtures").join(MACHINE).display().to_string()),
        ("CC".to_owned(), compiler.clone()),
        ("CXX".to_owned(), "aarch64-linux-gnu-g++".to_owned()),
        (dist::linker(&target()), compiler),
    ])
}

fn target() -> String {
    format!("{MACHINE}-unknown-linux-gnu")
}

/// A fixture that is soaked, and what is true of it there.
struct Wanted<'a> {
    fixture: &'a Fixture,
    truth: &'a Truth,
}

/// Soaks the fixtures and runs the tests, in the process that has the surroundings.
pub(super) fn column(program: &Path, scratch: &Path, options: &Options) -> Result<Column> {
    let root = fixtures::root();
    let ports = command::target(&root).join("ports");
    let at = scratch.parent().unwrap_or(scratch);
    let image = Image::cached(&ports, at)?;
    dist::add(&root, &target())?;
    let table = Table::load(&root)?;
    let mut column = Column { date: nightly::today()?, ..Column::default() };
    let wanted = wanted(&table, options, &mut column);
    let guest = Guest { share: at.join("share"), root: root.clone(), tests: Vec::new() };
    dist::fresh(&guest.share)?;
    let guest = if options.only.is_empty() { guest.with_tests()? } else { guest };
    guest.prepare(program, &wanted)?;
    let began = Instant::now();
    image.run(&guest, &at.join("console"))?;
    println!("the emulated machine ran for {:.0} s", began.elapsed().as_secs_f64());
    for Wanted { fixture, truth } in &wanted {
        let made = guest.left(&fixture.name);
        if let Ok(soak) = &made {
            column.libc = format!("{}, {MACHINE}", soak.worker.libc);
        }
        column.cells.insert(fixture.name.clone(), judged(fixture, truth, made));
    }
    column.tests = guest.tests.iter().map(|test| guest.result(test)).collect();
    Ok(column)
}

/// Nothing else uses the machine meanwhile, so each point counts, and the rates and the ends, too.
fn judged(fixture: &Fixture, truth: &Truth, made: Result<Soak>) -> Cell {
    let mut short = check::compared(truth, made);
    if let Some(soak) = &short.soak {
        short.differences = judge::differences(fixture, soak);
    }
    cell(truth, short)
}

/// Builds what is soaked; notes what can't be built.
fn wanted<'a>(table: &'a Table, options: &Options, column: &mut Column) -> Vec<Wanted<'a>> {
    let situation = options.situation();
    build_helpers(table, &options.libc);
    let mut wanted = Vec::new();
    for fixture in table.fixtures.iter().filter(|fixture| !fixture.hostile) {
        let Some(truth) = fixture.truth(&situation) else { continue };
        let is_wanted = if options.only.is_empty() {
            let most = truth.max_cycles.unwrap_or(u64::MAX);
            fixture.demo || most > LONG && most.min(truth.cycles) <= WITHIN
        } else {
            options.only.contains(&fixture.name)
        };
        if !is_wanted {
            continue;
        }
        match built(fixture, &options.libc) {
            Ok(()) => wanted.push(Wanted { fixture, truth }),
            Err(why) => {
                column.cells.insert(fixture.name.clone(), Cell::NotBuilt { why });
            }
        }
    }
    // The longest first, so that both processors have work until the end.
    wanted.sort_by_key(|wanted| std::cmp::Reverse(wanted.truth.cycles));
    wanted
}

/// The tests of one library.
struct Test {
    name: String,
    program: PathBuf,
    /// Where they run.
    directory: PathBuf,
}

/// What the tests of a library gave.
#[derive(Serialize, Deserialize)]
pub(super) struct Tests {
    name: String,
    passed: u64,
    failed: Vec<String>,
    ignored: u64,
    /// Whether they ran to their end.
    ended: bool,
}

impl Tests {
    /// Reads the words of a program of tests.
    fn read(name: &str, said: &str) -> Self {
        let result = said.lines().find_map(|line| line.strip_prefix("test result: "));
        let count = |what: &str| {
            let mut parts = result.into_iter().flat_map(|result| result.split([';', '.']));
            parts.find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok()).unwrap_or(0)
        };
        let failed = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.to_owned());
        Self {
            name: name.to_owned(),
            passed: count("passed"),
            failed: said.lines().filter_map(failed).collect(),
            ignored: count("ignored"),
            ended: result.is_some(),
        }
    }

    pub(super) fn are_good(&self) -> bool {
        self.ended && self.failed.is_empty()
    }
}

impl fmt::Display for Tests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} passed, {} failed", self.name, self.passed, self.failed.len())?;
        if self.ignored > 0 {
            write!(f, ", {} ignored", self.ignored)?;
        }
        if !self.failed.is_empty() {
            write!(f, ": {}", self.failed.join(", "))?;
        }
        if self.ended { Ok(()) } else { f.write_str(", and then they ended early") }
    }
}

/// What the machine reads and writes here.
struct Guest {
    share: PathBuf,
    /// The repository, which the machine sees at the same place.
    root: PathBuf,
    tests: Vec<Test>,
}

impl Guest {
    /// Builds the tests of all libraries for the machine.
    fn with_tests(mut self) -> Result<Self> {
        let mut cargo = command::cargo(&self.root);
        cargo.args(["test", "--no-run", "--quiet", "--locked", "--workspace", "--exclude", "xtask", "--lib"]);
        cargo.args(["--message-format", "json-render-diagnostics", "--target", &target()]);
        for line in command::quietly(&mut cargo, command::CARGO)?.lines() {
            let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
            let text = |value: &Value| value.as_str().map(str::to_owned);
            if let (Some(program), Some(name), Some(manifest)) = (
                text(&message["executable"]),
                text(&message["target"]["name"]),
                text(&message["manifest_path"]),
            ) {
                let directory = Path::new(&manifest).parent().unwrap_or(&self.root).to_owned();
                self.tests.push(Test { name, program: program.into(), directory });
            }
        }
        Ok(self)
    }

    /// Writes what the machine does.
    fn prepare(&self, program: &Path, wanted: &[Wanted<'_>]) -> Result<()> {
        let share = |name: &str| self.share.join(name);
        for directory in ["fixtures", "out", "soaks", "tests"] {
            dist::fresh(&share(directory))?;
        }
        dist::copy(program, &share("dlsoak"))?;
        let out = fixtures::directory(&self.root);
        let libraries = fs::read_dir(&out).with_context(|| format!("cannot read {}", out.display()))?;
        for library in libraries.flatten().map(|entry| entry.path()) {
            if library.extension().is_some_and(|extension| extension == "so") {
                dist::copy(&library, &share("fixtures").join(library.file_name().unwrap_or_default()))?;
            }
        }
        for test in &self.tests {
            dist::copy(&test.program, &share("tests").join(&test.name))?;
        }
        let mut names = String::new();
        for Wanted { fixture, truth } in wanted {
            let what = check::soaked(fixture, truth, truth.cycles)?;
            let soak = truth::command(Path::new("/usr/bin/dlsoak"), Path::new(SCRATCH), &what);
            dist::write(&share("soaks").join(&fixture.name), &shell(&soak))?;
            writeln!(names, "{}", fixture.name)?;
        }
        dist::write(&share("names"), &names)?;
        dist::write(&share("one"), ONE)?;
        dist::write(&share("run"), &self.script(&out)?)
    }

    /// The script that does it all. The repository is there for what tests read; libraries are where they were built, but in memory.
    fn script(&self, out: &Path) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (root, out) =
            (command::quoted(&self.root.to_string_lossy()), command::quoted(&out.to_string_lossy()));
        let mut text = format!(
            "set -e\n\
             date --set=@{now}\n\
             mkdir -p {root}\n\
             mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576,cache=loose,ro repository {root}\n\
             mkdir -p {out} /tmp/tests\n\
             mount -t tmpfs fixtures {out}\n\
             cp /share/fixtures/* {out}\n\
             cp /share/dlsoak /usr/bin/dlsoak\n\
             ldconfig\n\
             ulimit -n {DESCRIPTORS}\n\
             export SCRATCH={SCRATCH} INSTA_WORKSPACE_ROOT={root} INSTA_UPDATE=no {}={out}\n",
            fixtures::DIRECTORY
        );
        for test in &self.tests {
            let name = command::quoted(&test.name);
            write!(
                text,
                "cp /share/tests/{name} /tmp/tests/\n\
                 cd {}\n\
                 from=$(date +%s)\n\
                 /tmp/tests/{name} > /share/out/tests-{name} 2>&1 < /dev/null || true\n\
                 echo tests of {name}: $(($(date +%s) - from)) s\n\
                 rm /tmp/tests/{name}\n",
                command::quoted(&test.directory.to_string_lossy()),
            )?;
        }
        text.push_str("cd /\nxargs -P 2 -n 1 sh /share/one < /share/names\n");
        Ok(text)
    }

    /// The soak that the machine left of this fixture.
    fn left(&self, name: &str) -> Result<Soak> {
        let out = self.share.join("out").join(name);
        let read = |file: &str| fs::read_to_string(out.join(file)).unwrap_or_default();
        let status = read("status");
        if !record::is_left_by(status.trim().parse().ok()) {
            bail!("it ended with {}: {}", status.trim(), read("errors").trim());
        }
        truth::only(&out)
    }

    /// What the tests of a library said.
    fn result(&self, test: &Test) -> Tests {
        let path = self.share.join("out").join(format!("tests-{}", test.name));
        Tests::read(&test.name, &fs::read_to_string(path).unwrap_or_default())
    }
}

/// What the machine is made of.
struct Image {
    kernel: PathBuf,
    root: PathBuf,
}

impl Image {
    /// The image, which is made where it is not there yet or was made in another way.
    fn cached(ports: &Path, at: &Path) -> Result<Self> {
        let image = Self { kernel: at.join("kernel"), root: at.join("root.cpio") };
        let stamp = format!("{SUITE}\n{}\n{}\n{INIT}", PACKAGES.join(" "), MODULES.join(" "));
        let path = at.join("stamp");
        if fs::read_to_string(&path).is_ok_and(|old| old == stamp) {
            return Ok(image);
        }
        let debian = debian(ports)?;
        let root = at.join("root");
        dist::fresh(&root)?;
        let kernel = at.join("kernel-package");
        dist::fresh(&kernel)?;
        command::quietly(
            Command::new("cp").args(["--archive", "--no-target-directory"]).args([&debian, &root]),
            COREUTILS,
        )?;
        let archives = debian.join("var/cache/apt/archives");
        let packages =
            fs::read_dir(&archives).with_context(|| format!("cannot read {}", archives.display()))?;
        for package in packages.flatten() {
            let name = package.file_name();
            let name = name.to_string_lossy();
            let of =
                |wanted: &str| name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(['_', '-']));
            if of("linux-image") {
                unpack(&package.path(), &kernel)?;
            } else if PACKAGES.iter().any(|wanted| of(wanted)) {
                unpack(&package.path(), &root)?;
            }
        }
        for left_out in
            ["var/cache", "var/lib/apt", "debootstrap", "usr/share/doc", "usr/share/locale", "usr/share/man"]
        {
            let _ = fs::remove_dir_all(root.join(left_out));
        }
        dist::write(&root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
        dist::write(&root.join("etc/group"), "root:x:0:\n")?;
        let mut order = String::new();
        let modules = only_entry(&kernel.join("lib/modules"))?.join("kernel");
        for module in MODULES {
            let name = module.rsplit('/').next().unwrap_or(module);
            dist::copy(&modules.join(format!("{module}.ko")), &root.join(format!("modules/{name}.ko")))?;
            writeln!(order, "{name}")?;
        }
        dist::write(&root.join("modules/order"), &order)?;
        dist::write(&root.join("init"), INIT)?;
        let boot = kernel.join("boot");
        let files = fs::read_dir(&boot).with_context(|| format!("cannot read {}", boot.display()))?;
        let found = files.flatten().find(|file| file.file_name().to_string_lossy().starts_with("vmlinuz"));
        dist::copy(
            &found.with_context(|| format!("no kernel in {}", boot.display()))?.path(),
            &image.kernel,
        )?;
        let mut pack = Command::new("sh");
        pack.args(["-e", "-c", PACK, "sh"]).arg(&root).arg(&image.root);
        command::quietly(&mut pack, COREUTILS)?;
        for made in [&root, &kernel] {
            fs::remove_dir_all(made).with_context(|| format!("cannot remove {}", made.display()))?;
        }
        dist::write(&path, &stamp)?;
        Ok(image)
    }

    /// Runs the machine until it turns itself off.
    fn run(&self, guest: &Guest, console: &Path) -> Result<()> {
        let written = File::create(console).with_context(|| format!("cannot write {}", console.display()))?;
        let share = |path: &Path, tag: &str, more: &str| {
            let path = path.to_string_lossy().replace(',', ",,");
            let filesystem = format!("local,id={tag},path={path},security_model=none,multidevs=remap{more}");
            [
                "-fsdev".to_owned(),
                filesystem,
                "-device".to_owned(),
                format!("virtio-9p-device,fsdev={tag},mount_tag={tag}"),
            ]
        };
        let mut qemu = Command::new("qemu-system-aarch64");
        qemu.args([
            "-M",
            "virt",
            "-cpu",
            "cortex-a72",
            "-accel",
            "tcg,thread=multi",
            "-smp",
            "2",
            "-m",
            "3G",
        ])
        .args(["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"])
        .arg("-kernel")
        .arg(&self.kernel)
        .arg("-initrd")
        .arg(&self.root)
        .args(["-append", "console=ttyAMA0 panic=-1 quiet"])
        .args(share(&guest.share, "share", ""))
        .args(share(&guest.root, "repository", ",readonly=on"))
        .stdin(Stdio::null())
        .stdout(written);
        let mut running = qemu.spawn().context("cannot run qemu-system-aarch64")?;
        let deadline = Instant::now() + DEADLINE;
        while running.try_wait().context("cannot wait for the emulated machine")?.is_none() {
            if Instant::now() > deadline {
                running.kill().and_then(|()| running.wait()).context("cannot end the emulated machine")?;
                bail!(
                    "the emulated machine ran for more than {} s: see {}",
                    DEADLINE.as_secs(),
                    console.display()
                );
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let status = fs::read_to_string(guest.share.join("status")).unwrap_or_default();
        if status.trim() != "0" {
            let log = guest.share.join("log");
            bail!(
                "the emulated machine did not do its work: see {} and {}",
                log.display(),
                console.display()
            );
        }
        Ok(())
    }
}

/// Packs a directory as the kernel takes it.
const PACK: &str = r#"
cd "$1"
chmod 755 init
find . -print0 | cpio --null --create --format=newc --owner=0:0 --quiet > "$2"
"#;

const COREUTILS: &str = "apt install coreutils findutils cpio dpkg";

fn debian(ports: &Path) -> Result<PathBuf> {
    let packages = format!("--include={}", PACKAGES.join(","));
    let arguments = ["--foreign", "--arch=arm64", "--variant=minbase", &packages, SUITE];
    fetched(ports, &format!("{SUITE}-arm64"), &arguments)
}

/// Debian's directories of programs are links to those of `/usr`, and stay so.
fn unpack(package: &Path, to: &Path) -> Result<()> {
    let script = r#"dpkg-deb --fsys-tarfile "$1" | tar --extract --keep-directory-symlink --directory "$2""#;
    let mut unpack = Command::new("sh");
    unpack.args(["-e", "-c", script, "sh"]).arg(package).arg(to);
    command::quietly(&mut unpack, COREUTILS)?;
    Ok(())
}

fn only_entry(directory: &Path) -> Result<PathBuf> {
    let mut entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let entry = entries.next().with_context(|| format!("nothing is in {}", directory.display()))?;
    Ok(entry?.path())
}

/// The command for a shell.
fn shell(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| command::quoted(&word.to_string_lossy())).collect();
    format!("exec {}\n", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_program_of_tests_are_counted() {
        let said = "\nrunning 3 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest d ... ignored, slow\n\nfailures:\n    a::c\n\n\
                    test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s\n";
        let tests = Tests::read("x", said);
        assert_eq!(tests.to_string(), "x: 1 passed, 1 failed, 1 ignored: a::c");
        assert!(!tests.are_good());
        let good = said
            .replace("test a::c ... FAILED\n", "")
            .replace("FAILED. 1 passed; 1 failed", "ok. 2 passed; 0 failed");
        let tests = Tests::read("x", &good);
        assert_eq!(tests.to_string(), "x: 2 passed, 0 failed, 1 ignored");
        assert!(tests.are_good());
    }

    #[test]
    fn tests_that_end_early_are_not_good() {
        let tests = Tests::read("x", "running 2 tests\ntest a ... ok\n");
        assert!(!tests.are_good());
        assert!(tests.to_string().ends_with("ended early"), "{tests}");
    }

    #[test]
    fn words_reach_a_shell_as_they_are() {
        let mut command = Command::new("dlsoak");
        command.args(["--call=f(\"it's\")", "-n", "10"]);
        assert_eq!(shell(&command), "exec 'dlsoak' '--call=f(\"it'\\''s\")' '-n' '10'\n");
    }
}
