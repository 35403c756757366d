//! Fixed-size big-endian fields read from and written to byte slices, without ever indexing.

/// Reads fields from the front of a slice.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    /// Whether everything was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

/// Writes fields to the front of a slice; remembers whether all of them fitted.
pub(crate) struct Writer<'a> {
    left: &'a mut [u8],
    fitted: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self { left: bytes, fitted: true }
    }

    pub(crate) fn put(&mut self, field: &[u8]) -> &mut Self {
        let left = core::mem::take(&mut self.left);
        if let Some((head, rest)) = left.split_at_mut_checked(field.len()) {
            head.copy_from_slice(field);
            self.left = rest;
        } else {
            self.fitted = false;
        }
        self
    }

    /// How many bytes are left.
    pub(crate) fn room(&self) -> usize {
        self.left.len()
    }

    /// Whether every field fitted.
    pub(crate) fn fitted(&self) -> bool {
        self.fitted
    }
}
