//! The order that the daemon still uses: a list sorted anew each time, and the rows it prints.
//!
//! Class first, then evidence before cubes, then age: the oldest first. Pure: handed what is in the store
//! and how far each bundle has got. The queue proper is [`super::Queue`].

use std::cmp::Ordering;

use passband_proto::ids::{BundleId, Class};
use passband_proto::transfer::Progress;
use serde::{Deserialize, Serialize};

use crate::products::Kind;
use crate::store::BundleRecord;
use crate::telemetry::QueueStatus;

/// How far a bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing of it was sent.
    Unsent,
    /// Some of it was sent.
    Sending,
    /// It is down with the probability that its class asks for; it is kept.
    Presumed,
    /// The ground reported that it is whole; it is kept until its room is needed.
    Known,
}

impl State {
    /// The name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unsent => "unsent",
            Self::Sending => "sending",
            Self::Presumed => "presumed",
            Self::Known => "known",
        }
    }

    /// The state of a bundle with this progress.
    pub fn of(progress: Option<&Progress>) -> Self {
        match progress {
            Some(p) if p.known => Self::Known,
            Some(p) if p.reached_target => Self::Presumed,
            Some(p) if p.sent_symbols > 0 => Self::Sending,
            _ => Self::Unsent,
        }
    }
}

/// A bundle as `passband queue` lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its place, from 1.
    pub rank: u64,
    /// Its id, 24 hexadecimal digits.
    pub id: String,
    /// The frame's name.
    pub frame: String,
    /// Name of its [`Kind`].
    pub product: String,
    /// Name of the product.
    pub name: String,
    /// Its class.
    pub class: Class,
    /// Size of the sealed bundle, bytes.
    pub bytes: u64,
    /// How far it is.
    pub state: State,
    /// Symbols sent.
    pub sent_symbols: u64,
    /// Symbols it consists of.
    pub source_symbols: u64,
    /// Probability that it is down.
    pub presumed: f64,
    /// When it was made, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
}

/// Which of two bundles goes first.
pub fn order(a: &BundleRecord, b: &BundleRecord) -> Ordering {
    let key = |r: &BundleRecord| (r.class, r.kind == Kind::Cube, r.created_unix_ms, r.id);
    key(a).cmp(&key(b))
}

/// The place of a bundle among all there ever are: lower goes first. Class, then product, then age in
/// ms, in one number.
pub fn rank(record: &BundleRecord) -> u64 {
    let age = record.created_unix_ms & ((1 << 60) - 1);
    (u64::from(record.class as u8) << 61) | (u64::from(record.kind == Kind::Cube) << 60) | age
}

/// The queue, in order.
pub fn rows(mut bundles: Vec<BundleRecord>, progress: impl Fn(&BundleId) -> Option<Progress>) -> Vec<Row> {
    bundles.sort_by(order);
    let row = |(rank, b): (u64, BundleRecord)| {
        let progress = progress(&b.id);
        let source =
            || (0..b.geometry.block_count).filter_map(|i| b.geometry.source_symbols(i)).map(u64::from).sum();
        Row {
            rank,
            id: b.id.to_string(),
            bytes: b.bytes(),
            state: State::of(progress.as_ref()),
            sent_symbols: progress.map_or(0, |p| p.sent_symbols),
            source_symbols: progress.map_or_else(source, |p| p.source_symbols),
            presumed: progress.map_or(0.0, |p| p.presumed),
            frame: b.frame_name,
            product: b.kind.name().to_owned(),
            name: b.name,
            class: b.class,
            created_unix_ms: b.created_unix_ms,
        }
    };
    (1..).zip(bundles).map(row).collect()
}

/// Counts of the queue by state and class.
pub fn counts(rows: &[Row]) -> QueueStatus {
    let mut out = QueueStatus::default();
    for row in rows {
        match row.state {
            State::Unsent => out.unsent.add(row.class),
            State::Sending => out.sending.add(row.class),
            State::Presumed => out.presumed.add(row.class),
            State::Known => out.known.add(row.class),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::bundle;

    #[test]
    fn class_then_evidence_then_age() {
        let made = [
            bundle(1, Class::Routine, Kind::Cube, 10),
            bundle(2, Class::Routine, Kind::Evidence, 30),
            bundle(3, Class::Routine, Kind::Evidence, 20),
            bundle(4, Class::Alert, Kind::Cube, 99),
            bundle(5, Class::Alert, Kind::Evidence, 100),
            bundle(6, Class::DiscardCandidate, Kind::Evidence, 0),
        ];
        let listed: Vec<u8> = rows(made.to_vec(), |_| None)
            .iter()
            .map(|r| u8::from_str_radix(&r.id[..2], 16).unwrap())
            .collect();
        assert_eq!(listed, [5, 4, 3, 2, 1, 6]);
        let mut by_rank = made;
        by_rank.sort_by_key(rank);
        assert_eq!(by_rank.map(|b| b.id.0[0]), [5, 4, 3, 2, 1, 6], "rank says the same");
    }

    #[test]
    fn states_follow_progress() {
        let made = vec![
            bundle(1, Class::Suspect, Kind::Cube, 1),
            bundle(2, Class::Suspect, Kind::Cube, 2),
            bundle(3, Class::Suspect, Kind::Cube, 3),
            bundle(4, Class::Suspect, Kind::Cube, 4),
        ];
        let progress = |id: &BundleId| {
            let sent_symbols = u64::from(id.0[0]) - 1;
            let reached_target = sent_symbols > 1;
            let known = sent_symbols > 2;
            Some(Progress { sent_symbols, source_symbols: 9, presumed: 0.5, reached_target, known })
        };
        let rows = rows(made, progress);
        assert_eq!(
            rows.iter().map(|r| r.state).collect::<Vec<_>>(),
            [State::Unsent, State::Sending, State::Presumed, State::Known]
        );
        let counts = counts(&rows);
        assert_eq!((counts.unsent.suspect, counts.sending.suspect, counts.presumed.total()), (1, 1, 1));
    }
}
