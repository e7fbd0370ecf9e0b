//! The Go tools: whether they are one installation, and whether they can build a library here, which takes cgo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Check, Checks, Group, process, tools, variable};
use crate::files;

/// What `go env -json` says.
type Settings = BTreeMap<String, String>;

/// Everything about Go.
pub(super) fn checks() -> Vec<Check> {
    let mut checks = Checks::new(Group::Go);
    let Some(path) = tools::find("go") else {
        let set = variable("GOROOT").map(|root| PathBuf::from(root).join("bin"));
        match set.filter(|bin| bin.join("go").is_file()) {
            Some(bin) => checks.warn(
                "go",
                format!("not in PATH, and GOROOT points to one in {}", bin.display()),
                format!("export PATH=\"$PATH:{}\"", bin.display()),
            ),
            None => checks.note("go", "not in PATH; only needed to build Go libraries (https://go.dev/dl)"),
        }
        return checks.all;
    };
    match process::output(&path, &["env", "-json"]).map(|text| serde_json::from_str::<Settings>(&text)) {
        Ok(Ok(settings)) => {
            let value = |name: &str| settings.get(name).map(String::as_str).unwrap_or_default();
            checks.ok("go", format!("{} ({})", value("GOVERSION").trim_start_matches("go"), path.display()));
            root(&mut checks, &path, &settings);
            cgo(&mut checks, &settings);
        }
        Ok(Err(_)) => {
            let found = format!("{}: `go env -json` says nothing that can be read", path.display());
            checks.warn("go", found, "go env -json");
        }
        Err(error) => {
            let mend = match variable("GOROOT") {
                Some(_) => "unset GOROOT; go env GOROOT",
                None => "go env",
            };
            checks.fail("go", format!("{} does not work: {error}", path.display()), mend);
        }
    }
    checks.all
}

/// Whether the library and tools in GOROOT are those of the `go` in PATH.
fn root(checks: &mut Checks, go: &Path, settings: &Settings) {
    let value = |name: &str| settings.get(name).map(String::as_str).unwrap_or_default();
    let root = PathBuf::from(value("GOROOT"));
    let own = value("GOVERSION");
    let set = variable("GOROOT");
    // `go` lies in ROOT/bin, unless something stands before it.
    let beside = std::fs::canonicalize(go).ok().and_then(|file| Some(file.parent()?.parent()?.to_path_buf()));
    let beside = beside.filter(|dir| dir.join("VERSION").is_file());
    let by = if set.is_some() { "the environment" } else { "go env -w, or how go was built" };
    let mend = if set.is_some() { "unset GOROOT" } else { "go env -u GOROOT" };
    let there = installed(&root);
    let elsewhere = beside.as_ref().filter(|dir| std::fs::canonicalize(&root).ok().as_ref() != Some(dir));
    match (there, elsewhere) {
        (None, _) if set.is_some() => checks.fail(
            "GOROOT",
            format!("{} (by {by}) is no Go installation: it has no VERSION", root.display()),
            mend,
        ),
        (Some(version), _) if version != own => checks.fail(
            "GOROOT",
            format!(
                "{} (by {by}) holds {version}, and the go in PATH is {own}: builds stop or mix the two",
                root.display()
            ),
            mend,
        ),
        (_, Some(other)) => checks.warn(
            "GOROOT",
            format!(
                "{} (by {by}), and the go in PATH is of {}, the same version",
                root.display(),
                other.display()
            ),
            mend,
        ),
        _ => checks.ok("GOROOT", root.display().to_string()),
    }
}

/// The version of the installation at `root`, as its file says.
fn installed(root: &Path) -> Option<String> {
    let bytes = files::read_at_most(&root.join("VERSION"), 4096).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split_whitespace().next().map(str::to_owned)
}

/// Whether cgo is on, and if not why; whether its compiler is there and fits.
fn cgo(checks: &mut Checks, settings: &Settings) {
    let value = |name: &str| settings.get(name).map(String::as_str).unwrap_or_default();
    let target = format!("{}/{}", value("GOOS"), value("GOARCH"));
    let host = format!("{}/{}", value("GOHOSTOS"), value("GOHOSTARCH"));
    let cross = target != host;
    // Go takes flags in CC, too.
    let compiler = value("CC").split_whitespace().next().unwrap_or("gcc");
    let found = tools::find(compiler);
    if cross {
        let names: Vec<&str> =
            ["GOOS", "GOARCH"].into_iter().filter(|name| variable(name).is_some()).collect();
        let mend = match names.is_empty() {
            true => "go env -u GOOS GOARCH".to_owned(),
            false => format!("unset {}", names.join(" ")),
        };
        checks.warn(
            "target",
            format!("Go builds for {target} on {host}: its libraries do not load here"),
            mend,
        );
    }
    if value("CGO_ENABLED") == "0" {
        let consequence = "so -buildmode=c-shared is refused and files with import \"C\" are left out";
        let (why, mend) = match variable("CGO_ENABLED") {
            Some(_) => ("by the environment".to_owned(), "unset CGO_ENABLED".to_owned()),
            None if cross => (
                format!("by default, since {target} is not this machine ({host})"),
                format!("CGO_ENABLED=1 CC={} go build", cross_compiler(value("GOARCH"))),
            ),
            None if found.is_none() => (
                format!("by default, since there is no C compiler ({compiler})"),
                "apt-get install gcc libc6-dev".to_owned(),
            ),
            None => ("by `go env -w`".to_owned(), "go env -u CGO_ENABLED".to_owned()),
        };
        checks.warn("CGO_ENABLED", format!("0, {why}, {consequence}"), mend);
        return;
    }
    let Some(path) = found else {
        let found = format!("1, and its C compiler {compiler} is not in PATH");
        checks.warn("CGO_ENABLED", found, "apt-get install gcc libc6-dev, or set CC");
        return;
    };
    let machine = process::output(&path, &["-dumpmachine"]).unwrap_or_default();
    let machine = machine.trim();
    let arch = machine.split('-').next().unwrap_or_default();
    let wanted = of_go(value("GOARCH"));
    if tools::same_machine(arch).is_some() && wanted.is_some_and(|wanted| wanted != arch) {
        checks.warn(
            "CGO_ENABLED",
            format!("1, and {compiler} compiles for {machine} where Go builds for {target}: its assembler will complain"),
            format!("CC={} go build", cross_compiler(value("GOARCH"))),
        );
    } else {
        checks.ok("CGO_ENABLED", format!("1, with {compiler}"));
    }
}

/// What a compiler calls the machine that Go calls `goarch`.
fn of_go(goarch: &str) -> Option<&'static str> {
    Some(match goarch {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "riscv64" => "riscv64",
        "s390x" => "s390x",
        "ppc64le" => "powerpc64le",
        "386" => "i686",
        "arm" => "arm",
        _ => return None,
    })
}

fn cross_compiler(goarch: &str) -> String {
    match goarch {
        "arm" => "arm-linux-gnueabihf-gcc".to_owned(),
        _ => of_go(goarch)
            .map_or_else(|| "a compiler for it".to_owned(), |arch| format!("{arch}-linux-gnu-gcc")),
    }
}
