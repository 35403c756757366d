//! What was ordered, and the keys of the uplink, as the operator sees them.

use passband_proto::sdls::{AssociationStatus, Reason};
use serde::{Deserialize, Serialize};

use super::date;
use crate::orders::{OrderId, Record};

/// Most orders of an answer.
pub const MAX_ORDERS: usize = 1_000;

/// Orders in an answer unless the request says how many.
pub const DEFAULT_ORDERS: usize = 20;

/// The answer to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderAnswer {
    /// [`SCHEMA`](crate::telemetry::SCHEMA).
    pub schema: u32,
    /// The order, and where it stands.
    #[serde(flatten)]
    pub row: OrderRow,
}

/// An order, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRow {
    /// By whom it was given, and the number: `2/17`, `shell/4`, `plan/9`.
    pub id: String,
    /// Its words.
    pub order: String,
    /// "accepted", "refused", "armed", "started", "done" or "failed".
    pub stage: String,
    /// Why it was refused or failed; "none" if it wasn't.
    pub reason: String,
    /// More about it.
    pub text: String,
    /// When it was taken, ms since 1970-01-01 UTC.
    pub taken_unix_ms: u64,
    /// Since when it stands so, ms since 1970-01-01 UTC.
    pub changed_unix_ms: u64,
    /// Whether the ground has the answer.
    pub seen: bool,
}

impl OrderRow {
    /// An order as it is remembered.
    pub fn new(id: OrderId, record: &Record) -> Self {
        Self {
            id: id.to_string(),
            order: record.words(),
            stage: record.stage.name().to_owned(),
            reason: record.reason.name().to_owned(),
            text: record.text.clone(),
            taken_unix_ms: record.taken_unix_ms,
            changed_unix_ms: record.changed_unix_ms,
            seen: record.seen,
        }
    }

    /// Whether it was refused or failed.
    pub fn is_bad(&self) -> bool {
        matches!(self.stage.as_str(), "refused" | "failed")
    }
}

/// The answer to a question for orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrdersAnswer {
    /// [`SCHEMA`](crate::telemetry::SCHEMA).
    pub schema: u32,
    /// The orders that are armed.
    pub armed: Vec<String>,
    /// The newest, oldest first.
    pub orders: Vec<OrderRow>,
}

/// A key of the uplink. Never shows any of its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// Its security association.
    pub spi: u16,
    /// Who holds it.
    pub role: String,
    /// "operational", "retired" or "unsynchronised".
    pub state: String,
    /// The highest counter that was taken, if it is known.
    pub highest: Option<u64>,
    /// Frames taken since the start.
    pub taken: u32,
    /// Frames refused since the start.
    pub refused: u32,
}

impl KeyRow {
    /// A key, as the receiving end has it.
    pub fn new(status: &AssociationStatus) -> Self {
        Self {
            spi: status.spi,
            role: status.role.name().to_owned(),
            state: status.state.name().to_owned(),
            highest: status.highest,
            taken: status.counts.accepted,
            refused: status.counts.all_rejected(),
        }
    }
}

/// The answer to a question for the uplink's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysAnswer {
    /// [`SCHEMA`](crate::telemetry::SCHEMA).
    pub schema: u32,
    /// What a re-synchronisation has to say, 16 hexadecimal digits.
    pub challenge: Option<String>,
    /// Whether orders and counters are kept in memory, as they can't be written.
    pub in_memory: bool,
    /// Frames refused since the start, by reason; those of which there are any.
    pub refused: Vec<(String, u32)>,
    /// The keys.
    pub keys: Vec<KeyRow>,
}

impl KeysAnswer {
    /// Counts by reason, of those that there are.
    pub fn refusals(counts: &passband_proto::sdls::Counts) -> Vec<(String, u32)> {
        let all = Reason::ALL.iter().map(|reason| (reason.name().to_owned(), counts.rejected(*reason)));
        all.filter(|(_, count)| *count > 0).collect()
    }
}

/// An order and where it stands, on a line or two.
pub fn order_text(row: &OrderRow) -> String {
    let mut text = format!("{} {}: {}", row.id, row.order, row.stage);
    if row.reason != "none" {
        put!(text, " ({})", row.reason);
    }
    if !row.text.is_empty() {
        put!(text, ": {}", row.text);
    }
    text.push('\n');
    text
}

/// `passband orders`.
pub fn orders_text(answer: &OrdersAnswer) -> String {
    let mut out = String::new();
    if !answer.armed.is_empty() {
        let line = format!("ARMED: {}", answer.armed.join(", "));
        out.extend(line.chars().take(80));
        out.push('\n');
    }
    if answer.orders.is_empty() {
        out += "no orders\n";
    }
    for row in &answer.orders {
        let line = format!("{} {}", date(row.changed_unix_ms), order_text(row).trim_end());
        let cut: String = line.chars().take(80).collect();
        out += &cut;
        out.push('\n');
    }
    out
}

/// `passband keys`.
pub fn keys_text(answer: &KeysAnswer) -> String {
    let mut out = format!(
        "{:>5}  {:<9} {:<15} {:>20} {:>9} {:>9}\n",
        "spi", "role", "state", "highest", "taken", "refused"
    );
    for key in &answer.keys {
        let highest = key.highest.map_or_else(|| "unknown".to_owned(), |highest| highest.to_string());
        put!(
            out,
            "{:>5}  {:<9} {:<15} {:>20} {:>9} {:>9}\n",
            key.spi,
            key.role,
            key.state,
            highest,
            key.taken,
            key.refused
        );
    }
    if answer.keys.is_empty() {
        out.clear();
        out += "no command keys: orders are taken from shells only\n";
    }
    if answer.in_memory {
        out += "orders and counters are kept in memory: a restart forgets them\n";
    }
    if let Some(challenge) = &answer.challenge {
        put!(out, "challenge {challenge}\n");
    }
    let refused: Vec<_> = answer.refused.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    if !refused.is_empty() {
        put!(out, "refused: {}\n", refused.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fit_a_screen() {
        let row = OrderRow {
            id: "2/17".into(),
            order: format!("script run {}", "x".repeat(300)),
            stage: "failed".into(),
            reason: "timed-out".into(),
            text: "300 s".into(),
            taken_unix_ms: 1_800_000_000_000,
            changed_unix_ms: 1_800_000_000_000,
            seen: false,
        };
        let answer = OrdersAnswer { schema: 1, armed: vec!["2/18".into()], orders: vec![row.clone(); 20] };
        let text = orders_text(&answer);
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(order_text(&row).ends_with(": failed (timed-out): 300 s\n") && row.is_bad());
    }
}
