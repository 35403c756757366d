//! `passband queue …`: what goes down, why, and what the operator does about it.

use lexopt::prelude::*;
use passband_proto::ids::Class;

use super::ask::{Argument, Options, next_argument, unknown_option};
use super::{Failure, bad_input, help, print};
use crate::command::{
    ActionAnswer, BundleName, DEFAULT_ROWS, LIST_LINES, MAX_ROWS, QueueAction, QueueAnswer, Request,
    action_text, queue_text,
};
use crate::queue::Explanation;

pub(super) fn queue(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let (mut options, mut words, mut limit) = (Options::default(), Vec::new(), None);
    let (mut tasking, mut class) = (None, None);
    while let Some(argument) = next_argument(&mut parser, &mut options)? {
        match argument {
            Argument::Word(word) => words.push(word),
            Argument::Option(name) => match name.as_str() {
                "limit" => limit = Some(parser.value()?.parse::<usize>()?),
                "tasking" => tasking = Some(parser.value()?.string()?),
                "class" => class = Some(parser.value()?.parse::<Class>()?),
                other => return Err(unknown_option(other)),
            },
        }
    }
    if options.help {
        return print(help::QUEUE);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if limit.is_some_and(|limit| !(1..=MAX_ROWS).contains(&limit)) {
        return Err(bad_input(format!("--limit is 1 to {MAX_ROWS}")));
    }
    let is_retask = matches!(words.as_slice(), ["retask", _]);
    if (tasking.is_some() || class.is_some()) != is_retask {
        return Err(bad_input(
            "`retask ID` needs --tasking NAME or --class CLASS, and nothing else takes them",
        ));
    }
    let action = match words.as_slice() {
        [] => {
            // More rows than a screen has are of use to programs only.
            let shown = |limit: usize| if options.is_json() { limit } else { limit.min(LIST_LINES) };
            let request = Request::Queue { limit: Some(shown(limit.unwrap_or(DEFAULT_ROWS))) };
            return options.answer(&request, |answer: &QueueAnswer| queue_text(answer));
        }
        ["explain", id] => {
            let request = Request::QueueExplain { id: named(id)? };
            return options.answer(&request, Explanation::to_text);
        }
        ["promote", _] => QueueAction::Promote,
        ["demote", _] => QueueAction::Demote,
        ["hold", _] => QueueAction::Hold,
        ["release", _] => QueueAction::Release,
        ["drop", _] => QueueAction::Drop,
        ["retask", _] => QueueAction::Retask { tasking, class },
        _ => return Err(bad_input("`passband queue --help` lists what it takes")),
    };
    let id = named(words.last().copied().unwrap_or_default())?;
    options.answer(&Request::QueueAct { id, action }, |answer: &ActionAnswer| action_text(answer))
}

/// A bundle that can be called so.
fn named(word: &str) -> Result<BundleName, Failure> {
    let name = BundleName(word.to_owned());
    name.check().map_err(bad_input)?;
    Ok(name)
}
