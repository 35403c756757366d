//! Operating the satellite: five minutes at a slow line, orders that are done once, and what an attacker gets.
//!
//! | group | what |
//! | --- | --- |
//! | `drill` | an operator's pass by script, in a shell over an emulated line, beside the real daemon |
//! | `cuts` | the same with the line dropped after any keystroke |
//! | `digest` | the first screen: bytes, and how soon, with the daemon idle and busy |
//! | `orders` | each order sent ten times over power cuts at every operation of the disk |
//! | `telemetry` | damaged streams of packets, beside a reader that follows the length field |
//! | `forgeries` | frames that are forged or replayed, against the receiving end |
//! | `idle` | what the daemon takes while nothing happens |
//!
//! What runs as processes is the daemon `passband` beside this program, started on a state folder of its own.

mod board;
mod cuts;
mod digest;
mod drill;
mod forgeries;
mod idle;
mod line;
mod orders;
mod streams;
mod terminal;

use super::Area;

/// The area.
pub const AREA: Area = Area {
    name: "operations",
    groups: &[
        (&["drill"], drill::measure),
        (&["cuts"], cuts::measure),
        (&["digest"], digest::measure),
        (&["orders"], orders::measure),
        (&["telemetry"], streams::measure),
        (&["forgeries"], forgeries::measure),
        (&["idle"], idle::measure),
    ],
};
