//! Libraries that the measured process has before `main`, as a host has those that it links: the loader preloads them, which gives them
//! the scope, the order and the thread-local storage of what is linked. The agent takes that out of its environment again before any
//! constructor runs.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use dlsoak_wire::job::{OWN_PRELOAD, PRELOAD};

use super::private::PrivateDirectory;
use super::process::signal_name;
use crate::fault::{Fault, shown};
use crate::settings::Hold;
use crate::suite::plan::SoakPlan;

/// What the loader splits a list of libraries at, and what begins a variable of its own in a path.
const SPECIAL: [char; 3] = [' ', ':', '$'];
/// Libraries that an error names.
const NAMED: usize = 3;

/// The environment of a process that links these libraries, on top of what was asked for; and the directory of links to files whose names
/// can't be in a list, which must be there until the loader has opened them.
///
/// # Errors
/// Where a name can't be in a list.
pub(super) fn environment(
    linked: &[PathBuf],
    env: &BTreeMap<String, String>,
) -> Result<(BTreeMap<String, String>, Option<PrivateDirectory>), Fault> {
    let mut env = env.clone();
    if linked.is_empty() {
        return Ok((env, None));
    }
    let own = env.get(PRELOAD).cloned().or_else(|| std::env::var(PRELOAD).ok()).unwrap_or_default();
    let mut links = Links(None);
    let mut list = Vec::from_iter((!own.is_empty()).then(|| own.clone()));
    for (index, path) in linked.iter().enumerate() {
        list.push(links.name(index, path)?);
    }
    env.insert(PRELOAD.to_owned(), list.join(":"));
    env.insert(OWN_PRELOAD.to_owned(), own);
    Ok((env, links.0))
}

/// Links to files whose names can't be in a list, in a directory that is made when the first is needed.
struct Links(Option<PrivateDirectory>);

impl Links {
    /// The name by which the loader finds this file.
    fn name(&mut self, index: usize, path: &Path) -> Result<String, Fault> {
        let fits = |path: &Path| path.to_str().filter(|text| !text.contains(SPECIAL)).map(str::to_owned);
        if let Some(name) = fits(path) {
            return Ok(name);
        }
        let refused = |why: &dyn std::fmt::Display| {
            Fault::new(format!(
                "{}: the host can't link this library, because its path has a space, a colon or a dollar sign, and {why}; \
                 set TMPDIR to a directory that is writable and has none of them, or move the library",
                path.display()
            ))
        };
        if self.0.is_none() {
            self.0 = Some(PrivateDirectory::new().map_err(|error| refused(&error))?);
        }
        let directory = self.0.as_ref().map(PrivateDirectory::path).unwrap_or(Path::new("/"));
        let link = directory.join(index.to_string());
        let (parent, file) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
        // A link to the directory, where that is enough: what the library finds through $ORIGIN it finds there as well.
        let (target, name) = match fits(Path::new(file)) {
            Some(_) => (parent, link.join(file)),
            None => (path, link.clone()),
        };
        symlink(target, &link).map_err(|error| refused(&error))?;
        fits(&name).ok_or_else(|| refused(&format_args!("so has {}", std::env::temp_dir().display())))
    }
}

/// Why the host did not come to its first quiet point with what it links and holds, where the library `named` is the one that the loader
/// does not have; `output` is what the process wrote.
pub(super) fn refusal(
    plan: &SoakPlan,
    named: Option<&str>,
    status: Option<ExitStatus>,
    output: &str,
) -> Fault {
    let said = loader_said(output);
    if let Some(named) = named {
        let why = said.unwrap_or("the loader does not have it");
        return Fault::new(format!("{named}: the host can't link this library: {why}"));
    }
    let all: Vec<&PathBuf> = plan.held.iter().chain(&plan.linked).collect();
    let mut names: Vec<String> = all.iter().take(NAMED).map(|path| path.display().to_string()).collect();
    if all.len() > NAMED {
        names.push(format!("{} more", all.len() - NAMED));
    }
    let names = names.join(", ");
    match said {
        Some(said) if plan.asked.hold.iter().flatten().any(|hold| *hold == Hold::Dependencies) => {
            let library = shown(&plan.path);
            Fault::of_library(format!("{library}: the host can't link what it needs, {names}: {said}"))
        }
        Some(said) => Fault::new(format!("the host can't link {names}: {said}")),
        None => {
            let end = match status.map(|status| (signal_name(status), status.code())) {
                Some((Some(signal), _)) => format!("ends by {signal}"),
                Some((None, Some(code))) => format!("exits with status {code}"),
                _ => "does not come to its first line".to_owned(),
            };
            let last = output.lines().rev().find(|line| !line.trim().is_empty());
            let last = last.map(|line| format!(", and wrote: {line}")).unwrap_or_default();
            Fault::new(format!("the host that holds {names} {end} before the soak begins{last}"))
        }
    }
}

