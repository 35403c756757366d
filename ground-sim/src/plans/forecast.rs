//! A dry run: the satellite's own sequencer under a clock of its own, and what each of its orders would do.
//!
//! The sequencer says when which order is given. How long an order takes and whether it fails is assumed beforehand, so what it
//! does can be told afterwards, in the order of time.

use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use passband_flight::config::TransmitMode;
use passband_flight::passes::Pass;
use passband_flight::sequence::dry_run::{Assumptions, Effect, Effects, Forecast, StepKind, dry_run};
use passband_flight::sequence::{PassTimes, Run};
use passband_proto::dict::Order;
use passband_proto::plan::{Orders, Plan, show_utc};
use serde_json::{Value, json};

use super::effects::{Model, Totals, takes_ms};
use super::transmitter::{Aired, Transmitter};
use passband_proto::plan::Dictionary;

/// Columns of a screen.
const COLUMNS: usize = 80;
/// Columns of what is indented below an order.
const INDENT: &str = "                ";

/// What a plan is tried under.
#[derive(Debug, Clone)]
pub struct Trial {
    /// When the plan is started, and the end of the forecast: ms since 1970-01-01 UTC.
    pub span: (u64, u64),
    /// The passes of that time.
    pub passes: Vec<Pass>,
    /// What happens.
    pub happens: Vec<passband_flight::sequence::dry_run::Assumption>,
    /// Orders that begin with these words fail.
    pub fails: Vec<String>,
    /// Who opens the transmitter.
    pub transmit: TransmitMode,
    /// The configured rate of the fast link, bit/s of UDP payload.
    pub rate_bps: u64,
}

/// What a plan would do.
#[derive(Debug, Clone)]
pub struct Timeline {
    rows: Vec<Row>,
    never: Vec<(String, u16, String)>,
    totals: Totals,
    transmit: TransmitMode,
    /// From when on plans rest in safe mode.
    rests_unix_ms: Option<u64>,
    cut: bool,
}

#[derive(Debug, Clone)]
struct Row {
    unix_ms: u64,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Order { run: Run, words: String, text: String, done: bool },
    Told { severity: String, text: String },
    Pass { text: String },
}

/// Tries the first of these plans, with all of them on board.
///
/// # Errors
/// A plan that can't be taken on board or started.
pub fn forecast(plans: &[Plan], trial: &Trial) -> Result<Timeline> {
    let first = plans.first().ok_or_else(|| anyhow!("no plan"))?;
    let (start_unix_ms, until_unix_ms) = trial.span;
    let passes = trial.passes.iter().map(PassTimes::from).collect();
    let assumed = Assumptions { start_unix_ms, until_unix_ms, passes, happens: trial.happens.clone() };
    let mut timing = Timing { trial };
    let orders = Dictionary::default();
    let forecast = dry_run(plans.to_vec(), &first.name, &orders, &assumed, &mut timing)
        .map_err(|e| anyhow!("plan {}: {e}", first.name))?;
    Ok(timeline(plans, trial, forecast))
}

/// Says how long orders take, and which fail.
struct Timing<'a> {
    trial: &'a Trial,
}

impl Effects for Timing<'_> {
    fn run(&mut self, run: &Run) -> Effect {
        let order = match Order::decode(&run.order) {
            Err(e) => return Effect { text: e.to_string(), ..Effect::default() },
            Ok(order) => order,
        };
        let words = order.to_string();
        let text = if self.trial.fails.iter().any(|beginning| words.starts_with(beginning)) {
            "assumed to fail".to_owned()
        } else {
            Transmitter::new(Vec::new(), self.trial.transmit, self.trial.rate_bps, 0)
                .refuses(&order)
                .map_or_else(String::new, |refused| refused.to_string())
        };
        let done = text.is_empty();
        Effect { text, done, takes_ms: takes_ms(&order), rests: done && order == Order::SafeEnter {} }
    }
}

