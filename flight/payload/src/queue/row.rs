//! A bundle of the catalogue as the queue takes it, and as people are shown it.

use passband_proto::ids::Class;
use passband_proto::transfer::Progress;
use serde::{Deserialize, Serialize};

use super::item::MAX_UNIX_MS;
use super::{Item, Settings, State, View};
use crate::products::Kind;
use crate::store::BundleRecord;

/// A bundle as `passband queue` lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its place, from 1: what is on the link first, then what waits, then the others.
    pub rank: u64,
    /// Its id, 24 hexadecimal digits.
    pub id: String,
    /// The frame's name; empty if it is about the payload itself.
    pub frame: String,
    /// What it is.
    pub product: Kind,
    /// Name of the product.
    pub name: String,
    /// Its class now.
    pub class: Class,
    /// Name of its tasking.
    pub tasking: String,
    /// Size of the sealed bundle, bytes.
    pub bytes: u64,
    /// How far it is.
    pub state: State,
    /// Whether the operator promoted it.
    pub promoted: bool,
    /// Symbols sent.
    pub sent_symbols: u64,
    /// Symbols it consists of.
    pub source_symbols: u64,
    /// Probability that it is down.
    pub presumed: f64,
    /// When it was made, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// When it is due, ms since 1970-01-01 UTC.
    pub deadline_unix_ms: Option<u64>,
}

impl Row {
    /// The row of a bundle: its record, how it stands, and how far the sender is with it if it has it.
    pub fn new(
        rank: u64,
        record: BundleRecord,
        view: &View,
        progress: Option<&Progress>,
        settings: &Settings,
    ) -> Self {
        let tasking = settings.taskings.get(usize::from(view.item.tasking));
        let standing = &view.standing;
        Self {
            rank,
            id: record.id.to_string(),
            bytes: record.bytes(),
            frame: record.frame_name,
            product: record.kind,
            name: record.name,
            class: view.item.class,
            tasking: tasking.map_or_else(String::new, |tasking| tasking.name.clone()),
            state: view.state,
            promoted: standing.promoted.is_some(),
            sent_symbols: progress.map_or(u64::from(standing.sent_symbols), |p| p.sent_symbols),
            source_symbols: u64::from(view.item.source_symbols),
            presumed: progress.map_or(standing.presumed, |p| p.presumed),
            created_unix_ms: record.created_unix_ms,
            deadline_unix_ms: view.item.deadline_unix_ms,
        }
    }
}

/// A bundle as the queue takes it. A tasking that the settings don't have is the default one.
pub fn item_of(record: &BundleRecord, settings: &Settings) -> Item {
    let geometry = &record.geometry;
    let symbols = (0..geometry.block_count).filter_map(|block| geometry.source_symbols(block));
    Item {
        id: record.id,
        class: record.class,
        kind: record.kind,
        // A clock that stood far off when it was made must not keep it from being sent.
        created_unix_ms: record.created_unix_ms.min(MAX_UNIX_MS),
        deadline_unix_ms: None,
        bytes: record.bytes(),
        source_symbols: symbols.fold(0, u32::saturating_add),
        tasking: settings.number_of(&record.tasking),
    }
}
