//! `dlsoak completions` and `dlsoak man`: what a package installs beside the program, made from the one definition of
//! the command line.

use std::path::Path;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::print;
use crate::cli::{Cli, Global};
use crate::exit_code;
use crate::files::write_atomic;

/// Prints the completions of a shell.
///
/// # Errors
/// None; the signature is that of every verb.
pub fn completions(shell: Shell, _global: Global) -> anyhow::Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dlsoak", &mut text);
    print(&String::from_utf8_lossy(&text));
    Ok(exit_code::PASSED)
}

/// Prints the manual page of the program, or writes one for it and one for each verb into a directory.
///
/// # Errors
/// When a page can't be made or written.
pub fn man(out: Option<&Path>, _global: Global) -> anyhow::Result<u8> {
    let mut command = Cli::command();
    command.build();
    let Some(out) = out else {
        print(&String::from_utf8_lossy(&page(&command)?));
        return Ok(exit_code::PASSED);
    };
    std::fs::create_dir_all(out).with_context(|| format!("cannot create the directory {}", out.display()))?;
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help");
    let pages: Vec<(String, Vec<u8>)> = std::iter::once(Ok(("dlsoak".to_owned(), page(&command)?)))
        .chain(verbs.map(|verb| Ok((format!("dlsoak-{}", verb.get_name()), page(verb)?))))
        .collect::<anyhow::Result<_>>()?;
    for (name, text) in pages {
        let path = out.join(format!("{name}.1"));
        write_atomic(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
        print(&format!("{}\n", path.display()));
    }
    Ok(exit_code::PASSED)
}

/// One page in roff.
fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text).context("cannot render the manual page")?;
    Ok(text)
}
