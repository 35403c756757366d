//! The commands that ask the daemon.

use std::path::{Path, PathBuf};

use lexopt::prelude::*;
use passband_proto::dict::Order;
use serde::de::DeserializeOwned;

use super::kept::Kept;
use super::{Failure, bad_input, help, not_done, print, read_config};
use crate::adapters::client::{NoAnswer, ask};
use crate::adapters::os::spare_sockets;
use crate::command::{
    AlertsAnswer, KeysAnswer, MAX_ORDERS, OrdersAnswer, PassAnswer, PassesAnswer, Request, alert_text,
    alerts_text, events_text, keys_text, orders_text, pass_text, passes_text, status_text,
};
use crate::config::Config;
use crate::json;
use crate::passes::MAX_PASSES;
use crate::store::MAX_EVENTS_READ;
use crate::telemetry::Status;

/// The options that every question has.
#[derive(Default)]
pub(super) struct Options {
    json: bool,
    pub(super) help: bool,
    socket: Option<PathBuf>,
    config: Option<PathBuf>,
}

impl Options {
    /// Takes an option if it is one of these; gives back what isn't.
    fn take<'a>(
        &mut self,
        parser_value: impl FnOnce() -> Result<std::ffi::OsString, lexopt::Error>,
        arg: lexopt::Arg<'a>,
    ) -> Result<Option<lexopt::Arg<'a>>, lexopt::Error> {
        match arg {
            Long("json") => self.json = true,
            Long("help") | Short('h') => self.help = true,
            Long("socket") => self.socket = Some(parser_value()?.into()),
            Long("config") => self.config = Some(parser_value()?.into()),
            other => return Ok(Some(other)),
        }
        Ok(None)
    }

    /// Whether the answer is printed as it is.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Takes these options out of words, up to `--`.
    pub(super) fn split(words: Vec<String>) -> Result<(Self, Vec<String>), Failure> {
        let (mut options, mut rest) = (Self::default(), Vec::new());
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = |name: &str| {
                words.next().ok_or_else(|| bad_input(format!("{name} needs a value"))).map(PathBuf::from)
            };
            match word.as_str() {
                "--json" => options.json = true,
                "--help" | "-h" => options.help = true,
                "--socket" => options.socket = Some(value("--socket")?),
                "--config" => options.config = Some(value("--config")?),
                "--" => {
                    rest.push(word);
                    // What stands behind belongs to an order in an order, but for these at its end.
                    let (inner, behind) = Self::split(words.collect())?;
                    rest.extend(behind);
                    options.json |= inner.json;
                    options.socket = options.socket.or(inner.socket);
                    options.config = options.config.or(inner.config);
                    options.help |= inner.help;
                    break;
                }
                _ => rest.push(word),
            }
        }
        Ok((options, rest))
    }

    /// Where the daemon is to be found.
    fn place(&self) -> Result<Place, Failure> {
        let config = match (&self.socket, &self.config) {
            (Some(_), Some(_)) => return Err(bad_input("--socket and --config exclude each other")),
            (Some(socket), None) => {
                let state = socket.parent().map_or_else(PathBuf::new, PathBuf::from);
                return Ok(Place { socket: socket.clone(), spare: Vec::new(), state });
            }
            (None, Some(file)) => read_config(file)?,
            (None, None) => Config::parse("", std::path::Path::new("/")).map_err(not_done)?,
        };
        let spare = spare_sockets(&config.paths.socket, config.spacecraft);
        Ok(Place { socket: config.paths.socket, spare, state: config.paths.state })
    }

    /// Asks, and prints the answer as it is or for people; where the daemon is down, the one that was saved.
    pub(super) fn answer<T: DeserializeOwned>(
        &self,
        request: &Request,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let place = self.place()?;
        let line = match ask(&place.socket, &place.spare, request) {
            Ok(line) => line,
            Err(NoAnswer::Silence(why)) => return self.answer_kept(request, &place.state, why, text),
            Err(refusal) => return Err(not_done(refusal.why())),
        };
        if self.json {
            return print(&line);
        }
        let answer: T = json::read(line.as_bytes())
            .map_err(|e| not_done(format!("the daemon's answer is of another version: {e}")))?;
        print(&text(&answer))
    }

    /// Prints the answer that was saved.
    fn answer_kept<T: DeserializeOwned>(
        &self,
        request: &Request,
        state: &Path,
        silence: String,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let kept = match Kept::answer_to(request, state) {
            None => return Err(Failure::NotDone(silence)),
            Some(Err(why)) => return Err(not_done(format!("{silence}; {why}"))),
            Some(Ok(kept)) => kept,
        };
        if self.json {
            print(&kept.document())?;
        } else {
            let head = kept.head();
            let answer: T = json::shape(&kept.answer)
                .map_err(|e| not_done(format!("{silence}; what was saved is of another version: {e}")))?;
            print(&(head + &text(&answer)))?;
        }
        Err(Failure::Told)
    }
}

