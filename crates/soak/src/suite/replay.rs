//! The command that repeats a soak up to where it ended: what matters of the plan, as flags for a shell. Also what
//! came from a suite file is in it, so that the command is enough.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::plan::{DEFAULT_STALL_TIMEOUT, SoakPlan};
use crate::record::{CallFrom, Mode, Outcome, OutcomeKind};

/// A shell command that repeats this soak up to the cycle that it ended in; all of it where it completed.
#[must_use]
pub fn replay(plan: &SoakPlan, outcome: &Outcome, completed: u64) -> String {
    let mut words: Vec<Vec<u8>> = ["dlsoak", "run"].map(|word| word.as_bytes().to_vec()).to_vec();
    words.push(as_operand(&plan.path));
    let mut flag = |name: &str, value: Option<&[u8]>| {
        words.push(name.as_bytes().to_vec());
        words.extend(value.map(<[u8]>::to_vec));
    };
    for call in &plan.calls {
        flag("-c", Some(call.text.as_bytes()));
    }
    if let Some(exercise) = &plan.exercise {
        let mut value = exercise.driver.as_os_str().as_bytes().to_vec();
        value.extend([b":", exercise.symbol.as_bytes()].concat());
        flag("--exercise", Some(&value));
    }
    // The cycle is counted with the warm-up, and on one of the threads.
    let threads = u64::from(plan.threads.max(1));
    let cycles = match outcome.cycle {
        // What comes from outside comes in another cycle the next time.
        Some(_) if !plan.chaos.is_empty() => plan.cycles,
        Some(cycle) => cycle.saturating_add(1).saturating_mul(threads),
        None => completed.max(threads),
    };
    flag("-n", Some(cycles.to_string().as_bytes()));
    flag("--warmup", Some(b"0"));
    if plan.threads > 1 {
        flag("-t", Some(plan.threads.to_string().as_bytes()));
    }
    if plan.share_path {
        flag("--share-path", None);
    }
    if plan.mode != Mode::default() {
        flag("--mode", Some(plan.mode.name().as_bytes()));
    }
    if plan.call_from != CallFrom::default() {
        flag("--call-from", Some(plan.call_from.name().as_bytes()));
    }
    if plan.flags != super::flags::OpenFlags::default() {
        flag("--flags", Some(plan.flags.to_string().as_bytes()));
    }
    for (name, value) in &plan.env {
        flag("--env", Some(format!("{name}={value}").as_bytes()));
    }
    if plan.stall_timeout != DEFAULT_STALL_TIMEOUT {
        flag("--stall-timeout", Some(format!("{}ms", plan.stall_timeout.as_millis()).as_bytes()));
    }
    if outcome.kind == OutcomeKind::Limit {
        let allowance = &plan.allowance;
        let timeout = allowance.timeout.map(|timeout| format!("{}ms", timeout.as_millis()));
        let given = [
            ("--timeout", timeout),
            ("--memory-limit", allowance.memory.map(|bytes| bytes.to_string())),
            ("--fd-limit", allowance.fds.map(|count| count.to_string())),
            ("--process-limit", allowance.processes.map(|count| count.to_string())),
            ("--output-limit", allowance.output.map(|bytes| bytes.to_string())),
        ];
        for (name, value) in given {
            if let Some(value) = value {
                flag(name, Some(value.as_bytes()));
            }
        }
    }
    for chaos in &plan.chaos {
        flag("--chaos", Some(chaos.to_string().as_bytes()));
    }
    if plan.sandbox {
        flag("--sandbox", None);
    }
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A path that no command takes for a flag.
fn as_operand(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    let path = if bytes.starts_with(b"-") { Path::new("./").join(path) } else { PathBuf::from(path) };
    path.as_os_str().as_bytes().to_vec()
}

/// A word as a shell takes it for exactly these bytes. What is not text, or would break the line, is written as
/// `$'..'`, which bash, zsh, ksh and POSIX since 2024 read.
#[must_use]
pub fn quoted(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    let text = std::str::from_utf8(word).ok().filter(|text| !text.chars().any(char::is_control));
    match text {
        Some(text) if !text.is_empty() && word.iter().all(plain) => text.to_owned(),
        Some(text) => format!("'{}'", text.replace('\'', "'\\''")),
        None => {
            let mut out = String::from("$'");
            for byte in word {
                match byte {
                    b'\\' | b'\'' => out.extend(['\\', char::from(*byte)]),
                    b'\n' => out.push_str("\\n"),
                    b'\t' => out.push_str("\\t"),
                    b' '..=b'~' => out.push(char::from(*byte)),
                    // Three digits: of hexadecimal ones some shells take more than two.
                    _ => out.push_str(&format!("\\{byte:03o}")),
                }
            }
            out.push('\'');
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::suite::plan::Plan;
    use crate::suite::settings::Settings;

    #[test]
    fn words_come_out_of_a_shell_as_they_went_in() {
        let words: [&[u8]; 12] = [
            b"",
            b"plain-1.0/x",
            b"two words",
            b"it's",
            b"a\nb",
            b"tab\tand 'quote' and \\",
            b"\xff\xfe1",
            b"$HOME `id` \"x\" !",
            "gr\u{fc}n \u{65e5}".as_bytes(),
            b"*?[a]~",
            b"\x01\x7f0",
            b"-",
        ];
        for word in words {
            let script = format!("printf %s {}", quoted(word));
            // Not every sh reads $'..' yet.
            let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(output.stdout, word, "{script}");
        }
    }

    #[test]
    fn all_that_was_asked_for_is_in_it() {
        let settings = Settings {
            call: Some(vec!["f(\"it's\", 2)".parse().unwrap()]),
            mode: Some(Mode::Copies),
            call_from: Some(CallFrom::Worker),
            threads: Some(3),
            cycles: Some(1000),
            warmup: Some(5),
            flags: Some("lazy,global".parse().unwrap()),
            env: [("A".to_owned(), "1 2".to_owned())].into(),
            stall_timeout: Some(std::time::Duration::from_millis(1500)),
            memory_limit: Some(1 << 20),
            ..Settings::default()
        };
        let path = PathBuf::from(OsStr::from_bytes(b"-x/li\xffb.so"));
        let plan = Plan::from_paths(&[path], &settings).unwrap();
        let plan = &plan.soaks[0];
        let crashed = Outcome { kind: OutcomeKind::Crashed, cycle: Some(11), ..Outcome::default() };
        assert_eq!(
            replay(plan, &crashed, 40),
            "dlsoak run $'./-x/li\\377b.so' -c 'f(\"it'\\''s\", 2)' -n 36 --warmup 0 -t 3 --mode copies \
             --call-from worker --flags lazy,global --env 'A=1 2' --stall-timeout 1500ms"
        );
        let mut disturbed = plan.clone();
        disturbed.chaos = vec!["stop".parse().unwrap()];
        disturbed.sandbox = true;
        let again = replay(&disturbed, &crashed, 40);
        assert!(again.contains(" -n 1000 ") && again.ends_with(" --chaos stop@5Hz --sandbox"), "{again}");
        let limit = Outcome { kind: OutcomeKind::Limit, ..Outcome::default() };
        let all = replay(plan, &limit, 40);
        assert!(all.contains("-n 40 ") && all.ends_with("--memory-limit 1048576"), "{all}");
    }
}
