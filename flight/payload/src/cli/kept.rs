//! What commands print when the daemon is down: the last saved state, and a first line that says so.
//!
//! The answer is the one that the daemon would have given when it saved its state, cut to what was asked for. As JSON it
//! has `"live": false` and `"saved_unix_ms"`; a live answer has neither. The exit status is 1 either way: the daemon
//! isn't there.

use std::path::Path;

use serde_json::{Value, json};

use crate::adapters::clock::Clock;
use crate::adapters::disk::LinuxDisk;
use crate::adapters::last::{load, read_events};
use crate::command::{DEFAULT_EVENTS, Request, TlmAnswer, date, duration};
use crate::json;
use crate::telemetry::SCHEMA;

/// An answer that isn't live.
pub(super) struct Kept {
    /// What the daemon would have said.
    pub(super) answer: Value,
    /// When it was saved, ms since 1970-01-01 UTC.
    saved_unix_ms: u64,
}

impl Kept {
    /// The answer to a request by what lies in a state folder; `None`: the request is one that changes something, or
    /// has no kept answer.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn answer_to(request: &Request, state: &Path) -> Option<Result<Self, String>> {
        let name = request.kept_as()?;
        let saved = load(&LinuxDisk, state);
        if let Request::Events { since, limit } = request
            && let Ok(events) = read_events(&LinuxDisk, state, *since, limit.unwrap_or(DEFAULT_EVENTS))
        {
            // These are as new as they can be; what was saved tells how old all else is.
            let newest = events.last().map_or(0, |event| event.unix_ms);
            let saved_unix_ms = saved.as_ref().map_or(newest, |saved| saved.saved_unix_ms.max(newest));
            return Some(Ok(Self { answer: json!({ "schema": SCHEMA, "events": events }), saved_unix_ms }));
        }
        Some(saved.and_then(|mut saved| {
            let answer =
                saved.answers.remove(name).ok_or_else(|| format!("no answer of `{name}` was saved"))?;
            Ok(Self { answer: cut(answer, request)?, saved_unix_ms: saved.saved_unix_ms })
        }))
    }

    /// The line that says that nothing of it is live.
    pub(super) fn head(&self) -> String {
        let ago_s = Clock::default().unix_ms().saturating_sub(self.saved_unix_ms) / 1000;
        format!("NOT LIVE: the daemon is down; saved {}, {} ago\n", date(self.saved_unix_ms), duration(ago_s))
    }

    /// The document, with what says that it isn't live.
    pub(super) fn document(mut self) -> String {
        if let Some(fields) = self.answer.as_object_mut() {
            fields.insert("live".to_owned(), false.into());
            fields.insert("saved_unix_ms".to_owned(), self.saved_unix_ms.into());
        }
        format!("{}\n", self.answer)
    }
}

/// The part of an answer that a request asks for.
fn cut(mut answer: Value, request: &Request) -> Result<Value, String> {
    let rows = match request {
        Request::Queue { limit: Some(limit) } => Some(("bundles", *limit, false)),
        Request::Passes { count: Some(count) } => Some(("passes", *count, false)),
        Request::Events { limit: Some(limit), .. } => Some(("events", *limit, true)),
        Request::Orders { limit: Some(limit) } => Some(("orders", *limit, true)),
        Request::Logs { limit: Some(limit) } => Some(("lines", *limit, true)),
        Request::Agenda { limit: Some(limit) } => Some(("pending", *limit, false)),
        _ => None,
    };
    if let Some((field, most, newest)) = rows
        && let Some(rows) = answer.get_mut(field).and_then(Value::as_array_mut)
    {
        let surplus = rows.len().saturating_sub(most);
        if newest { drop(rows.drain(..surplus)) } else { rows.truncate(most) }
    }
    match request {
        Request::Tlm { channels } if !channels.is_empty() => {
            let answer: TlmAnswer = json::shape(&answer).map_err(|e| e.to_string())?;
            json::value(&answer.only(channels)?).map_err(|e| e.to_string())
        }
        _ => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_cut_to_what_was_asked_for() {
        let of = |field: &str| json!({ "schema": 1, field: [1, 2, 3] });
        let cut = |field: &str, request: Request| cut(of(field), &request).unwrap()[field].clone();
        assert_eq!(cut("bundles", Request::Queue { limit: Some(2) }), json!([1, 2]));
        assert_eq!(cut("passes", Request::Passes { count: Some(1) }), json!([1]));
        assert_eq!(cut("events", Request::Events { since: None, limit: Some(2) }), json!([2, 3]));
        assert_eq!(cut("orders", Request::Orders { limit: Some(1) }), json!([3]));
        assert_eq!(cut("lines", Request::Logs { limit: Some(2) }), json!([2, 3]));
        assert_eq!(cut("pending", Request::Agenda { limit: Some(2) }), json!([1, 2]));
        assert_eq!(cut("bundles", Request::Queue { limit: None }), json!([1, 2, 3]));
        assert_eq!(cut("bundles", Request::Queue { limit: Some(9) }), json!([1, 2, 3]));
    }

    #[test]
    fn it_says_that_it_is_not_live() {
        let kept = Kept { answer: json!({ "schema": 1 }), saved_unix_ms: 1_000 };
        assert!(kept.head().starts_with("NOT LIVE: the daemon is down; saved 1970-01-01T00:00:01Z, "));
        assert!(kept.head().chars().count() <= 80, "{}", kept.head());
        assert_eq!(kept.document(), "{\"live\":false,\"saved_unix_ms\":1000,\"schema\":1}\n");
        let pass = Kept::answer_to(&Request::PassStop, Path::new("/nowhere"));
        assert!(pass.is_none(), "what changes something has no kept answer");
        let status = Kept::answer_to(&Request::Status, Path::new("/nowhere"));
        assert!(status.unwrap().is_err_and(|why| why.contains("/nowhere/last.json")));
    }
}
