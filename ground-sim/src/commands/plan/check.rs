//! `passband-ground plan check`: what is wrong with a plan's text, and what its signer may not have it do.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use passband_proto::dict::{Order, OrderDef, Source};
use passband_proto::plan::{Action, Dictionary, Fault, Orders, Plan, compile};
use passband_proto::sdls::Role;

use super::super::print_json;
use super::text_of;
use crate::plans::assume::{parse_span_ms, parse_utc_ms};
use crate::station::hex;
use crate::telemetry::feed::unix_ms;
use crate::uplink::names::check_order;

pub(super) fn check(file: &Path, role: Option<Role>, json: bool) -> Result<ExitCode> {
    let (text, name) = (text_of(file)?, file.display().to_string());
    let notes = past(&text, &name, unix_ms());
    let judged = judge(&text, &name, role);
    if json {
        print_json(&document(&judged, &notes))?;
    } else {
        notes.iter().for_each(|note| say!("{note}"));
        match &judged {
            Ok(plan) => {
                let (entries, orders) = (plan.entries.len(), orders(plan).join(", "));
                say!("{} version {}: {entries} entries, {orders}", plan.name, plan.version);
            }
            Err(faults) => faults.iter().for_each(|fault| say!("{fault}")),
        }
    }
    Ok(if judged.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// The plan of a text, unless something is wrong with it: its text, a name, or what its signer may not order. Each line at
/// fault is told.
fn judge(text: &str, file: &str, role: Option<Role>) -> Result<Plan, Vec<Fault>> {
    compile(text, file, &OfSigner { dictionary: Dictionary::default(), role })
}

/// The dictionary, of which only those orders are known that the signer of a plan may give and the board would take. What
/// is wrong with one is told where it stands: a compiled plan doesn't say which of its lines it was.
struct OfSigner {
    dictionary: Dictionary,
    role: Option<Role>,
}

impl Orders for OfSigner {
    fn encode(&self, words: &str) -> Result<Vec<u8>, String> {
        let bytes = self.dictionary.encode(words)?;
        let name = Order::decode(&bytes)
            .map_err(|e| e.to_string())
            .and_then(|order| check_order(&order).map_err(|e| format!("{order}: {e:#}")));
        let may = self.role.map_or(Ok(()), |role| may_give(&bytes, role));
        let wrong: Vec<_> = [name, may].into_iter().filter_map(Result::err).collect();
        if wrong.is_empty() { Ok(bytes) } else { Err(wrong.join("; and ")) }
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, String> {
        self.dictionary.decode(bytes)
    }

    fn dictionary_digest(&self) -> [u8; 4] {
        self.dictionary.dictionary_digest()
    }

    fn event(&self, name: &str) -> Option<u16> {
        self.dictionary.event(name)
    }

    fn event_name(&self, event: u16) -> Option<String> {
        self.dictionary.event_name(event)
    }

    fn channel(&self, name: &str) -> Option<u16> {
        self.dictionary.channel(name)
    }

    fn channel_name(&self, channel: u16) -> Option<String> {
        self.dictionary.channel_name(channel)
    }
}

/// Whether an order is one that plans may give, and one that a signer of this role may give; a planner's plans may give all
/// that plans may.
fn may_give(bytes: &[u8], role: Role) -> Result<(), String> {
    let (def, _) = OrderDef::read(bytes).map_err(|e| e.to_string())?;
    let may = def.sources.has(Source::Plan) && (role == Role::Planner || def.sources.has(role.into()));
    if may { Ok(()) } else { Err(format!("a plan of {role} may not give {}", def.words)) }
}

fn document(judged: &Result<Plan, Vec<Fault>>, notes: &[String]) -> serde_json::Value {
    match judged {
        Ok(plan) => serde_json::json!({
            "schema": 1, "plan": plan.name, "version": plan.version, "entries": plan.entries.len(),
            "orders": orders(plan), "digest": hex(&plan.digest()), "faults": [], "notes": notes,
        }),
        Err(faults) => {
            let fault = |f: &Fault| serde_json::json!({ "file": f.file, "line": f.line, "what": f.what, "expected": f.expected });
            let faults: Vec<_> = faults.iter().map(fault).collect();
            serde_json::json!({ "schema": 1, "faults": faults, "notes": notes })
        }
    }
}

/// Whether the board takes a plan that is signed by this role: each order is one that plans may give, and one that its signer
/// may give.
///
/// # Errors
/// It doesn't, with the first order that is in its way.
pub fn check_role(plan: &Plan, role: Role) -> Result<()> {
    for bytes in &plan.orders {
        may_give(bytes, role).map_err(|e| anyhow::anyhow!("plan {}: {e}", plan.name))?;
    }
    Ok(())
}

/// Whether the orders of a plan name scripts and plans as they can be called on board.
pub(super) fn check_names(plan: &Plan) -> Result<()> {
    for bytes in &plan.orders {
        let order = Order::decode(bytes).map_err(|e| anyhow::anyhow!("plan {}: {e}", plan.name))?;
        check_order(&order).with_context(|| format!("plan {}: {order}", plan.name))?;
    }
    Ok(())
}

/// What is said of the times of a text that are past: no fault, since a plan may be taken up late. Whatever else is wrong.
fn past(text: &str, file: &str, now_unix_ms: u64) -> Vec<String> {
    let mut notes = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let words: Vec<_> = content.split_whitespace().collect();
        let clause = content.starts_with([' ', '\t']);
        let words = match words.as_slice() {
            [label, rest @ ..] if !clause && label.ends_with(':') => rest,
            words => words,
        };
        // The last of its times counts.
        let (time, later_ms) = match words {
            ["at", time, "every", every, "times", times, ..] => {
                let every_ms = parse_span_ms(every).unwrap_or_default();
                (time, every_ms.saturating_mul(times.parse::<u64>().unwrap_or(1).saturating_sub(1)))
            }
            ["at", time, ..] => (time, 0),
            ["not", "after", time, ..] if !time.starts_with('+') => (time, 0),
            _ => continue,
        };
        if parse_utc_ms(time).is_ok_and(|at| at.saturating_add(later_ms) < now_unix_ms) {
            notes.push(format!("{file}:{line}: note: {time} is past: if it is sent up now, it is left out or late, as 'on late' says"));
        }
    }
    notes
}

/// The words of the orders that a plan gives, each once.
fn orders(plan: &Plan) -> Vec<&'static str> {
    let mut words: Vec<_> = plan
        .entries
        .iter()
        .filter_map(|entry| match entry.action {
            Action::Order(order) => OrderDef::read(plan.order(order)?).ok().map(|(def, _)| def.words),
            Action::Start(_) => None,
        })
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_are_past_are_told_beside_whatever_is_wrong() {
        let text = "at 2026-01-01T00:00:00Z do pnig\nx: at 2026-01-01T00:00:00Z every 1d times 20 do ping\n    not after \
                    2026-01-02T00:00:00Z\n    not after +1s\nat never do ping\nat 2030-01-01T00:00:00Z do ping\n";
        let now = parse_utc_ms("2026-01-10T00:00:00Z").unwrap();
        let notes = past(text, "p", now);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].starts_with("p:1: note: 2026-01-01T00:00:00Z is past"), "{notes:?}");
        assert!(notes[1].starts_with("p:3: "), "{notes:?}");
    }

    #[test]
    fn a_name_that_no_script_can_have_is_told_before_it_is_signed() {
        let plan =
            compile("plan p\nversion 1\nafter 1s do script run ../x\n", "", &Dictionary::default()).unwrap();
        let error = format!("{:#}", check_names(&plan).unwrap_err());
        assert!(error.contains("script run") && error.contains("a-z, 0-9 and -"), "{error}");
    }

    #[test]
    fn a_bad_name_and_what_its_signer_may_not_order_are_faults_of_the_document() {
        let text = "plan p\nversion 1\nafter 1s do script run ../x\nafter 2s do pass start 300\n\
                    after 3s do ping\nafter 4s do pass start 300\nafter 5s do pnig\n";
        let document = document(&judge(text, "p.plan", Some(Role::Science)), &[]);
        let what = |n: usize| document["faults"][n]["what"].as_str().unwrap_or_default();
        assert!(what(0).contains("script run") && what(0).contains("a-z, 0-9 and -"), "{document}");
        assert!(what(1).contains("a plan of science may not give"), "{document}");
        let lines: Vec<_> = (0..).map_while(|n| document["faults"][n]["line"].as_u64()).collect();
        assert_eq!(lines, [3, 4, 6, 7], "each line at fault, whatever else is wrong: {document}");
        assert_eq!(document["faults"][0]["file"], "p.plan");
        assert!(what(0).contains("; and a plan of science may not give script run"), "{document}");
    }
}
