//! What the tags of packets say: the telemetry keys of a key file, and words for packets under none of them. Keeps no packet.

use std::path::Path;

use passband_proto::keyring::KeyRing;
use passband_proto::keys::TagKey;
use passband_proto::packet::{TAG_BYTES, TelemetryPacket};
use serde::Serialize;

/// What the tag of a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// It was made under one of the keys.
    Verified,
    /// It has no tag, or there is no key to check it with.
    Unverified,
    /// It has a tag that none of the keys makes.
    Forged,
}

/// The keys that tags are checked with.
#[derive(Debug, Default)]
pub struct TagKeys {
    keys: Vec<TagKey>,
    /// What they are called where something is said of them.
    named: String,
    /// Whether it was said that none of them fits.
    told: bool,
}

impl TagKeys {
    /// The telemetry keys of a ring, out of a file.
    #[must_use]
    pub fn new(keys: &KeyRing, file: Option<&Path>) -> Self {
        let named = name_of(keys, file);
        let keys = keys.iter().map(passband_proto::keys::EpochKey::telemetry_key).collect();
        Self { keys, named, told: false }
    }

    /// Whether there is none: then nothing is known of any packet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What is said of packets whose tag none of them makes.
    #[must_use]
    pub fn hint(&self) -> String {
        foreign(&self.named)
    }

    /// What a packet's tag says.
    #[must_use]
    pub fn judge(&self, packet: &TelemetryPacket<'_>) -> Proof {
        if self.keys.is_empty() || packet.tag() == [0; TAG_BYTES] {
            Proof::Unverified
        } else if self.keys.iter().any(|key| packet.verify(key)) {
            Proof::Verified
        } else {
            Proof::Forged
        }
    }

    /// What is to be said of a packet whose tag none of them makes: once.
    pub fn foreign(&mut self, proof: Proof) -> Option<String> {
        if proof != Proof::Forged || std::mem::replace(&mut self.told, true) {
            return None;
        }
        Some(foreign(&self.named))
    }
}

/// What the telemetry keys of a file are called: the file, and whose they are.
fn name_of(keys: &KeyRing, file: Option<&Path>) -> String {
    let file = file.map_or_else(|| "those given".to_owned(), |file| file.display().to_string());
    let keys = keys.iter().map(|key| format!("spacecraft {} epoch {}", key.spacecraft(), key.epoch()));
    format!("{file} ({})", keys.collect::<Vec<_>>().join(", "))
}

/// What is said where telemetry comes under another key than those of a file.
fn foreign(keys: &str) -> String {
    format!(
        "telemetry isn't believed: its key is none of {keys}. Load the key file that the satellite seals it with (its own \
         `keys`); if this is that file, somebody forges telemetry"
    )
}

/// What is said where telemetry comes without a tag, and keys to check it are given with this option.
#[must_use]
pub fn untagged(option: &str) -> String {
    format!(
        "telemetry comes without a tag, and isn't believed since {option} are given: the satellite has no keys, or somebody else \
         sends it. Without {option} it is believed, whoever sent it"
    )
}
