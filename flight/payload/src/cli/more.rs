//! Questions about parameters, plans, scripts, the update and the log; and files that are taken on board.

use std::fs;
use std::path::PathBuf;

use lexopt::prelude::*;
use passband_proto::dict::{PARAMETERS, UploadKind};

use super::ask::{Argument, Options, next_argument, unknown_option};
use super::{Failure, bad_input, help, print};
use crate::command::{
    AgendaAnswer, LoadAnswer, LogsAnswer, MAX_AGENDA, MAX_LINES, Request, ScriptsAnswer, UpdateAnswer,
    agenda_text, check_name, logs_text, scripts_text, update_text,
};
use crate::parameters::Summary;

pub(super) fn params(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let (mut options, mut prefix) = (Options::default(), None);
    while let Some(argument) = next_argument(&mut parser, &mut options)? {
        match argument {
            Argument::Word(word) if prefix.is_none() => prefix = Some(word),
            Argument::Word(word) => {
                return Err(bad_input(format!("{word:?} is too much: one name or its beginning")));
            }
            Argument::Option(name) => return Err(unknown_option(&name)),
        }
    }
    if options.help {
        return print(help::PARAMS);
    }
    if let Some(prefix) = &prefix
        && !PARAMETERS.iter().any(|def| def.id.name().starts_with(prefix.as_str()))
    {
        return Err(bad_input(format!("no parameter begins with {prefix:?}; `passband params` shows all")));
    }
    options.answer(&Request::Params { prefix }, |answer: &Summary| answer.text())
}

pub(super) fn agenda(parser: lexopt::Parser) -> Result<(), Failure> {
    let (options, limit) = limited(parser, MAX_AGENDA)?;
    if options.help {
        return print(help::AGENDA);
    }
    options.answer(&Request::Agenda { limit }, |answer: &AgendaAnswer| agenda_text(answer))
}

pub(super) fn logs(parser: lexopt::Parser) -> Result<(), Failure> {
    let (options, limit) = limited(parser, MAX_LINES)?;
    if options.help {
        return print(help::LOGS);
    }
    options.answer(&Request::Logs { limit }, |answer: &LogsAnswer| logs_text(answer))
}

pub(super) fn scripts(parser: lexopt::Parser) -> Result<(), Failure> {
    let (options, words) = plain(parser)?;
    if options.help {
        return print(help::SCRIPT);
    }
    if let Some(word) = words.first() {
        return Err(bad_input(format!("`passband script {word}`: it is run, stop or remove")));
    }
    options.answer(&Request::Scripts, |answer: &ScriptsAnswer| scripts_text(answer))
}

pub(super) fn update(parser: lexopt::Parser) -> Result<(), Failure> {
    let (options, words) = plain(parser)?;
    if options.help {
        return print(help::UPDATE);
    }
    match words.as_slice() {
        [] => {}
        [status] if status == "status" => {}
        [status, other, ..] if status == "status" => {
            return Err(bad_input(format!("{other:?} is too much")));
        }
        [other, ..] => {
            return Err(bad_input(format!(
                "`passband update {other}`: it is status, start, try, confirm, back or abort"
            )));
        }
    }
    options.answer(&Request::Update, |answer: &UpdateAnswer| update_text(answer))
}

/// `passband load plan|script|file FILE [--name NAME]`.
pub(super) fn load(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let (mut options, mut words, mut name) = (Options::default(), Vec::new(), None);
    while let Some(argument) = next_argument(&mut parser, &mut options)? {
        match argument {
            Argument::Word(word) => words.push(word),
            Argument::Option(option) if option == "name" => name = Some(parser.value()?.string()?),
            Argument::Option(option) => return Err(unknown_option(&option)),
        }
    }
    if options.help {
        return print(help::LOAD);
    }
    let [kind, file] = words.as_slice() else {
        return Err(bad_input("`passband load` needs a kind (plan, script or file) and FILE"));
    };
    let sort = UploadKind::from_name(kind).filter(|sort| *sort != UploadKind::Image);
    let sort = sort.ok_or_else(|| bad_input(format!("{kind:?} is no kind of file: plan, script or file")))?;
    let path = fs::canonicalize(file).map_err(|e| bad_input(format!("{file}: {e}")))?;
    let stem = |path: &PathBuf| {
        if kind == "file" { path.file_name() } else { path.file_stem() }.map(ToOwned::to_owned)
    };
    let name = name.or_else(|| stem(&path).and_then(|name| name.into_string().ok()));
    let name = name.ok_or_else(|| bad_input(format!("{file}: say --name")))?;
    check_name(sort, &name).map_err(|e| bad_input(format!("{e}; --name gives it another")))?;
    let path =
        path.into_os_string().into_string().map_err(|_| bad_input(format!("{file}: its path is no text")))?;
    let request = Request::Load { kind: kind.clone(), name, path };
    options.answer(&request, |answer: &LoadAnswer| format!("{}\n", answer.done))
}

/// Options and words of a question that has none of its own.
fn plain(mut parser: lexopt::Parser) -> Result<(Options, Vec<String>), Failure> {
    let (mut options, mut words) = (Options::default(), Vec::new());
    while let Some(argument) = next_argument(&mut parser, &mut options)? {
        match argument {
            Argument::Word(word) => words.push(word),
            Argument::Option(name) => return Err(unknown_option(&name)),
        }
    }
    Ok((options, words))
}

/// Options of a question with `--limit`.
fn limited(mut parser: lexopt::Parser, most: usize) -> Result<(Options, Option<usize>), Failure> {
    let (mut options, mut limit) = (Options::default(), None);
    while let Some(argument) = next_argument(&mut parser, &mut options)? {
        match argument {
            Argument::Option(name) if name == "limit" => limit = Some(parser.value()?.parse::<usize>()?),
            Argument::Option(name) => return Err(unknown_option(&name)),
            Argument::Word(word) => return Err(bad_input(format!("{word:?} is too much"))),
        }
    }
    if limit.is_some_and(|limit| !(1..=most).contains(&limit)) {
        return Err(bad_input(format!("--limit is 1 to {most}")));
    }
    Ok((options, limit))
}
