//! What the demo leaves in `summary.json`, and what its report is drawn from.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

/// Everything that happened.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Version of this document: 1.
    pub schema: u32,
    /// Whether every bundle came down whole and every product equals its source.
    pub complete: bool,
    /// Whether recovering the captures alone gave the same products.
    pub captures_agree: bool,
    /// Seed of the scenes and of the link.
    pub seed: u64,
    /// How long the demo took, s.
    pub seconds: f64,
    /// The frames, in the order in which the camera delivered them.
    pub frames: Vec<FrameSummary>,
    /// The bundles.
    pub bundles: Vec<BundleSummary>,
    /// The passes.
    pub passes: Vec<PassSummary>,
    /// The alert messages, in the order in which they came.
    pub alerts: Vec<Value>,
    /// The time line.
    pub timeline: Vec<TimelineEntry>,
}

/// A frame.
#[derive(Debug, Clone, Serialize)]
pub struct FrameSummary {
    /// Its name.
    pub name: String,
    /// Class given by triage: `alert`, `suspect`, `routine`, `discard-candidate`.
    pub class: String,
    /// Why.
    pub reason: String,
    /// Samples, lines, bands.
    pub size: [u64; 3],
    /// Detections, as triage reported them (objects with at least `probability`, `peak_ppm_m`,
    /// `pixels`, and `mass_kg` and `rate_kg_h`: `value` and `sigma`, or null).
    pub detections: Vec<Value>,
    /// The quicklook, relative to the output folder.
    pub quicklook: Option<PathBuf>,
    /// The recovered cube (`.hdr`), relative to the output folder.
    pub cube: Option<PathBuf>,
}

/// A bundle.
#[derive(Debug, Clone, Serialize)]
pub struct BundleSummary {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Kind of product: `evidence`, `quicklook`, `region`, `cube`.
    pub product: String,
    /// The frame it was made from.
    pub frame: Option<String>,
    /// Its class.
    pub class: String,
    /// Bytes of its content.
    pub bytes: u64,
    /// Symbol bytes of it that were received, each symbol once.
    pub bytes_received: u64,
    /// Passes until it was whole; `None` if it is not.
    pub passes: Option<u32>,
    /// Whether it is whole.
    pub complete: bool,
    /// Whether what came down equals what went in, bit for bit.
    pub identical: bool,
    /// Files: name, bytes, SHA-256 of the source and of the product.
    pub files: Vec<FileSummary>,
    /// Percent complete after each pass.
    pub percent_by_pass: Vec<f64>,
    /// Percent that sending the sealed bundle blindly again and again would have brought, in the same
    /// share of the link, with the same losses.
    pub blind_percent_by_pass: Vec<f64>,
}

/// A file of a bundle.
#[derive(Debug, Clone, Serialize)]
pub struct FileSummary {
    /// Its name.
    pub name: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// SHA-256 of what went into the camera's spool; `None` for what was made on board.
    pub source_sha256: Option<String>,
    /// SHA-256 of what came down.
    pub product_sha256: Option<String>,
}

/// A pass.
#[derive(Debug, Clone, Serialize)]
pub struct PassSummary {
    /// Its number, from 1.
    pub number: u32,
    /// AOS, s since the demo began.
    pub aos_s: f64,
    /// LOS, s since the demo began.
    pub los_s: f64,
    /// Rate of the link, bit/s.
    pub rate_bps: u64,
    /// Loss the link was set to, 0 … 1.
    pub loss_set: f64,
    /// Datagrams the satellite sent.
    pub sent: u64,
    /// Datagrams lost.
    pub lost: u64,
    /// Datagrams delivered damaged.
    pub corrupted: u64,
    /// Datagrams delivered twice.
    pub duplicated: u64,
    /// Datagrams delivered out of order.
    pub reordered: u64,
    /// Acknowledgements the satellite heard: always 0.
    pub acks: u64,
    /// Share of the link's capacity that was used, 0 … 1.
    pub link_use: f64,
    /// The capture, relative to the output folder.
    pub capture: PathBuf,
    /// Whether it ended before its time.
    pub cut_short: bool,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
pub struct TimelineEntry {
    /// When, s since the demo began.
    pub t_s: f64,
    /// What kind: `frame`, `alert`, `aos`, `los`, `bundle`, `check`, `note`.
    pub kind: String,
    /// What, for people.
    pub text: String,
}
