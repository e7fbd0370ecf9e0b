//! Files that are no library, half a library or too much of one: each gets a verdict with one clear line, none makes the
//! program wait, and none is read without bound.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use dlsoak::elf;
use dlsoak::record::{Code, LoadCause, OutcomeKind, Shortage, Soak, Verdict};
use tempfile::TempDir;
use xtask::fixtures::root;
use xtask::{damaged, mutants};

use crate::support::{dlsoak, finished, fixture, read_record, until};

/// Soaks these files in one run; one soak for each.
fn soaks(paths: &[PathBuf]) -> Vec<Soak> {
    let out = tempfile::tempdir().unwrap();
    let mut command = dlsoak();
    command.arg("run").args(paths).args(["-n", "3", "--warmup", "1", "--stall-timeout", "1m", "-o"]);
    let finished = finished(&command.arg(out.path()).output().unwrap(), &out);
    assert_eq!((finished.run.soaks.len(), finished.stderr.as_str()), (paths.len(), ""));
    finished.run.soaks
}

/// Soaks these files, none of which can be loaded; what is wrong with each.
fn refused(paths: &[PathBuf]) -> Vec<String> {
    let soaks = soaks(paths);
    let told = soaks.iter().zip(paths).map(|(soak, path)| {
        let ended = (soak.outcome.kind, soak.judged.verdict);
        assert_eq!(ended, (OutcomeKind::LoadFailed, Verdict::LoadFailed), "{path:?}: {:?}", soak.outcome);
        let cause = crate::support::failure(soak).cause.clone();
        let LoadCause::BadFile { path: named, problem } = cause else { panic!("{path:?}: {cause:?}") };
        assert_eq!(named, path.to_string_lossy());
        let Some(line) = dlsoak::report::summary::reasons(soak).first().map(|reason| reason.fact.clone())
        else {
            panic!("{problem:?}")
        };
        assert!(!line.contains('\n'), "{line}");
        line
    });
    told.collect()
}

/// A reason is a line, whatever the file holds.
fn one_line(error: &elf::Unreadable) {
    let text = dlsoak::report::inspection::unreadable(error).to_string();
    assert!(!text.contains('\n'), "{text:?}");
}

fn private() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_path_buf();
    (dir, path)
}

#[test]
fn a_library_cut_short_anywhere_is_read_to_a_reason() {
    let whole = fs::read(fixture("c-clean")).unwrap();
    let mut reasons = 0;
    for length in 0..whole.len() {
        match elf::parse(&whole[..length]) {
            Err(error) => {
                one_line(&error);
                reasons += 1;
            }
            // What is missing is not what a loader needs: the section headers, the debug information.
            Ok(facts) => drop(elf::check_loadable(&facts, elf::Host::CURRENT)),
        }
    }
    assert!(reasons > 4096, "{reasons}");
    let (_dir, place) = private();
    let cuts: Vec<_> = (0..16).map(|cut| whole.len() * cut / 16).collect();
    let paths: Vec<_> = cuts.iter().map(|cut| place.join(format!("cut-{cut}.so"))).collect();
    for (path, cut) in paths.iter().zip(&cuts) {
        fs::write(path, &whole[..*cut]).unwrap();
    }
    for (soak, cut) in soaks(&paths).iter().zip(&cuts) {
        let fit = matches!(soak.outcome.kind, OutcomeKind::LoadFailed | OutcomeKind::Completed);
        let sound = elf::parse(&whole[..*cut]).is_ok();
        assert!(fit && sound == (soak.outcome.kind == OutcomeKind::Completed), "{cut}: {:?}", soak.outcome);
    }
}

#[test]
fn no_damaged_copy_breaks_the_reader() {
    for number in 0..2_000 {
        let original = fs::read(fixture(damaged::ORIGINALS[number as usize % 3])).unwrap();
        let copy = mutants::mutant(&original, number / 3);
        match elf::parse(&copy) {
            Ok(facts) => {
                let _ = elf::check_loadable(&facts, elf::Host::CURRENT);
                let _ = elf::predictions(&facts);
                let _ = facts.nearest_export("fibonaci");
            }
            Err(error) => one_line(&error),
        }
    }
}

#[test]
fn every_damaged_copy_comes_to_an_end() {
    let scratch = tempfile::tempdir().unwrap();
    let dlsoak = Path::new(env!("CARGO_BIN_EXE_dlsoak"));
    let (ends, problems) = damaged::run(dlsoak, &root(), scratch.path(), 0..21).unwrap();
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(ends.len() > 1 && ends.values().sum::<u64>() == 21, "{ends:?}");
}

