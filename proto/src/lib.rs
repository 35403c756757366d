//! What crosses a link between a Passband satellite and its ground: datagrams, sealed bundles,
//! fountain blocks, alerts, bus messages and the launcher's slot record.
//!
//! This crate is fully deterministic. It never reads a clock, a socket, a file or a random source,
//! and never starts a thread: keys, salts, bytes and storage are handed in. The satellite and the
//! ground build the very same code, so what one side seals the other can open.
//!
//! | module | what |
//! | --- | --- |
//! | [`datagram`] | one fountain symbol on the fast link, self-describing, with CRC-32C and keyed tag |
//! | [`alert`] | the tiny sealed message of the alert radio |
//! | [`dict`] | orders, telemetry, events and parameters, defined once |
//! | [`bus`] | what the bus computer tells the payload |
//! | [`slot`] | the record by which the launcher chooses a slot |
//! | [`release`] | images, and who may say which one runs |
//! | [`packet`] | CCSDS Space Packets: telemetry, and the clear form of a command |
//! | [`keys`] | epoch keys, and what is derived from them |
//! | [`bundle`] (`std`) | a product, sealed once into segments |
//! | [`fountain`] (`std`) | a sealed segment as an RFC 6330 (RaptorQ) source block |
//! | [`report`] (`std`) | what the ground has, told to the satellite |
//! | [`sdls`] (`std`) | protected frames on the slow link, up: what the operator orders |
//! | [`transfer`] (`std`) | which datagram goes next, without any acknowledgement |
//! | [`plan`] (`std`) | stored sequences of orders: their text, and their compact, signed form |
//!
//! Without the `std` feature the crate is `no_std` and uses no heap.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod alert;
#[cfg(feature = "std")]
pub mod bundle;
pub mod bus;
pub mod crc32c;
pub mod datagram;
pub mod dict;
#[cfg(feature = "std")]
pub mod fountain;
pub mod ids;
#[cfg(feature = "std")]
pub mod keyring;
pub mod keys;
pub mod packet;
#[cfg(feature = "std")]
pub mod plan;
pub mod release;
#[cfg(feature = "std")]
pub mod report;
#[cfg(feature = "std")]
pub mod sdls;
pub mod slot;
#[cfg(feature = "std")]
pub mod transfer;
mod wire;
