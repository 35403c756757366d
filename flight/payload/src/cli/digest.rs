//! `passband digest` and `passband tlm`: how things are, in one screen each.

use passband_proto::dict::{Housekeeping, Packet};

use super::ask::{Argument, Options, next_argument, only_common, unknown_option};
use super::{Failure, bad_input, help, print};
use crate::adapters::clock::Clock;
use crate::command::{Request, tlm_text};
use crate::digest::{Facts, screen};

pub(super) fn digest(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let options = only_common(&mut parser)?;
    if options.help {
        return print(help::DIGEST);
    }
    let now_unix_ms = Clock::default().unix_ms();
    options.answer(&Request::Digest, |facts: &Facts| screen(facts, now_unix_ms))
}

pub(super) fn tlm(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let (mut options, mut channels) = (Options::default(), Vec::new());
    while let Some(argument) = next_argument(&mut parser, &mut options)? {
        match argument {
            Argument::Word(word) => channels.push(word),
            Argument::Option(name) => return Err(unknown_option(&name)),
        }
    }
    if options.help {
        return print(help::TLM);
    }
    if let Some(name) = channels.iter().find(|name| Housekeeping::DEF.field(name).is_none()) {
        return Err(bad_input(format!("there is no channel {name:?}; `passband tlm` lists them")));
    }
    let in_full = !channels.is_empty();
    options.answer(&Request::Tlm { channels }, |answer| tlm_text(answer, in_full))
}
