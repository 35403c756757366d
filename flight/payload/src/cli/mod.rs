//! The command line of `passband`.
//!
//! Exit status: 0 done, 1 not done, 2 bad usage or input. What was answered from the last saved state, as the daemon
//! isn't running, is not done.

mod ask;
mod digest;
mod frame;
mod help;
mod kept;
mod more;
mod orders;
mod queue;
mod verdict;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;
use sha2::{Digest, Sha256};

use crate::adapters::script::child;
use crate::adapters::{
    log,
    os::{read_text, start_anew},
    pass_files::check_passes,
};
use crate::config::{Config, MAX_CONFIG_BYTES};
use crate::daemon::{self, Ended};

/// Why a command ends with another status than 0.
#[derive(Debug)]
enum Failure {
    /// It was not done: 1.
    NotDone(String),
    /// It was not done, and what was printed says so: 1.
    Told,
    /// Bad usage or input: 2.
    BadInput(String),
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::BadInput(error.to_string())
    }
}

fn not_done(why: impl Display) -> Failure {
    Failure::NotDone(why.to_string())
}

fn bad_input(why: impl Display) -> Failure {
    Failure::BadInput(why.to_string())
}

/// Runs the command that the arguments, without the program's name, name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter().peekable();
    if args.next_if(|word| word == child::COMMAND).is_some() {
        return child::main(args);
    }
    match dispatch(lexopt::Parser::from_args(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::NotDone(why)) => fail(&why, 1),
        Err(Failure::Told) => ExitCode::FAILURE,
        Err(Failure::BadInput(why)) => fail(&why, 2),
    }
}

fn fail(why: &str, status: u8) -> ExitCode {
    // Where standard error is closed there is nobody to tell.
    let _told = writeln!(io::stderr(), "passband: {why}");
    ExitCode::from(status)
}

fn dispatch(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let command = match parser.next()? {
        None => return Err(bad_input("no command; `passband --help` lists them")),
        Some(Long("help") | Short('h')) => return print(help::MAIN),
        Some(Long("version") | Short('V')) => return print(&format!("passband {}\n", crate::version())),
        Some(Value(command)) => command.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    if let Some(done) = orders::try_order(&command, &mut parser)? {
        return Ok(done);
    }
    match command.as_str() {
        "run" => run(parser),
        "digest" => digest::digest(parser),
        "status" => ask::status(parser),
        "tlm" => digest::tlm(parser),
        "queue" => queue::queue(parser),
        "events" => ask::events(parser),
        "alerts" => ask::alerts(parser),
        "pass" => ask::pass(parser),
        "passes" => ask::passes(parser),
        "triage" => frame::triage(parser),
        "record" => verdict::record(parser),
        "check-config" => check_config(parser),
        "params" => more::params(parser),
        "agenda" | "plan" => more::agenda(parser),
        "script" => more::scripts(parser),
        "update" => more::update(parser),
        "logs" => more::logs(parser),
        "load" => more::load(parser),
        "orders" => ask::orders(parser),
        "keys" => ask::keys(parser),
        "completion" => orders::completion(parser),
        "help" => orders::help(parser),
        other => orders::group(other, parser),
    }
}

fn run(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let mut file = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("config") => file = Some(PathBuf::from(parser.value()?)),
            Long("help") | Short('h') => return print(help::RUN),
            other => return Err(other.unexpected().into()),
        }
    }
    let file = file.ok_or_else(|| bad_input("`passband run` needs --config FILE"))?;
    let text = read_config_text(&file)?;
    let config = Config::parse(&text, &file).map_err(bad_input)?;
    log::start(config.log.level).map_err(bad_input)?;
    match daemon::run(config, Some(Sha256::digest(&text).into())).map_err(not_done)? {
        // After a switch whoever starts the launcher starts it again.
        Ended::Signal | Ended::Switch => Ok(()),
        // Every file and lock of this run is let go by becoming a new one.
        Ended::Restart => Err(not_done(start_anew())),
    }
}

fn check_config(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let mut file = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Value(path) if file.is_none() => file = Some(PathBuf::from(path)),
            Long("help") | Short('h') => return print(help::CHECK_CONFIG),
            other => return Err(other.unexpected().into()),
        }
    }
    let file = file.ok_or_else(|| bad_input("`passband check-config` needs FILE"))?;
    let config = read_config(&file)?;
    daemon::target_for(&config).map_err(bad_input)?;
    daemon::calibration_for(&config).map_err(bad_input)?;
    let missing = check_passes(&config.passes).map_err(bad_input)?;
    let missing = missing.into_iter().map(|what| format!("{what}: `passband run` takes it once it is there"));
    for note in missing.chain(daemon::notes_on_keys(&config)) {
        print(&format!("note: {note}\n"))?;
    }
    print(&format!("{}: good\n", file.display()))
}

fn read_config(file: &Path) -> Result<Config, Failure> {
    Config::parse(&read_config_text(file)?, file).map_err(bad_input)
}

fn read_config_text(file: &Path) -> Result<String, Failure> {
    read_text(file, MAX_CONFIG_BYTES).map_err(|e| bad_input(format!("{}: {e}", file.display())))
}

/// Writes to standard output; a reader that has gone away is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(not_done(format!("writing the output: {e}"))),
        _ => Ok(()),
    }
}
