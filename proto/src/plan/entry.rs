//! One entry of a plan's text: its line, and the indented clauses below it.

use super::fault::{Wrong, cut};
use super::tables::Tables;
use super::time::{parse_span, parse_utc};
use super::words::Words;
use super::{
    Action, Compare, Condition, Edge, Entry, MAX_OFFSET_MS, MAX_RETRIES, MAX_TIMES, MIN_EVERY_MS, NotAfter,
    OnFailure, OnTimeout, Repeat, Severity, Trigger, Wait,
};

/// `[LABEL:] WHEN do ORDER` or `[LABEL:] WHEN start PLAN`. What is wrong with label, time and order is told of each.
pub(super) fn entry_line(tables: &mut Tables<'_>, content: &str) -> Result<Entry, Vec<Wrong>> {
    let mut words = Words::new(content);
    let label = words.peek().strip_suffix(':').map(str::to_owned);
    // Taken at last, so that no entry follows itself.
    let labelled = label.as_ref().map(|_| words.next()).is_some();
    let when = when(tables, &mut words);
    let what = if when.is_ok() || words.skip_to(&["do", "start"]) {
        action(tables, &mut words).map(Some)
    } else {
        Ok(None)
    };
    let named = match &label {
        Some(label) if labelled => tables.set_label(label),
        _ => Ok(()),
    };
    match (named, when, what) {
        (Ok(()), Ok((trigger, repeat)), Ok(Some(action))) => {
            let failure = OnFailure::Continue;
            Ok(Entry { label, trigger, repeat, wait: None, failure, not_after: None, action })
        }
        (named, when, what) => Err([named.err(), when.err(), what.err()].into_iter().flatten().collect()),
    }
}

/// A line below an entry.
pub(super) fn clause(tables: &mut Tables<'_>, entry: &mut Entry, content: &str) -> Result<(), Wrong> {
    let mut words = Words::new(content);
    match words.next() {
        "wait" => entry.wait = Some(wait(tables, &mut words)?),
        "on" => {
            words.expect("failure")?;
            entry.failure = failure(&mut words)?;
        }
        "not" => entry.not_after = Some(not_after(&mut words)?),
        other => return Err(Wrong::word(other, "'wait for', 'on failure' or 'not after'")),
    }
    words.end()
}

/// `continue`, `abort`, or `retry N every SPAN [then continue|abort]`.
pub(super) fn failure(words: &mut Words<'_>) -> Result<OnFailure, Wrong> {
    match words.next() {
        "continue" => Ok(OnFailure::Continue),
        "abort" => Ok(OnFailure::Abort),
        "retry" => {
            let times = words.next();
            let times =
                times.parse().ok().filter(|n| (1..=MAX_RETRIES).contains(n)).ok_or_else(|| {
                    Wrong::word(times, format!("how often to try again, 1 to {MAX_RETRIES}"))
                })?;
            words.expect("every")?;
            let every_ms = span(words)?;
            let abort = words.skip("then")
                && match words.next() {
                    "continue" => false,
                    "abort" => true,
                    other => return Err(Wrong::word(other, "'continue' or 'abort'")),
                };
            Ok(OnFailure::Retry { times, every_ms, abort })
        }
        other => Err(Wrong::word(other, "'continue', 'abort' or 'retry N every SPAN'")),
    }
}

/// A span of time.
pub(super) fn span(words: &mut Words<'_>) -> Result<u32, Wrong> {
    let word = words.next();
    parse_span(word).ok_or_else(|| Wrong::word(word, "a span like 90s or 1h30min, 30d at most"))
}

fn when(tables: &mut Tables<'_>, words: &mut Words<'_>) -> Result<(Trigger, Repeat), Wrong> {
    let each = words.skip("every");
    let trigger = trigger(tables, words)?;
    Ok((trigger, repeat(trigger, each, words)?))
}

fn action(tables: &mut Tables<'_>, words: &mut Words<'_>) -> Result<Action, Wrong> {
    match words.next() {
        "do" => Ok(Action::Order(tables.order(words.rest())?)),
        "start" => {
            let plan = tables.other_plan(words.next())?;
            words.end()?;
            Ok(Action::Start(plan))
        }
        other => Err(Wrong::word(other, "'do' and an order, or 'start' and a plan")),
    }
}

fn trigger(tables: &mut Tables<'_>, words: &mut Words<'_>) -> Result<Trigger, Wrong> {
    match words.next() {
        "at" => utc(words).map(|unix_ms| Trigger::At { unix_ms }),
        "after" if words.peek().starts_with(|c: char| c.is_ascii_digit()) => {
            span(words).map(|after_ms| Trigger::Start { after_ms })
        }
        "after" => {
            let entry = tables.label(words.next())?;
            let later = words.peek().strip_prefix('+');
            let after_ms = match later.map(|text| parse_span(text).ok_or(text)) {
                None => 0,
                Some(Ok(ms)) => ms,
                Some(Err(_)) => return Err(Wrong::word(words.peek(), "a span like +90s, +30d at most")),
            };
            if later.is_some() {
                words.next();
            }
            Ok(Trigger::Entry { entry, after_ms })
        }
        edge @ ("aos" | "los") => {
            let edge = if edge == "aos" { Edge::Aos } else { Edge::Los };
            let station = tables.station(words)?;
            Ok(Trigger::Pass { edge, station, offset_ms: offset(words)? })
        }
        "event" => event(tables, words).map(Trigger::When),
        "when" => {
            words.expect("tlm")?;
            channel(tables, words).map(Trigger::When)
        }
        other => {
            let expected =
                "'at', 'after', 'aos', 'los', 'event', 'when tlm', or 'every' before one of the last four";
            Err(Wrong::word(other, expected))
        }
    }
}

