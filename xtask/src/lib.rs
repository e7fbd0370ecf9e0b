//! What the repository's own commands share with its integration tests: the table of fixtures and what is true of
//! each, and how a record is held against that truth.

pub mod damaged;
pub mod fixtures;
pub mod hostile;
pub mod judge;
pub mod lacking;
pub mod mutants;
pub mod real_hosts;
pub mod record;
pub mod watched;
