//! The pool as a host uses it: many threads, one load; and what is unloaded, what never is.

use std::ffi::{CStr, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlsoak::{elf, record::Language};
use dlsoak_pool::{Kept, Lease, LibraryPath, Pool};

use crate::support::{fixture, tool};

type Fibonacci = unsafe extern "C" fn(i32) -> i64;

/// These tests count loads of the process they run in, so they take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn get<'a>(pool: &'a Pool, path: &(impl LibraryPath + ?Sized)) -> dlsoak_pool::Handle<'a> {
    // SAFETY: fixtures run no harmful code.
    unsafe { pool.get(path) }.unwrap()
}

fn call(lease: &Lease<'_>) -> i64 {
    // SAFETY: this is the fixtures' prototype.
    unsafe { lease.get::<Fibonacci>(c"fibonacci").unwrap()(20) }
}

/// Objects that the loader has added so far, and whether this one is there now.
fn loader(path: &Path) -> (u64, bool) {
    unsafe extern "C" fn each(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
        // SAFETY: the loader hands a valid structure with a valid name, and what it was given below.
        unsafe {
            let (path, adds, there) = &mut *found.cast::<(&[u8], u64, bool)>();
            *adds = (*info).dlpi_adds;
            *there |= CStr::from_ptr((*info).dlpi_name).to_bytes() == *path;
        }
        0
    }
    let mut found = (path.to_str().unwrap().as_bytes(), 0, false);
    // SAFETY: the callback has the declared type, and what it is handed outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut found).cast()) };
    (found.1, found.2)
}

#[test]
fn eight_threads_get_a_million_times_and_load_once() {
    let _alone = alone();
    let path = fixture("c-clean");
    let pool = Pool::new();
    let before = loader(&path).0;
    let sum = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut own = 0;
                for n in 0..125_000 {
                    let lease = get(&pool, &path).lease().unwrap();
                    if n % 1000 == 0 {
                        own += call(&lease).cast_unsigned();
                    }
                }
                sum.fetch_add(own, Relaxed);
            });
        }
    });
    let (adds, there) = loader(&path);
    assert_eq!((adds - before, there), (1, true));
    assert_eq!(sum.into_inner(), 8 * 125 * 6765);
    let handle = pool.find(&path).unwrap();
    assert_eq!((handle.loads(), handle.leases()), (1, 0));
    drop(pool);
    assert!(!loader(&path).1, "dropping the pool unloads what is known to unload");
}

#[test]
fn leases_keep_a_library_while_others_evict_it() {
    let _alone = alone();
    let path = fixture("c-clean");
    let pool = Pool::new();
    let handle = get(&pool, &path);
    let done = AtomicBool::new(false);
    let evicted = std::thread::scope(|scope| {
        let visitors: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..3000 {
                        let lease = handle.lease().unwrap();
                        // A call into what is not there would end this process.
                        assert_eq!(call(&lease.clone()), 6765);
                    }
                })
            })
            .collect();
        let evictor = scope.spawn(|| {
            let mut evicted = 0;
            while !done.load(Relaxed) {
                evicted += pool.evict_idle();
            }
            evicted as u64
        });
        visitors.into_iter().for_each(|visitor| visitor.join().unwrap());
        done.store(true, Relaxed);
        evictor.join().unwrap()
    });
    assert_eq!(handle.kept(), None, "what another thread opens is not taken for pinned");
    assert_eq!(handle.loads(), 1 + evicted - u64::from(!handle.is_loaded()));
    assert_eq!(handle.leases(), 0);
}

#[test]
fn idle_is_what_nobody_has_leased_since_the_last_look() {
    let _alone = alone();
    let path = fixture("c-clean");
    let pool = Pool::new();
    let handle = get(&pool, &path);
    assert_eq!(pool.evict_idle(), 0, "just loaded");
    let lease = handle.lease().unwrap();
    assert_eq!((pool.evict_idle(), pool.evict_idle()), (0, 0), "leased");
    drop(lease);
    assert_eq!(pool.evict_idle(), 1);
    assert!(!handle.is_loaded() && !loader(&path).1);
    assert_eq!(pool.evict_idle(), 0, "once");
    assert_eq!(call(&handle.lease().unwrap()), 6765);
    assert_eq!((handle.loads(), handle.is_loaded()), (2, true));
}

#[test]
fn what_is_not_known_to_unload_is_never_closed() {
    let _alone = alone();
    let pool = Pool::new();
    let unique = get(&pool, &fixture("cpp-unique"));
    let rust = get(&pool, &fixture("rust-tls-destructor"));
    assert_eq!((pool.evict_idle(), pool.evict_idle()), (0, 0));
    assert!(matches!(unique.kept(), Some(Kept::Unique(_))), "{:?}", unique.kept());
    assert!(matches!(rust.kept(), Some(Kept::Uses("__cxa_thread_atexit_impl"))), "{:?}", rust.kept());
    // Whoever knows better may say so; what turns out to stay is kept from then on, and can be used all the same.
    unique.allow_eviction();
    rust.allow_eviction();
    assert!(matches!(unique.kept(), Some(Kept::Unique(_))));
    assert_eq!(rust.kept(), None);
    call(&rust.lease().unwrap());
    assert_eq!((pool.evict_idle(), pool.evict_idle()), (0, 0));
    assert_eq!((rust.kept(), rust.is_loaded(), rust.loads()), (Some(Kept::Stayed), true, 1));
    assert_eq!(call(&rust.lease().unwrap()), 6765);
}

