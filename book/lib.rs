//! The book: every chapter, and the README, as documentation, so that each code block in them is compiled and run.

#[doc = include_str!("../README.md")]
pub mod readme {}
