//! Whatever a library does, the run goes on with the next one, says what happened, and leaves nothing behind.

use std::path::Path;

use xtask::fixtures::{Table, root};
use xtask::hostile;

#[test]
fn every_hostile_library_ends_as_it_is_made_to_and_the_run_goes_on() {
    let table = Table::load(&root()).unwrap();
    let fixtures = hostile::fixtures(&table);
    assert!(fixtures.len() > 50, "{}", fixtures.len());
    let scratch = tempfile::tempdir().unwrap();
    let dlsoak = Path::new(env!("CARGO_BIN_EXE_dlsoak"));
    let report = hostile::run(dlsoak, &root(), scratch.path(), &fixtures, &|_| {}).unwrap();
    let wrong: Vec<_> = report.soaks.iter().filter(|(_, _, differences)| !differences.is_empty()).collect();
    assert!(report.is_good(), "{wrong:#?}\n{:#?}", report.problems);
}
