//! Programs that are carried as bytes, made executable: a sealed `memfd(2)`, so that no file is left behind and a TMPDIR that is
//! mounted noexec does no harm, or a file without a name where memfd or its execution is refused. And data and memory to share with
//! them, in the same way.

use std::ffi::CStr;
use std::fs::File;
use std::io::{Error, Result, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use dlsoak_agent::HOST_NAME;

use super::private::PrivateDirectory;

/// Whether this is the host's own program.
pub(crate) fn is_host(path: &Path) -> bool {
    is_named(path, HOST_NAME)
}

/// Whether what is mapped from this path is the image of that name: `/proc/PID/maps` says of a memfd and of a removed file that they are
/// deleted.
pub(crate) fn is_named(path: &Path, name: &CStr) -> bool {
    let mapped = path.file_name().unwrap_or_default().to_string_lossy();
    let mapped = mapped.strip_suffix(" (deleted)").unwrap_or(&mapped);
    mapped.strip_prefix("memfd:").unwrap_or(mapped).as_bytes() == name.to_bytes()
}

/// Where an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A sealed memfd.
    Memory,
    /// A file in TMPDIR, which has no name any more.
    File,
}

/// A program that can be executed by its descriptor.
#[derive(Debug)]
pub(super) struct Image {
    fd: OwnedFd,
    place: Place,
}

impl Image {
    /// Makes a program of these bytes.
    ///
    /// # Errors
    /// When this build carries no such program, or it can't be had in this place. Where [`is_refusal`] says so of a memfd, a file
    /// may do.
    pub(super) fn new(place: Place, name: &CStr, bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Err(Error::other(
                "this build has no agent: it is written for glibc on x86-64 and AArch64",
            ));
        }
        let fd = match place {
            // Linux 6.3 asks whether it is to be executed; older kernels don't know the flag.
            Place::Memory => match in_memory(name, bytes, MFdFlags::from_bits_retain(libc::MFD_EXEC)) {
                Err(Errno::EINVAL) => in_memory(name, bytes, MFdFlags::empty()),
                made => made,
            }?,
            Place::File => in_file(name, bytes).map_err(|error| no_file(&error))?,
        };
        Ok(Self { fd, place })
    }

    pub(super) fn raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// A path by which this process and its children execute it.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.raw_fd()))
    }

    /// An error of its execution, with what to do.
    pub(super) fn refused(&self, error: Error) -> Error {
        if self.place == Place::File && is_refusal(&error) { no_file(&error) } else { error }
    }
}

fn no_file(error: &Error) -> Error {
    Error::other(format!(
        "this system forbids memfd_create or its execution, and no program can be executed from {}: {error}; set TMPDIR to a \
         place that is writable and not mounted noexec",
        std::env::temp_dir().display()
    ))
}

/// Whether memfd or its execution was refused, by the kernel or by a filter of system calls, rather than memory.
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EACCES))
}

fn in_memory(name: &CStr, bytes: &[u8], flags: MFdFlags) -> std::result::Result<OwnedFd, Errno> {
    let fd = memfd_create(name, flags | MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut left = bytes;
    while !left.is_empty() {
        left = left.get(nix::unistd::write(&fd, left)?..).unwrap_or_default();
    }
    let all =
        SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(all))?;
    Ok(fd)
}

fn in_file(name: &CStr, bytes: &[u8]) -> Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let directory = PrivateDirectory::new()?;
    let path = directory.path().join(name.to_string_lossy().as_ref());
    let mut file = File::options().write(true).create_new(true).mode(0o700).open(&path)?;
    file.write_all(bytes)?;
    drop(file);
    // For reading alone: what is open for writing can't be executed (ETXTBSY). The name goes with the directory.
    let file = File::open(&path)?;
    wait_for_writers(&file);
    Ok(file.into())
}

/// Waits until nobody has the file open for writing. A process that another thread of this one was about to start inherits the
/// descriptor and has it until it executes its program. The kernel gives a lease for reading only when there are no writers.
fn wait_for_writers(file: &File) {
    const LONGEST: Duration = Duration::from_secs(1);
    let begin = Instant::now();
    let lease = |kind: i32| {
        // SAFETY: the command takes a number, and the descriptor is open.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) };
        if result < 0 { Errno::last() } else { Errno::UnknownErrno }
    };
    // A file system without leases says something else; there the execution has to show it.
    while lease(libc::F_RDLCK) == Errno::EAGAIN && begin.elapsed() < LONGEST {
        std::thread::sleep(Duration::from_millis(1));
    }
    lease(libc::F_UNLCK);
}

