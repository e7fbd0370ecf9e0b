//! SQLite extensions, `sqlite3ext.h` and `sqlite3.h` 3.40 (<https://www.sqlite.org/loadext.html>): each instance is an in-memory database.
//! The extension is initialised in it, each function that it registers and that takes no argument is called, and the database is closed.
//!
//! The driver calls the entry point itself, with the table of SQLite's functions, as `sqlite3_load_extension` does. That function would open
//! the file by its name, which is another file than the measured one where dlsoak measures copies. The set-up takes the table from an
//! automatic extension of the driver's own, because SQLite gives it to nobody else. No detail is needed; the symbol is the entry point.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{null, null_mut};
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::Relaxed;

use dlsoak_wire::interface::failed;

use super::{MOST_INSTANCES, Zeros, find, instances, path, symbol};
use crate::c;

/// Results of SQLite.
const OK: c_int = 0;
const ROW: c_int = 100;
const OK_LOAD_PERMANENTLY: c_int = 256;
/// Results that no call of a function without arguments may have: internal, out of memory, corrupt, misuse.
const NEVER: [c_int; 4] = [2, 7, 11, 21];

/// A query for the text of all calls. SpatiaLite's `PAUSE()` is left out, because it stops the process until somebody continues it.
const CALLS: &CStr = c"SELECT group_concat(call, char(10)) FROM (SELECT DISTINCT 'SELECT \"' || replace(name, '\"', '\"\"') || '\"()' AS call \
    FROM pragma_function_list WHERE NOT builtin AND narg IN (0, -1) AND lower(name) <> 'pause' ORDER BY 1)";

/// Numbers of the steps.
const INIT: u16 = 1;
const FUNCTION: u16 = 2;
const CLOSE: u16 = 3;

type Entry = unsafe extern "C" fn(*mut c_void, *mut *mut c_char, *const c_void) -> c_int;
type Automatic = unsafe extern "C" fn(Entry) -> c_int;
type Open = unsafe extern "C" fn(*const c_char, *mut *mut c_void) -> c_int;
type Of = unsafe extern "C" fn(*mut c_void) -> c_int;
type Free = unsafe extern "C" fn(*mut c_void);
type Prepare =
    unsafe extern "C" fn(*mut c_void, *const c_char, c_int, *mut *mut c_void, *mut *const c_char) -> c_int;
type Column = unsafe extern "C" fn(*mut c_void, c_int) -> *const c_char;

/// SQLite's table, `sqlite3_api_routines`.
static TABLE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// An automatic extension that keeps the table.
unsafe extern "C" fn keep(_database: *mut c_void, _error: *mut *mut c_char, table: *const c_void) -> c_int {
    TABLE.store(table.cast_mut(), Relaxed);
    OK
}

functions!(Sqlite {
    sqlite3_open: Open,
    sqlite3_close: Of,
    sqlite3_prepare_v2: Prepare,
    sqlite3_step: Of,
    sqlite3_column_text: Column,
    sqlite3_finalize: Of,
    sqlite3_free: Free,
    sqlite3_auto_extension: Automatic,
    sqlite3_cancel_auto_extension: Automatic,
});

/// Takes the table. `None` where there is no SQLite.
pub fn begin() -> Option<()> {
    let sqlite = Sqlite::of(null_mut())?;
    // SAFETY: the database is closed once, after it was opened.
    unsafe {
        let mut database = null_mut();
        (sqlite.sqlite3_auto_extension)(keep);
        (sqlite.sqlite3_open)(c":memory:".as_ptr(), &raw mut database);
        (sqlite.sqlite3_cancel_auto_extension)(keep);
        (sqlite.sqlite3_close)(database);
    }
    (!TABLE.load(Relaxed).is_null()).then_some(())
}

/// One cycle of an extension that is open.
///
/// # Safety
/// The handle is that of an SQLite extension.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_sqlite(handle: *mut c_void) -> c_int {
    let (Some(sqlite), Some(entry)) = (Sqlite::of(null_mut()), find(handle, symbol())) else {
        return failed(INIT, 0);
    };
    // SAFETY: all entry points are of this prototype.
    let entry = unsafe { core::mem::transmute::<*mut c_void, Entry>(entry) };
    let mut databases = [null_mut(); MOST_INSTANCES];
    let databases = databases.get_mut(..instances()).unwrap_or_default();
    let mut result = 0;
    let mut before = None;
    for database in databases.iter_mut() {
        // SAFETY: the text ends in NUL.
        if unsafe { (sqlite.sqlite3_open)(c":memory:".as_ptr(), &raw mut *database) } != OK {
            result = failed(INIT, 0);
            break;
        }
        if before.is_none() {
            // SAFETY: the database is open.
            before = unsafe { calls(&sqlite, *database) };
        }
        // SAFETY: the database is open, and the table is SQLite's.
        if let Err(step) = unsafe { initialise(&sqlite, entry, *database) } {
            result = step;
            break;
        }
    }
    if result == 0 {
        for database in databases.iter() {
            // SAFETY: the database is open.
            if let Err(step) = unsafe { call_all(&sqlite, *database, before.as_ref()) } {
                result = step;
                break;
            }
        }
    }
    for database in databases.iter().filter(|database| !database.is_null()) {
        // SAFETY: the database is open, and no statement of the driver's is left.
        if unsafe { sqlite_close(sqlite.sqlite3_close, *database) } != OK && result == 0 {
            result = failed(CLOSE, 0);
        }
    }
    result
}

