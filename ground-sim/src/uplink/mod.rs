//! What goes up the slow link: orders and files, sealed, until the satellite has answered.
//!
//! | module | what |
//! | --- | --- |
//! | [`entry`] | an order of ours, and what is known of it |
//! | [`shelf`] | where orders, numbers and counters outlive the process |
//! | [`folder`] | that, as a folder |
//! | [`names`] | what the satellite would refuse by its name, refused before it is sent |
//! | [`outbox`] | which frame goes next; what telemetry says of it |
//! | [`hold`] | why orders wait while another one is armed |
//! | [`model`] | a model of the board, for tests |
//! | [`pieces`] | files that are sent in pieces, until all of them are there |
//! | [`take_back`] | taking an order back, and whether that was in time |
//! | [`upload`] | a file on its way, and what is known of it |
//! | [`worker`] | the outbox between folder, socket and telemetry |
//!
//! One outbox is of one holder of a key. Nothing here waits for the satellite: without a downlink orders and pieces go again
//! and again within the uplink's rate, and each is sealed anew each time.

pub mod entry;
pub mod folder;
pub mod hold;
pub mod model;
pub mod names;
pub mod outbox;
pub mod pieces;
pub mod shelf;
pub mod take_back;
pub mod upload;
pub mod worker;

pub use entry::{Entry, Told};
pub use folder::Folder;
pub use hold::Hold;
pub use outbox::{Begin, Moment, Noticed, Outbox};
pub use shelf::Shelf;
pub use take_back::{TakenBack, take_back};
pub use upload::{About, Upload};
pub use worker::Worker;
