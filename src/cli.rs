//! The command line: clap definitions and the way from them to a verb. Nothing is done here.

mod machine;
mod soaks;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::exit_code;
use crate::report::terminal::color_allowed;

pub use machine::{DoctorArgs, ExplainArgs};
pub use soaks::{CycleArgs, MessageFormat, Patterns, RunArgs, TraceArgs};
pub use verify::VerifyArgs;

/// Soak-tests shared libraries: loads and unloads them many thousand times, and says whether they were really
/// unloaded, what each cycle leaves behind, and whether that may be merged.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110)]
#[command(
    after_help = "Exit codes: 0 all passed, 1 one or more did not pass, 2 usage or an error of dlsoak's \
    own, 3 none failed but one or more is undecided, 130 interrupted."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
    /// No progress; the result only.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More detail; may be given twice.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Soak libraries, or the suite in dlsoak.toml.
    ///
    /// Loading a library executes its code: soak only what you would run.
    Run(Box<RunArgs>),
    /// Say what a library's file tells, without loading it: will it unload, what does it need, will it load here.
    Inspect(InspectArgs),
    /// Say who leaks, by function and line, also when the library is gone by the time anyone asks.
    ///
    /// Soaks the library shortly, then once more while notes are taken of all that it obtains. Loading a library
    /// executes its code: trace only what you would run.
    #[command(
        after_help = "Exit codes: 0 nothing grows, 1 something grows, 2 usage or an error of dlsoak's own, 3 it \
        ended early and nothing grew until then, 130 interrupted."
    )]
    Trace(Box<TraceArgs>),
    /// Have other instruments look at the same library and cycles, and hold what they say together.
    ///
    /// valgrind, LeakSanitizer, Go's GODEBUG=gctrace=1 and /proc, as far as they are there. Loading a library executes its
    /// code: verify only what you would run.
    #[command(
        after_help = "Exit codes: 0 nothing grows, 1 something grows or the library ended the soak, 2 usage or an error of \
        dlsoak's own, 3 undecided: instruments contradict each other or the soak can't tell, 130 interrupted."
    )]
    Verify(Box<VerifyArgs>),
    /// Make a report from a saved record.
    Report(ReportArgs),
    /// Compare runs: what changed from the first record to each of the others, and what is only noise.
    Compare(CompareArgs),
    /// Join the records of a suite's parts, or of several machines, into one.
    Merge(MergeArgs),
    /// Say what this machine has for building, loading and soaking libraries, what it lacks, and the mend.
    ///
    /// With a library also whether it will load here. Nothing of it is executed.
    #[command(
        after_help = "Exit codes: 0 nothing fails, 1 something fails, 2 usage or an error of dlsoak's own. A warning \
        is no failure."
    )]
    Doctor(DoctorArgs),
    /// Find linker, loader, cgo and dlopen errors in a build log, and say what each means here and what mends it.
    #[command(
        after_help = "Exit codes: 0 no error that is known, 1 one or more, 2 usage, or the log can't be read. With -v \
        every error is told."
    )]
    Explain(ExplainArgs),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    #[command(hide = true)]
    Man {
        /// Write a page for the program and for each verb into this directory.
        #[arg(short, long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// Arguments of `dlsoak inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A shared library; nothing of it is executed. With -v all its exports are listed.
    #[arg(value_name = "LIB")]
    pub library: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `dlsoak report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A record.json.
    pub record: PathBuf,
    /// What to make.
    #[arg(long, value_enum)]
    pub to: ReportFormat,
    /// Directory for files [default: beside the record].
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Arguments of `dlsoak compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Records or baselines; the first is what the others are held against.
    #[arg(value_name = "RECORD", num_args = 2.., required = true)]
    pub records: Vec<PathBuf>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Write charts, compare.md and compare.json into this directory.
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Fail where memory grows by more than this beyond the first record, for example 8B/cycle.
    #[arg(long, value_name = "RATE")]
    pub max_leak_increase: Option<String>,
    /// Fail where the 99th percentile of open, call or close takes longer by more than this, for example 20%.
    #[arg(long, value_name = "PERCENT")]
    pub max_p99_increase: Option<String>,
}

/// Arguments of `dlsoak merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Records; LABEL=FILE puts a label before the names of its soaks.
    #[arg(value_name = "PART", required = true)]
    pub parts: Vec<PathBuf>,
    /// The record to write.
    #[arg(short, long, value_name = "RECORD")]
    pub out: PathBuf,
}

/// Formats that a record can be turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// The table, on stdout.
    Text,
    /// report.html: one file that holds everything.
    Html,
    /// latency.svg and memory.svg.
    Svg,
    /// latency.png and memory.png.
    Png,
    /// report.md, for a step summary or a comment.
    Markdown,
    /// junit.xml, a test case for each library.
    Junit,
    /// checkpoints.csv, every checkpoint of every library.
    Csv,
    /// LIBRARY.PHASE.hgrm, percentile distributions of HdrHistogram.
    Hgrm,
    /// latency.hlog, an interval log of HdrHistogram.
    Hlog,
    /// costs.md, costs.svg and costs.png: what reopening, copies and calls cost, by library and settings.
    Costs,
}

/// What every verb is told.
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
    let cli = Cli::parse();
    let global = Global { color: color(cli.color), quiet: cli.quiet, verbose: cli.verbose };
    let result = match cli.command {
        Command::Run(args) => commands::run::run(&args, global),
        Command::Inspect(args) => commands::inspect::inspect(&args, global),
        Command::Trace(args) => commands::trace::trace(&args, global),
        Command::Verify(args) => commands::verify::verify(&args, global),
        Command::Report(args) => commands::report::report(&args, global),
        Command::Compare(args) => commands::compare::compare(&args, global),
        Command::Merge(args) => commands::merge::merge(&args, global),
        Command::Doctor(args) => commands::doctor::doctor(&args, global),
        Command::Explain(args) => commands::explain::explain(&args, global),
        Command::Completions { shell } => commands::completions::completions(shell, global),
        Command::Man { out } => commands::completions::man(out.as_deref(), global),
    };
    exit_code::code(result.unwrap_or_else(|error| commands::complain(&error)))
}

fn color(choice: ColorChoice) -> bool {
    use std::io::IsTerminal as _;
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let no_color = std::env::var_os("NO_COLOR");
            let no_color = no_color.as_ref().map(|value| value.to_string_lossy());
            color_allowed(std::io::stdout().is_terminal(), no_color.as_deref())
        }
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
}
