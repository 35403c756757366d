//! Reads requests: a line of JSON that anybody who may open the socket has written.
//!
//! By hand, not derived: of the shapes that are read this one has the most variants and the fewest fields, and no two are
//! alike. Fields that a request doesn't have are passed over; `null` is as if it weren't there.

use core::ops::RangeInclusive;

use passband_proto::ids::Class;
use serde_json::{Map, Value};

use super::{BundleName, MAX_AGENDA, MAX_LINES, MAX_ORDERS, MAX_ROWS, QueueAction, Request};
use crate::json;
use crate::orders::Step;
use crate::passes::MAX_PASSES;
use crate::store::MAX_EVENTS_READ;
use crate::telemetry::SCHEMA;

/// The request of a line, its length bounded by who read it.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn request(line: &[u8]) -> Result<Request, String> {
    let value = json::parse(line).map_err(|e| e.to_string())?;
    let fields = Fields(value.as_object().ok_or("an object is wanted")?);
    let schema = fields.number("schema")?;
    if schema != u64::from(SCHEMA) {
        return Err(format!("schema {schema}; this daemon speaks {SCHEMA}"));
    }
    Ok(match fields.text("command")?.as_str() {
        "status" => Request::Status,
        "queue" => Request::Queue { limit: fields.count("limit", MAX_ROWS)? },
        "queue-explain" => Request::QueueExplain { id: BundleName(fields.text("id")?) },
        "queue-act" => {
            Request::QueueAct { id: BundleName(fields.text("id")?), action: queue_action(&fields)? }
        }
        "events" => Request::Events {
            since: fields.number_or_none("since")?,
            limit: fields.count("limit", MAX_EVENTS_READ)?,
        },
        "alerts" => Request::Alerts,
        "alerts-ack" => Request::AlertsAck { number: fields.short("number")? },
        "alerts-cancel" => Request::AlertsCancel { number: fields.short("number")? },
        "passes" => Request::Passes { count: fields.count("count", MAX_PASSES)? },
        "pass-start" => Request::PassStart {
            seconds: fields.number("seconds")?,
            rate_bps: fields.number_or_none("rate_bps")?,
        },
        "pass-stop" => Request::PassStop,
        "order" => Request::Order { order: fields.text("order")?, step: step(&fields)? },
        "orders" => Request::Orders { limit: fields.count("limit", MAX_ORDERS)? },
        "keys" => Request::Keys,
        "params" => Request::Params { prefix: fields.text_or_none("prefix")? },
        "agenda" => Request::Agenda { limit: fields.count("limit", MAX_AGENDA)? },
        "scripts" => Request::Scripts,
        "update" => Request::Update,
        "logs" => Request::Logs { limit: fields.count("limit", MAX_LINES)? },
        "load" => Request::Load {
            kind: fields.text("kind")?,
            name: fields.text("name")?,
            path: fields.text("path")?,
        },
        "digest" => Request::Digest,
        "tlm" => Request::Tlm { channels: fields.texts("channels")? },
        other => return Err(unknown_variant(other, "command")),
    })
}

fn queue_action(fields: &Fields<'_>) -> Result<QueueAction, String> {
    Ok(match fields.text("action")?.as_str() {
        "promote" => QueueAction::Promote,
        "demote" => QueueAction::Demote,
        "hold" => QueueAction::Hold,
        "release" => QueueAction::Release,
        "drop" => QueueAction::Drop,
        "retask" => {
            let class = fields.text_or_none("class")?;
            let class = class.map(|name| name.parse::<Class>().map_err(|_| unknown_variant(&name, "class")));
            QueueAction::Retask { tasking: fields.text_or_none("tasking")?, class: class.transpose()? }
        }
        other => return Err(unknown_variant(other, "action")),
    })
}

fn step(fields: &Fields<'_>) -> Result<Option<Step>, String> {
    Ok(match fields.text_or_none("step")?.as_deref() {
        None => None,
        Some("run") => Some(Step::Run),
        Some("arm") => Some(Step::Arm),
        Some("fire") => Some(Step::Fire),
        Some(other) => return Err(unknown_variant(other, "step")),
    })
}

fn unknown_variant(name: &str, field: &str) -> String {
    format!("unknown variant `{name}` of field `{field}`")
}

/// The fields of a request.
struct Fields<'v>(&'v Map<String, Value>);

