//! The link emulator: what a radio link does to datagrams.
//!
//! [`channel`] is the link itself, without clock or socket: a datagram and a time go in, deliveries come
//! out. [`relay`] puts it between two UDP sockets. `passband-ground link` runs it.

pub mod channel;
mod command;
pub mod relay;

pub use channel::{Channel, ChannelParams, ChannelStats, Delivery, Verdict};
pub use command::{LinkArgs, run};
pub use relay::{PassWindow, Relay};
