//! Adapters: what touches Linux. Clock, random source, spool folder, sealed files, sockets, log.
//!
//! Duties never call these; [`crate::daemon`] and the command line do.

pub mod batch;
pub mod blackbox;
pub mod calibration;
pub mod catalogue;
pub mod client;
pub mod clock;
pub mod crash;
pub mod database;
pub mod disk;
pub mod last;
pub mod log;
pub mod members;
pub mod notify;
pub mod os;
pub mod parameters;
pub mod pass_files;
mod rejected;
pub mod script;
pub mod sealed;
pub mod sensors;
pub mod slots;
pub mod spool;
pub mod twin;
#[cfg(all(target_env = "musl", panic = "abort"))]
mod unwinding;
pub mod uploads;
pub mod vault;
pub mod watchdog;
