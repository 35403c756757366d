//! Telemetry on the ground: packets out of damaged streams, once each, and kept.
//!
//! ```text
//! file, TCP, serial line, UDP ──▶ Reader (one a route) ──▶ Intake (one for all) ──▶ Archive, console, bridges
//! pcap, pcapng ──▶ read_file ──▲    finds packets            drops what came twice,
//!                                                            counts what is missing
//! ```
//!
//! | module | what |
//! | --- | --- |
//! | [`reader`] | bytes in, packets out, whatever was cut, inserted or flipped between them |
//! | [`intake`] | each packet once, by however many routes it came; gaps by sequence count |
//! | [`routes`] | several streams at once, a reader for each |
//! | [`source`] | files and captures |
//! | [`feed`] | sockets and growing files side by side, with what the packets' tags say |
//! | [`tags`] | what the tags of packets say |
//! | [`values`] | packets as values, with units and limits |
//! | [`archive`] | what was received, on disk, by APID and time |
//! | [`proof`] | damaged streams without end, beside a reader that follows the length field |
//!
//! What a packet's data mean, the dictionary says; here only the length is known that all packets of an APID have.
//! Nothing here believes a packet's length field before its CRC holds, and nothing but a feed with keys looks at tags: a
//! packet that is handed on is whole, and whoever has the key asks [`TelemetryPacket::verify`].
//!
//! [`TelemetryPacket::verify`]: passband_proto::packet::TelemetryPacket::verify

pub mod archive;
pub mod feed;
pub mod intake;
pub mod proof;
pub mod reader;
pub mod routes;
pub mod source;
pub mod tags;
pub mod values;

pub use archive::{Archive, Follower, Quota, Stored};
pub use feed::{Feed, Heard};
pub use intake::{Intake, Sequence, Verdict};
pub use reader::{Reader, ReaderStats};
pub use routes::Routes;
pub use source::{SourceStats, read_file};
pub use tags::{Proof, TagKeys};
