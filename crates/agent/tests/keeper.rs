//! The keeper program, with a shell in place of the host: its one argument, the number of the channel, is a script's name there.

// A test that cannot go on says so by panicking; clippy has an exception for test functions only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use dlsoak_agent::c;
use dlsoak_wire::keeper::{Message, Orders};

const SHELL: &str = "/bin/sh";
/// What has not come by then never comes.
const PATIENCE: Duration = Duration::from_secs(600);
/// Signal 9, as a wait status.
const KILLED: i32 = 9;

/// The program as a file. It is made once and before the first test starts a process, which would inherit it open to be written.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("keeper-{}", std::process::id()));
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o700).open(&path).unwrap();
        file.write_all(dlsoak_agent::GLIBC.keeper).unwrap();
        path
    })
}

/// A keeper with its orders, in a directory that goes with it.
struct Kept {
    keeper: Child,
    line: UnixStream,
    directory: PathBuf,
    /// What the line and the image are called in `/proc/PID/fd`.
    own: [PathBuf; 2],
}

impl Kept {
    /// Starts one, and the image under it.
    fn start(name: &str, image: &Path, script: &str, variables: &[&str], file_bytes: Option<u64>) -> Self {
        let program = program();
        let directory =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kept-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (mut line, theirs) = UnixStream::pair().unwrap();
        line.set_read_timeout(Some(PATIENCE)).unwrap();
        let (channel, image) = (File::open("/dev/null").unwrap(), File::open(image).unwrap());
        let handed = [theirs.as_raw_fd(), channel.as_raw_fd(), image.as_raw_fd()];
        let own = [0, 2].map(|one| std::fs::read_link(format!("/proc/self/fd/{}", handed[one])).unwrap());
        std::fs::write(directory.join(handed[1].to_string()), script).unwrap();
        let mut command = Command::new(program);
        command
            .args(handed.map(|fd| fd.to_string()))
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        // SAFETY: the closure makes system calls only.
        unsafe {
            command.pre_exec(move || {
                c::setsid();
                for fd in handed {
                    c::fcntl(fd, c::F_SETFD, 0_i64);
                }
                Ok(())
            });
        }
        let keeper = command.spawn().unwrap();
        let text: Vec<u8> = variables.iter().flat_map(|variable| variable.bytes().chain([0])).collect();
        let orders = Orders { len: text.len() as u64, variables: variables.len() as u64, file_bytes };
        line.write_all(&orders.to_bytes().unwrap()).unwrap();
        line.write_all(&text).unwrap();
        Self { keeper, line, directory, own }
    }

    /// The shell as the host.
    fn shell(name: &str, script: &str) -> Self {
        Self::start(name, Path::new(SHELL), script, &["PATH=/usr/bin:/bin"], None)
    }

    fn hear(&mut self) -> Message {
        let mut bytes = [0; Message::LEN];
        self.line.read_exact(&mut bytes).unwrap();
        Message::from_bytes(bytes).unwrap()
    }

    fn started(&mut self) -> i32 {
        match self.hear() {
            Message::Started(pid) => pid,
            other => panic!("{other:?}"),
        }
    }

    /// Closes the line for writing, and hears what follows; the keeper is gone then.
    fn close(&mut self) -> Vec<Message> {
        self.line.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        self.line.read_to_end(&mut rest).unwrap();
        assert!(self.keeper.wait().unwrap().success());
        rest.chunks(Message::LEN)
            .map(|bytes| Message::from_bytes(bytes.try_into().unwrap()).unwrap())
            .collect()
    }