fn timeline(plans: &[Plan], trial: &Trial, forecast: Forecast) -> Timeline {
    let (start, until) = trial.span;
    let mut model = Model::new(Transmitter::new(trial.passes.clone(), trial.transmit, trial.rate_bps, start));
    let mut rows = pass_rows(trial);
    for step in forecast.steps {
        model.set_now(step.unix_ms);
        let what = match step.what {
            StepKind::Order(run, effect) => order_of(&mut model, run, effect),
            StepKind::Told(report) => {
                What::Told { severity: report.severity.name().to_owned(), text: report.text }
            }
        };
        rows.push(Row { unix_ms: step.unix_ms, what });
    }
    rows.sort_by_key(|row| row.unix_ms);
    let never = forecast.never.into_iter().map(|(plan, entry)| {
        let text = trigger_of(plans, &plan, entry);
        (plan, entry, text)
    });
    Timeline {
        rows,
        never: never.collect(),
        totals: model.totals(until),
        transmit: trial.transmit,
        rests_unix_ms: forecast.rests_unix_ms,
        cut: forecast.cut,
    }
}

fn order_of(model: &mut Model, run: Run, effect: Effect) -> What {
    let (words, text) = match Order::decode(&run.order) {
        Ok(order) if effect.done => (order.to_string(), model.effect(&order)),
        Ok(order) => (order.to_string(), effect.text),
        Err(_) => ("an order".to_owned(), effect.text),
    };
    What::Order { run, words, text, done: effect.done }
}

fn pass_rows(trial: &Trial) -> Vec<Row> {
    let rows = trial.passes.iter().flat_map(|pass| {
        let top = pass.max_elevation_deg.map(|deg| format!(", {deg:.0}° high")).unwrap_or_default();
        let stale = if pass.stale { ", from old elements" } else { "" };
        let seconds = pass.los_unix_ms.saturating_sub(pass.aos_unix_ms) / 1000;
        let aos = format!("AOS {} for {seconds} s{top}{stale}", pass.station);
        let los = format!("LOS {}", pass.station);
        [(pass.aos_unix_ms, aos), (pass.los_unix_ms, los)]
    });
    let (start, until) = trial.span;
    rows.filter(|(at, _)| (start..=until).contains(at))
        .map(|(unix_ms, text)| Row { unix_ms, what: What::Pass { text } })
        .collect()
}

/// When an entry would be due, as its plan says it.
fn trigger_of(plans: &[Plan], name: &str, entry: u16) -> String {
    let plan = plans.iter().find(|plan| plan.name == name);
    let found = plan.and_then(|plan| Some((plan, plan.entry(entry.checked_sub(1)?)?)));
    let orders = Dictionary::default();
    found.map_or_else(String::new, |(plan, entry)| {
        let when = plan.show_trigger(entry, &orders).unwrap_or_default();
        let what = plan.show_action(entry, &orders).unwrap_or_default();
        format!("{when} {what}")
    })
}

impl Timeline {
    /// Entries whose order would never be given.
    #[must_use]
    pub fn never(&self) -> usize {
        self.never.len()
    }

    /// As text for a screen of 80 columns.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut day = String::new();
        for row in &self.rows {
            let at = show_utc(row.unix_ms / 1000 * 1000);
            let (date, time) = at.trim_end_matches('Z').split_once('T').unwrap_or((&at, ""));
            if date != day {
                let _ = writeln!(out, "{date}");
                date.clone_into(&mut day);
            }
            row.write(time, &mut out);
        }
        self.write_end(&mut out);
        out
    }

    fn write_end(&self, out: &mut String) {
        let Totals { orders, aired: Aired { heard_ms, unheard_ms, carried_bytes } } = self.totals;
        let volume = super::effects::megabytes(carried_bytes);
        let opener = match self.transmit {
            TransmitMode::Bus => " (what the bus computer opens not counted)",
            TransmitMode::Plan => " (the pass plan opens it)",
            TransmitMode::Always => " (it is always open)",
            TransmitMode::Manual => "",
        };
        let open = format!(
            "transmitter{opener}: heard for {} s, unheard for {} s",
            heard_ms / 1000,
            unheard_ms / 1000
        );
        put(out, "", &format!("{orders} orders; {open}; up to {volume}"));
        if let Some(at) = self.rests_unix_ms {
            let at = show_utc(at / 1000 * 1000);
            put(
                out,
                "",
                &format!("safe mode from {at} on: plans rest until `safe leave`, and the forecast ends"),
            );
        }
        for (plan, entry, text) in &self.never {
            put(out, "", &format!("never: {plan} entry {entry}: {text}"));
        }
        if self.cut {
            put(out, "", "the forecast is longer than can be shown, and was cut");
        }
    }

    /// As a document of `"schema": 1`.
    #[must_use]
    pub fn json(&self) -> Value {
        let rows: Vec<_> = self.rows.iter().map(Row::json).collect();
        let never = self
            .never
            .iter()
            .map(|(plan, entry, text)| json!({ "plan": plan, "entry": entry, "text": text }));
        json!({
            "schema": 1,
            "steps": rows,
            "never": never.collect::<Vec<_>>(),
            "orders": self.totals.orders,
            "transmit": self.transmit.name(),
            "heard_ms": self.totals.aired.heard_ms,
            "unheard_ms": self.totals.aired.unheard_ms,
            "carried_bytes": self.totals.aired.carried_bytes,
            "rests_unix_ms": self.rests_unix_ms,
            "cut": self.cut,
        })
    }
}

