//! Plans on the ground: the dictionary that they are compiled by, and what they would do.
//!
//! | module | what |
//! | --- | --- |
//! | [`effects`] | what each order of a plan would do to transmitter, queue and parameters |
//! | [`transmitter`] | the transmitter of that time, by the gate that flies |
//! | [`assume`] | what is assumed to happen, read from options |
//! | [`forecast`] | a dry run by the satellite's own sequencer, and its timeline |
//!
//! Nothing here talks to a satellite.

pub mod assume;
pub mod effects;
pub mod forecast;
pub mod transmitter;
