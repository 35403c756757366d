//! What is coded, and how likely each bit of it is: context mixing in whole numbers.

pub(crate) mod bytes;
pub(crate) mod chance;
pub(crate) mod context;
pub(crate) mod flags;
pub(crate) mod history;
mod instruction;
pub(crate) mod logistic;
pub(crate) mod window;

/// Lines of the table in a unit of its size.
const TABLE_UNIT_LINES: u64 = 1_024;
/// Smallest window, as a power of two of bytes.
pub(crate) const MIN_WINDOW_BITS: u8 = 8;
/// Largest window.
pub(crate) const MAX_WINDOW_BITS: u8 = 22;

/// What a model is made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Size of its table, in 64 KiB.
    pub(crate) table: u8,
    /// Size of its window, as a power of two of bytes.
    pub(crate) window: u8,
    /// Whether it learns from what is copied as well.
    pub(crate) learns: bool,
}

impl Settings {
    /// Lines of the table.
    pub(crate) fn lines(self) -> u64 {
        u64::from(self.table) * TABLE_UNIT_LINES
    }

    /// Memory that the model and its window take, bytes.
    pub(crate) fn memory(self) -> u64 {
        bytes::memory(self.lines()) + window::Window::memory(u32::from(self.window))
    }
}
