//! From a plan back to its text: what [`super::compile`] makes the same plan of. Comments and the words of a default
//! are not kept.

use super::{
    Action, Condition, Entry, Giving, NotAfter, OnFailure, OnReboot, OnTimeout, Orders, Plan, PlanError,
    Repeat, Severity, Trigger, show_span, show_utc,
};

/// The text of a plan.
///
/// # Errors
/// Another dictionary than the plan's; an order, an event or a channel that the dictionary doesn't know.
pub fn write(plan: &Plan, orders: &dyn Orders) -> Result<String, PlanError> {
    if plan.dictionary != orders.dictionary_digest() {
        return Err(PlanError::plan("it was compiled for another dictionary"));
    }
    let mut out = vec![format!("plan {}\nversion {}\n", plan.name, plan.version)];
    out.push(match plan.reboot {
        OnReboot::Continue => "on reboot continue\n".to_owned(),
        OnReboot::Abort => "on reboot abort\n".to_owned(),
        OnReboot::Restart => "on reboot restart\n".to_owned(),
    });
    let otherwise = match plan.late.otherwise {
        Giving::Skip => "skip",
        Giving::Abort => "abort",
    };
    out.push(format!("on late run within {} else {otherwise}\n\n", show_span(plan.late.within_ms)));
    for (place, entry) in plan.entries.iter().enumerate() {
        let lines = plan.write_entry(entry, orders);
        out.push(lines.map_err(|what| PlanError::Field { entry: Some(place + 1), what })?);
    }
    Ok(out.concat())
}

/// A condition as a plan's text says it.
///
/// # Errors
/// An event or a channel that the dictionary doesn't know.
pub fn show_condition(plan: &Plan, condition: Condition, orders: &dyn Orders) -> Result<String, String> {
    Ok(match condition {
        Condition::Channel { channel, compare, value, for_ms } => {
            let name =
                orders.channel_name(channel).ok_or_else(|| format!("no channel has number {channel}"))?;
            let held = if for_ms == 0 { String::new() } else { format!(" for {}", show_span(for_ms)) };
            format!("tlm {name} {} {}{held}", compare.word(), show_value(value))
        }
        Condition::Event { event, severity } => {
            let name = match event {
                None => "any".to_owned(),
                Some(event) => {
                    orders.event_name(event).ok_or_else(|| format!("no event has number {event}"))?
                }
            };
            match severity {
                Severity::Info => format!("event {name}"),
                Severity::Warning | Severity::Error | Severity::Critical => {
                    format!("event {name} at least {}", severity.name())
                }
            }
        }
        Condition::Pass { station, on } => {
            let no = if on { "" } else { "no " };
            format!("{no}pass {}", plan.show_station(station))
        }
    })
}

impl Plan {
    /// When an entry is due, as the text says it, with its repeats.
    ///
    /// # Errors
    /// An event or a channel that the dictionary doesn't know.
    pub fn show_trigger(&self, entry: &Entry, orders: &dyn Orders) -> Result<String, String> {
        let trigger = match entry.trigger {
            Trigger::At { unix_ms } => format!("at {}", show_utc(unix_ms)),
            Trigger::Start { after_ms } => format!("after {}", show_span(after_ms)),
            Trigger::Entry { entry, after_ms } => {
                let label = self.entry(entry).and_then(|entry| entry.label.clone()).unwrap_or_default();
                let later = if after_ms == 0 { String::new() } else { format!(" +{}", show_span(after_ms)) };
                format!("after {label}{later}")
            }
            Trigger::Pass { edge, station, offset_ms } => {
                let span = show_span(offset_ms.unsigned_abs());
                let offset = match offset_ms {
                    0 => String::new(),
                    ..0 => format!(" -{span}"),
                    1.. => format!(" +{span}"),
                };
                format!("{} {}{offset}", edge.word(), self.show_station(station))
            }
            Trigger::When(condition) => {
                let shown = show_condition(self, condition, orders)?;
                if shown.starts_with("tlm ") { format!("when {shown}") } else { shown }
            }
        };
        Ok(match entry.repeat {
            Repeat::Once => trigger,
            Repeat::Every { every_ms, times } => {
                format!("{trigger} every {} times {times}", show_span(every_ms))
            }
            Repeat::Each { times: Some(times) } => format!("every {trigger} times {times}"),
            Repeat::Each { times: None } => format!("every {trigger}"),
        })
    }

    /// What an entry does, as the text says it.
    ///
    /// # Errors
    /// An order that the dictionary doesn't know.
    pub fn show_action(&self, entry: &Entry, orders: &dyn Orders) -> Result<String, String> {
        match entry.action {
            Action::Start(plan) => {
                let name = self.plans.get(usize::from(plan)).map_or("", String::as_str);
                Ok(format!("start {name}"))
            }
            Action::Order(order) => {
                let words = orders.decode(self.order(order).unwrap_or_default())?;
                if words.trim() != words || words.is_empty() || words.contains(['\n', '\r']) {
                    return Err("its order can't stand on one line".to_owned());
                }
                Ok(format!("do {words}"))
            }
        }
    }

    fn write_entry(&self, entry: &Entry, orders: &dyn Orders) -> Result<String, String> {
        let label = entry.label.as_ref().map(|label| format!("{label}: ")).unwrap_or_default();
        let (when, what) = (self.show_trigger(entry, orders)?, self.show_action(entry, orders)?);
        let mut out = vec![format!("{label}{when} {what}\n")];
        if let Some(wait) = entry.wait {
            let condition = show_condition(self, wait.condition, orders)?;
            let otherwise = match wait.otherwise {
                OnTimeout::Skip => "skip",
                OnTimeout::Abort => "abort",
                OnTimeout::Run => "run",
            };
            let up_to = show_span(wait.up_to_ms);
            out.push(format!("    wait for {condition} up to {up_to} else {otherwise}\n"));
        }
        match entry.failure {
            OnFailure::Continue => {}
            OnFailure::Abort => out.push("    on failure abort\n".to_owned()),
            OnFailure::Retry { times, every_ms, abort } => {
                let then = if abort { "abort" } else { "continue" };
                let every = show_span(every_ms);
                out.push(format!("    on failure retry {times} every {every} then {then}\n"));
            }
        }
        match entry.not_after {
            None => {}
            Some(NotAfter::Unix(unix_ms)) => out.push(format!("    not after {}\n", show_utc(unix_ms))),
            Some(NotAfter::Due(ms)) => out.push(format!("    not after +{}\n", show_span(ms))),
        }
        Ok(out.concat())
    }

    fn show_station(&self, station: Option<u16>) -> String {
        let Some(name) = station.map(|station| self.station(station).unwrap_or_default()) else {
            return "any".to_owned();
        };
        if name == "any" || name.contains(char::is_whitespace) {
            format!("\"{name}\"")
        } else {
            name.to_owned()
        }
    }
}

/// A number that reads back as itself.
fn show_value(value: f64) -> String {
    let usual = value == 0.0 || (1e-5..1e15).contains(&value.abs());
    if usual { value.to_string() } else { format!("{value:e}") }
}
