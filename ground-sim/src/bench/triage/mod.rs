//! `passband-ground bench triage`: every target of the detector, measured here and now, beside other detectors on the
//! same frames in the same run.
//!
//! Only [`ours`] calls our detector and only [`frames`] the scene generator; the peers are processes ([`peers`]).
//!
//! | group | file | what |
//! | --- | --- | --- |
//! | `speed` | `speed`, `clock` | CPU seconds of one core |
//! | `ap` | `ap` | how well pixels are ranked |
//! | `false-alerts` | `false_alerts` | what is called a plume where there is none |
//! | `quantity` | `quantity` | scatter of the background, slope of what is retrieved |
//! | `calibration` | `calibration` | what a probability is worth |
//! | `robustness` | `robustness` | what faults and clouds cost |
//! | `memory` | `memory` | what is kept resident, whatever the frame's length |

mod ap;
mod calibration;
mod clock;
pub mod exchange;
mod false_alerts;
mod frames;
pub mod image;
mod memory;
pub mod metrics;
mod ours;
pub mod peers;
mod quantity;
mod robustness;
mod speed;

use super::{Area, Bench, Op, Row, Scale, Sink, child, work_folder};
use crate::cores::on_all_cores;

/// The area, with its groups of rows. Time and memory come first, while the process is small.
pub const AREA: Area = Area {
    name: "triage",
    groups: &[
        (&["speed"], speed::measure),
        (&["memory"], memory::measure),
        (&["ap"], ap::measure),
        (&["false-alerts"], false_alerts::measure),
        (&["quantity"], quantity::measure),
        (&["calibration"], calibration::measure),
        (&["robustness"], robustness::measure),
    ],
};
