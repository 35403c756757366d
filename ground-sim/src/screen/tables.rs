//! The newest packet of each parameter, upload, plan and script: what the satellite keeps a packet each of.
//!
//! An older packet never replaces a newer one. Of each kind so many are kept, the ones heard of last.

use std::collections::BTreeMap;

use passband_proto::dict::{
    Parameter, ParameterId, ParametersState, Plan, PlanState, Reason, Script, ScriptEnd, Upload, UploadFate,
    UploadKind,
};
use serde::Serialize;

use crate::uplink::hold::ARM_S;

/// Most of each kind.
const MOST: usize = 64;

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownParameter {
    /// Its name.
    pub name: &'static str,
    /// What is in force, as text.
    pub value: String,
    /// What is staged; none: nothing.
    pub staged: Option<String>,
    /// Whether what is in force is on trial.
    pub state: ParametersState,
    /// When it was changed, ms since 1970-01-01 UTC; 0: never.
    pub changed_unix_ms: u64,
}

/// Something that comes up in pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownUpload {
    /// The first bytes of its SHA-256, hexadecimal.
    pub id: String,
    /// What it is.
    pub kind: UploadKind,
    /// What it is called.
    pub name: String,
    /// Its size, bytes.
    pub bytes: u32,
    /// Its pieces.
    pub pieces: u32,
    /// Those that are missing.
    pub missing: u32,
    /// What becomes of it.
    pub fate: UploadFate,
    /// Why it was refused, or can't be taken now.
    pub reason: Reason,
}

/// A plan on board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownPlan {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u16,
    /// Where it stands.
    pub state: PlanState,
    /// Its entries.
    pub entries: u16,
    /// Those that are done.
    pub done: u16,
    /// Those that failed.
    pub failed: u16,
    /// When the next one comes, ms since 1970-01-01 UTC; none: it isn't known.
    pub next_unix_ms: Option<u64>,
    /// What that does.
    pub next_order: String,
}

/// A run of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownScript {
    /// The script.
    pub name: String,
    /// By which way the order came that began it.
    pub source: u16,
    /// That order's number.
    pub number: u32,
    /// How it ended.
    pub end: ScriptEnd,
    /// The number of its exit or signal.
    pub status: u8,
    /// How long it ran, ms.
    pub ran_ms: u32,
    /// The first of what it wrote.
    pub text: String,
}

/// Rows by key, each with the time of the packet that said it, ms since 1970-01-01 UTC.
#[derive(Debug)]
struct Rows<K, R>(BTreeMap<K, (u64, R)>);

impl<K, R> Default for Rows<K, R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, R> Rows<K, R> {
    fn put(&mut self, key: K, unix_ms: u64, row: R) {
        let Self(rows) = self;
        if rows.get(&key).is_some_and(|(known, _)| *known > unix_ms) {
            return;
        }
        rows.insert(key, (unix_ms, row));
        if rows.len() > MOST
            && let Some(oldest) = rows.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone())
        {
            rows.remove(&oldest);
        }
    }

    fn rows(&self) -> impl Iterator<Item = &R> {
        self.0.values().map(|(_, row)| row)
    }
}

/// All of these.
#[derive(Debug, Default)]
pub struct Tables {
    parameters: Rows<u16, ShownParameter>,
    uploads: Rows<[u8; 4], ShownUpload>,
    plans: Rows<String, ShownPlan>,
    scripts: Rows<(u16, u32), ShownScript>,
}

impl Tables {
    /// Takes a parameter's packet, made at `unix_ms`.
    pub fn parameter(&mut self, packet: &Parameter, unix_ms: u64) {
        let staged = packet.staged.0.as_str().to_owned();
        let row = ShownParameter {
            name: packet.id.name(),
            value: packet.value.0.as_str().to_owned(),
            staged: (!staged.is_empty()).then_some(staged),
            state: packet.state,
            changed_unix_ms: packet.unix,
        };
        self.parameters.put(packet.id.code(), unix_ms, row);
    }