/// What the loader says where a library that the host links is missing, or lacks something. The words are those of glibc, elf/rtld.c and
/// elf/dl-minimal.c.
fn loader_said(output: &str) -> Option<&str> {
    let between = |begin: &str, end: &str| -> Option<&str> {
        let (_, rest) = output.split_once(begin)?;
        Some(rest.split_once(end).map_or(rest, |(said, _)| said))
    };
    between(" cannot be preloaded (", "): ignored")
        .or_else(|| between("error while loading shared libraries: ", "\n"))
        .or_else(|| between("symbol lookup error: ", "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use crate::suite::plan::Plan;

    #[test]
    fn what_is_linked_comes_after_what_the_user_preloads() {
        let linked = [PathBuf::from("/l/liba.so"), PathBuf::from("libb.so.1")];
        let user = BTreeMap::from([(PRELOAD.to_owned(), "/u/x.so".to_owned())]);
        let (env, links) = environment(&linked, &user).unwrap();
        assert_eq!(
            (env[PRELOAD].as_str(), env[OWN_PRELOAD].as_str()),
            ("/u/x.so:/l/liba.so:libb.so.1", "/u/x.so")
        );
        assert!(links.is_none());
        assert_eq!(environment(&[], &user).unwrap().0, user);
    }

    #[test]
    fn a_name_that_a_list_can_not_hold_is_linked_to() {
        let linked = ["/l i/liba.so", "/l:/lib b.so"].map(PathBuf::from);
        let none = BTreeMap::from([(PRELOAD.to_owned(), String::new())]);
        let (env, links) = environment(&linked, &none).unwrap();
        let links = links.unwrap();
        let names: Vec<&str> = env[PRELOAD].split(':').collect();
        assert_eq!(
            names,
            [links.path().join("0/liba.so"), links.path().join("1")].map(|p| p.to_str().unwrap().to_owned())
        );
        assert_eq!(std::fs::read_link(links.path().join("0")).unwrap(), Path::new("/l i"));
        assert_eq!(std::fs::read_link(links.path().join("1")).unwrap(), Path::new("/l:/lib b.so"));
    }

    #[test]
    fn the_loaders_words_become_an_error() {
        let mut plan = Plan::from_paths(&["a.so".into()], &Settings::default()).unwrap().soaks.remove(0);
        plan.linked = vec!["/l/liba.so".into()];
        let of = |named, output: &str| refusal(&plan, named, None, output).to_string();
        let ignored = "ERROR: ld.so: object '/l/liba.so' from LD_PRELOAD cannot be preloaded (file too short): ignored.\n";
        assert_eq!(
            of(Some("/l/liba.so"), ignored),
            "/l/liba.so: the host can't link this library: file too short"
        );
        let fatal = "/proc/self/fd/5: error while loading shared libraries: libz.so: cannot open it\n";
        assert_eq!(of(None, fatal), "the host can't link /l/liba.so: libz.so: cannot open it");
        let lookup = "x: symbol lookup error: /l/liba.so: undefined symbol: f\n";
        assert_eq!(of(None, lookup), "the host can't link /l/liba.so: /l/liba.so: undefined symbol: f");
        assert!(of(None, "oh\n\n").ends_with("before the soak begins, and wrote: oh"));
    }
}