/// These bytes, to be read or mapped by their descriptor.
///
/// # Errors
/// When neither memory nor a file can be had.
pub(crate) fn data(name: &CStr, bytes: &[u8]) -> Result<OwnedFd> {
    match in_memory(name, bytes, MFdFlags::empty()).map_err(Error::from) {
        Err(error) if is_refusal(&error) => in_file(name, bytes),
        made => made,
    }
}

/// A path by which any process of the same user opens what this process has by this descriptor.
pub(crate) fn path(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd()))
}

/// Memory of this many bytes, all zero, to be shared by its descriptor: a memfd that can be sealed, or, where that is refused, a file
/// without a name.
///
/// # Errors
/// When neither can be had.
pub(crate) fn memory(name: &CStr, len: usize) -> Result<OwnedFd> {
    match memory_in(Place::Memory, name, len) {
        Err(error) if is_refusal(&error) => memory_in(Place::File, name, len),
        made => made,
    }
}

fn memory_in(place: Place, name: &CStr, len: usize) -> Result<OwnedFd> {
    let fd: OwnedFd = match place {
        Place::Memory => memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?,
        Place::File => match tempfile::tempfile_in("/dev/shm") {
            // Containers give it little room, and who writes where there is none is killed (SIGBUS).
            Ok(file) if room(&file) >= len as u64 => file.into(),
            Ok(_) | Err(_) => tempfile::tempfile()?.into(),
        },
    };
    nix::unistd::ftruncate(&fd, i64::try_from(len).unwrap_or(i64::MAX))?;
    Ok(fd)
}

/// Bytes that the file system of this file has left.
fn room(file: &File) -> u64 {
    nix::sys::statvfs::fstatvfs(file)
        .map_or(0, |system| system.blocks_available().saturating_mul(system.fragment_size()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;
    use std::process::Command;

    use super::*;

    const PLACES: [Place; 2] = [Place::Memory, Place::File];

    #[test]
    fn a_program_is_executed_in_either_place_while_others_start_processes() {
        // Each of these inherits, for a moment, what is being written.
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
            let program = std::fs::read("/bin/true").unwrap();
            let results: Vec<_> = (0..20)
                .flat_map(|_| PLACES)
                .map(|place| {
                    let image = Image::new(place, c"true", &program)?;
                    Command::new(image.path()).status().map(|status| status.success())
                })
                .collect();
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(results.iter().all(|result| matches!(result, Ok(true))), "{results:?}");
        });
    }

    #[test]
    fn an_image_has_no_name_and_can_t_be_written() {
        for place in PLACES {
            let image = Image::new(place, HOST_NAME, b"bytes").unwrap();
            let path = std::fs::read_link(image.path()).unwrap();
            assert!(!path.exists() && is_host(&path), "{}", path.display());
            let file = File::from(image.fd);
            assert!(file.write_at(b"x", 0).is_err(), "{place:?}");
            let mut read = [0; 8];
            assert_eq!(file.read_at(&mut read, 0).unwrap(), 5);
            assert_eq!(&read[..5], b"bytes");
        }
        assert!(Image::new(Place::Memory, HOST_NAME, b"").is_err());
    }

    #[test]
    fn only_a_file_s_refusal_says_what_to_do() {
        let refusal = || Error::from_raw_os_error(libc::EACCES);
        let image = |place| Image::new(place, HOST_NAME, b"bytes").unwrap();
        assert!(is_refusal(&image(Place::Memory).refused(refusal())));
        assert!(image(Place::File).refused(refusal()).to_string().contains("set TMPDIR"));
        let other = image(Place::File).refused(Error::from_raw_os_error(libc::ENOEXEC));
        assert_eq!(other.raw_os_error(), Some(libc::ENOEXEC));
    }

    #[test]
    fn memory_is_zero_and_without_a_name_in_either_place() {
        for place in PLACES {
            let file = File::from(memory_in(place, c"dlsoak-test", 10_000).unwrap());
            let mut bytes = [1; 10];
            file.read_exact_at(&mut bytes, 9_990).unwrap();
            assert_eq!((bytes, file.metadata().unwrap().len()), ([0; 10], 10_000));
            file.write_all_at(b"x", 0).unwrap();
            let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
            assert!(!path.exists(), "{}", path.display());
        }
        let file = File::from(data(c"dlsoak-test", b"data").unwrap());
        assert_eq!(file.metadata().unwrap().len(), 4);
    }
}
