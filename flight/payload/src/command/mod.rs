//! Command: what the operator asks of the daemon, and the answers.
//!
//! One JSON object a line, one line a request and one line an answer, over the daemon's Unix socket:
//!
//! ```text
//! → {"schema":1,"command":"events","since":41,"limit":20}
//! ← {"schema":1,"events":[ … ]}
//! ← {"schema":1,"error":"…"}        when it can't be done
//! ```
//!
//! Here are only the shapes, and their text form for people; nothing here opens a socket.

mod agenda;
mod alerts;
mod contacts;
mod names;
mod orders;
mod queue;
mod read;
pub(crate) mod text;
mod tlm;

pub use agenda::{
    AgendaAnswer, DEFAULT_AGENDA, DEFAULT_LINES, LoadAnswer, LogsAnswer, MAX_AGENDA, MAX_LINES,
    ScriptsAnswer, UpdateAnswer, UploadLine, agenda_text, logs_text, scripts_text, update_text,
};
pub use alerts::{AlertRow, AlertsAnswer, alert_text, alerts_text};
pub use contacts::passes_text;
pub use names::{check_name, check_names};
pub use orders::{
    DEFAULT_ORDERS, KeyRow, KeysAnswer, MAX_ORDERS, OrderAnswer, OrderRow, OrdersAnswer, keys_text,
    order_text, orders_text,
};
pub use queue::{ActionAnswer, BundleName, DEFAULT_ROWS, MAX_ROWS, QueueAction, QueueAnswer};
pub(crate) use text::{LIST_LINES, date, duration, size, wrap};
pub use text::{action_text, events_text, pass_text, queue_text, status_text};
pub use tlm::{ChannelRow, Reading, TlmAnswer, tlm_text};

use serde::{Deserialize, Serialize};

use crate::json;
use crate::orders::Step;
use crate::passes::{Pass, PlanStatus};
use crate::telemetry::{Event, SCHEMA, TransmitterStatus};

/// Hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Longest request, bytes, its line end counted.
pub const MAX_REQUEST_BYTES: usize = 4096;
/// Longest answer that a client reads, bytes.
pub const MAX_ANSWER_BYTES: u64 = 256 << 20;
/// Events in an answer unless the request says how many.
pub const DEFAULT_EVENTS: usize = 11;
/// Passes in an answer unless the request says how many.
pub const DEFAULT_PASSES: usize = 10;

/// A request with its version, as it is written; [`Request::parse`] reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Envelope {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What is asked.
    #[serde(flatten)]
    pub request: Request,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// How is it?
    Status,
    /// What is to go down, in order?
    Queue {
        /// At most so many rows.
        limit: Option<usize>,
    },
    /// Why is a bundle where it is, and when will it be down?
    QueueExplain {
        /// Which.
        id: BundleName,
    },
    /// Do something to a bundle of the queue.
    QueueAct {
        /// Which.
        id: BundleName,
        /// What.
        #[serde(flatten)]
        action: QueueAction,
    },
    /// What happened?
    Events {
        /// Only after this number; without it, the newest.
        since: Option<u64>,
        /// At most so many.
        limit: Option<usize>,
    },
    /// How do the alerts stand?
    Alerts,
    /// The ground has this alert: send it no more.
    AlertsAck {
        /// Its number.
        number: u32,
    },
    /// This alert is of no use any more: send it no more.
    AlertsCancel {
        /// Its number.
        number: u32,
    },
    /// Which passes come next?
    Passes {
        /// At most so many.
        count: Option<usize>,
    },
    /// Open the transmitter.
    PassStart {
        /// For so long, s.
        seconds: u64,
        /// At this rate, bit/s of UDP payload.
        rate_bps: Option<u64>,
    },
    /// Close the transmitter.
    PassStop,
    /// Have an order done.
    Order {
        /// It, as words of a shell.
        order: String,
        /// What is to be done with it; "run" if nothing is said.
        step: Option<Step>,
    },
    /// What was ordered, and what became of it?
    Orders {
        /// At most so many.
        limit: Option<usize>,
    },
    /// How do the keys of the uplink stand?
    Keys,
    /// What are the parameters?
    Params {
        /// Only those whose names begin so.
        prefix: Option<String>,
    },
    /// What is pending?
    Agenda {
        /// At most so many.
        limit: Option<usize>,
    },
    /// Which scripts are on board, and what became of their runs?
    Scripts,
    /// Where does the update stand, and what comes up?
    Update,
    /// What does the engineer's log say?
    Logs {
        /// At most so many lines.
        limit: Option<usize>,
    },
    /// Take a file on board as what it is said to be.
    Load {
        /// "plan", "script" or "file".
        kind: String,
        /// What it is called.
        name: String,
        /// Where it is.
        path: String,
    },
    /// What happened since the last pass, what is wrong, what is to go down and when?
    Digest,
    /// What do the channels say?
    Tlm {
        /// Only these; all, if none is named.
        channels: Vec<String>,
    },
}

