//! The ground side of Passband, and what proves the whole: the station, recovery from captures, the link
//! emulator, scenes, and the demo that plays a mission's first passes.
//!
//! It runs the very `proto` and `spectral` code that flies. Nothing in flight ever imports it.
//!
//! | module | what |
//! | --- | --- |
//! | [`station`] | datagrams in, products out; live sockets |
//! | [`batch`] | many datagrams in one system call |
//! | [`bridge`] | Yamcs and COSMOS: telemetry out, commands in |
//! | [`capture`] | datagrams out of pcap and pcapng, and captures of what was received |
//! | [`catalogue`] | what came down, to list and search; frames in one place; GeoJSON and STAC |
//! | [`emulator`] | the link emulator: loss, bursts, corruption, duplication, reordering, passes |
//! | [`scene`] | synthetic frames with known plumes |
//! | [`eval`] | the detector judged on frames with truth, and its calibration |
//! | [`sealing`] | plain files as bundles |
//! | [`screen`] | what the ground's screens show |
//! | [`release`] | software for the boards: keys, images, deltas, manifests, update files |
//! | [`reporter`] | reports to the satellite |
//! | [`serve`] | the web page, and what Open MCT asks |
//! | [`telemetry`] | packets out of damaged streams, once each, and kept |
//! | [`uplink`] | orders and files up the slow link, until they are answered |
//! | [`plans`] | plans compiled, and played beforehand |
//! | [`watch`] | captures that are still growing |
//! | [`webhook`] | alerts told to a chat |
//! | [`dictionary`] | orders, telemetry, events and parameters for other programs |
//! | [`console`] | the operator's screen in a terminal |
//! | [`demo`] | the launch story on one machine, with a report |
//! | [`mod@bench`] | every target measured beside its peers |
//! | [`commands`] | the subcommands of `passband-ground` |

/// Prints a line. Nobody may read it any more: whoever receives goes on.
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($what)*);
    }};
}

pub mod batch;
pub mod bench;
pub mod bridge;
pub mod capture;
pub mod catalogue;
pub mod commands;
pub mod console;
mod cores;
pub mod demo;
pub mod dictionary;
pub mod emulator;
pub mod eval;
pub mod plans;
pub mod release;
pub mod reporter;
pub mod scene;
pub mod screen;
pub mod sealing;
pub mod serve;
pub mod station;
pub mod telemetry;
pub mod uplink;
pub mod watch;
pub mod webhook;
