//! Plans: stored sequences of orders that the board runs by itself, at times, at passes, or on what happens.
//!
//! People write a plan as text ([`compile`]); it goes up compact and signed ([`sign`], [`SignedPlan`]) and can be read
//! back as the same text ([`write`]). Ground and board run the same code, so what compiles on one is sound on the
//! other. `proto/PLAN.md` describes both forms for those who write plans or readers of their own.
//!
//! This module never runs anything and knows no order by name: what an order's words mean, and the numbers of events
//! and channels, is told by [`Orders`], which the dictionary implements. It never reads a plan whose signature wasn't
//! verified: there is no way from bytes to a [`Plan`] but [`SignedPlan::verify`].

mod alone;
mod binary;
mod check;
mod compile;
mod dictionary;
mod entry;
mod error;
mod fault;
mod model;
mod signed;
mod tables;
mod time;
mod words;
mod write;

pub use alone::alone;
pub use check::is_name;
pub use compile::compile;
pub use dictionary::Dictionary;
pub use error::PlanError;
pub use fault::{Fault, MAX_FAULTS};
pub use model::{
    Action, Compare, Condition, Edge, Entry, Giving, Late, NotAfter, OnFailure, OnReboot, OnTimeout, Plan,
    Repeat, Severity, Trigger, Wait,
};
pub use signed::{SIGNATURE_BYTES, SignedPlan, sign};
pub use time::{show_span, show_utc};
pub use write::{show_condition, write};

/// Most entries of a plan.
pub const MAX_ENTRIES: usize = 4096;
/// Longest plan with its signature, bytes.
pub const MAX_PLAN_BYTES: usize = 256 * 1024;
/// Longest text that is compiled, bytes.
pub const MAX_TEXT_BYTES: usize = 8 * 1024 * 1024;
pub use crate::dict::MAX_ORDER_BYTES;
/// Longest name of a plan and longest label, bytes.
pub const MAX_NAME_BYTES: usize = 24;
/// Longest name of a station, bytes.
pub const MAX_STATION_BYTES: usize = 64;
/// Most stations that one plan names, and most other plans that it starts.
pub const MAX_NAMES: usize = 64;
/// Longest span of time that a plan may say, ms: 30 days.
pub const MAX_SPAN_MS: u32 = 30 * 86_400_000;
/// Largest distance of an entry from AOS or LOS, ms: an hour.
pub const MAX_OFFSET_MS: i32 = 3_600_000;
/// Shortest distance of repeats, ms.
pub const MIN_EVERY_MS: u32 = 1_000;
/// Most repeats that an entry may count.
pub const MAX_TIMES: u32 = 65_535;
/// Most tries of an order after the first.
pub const MAX_RETRIES: u8 = 100;
/// Times that a plan may say, ms since 1970-01-01 UTC: the years 2000 to 2199.
pub const TIMES_UNIX_MS: core::ops::Range<u64> = 946_684_800_000..7_258_118_400_000;

/// What a plan has to know of the dictionary.
pub trait Orders {
    /// The bytes of an order.
    ///
    /// # Errors
    /// What is wrong with the words, for people.
    fn encode(&self, words: &str) -> Result<Vec<u8>, String>;
    /// The words of an order: those that [`Orders::encode`] makes the same bytes of, on one line.
    ///
    /// # Errors
    /// What is wrong with the bytes, for people.
    fn decode(&self, bytes: &[u8]) -> Result<String, String>;
    /// Tells one dictionary from others. A plan runs only under the one it was compiled for.
    fn dictionary_digest(&self) -> [u8; 4];
    /// The number of an event.
    fn event(&self, name: &str) -> Option<u16>;
    /// The name of an event.
    fn event_name(&self, event: u16) -> Option<String>;
    /// The number of a channel of telemetry.
    fn channel(&self, name: &str) -> Option<u16>;
    /// The name of a channel of telemetry.
    fn channel_name(&self, channel: u16) -> Option<String>;
}

#[cfg(test)]
mod tests;
