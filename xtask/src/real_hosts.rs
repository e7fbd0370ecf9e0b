//! Hosts that reload their own libraries, most of them from Debian's packages: how each is started in a private directory, and what makes it
//! reload. They listen on loopback or not at all, and nothing of the system's is changed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::fixtures;

/// What must be installed for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// The packages of Debian.
    pub packages: &'static str,
    files: &'static [&'static str],
}

/// Apache, with a module that leaks and one that does not.
pub const APACHE: Needs = Needs {
    packages: "apache2-bin libapache2-mod-security2 libapache2-mod-xsendfile",
    files: &[
        "/usr/sbin/apache2",
        "/usr/lib/apache2/modules/mod_security2.so",
        "/usr/lib/apache2/modules/mod_xsendfile.so",
    ],
};
/// nginx with two modules.
pub const NGINX: Needs = Needs {
    packages: "nginx libnginx-mod-http-echo libnginx-mod-http-geoip",
    files: &[
        "/usr/sbin/nginx",
        "/usr/lib/nginx/modules/ngx_http_echo_module.so",
        "/usr/lib/nginx/modules/ngx_http_geoip_module.so",
    ],
};
/// Python. Debian's, because another one may be a script that looks for one.
pub const PYTHON: Needs = Needs { packages: "python3", files: &["/usr/bin/python3"] };
/// A JVM that compiles a source file as it starts, which Debian's smallest package does.
pub const JAVA: Needs = Needs { packages: "default-jre-headless", files: &["/usr/bin/java"] };

impl Needs {
    /// Whether all of it is there.
    pub fn are_met(self) -> bool {
        self.files.iter().all(|file| Path::new(file).exists())
    }
}

/// A host that has not been started.
#[derive(Debug)]
pub struct Host {
    directory: TempDir,
    command: Vec<String>,
    /// What makes it reload, for `--do`.
    action: String,
    /// How `dlsoak watch` knows that a step is over.
    over: [String; 2],
}

impl Host {
    /// The command that starts it, in a process group of its own.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// The command that watches it, with these further arguments, and writes the record to `out`.
    pub fn watch(&self, dlsoak: &Path, out: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(dlsoak);
        command.args(["watch", "-q", "--do", &self.action]).args(&self.over).args(args);
        command.arg("-o").arg(out).arg("--").args(&self.command).stdin(Stdio::null());
        command
    }

    /// Its private directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The same host, which ends in the step after this many.
    #[must_use]
    pub fn ends_after(self, steps: u32) -> Self {
        let count = self.directory.path().join("steps");
        let (count, action) = (count.display(), &self.action);
        let action = format!(
            "echo >>{count}; if [ $(wc -l <{count}) -gt {steps} ]; then kill -TERM $PID; else {action}; fi"
        );
        Self { action, ..self }
    }

    /// The command that makes it reload and ends when it has; `$PID` is its process.
    pub fn action(&self) -> &str {
        &self.action
    }
}

/// Apache with this module, which reloads on SIGUSR1.
///
/// # Errors
/// When no directory or no port can be had.
pub fn apache(module: &str) -> Result<Host> {
    let directory = tempfile::tempdir()?;
    let place = path(directory.path())?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut command = vec!["/usr/sbin/apache2".to_owned()];
    for (name, value) in [("DIR", place), ("PORT", &port.to_string()), ("MODULE", module)] {
        command.extend(["-C".to_owned(), format!("Define {name} {value}")]);
    }
    command.extend(["-f".to_owned(), source("httpd.conf"), "-DFOREGROUND".to_owned()]);
    let log = directory.path().join("error.log");
    Ok(logging(directory, command, "USR1", &log, "resuming normal operations"))
}

/// nginx, which reloads on SIGHUP.
///
/// # Errors
/// When no directory can be had.
pub fn nginx() -> Result<Host> {
    let directory = tempfile::tempdir()?;
    let prefix = format!("{}/", directory.path().display());
    let log = directory.path().join("error.log");
    let words = ["/usr/sbin/nginx", "-e", "error.log", "-p", &prefix, "-c", &source("nginx.conf")];
    let command = words.map(str::to_owned).to_vec();
    Ok(logging(directory, command, "HUP", &log, "start worker processes"))
}

/// A host that reloads on a signal, and then writes these words to its log.
fn logging(directory: TempDir, command: Vec<String>, signal: &str, log: &Path, words: &str) -> Host {
    let log = log.display();
    let count = format!("$(grep -c '{words}' {log})");
    // The words stand there once more when it has.
    let action = format!(
        "before={count}; kill -{signal} $PID && while [ {count} = $before ]; do sleep 0.02 && kill -0 $PID || exit; done"
    );
    let ready = format!("grep -q '{words}' {log}");
    Host { directory, command, action, over: ["--ready".to_owned(), ready] }
}

