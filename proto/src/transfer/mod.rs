//! Sending without acknowledgement: which datagram goes next.
//!
//! Each offered bundle is sent, in the order of the queue, until it is down with the probability its
//! class asks for ([`belief`]); what capacity is left goes where it adds most value ([`planner`]). The
//! [`Sender`] turns that plan into datagrams. Source symbols go first, then repair symbols, and no
//! symbol is ever sent twice: the ids are reserved durably before they are used.
//!
//! Nothing here waits for anything, reads a clock or touches a socket or file; stored blocks and
//! durable marks come in through [`BlockStore`].

pub mod belief;
mod error;
mod hear;
mod marks;
mod plan;
mod planner;
mod pool;
mod sender;
mod worker;

pub use error::{OfferError, SendError, SendFault};
pub use hear::Effect;
pub use marks::BlockMark;
pub use plan::{WINDOW_BLOCKS, base_target};
pub use planner::HEAD_TARGET;
pub use pool::{EncodeJob, Encoded, PoolLimits};
pub use sender::{BlockStore, Burst, Offer, Progress, Sender, SenderConfig, burst_datagrams, datagrams_in};
pub use worker::Worker;
