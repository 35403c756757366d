//! Whole-system tests that run the real binaries.
