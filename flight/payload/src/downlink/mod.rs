//! Downlink: when the fast link's transmitter may be used and how fast datagrams go.
//!
//! What goes is decided by [`passband_proto::transfer::Sender`]; here is only the [`Gate`], the
//! [`Trace`] that is kept of a pass, and the [`Pacer`]. Nothing here sends, sleeps or reads a clock.

mod gate;
mod pacer;
mod trace;

pub use gate::{Change, Gate, GateState, MAX_RATE_BPS, MIN_RATE_BPS, Planned, Refused};
pub use pacer::{CATCH_UP_NS, PIECE_NS, Pacer};
pub use trace::{Rest, TRACE_BYTES, Trace};