    /// The text of a file that the script writes, once it ends in a line end.
    fn written(&self, name: &str) -> String {
        let path = self.directory.join(name);
        within("the script writes", || {
            std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))
        })
    }

    fn output(&mut self) -> String {
        let mut text = String::new();
        self.keeper.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.line.shutdown(std::net::Shutdown::Both);
        let _ = self.keeper.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn within<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "{what}: never");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn lives(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn an_end_is_told_and_output_ends_with_the_host() {
    let mut kept = Kept::shell("end", "echo said; exit 7");
    assert!(kept.started() > 0);
    assert_eq!(kept.output(), "said\n");
    assert_eq!(kept.hear(), Message::Ended(7 << 8));
    assert_eq!(kept.close(), [Message::Others(0)]);
}

#[test]
fn a_fault_is_told() {
    let mut kept = Kept::shell("fault", "kill -11 $$");
    kept.started();
    assert_eq!(kept.hear(), Message::Ended(11));
    assert_eq!(kept.close(), [Message::Others(0)]);
}

#[test]
fn what_is_no_program_is_refused_with_the_reason() {
    for (name, image, error) in
        [("dir", Path::new("/"), 13), ("data", Path::new("/etc/passwd"), 13), ("empty", program(), 8)]
    {
        let empty = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("empty-{}", std::process::id()));
        File::options().write(true).create(true).truncate(true).mode(0o700).open(&empty).unwrap();
        let image = if name == "empty" { &*empty } else { image };
        let mut kept = Kept::start(name, image, "", &[], None);
        assert_eq!(kept.hear(), Message::Refused(error), "{name}");
        assert!(kept.keeper.wait().unwrap().success());
        std::fs::remove_file(&empty).unwrap();
    }
}

