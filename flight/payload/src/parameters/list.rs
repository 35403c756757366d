//! What the parameters are: as rows, as packets, for a screen of 80 columns, and as JSON.
//!
//! The document, `"schema": 1`: `state`, `version`, `digest` (hexadecimal), `left_ms` (while on trial), `warnings`, and
//! `parameters`: of each `name`, `value`, `configured`, `staged` (if it is), `unit`, `least` and `most` (of numbers),
//! `restarts`, `on_trial`, and, if it was ever changed, `change`: `source`, `number`, `unix_ms`, `version`.

use passband_proto::dict::{FixedText, PARAMETERS, Parameter, ParameterDef, ParameterId, ParametersState};
use serde::{Deserialize, Serialize};

use super::set::{Change, OrderId};
use super::{Now, Parameters, apply};
use crate::command::hex;
use crate::command::text::{cut, date, wrap};
use crate::telemetry::SCHEMA;

/// Columns of a screen.
const COLUMNS: usize = 80;
/// Lines of a screen that rows may fill.
const LIST_LINES: usize = 18;

/// A parameter, as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The value in force.
    pub value: String,
    /// What the configuration file says.
    pub configured: String,
    /// What is staged, "default" for what the configuration file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<String>,
    /// Its unit.
    pub unit: String,
    /// The least number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<f64>,
    /// The greatest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<f64>,
    /// Whether the daemon is started anew for a change to count.
    pub restarts: bool,
    /// Whether the value in force is on trial.
    pub on_trial: bool,
    /// Who changed it, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Provenance>,
}

/// Who changed a parameter, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The order.
    #[serde(flatten)]
    pub by: OrderId,
    /// When, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// The version that it came with.
    pub version: u32,
}

/// All parameters, and how they stand.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    schema: u32,
    /// Whether what is in force is confirmed.
    pub state: ParametersState,
    /// The version in force.
    pub version: u32,
    /// SHA-256 of the changes in force.
    pub digest: String,
    /// The time left to confirm, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
    /// What is kept and not used.
    pub warnings: Vec<String>,
    /// The parameters.
    pub parameters: Vec<Row>,
}

impl Parameters {
    /// All parameters, by their numbers.
    pub fn list(&self) -> Vec<Row> {
        let mut configured = apply(&self.configured, core::iter::empty());
        let mut effective = self.effective.clone();
        let row = |def: &'static ParameterDef| {
            let change = self.state.in_force.get(def.id);
            let before = self.state.trial.as_ref().map(|trial| trial.before.get(def.id));
            let numbers = def.least > f64::MIN;
            Row {
                name: def.id.name().to_owned(),
                value: effective.text(def.id),
                configured: configured.text(def.id),
                staged: self.state.staged.get(def.id).map(text_of),
                unit: def.unit.to_owned(),
                least: numbers.then_some(def.least),
                most: numbers.then_some(def.most),
                restarts: def.restarts,
                on_trial: before.is_some_and(|before| before != change),
                change: change.map(|c| Provenance { by: c.by, unix_ms: c.unix_ms, version: c.version }),
            }
        };
        PARAMETERS.iter().map(row).collect()
    }

    /// All of it, for [`Summary::text`] and JSON; only parameters whose names begin so.
    pub fn summary(&self, prefix: &str, now: Now) -> Summary {
        let mut parameters = self.list();
        parameters.retain(|row| row.name.starts_with(prefix));
        Summary {
            schema: SCHEMA,
            state: self.state(),
            version: self.version(),
            digest: hex(&self.digest()),
            left_ms: self.time_left_ms(now),
            warnings: self.warnings(),
            parameters,
        }
    }

    /// The packet of each parameter.
    pub fn packets(&self) -> Vec<Parameter> {
        let lost = self.state() == ParametersState::Damaged;
        let packet = |row: Row| {
            let state = match () {
                () if row.on_trial => ParametersState::OnTrial,
                () if lost => ParametersState::Damaged,
                () => ParametersState::Confirmed,
            };
            let change = row.change.unwrap_or_default();
            Some(Parameter {
                id: ParameterId::from_name(&row.name)?,
                value: FixedText::cut(&row.value),
                staged: FixedText::cut(row.staged.as_deref().unwrap_or_default()),
                state,
                source: change.by.source,
                number: change.by.number,
                unix: change.unix_ms,
            })
        };
        self.list().into_iter().filter_map(packet).collect()
    }
}