/// A Python program that loads a library 20 times per step.
///
/// # Errors
/// When no directory can be had.
pub fn python(library: &Path) -> Result<Host> {
    asked(tempfile::tempdir()?, &["/usr/bin/python3", &source("loads.py"), path(library)?], &[])
}

/// A Java program that does.
///
/// # Errors
/// When no directory can be had.
pub fn java(library: &Path) -> Result<Host> {
    let options = [
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        // It would be a file that all users see.
        "-XX:-UsePerfData",
    ];
    let program = source("Loads.java");
    let words = [&["/usr/bin/java"], &options[..], &[&program, path(library)?]].concat();
    asked(tempfile::tempdir()?, &words, &[])
}

/// What of PAM can be asked without harm and without waiting, with its arguments. Each is the only module of a service.
const PAM_MODULES: [(&str, &str); 22] = [
    ("access", ""),
    ("debug", ""),
    ("deny", ""),
    ("echo", ""),
    ("env", ""),
    ("faildelay", "delay=0"),
    ("ftp", ""),
    ("group", ""),
    ("issue", ""),
    ("listfile", "item=user sense=allow file=/etc/passwd onerr=fail"),
    ("localuser", ""),
    ("nologin", ""),
    ("permit", ""),
    ("rhosts", ""),
    ("rootok", ""),
    ("securetty", ""),
    ("shells", ""),
    ("succeed_if", "quiet uid >= 0"),
    ("time", ""),
    ("usertype", "issystem"),
    ("warn", ""),
    ("wheel", ""),
];

/// A host that asks PAM 10 times per step, with each of its modules that is installed, and how many those are.
///
/// # Errors
/// When no directory can be had, or no compiler.
pub fn pam() -> Result<(Host, usize)> {
    let directory = tempfile::tempdir()?;
    let services = directory.path().join("services");
    fs::create_dir(&services)?;
    let places = ["/usr/lib/x86_64-linux-gnu/security", "/usr/lib/aarch64-linux-gnu/security"];
    let is_installed = |file: &str| places.iter().any(|place| Path::new(place).join(file).is_file());
    let mut names = Vec::new();
    for (name, arguments) in PAM_MODULES {
        let file = format!("pam_{name}.so");
        if is_installed(&file) {
            let line = |kind: &str| format!("{kind} optional {file} {arguments}\n");
            fs::write(services.join(name), line("auth") + &line("account"))?;
            names.push(name);
        }
    }
    let program = directory.path().join("host");
    compile("pam.c", &program, &["-l:libpam.so.0"])?;
    let host = asked(directory, &[path(&program)?, path(&services)?], &names)?;
    Ok((host, names.len()))
}

/// A host that keeps memory of its own with each reload, and a module that keeps 1,008 B with each load or nothing.
///
/// # Errors
/// When no directory can be had, or no compiler.
pub fn garbage(leaks: bool) -> Result<Host> {
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    let place = directory.path().display().to_string();
    compile("host.c", &at("host"), &["-DGARBAGE"])?;
    compile("shared.c", &at("libshared.so"), &["-shared", "-fPIC"])?;
    let (search, rpath) = (format!("-L{place}"), format!("-Wl,-rpath,{place}"));
    let mut arguments = vec!["-shared", "-fPIC", &search, &rpath, "-lshared"];
    arguments.extend((!leaks).then_some("-DENDS"));
    compile("module.c", &at("module.so"), &arguments)?;
    let command = ["host", "module.so"].map(|name| at(name).display().to_string()).to_vec();
    let over = ["--settle", "200ms"].map(str::to_owned);
    Ok(Host { directory, command, action: "kill -HUP $PID".to_owned(), over })
}

/// A host that begins a step when it is asked to in one FIFO, and answers in another. The FIFOs are arguments, and others follow them.
fn asked(directory: TempDir, command: &[&str], after: &[&str]) -> Result<Host> {
    let fifos = ["go", "done"].map(|name| directory.path().join(name));
    let made = Command::new("mkfifo").args(&fifos).status().context("mkfifo")?;
    ensure!(made.success(), "mkfifo: {made}");
    let [go, done] = [path(&fifos[0])?, path(&fifos[1])?];
    let action = format!("echo >{go} && read answer <{done}");
    let command = [command, &[go, done], after].concat().into_iter().map(str::to_owned).collect();
    let over = ["--settle", "20ms"].map(str::to_owned);
    Ok(Host { directory, command, action, over })
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("not in UTF-8: {}", path.display()))
}

/// The path of one of the sources.
fn source(name: &str) -> String {
    fixtures::root().join("tests/data/watch").join(name).display().to_string()
}

fn compile(from: &str, to: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CC").unwrap_or("cc".into()));
    command.args(["-g", "-Wall", "-o"]).arg(to).arg(source(from)).args(arguments);
    let output = command.output().context("a C compiler is missing: apt install gcc, or set CC")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