#[test]
fn the_host_begins_as_it_is_ordered_to() {
    // The shell blocks all signals while it starts a program, so it reads its own status by itself. The descriptor through which it lists
    // the others is gone when its turn comes, and may be the last.
    let script = "
        ulimit -c; ulimit -S -f; cat /proc/$$/oom_score_adj; tr '\\0' '|' < /proc/$$/environ; echo
        while read -r line; do case $line in SigBlk*|SigIgn*) echo \"$line\";; esac; done < /proc/$$/status
        readlink /proc/$$/fd/0; cat /proc/$PPID/comm
        echo $(tr '\\0' ' ' < /proc/$$/cmdline); cut -d ' ' -f 6 /proc/$$/stat
        for fd in /proc/$$/fd/*; do readlink $fd; done; exit 0";
    let variables = ["PATH=/usr/bin:/bin", "A=b c", "EMPTY=", "PWD=/", "OLDPWD="];
    let mut kept = Kept::start("begin", Path::new(SHELL), script, &variables, Some(1 << 20));
    let pid = kept.started();
    let output = kept.output();
    assert_eq!(kept.hear(), Message::Ended(0));
    let channel = std::fs::read_dir(&kept.directory).unwrap().next().unwrap().unwrap();
    let channel: i32 = channel.file_name().to_str().unwrap().parse().unwrap();
    let lines: Vec<&str> = output.lines().collect();
    // Blocks of 512 bytes in dash, and of 1,024 in others.
    assert!(lines[0] == "0" && ["2048", "1024"].contains(&lines[1]), "{lines:?}");
    assert_eq!(lines[2], "900");
    assert_eq!(lines[3], "PATH=/usr/bin:/bin|A=b c|EMPTY=|PWD=/|OLDPWD=|");
    assert_eq!(lines[4], "SigBlk:\t0000000000000000");
    assert_eq!(lines[6..9], ["/dev/null", "dlsoak-keeper", &format!("dlsoak-agent {channel}")]);
    assert_eq!(lines[9], pid.to_string(), "a session of its own");
    let open = &lines[10..];
    assert!(!kept.own.iter().any(|own| open.contains(&own.to_str().unwrap())), "{open:?} {:?}", kept.own);
    assert!(open.iter().filter(|name| **name == "/dev/null").count() >= 2, "{open:?}");
    assert_eq!(kept.close(), [Message::Others(0)]);
}

#[test]
fn all_that_was_started_ends_with_the_line() {
    // A child, one in a session of its own, and an orphan that ignores what can be ignored.
    let script = "
        sleep 1000 & echo $! >> pids
        setsid sh -c 'echo $$ >> pids; sleep 1000 & echo $! >> pids; wait' &
        (sh -c 'trap \"\" HUP INT TERM; echo $$ >> pids; while :; do sleep 1000; done' &)
        while [ $(wc -l < pids) -lt 4 ]; do sleep 0.01; done
        echo done > ready; wait";
    let mut kept = Kept::shell("family", script);
    let host = kept.started();
    kept.written("ready");
    let pids: Vec<i32> = kept.written("pids").lines().map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|pid| lives(*pid)), "{pids:?}");
    let last = kept.close();
    assert_eq!(last[0], Message::Ended(KILLED));
    // The shells' own children are counted, too.
    assert!(matches!(last[1..], [Message::Others(4..=6)]), "{last:?}");
    assert!(!pids.iter().chain([&host]).any(|pid| lives(*pid)), "{pids:?}");
}

#[test]
fn what_outlives_the_host_is_ended_and_counted_and_what_ended_is_reaped() {
    let mut kept = Kept::shell("orphans", "(true &); (true &); (sleep 1000 &); sleep 0.1; exit 1");
    kept.started();
    assert_eq!(kept.hear(), Message::Ended(1 << 8));
    let keeper = kept.keeper.id();
    // The host, which is left as it is, and the one that sleeps.
    within("orphans are reaped", || {
        let children = std::fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap();
        (children.split_ascii_whitespace().count() == 2).then_some(())
    });
    assert_eq!(kept.close(), [Message::Others(1)]);
}

#[test]
fn a_family_that_forks_on_is_ended() {
    // Each starts the next and ends: whoever is found is gone by the time that it is killed.
    let script = "echo $$ > last; [ -e stop ] || sh \"$0\" &";
    let mut kept = Kept::shell("chain", script);
    kept.started();
    assert_eq!(kept.hear(), Message::Ended(0));
    kept.written("last");
    std::thread::sleep(Duration::from_millis(50));
    let last = kept.close();
    assert!(matches!(last[..], [Message::Others(_)]), "{last:?}");
    std::thread::sleep(Duration::from_millis(50));
    let before = std::fs::read_to_string(kept.directory.join("last")).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let after = std::fs::read_to_string(kept.directory.join("last")).unwrap();
    File::create(kept.directory.join("stop")).unwrap();
    assert_eq!(before, after);
}

#[test]
fn signals_of_the_library_do_not_end_the_keeper_and_its_own_death_ends_the_host() {
    // Also those that the C library keeps to itself.
    let script = "for n in 1 2 3 10 12 13 14 15 17 32 33 34 64; do kill -$n $PPID; done; echo done > sent; exec sleep 1000";
    let mut kept = Kept::shell("signals", script);
    let host = kept.started();
    kept.written("sent");
    assert!(kept.keeper.try_wait().unwrap().is_none() && lives(host));
    kept.keeper.kill().unwrap();
    let mut rest = Vec::new();
    kept.line.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    within("the host dies with its keeper", || (!lives(host)).then_some(()));
}

#[test]
fn a_supervisor_that_says_nothing_ends_it() {
    let (line, theirs) = UnixStream::pair().unwrap();
    drop(line);
    let fd = theirs.as_raw_fd();
    let mut command = Command::new(program());
    command.args([fd.to_string(), fd.to_string(), fd.to_string()]);
    // SAFETY: the closure makes a system call only.
    unsafe {
        command.pre_exec(move || {
            c::fcntl(fd, c::F_SETFD, 0_i64);
            Ok(())
        });
    }
    assert_eq!(command.status().unwrap().code(), Some(2));
    for arguments in [&[][..], &["3"], &["3", "4", "x"], &["0", "1", "2"]] {
        assert_eq!(Command::new(program()).args(arguments).status().unwrap().code(), Some(2));
    }
}
