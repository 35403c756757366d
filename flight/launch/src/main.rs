//! The tiny slot launcher that almost never changes.
fn main() {}