/// Where the daemon is to be found.
struct Place {
    socket: PathBuf,
    /// Where else it may listen.
    spare: Vec<PathBuf>,
    /// Where its last state is saved.
    state: PathBuf,
}

pub(super) fn status(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let options = only_common(&mut parser)?;
    if options.help {
        return print(help::STATUS);
    }
    options.answer(&Request::Status, |status: &Status| status_text(status))
}

pub(super) fn events(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let (mut options, mut since, mut limit) = (Options::default(), None, None);
    while let Some(name) = next_long(&mut parser, &mut options)? {
        match name.as_str() {
            "since" => since = Some(parser.value()?.parse::<u64>()?),
            "limit" => limit = Some(parser.value()?.parse::<usize>()?),
            other => return Err(unknown_option(other)),
        }
    }
    if options.help {
        return print(help::EVENTS);
    }
    if limit.is_some_and(|limit| !(1..=MAX_EVENTS_READ).contains(&limit)) {
        return Err(bad_input(format!("--limit is 1 to {MAX_EVENTS_READ}")));
    }
    let most_lines = (since.is_none() && limit.is_none()).then_some(2);
    options.answer(&Request::Events { since, limit }, |answer| events_text(answer, most_lines))
}

pub(super) fn alerts(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let (mut options, mut words) = (Options::default(), Vec::new());
    loop {
        match next_word(&mut parser, &mut options)? {
            Some(Word::Value(word)) => words.push(word),
            Some(Word::Long(name)) => return Err(unknown_option(&name)),
            None => break,
        }
    }
    if options.help {
        return print(help::ALERTS);
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let request = match words.as_slice() {
        [] => return options.answer(&Request::Alerts, |answer: &AlertsAnswer| alerts_text(answer)),
        ["ack", number] => Request::AlertsAck { number: alert_number(number)? },
        ["cancel", number] => Request::AlertsCancel { number: alert_number(number)? },
        ["ack" | "cancel", ..] => return Err(bad_input("the number of one alert is needed")),
        [other, ..] => return Err(bad_input(format!("`passband alerts {other}`: it is ack or cancel"))),
    };
    options.answer(&request, |answer: &AlertsAnswer| alert_text(answer))
}

pub(super) fn orders(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let (mut options, mut limit) = (Options::default(), None);
    while let Some(name) = next_long(&mut parser, &mut options)? {
        match name.as_str() {
            "limit" => limit = Some(parser.value()?.parse::<usize>()?),
            other => return Err(unknown_option(other)),
        }
    }
    if options.help {
        return print(help::ORDERS);
    }
    if limit.is_some_and(|limit| !(1..=MAX_ORDERS).contains(&limit)) {
        return Err(bad_input(format!("--limit is 1 to {MAX_ORDERS}")));
    }
    options.answer(&Request::Orders { limit }, |answer: &OrdersAnswer| orders_text(answer))
}

pub(super) fn keys(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let options = only_common(&mut parser)?;
    if options.help {
        return print(help::KEYS);
    }
    options.answer(&Request::Keys, |answer: &KeysAnswer| keys_text(answer))
}

fn alert_number(word: &str) -> Result<u32, Failure> {
    word.parse().map_err(|_| bad_input(format!("{word:?} is no number of an alert")))
}

pub(super) fn passes(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let (mut options, mut count) = (Options::default(), None);
    while let Some(name) = next_long(&mut parser, &mut options)? {
        match name.as_str() {
            "count" => count = Some(parser.value()?.parse::<usize>()?),
            other => return Err(unknown_option(other)),
        }
    }
    if options.help {
        return print(help::PASSES);
    }
    if count.is_some_and(|count| !(1..=MAX_PASSES).contains(&count)) {
        return Err(bad_input(format!("--count is 1 to {MAX_PASSES}")));
    }
    options.answer(&Request::Passes { count }, |answer: &PassesAnswer| passes_text(answer))
}

pub(super) fn pass(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let verb = match parser.next()? {
        Some(Value(verb)) => verb.string()?,
        Some(Long("help") | Short('h')) => return print(help::PASS),
        _ => return Err(bad_input("`passband pass` needs start or stop")),
    };
    let (mut options, mut seconds, mut rate) = (Options::default(), None, None);
    while let Some(argument) = next_argument(&mut parser, &mut options)? {
        match argument {
            Argument::Word(word) if verb == "start" && seconds.is_none() => seconds = Some(word),
            Argument::Word(word) => return Err(bad_input(format!("{word:?} is too much"))),
            Argument::Option(name) => match name.as_str() {
                "seconds" if verb == "start" => seconds = Some(parser.value()?.string()?),
                "rate" if verb == "start" => rate = Some(parser.value()?.string()?),
                other => return Err(unknown_option(other)),
            },
        }
    }
    if options.help {
        return print(help::PASS);
    }
    let text = |answer: &PassAnswer| pass_text(&answer.transmitter);
    match verb.as_str() {
        "start" => {
            // As the order is written elsewhere.
            let mut words = vec!["pass", "start"];
            words.extend(seconds.as_deref());
            words.extend(rate.as_deref().into_iter().flat_map(|rate| ["--rate", rate]));
            match Order::from_words(&words).map_err(bad_input)? {
                Order::PassStart { seconds, rate } => {
                    let rate_bps = (rate != 0).then_some(rate);
                    options.answer(&Request::PassStart { seconds: seconds.into(), rate_bps }, text)
                }
                other => Err(bad_input(other)),
            }
        }
        "stop" => options.answer(&Request::PassStop, text),
        other => Err(bad_input(format!("`passband pass {other}`: it is start or stop"))),
    }
}

/// Options of a command that has none of its own.
pub(super) fn only_common(parser: &mut lexopt::Parser) -> Result<Options, Failure> {
    let mut options = Options::default();
    match next_long(parser, &mut options)? {
        None => Ok(options),
        Some(name) => Err(unknown_option(&name)),
    }
}

/// Takes common options up to the next long option that isn't one; its name.
fn next_long(parser: &mut lexopt::Parser, options: &mut Options) -> Result<Option<String>, Failure> {
    match next_word(parser, options)? {
        None => Ok(None),
        Some(Word::Long(name)) => Ok(Some(name)),
        Some(Word::Value(value)) => Err(Value(value.into()).unexpected().into()),
    }
}

/// What isn't a common option.
enum Word {
    Long(String),
    Value(String),
}

/// Takes common options up to the next word that isn't one.
fn next_word(parser: &mut lexopt::Parser, options: &mut Options) -> Result<Option<Word>, Failure> {
    loop {
        // The names are copied, so that the parser is free to give a value.
        let name = match parser.next()? {
            None => return Ok(None),
            Some(Short('h')) => "help".to_owned(),
            Some(Long(name)) => name.to_owned(),
            Some(Value(value)) => return Ok(Some(Word::Value(value.string()?))),
            Some(other) => return Err(other.unexpected().into()),
        };
        if let Some(own) = options.take(|| parser.value(), Long(&name))? {
            return Ok(match own {
                Long(name) => Some(Word::Long(name.to_owned())),
                other => return Err(other.unexpected().into()),
            });
        }
    }
}

/// A word or a long option.
pub(super) enum Argument {
    Word(String),
    Option(String),
}

/// Takes common options up to the next word, or long option that isn't one.
pub(super) fn next_argument(
    parser: &mut lexopt::Parser,
    options: &mut Options,
) -> Result<Option<Argument>, Failure> {
    loop {
        let name = match parser.next()? {
            None => return Ok(None),
            Some(Short('h')) => "help".to_owned(),
            Some(Long(name)) => name.to_owned(),
            Some(Value(word)) => return Ok(Some(Argument::Word(word.string()?))),
            Some(other) => return Err(other.unexpected().into()),
        };
        if options.take(|| parser.value(), Long(&name))?.is_some() {
            return Ok(Some(Argument::Option(name)));
        }
    }
}

pub(super) fn unknown_option(name: &str) -> Failure {
    // A letter too few or too many, or another one, in one place: what is the same before and behind it is nearly all.
    let near = |option: &&&str| {
        let same = |pair: &(char, char)| pair.0 == pair.1;
        let before = name.chars().zip(option.chars()).take_while(same).count();
        let behind = name.chars().rev().zip(option.chars().rev()).take_while(same).count();
        let (short, long) = (name.len().min(option.len()), name.len().max(option.len()));
        long - short <= 1 && before + behind + 1 >= long
    };
    match ["json", "socket", "config", "limit", "help"].iter().find(near) {
        Some(option) => bad_input(format!("unknown option --{name}: is it --{option}?")),
        None => bad_input(format!("unknown option --{name}; --help shows those there are")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_is_nearly_one_is_told() {
        let says = |name: &str| match unknown_option(name) {
            Failure::BadInput(text) => text,
            other => panic!("{other:?}"),
        };
        for name in ["jsn", "jsno", "jsonn", "Json", "jsom"] {
            assert_eq!(says(name).contains("is it --json?"), name != "jsno", "{name}: {}", says(name));
        }
        assert_eq!(says("sockett"), "unknown option --sockett: is it --socket?");
        assert_eq!(says("rate"), "unknown option --rate; --help shows those there are");
    }
}
