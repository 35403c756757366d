//! Protected uplink frames: Space Data Link Security (SDLS, CCSDS 355.0-B-2) over TC transfer frames
//! (CCSDS 232.0-B-4). The satellite opens what the ground has sealed; both build this very code.
//!
//! Sans-IO: time, random numbers and storage are handed in. It never acts on what a frame says, never knows what an
//! order is, and nothing of a frame is parsed before its tag held: what stands in the clear is only compared.
//!
//! | part | what |
//! | --- | --- |
//! | [`RoleKey`], [`RoleKeys`] | one key for each holder, in a text file |
//! | [`Frame`] | the bytes |
//! | [`Associations`] | the receiving end: state, window, limits and counts of each key |
//! | [`Sender`] | the sending end of one key |
//! | [`attack`] | forgeries by the million, for the bench |
//!
//! # Beside the standard
//!
//! | CCSDS | here |
//! | --- | --- |
//! | 355.0-B-2 §4.2.2.4, one service an association | authenticated encryption; there is no clear mode |
//! | §4.1.1.2, SPI of 16 bits, 0 and 65535 reserved | 1 to 0xFFF0; the rest are sources of orders that need no frame |
//! | §4.1.1.4.2, an IV that counts is the sequence number | IV = 4 random bytes, 64-bit counter; no separate number, no padding |
//! | §4.2.2.6.2, authentication bit mask | VCID and SPI are covered; the IV is left out, as item h) wants, since it is GCM's nonce |
//! | §4.2.4, the window moves after the MAC was verified | so it does |
//! | §2.3.2.3, accept what is higher, up to a window ahead | any jump ahead is accepted, and 64 behind in any order |
//! | annex E2, the baseline of TC: AES-CMAC, 32-bit number, no encryption | not met: AES-256-GCM, 96-bit IV and 128-bit MAC of the TM, AOS and USLP baselines (E1, E3, E4) |
//! | 232.0-B-4 §4.1.2, §4.1.4 | Type-BD frames without segment header, with FECF |
//!
//! *Why not E2.* What is ordered is not for everyone's eyes: a key change, a place to look at. One pass of one cipher does
//! both, the ground systems in use ([Yamcs], [CryptoLib], [F´]) do just that on TC, with this very mask, and a counter of
//! 64 bits never ends. *Why any jump ahead.* The window's upper bound guards against a number that was forged; a tag of 128
//! bits does so better, and a bound would lock out a sender that restarts far ahead. *Why 64 behind.* Datagrams
//! from the bus computer may overtake each other.
//!
//! *Not covered by the tag* are the version, the flags, the low 10 bits of the spacecraft's number, the length and the
//! frame sequence number N(S). All but the last are compared with the only value that is accepted, the length is authenticated
//! by GCM itself, and the full 16-bit number of the spacecraft goes into the key. N(S) says nothing in a Type-BD frame:
//! a modulator or a COP may fill it in.
//!
//! *Beside CCSDS 355.1-B-1.* Its Set ARSN sends a new number under another association, and Read ARSN asks for
//! the present one. Here [`AssociationStatus`] tells all numbers in telemetry unasked, and re-synchronising is a frame
//! under the very association that has lost its marks: see [`Associations::set_challenge`]. Keys aren't loaded by radio
//! (OTAR); associations are not created or re-keyed, but [retired](Associations::retire).
//!
//! [Yamcs]: https://docs.yamcs.org/yamcs-server-manual/links/ccsds-frame-processing
//! [CryptoLib]: https://github.com/nasa/CryptoLib
//! [F´]: https://nasa.github.io/fprime

pub mod attack;
mod fault;
mod frame;
mod key_file;
mod keys;
mod manage;
mod rate;
mod receiver;
mod reject;
mod sender;
#[cfg(test)]
mod tests;
mod window;

pub use fault::{FrameFault, SealError};
pub use frame::{Channel, Frame, Iv, MAX_DATA_BYTES, MAX_FRAME_BYTES, OVERHEAD_BYTES, RESYNC_SALT};
pub use key_file::{MAX_ROLE_KEYS, RoleKeyFileError, RoleKeyFileFault, RoleKeys};
pub use keys::{BadRoleKey, MAX_SPI, Role, RoleKey, UnknownRole};
pub use manage::{AssociationStatus, RetireError, State};
pub use rate::{Limits, Rate};
pub use receiver::{Associations, CHALLENGE_LIFE_MS, Content, Opened};
pub use reject::{Counts, Reason, Reject};
pub use sender::{BLOCK, Sender, SenderError};
pub use window::{Mark, WINDOW};
