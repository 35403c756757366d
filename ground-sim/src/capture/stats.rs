//! What was met in a capture, counted.

use serde::Serialize;

/// What a [`super::CaptureReader`] has met so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CaptureStats {
    /// Records, sound or not.
    pub records: u64,
    /// Captured bytes of those records.
    pub bytes: u64,
    /// UDP payloads found by their headers, those put together from fragments too.
    pub udp: u64,
    /// Datagrams found by their magic and CRC where the headers around them were of no use.
    pub salvaged: u64,
    /// Payloads that held several datagrams back to back, as segmentation offload leaves them.
    pub joined: u64,
    /// Packets that are not IP.
    pub non_ip: u64,
    /// IP packets that carry no UDP.
    pub other_ip: u64,
    /// IP fragments.
    pub fragments: u64,
    /// Packets put together from fragments.
    pub reassembled: u64,
    /// Sets of fragments given up: pieces missing, or the bounds reached.
    pub incomplete: u64,
    /// Records whose packet was cut by the snapshot length.
    pub truncated_records: u64,
    /// Whether the capture ends in the middle of a record or of its header.
    pub truncated: bool,
    /// Times the way had to be searched for, behind a damaged record.
    pub resyncs: u64,
    /// Bytes that belong to no record.
    pub stray_bytes: u64,
    /// Whether the file's own header is damaged.
    pub damaged_header: bool,
    /// What was wrong with the compressed stream; what lies behind is not read.
    pub damaged_compression: Option<String>,
}
