//! All that dlsoak says to people: sentences, tables, pages, charts and exports.
//!
//! **Invariant:** every sentence of dlsoak is made here, from typed facts, by pure functions. Nothing here measures, decides, reads or
//! writes files, or prints.

// What only files need is left unused where no files are made.
#![cfg_attr(not(feature = "files"), allow(dead_code, unused_imports))]

mod advice;
#[cfg(feature = "files")]
mod ages;
pub mod annotations;
#[cfg(feature = "files")]
mod bencher;
pub mod built;
mod cells;
#[cfg(feature = "files")]
pub mod chart;
pub mod checkup;
#[cfg(feature = "files")]
pub mod comparison;
#[cfg(feature = "files")]
mod costs;
#[cfg(feature = "files")]
mod csv;
pub mod explanation;
#[cfg(feature = "files")]
mod format;
mod groups;
#[cfg(feature = "files")]
mod hgrm;
#[cfg(feature = "files")]
mod histogram;
#[cfg(feature = "files")]
mod hlog;
#[cfg(feature = "files")]
mod html;
pub mod inspection;
pub mod json;
#[cfg(feature = "files")]
mod junit;
#[cfg(feature = "files")]
mod loads;
#[cfg(feature = "files")]
mod markdown;
mod page;
mod place;
#[cfg(feature = "files")]
mod sarif;
pub mod summary;
pub mod template;
pub mod terminal;
#[cfg(feature = "files")]
pub mod trace;
pub mod verification;
#[cfg(feature = "files")]
pub mod watch;
pub mod words;

pub use advice::Advice;
pub use dlsoak_record::units;
#[cfg(feature = "files")]
pub use format::{Format, Rendered, render};
pub use page::page;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A chart could not be drawn or turned into pixels.
    #[error("cannot draw the chart: {0}")]
    Chart(String),
    /// A file of another program's format could not be put together.
    #[error("cannot write the export: {0}")]
    Export(String),
    /// The page could not be put together.
    #[error("cannot make the page: {0}")]
    Page(String),
    /// The record could not be written as JSON.
    #[error("cannot write the record as JSON: {0}")]
    Json(#[from] serde_json::Error),
}
