//! The settings, each in one place: its help, its flag, its form in files, its type. From this list come the arguments of the command
//! line, the keys of a suite, the builder of a test, what a record says was asked for, and the documentation.

/// Passes the list of settings to a macro: first those of a soak, then those of its gate.
///
/// A setting is its help, `(arguments for clap)`, `(further attributes)`, its name and its type.
#[macro_export]
#[doc(hidden)]
macro_rules! each_setting {
    ($then:path) => { $then! {
        soak {
            /// Make this CALL in each cycle, for example 'fibonacci(20)' or 'h = create(44100)' 'run(h) == 0', with results that later
            /// calls use and checks (see docs/calls.md); repeatable [default: none]
            (short = 'c', long, value_name = "CALL") (serde(deserialize_with = "one_or_many")) call: Option<Vec<$crate::Call>>;
            /// Run your own code in each cycle: `int FN(void *handle)` in DRIVER.so, which returns 0 for success [default: none]
            (long, value_name = "DRIVER.so:FN") (serde()) exercise: Option<$crate::Exercise>;
            /// Make the life of a plugin's instances in each cycle, by the driver of its interface (see docs/drivers.md): none, a NAME such as
            /// ladspa, or auto, which knows the interface by the library's exports where nothing else is to be called [default: auto]
            (long, value_name = "auto|none|NAME") (serde()) r#as: Option<$crate::Driver>;
            /// Have N instances live at the same time in each cycle of a driver [default: 1]
            (long, value_name = "N") (serde()) instances: Option<$crate::quantity::Instances>;
            /// Have the host open LIB before the first cycle and keep it: a path, or a name that the loader searches for. LIB:link has the host
            /// link it, so that it is there before main, and deps links what the library needs (see docs/hosts.md); repeatable [default:
            /// none]
            (long, value_name = "LIB[:link]|deps") (serde(deserialize_with = "one_or_many")) hold: Option<Vec<$crate::Hold>>;
            /// Choose the kind of host: c, c++ (which links libstdc++), or auto, which is c++ for a library that needs libstdc++ [default:
            /// auto]
            (long, value_name = "KIND") (serde()) host_kind: Option<$crate::HostKind>;
            /// Choose the C library to soak on, glibc or musl, both of which a machine may have [default: the one that the library needs]
            (long, value_name = "LIBC") (serde()) libc: Option<$crate::Libc>;
            /// Make this CALL of a library that the host holds after the close of each cycle; repeatable [default: none]
            (long, value_name = "CALL") (serde(deserialize_with = "one_or_many")) after: Option<Vec<$crate::Call>>;
            /// Make this CALL once, before the first cycle, in the driver of --exercise or what the host has; its state is the host's, and
            /// its results are for each --call; repeatable [default: none]
            (long, value_name = "CALL") (serde(deserialize_with = "one_or_many")) setup: Option<Vec<$crate::Call>>;
            /// Soak as inside PROGRAM, a path or a name in PATH: link what it links, and stand in for what it exports (see docs/hosts.md)
            /// [default: none]
            (long, value_name = "PROGRAM") (serde()) host: Option<$crate::Program>;
            /// Soak all LIBs in one process: in each cycle one after the other, as a scanner of plugins does. A directory stands for the
            /// libraries in it; in a file, the libraries that follow `path` (see docs/together.md) [default: a process for each]
            (long, value_name = "LIB", num_args = 0..) (serde(deserialize_with = "one_or_many")) together: Option<Vec<$crate::Companion>>;
            /// Open the libraries of --together in this order: given, or shuffle, which is another one in each cycle. shuffle:SEED repeats
            /// those of an earlier soak [default: given]
            (long, value_name = "ORDER") (serde()) order: Option<$crate::Order>;
            /// Test hot reload: replace the library's file by OTHER.so, another build of it, before every second open, and put it back before
            /// the next one; both are copies, and your files stay as they are (see docs/hosts.md) [default: none]
            (long, value_name = "OTHER.so") (serde()) replace: Option<$crate::OtherBuild>;
            /// Choose what a cycle opens: reopen (the same path), copies (a new copy of the file) or namespace (the library in a new
            /// dlmopen namespace) [default: reopen]
            (long, value_name = "MODE") (serde()) mode: Option<$crate::Mode>;
            /// Choose the thread that runs a cycle: main, worker (a thread that lives on) or short-lived (a new thread for each
            /// cycle, which opens, calls, closes and ends) [default: main]
            (long, value_name = "THREAD") (serde()) call_from: Option<$crate::CallFrom>;
            /// Run the cycles on this many threads at the same time [default: 1]
            (short = 't', long, value_name = "N") (serde()) threads: Option<$crate::quantity::Threads>;
            /// Let all threads open the same path, instead of one copy of the file for each thread [default: false]
            (long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true) (serde())
            share_path: Option<bool>;
            /// Run this many cycles, counted over all threads, for example 20k [default: 100k, or no limit with --duration]
            (short = 'n', long, value_name = "N") (serde()) cycles: Option<$crate::quantity::Cycles>;
            /// End the soak after DURATION, for example 90m, even if cycles are left [default: none]
            (long, value_name = "DURATION") (serde()) duration: Option<$crate::quantity::Time>;
            /// Run this many cycles before the measurement begins [default: 500, at most a quarter of the number of cycles, and 32 with --until-decided on one thread]
            (long, value_name = "N") (serde()) warmup: Option<$crate::quantity::Warmup>;
            /// Stop as soon as the verdict is certain, and continue past --cycles while it is not [default: false]
            (long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true) (serde())
            until_decided: Option<bool>;
            /// Give up --until-decided after this many cycles [default: 8 times the cycles]
            (long, value_name = "N") (serde()) max_cycles: Option<$crate::quantity::Cycles>;
            /// Take this many checkpoints over the run [default: one per 8 cycles, at least 125, at most 200]
            (long, value_name = "N") (serde()) checkpoints: Option<$crate::quantity::Checkpoints>;
            /// Pass FLAGS to dlopen, a list of now or lazy, local or global, nodelete and deepbind [default: now,local]
            (long, value_name = "FLAGS") (serde()) flags: Option<$crate::OpenFlags>;
            /// Set the environment variable K to V in the measured process; repeatable [default: none]
            (long, value_name = "K=V") (serde(with = "env"), schemars(with = "Option<std::collections::BTreeMap<String, String>>")) env: Option<Vec<$crate::Variable>>;
            /// Choose the passes that may run: names, or names with + and - before them, which add to the usual passes and take away
            /// from them, for example +patterns (see docs/passes.md)
            /// [default: measure,recheck,diagnose,pointers,without-calls,other-host]
            (long, value_name = "LIST", allow_hyphen_values = true) (serde()) passes: Option<$crate::Passes>;
            /// Load the library this many times in the pass that looks for pointers into it, or 0 to leave the pass out; not more often
            /// than it was cycled (see docs/pointers.md) [default: 32, or as many as take 10 seconds]
            (long, value_name = "N") (serde()) pointers: Option<$crate::quantity::Loads>;
            /// Trace each library that leaks in an extra short soak, and name the function that leaks [default: false]
            (long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true) (serde())
            trace_on_leak: Option<bool>;
            /// Disturb the measured process while it cycles: signal:SIGUSR1@100Hz, stop, memory-pressure or cold-cache; repeatable
            /// [default: none]
            (long, value_name = "WHAT[@RATE]") (serde(deserialize_with = "one_or_many")) chaos: Option<Vec<$crate::Chaos>>;
            /// Prevent the measured process from writing files and from using the network; best-effort instead of true accepts what
            /// this kernel can't prevent (see docs/security.md) [default: false]
            (long, value_name = "true|best-effort", num_args = 0..=1, require_equals = true, default_missing_value = "true") (serde())
            sandbox: Option<$crate::Sandboxing>;
            /// Report the library as hung if no cycle finishes for this long [default: 10s]
            (long, value_name = "DURATION") (serde()) stall_timeout: Option<$crate::quantity::Time>;
            /// End the soak with the verdict `limit` if it takes longer than this, for example 10m, including the short soak without
            /// calls [default: none]
            (long, value_name = "DURATION") (serde()) timeout: Option<$crate::quantity::Time>;
            /// End the soak if the resident memory of the measured process exceeds this size, for example 2GiB [default: half of the
            /// available memory]
            (long, value_name = "SIZE") (serde()) memory_limit: Option<$crate::quantity::Size>;
            /// End the soak if the measured process has more than N descriptors open [default: half of what the machine has left, at
            /// most 1M]
            (long, value_name = "N") (serde()) fd_limit: Option<$crate::quantity::Count>;
            /// End the soak if the measured process and its descendants exceed N threads and processes in total [default: half of
            /// what the machine has left, at most 10k, of them 2k processes]
            (long, value_name = "N") (serde()) process_limit: Option<$crate::quantity::Count>;
            /// End the soak if the library writes more than this size to stdout and stderr together, or to any one file [default:
            /// 4GiB]
            (long, value_name = "SIZE") (serde()) output_limit: Option<$crate::quantity::Size>;
        }
        gate {
            /// Pass memory that grows by up to RATE, for example 16B/cycle or 0.03MB/s [default: fail on any proven growth]
            (long, value_name = "RATE") (serde()) max_leak_rate: Option<$crate::LeakRate>;
            /// Pass counts that grow by up to LIMITS, for example threads=0,fds=0,mappings=0.01/cycle [default: fail on any proven
            /// growth]
            (long, value_name = "LIMITS") (serde()) max_growth: Option<$crate::CountLimits>;
            /// Pass memory that grows by up to RATE more than in the baseline, for example 8B/cycle [default: no limit]
            (long, value_name = "RATE") (serde()) max_leak_increase: Option<$crate::LeakRate>;
            /// Pass a 99th percentile of open, call or close that is up to PERCENT longer than in the baseline, for example 20%
            /// [default: no limit]
            (long, value_name = "PERCENT") (serde()) max_p99_increase: Option<$crate::Increase>;
            /// Pass libraries that are not unloaded, for this REASON [default: fail on them]
            (long, value_name = "REASON", num_args = 0..=1, require_equals = true, default_missing_value = $crate::Reason::NONE) (serde())
            allow_pinned: Option<$crate::Reason>;
            /// Pass this KIND of residue, for example tls-keys; repeatable [default: none]
            (long, value_name = "KIND") (serde(deserialize_with = "one_or_many")) allow_residue: Option<Vec<$crate::ResidueKind>>;
            /// Choose whose faults fail the gate: all, or library, which passes what only a dependency does and what a host that keeps the
            /// dependency loaded does not see (see docs/hosts.md) [default: all]
            (long, value_name = "WHOSE") (serde()) blame: Option<$crate::Blame>;
            /// Pass pointers into what is unloaded that HOLDER keeps, or its SYMBOL alone, for this REASON; in a file, a table with the
            /// three (see docs/pointers.md); repeatable [default: none]
            (long, value_name = "HOLDER[:SYMBOL]=REASON") (serde(deserialize_with = "crate::allowed_pointer::one_or_many"))
            allow_pointer: Option<Vec<$crate::AllowedPointer>>;
        }
    } };
}
