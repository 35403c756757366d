//! What can go wrong while sending.

use core::fmt;

use crate::bundle::BadGeometry;
use crate::fountain::FountainError;
use crate::ids::BundleId;

/// Why a bundle can't be taken into the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferError {
    /// Its geometry is out of range.
    Geometry(BadGeometry),
    /// There is no key to tag its datagrams with.
    NoKey {
        /// The bundle's spacecraft.
        spacecraft: u16,
        /// The bundle's key epoch.
        epoch: u16,
    },
}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Geometry(e) => e.fmt(f),
            Self::NoKey { spacecraft, epoch } => {
                write!(f, "no key for spacecraft {spacecraft}, epoch {epoch}")
            }
        }
    }
}

impl core::error::Error for OfferError {}

/// Why sending a bundle failed. It has been withdrawn.
#[derive(Debug)]
pub struct SendError<E> {
    /// The bundle.
    pub id: BundleId,
    /// What happened.
    pub fault: SendFault<E>,
}

/// What can happen while sending a bundle.
#[derive(Debug)]
pub enum SendFault<E> {
    /// The store failed.
    Store(E),
    /// The block can't be encoded.
    Fountain(FountainError),
    /// The bundle is not in the plan any more.
    Gone,
}

impl<E: fmt::Display> fmt::Display for SendError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bundle {}: ", self.id)?;
        match &self.fault {
            SendFault::Store(e) => e.fmt(f),
            SendFault::Fountain(e) => e.fmt(f),
            SendFault::Gone => f.write_str("not in the plan"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for SendError<E> {}
