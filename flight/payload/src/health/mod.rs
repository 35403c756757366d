//! Health: whether each task is at work, how hot, short of power, memory and time the board is, what is left undone
//! for that, and whether the payload has to come up in safe mode.
//!
//! | part | what it says |
//! | --- | --- |
//! | [`Tasks`] | which task is stuck: it is restarted, or the process ends, or the watchdog goes hungry |
//! | [`Readings`] | what the sensors say; what can't be true is refused and counted |
//! | [`Shed`] | what is left undone under stress: a [`Level`] from 0 to 3 |
//! | [`Starts`] | how the starts before ended, and whether this one is in safe mode |
//!
//! Pure state machines, handed readings and times. Nothing here reads a sensor, feeds a watchdog, starts or stops a
//! thread: [`crate::adapters`] and [`crate::daemon`] do. Health never stops an alert and never commanding.
//!
//! # Who is restarted, and how far
//!
//! A task of the asynchronous loop that waits for something can be ended and begun anew. A thread can't be ended from
//! outside, and one that waits inside a system call doesn't look at a flag: a second one is started beside it where
//! two do no harm (the pass plan), and the first one ends when it comes back. Whoever holds what must not be held twice
//! (send marks, the spool, the alert schedule), and the loop itself, is only helped by ending the process, so that the
//! supervisor starts it anew; a frame that was being triaged is set aside then. What the payload can do without (the
//! scrub, the sensors) is only told of. Where starts keep failing the watchdog isn't fed, and the board resets.

mod readings;
mod settings;
mod shed;
mod starts;
mod tasks;

pub use readings::{Gauge, Readings, parse};
pub use settings::{Limit, Limits, OutOfRange, Settings};
pub use shed::{Level, Shed, Strain};
pub use starts::{Before, Boot, Cause, MAX_RECORD_BYTES, Phase, RecordError, Start, Starts};
pub use tasks::{Action, Task, Tasks};
