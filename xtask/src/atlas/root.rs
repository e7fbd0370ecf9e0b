//! A root of its own for packages of Debian and all that they need: fetched by apt, unpacked, and no script of theirs run.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::{Context, Result, bail, ensure};

use crate::command;

const INSTALL: &str = "this is for Debian, with apt's lists up to date (apt-get update)";

/// What each root has: a shell, and what others expect to be there without saying so.
const BASE: [&str; 4] = ["base-files", "coreutils", "dash", "libc-bin"];

/// Directories that are links in a system where `/usr` has all, before anything is unpacked.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Directories of libraries that a package's script would have linked from where the loader searches.
const ALTERNATIVES: [&str; 2] = ["/usr/lib/x86_64-linux-gnu/blas", "/usr/lib/x86_64-linux-gnu/lapack"];

/// Runs a program in a root as nobody. The arguments are the root, the directory that is `/atlas` there, and the program with its own.
const INSIDE: &str = r#"
root=$1 shared=$2
shift 2
mount --types proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$shared" "$root/atlas"
exec chroot --userspec=65534:65534 "$root" env -i PATH=/usr/sbin:/usr/bin HOME=/atlas/home LANG=C.UTF-8 "$@"
"#;

/// The root, and a directory that both sides see.
pub(super) struct Root {
    dir: PathBuf,
    shared: PathBuf,
    /// Where lists of what each package has are.
    lists: PathBuf,
}

impl Root {
    /// Unpacks what is not there yet of these packages, given in groups that can be installed together, and of what each needs.
    pub(super) fn of(out: &Path, groups: &[&[String]]) -> Result<Self> {
        let root = Self { dir: out.join("root"), shared: out.join("shared"), lists: out.join("packages") };
        let archives = out.join("apt/archives");
        let merged = MERGED.map(|name| root.dir.join("usr").join(name));
        let own = ["proc", "dev", "atlas", "tmp", "etc/ld.so.conf.d"].map(|name| root.dir.join(name));
        let shared = root.shared.join("home");
        let all = merged.iter().chain(&own).chain([&shared, &root.lists]);
        for directory in all.chain([&archives.join("partial")]) {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
        }
        for directory in [root.dir.join("tmp"), shared, root.shared.clone()] {
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o1777))?;
        }
        for name in MERGED {
            if !root.dir.join(name).is_symlink() {
                symlink(Path::new("usr").join(name), root.dir.join(name))?;
            }
        }
        let status = out.join("apt/status");
        fs::write(&status, "")?;
        let base = BASE.map(str::to_owned);
        // The groups that are there, one per line. It takes apt a second to find that out of each.
        let asked = out.join("apt/asked");
        let mut there = fs::read_to_string(&asked).unwrap_or_default();
        for group in std::iter::once(&base[..]).chain(groups.iter().copied()) {
            let line = group.join(" ");
            if there.lines().any(|group| group == line) {
                continue;
            }
            let mut apt = Command::new("apt-get");
            for (option, value) in [
                ("Dir::State::status", status.as_path()),
                ("Dir::Cache::archives", &archives),
                ("APT::Sandbox::User", Path::new("root")),
                ("APT::Install-Recommends", Path::new("false")),
                ("APT::Keep-Downloaded-Packages", Path::new("true")),
                ("Debug::NoLocking", Path::new("true")),
            ] {
                apt.arg("-o").arg(format!("{option}={}", value.display()));
            }
            apt.args(["-y", "--download-only", "install"]).args(group);
            command::quietly(&mut apt, INSTALL)?;
            there = format!("{there}{line}\n");
            fs::write(&asked, &there)?;
        }
        root.unpack(&archives)?;
        let shell = root.dir.join("usr/bin/sh");
        if !shell.is_symlink() {
            symlink("dash", shell)?;
        }
        fs::write(root.dir.join("etc/ld.so.conf.d/alternatives.conf"), ALTERNATIVES.join("\n"))?;
        command::quietly(Command::new("/sbin/ldconfig").arg("-r").arg(&root.dir), INSTALL)?;
        Ok(root)
    }

    /// Unpacks the archives that have no list yet, several at a time.
    fn unpack(&self, archives: &Path) -> Result<()> {
        let entries = fs::read_dir(archives)?.flatten().map(|entry| entry.path());
        let name = |archive: &Path| archive.file_stem().unwrap_or_default().to_owned();
        let new = entries.filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
        let new: Vec<PathBuf> = new.filter(|path| !self.lists.join(name(path)).exists()).collect();
        eprintln!("{} packages to unpack", new.len());
        let next = AtomicUsize::new(0);
        let unpack = || {
            while let Some(archive) = new.get(next.fetch_add(1, Relaxed)) {
                let mut dpkg = Command::new("dpkg-deb");
                dpkg.arg("--fsys-tarfile").arg(archive).stdout(Stdio::piped());
                let mut dpkg = dpkg.spawn().context("cannot run dpkg-deb")?;
                let mut tar = Command::new("tar");
                tar.arg("-C").arg(&self.dir).args(["-xv", "--keep-directory-symlink", "--no-same-owner"]);
                tar.stdin(dpkg.stdout.take().context("no output of dpkg-deb")?).stderr(Stdio::inherit());
                let names = tar.output().context("cannot run tar")?;
                ensure!(
                    dpkg.wait()?.success() && names.status.success(),
                    "cannot unpack {}",
                    archive.display()
                );
                fs::write(self.lists.join(name(archive)), names.stdout)?;
            }
            Ok(())
        };
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(unpack)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("unpacking panicked")))
        })
    }

    /// Where the root is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory that is `/atlas` inside.
    pub(super) fn shared(&self) -> &Path {
        &self.shared
    }

    /// Runs a program inside as nobody; its arguments are still to come.
    pub(super) fn run(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-e", "-c", INSIDE, "sh"])
            .arg(&self.dir)
            .arg(&self.shared)
            .arg(program);
        command
    }

    /// The package and the version of each library, by its path inside.
    pub(super) fn packages(&self) -> Result<HashMap<PathBuf, (String, String)>> {
        let mut packages = HashMap::new();
        for list in fs::read_dir(&self.lists)?.flatten() {
            let archive = list.file_name().to_string_lossy().replace("%3a", ":");
            let mut words = archive.split('_').map(str::to_owned);
            let (Some(package), Some(version)) = (words.next(), words.next()) else { continue };
            let names = fs::read(list.path())?;
            for name in String::from_utf8_lossy(&names)
                .lines()
                .filter(|name| name.contains(".so") || name.ends_with(".clap"))
            {
                let path = Path::new("/").join(name.trim_start_matches('.').trim_start_matches('/'));
                // Packages from before the merge of /lib and /usr/lib.
                let path =
                    path.strip_prefix("/lib").map_or(path.clone(), |rest| Path::new("/usr/lib").join(rest));
                packages.insert(path, (package.clone(), version.clone()));
            }
        }
        Ok(packages)
    }
}