    /// Takes an upload's packet.
    pub fn upload(&mut self, packet: &Upload, unix_ms: u64) {
        let row = ShownUpload {
            id: crate::station::hex(&packet.id),
            kind: packet.kind,
            name: packet.name.0.as_str().to_owned(),
            bytes: packet.size,
            pieces: packet.pieces,
            missing: packet.missing.min(packet.pieces),
            fate: packet.fate,
            reason: packet.reason,
        };
        self.uploads.put(packet.id, unix_ms, row);
    }

    /// Takes a plan's packet.
    pub fn plan(&mut self, packet: &Plan, unix_ms: u64) {
        let name = packet.name.0.as_str().to_owned();
        let row = ShownPlan {
            name: name.clone(),
            version: packet.version,
            state: packet.state,
            entries: packet.entries,
            done: packet.done,
            failed: packet.failed,
            next_unix_ms: (packet.next_unix > 0).then_some(packet.next_unix),
            next_order: packet.next_order.0.as_str().to_owned(),
        };
        self.plans.put(name, unix_ms, row);
    }

    /// Takes a script's packet.
    pub fn script(&mut self, packet: &Script, unix_ms: u64) {
        let row = ShownScript {
            name: packet.name.0.as_str().to_owned(),
            source: packet.source,
            number: packet.number,
            end: packet.end,
            status: packet.status,
            ran_ms: packet.ran,
            text: packet.text.0.as_str().to_owned(),
        };
        self.scripts.put((packet.source, packet.number), unix_ms, row);
    }

    /// Parameters that somebody should know of: changed, staged or on trial, by their codes.
    pub fn parameters(&self) -> impl Iterator<Item = &ShownParameter> {
        let of_note = |p: &&ShownParameter| {
            p.staged.is_some() || p.changed_unix_ms > 0 || p.state != ParametersState::Confirmed
        };
        self.parameters.rows().filter(of_note)
    }

    /// For how long orders stay armed on board, ms, if the satellite said so.
    pub fn arm_ms(&self) -> Option<u64> {
        let Rows(rows) = &self.parameters;
        let (_, row) = rows.get(&ParameterId::ArmFor.code())?;
        row.value.parse().ok().filter(|s| ARM_S.contains(s)).map(|s: u64| s * 1000)
    }

    /// Uploads, by their ids.
    pub fn uploads(&self) -> impl Iterator<Item = &ShownUpload> {
        self.uploads.rows()
    }

    /// Plans, by their names.
    pub fn plans(&self) -> impl Iterator<Item = &ShownPlan> {
        self.plans.rows()
    }

    /// Runs of scripts.
    pub fn scripts(&self) -> impl Iterator<Item = &ShownScript> {
        self.scripts.rows()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::dict::FixedText;

    fn parameter(value: &str, changed: u64) -> Parameter {
        Parameter {
            id: ParameterId::PowerLimits,
            value: FixedText::cut(value),
            staged: FixedText::default(),
            state: ParametersState::Confirmed,
            source: 2,
            number: 1,
            unix: changed,
        }
    }

    #[test]
    fn an_older_packet_never_replaces_a_newer_one() {
        let mut tables = Tables::default();
        tables.parameter(&parameter("-,-,20,30", 5), 2000);
        tables.parameter(&parameter("-,-,1,2", 4), 1000);
        let shown: Vec<_> = tables.parameters().map(|p| p.value.as_str()).collect();
        assert_eq!(shown, ["-,-,20,30"]);
        tables.parameter(&parameter("-,-,25,30", 0), 3000);
        assert_eq!(tables.parameters().count(), 0, "as it was built, and confirmed");
    }

    #[test]
    fn for_how_long_orders_stay_armed_is_what_is_in_force() {
        let mut tables = Tables::default();
        assert_eq!(tables.arm_ms(), None);
        for (value, wanted) in [("90", Some(90_000)), ("junk", None)] {
            tables.parameter(&Parameter { id: ParameterId::ArmFor, ..parameter(value, 0) }, 1);
            assert_eq!(tables.arm_ms(), wanted);
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut rows = Rows::default();
        (0..1000_u64).for_each(|n| rows.put(n, n, n));
        assert_eq!(rows.rows().copied().collect::<Vec<_>>(), (936..1000).collect::<Vec<_>>());
    }
}