impl Request {
    /// Whether there is an answer to it in safe mode, where neither camera nor fast link is at work.
    pub fn is_for_safe_mode(&self) -> bool {
        matches!(
            self,
            Self::Status
                | Self::Events { .. }
                | Self::Passes { .. }
                | Self::Order { .. }
                | Self::Orders { .. }
                | Self::Keys
                | Self::Params { .. }
                | Self::Agenda { .. }
                | Self::Scripts
                | Self::Update
                | Self::Logs { .. }
                | Self::Load { .. }
                | Self::Digest
                | Self::Tlm { .. }
        )
    }

    /// The line that asks this.
    pub fn line(self) -> Result<String, serde_json::Error> {
        let mut line = json::text(&Envelope { schema: SCHEMA, request: self })?;
        line.push('\n');
        Ok(line)
    }

    /// Reads a line.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        read::request(line).map_err(|why| format!("bad request: {why}"))
    }

    /// The name by which the daemon keeps its answer for when it is down, if it does.
    pub fn kept_as(&self) -> Option<&'static str> {
        match self {
            Self::Status => Some("status"),
            Self::Queue { .. } => Some("queue"),
            Self::Events { .. } => Some("events"),
            Self::Alerts => Some("alerts"),
            Self::Passes { .. } => Some("passes"),
            Self::Digest => Some("digest"),
            Self::Tlm { .. } => Some("tlm"),
            Self::QueueExplain { .. }
            | Self::QueueAct { .. }
            | Self::AlertsAck { .. }
            | Self::AlertsCancel { .. }
            | Self::PassStart { .. }
            | Self::PassStop
            | Self::Load { .. }
            | Self::Order { .. } => None,
            Self::Params { .. } => Some("params"),
            Self::Agenda { .. } => Some("agenda"),
            Self::Scripts => Some("script"),
            Self::Update => Some("update"),
            Self::Logs { .. } => Some("logs"),
            Self::Orders { .. } => Some("orders"),
            Self::Keys => Some("keys"),
        }
    }
}

/// The answer to [`Request::Events`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsAnswer {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The events, rising.
    pub events: Vec<Event>,
}

/// The answer to [`Request::Passes`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PassesAnswer {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The clock on board, ms since 1970-01-01 UTC.
    pub now_unix_ms: u64,
    /// What the plan is made of.
    pub plan: PlanStatus,
    /// The passes that aren't over, by their AOS.
    pub passes: Vec<Pass>,
}

/// The answer to [`Request::PassStart`] and [`Request::PassStop`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassAnswer {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The transmitter after it.
    pub transmitter: TransmitterStatus,
}

/// The answer when it can't be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Why.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_their_line() {
        for (request, line) in [
            (Request::Status, "{\"schema\":1,\"command\":\"status\"}\n"),
            (Request::Alerts, "{\"schema\":1,\"command\":\"alerts\"}\n"),
            (Request::AlertsAck { number: 7 }, "{\"schema\":1,\"command\":\"alerts-ack\",\"number\":7}\n"),
            (
                Request::AlertsCancel { number: 7 },
                "{\"schema\":1,\"command\":\"alerts-cancel\",\"number\":7}\n",
            ),
            (Request::PassStop, "{\"schema\":1,\"command\":\"pass-stop\"}\n"),
            (Request::Digest, "{\"schema\":1,\"command\":\"digest\"}\n"),
            (
                Request::Tlm { channels: vec!["power".into()] },
                "{\"schema\":1,\"command\":\"tlm\",\"channels\":[\"power\"]}\n",
            ),
            (
                Request::PassStart { seconds: 300, rate_bps: None },
                "{\"schema\":1,\"command\":\"pass-start\",\"seconds\":300,\"rate_bps\":null}\n",
            ),
            (
                Request::Events { since: Some(4), limit: None },
                "{\"schema\":1,\"command\":\"events\",\"since\":4,\"limit\":null}\n",
            ),
        ] {
            assert_eq!(request.clone().line().unwrap(), line);
            assert_eq!(Request::parse(line.as_bytes()), Ok(request));
        }
        let passes = br#"{"schema":1,"command":"passes","count":3}"#;
        assert_eq!(Request::parse(passes), Ok(Request::Passes { count: Some(3) }));
        let short = br#"{"schema":1,"command":"events"}"#;
        assert_eq!(Request::parse(short), Ok(Request::Events { since: None, limit: None }));
    }

    #[test]
    fn bad_requests_are_told_why() {
        for (line, why) in [
            (&b"status"[..], "bad request: expected value"),
            (b"{\"command\":\"status\"}", "missing field `schema`"),
            (b"{\"schema\":2,\"command\":\"status\"}", "schema 2"),
            (b"{\"schema\":1,\"command\":\"reboot\"}", "unknown variant `reboot`"),
            (b"{\"schema\":1,\"command\":\"events\",\"limit\":0}", "limit is 1 to 1000"),
            (b"{\"schema\":1,\"command\":\"passes\",\"count\":101}", "count is 1 to 100"),
            (b"{\"schema\":1,\"command\":\"pass-start\",\"seconds\":-1}", "invalid value"),
            (b"\xff\xff", "bad request"),
        ] {
            let error = Request::parse(line).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
