//! Which driver makes the life of a plugin's instances in each cycle: that of the interface which the library's exports name, unless something
//! else is to be called. The drivers are a library of the agent's, which the measured process opens as it opens a driver of a user's own.

mod gconv;
#[cfg(feature = "lv2")]
mod lv2;

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dlsoak_wire::interface::Interface;

use crate::elf::{Facts, Search};
use crate::fault::Fault;
use crate::host::defines_malloc;
use crate::record::Driven;
use crate::settings::units::printable;
use crate::settings::{Arg, Call, Driver, Exercise, Libc, Mode};
use crate::suite::plan::SoakPlan;
use crate::supervisor::image;
use crate::sys::c_library;

/// The name of the drivers' library, as stacks have it.
const NAME: &CStr = c"dlsoak-drivers.so";

/// The function of the drivers' library that is given what the cycles are to be.
const BEGIN: &str = "dlsoak_begin";

/// The interface that a file's exports name, and the export that does.
#[must_use]
pub fn interface_of(facts: &Facts) -> Option<(Interface, &str)> {
    let mut all = Interface::ALL.iter().filter(|interface| !is_host(**interface, facts));
    all.find_map(|interface| Some((*interface, exported(*interface, facts)?)))
}

/// Whether a file is the interface's host itself, which exports names like those of its plugins: `sqlite3_backup_init`, `luaopen_base`.
fn is_host(interface: Interface, facts: &Facts) -> bool {
    let has = |name: &str| facts.exports().any(|symbol| symbol == name);
    match interface {
        Interface::Sqlite => has("sqlite3_open"),
        Interface::Lua | Interface::LuaKept => has("lua_newstate"),
        Interface::Python | Interface::PythonFresh => has("Py_InitializeEx"),
        Interface::Nss => has("getpwnam"),
        // OpenCL's loader gives applications an extension's function under the name that drivers have for that, and exports what it calls
        // drivers for. pocl exports neither the platforms nor `clIcdGetPlatformIDsKHR`.
        Interface::Opencl => has("clGetPlatformIDs") && !has("clIcdGetPlatformIDsKHR"),
        _ => false,
    }
}

fn exported(interface: Interface, facts: &Facts) -> Option<&str> {
    facts.exports().find(|symbol| interface.exports(symbol))
}

/// What else a driver has to know of a plugin, in the form that the driver documents; `None` where it then has nothing to do.
fn detail(interface: Interface, path: &Path, facts: &Facts) -> Option<String> {
    match interface {
        #[cfg(feature = "lv2")]
        Interface::Lv2 => lv2::detail(path),
        #[cfg(not(feature = "lv2"))]
        Interface::Lv2 => None,
        Interface::Gconv => gconv::detail(path),
        Interface::Lua | Interface::LuaKept => {
            let opens: Vec<&str> = facts.exports().filter(|symbol| interface.exports(symbol)).collect();
            Some(opens.join(" "))
        }
        Interface::Nss => facts.exports().find_map(service).map(str::to_owned),
        Interface::Python | Interface::PythonFresh => Some(module_name(path).unwrap_or_default()),
        _ => Some(String::new()),
    }
}

/// The service of a function of an NSS module: `mdns4_minimal` of `_nss_mdns4_minimal_gethostbyname_r`.
fn service(symbol: &str) -> Option<&str> {
    let rest = symbol.strip_prefix("_nss_")?;
    rest.rfind("_get").and_then(|end| rest.get(..end)).filter(|service| !service.is_empty())
}

/// The full name of an extension module of Python: its path below the folder of modules, without the suffix.
fn module_name(path: &Path) -> Option<String> {
    const FOLDERS: [&str; 3] = ["dist-packages", "site-packages", "lib-dynload"];
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let folder = parts.iter().rposition(|part| FOLDERS.contains(part))?;
    let (file, packages) = parts.get(folder + 1..)?.split_last()?;
    let name = file.split('.').next()?;
    Some(packages.iter().chain([&name]).copied().collect::<Vec<_>>().join("."))
}

/// The library of an interface's host that this machine has: the one whose version is a folder of the plugin's path, as in
/// `lua/5.3/socket.so`, or else the first. `None` where it has none, and nothing where the interface needs none.
fn host_library(interface: Interface, plugin: &Path) -> Option<Option<PathBuf>> {
    let names = interface.facts().host;
    if names.is_empty() {
        return Some(None);
    }
    let folders: Vec<&str> = plugin.iter().filter_map(|part| part.to_str()).collect();
    let versions = folders.iter().filter(|folder| folder.starts_with(|first: char| first.is_ascii_digit()));
    let of_path =
        versions.flat_map(|version| names.iter().filter(move |name| name.contains(&format!("{version}."))));
    let search = Search::of_this_machine();
    of_path.chain(names).find_map(|name| search.by_name(name)).map(|found| Some(found.path))
}