impl Default for Provenance {
    fn default() -> Self {
        Self { by: OrderId { source: 0, number: 0 }, unix_ms: 0, version: 0 }
    }
}

fn text_of(change: &Change) -> String {
    match change.value.as_deref() {
        None => "default".to_owned(),
        Some("") => "\"\"".to_owned(),
        Some(value) => value.to_owned(),
    }
}

impl Summary {
    /// For a screen: one parameter in full, or a line for each; of all of them only those that are changed or staged,
    /// when the others don't fit.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.head(&mut out);
        match &self.parameters[..] {
            [] => out.push_str("no parameter's name begins so\n"),
            [row] => row.full(&mut out),
            rows if rows.len() <= LIST_LINES => table(rows.iter(), &mut out),
            rows => few(rows, &mut out),
        }
        for warning in self.warnings.iter().take(2) {
            line(&mut out, &format!("! {warning}"));
        }
        out
    }

    fn head(&self, out: &mut String) {
        let digest = self.digest.get(..8).unwrap_or_default();
        let left = self.left_ms.map_or_else(String::new, |ms| {
            let s = ms / 1000;
            format!(", {} h {:02} min {:02} s left to confirm", s / 3600, s / 60 % 60, s % 60)
        });
        line(out, &format!("parameters {}, version {}, digest {digest}{left}", self.state, self.version));
    }
}

/// Of many rows those that say something, and what else there is.
fn few(rows: &[Row], out: &mut String) {
    let told = rows.iter().filter(|row| row.change.is_some() || row.staged.is_some());
    let count = told.clone().count();
    table(told.take(LIST_LINES - 3), out);
    if count > LIST_LINES - 3 {
        line(out, &format!("and {} more that are changed or staged", count - (LIST_LINES - 3)));
    }
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for row in rows {
        let group = row.name.split_once('.').map_or(row.name.as_str(), |(group, _)| group);
        match groups.last_mut().filter(|(last, _)| *last == group) {
            Some((_, count)) => *count += 1,
            None => groups.push((group, 1)),
        }
    }
    let groups = groups.iter().map(|(group, count)| format!("{group}. {count}")).collect::<Vec<_>>();
    let (first, second) = groups.split_at(groups.len().div_ceil(2));
    line(out, &format!("all: {},", first.join(", ")));
    line(out, &format!("     {}", second.join(", ")));
}

fn table<'a>(rows: impl Iterator<Item = &'a Row>, out: &mut String) {
    for (nth, row) in rows.enumerate() {
        if nth == 0 {
            columns(out, ["name", "value", "staged", "unit", "from"]);
        }
        let from = match (&row.change, row.on_trial) {
            (None, _) => "config".to_owned(),
            (Some(change), true) => format!("v{}, on trial", change.version),
            (Some(change), false) => format!("v{}", change.version),
        };
        let staged = row.staged.as_deref().unwrap_or_default();
        columns(out, [&row.name, &row.value, staged, &row.unit, &from]);
    }
}

fn columns(out: &mut String, [name, value, staged, unit, from]: [&str; 5]) {
    let (value, staged) = (cut(value, 16), cut(staged, 16));
    line(out, &format!("{name:<26} {value:<16} {staged:<16} {unit:<5} {from}"));
}

impl Row {
    /// What it says; nothing of one that this program doesn't know.
    fn doc(&self) -> &'static str {
        let def = ParameterId::from_name(&self.name).and_then(ParameterDef::get);
        def.map_or("", |def| def.doc.trim())
    }

    /// Everything about it.
    fn full(&self, out: &mut String) {
        line(out, &format!("{} = {} {}", self.name, self.value, self.unit));
        wrap(self.doc(), 4, out);
        if let (Some(least), Some(most)) = (self.least, self.most) {
            line(out, &format!("  range       {least} to {most} {}", self.unit));
        }
        line(out, &format!("  configured  {}", self.configured));
        if let Some(staged) = &self.staged {
            line(out, &format!("  staged      {staged}"));
        }
        if let Some(change) = &self.change {
            let trial = if self.on_trial { ", on trial" } else { "" };
            let Provenance { by, unix_ms, version } = change;
            line(out, &format!("  changed     {}, by {by}, version {version}{trial}", date(*unix_ms)));
        }
        if self.restarts {
            line(out, "  a change counts once the daemon has started anew, which it does by itself");
        }
    }
}

fn line(out: &mut String, text: &str) {
    // What is staged may come of another version, with any characters.
    let plain: String = text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    out.push_str(&cut(&plain, COLUMNS));
    out.push('\n');
}
