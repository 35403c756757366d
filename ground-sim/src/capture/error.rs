//! What keeps a file from being read, or written, as a capture.

use std::fmt;
use std::io;

/// Why a capture can't be read or written. It names the capture and where in it.
#[derive(Debug)]
pub enum CaptureError {
    /// The file, or the reader behind it, failed.
    Io {
        /// The capture.
        name: String,
        /// How far it had been read or written, bytes (after decompression).
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// Neither pcap nor pcapng, and no Passband datagram in its first bytes either.
    NotACapture {
        /// The file.
        name: String,
        /// Where the file stops making sense, bytes (after decompression).
        offset: u64,
        /// The bytes found there, in hexadecimal.
        found: String,
    },
    /// A packet that can't be written, since no IP packet is that long.
    TooLong {
        /// The capture.
        name: String,
        /// Length of the UDP payload, bytes.
        bytes: usize,
    },
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { name, offset, .. } => write!(f, "capture {name}: failed at byte {offset}"),
            Self::NotACapture { name, offset, found } => write!(
                f,
                "{name} is not a capture: at byte {offset} stands '{found}', \
                 which begins neither pcap nor pcapng, plain or compressed with gzip or zstd"
            ),
            Self::TooLong { name, bytes } => {
                write!(f, "capture {name}: a UDP payload of {bytes} bytes fits no IP packet")
            }
        }
    }
}

impl std::error::Error for CaptureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::NotACapture { .. } | Self::TooLong { .. } => None,
        }
    }
}