unsafe fn initialise(sqlite: &Sqlite, entry: Entry, database: *mut c_void) -> Result<(), c_int> {
    let mut error = null_mut();
    // SAFETY: the caller's; a message is the host's to free, and freeing null does nothing.
    let result = unsafe {
        let result = sqlite_init(entry, database, &raw mut error);
        (sqlite.sqlite3_free)(error.cast());
        result
    };
    match result {
        OK => Ok(()),
        OK_LOAD_PERMANENTLY => {
            // As SQLite, which keeps its handle of such an extension.
            // SAFETY: the path ends in NUL.
            let _kept = unsafe { c::dlopen(path().as_ptr(), c::RTLD_NOW | c::RTLD_NOLOAD) };
            Ok(())
        }
        _ => Err(failed(INIT, 0)),
    }
}

/// The text of calls of all functions that the database has and that take no argument; `None` where there is none.
unsafe fn calls(sqlite: &Sqlite, database: *mut c_void) -> Option<Zeros> {
    let mut statement = null_mut();
    // SAFETY: the database is open; the text of a row lives until the statement is finalized, and is copied before.
    unsafe {
        (sqlite.sqlite3_prepare_v2)(database, CALLS.as_ptr(), -1, &raw mut statement, null_mut());
        let row = if !statement.is_null() && (sqlite.sqlite3_step)(statement) == ROW {
            (sqlite.sqlite3_column_text)(statement, 0)
        } else {
            null()
        };
        let text = if row.is_null() {
            None
        } else {
            let bytes = CStr::from_ptr(row).to_bytes();
            let copy = Zeros::new(bytes.len() + 1);
            if let Some(copy) = &copy {
                core::ptr::copy_nonoverlapping(bytes.as_ptr(), copy.at.cast(), bytes.len());
            }
            copy
        };
        (sqlite.sqlite3_finalize)(statement);
        text
    }
}

/// The calls in a text. Names may have semicolons, so the calls are parted by a character that no name has.
fn each(of: Option<&Zeros>) -> impl Iterator<Item = &[u8]> {
    // SAFETY: the text ends in NUL, and lives as long as what it is borrowed from.
    let text = of.map_or(c"", |text| unsafe { CStr::from_ptr(text.at.cast_const().cast()) });
    text.to_bytes().split(|byte| *byte == b'\n').filter(|call| !call.is_empty())
}

/// Calls each function that has no arguments, or any number, and that the database had not before: full-text search and R-trees have
/// functions of this kind too. That a function fails for want of arguments is right.
unsafe fn call_all(sqlite: &Sqlite, database: *mut c_void, before: Option<&Zeros>) -> Result<(), c_int> {
    // SAFETY: the database is open.
    let all = unsafe { calls(sqlite, database) };
    let new = each(all.as_ref()).filter(|call| each(before).all(|had| had != *call));
    for (number, call) in new.enumerate() {
        let mut statement = null_mut();
        // SAFETY: the text has as many bytes; for a statement that can't be made, which is null, finalizing does nothing.
        let result = unsafe {
            let made = (sqlite.sqlite3_prepare_v2)(
                database,
                call.as_ptr().cast(),
                call.len() as c_int,
                &raw mut statement,
                null_mut(),
            );
            let result = if made == OK { sqlite_function(sqlite.sqlite3_step, statement) } else { made };
            (sqlite.sqlite3_finalize)(statement);
            result
        };
        if NEVER.contains(&(result & 0xff)) {
            return Err(failed(FUNCTION, number));
        }
    }
    Ok(())
}

step!(sqlite_init(entry: Entry, database: *mut c_void, error: *mut *mut c_char) -> c_int {
    entry(database, error, TABLE.load(Relaxed))
});
step!(sqlite_function(step: Of, statement: *mut c_void) -> c_int {
    let mut rows = 0;
    loop {
        let result = step(statement);
        rows += 1;
        if result != ROW || rows == 16 {
            break result;
        }
    }
});
step!(sqlite_close(close: Of, database: *mut c_void) -> c_int { close(database) });
