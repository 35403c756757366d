//! The rig: runs the very flight binaries on boards, emulated or real.
fn main() {}