/// `+SPAN` or `-SPAN`, if it is there.
fn offset(words: &mut Words<'_>) -> Result<i32, Wrong> {
    let word = words.peek();
    let (sign, text) = match (word.strip_prefix('+'), word.strip_prefix('-')) {
        (Some(text), _) => (1, text),
        (_, Some(text)) => (-1, text),
        (None, None) => return Ok(0),
    };
    words.next();
    let ms = parse_span(text).and_then(|ms| i32::try_from(ms).ok()).filter(|ms| *ms <= MAX_OFFSET_MS);
    ms.map(|ms| sign * ms)
        .ok_or_else(|| Wrong::word(word, "a span with its sign like -2min, an hour at most"))
}

fn repeat(trigger: Trigger, each: bool, words: &mut Words<'_>) -> Result<Repeat, Wrong> {
    let comes = matches!(trigger, Trigger::Pass { .. } | Trigger::When(_));
    match (comes, each) {
        (false, true) => Err(Wrong::new("'every' before a time", "'at TIME every SPAN times N'")),
        (true, true) => {
            let times = if words.skip("times") { Some(times(words)?) } else { None };
            Ok(Repeat::Each { times })
        }
        (false, false) if !matches!(trigger, Trigger::Entry { .. }) && words.skip("every") => {
            let said = words.peek();
            let every_ms = span(words)?;
            if every_ms < MIN_EVERY_MS {
                return Err(Wrong::word(said, "1s or more between repeats"));
            }
            words.expect("times")?;
            Ok(Repeat::Every { every_ms, times: times(words)? })
        }
        (_, false) => Ok(Repeat::Once),
    }
}

fn times(words: &mut Words<'_>) -> Result<u32, Wrong> {
    let word = words.next();
    let sound = word.parse().ok().filter(|times| (2..=MAX_TIMES).contains(times));
    sound.ok_or_else(|| Wrong::word(word, format!("how often in all, 2 to {MAX_TIMES}")))
}

fn utc(words: &mut Words<'_>) -> Result<u64, Wrong> {
    let word = words.next();
    parse_utc(word).ok_or_else(|| Wrong::word(word, "a UTC time like 2026-12-01T10:00:00Z, of 2000 to 2199"))
}

/// `NAME|any [at least SEVERITY]`.
fn event(tables: &Tables<'_>, words: &mut Words<'_>) -> Result<Condition, Wrong> {
    let name = words.next();
    let event = match name {
        "any" => None,
        name => {
            let number = tables.orders.event(name);
            Some(number.ok_or_else(|| Wrong::word(name, "'any' or an event of the dictionary"))?)
        }
    };
    let mut severity = Severity::Info;
    if words.skip("at") {
        words.expect("least")?;
        let word = words.next();
        let known = Severity::ALL.into_iter().find(|severity| severity.name() == word);
        severity = known.ok_or_else(|| Wrong::word(word, "'info', 'warning', 'error' or 'critical'"))?;
    }
    Ok(Condition::Event { event, severity })
}

/// `CHANNEL COMPARE VALUE [for SPAN]`.
fn channel(tables: &Tables<'_>, words: &mut Words<'_>) -> Result<Condition, Wrong> {
    let name = words.next();
    let channel =
        tables.orders.channel(name).ok_or_else(|| Wrong::word(name, "a channel of the dictionary"))?;
    let word = words.next();
    let compare = Compare::ALL.into_iter().find(|compare| compare.word() == word);
    let compare = compare.ok_or_else(|| Wrong::word(word, "<, <=, >, >=, == or !="))?;
    let word = words.next();
    let value = word.parse().ok().filter(|value: &f64| value.is_finite());
    let value = value.ok_or_else(|| Wrong::word(word, "a number"))?;
    let for_ms = if words.skip("for") { span(words)? } else { 0 };
    Ok(Condition::Channel { channel, compare, value, for_ms })
}

/// `for CONDITION up to SPAN [else skip|abort|run]`.
fn wait(tables: &mut Tables<'_>, words: &mut Words<'_>) -> Result<Wait, Wrong> {
    words.expect("for")?;
    let condition = match words.next() {
        "tlm" => channel(tables, words)?,
        "event" => event(tables, words)?,
        "pass" => Condition::Pass { station: tables.station(words)?, on: true },
        "no" => {
            words.expect("pass")?;
            Condition::Pass { station: tables.station(words)?, on: false }
        }
        other => return Err(Wrong::word(other, "'tlm', 'event', 'pass' or 'no pass'")),
    };
    words.expect("up")?;
    words.expect("to")?;
    let up_to_ms = span(words)?;
    let otherwise = if words.skip("else") {
        match words.next() {
            "skip" => OnTimeout::Skip,
            "abort" => OnTimeout::Abort,
            "run" => OnTimeout::Run,
            other => return Err(Wrong::word(other, "'skip', 'abort' or 'run'")),
        }
    } else {
        OnTimeout::Skip
    };
    Ok(Wait { condition, up_to_ms, otherwise })
}

/// `after TIME` or `after +SPAN`.
fn not_after(words: &mut Words<'_>) -> Result<NotAfter, Wrong> {
    words.expect("after")?;
    let word = words.next();
    let limit = match word.strip_prefix('+') {
        Some(text) => parse_span(text).map(NotAfter::Due),
        None => parse_utc(word).map(NotAfter::Unix),
    };
    limit.ok_or_else(|| {
        Wrong::new(format!("'{}'", cut(word)), "a UTC time, or a span since it was due like +10min")
    })
}
