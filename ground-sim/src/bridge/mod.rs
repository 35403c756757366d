//! Bridges to other ground systems: telemetry out as whole space packets, commands in as clear ones.
//!
//! | module | what |
//! | --- | --- |
//! | [`command`] | a clear command packet to an order, checked |
//! | [`frames`] | packets out of a stream of TCP |
//! | [`line`] | sockets to Yamcs, or to `OpenC3` COSMOS |
//!
//! A command that comes in gets a number of its own and goes through the very outbox that `passband-ground order` uses. It comes
//! in clear, so sockets that take commands are bound to loopback and to nothing else. Nothing here holds a key: the outbox does.

pub mod command;
pub mod frames;
pub mod line;
