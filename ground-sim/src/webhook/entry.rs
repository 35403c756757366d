//! What the outbox knows of an alert: how far its sentence and its picture are. Never touches the disk or the clock.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Limits;
use super::message::Kind;
use crate::station::AlertReport;

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// There is nothing to tell yet.
    Waiting,
    /// It is to be told.
    Pending,
    /// The server has taken it.
    Sent,
    /// It will not be told.
    GivenUp,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delivery {
    pub(super) state: State,
    /// Tries, those among them that reached no server.
    pub(super) attempts: u32,
    /// Tries that reached the server and failed.
    #[serde(default)]
    pub(super) failures: u32,
    /// Why the last try failed.
    pub(super) error: Option<String>,
}

/// An alert and what of it was told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) schema: u32,
    pub(super) queued_unix_ms: u64,
    /// The sentence.
    pub(super) alert: Delivery,
    /// The picture.
    pub(super) picture: Delivery,
    /// Where the picture is, below OUT.
    pub(super) picture_path: Option<PathBuf>,
    /// Since when the picture can be told.
    #[serde(default)]
    pub(super) picture_unix_ms: Option<u64>,
    /// What came over the alert radio.
    pub(super) report: AlertReport,
}

impl Delivery {
    fn new(state: State) -> Self {
        Self { state, attempts: 0, failures: 0, error: None }
    }
}

impl Entry {
    /// An alert that has just come.
    pub(super) fn new(report: AlertReport, now_ms: u64) -> Self {
        Self {
            schema: 1,
            queued_unix_ms: now_ms,
            alert: Delivery::new(State::Pending),
            picture: Delivery::new(State::Waiting),
            picture_path: None,
            picture_unix_ms: None,
            report,
        }
    }

    /// Whether anything is left to tell.
    pub(super) fn is_open(&self) -> bool {
        [&self.alert, &self.picture].iter().any(|d| matches!(d.state, State::Waiting | State::Pending))
    }

    /// Whether a message is to be told: a picture once its alert was.
    pub(super) fn is_pending(&self, kind: Kind) -> bool {
        match kind {
            Kind::Alert => self.alert.state == State::Pending,
            Kind::Picture => self.picture.state == State::Pending && self.alert.state == State::Sent,
        }
    }

    /// Whether what is left to tell is too old to be told.
    pub(super) fn is_too_old(&self, limits: &Limits, now_ms: u64) -> bool {
        let (since, limit) = if self.alert.state == State::Pending {
            (self.queued_unix_ms, limits.give_up_after)
        } else if self.picture.state == State::Pending {
            (self.picture_unix_ms.unwrap_or(self.queued_unix_ms), limits.give_up_after)
        } else {
            (self.queued_unix_ms, limits.picture_within)
        };
        u128::from(now_ms.saturating_sub(since)) > limit.as_millis()
    }

    pub(super) fn delivery(&mut self, kind: Kind) -> &mut Delivery {
        match kind {
            Kind::Alert => &mut self.alert,
            Kind::Picture => &mut self.picture,
        }
    }

    /// The order in which alerts are told.
    pub(super) fn order(&self) -> (u64, u16, u32) {
        (self.report.alert.time_unix_ms, self.report.spacecraft, self.report.alert.number)
    }

    pub(super) fn why_no_picture(&self) -> &str {
        self.picture.error.as_deref().unwrap_or("it has not come")
    }
}
