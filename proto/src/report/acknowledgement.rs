//! The acknowledgement: which alerts the ground has, told to the satellite over the slow link.
//!
//! Absolute, as a report is: it says what is there, never what is new. Sealed under the report key, numbered
//! with the station's reports, let through by the same [`Gate`](super::Gate). The frame is that of a report
//! (see the module around this one), of kind 2; its body:
//!
//! ```text
//! 0  station u16    2  number u64    10  alerts: number u32 | first 4 bytes of its nonce, 8 bytes each
//! ```
//!
//! An alert is named by its number *and* by its nonce: two boards of one spacecraft, or a store that was lost,
//! count from 1 again, and an acknowledgement by number alone would silence an alert that nobody has heard.

use super::ReportError;
use super::sealed::{KIND_ACKNOWLEDGEMENT, MAX_BODY_BYTES, NONCE_BYTES, open, seal};
use crate::alert::nonce_of;
use crate::keys::EpochKey;
use crate::wire::Reader;

/// Bytes of a body in front of its alerts.
const FIXED_BYTES: usize = 10;
const MARK_BYTES: usize = 8;
/// Most alerts that one frame may name.
pub const MAX_ACKNOWLEDGED: usize = (MAX_BODY_BYTES - FIXED_BYTES) / MARK_BYTES;

/// Names an alert of a spacecraft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertMark {
    /// Its number.
    pub number: u32,
    /// The first bytes of its nonce.
    pub nonce: [u8; 4],
}

impl AlertMark {
    /// The mark of a sealed alert of this number; `None` if it is too short for one.
    #[must_use]
    pub fn of(number: u32, sealed: &[u8]) -> Option<Self> {
        let [a, b, c, d, ..] = nonce_of(sealed)?;
        Some(Self { number, nonce: [a, b, c, d] })
    }
}

/// What an acknowledgement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Who says it.
    pub station: u16,
    /// Its number, of the same row as those of the station's reports.
    pub number: u64,
    /// The alerts that are there; [`MAX_ACKNOWLEDGED`] at most.
    pub alerts: Vec<AlertMark>,
}

/// Seals an acknowledgement into a frame. `nonce` must be fresh from a cryptographic random source.
///
/// # Errors
/// [`ReportError::TooLong`]: more alerts than [`MAX_ACKNOWLEDGED`].
pub fn seal_acknowledgement(
    key: &EpochKey,
    nonce: [u8; NONCE_BYTES],
    acknowledgement: &Acknowledgement,
) -> Result<Vec<u8>, ReportError> {
    let mut body = Vec::with_capacity(MAX_BODY_BYTES);
    body.extend_from_slice(&acknowledgement.station.to_be_bytes());
    body.extend_from_slice(&acknowledgement.number.to_be_bytes());
    for alert in &acknowledgement.alerts {
        body.extend_from_slice(&alert.number.to_be_bytes());
        body.extend_from_slice(&alert.nonce);
    }
    seal(key, KIND_ACKNOWLEDGEMENT, nonce, body)
}

/// Opens a frame.
///
/// # Errors
/// Not an acknowledgement, not under this key, damaged or forged, or of a shape this version doesn't know.
pub fn open_acknowledgement(key: &EpochKey, frame: &[u8]) -> Result<Acknowledgement, ReportError> {
    let body = open(key, KIND_ACKNOWLEDGEMENT, frame)?;
    let mut r = Reader::new(&body);
    let mut fixed = || Some((r.u16()?, r.u64()?));
    let (station, number) = fixed().ok_or(ReportError::Shape("body"))?;
    let marks = body.get(FIXED_BYTES..).unwrap_or_default();
    if marks.len() % MARK_BYTES != 0 {
        return Err(ReportError::Shape("alerts"));
    }
    let mut alerts = Vec::with_capacity(marks.len() / MARK_BYTES);
    while let (Some(number), Some(nonce)) = (r.u32(), r.array()) {
        alerts.push(AlertMark { number, nonce });
    }
    Ok(Acknowledgement { station, number, alerts })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{MAX_REPORT_BYTES, Report, open_report, seal_report};

    fn key() -> EpochKey {
        EpochKey::new(3, 2, [9; 32])
    }

    fn acknowledgement(alerts: u32) -> Acknowledgement {
        let mark = |i: u32| AlertMark { number: i + 1, nonce: (i * 7919).to_be_bytes() };
        Acknowledgement { station: 4, number: 1_700_000_000_000, alerts: (0..alerts).map(mark).collect() }
    }

    #[test]
    fn as_many_alerts_as_fit_survive_and_no_more_are_taken() {
        let most = u32::try_from(MAX_ACKNOWLEDGED).unwrap();
        assert_eq!(most, 26);
        for count in [0, 1, most] {
            let frame = seal_acknowledgement(&key(), [1; 12], &acknowledgement(count)).unwrap();
            assert!(frame.len() <= MAX_REPORT_BYTES, "{}", frame.len());
            assert_eq!(open_acknowledgement(&key(), &frame).unwrap(), acknowledgement(count));
        }
        let over = seal_acknowledgement(&key(), [1; 12], &acknowledgement(most + 1));
        assert_eq!(over, Err(ReportError::TooLong));
    }

    #[test]
    fn damage_other_lengths_other_keys_and_other_kinds_are_refused() {
        let frame = seal_acknowledgement(&key(), [1; 12], &acknowledgement(3)).unwrap();
        for at in 0..frame.len() {
            let mut bad = frame.clone();
            bad[at] ^= 0x10;
            assert!(open_acknowledgement(&key(), &bad).is_err(), "byte {at}");
            assert!(open_acknowledgement(&key(), &frame[..at]).is_err(), "cut to {at}");
        }
        let other = EpochKey::new(3, 1, [9; 32]);
        assert_eq!(open_acknowledgement(&other, &frame), Err(ReportError::OtherKey));
        assert_eq!(open_report(&key(), &frame), Err(ReportError::NotAReport));
        let report = Report { station: 4, number: 1, link: None, items: vec![] };
        let report = seal_report(&key(), [1; 12], &report).unwrap();
        assert_eq!(open_acknowledgement(&key(), &report), Err(ReportError::NotAReport));
        // The kind is authenticated: one is never taken for the other.
        let mut turned = report;
        turned[3] = KIND_ACKNOWLEDGEMENT;
        assert_eq!(open_acknowledgement(&key(), &turned), Err(ReportError::Seal));
    }

    #[test]
    fn a_body_that_ends_within_an_alert_is_refused_by_name() {
        for (length, field) in [(9, "body"), (11, "alerts"), (17, "alerts")] {
            let frame = seal(&key(), KIND_ACKNOWLEDGEMENT, [1; 12], vec![0; length]).unwrap();
            assert_eq!(open_acknowledgement(&key(), &frame), Err(ReportError::Shape(field)));
        }
    }

    proptest! {
        #[test]
        fn any_acknowledgement_survives(
            station: u16, number: u64,
            marks in prop::collection::vec((any::<u32>(), any::<[u8; 4]>()), 0..=MAX_ACKNOWLEDGED),
        ) {
            let alerts = marks.into_iter().map(|(number, nonce)| AlertMark { number, nonce }).collect();
            let said = Acknowledgement { station, number, alerts };
            let frame = seal_acknowledgement(&key(), [5; 12], &said).unwrap();
            prop_assert_eq!(open_acknowledgement(&key(), &frame).unwrap(), said);
        }
    }
}