impl<'v> Fields<'v> {
    fn get(&self, name: &str) -> Option<&'v Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn number_or_none(&self, name: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_u64().map(Some).ok_or_else(|| invalid(name, value, "a whole number"))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        self.number_or_none(name)?.ok_or_else(|| missing(name))
    }

    fn short(&self, name: &str) -> Result<u32, String> {
        let number = self.number(name)?;
        u32::try_from(number).map_err(|_| format!("invalid value {number} of field `{name}`: too large"))
    }

    /// A number of rows, from 1 on.
    fn count(&self, name: &str, most: usize) -> Result<Option<usize>, String> {
        let Some(number) = self.number_or_none(name)? else { return Ok(None) };
        let allowed: RangeInclusive<usize> = 1..=most;
        let count = usize::try_from(number).ok().filter(|count| allowed.contains(count));
        count.map(Some).ok_or_else(|| format!("{name} is 1 to {most}"))
    }

    fn text_or_none(&self, name: &str) -> Result<Option<String>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| invalid(name, value, "text"))
    }

    fn text(&self, name: &str) -> Result<String, String> {
        self.text_or_none(name)?.ok_or_else(|| missing(name))
    }

    /// Texts; none if there is no such field.
    fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let texts =
            value.as_array().and_then(|all| all.iter().map(|v| v.as_str().map(str::to_owned)).collect());
        texts.ok_or_else(|| invalid(name, value, "a list of texts"))
    }
}

fn missing(name: &str) -> String {
    format!("missing field `{name}`")
}

fn invalid(name: &str, value: &Value, wanted: &str) -> String {
    format!("invalid value {value} of field `{name}`: {wanted} is wanted")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every request, with all its fields and with none that it needn't have.
    fn requests() -> Vec<Request> {
        let id = || BundleName("abcd".into());
        let act = |action| Request::QueueAct { id: id(), action };
        let mut all = vec![
            Request::Status,
            Request::QueueExplain { id: id() },
            act(QueueAction::Promote),
            act(QueueAction::Demote),
            act(QueueAction::Hold),
            act(QueueAction::Release),
            act(QueueAction::Drop),
            act(QueueAction::Retask { tasking: Some("p7".into()), class: None }),
            Request::Alerts,
            Request::AlertsAck { number: u32::MAX },
            Request::AlertsCancel { number: 7 },
            Request::PassStop,
            Request::Keys,
            Request::Scripts,
            Request::Update,
            Request::Load { kind: "plan".into(), name: "n".into(), path: "/p \"q\"".into() },
            Request::Digest,
            Request::Tlm { channels: vec![] },
            Request::Tlm { channels: vec!["power".into(), "level".into()] },
        ];
        all.extend(Class::ALL.map(|class| act(QueueAction::Retask { tasking: None, class: Some(class) })));
        for limit in [None, Some(1), Some(50)] {
            all.extend([
                Request::Queue { limit },
                Request::Events { since: limit.map(|n| n as u64), limit },
                Request::Passes { count: limit },
                Request::PassStart { seconds: 300, rate_bps: limit.map(|n| n as u64) },
                Request::Orders { limit },
                Request::Params { prefix: limit.map(|n| n.to_string()) },
                Request::Agenda { limit },
                Request::Logs { limit },
            ]);
        }
        for step in [None, Some(Step::Run), Some(Step::Arm), Some(Step::Fire)] {
            all.push(Request::Order { order: "pass start 300".into(), step });
        }
        all
    }

    #[test]
    fn every_request_is_read_as_it_was_written() {
        for asked in requests() {
            let line = asked.clone().line().unwrap();
            assert_eq!(request(line.as_bytes()), Ok(asked), "{line}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (rest, why) in [
            (r#""command":"load","kind":"plan","name":"n""#, "missing field `path`"),
            (r#""command":"queue-act","id":"abcd""#, "missing field `action`"),
            (
                r#""command":"queue-act","id":"abcd","action":"burn""#,
                "unknown variant `burn` of field `action`",
            ),
            (r#""command":"queue-act","id":"abcd","action":"retask","class":"x""#, "unknown variant `x`"),
            (r#""command":"order","order":"x","step":"jump""#, "unknown variant `jump` of field `step`"),
            (r#""command":"alerts-ack","number":4294967296"#, "too large"),
            (r#""command":"tlm","channels":["a",1]"#, "a list of texts is wanted"),
            (r#""command":7"#, "invalid value 7 of field `command`: text is wanted"),
            (r#""command":"logs","limit":1e9"#, "a whole number is wanted"),
        ] {
            let error = request(format!("{{\"schema\":1,{rest}}}").as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(request(b"[1]"), Err("an object is wanted".to_owned()));
    }
}
