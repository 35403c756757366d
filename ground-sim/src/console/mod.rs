//! The operator's console: one screen of a terminal with what matters during a pass, and a line to give orders.
//!
//! | module | what |
//! | --- | --- |
//! | [`commanding`] | how orders leave: a trait, and a rehearsal of it |
//! | [`app`] | keys in, what to do out: a state machine without a terminal or a clock |
//! | [`entry`] | the line that is typed, with history |
//! | [`guard`] | the two steps of a hazardous order |
//! | [`view`] | a snapshot and the application as panes, from 80×24 on |
//! | [`terminal`] | the real terminal: raw mode, keys, signals |
//!
//! An order leaves as a whole when Enter is pressed, or not at all: a terminal that is dropped, a signal or a crash between
//! two keys sends nothing. A hazardous order takes two steps, each with a prompt of its own; what is pasted never presses
//! Enter. The console holds no key: whoever implements [`Commanding`] does.

pub mod app;
pub mod commanding;
pub mod entry;
pub mod guard;
pub mod outbox;
pub mod terminal;
pub mod view;

pub use app::App;
pub use commanding::{Commanding, NoUplink, Outgoing, Rehearsal};
pub use outbox::Outbox;
pub use terminal::run;
