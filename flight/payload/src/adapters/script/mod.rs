//! Operators' scripts on Linux: where they are kept, how they are run and ended.
//!
//! ```text
//! <state>/scripts/NAME.sh               a script
//! <state>/scripts/run-SOURCE-NUMBER     the record of a run
//! <state>/scripts/work-SOURCE-NUMBER/   the folder of a run, as long as it is on
//!
//! daemon ─▶ script-child outer ─▶ script-child inner ─▶ /bin/sh NAME.sh
//!           namespaces, reaper     limits, no rights     the script
//! ```
//!
//! All three are processes of this same program ([`child`]). The outer one makes a network and a process namespace,
//! where the kernel gives them; the inner one is the first process in there, gives up every right and takes on the
//! limits. When it ends, so does all that the script has started, whatever session it went to. Where there is no
//! process namespace, the outer one is who orphans fall to, and ends them.
//!
//! Processes, memory and processor time are watched over all processes of a run, in `/proc` ([`tree`]): limits of a
//! user id don't bind root, those of a process not its children. The kernel's own limits stand behind that.
//!
//! Files that a run leaves in its [`folder`] are watched and removed. Not prevented: that a script names another place
//! that its user may write to, `/tmp` or `/dev/shm` among them, which may be memory; and that it holds files open that
//! it has removed, of which each is bounded, and their number.

pub mod child;
mod folder;
mod inherited;
mod runner;
mod store;
mod tree;

pub use runner::{Begun, Finished, Now, Runner};
pub use store::ScriptStore;
