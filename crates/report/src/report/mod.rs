//! The report: tables, figures and the list of runs, as Markdown and as a page.
//!
//! It is a function of the files below a folder and of the published rows it is given, and of
//! nothing else, not even the date: the same runs make the same report.

mod brief;
mod content;
mod markdown;
mod page;
mod rivals;
mod tables;
mod write;

pub use content::Report;
