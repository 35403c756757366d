//! `passband-ground bench transfer`: every target of the transfer, measured here and now, beside what
//! else there is.
//!
//! Each file measures one group of rows. A row that misses its target says so and the run goes on; no
//! figure is remembered from an earlier run, none is judged by anything but its target or a peer's figure
//! of the same run.
//!
//! | group | file | what |
//! | --- | --- | --- |
//! | `decode`, `header` | `decode` | symbols a real decoder needs; what a datagram carries besides |
//! | `zero-ack`, `tail`, `first` | `zero_ack` | 1 GiB over every channel, nothing ever heard |
//! | `report` | `reports` | how long a report is, and what reports save |
//! | `passes`, `starvation` | `passes` | a bundle's bytes a pass; periodic losses |
//! | `kills` | `kills` | senders and stations killed at random moments |
//! | `stitch` | `stitch` | a bundle out of unordered captures |
//! | `hostile` | `hostile` | a million packets that are not what they seem |
//! | `sender`, `receiver`, `link` | `speed` | bytes a second, through real sockets, of the real commands |
//! | `memory` | `memory` | what the real commands keep resident |
//! | `peers` | `peers` | other programs over the same losses |

mod decode;
pub mod ground;
mod hostile;
mod kills;
pub mod losses;
mod memory;
mod models;
mod passes;
pub mod peers;
pub mod real;
mod reports;
pub mod scenario;
pub mod sim;
mod speed;
mod stitch;
mod zero_ack;

use super::{Area, Bench, Op, Row, Scale, Sink, child, work_folder};

/// The area, with its groups of rows.
pub const AREA: Area = Area {
    name: "transfer",
    groups: &[
        (&["decode", "header"], decode::measure),
        (&["zero-ack", "tail", "first"], zero_ack::measure),
        (&["report"], reports::measure),
        (&["passes", "starvation"], passes::measure),
        (&["kills"], kills::measure),
        (&["stitch"], stitch::measure),
        (&["hostile"], hostile::measure),
        (&["sender", "receiver", "link"], speed::measure),
        (&["memory"], memory::measure),
        (&["peers"], peers::measure),
    ],
};
