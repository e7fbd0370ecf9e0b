//! What the README shows works as shown.

use std::path::Path;

use dlsoak::settings::Settings;
use dlsoak::suite::file::as_written;
use dlsoak::suite::plan::Plan;

fn readme() -> String {
    std::fs::read_to_string(xtask::fixtures::root().join("README.md")).unwrap()
}

#[test]
fn the_suite_file_is_one() {
    let text = readme();
    let suite = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let plan = Plan::from_suite(suite, Path::new("dlsoak.toml"), &Settings::default(), &as_written).unwrap();
    assert_eq!(plan.soaks.len(), 2);
    assert!(plan.soaks.iter().all(|s| s.cycles == 20_000 && s.limits.max_leak_rate.is_some()));
    assert!(plan.soaks[1].limits.allow_pinned.is_some());
}

#[test]
fn what_it_links_to_is_there() {
    for part in readme().split("](").skip(1) {
        let link = part.split(')').next().unwrap();
        let there = link.starts_with("http") || xtask::fixtures::root().join(link).exists();
        assert!(there, "README.md links to {link}");
    }
}

#[test]
fn the_flags_it_shows_exist() {
    let help: String = ["run", "watch"]
        .map(|verb| crate::support::dlsoak().args([verb, "--help"]).output().unwrap().stdout)
        .map(|help| String::from_utf8(help).unwrap())
        .concat();
    let text = readme();
    let flags: Vec<&str> =
        text.split_whitespace().filter(|w| !w.trim_matches('-').is_empty() && w.starts_with("--")).collect();
    let known = |flag: &str| help.contains(flag) || ["--path", "--to"].contains(&flag);
    assert!(flags.len() > 4);
    for flag in flags.iter().map(|f| f.trim_end_matches(['`', '.', ','])) {
        assert!(known(flag), "README.md shows {flag}");
    }
}
