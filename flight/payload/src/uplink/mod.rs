//! The uplink: what comes up the slow link.
//!
//! | module | what |
//! | --- | --- |
//! | [`uploads`] | files that come up in pieces, over as many passes as it takes |
//!
//! Nothing here touches a socket or a file.

pub mod uploads;
