//! What goes up the slow link.
//!
//! | module | what |
//! | --- | --- |
//! | [`pieces`] | files that are sent in pieces, until all of them are there |

pub mod pieces;
