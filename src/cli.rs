//! The command line: clap definitions and the way from them to a verb. Nothing is done here.

mod judge;
mod machine;
mod soaks;
mod verify;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::exit_code;
use crate::settings::{Increase, LeakRate, quoted};

pub use judge::JudgeArgs;
use machine::{DOCTOR_HELP, EXPLAIN_HELP, INIT_HELP, INSPECT_HELP};
pub use machine::{DoctorArgs, ExplainArgs, InitArgs, InspectArgs};
use soaks::TRACED_HELP;
pub use soaks::{MessageFormat, RunArgs, TraceArgs};
use verify::CYCLES_HELP;
pub use verify::VerifyArgs;
use watch::WATCH_HELP;
pub use watch::{ExitCodeOf, WatchArgs};

const HELP: &str = "Examples:
  dlsoak run ./libplugin.so --until-decided
  dlsoak trace ./libplugin.so -c 'process(20)'
  dlsoak inspect ./libplugin.so
  dlsoak report record.json --to markdown

Exit codes: 0 all passed, 1 at least one failed, 2 wrong usage or an error in dlsoak itself, 3 none failed but at least \
one is undecided, 130 interrupted.";

const RUN_HELP: &str = "Examples:
  dlsoak run ./libplugin.so
  dlsoak run ./libplugin.so -c 'process(20)' --until-decided --trace-on-leak
  dlsoak run build/plugins --exclude '*-test.so' --jobs 2
  dlsoak run ./libplugin.so --threads 4 --max-leak-rate 16B/cycle --out soak
  dlsoak run dlsoak.toml --jobs 4 --save-baseline main
  dlsoak run dlsoak.toml --out soak --resume --summary

Exit codes: 0 all passed, 1 at least one failed, 2 wrong usage or an error in dlsoak itself, 3 none failed but at least \
one is undecided, 130 interrupted.";

const RUN_SHORT_HELP: &str = "See all options and examples with `dlsoak run --help`.";

const TRACE_HELP: &str = "Examples:
  dlsoak trace ./libplugin.so
  dlsoak trace ./libplugin.so -c 'process(20)' -n 10k
  dlsoak trace ./libplugin.so --exercise ./driver.so:one_cycle --out leak

Exit codes: 0 nothing grows, 1 something grows, 2 wrong usage or an error in dlsoak itself, 3 undecided: the soak ended \
early, and nothing had grown by then, 130 interrupted.";

const REPORT_HELP: &str = "Examples:
  dlsoak report soak/record.json --to text --summary
  dlsoak report soak/record.json --to markdown
  dlsoak report soak/record.json --to junit --out results

Exit codes: 0 the report was written, 2 wrong usage, or a file that dlsoak can't read or write.";

const COMPLETIONS_HELP: &str = "Examples:
  dlsoak completions bash > ~/.local/share/bash-completion/completions/dlsoak
  dlsoak completions fish > ~/.config/fish/completions/dlsoak.fish
  dlsoak completions zsh > _dlsoak";

const MAN_HELP: &str = "Examples:
  dlsoak man > dlsoak.1
  dlsoak man --out man1";

