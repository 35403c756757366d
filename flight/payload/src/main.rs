//! `passband`: the payload daemon and the operator's commands.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    passband_flight::cli::main(std::env::args_os().skip(1))
}