#[test]
fn any_kind_of_path_finds_the_same_library() {
    let _alone = alone();
    let path = fixture("c-clean");
    let text = path.to_str().unwrap();
    let pool = Pool::new();
    assert!(pool.find(text).is_none());
    get(&pool, text);
    let c = std::ffi::CString::new(text).unwrap();
    assert!(pool.find(&c).is_some() && pool.find(c.as_c_str()).is_some());
    assert!(pool.find(path.as_os_str()).is_some() && pool.find(&path).is_some());
    assert_eq!(pool.libraries().map(|library| library.path().to_owned()).collect::<Vec<_>>(), [path]);
    // SAFETY: nothing is loaded by these.
    unsafe {
        assert!(pool.get("/no/such.so").unwrap_err().to_string().contains("/no/such.so"));
        assert!(pool.get("").is_err() && pool.get("a\0b").is_err());
        assert!(pool.preload(["libm.so.6", "/no/such.so"]).is_err());
    }
    assert!(pool.find("/no/such.so").is_none() && pool.find("libm.so.6").is_some());
}

#[test]
fn the_pool_reads_in_a_file_what_dlsoak_reads() {
    let root = xtask::fixtures::root();
    let mut seen = [0; 4];
    for known in xtask::fixtures::Table::load(&root).unwrap().fixtures {
        let path = known.library(&root).unwrap();
        if path.extension().is_some_and(|extension| extension == "a") {
            continue;
        }
        let data = std::fs::read(&path).unwrap();
        let facts = elf::parse(&data).unwrap();
        let reasons = dlsoak_pool::reasons(&data);
        let unique = facts.unique_symbols.first().map(|symbol| Kept::Unique(symbol.clone()));
        let facts = [
            facts.nodelete().then_some(Kept::NoDelete),
            unique,
            (facts.language == Language::Go).then_some(Kept::Go),
            facts.static_tls().then_some(Kept::StaticTls),
        ];
        seen.iter_mut().zip(&facts).for_each(|(seen, fact)| *seen += i32::from(fact.is_some()));
        let uses = reasons.iter().filter(|kept| matches!(kept, Kept::Uses(_)));
        let facts: Vec<_> = facts.iter().flatten().chain(uses).cloned().collect();
        assert_eq!(reasons, facts, "{}", path.display());
    }
    assert!(seen.iter().all(|seen| *seen > 0), "each is true of some fixture: {seen:?}");
}

/// Where Cargo puts what it builds for the tests, the pool's libraries for C among it.
fn built() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

fn says(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A compiler that takes no warning for an answer, with the pool's header.
fn strict(variable: &str, default: &str, standard: &str) -> Command {
    let mut compiler = Command::new(std::env::var_os(variable).unwrap_or_else(|| default.into()));
    compiler.args([standard, "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread"]);
    compiler.arg("-I").arg(xtask::fixtures::root().join("crates/pool/include"));
    compiler
}

#[test]
fn hosts_in_c_and_cpp_use_the_pool_as_one_in_rust_does() {
    let directory = tempfile::tempdir().unwrap();
    let example = |name: &str| xtask::fixtures::root().join("examples/pool").join(name);
    let [c, cpp] = ["host-c", "host-cpp"].map(|name| directory.path().join(name));
    let archive = built().join("libdlsoak_pool.a");
    says(
        strict("CC", "cc", "-std=c11")
            .arg(example("host.c"))
            .arg("-o")
            .arg(&c)
            .arg("-L")
            .arg(built())
            .arg("-ldlsoak_pool"),
    );
    says(
        strict("CXX", "c++", "-std=c++17")
            .arg(example("host.cpp"))
            .arg("-o")
            .arg(&cpp)
            .arg(archive)
            .args(["-ldl", "-lm"]),
    );
    let host = |program: &Path, plugin: &Path| {
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", built()).arg(plugin).args(["8", "1000000"]);
        command
    };
    let said = says(&mut host(&c, &fixture("c-clean")));
    assert!(
        said.starts_with("1000000 gets, ") && said.ends_with("may go: it is known to unload\n"),
        "{said}"
    );
    let said = says(&mut host(&c, &fixture("go-clean")));
    assert_eq!(
        said,
        "1000000 gets, 1 loads, 0 evictions; kept: linked with -z nodelete, so it never unloads\n"
    );
    assert_eq!(says(&mut host(&cpp, &fixture("c-clean"))), "1000000 gets, 1 loads\n");
    for program in [&c, &cpp] {
        let output = host(program, Path::new("/nowhere.so")).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.starts_with("host: /nowhere.so: "), "{said}");
    }
    // All that the pool took is given back, as an instrument that shares nothing with it says.
    if tool("valgrind") {
        let mut checked = Command::new("valgrind");
        checked.args(["-q", "--leak-check=full", "--error-exitcode=9"]).env("LD_LIBRARY_PATH", built());
        says(checked.arg(&c).arg(fixture("c-clean")).args(["2", "1000"]));
    }
}