/// Load and unload shared libraries thousands of times, and report whether each is really unloaded, what each cycle
/// leaves behind, and whether your limits allow that
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110, after_help = HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Choose when to use colours
    #[arg(long, global = true, hide_short_help = true, display_order = 1000, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
    /// Print the result only, without progress
    #[arg(short, long, global = true, hide_short_help = true, display_order = 1000)]
    pub quiet: bool,
    /// Print more detail; repeatable
    #[arg(short, long, global = true, hide_short_help = true, display_order = 1000, action = ArgAction::Count)]
    pub verbose: u8,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Soak libraries, or the suite in dlsoak.toml, and judge them.
    ///
    /// Loading a library executes its code, so soak only libraries that you would run.
    #[command(after_help = RUN_SHORT_HELP, after_long_help = RUN_HELP, mut_args = soaks::grouped)]
    Run(Box<RunArgs>),
    /// Write a dlsoak.toml with comments for the libraries that are found here.
    ///
    /// dlsoak reads the libraries without executing them.
    #[command(after_help = INIT_HELP)]
    Init(InitArgs),
    /// Read the files of libraries and predict whether each unloads and whether it loads here.
    ///
    /// dlsoak reads each library and the libraries that it needs, without executing them.
    #[command(after_help = INSPECT_HELP)]
    Inspect(InspectArgs),
    /// Name the function and line of each leak, even after the library is unloaded.
    ///
    /// dlsoak soaks the library briefly, then once more while it records every resource that the library obtains. Loading
    /// a library executes its code, so trace only libraries that you would run.
    #[command(after_help = TRACE_HELP, mut_arg("cycles", |arg| arg.help(TRACED_HELP)))]
    Trace(Box<TraceArgs>),
    /// Run the same cycles under other leak detectors (valgrind, LeakSanitizer, Go's gctrace, /proc) and compare the results.
    ///
    /// dlsoak skips instruments that are not installed. Loading a library executes its code, so verify only libraries that
    /// you would run.
    #[command(mut_arg("cycles", |arg| arg.help(CYCLES_HELP)), after_help = "Examples:
  dlsoak verify ./libplugin.so
  dlsoak verify ./libplugin.so -c 'fibonacci(20)' -n 100k
  dlsoak verify ./libplugin.so --memcheck-cycles 2k --instrument-timeout 10m
  dlsoak verify ./libplugin.so --json -o found/

Exit codes: 0 nothing grows, 1 something grows or the library ended the soak, 2 wrong usage or an error in dlsoak \
itself, 3 undecided, because instruments disagree or the soak is inconclusive, 130 interrupted.")]
    Verify(Box<VerifyArgs>),
    /// Start a host that loads its own libraries, and report which of them leak with each load and which are never unloaded.
    ///
    /// dlsoak neither stops nor traces the host. It reads what the host's loader and allocator report.
    #[command(after_help = WATCH_HELP)]
    Watch(Box<WatchArgs>),
    /// Judge a saved record again, with other limits.
    #[command(
        after_help = "Examples:\n  dlsoak judge record.json --max-leak-rate 64B/cycle\n  dlsoak judge record.json --allow-pinned \
        --allow-residue fds\n  dlsoak judge old.json -o judged.json\n\nThe exit codes are those of `dlsoak run`."
    )]
    Judge(JudgeArgs),
    /// Write a report from a saved record.
    #[command(after_help = REPORT_HELP)]
    Report(ReportArgs),
    /// Compare saved runs and report what changed from the first to each of the others, beyond noise.
    #[command(after_help = "Examples:
  dlsoak compare old/record.json new/record.json
  dlsoak compare old/record.json new/record.json --max-leak-increase 8B/cycle --max-p99-increase 20%
  dlsoak compare old/record.json new/record.json -o compared/
  dlsoak compare old/record.json new/record.json --json

