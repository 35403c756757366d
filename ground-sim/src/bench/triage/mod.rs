//! `passband-ground bench triage`: every target of the detector, measured here and now, beside other detectors on the
//! same frames in the same run.
//!
//! Only [`ours`] calls our detector and only [`frames`] the scene generator; the peers are processes ([`peers`]).
//!
//! | group | file | what |
//! | --- | --- | --- |
//! | `speed` | `speed`, `clock` | CPU seconds of one core |
//! | `memory` | `memory` | what is kept resident, whatever the frame's length |
//! | `determinism` | `determinism` | the same bytes with any number of threads, and as they ever were |
//! | `ap` | `ap` | how well pixels are ranked |
//! | `recall` | `recall` | which plumes are found |
//! | `false-alerts` | `false_alerts` | what is called a plume where there is none |
//! | `quantity` | `quantity`, `rate` | scatter of the background, slope of what is retrieved, source rates |
//! | `calibration` | `calibration` | what a probability is worth |
//! | `robustness` | `robustness` | what faults and clouds cost |

mod ap;
mod calibration;
mod clock;
mod determinism;
pub mod exchange;
mod false_alerts;
mod frames;
pub mod image;
mod memory;
pub mod metrics;
mod ours;
pub mod peers;
mod quantity;
mod rate;
mod recall;
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
        (&["determinism"], determinism::measure),
        (&["ap"], ap::measure),
        (&["recall"], recall::measure),
        (&["false-alerts"], false_alerts::measure),
        (&["quantity"], quantity::measure),
        (&["calibration"], calibration::measure),
        (&["robustness"], robustness::measure),
    ],
};
