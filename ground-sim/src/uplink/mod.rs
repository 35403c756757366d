//! What goes up the slow link: orders and files, sealed, until the satellite has answered.
//!
//! | module | what |
//! | --- | --- |
//! | [`entry`] | an order of ours, and what is known of it |
//! | [`shelf`] | where orders, numbers and counters outlive the process |
//! | [`folder`] | that, as a folder |
//! | [`outbox`] | which frame goes next; what telemetry says of it |
//! | [`model`] | a model of the board, for tests |
//! | [`pieces`] | files that are sent in pieces, until all of them are there |
//! | [`upload`] | a file on its way, and what is known of it |
//! | [`worker`] | the outbox between folder, socket and telemetry |
//!
//! One outbox is of one holder of a key. Nothing here waits for the satellite: without a downlink orders and pieces go again
//! and again within the uplink's rate, and each is sealed anew each time.

pub mod entry;
pub mod folder;
pub mod model;
pub mod outbox;
pub mod pieces;
pub mod shelf;
pub mod upload;
pub mod worker;

pub use entry::{Entry, Told};
pub use folder::Folder;
pub use outbox::{Begin, Moment, Noticed, Outbox};
pub use shelf::Shelf;
pub use upload::{About, Upload};
pub use worker::Worker;