#[test]
fn what_is_no_file_is_neither_waited_for_nor_read() {
    let (_dir, place) = private();
    let fifo = place.join("fifo.so");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let socket = place.join("socket.so");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let loops = place.join("loop.so");
    std::os::unix::fs::symlink(&loops, &loops).unwrap();
    let odd = [fifo, socket, PathBuf::from("/dev/zero"), PathBuf::from("/dev/null")];
    for told in refused(&odd) {
        assert!(told.contains("not a regular file"), "{told}");
    }
    assert!(refused(&[loops])[0].contains("symbolic links"));
    for path in &odd {
        let output = dlsoak().arg("inspect").arg(path).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{path:?}: {stderr}");
    }
}

#[test]
fn a_huge_file_is_not_read_whole() {
    let (_dir, place) = private();
    let (zeros, elf) = (place.join("zeros.so"), place.join("elf.so"));
    File::create(&zeros).unwrap().set_len(100 << 30).unwrap();
    fs::copy(fixture("c-clean"), &elf).unwrap();
    File::options().write(true).open(&elf).unwrap().set_len(100 << 30).unwrap();
    let told = refused(&[zeros, elf]);
    assert!(told[1].contains("107374182400 bytes"), "{told:?}");
}

#[test]
fn another_class_byte_order_or_kind_is_named() {
    let (_dir, place) = private();
    let whole = fs::read(fixture("c-clean")).unwrap();
    let changed = |name: &str, at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        let path = place.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    // e_ident[EI_CLASS], e_ident[EI_DATA], e_type ET_REL, e_type ET_CORE.
    let paths = [
        changed("class.so", 4, 1),
        changed("endian.so", 5, 2),
        changed("rel.so", 16, 1),
        changed("core.so", 16, 4),
    ];
    refused(&paths);
}

#[test]
fn a_path_may_hold_any_byte_but_nul() {
    let (_dir, place) = private();
    let names: [&[u8]; 5] =
        [b"with space.so", b"new\nline.so", b"\xff\xfe.so", b"-n.so", "größe ☃.so".as_bytes()];
    let paths: Vec<_> = names.iter().map(|name| place.join(std::ffi::OsStr::from_bytes(name))).collect();
    for path in &paths {
        fs::copy(fixture("c-clean"), path).unwrap();
    }
    for (soak, path) in soaks(&paths).iter().zip(&paths) {
        assert_eq!(soak.outcome.kind, OutcomeKind::Completed, "{path:?}: {:?}", soak.outcome);
        assert_eq!((soak.unload.loads_per_cycle, soak.unload.unloads_per_cycle), (1.0, 1.0), "{path:?}");
        assert!(!soak.name.contains('\n'), "{:?}", soak.name);
    }
}

#[test]
fn a_path_that_leads_nowhere_is_told_in_one_line() {
    let long = PathBuf::from(format!("/{}.so", "x/".repeat(2_500)));
    let told = refused(&[long]);
    assert!(told[0].contains("too long"), "{}", told[0]);
    let output = dlsoak().args(["run", "/no/such\nplace.so"]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && errors.lines().count() == 1, "{output:?}");
    let output = dlsoak().args(["run", ""]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn a_library_that_vanishes_or_changes_while_it_is_soaked_ends_the_soak() {
    let (_dir, place) = private();
    for (name, text) in [("gone.so", None), ("changed.so", Some("no library"))] {
        let path = place.join(name);
        fs::copy(fixture("c-clean"), &path).unwrap();
        let out = tempfile::tempdir().unwrap();
        let mut program = dlsoak();
        program.arg("run").arg(&path).args(["--duration", "1d", "-o"]).arg(out.path());
        let child = program.stdout(Stdio::piped()).spawn().unwrap();
        until("cycles are measured", || read_record(out.path()).ok());
        // Replaced whole, as an installer does it.
        match text {
            None => fs::remove_file(&path).unwrap(),
            Some(text) => {
                fs::write(place.join("new"), text).unwrap();
                fs::rename(place.join("new"), &path).unwrap();
            }
        }
        let finished = finished(&child.wait_with_output().unwrap(), &out);
        let outcome = &finished.soak().outcome;
        let verdict = finished.soak().judged.verdict;
        assert_eq!((outcome.kind, verdict), (OutcomeKind::LoadFailed, Verdict::LoadFailed), "{outcome:?}");
        assert_eq!(outcome.phase, Some(dlsoak::record::Phase::Open), "{name}: {outcome:?}");
        assert!(outcome.cycle > Some(0), "{name}: {outcome:?}");
        let shortage = crate::support::failure(finished.soak()).shortage.as_ref();
        let gone = matches!(shortage, Some(Shortage::FileGone { .. }));
        assert_eq!(gone, text.is_none(), "{name}: {outcome:?}");
        assert!(text.is_some() || outcome.code() == Code::LoadFailedFileChanged, "{name}: {outcome:?}");
    }
}
