//! What the store costs: the time that a start takes, and the bytes that are written for a frame.
//!
//! Runs the daemon's own duties, on a disk in memory where bytes are counted, and on this machine's where time is.
//! It never runs a daemon.

mod start;
mod wear;

pub use start::{Start, fill, kill, start};
pub use wear::{Wear, wear};
