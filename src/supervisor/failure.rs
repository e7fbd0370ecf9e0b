//! Why a worker's thread can't go on, in the words that the record will have: its own are a number, and what the loader said.

use nix::errno::Errno;

use crate::channel::Failure;

/// A failure with its number and what goes with it, as the worker wrote it down.
pub(super) fn words(failure: Failure, number: i32, said: &str) -> String {
    let error = Errno::from_raw(number).desc();
    match failure {
        // The loader's own words, which name the file and the reason.
        Failure::Open | Failure::Symbol | Failure::Close | Failure::Namespace => match said {
            "" => "the loader refused without a word".to_owned(),
            said => said.to_owned(),
        },
        Failure::Copy => {
            format!("no copy at {said}: {error}; set TMPDIR to a place that is writable and has room")
        }
        Failure::Thread => format!("no thread for a cycle: {error}"),
        Failure::Ended => {
            "the library ended the thread that called it (pthread_exit, pthread_cancel), and the handle stays open"
                .to_owned()
        }
        Failure::Driver => format!("the exercise returned {number}; 0 means that its cycle went well"),
        Failure::DriverOpen => format!("exercise: {said}"),
        Failure::Original => format!("cannot read {said}: {error}"),
        Failure::Tracer => {
            "tracing: the library that takes notes could not be preloaded (LD_PRELOAD)".to_owned()
        }
        Failure::Sandbox => format!(
            "--sandbox: nothing could be applied: the kernel has no Landlock, and a network namespace is not permitted \
             ({error}); run without it in a container or a virtual machine"
        ),
        Failure::Memory => format!("no memory for the worker's job: {error}"),
        Failure::Start => format!("cannot start a thread: {error}"),
    }
}
