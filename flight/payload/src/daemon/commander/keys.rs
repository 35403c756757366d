//! The uplink's keys, as the commander has them: read, marked, retired.

use core::fmt;
use std::path::Path;

use passband_proto::dict::EventCode;
use passband_proto::sdls::{Associations, Mark, RoleKeys, State};

use super::record;
use crate::adapters::os::read_secret;
use crate::store::orders::{Change, Kind};
use crate::telemetry::Report;

/// Why the uplink's keys can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFault(String);

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyFault {}

/// The keys of a file, and whether others than its owner can read it.
///
/// # Errors
/// The file can't be read, holds something else, or no key of this spacecraft.
pub(crate) fn read_role_keys(path: &Path, spacecraft: u16) -> Result<(RoleKeys, bool), KeyFault> {
    let fault = |e: &dyn fmt::Display| KeyFault(format!("command key file {}: {e}", path.display()));
    let (text, exposed) = read_secret(path).map_err(|e| fault(&e))?;
    let keys = RoleKeys::parse(&text).map_err(|e| fault(&e))?;
    if keys.iter().all(|key| key.spacecraft() != spacecraft) {
        return Err(fault(&format_args!("it holds no key of spacecraft {spacecraft}")));
    }
    Ok((keys, exposed))
}

/// Tells of keys that have lost their counters, or never had any.
pub(super) fn lost_counters(associations: &Associations) -> Option<Report> {
    let lost: Vec<_> = associations
        .status()
        .filter(|status| status.state == State::Unsynchronised)
        .map(|status| status.spi.to_string())
        .collect();
    if lost.is_empty() {
        return None;
    }
    let text = format!(
        "no counter is known of key {}: a new key is put to use by `passband keys accept SPI`, an old one by a \
         re-synchronisation",
        lost.join(", ")
    );
    Some(Report::critical(EventCode::UplinkCountersLost, text))
}

/// The change that keeps a mark.
pub(super) fn mark_change(mark: &Mark) -> Change {
    record(Kind::Mark, &mark.spi.to_be_bytes(), mark)
}
