//! The queue and what stands around it: the right bytes first, none lost.
//!
//! | group | what |
//! | --- | --- |
//! | `day` | a day's frames against a day's passes, on a virtual clock, beside first in, first out |
//! | `alerts` | from capture to the alert on the ground, on a virtual clock |
//! | `operations` | the queue's structure with a million bundles |
//! | `ingest` | the real daemon: frames in, products sealed on disk |
//! | `recovery` | a start with a hundred thousand bundles |
//! | `wear` | what is written for what is stored |

mod alerts;
mod day;
mod ingest;
mod link;
mod operations;
mod store;

pub(super) use ingest::frames_into_spool;

use super::Area;

/// The area.
pub const AREA: Area = Area {
    name: "queue",
    groups: &[
        (&["day"], day::measure),
        (&["alerts"], alerts::measure),
        (&["operations"], operations::measure),
        (&["ingest"], ingest::measure),
        (&["recovery"], store::measure_recovery),
        (&["wear"], store::measure_wear),
    ],
};