impl Row {
    fn write(&self, time: &str, out: &mut String) {
        match &self.what {
            What::Order { run, words, text, done } => {
                let place = format!("{}:{}", run.plan, run.entry);
                put(out, &format!("{time}  "), &format!("{place} {words}"));
                let mark = if *done { "→ " } else { "fails: " };
                put(out, INDENT, &format!("{mark}{text}"));
            }
            What::Told { severity, text } => put(out, &format!("{time}  "), &format!("{severity}: {text}")),
            What::Pass { text } => put(out, &format!("{time}  "), &format!("── {text}")),
        }
    }

    fn json(&self) -> Value {
        let mut value = match &self.what {
            What::Order { run, words, text, done } => json!({
                "kind": "order", "plan": run.plan, "entry": run.entry, "occurrence": run.occurrence,
                "attempt": run.attempt, "order": words, "effect": text, "done": done,
            }),
            What::Told { severity, text } => json!({ "kind": "event", "severity": severity, "text": text }),
            What::Pass { text } => json!({ "kind": "pass", "text": text }),
        };
        value["unix_ms"] = self.unix_ms.into();
        value
    }
}

/// Adds a line, broken at blanks where it would be wider than a screen.
fn put(out: &mut String, head: &str, text: &str) {
    let mut line = head.to_owned();
    let mut used = head.chars().count();
    let mut empty = true;
    for word in text.split(' ') {
        let width = word.chars().count();
        if !empty && used + 1 + width > COLUMNS {
            let _ = writeln!(out, "{line}");
            INDENT.clone_into(&mut line);
            (used, empty) = (INDENT.len(), true);
        }
        if !empty {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        (used, empty) = (used + width, false);
    }
    let _ = writeln!(out, "{line}");
}

/// The text of a plan, from the plan.
///
/// # Errors
/// It was compiled for another dictionary.
pub fn show(plan: &Plan) -> Result<String> {
    let orders = Dictionary::default();
    let own = orders.dictionary_digest();
    passband_proto::plan::write(plan, &orders).map_err(|e| {
        anyhow!(
            "{e}: compiled for dictionary {:08x}, this program's is {:08x}",
            u32::from_be_bytes(plan.dictionary),
            u32::from_be_bytes(own)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_flight::passes::Source;

    const START: u64 = 1_796_119_200_000;

    fn trial() -> Trial {
        let pass = Pass {
            aos_unix_ms: START + 600_000,
            los_unix_ms: START + 1_000_000,
            station: "Svalbard".into(),
            rate_bps: None,
            max_elevation_deg: Some(41.0),
            source: Source::Predicted,
            stale: false,
        };
        let span = (START, START + 86_400_000);
        Trial {
            span,
            passes: vec![pass],
            happens: Vec::new(),
            fails: Vec::new(),
            transmit: TransmitMode::Bus,
            rate_bps: 40_000_000,
        }
    }

    fn plan(text: &str) -> Plan {
        let text = format!("plan night\nversion 1\n{text}");
        passband_proto::plan::compile(&text, "p", &Dictionary::default()).unwrap()
    }

    const TEXT: &str =
        "aos Svalbard +10s do pass start 300\nlos any do queue hold 3fa1\nevent disk-full do blackbox send\n";

    #[test]
    fn a_plan_is_played_and_what_never_comes_is_told() {
        let timeline = forecast(&[plan(TEXT)], &trial()).unwrap();
        let text = timeline.text();
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        for part in [
            "2026-12-01",
            "10:10:00  ── AOS Svalbard for 400 s, 41° high",
            "10:10:10  night:1 pass start 300 --rate 0",
            "stations listen for 300 s of it",
            "10:16:40  night:2 queue hold 3fa1",
            "up to 1500.0 MB",
            "never: night entry 3: event disk-full do blackbox send",
        ] {
            let unbroken = text.replace(&format!("\n{INDENT}"), " ");
            assert!(unbroken.contains(part), "{part}:\n{text}");
        }
        assert_eq!((timeline.never(), timeline.json()["carried_bytes"].as_u64()), (1, Some(1_500_000_000)));
    }

    #[test]
    fn assumptions_have_events_come_and_orders_fail() {
        let mut trial = trial();
        trial.happens = vec![super::super::assume::parse_event("+5min disk-full", START).unwrap()];
        trial.fails = vec!["blackbox".to_owned()];
        let text = forecast(&[plan(TEXT)], &trial).unwrap().text();
        assert!(
            text.contains("10:05:00  night:3 blackbox send\n                fails: assumed to fail"),
            "{text}"
        );
    }

    #[test]
    fn plans_rest_in_safe_mode_and_the_transmitter_is_opened_as_configured() {
        let text = "aos Svalbard +10s do queue hold 3fa1\nafter 15min do safe enter\nlos any do queue release 3fa1\n";
        let timeline = forecast(&[plan(text)], &Trial { transmit: TransmitMode::Plan, ..trial() }).unwrap();
        let told = timeline.text().replace(&format!("\n{INDENT}"), " ");
        for part in [
            "2 orders; transmitter (the pass plan opens it): heard for 300 s, unheard for 0 s; up to 1500.0 MB",
            "safe mode from 2026-12-01T10:15:00Z on: plans rest until `safe leave`, and the forecast ends",
            "never: night entry 3: los any do queue release 3fa1",
        ] {
            assert!(told.contains(part), "{part}:\n{told}");
        }
        assert_eq!(timeline.json()["rests_unix_ms"], START + 900_000);
        let always = forecast(&[plan(TEXT)], &Trial { transmit: TransmitMode::Always, ..trial() }).unwrap();
        assert!(always.text().contains("fails: the transmitter is always open"), "{}", always.text());
        let slow = "plan night\nversion 1\nafter 1s do pass start 300 --rate 500\n";
        let refused = passband_proto::plan::compile(slow, "p", &Dictionary::default()).unwrap_err();
        assert!(refused[0].what.contains("from 1000 to 10000000000 or 0"), "{refused:?}");
        let at_once = plan("after 1s do safe enter\nafter 1s do queue hold 3fa1\nafter 2s do ping\n");
        let at_once = forecast(&[at_once], &trial()).unwrap();
        assert_eq!((at_once.json()["orders"].as_u64(), at_once.never()), (Some(2), 1), "{}", at_once.text());
    }

    #[test]
    fn a_plan_is_shown_as_its_text_and_only_by_its_dictionary() {
        let mut plan = plan(TEXT);
        let text = show(&plan).unwrap();
        assert_eq!(passband_proto::plan::compile(&text, "p", &Dictionary::default()).unwrap(), plan);
        plan.dictionary = [0; 4];
        assert!(show(&plan).unwrap_err().to_string().contains("dictionary 00000000"));
        let refused = passband_proto::plan::compile(
            "plan x\nversion 1\nafter 1s do board reboot\n",
            "p",
            &Dictionary::default(),
        );
        assert!(refused.unwrap_err()[0].to_string().contains("takes two steps"));
    }
}