Exit codes: 0 passed, or no limit was set, 1 a limit is exceeded, 2 wrong usage or an error in dlsoak itself, 3 no \
limit is exceeded but at least one is undecided.")]
    Compare(CompareArgs),
    /// Merge the records of a suite's parts, or of several machines, into one.
    #[command(after_help = "Examples:
  dlsoak merge part1.json part2.json -o record.json
  dlsoak merge go1.26=a/record.json go1.27=b/record.json -o record.json
  dlsoak merge records/*/record.json -o record.json

Several records of one part are attempts, of which each soak is taken that came to its end.
The exit codes are those of `dlsoak run` for the merged record. 2 also means that the records do not belong together.")]
    Merge(MergeArgs),
    /// Check whether this machine can build, load and soak libraries, and suggest a fix for whatever is missing.
    ///
    /// With a library, dlsoak also checks whether it loads here. It reads the file and does not execute it.
    #[command(after_help = DOCTOR_HELP)]
    Doctor(DoctorArgs),
    /// Find linker, loader, cgo and dlopen errors in a build log, explain each for this machine, and suggest a fix.
    ///
    /// With the code of a finding, for example leak-heap, dlsoak explains that finding instead.
    #[command(after_help = EXPLAIN_HELP)]
    Explain(ExplainArgs),
    /// Print a completion script for a shell.
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// Print the script for this shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    #[command(hide = true, after_help = MAN_HELP)]
    Man {
        /// Write a page for the program and one for each verb to DIR [default: the program's page, to stdout]
        #[arg(short, long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// Arguments of `dlsoak report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Read this record.json
    pub record: PathBuf,
    /// Write the report in this format
    #[arg(long, value_enum)]
    pub to: ReportFormat,
    /// Print one line for each library and one for the run, with --to text [default: the table and the reasons]
    #[arg(long)]
    pub summary: bool,
    /// Write the files to DIR [default: the directory of the record]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Arguments of `dlsoak compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Compare the first of these records or baselines with each of the others
    #[arg(value_name = "RECORD", num_args = 2.., required = true)]
    pub records: Vec<PathBuf>,
    /// Print the comparison as JSON [default: text]
    #[arg(long)]
    pub json: bool,
    /// Write charts, compare.md and compare.json to DIR [default: print the result only]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Pass memory that grows by up to RATE more than in the first record, for example 8B/cycle [default: no limit]
    #[arg(long, value_name = "RATE")]
    pub max_leak_increase: Option<LeakRate>,
    /// Pass a 99th percentile of open, call or close that is up to PERCENT longer than in the first record, for example 20%
    /// [default: no limit]
    #[arg(long, value_name = "PERCENT")]
    pub max_p99_increase: Option<Increase>,
}

/// Arguments of `dlsoak merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Merge these records; LABEL=FILE prefixes the names of a record's soaks with LABEL
    #[arg(value_name = "PART", required = true)]
    pub parts: Vec<PathBuf>,
    /// Write the merged record to this file
    #[arg(short, long, value_name = "RECORD")]
    pub out: PathBuf,
}

/// Formats that a record can be turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Print the table to stdout
    Text,
    /// Write report.html, one file that holds everything
    Html,
    /// Write latency.svg, loads.svg and memory.svg
    Svg,
    /// Write latency.png, loads.png and memory.png
    Png,
    /// Write report.md, for a step summary or a comment
    Markdown,
    /// Write junit.xml, with one test case for each library
    Junit,
    /// Write dlsoak.sarif, for code scanning
    Sarif,
    /// Write bencher.json, with growth, latencies and loads for continuous benchmarking
    Bencher,
    /// Write checkpoints.csv, with every checkpoint of every library
    Csv,
    /// Write LIBRARY.PHASE.hgrm, the percentile distributions of HdrHistogram
    Hgrm,
    /// Write latency.hlog, an interval log of HdrHistogram
    Hlog,
    /// Write costs.md, costs.svg and costs.png, the cost of reopening, of copies and of calls by library and settings
    Costs,
}

/// The options that every verb takes.
#[derive(Debug, Clone, Copy)]
pub struct Global {
    /// Colours on stdout.
    pub color: bool,
    /// No progress.
    pub quiet: bool,
    /// More detail.
    pub verbose: u8,
}

/// Parses the command line and carries it out.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit_code::code(commands::usage(&advised(error))),
    };
    let global = Global { color: color(cli.color), quiet: cli.quiet, verbose: cli.verbose };
    let result = match cli.command {
        Command::Run(args) => commands::run::run(&args, global),
        Command::Init(args) => commands::init::init(&args, global),
        Command::Inspect(args) => commands::inspect::inspect(&args, global),
        Command::Trace(args) => commands::trace::trace(&args, global),
        Command::Verify(args) => commands::verify::verify(&args, global),
        Command::Watch(args) => commands::watch::watch(&args, global),
        Command::Judge(args) => commands::judge::judge(&args, global),
        Command::Report(args) => commands::report::report(&args, global),
        Command::Compare(args) => commands::compare::compare(&args, global),
        Command::Merge(args) => commands::merge::merge(&args, global),
        Command::Doctor(args) => commands::doctor::doctor(&args, global),
        Command::Explain(args) => commands::explain::explain(&args, global),
        Command::Completions { shell } => commands::completions::completions(shell, global),
        Command::Man { out } => commands::completions::man(out.as_deref(), global),
    };
    // Last, because what a verb writes to files is worth more than what it prints.
    let result = result.and_then(|code| commands::printed(None).map(|()| code));
    exit_code::code(result.unwrap_or_else(|error| commands::complain(&error)))
}

/// The error with the tip that helps, where clap has another one or none.
fn advised(mut error: clap::Error) -> clap::Error {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::StyledStr(text)) => text.to_string(),
        _ => String::new(),
    };
    let verb = context(ContextKind::InvalidSubcommand);
    let argument = context(ContextKind::InvalidArg);
    let tip = match error.kind() {
        ErrorKind::InvalidSubcommand if verb.contains(".so") || Path::new(&verb).exists() => {
            format!("to soak a library, write: dlsoak run {}", quoted(verb.as_bytes()))
        }
        ErrorKind::UnknownArgument
            if ["--json", "--format"].contains(&argument.as_str())
                && context(ContextKind::Usage).contains(" run ") =>
        {
            "to print JSON, write: --message-format json".to_owned()
        }
        ErrorKind::UnknownArgument
            if argument
                .strip_prefix('-')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) =>
        {
            "no option takes a negative number; write it without the minus sign".to_owned()
        }
        _ => return error,
    };
    error.remove(ContextKind::SuggestedArg);
    error.remove(ContextKind::SuggestedSubcommand);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

fn color(choice: ColorChoice) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        // NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM=dumb count.
        ColorChoice::Auto => console::colors_enabled(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_short_help_of_run_fits_on_a_screen_and_the_long_one_has_all_in_groups() {
        let mut all = Cli::command().term_width(80);
        all.build();
        let run = all.find_subcommand_mut("run").unwrap();
        let short = run.render_help().to_string();
        // One of the 24 lines is for the prompt.
        assert!(short.lines().count() <= 23 && short.lines().all(|line| line.len() <= 80), "{short}");
        let long = run.render_long_help().to_string();
        let groups: Vec<&str> =
            long.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
        assert_eq!(
            groups,
            ["Options:", "Load:", "Call:", "Host:", "Limits:", "Gate:", "Output:", "Examples:"],
            "{long}"
        );
        let outside = run.get_arguments().filter(|argument| argument.get_help_heading().is_none());
        let mut outside: Vec<&str> = outside.map(|argument| argument.get_id().as_str()).collect();
        outside.sort_unstable();
        assert_eq!(outside, ["color", "help", "quiet", "verbose"]);
        let options = short.lines().filter(|line| line.starts_with("  "));
        let names = options.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
        for of_short in names {
            assert!(long.contains(of_short), "{of_short}");
        }
    }

    #[test]
    fn a_wrong_command_line_gets_the_tip_that_helps() {
        for (words, tip) in [
            (&["libok.so"][..], "to soak a library, write: dlsoak run libok.so"),
            (&["./a b.so"], "to soak a library, write: dlsoak run './a b.so'"),
            (&["run", "--json", "a.so"], "to print JSON, write: --message-format json"),
            (&["run", "a.so", "--format", "json"], "to print JSON, write: --message-format json"),
            (
                &["run", "a.so", "-n", "-5"],
                "no option takes a negative number; write it without the minus sign",
            ),
            (&["verfy", "a.so"], "a similar subcommand exists: 'verify'"),
        ] {
            let line = std::iter::once("dlsoak").chain(words.iter().copied());
            let error = advised(Cli::try_parse_from(line).unwrap_err()).to_string();
            let tips: Vec<&str> =
                error.lines().filter_map(|line| line.trim().strip_prefix("tip: ")).collect();
            assert_eq!(tips, [tip], "{words:?}: {error}");
        }
        let error = Cli::try_parse_from(["dlsoak", "run", "a.so", "-n", "1e6"]).unwrap_err().to_string();
        assert!(error.contains("an exponent is not accepted: write 1M for 1e6"), "{error}");
    }

    #[test]
    fn the_examples_in_the_help_texts_are_valid_commands() {
        let program = Cli::command();
        let mut count = 0;
        for verb in program.get_subcommands().chain([&program]) {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            for example in help.lines().filter_map(|line| line.strip_prefix("  dlsoak ")) {
                let command = example.split(" > ").next().and_then(|c| c.split(" | ").next()).unwrap();
                // What stands between quotes is one word.
                let words = command.split('\'').enumerate().flat_map(|(index, part)| match index % 2 {
                    0 => part.split_whitespace().collect(),
                    _ => vec![part],
                });
                let parsed = Cli::try_parse_from(std::iter::once("dlsoak").chain(words));
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
                count += 1;
            }
        }
        assert!(count > 10, "{count} examples");
    }
}
