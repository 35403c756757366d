//! The update of one board: what came up is proved, made into an image, put into the slot that isn't running, tried out,
//! and kept if it works.
//!
//! | part | what |
//! | --- | --- |
//! | [`file`] | the update file, taken apart |
//! | [`stage`](mod@stage) | from a delta to a proved image in a slot |
//! | [`updater`] | what is ordered, from the wish to the confirmation |
//! | [`kept`] | what is kept of it from start to start |
//! | [`contract`] | what a version on trial has to show |
//!
//! Whatever happens here, the launcher (`flight/launch`) has an image to start that was proved.

pub mod contract;
pub mod file;
pub mod kept;
pub mod stage;
#[cfg(test)]
mod tests;
pub mod updater;
