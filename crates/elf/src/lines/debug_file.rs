//! Where debug information is kept apart from a library, as distributions do: by build-id, or by the name in
//! `.gnu_debuglink`. See "Debugging Information in Separate Files" in gdb's manual.

use std::path::{Path, PathBuf};

use object::Object;

/// Where distributions put it.
const PLACE: &str = "/usr/lib/debug";

/// The content of the separate file of an object at `path`; `None` where there is none.
pub(crate) fn content(object: &object::File<'_>, path: &Path) -> Option<Vec<u8>> {
    by_build_id(object).or_else(|| by_link(object, path))
}

fn by_build_id(object: &object::File<'_>) -> Option<Vec<u8>> {
    let id = object.build_id().ok()??;
    let (first, rest) = id.split_first()?;
    let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    super::content(Path::new(&format!("{PLACE}/.build-id/{first:02x}/{rest}.debug")))
}

fn by_link(object: &object::File<'_>, path: &Path) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;
    let (name, sum) = object.gnu_debuglink().ok()??;
    let name = Path::new(std::ffi::OsStr::from_bytes(name)).file_name()?;
    let path = std::fs::canonicalize(path).ok()?;
    let directory = path.parent()?;
    let apart = Path::new(PLACE).join(directory.strip_prefix("/").ok()?);
    let places: [PathBuf; 3] = [directory.join(name), directory.join(".debug").join(name), apart.join(name)];
    // A file of another build may have the name.
    let fits = |content: &Vec<u8>| crc32fast::hash(content) == sum;
    places.iter().filter(|place| **place != path).filter_map(|place| super::content(place)).find(fits)
}