/// Adds to a plan what the driver of its library makes in each cycle, with what its host links.
///
/// # Errors
/// Where a driver is asked for that the library or the machine lacks something for.
pub(crate) fn choose(plan: &mut SoakPlan, facts: Option<&Facts>) -> Result<(), Fault> {
    let asked = plan.asked.r#as.unwrap_or_default();
    let shown = printable(&plan.path.to_string_lossy());
    let is_free = plan.calls.is_empty() && plan.exercise.is_none() && plan.together.is_empty();
    let here = plan.mode != Mode::Namespace && plan.libc == Libc::Glibc && plan.host.is_none();
    let (interface, symbol) = match asked {
        Driver::None => return Ok(()),
        // A driver that keeps the plugin would hide whether the library by itself is unloaded.
        Driver::Auto => match facts.and_then(interface_of) {
            Some(found) if is_free && here && !found.0.facts().keeps => found,
            _ => return Ok(()),
        },
        Driver::Of(interface) => {
            let known = interface.facts();
            if !is_free {
                return Err(Fault::new(format!(
                    "as: the driver of {} makes all calls of a cycle; remove call, exercise and together, or as",
                    known.title
                )));
            }
            if !here {
                return Err(Fault::new(format!(
                    "as: the driver of {} is for glibc, without mode `namespace` and without host; remove those, or as",
                    known.title
                )));
            }
            let Some(symbol) = facts.and_then(|facts| exported(interface, facts)) else {
                return Err(Fault::of_library(format!(
                    "{shown}: the library exports no `{}`, by which {} knows its plugins; check the name after --as",
                    known.symbol.replace('|', "` or `"),
                    known.title
                )));
            };
            (interface, symbol)
        }
    };
    let known = interface.facts();
    let Some(library) = host_library(interface, &plan.path) else {
        let names = known.host.join(" or ");
        let problem = format!(
            "{shown}: a host of {} needs {names}, which is not on this machine; install it",
            known.title
        );
        return if asked == Driver::Auto { Ok(()) } else { Err(Fault::new(problem)) };
    };
    // A plugin may be a link to a file that is elsewhere, and a link to a plugin lie where nothing is beside it.
    let file = std::path::absolute(&plan.path).unwrap_or_else(|_| plan.path.clone());
    let files = [Some(file.clone()), file.canonicalize().ok()];
    let Some(detail) =
        facts.and_then(|facts| files.iter().flatten().find_map(|file| detail(interface, file, facts)))
    else {
        let problem = format!(
            "{shown}: what the driver of {} has to know of it is not beside the file; see docs/drivers.md",
            known.title
        );
        return if asked == Driver::Auto { Ok(()) } else { Err(Fault::of_library(problem)) };
    };
    let instances = plan.asked.instances.map_or(1, |instances| instances.get());
    let begin = format!(
        "{BEGIN}({}, {instances}, {}, {}, \"\") == 0",
        interface as u64,
        literal(file.as_os_str().as_encoded_bytes()),
        literal(symbol.as_bytes()),
    );
    let mut begin: Call = begin.parse().map_err(|error| Fault::new(format!("{shown}: {error}")))?;
    // Not in the expression, which has a limit: a library of many LV2 plugins has more to know of.
    if let Some(last) = begin.args.last_mut() {
        *last = Arg::Text(CString::new(detail).map_err(|error| Fault::new(format!("{shown}: {error}")))?);
    }
    plan.setup.insert(0, begin);
    plan.exercise = Some(Exercise { driver: drivers()?, symbol: known.function.to_owned() });
    if let Some(library) = library {
        plan.plain |= defines_malloc(&library);
        plan.linked.push(library);
    }
    plan.driven = Some((
        interface,
        Driven {
            interface: known.title.to_owned(),
            symbol: symbol.to_owned(),
            instances: u32::try_from(instances).unwrap_or(u32::MAX),
            keeps: known.keeps,
        },
    ));
    Ok(())
}

/// A string as a call takes it.
fn literal(bytes: &[u8]) -> String {
    let mut text = "\"".to_owned();
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            // Three octal digits end the escape, whatever follows.
            _ => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text + "\""
}

/// The library with the drivers, made when it is first used.
static DRIVERS: OnceLock<Result<OwnedFd, String>> = OnceLock::new();

/// Where the library with the drivers is, for the life of this process.
fn drivers() -> Result<PathBuf, Fault> {
    let made = DRIVERS.get_or_init(|| {
        let bytes = c_library::agents(Libc::Glibc).drivers;
        if bytes.is_empty() {
            return Err(
                "this build has no drivers: they are written for glibc on x86-64 and AArch64".to_owned()
            );
        }
        image::data(NAME, &c_library::fitting(bytes)).map_err(|error| error.to_string())
    });
    match made {
        Ok(fd) => Ok(image::path(fd)),
        Err(problem) => Err(Fault::new(format!("the drivers of plugins could not be made: {problem}"))),
    }
}

/// The drivers' library, where code that was mapped or opened from this path is of it: the name that stacks have, and the file to read.
pub(crate) fn opened_from(path: &Path) -> Option<(String, PathBuf)> {
    let file = image::path(DRIVERS.get()?.as_ref().ok()?);
    (path == file || image::is_named(path, NAME)).then(|| (NAME.to_string_lossy().into_owned(), file))
}

/// Whether stacks give the drivers' library this name.
pub(crate) fn is_its_name(module: &str) -> bool {
    module.as_bytes() == NAME.to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_can_be_said() {
        let path = "/a \"b\"\\\u{e9}1\n.so";
        let call: Call = format!("f({})", literal(path.as_bytes())).parse().unwrap();
        assert_eq!(call.args, [Arg::Text(CString::new(path).unwrap())]);
    }

    #[test]
    fn modules_and_services_have_names() {
        let name = |path: &str| module_name(Path::new(path));
        assert_eq!(
            name("/usr/lib/python3/dist-packages/PIL/_imaging.cpython-311.so").as_deref(),
            Some("PIL._imaging")
        );
        assert_eq!(name("/usr/lib/python3.11/lib-dynload/_ssl.cpython-311.so").as_deref(), Some("_ssl"));
        assert_eq!(name("/tmp/_ssl.so"), None);
        assert_eq!(service("_nss_mdns4_minimal_gethostbyname_r"), Some("mdns4_minimal"));
        assert_eq!(service("_nss_get"), None);
    }
}
