//! One measured figure beside its target.

use std::fmt;

use serde::Serialize;

/// Which way a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Op {
    /// The figure may be at most the target.
    #[serde(rename = "<=")]
    AtMost,
    /// The figure must be at least the target.
    #[serde(rename = ">=")]
    AtLeast,
}

/// A figure, its target, and a peer's figure where there is one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    schema: u32,
    area: &'static str,
    /// The group of rows it belongs to: what `--only` takes.
    pub group: &'static str,
    /// What was measured, on what.
    pub what: String,
    /// The figure; none if it never came about.
    pub value: Option<f64>,
    /// Its unit; `1` for a plain number.
    pub unit: &'static str,
    /// Which way it is better.
    pub op: Op,
    /// The target; none where the peer's figure is the target and the peer never got there.
    pub target: Option<f64>,
    /// Whether the target is met.
    pub met: bool,
    /// Whom the figure is compared with.
    pub peer: Option<String>,
    /// The peer's figure; none if it never came about or was not measured, which `note` says.
    pub peer_value: Option<f64>,
    /// What else there is to say.
    pub note: Option<String>,
}

impl Row {
    /// A figure against a fixed target.
    #[must_use]
    pub fn new(
        group: &'static str,
        what: impl Into<String>,
        value: Option<f64>,
        unit: &'static str,
        op: Op,
        target: f64,
    ) -> Self {
        let value = value.filter(|v| v.is_finite());
        let met = value.is_some_and(|v| meets(v, op, target));
        Self {
            schema: 1,
            area: "",
            group,
            what: what.into(),
            value,
            unit,
            op,
            target: Some(target),
            met,
            peer: None,
            peer_value: None,
            note: None,
        }
    }

    /// A figure that has to be as good as a peer's, whatever that is. `peer_value` is `None` for a peer
    /// that never got there: then any figure is ahead of it.
    #[must_use]
    pub fn against(
        group: &'static str,
        what: impl Into<String>,
        (value, unit, op): (Option<f64>, &'static str, Op),
        peer: impl Into<String>,
        peer_value: Option<f64>,
    ) -> Self {
        let mut row = Self::new(group, what, value, unit, op, peer_value.unwrap_or_default());
        row.target = peer_value;
        row.met = row.value.is_some_and(|v| peer_value.is_none_or(|p| meets(v, op, p)));
        row.beside(peer, peer_value)
    }

    /// Puts a peer's figure beside it; the target stays what it is.
    #[must_use]
    pub fn beside(mut self, peer: impl Into<String>, value: Option<f64>) -> Self {
        self.peer = Some(peer.into());
        self.peer_value = value.filter(|v| v.is_finite());
        self
    }

    /// Says which area it belongs to.
    #[must_use]
    pub(super) fn of(mut self, area: &'static str) -> Self {
        self.area = area;
        self
    }

    /// Adds a remark.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

fn meets(value: f64, op: Op, target: f64) -> bool {
    match op {
        Op::AtMost => value <= target,
        Op::AtLeast => value >= target,
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::AtMost { "<=" } else { ">=" })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.unit == "1" { "" } else { self.unit };
        let figure = |v: Option<f64>| v.map_or_else(|| "never".to_owned(), short);
        let sign = if self.met { "ok  " } else { "MISS" };
        let target = self.target.map_or_else(String::new, |t| format!(" ({} {})", self.op, short(t)));
        write!(f, "{sign} {:>10} {unit:<5}{target:<12} {}", figure(self.value), self.what)?;
        if let Some(peer) = &self.peer {
            write!(f, "; {peer}: {}", figure(self.peer_value))?;
        }
        match &self.note {
            Some(note) => write!(f, "\n       {note}"),
            None => Ok(()),
        }
    }
}

/// A number with as many digits as tell something.
fn short(value: f64) -> String {
    if value == 0.0 || (value.fract() == 0.0 && value.abs() < 1e12) {
        return format!("{value:.0}");
    }
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.01 => format!("{value:.4}"),
        _ => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_meets_its_target_or_not() {
        let row = |value, op| Row::new("g", "w", value, "1", op, 2.0);
        assert!(row(Some(2.0), Op::AtMost).met && row(Some(2.0), Op::AtLeast).met);
        assert!(row(Some(1.9), Op::AtMost).met && !row(Some(1.9), Op::AtLeast).met);
        for none in [None, Some(f64::NAN), Some(f64::INFINITY)] {
            let row = row(none, Op::AtMost);
            assert!(!row.met && row.value.is_none(), "no figure meets no target");
        }
    }

    #[test]
    fn a_peer_that_never_gets_there_is_beaten_by_who_does() {
        let row = |value, peer| Row::against("g", "w", (value, "1", Op::AtMost), "p", peer);
        assert!(row(Some(3.0), None).met);
        assert!(!row(None, None).met, "nobody got there");
        assert!(row(Some(3.0), Some(3.0)).met && !row(Some(3.0), Some(2.9)).met);
    }

    #[test]
    fn json_has_the_fields_of_the_interface() {
        let row = Row::new("g", "w", Some(1.5), "s", Op::AtMost, 2.0).beside("p", Some(3.0)).of("transfer");
        let json = serde_json::to_value(row).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "schema": 1, "area": "transfer", "group": "g", "what": "w", "value": 1.5, "unit": "s",
                "op": "<=", "target": 2.0, "met": true, "peer": "p", "peer_value": 3.0, "note": null,
            })
        );
    }
}
