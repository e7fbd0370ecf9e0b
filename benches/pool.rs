//! What a pool saves: `get`, and a whole visit, against `dlopen` and `dlclose` of a library that is already open.
//!
//! `cargo xtask fixtures && cargo bench --bench pool`; any other library by `DLSOAK_BENCH_LIBRARY=libz.so.1`.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use dlsoak_pool::Pool;
use libloading::os::unix::Library;

const THREADS: usize = 8;

fn library() -> PathBuf {
    std::env::var_os("DLSOAK_BENCH_LIBRARY")
        .map_or_else(|| xtask::fixtures::root().join("target/fixtures/libc-clean.so"), PathBuf::from)
}

/// Nanoseconds of one `visit` where several threads make them at once.
fn crowded(visits: u64, visit: impl Fn() + Sync) -> std::time::Duration {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..visits.div_ceil(THREADS as u64)).for_each(|_| visit()));
        }
    });
    begin.elapsed()
}

fn pool(c: &mut Criterion) {
    let path = library();
    // With its NUL, so that libloading copies nothing: the best that dlopen can do.
    let name = std::ffi::CString::new(path.to_string_lossy().into_owned()).unwrap_or_default();
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name.as_bytes_with_nul());
    let pool = Pool::new();
    let reopen = || {
        // SAFETY: the fixture's code is harmless, and it is open already.
        let library = unsafe { Library::open(Some(black_box(name)), libc::RTLD_NOW) };
        black_box(library.is_ok());
    };
    // SAFETY: as above.
    let get = || black_box(unsafe { pool.get(black_box(path.as_path())) }.is_ok());
    // SAFETY: as above.
    let visit = || black_box(unsafe { pool.get(black_box(path.as_path())) }.is_ok_and(|h| h.lease().is_ok()));
    assert!(get(), "{} does not load: cargo xtask fixtures", path.display());

    let mut one = c.benchmark_group("already open");
    one.bench_function("dlopen and dlclose", |b| b.iter(reopen));
    one.bench_function("get", |b| b.iter(get));
    one.bench_function("get, lease and release", |b| b.iter(visit));
    one.finish();
    let mut many = c.benchmark_group(format!("already open, {THREADS} threads"));
    many.bench_function("dlopen and dlclose", |b| b.iter_custom(|n| crowded(n, reopen)));
    many.bench_function("get", |b| b.iter_custom(|n| crowded(n, || _ = get())));
    many.bench_function("get, lease and release", |b| b.iter_custom(|n| crowded(n, || _ = visit())));
    many.finish();
}

criterion_group!(benches, pool);
criterion_main!(benches);
