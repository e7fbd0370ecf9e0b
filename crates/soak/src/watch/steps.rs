//! When a step of a watch begins and when it is over. A step is what `--do` runs, or only time that passes; it is over when the loader is
//! quiet, or when `--ready` says so.

use std::io::{Error, Result};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Pause between two attempts of `--ready`.
const READY_PAUSE: Duration = Duration::from_millis(100);

/// How the steps of a watch are made.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    /// From the beginning of one step to that of the next, at least.
    pub every: Duration,
    /// What a step does, for the shell.
    pub action: Option<String>,
    /// How long the loader must have been quiet.
    pub settle: Duration,
    /// What the shell runs until it exits with 0, instead of waiting for the loader to be quiet.
    pub ready: Option<String>,
}

/// Where a watch is in its steps.
#[derive(Debug)]
pub(super) struct Stepper {
    steps: Steps,
    state: State,
    /// When the step under way began.
    began: Instant,
}

#[derive(Debug)]
enum State {
    /// The action runs.
    Acting(Child),
    /// The action is over; the host does what it was told to.
    Settling { since: Instant },
    /// `--ready` runs, or is to run at this time.
    Asking { child: Option<Child>, next: Instant },
    /// Until the next step.
    Waiting,
}

/// What became of the step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stepped {
    /// It is under way.
    No,
    /// It is over: the host stands as still as it does.
    Over,
}

impl Stepper {
    /// The first step is the start of the host, which has no action.
    pub(super) fn new(steps: Steps, now: Instant) -> Self {
        let state = after_action(&steps, now);
        Self { steps, state, began: now }
    }

    /// Goes on. `quiet` is how long the loader has done nothing.
    ///
    /// # Errors
    /// When an action can't be run, or fails.
    pub(super) fn step(&mut self, host: i32, quiet: Duration, now: Instant) -> Result<Stepped> {
        match &mut self.state {
            State::Acting(child) => {
                if let Some(status) = child.try_wait()? {
                    if !status.success() {
                        let action = self.steps.action.as_deref().unwrap_or_default();
                        return Err(Error::other(format!("`{action}` of --do failed: {status}")));
                    }
                    self.state = after_action(&self.steps, now);
                }
            }
            State::Settling { since } => {
                if quiet.min(now.duration_since(*since)) >= self.steps.settle {
                    self.state = State::Waiting;
                    return Ok(Stepped::Over);
                }
            }
            State::Asking { child: Some(child), next } => {
                if let Some(status) = child.try_wait()? {
                    if status.success() {
                        self.state = State::Waiting;
                        return Ok(Stepped::Over);
                    }
                    *next = now + READY_PAUSE;
                    self.state = State::Asking { child: None, next: *next };
                }
            }
            State::Asking { child, next } => {
                if now >= *next {
                    let ready = self.steps.ready.as_deref().unwrap_or_default();
                    *child = Some(shell(ready, host)?);
                }
            }
            State::Waiting => {
                if now.duration_since(self.began) >= self.steps.every {
                    self.began = now;
                    self.state = match &self.steps.action {
                        Some(action) => State::Acting(shell(action, host)?),
                        None => after_action(&self.steps, now),
                    };
                }
            }
        }
        Ok(Stepped::No)
    }
}

impl Stepper {
    /// The command that runs.
    pub(super) fn child(&self) -> Option<&Child> {
        match &self.state {
            State::Acting(child) | State::Asking { child: Some(child), .. } => Some(child),
            _ => None,
        }
    }
}

/// What runs is of no use any more when the watch is over.
impl Drop for Stepper {
    fn drop(&mut self) {
        if let State::Acting(child) | State::Asking { child: Some(child), .. } = &mut self.state {
            // With all that it started.
            let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
            let _ = child.wait();
        }
    }
}

fn after_action(steps: &Steps, now: Instant) -> State {
    match &steps.ready {
        Some(_) => State::Asking { child: None, next: now },
        None => State::Settling { since: now },
    }
}

/// Starts a command, in a process group of its own, with the host's process in `$PID`.
fn shell(command: &str, host: i32) -> Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", command])
        .env("PID", host.to_string())
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| Error::other(format!("cannot run /bin/sh for `{command}`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps until one is over.
    fn over(stepper: &mut Stepper, quiet: Duration) {
        while stepper.step(1, quiet, Instant::now()).unwrap() == Stepped::No {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_step_is_over_when_the_loader_is_quiet() {
        let steps =
            Steps { settle: Duration::from_millis(2), action: Some("exit 0".into()), ..Steps::default() };
        let mut stepper = Stepper::new(steps, Instant::now());
        let later = Instant::now() + Duration::from_secs(1);
        assert_eq!(stepper.step(1, Duration::ZERO, later).unwrap(), Stepped::No);
        over(&mut stepper, Duration::from_secs(1));
        over(&mut stepper, Duration::from_secs(1));
    }

    #[test]
    fn a_step_is_over_when_the_host_is_ready() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ready");
        let ready = format!("test -e {} || {{ touch {}; exit 1; }}", file.display(), file.display());
        let mut stepper = Stepper::new(Steps { ready: Some(ready), ..Steps::default() }, Instant::now());
        over(&mut stepper, Duration::ZERO);
        assert!(file.exists());
    }

    #[test]
    fn an_action_that_fails_ends_the_watch() {
        let steps = Steps { action: Some("exit 3".into()), ..Steps::default() };
        let mut stepper = Stepper::new(steps, Instant::now());
        over(&mut stepper, Duration::ZERO);
        let error = loop {
            match stepper.step(1, Duration::ZERO, Instant::now()) {
                Ok(_) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("`exit 3` of --do failed"), "{error}");
    }
}
