//! Drafts: the bundles that are made of a frame, and its record, before anything is sealed or stored.

use passband_proto::bundle::{FileEntry, Manifest};
use passband_spectral::cube::ReadAt;
use sha2::{Digest, Sha256};

use crate::adapters::spool::OpenFrame;
use crate::queue::{CUBE, EVIDENCE};
use crate::store::{BundleRecord, FrameId, FrameRecord, NewFrame};
use crate::telemetry::Report;
use crate::triage::{ProductFile, Products};

/// Digests of a frame's files.
pub(super) struct Hashes {
    /// Of both: names the frame.
    pub(super) frame: FrameId,
    pub(super) header: [u8; 32],
    pub(super) data: [u8; 32],
}

/// A bundle before it is sealed.
pub(super) struct Draft {
    pub(super) manifest: Manifest,
    pub(super) preview: Vec<u8>,
    pub(super) content: Content,
}

/// Where the content of a bundle comes from.
pub(super) enum Content {
    Memory(Vec<u8>),
    /// The frame's header, then its data.
    Frame,
}

/// The bundles of a frame: its evidence and the frame itself.
pub(super) fn drafts(frame: &OpenFrame, hashes: &Hashes, products: &Products, unix_ms: u64) -> [Draft; 2] {
    let name = &frame.files.name;
    let report = &products.triage.report;
    let manifest = |product: &str| {
        let mut manifest = Manifest::new(&format!("{name} {product}"), product, products.class, unix_ms);
        manifest.frame = Some(name.clone());
        let label = |name: &str, value: String| (name.to_owned(), value);
        manifest.labels = vec![
            label("frame-id", hashes.frame.to_string()),
            label("reason", report.reason.chars().take(400).collect()),
            label("target", report.target.clone()),
            label("probability", format!("{:.3}", report.probability)),
            label("detections", report.detections.len().to_string()),
        ];
        manifest
    };
    let mut evidence = manifest(EVIDENCE);
    let quicklook = products.quicklook.as_deref().unwrap_or_default();
    if !quicklook.is_empty() {
        evidence.preview = Some(entry(&format!("{name}.quicklook.png"), quicklook));
    }
    // The record stands first, so that even the first bytes of the content tell what the frame is worth.
    let verdict = [
        ProductFile { name: format!("{name}.record"), bytes: products.record.clone() },
        ProductFile { name: format!("{name}.detections.json"), bytes: products.verdict_json.clone() },
    ];
    let files: Vec<&ProductFile> = verdict.iter().chain(&products.chip).collect();
    evidence.files = files.iter().map(|file| entry(&file.name, &file.bytes)).collect();
    let content = files.iter().flat_map(|file| file.bytes.iter().copied()).collect();
    let mut cube = manifest(CUBE);
    let files = &frame.files;
    cube.files = vec![
        FileEntry { name: files.header.clone(), bytes: frame.header.len() as u64, sha256: hashes.header },
        FileEntry { name: files.data.clone(), bytes: frame.data.size(), sha256: hashes.data },
    ];
    [
        Draft { manifest: evidence, preview: quicklook.to_vec(), content: Content::Memory(content) },
        Draft { manifest: cube, preview: Vec::new(), content: Content::Frame },
    ]
}

/// The record of a frame.
pub(super) fn new_frame(
    frame: &OpenFrame,
    hashes: &Hashes,
    products: &Products,
    bundles: &[BundleRecord],
    unix_ms: u64,
) -> NewFrame {
    let report = &products.triage.report;
    let (name, bytes) = (&frame.files.name, frame.header.len() as u64 + frame.data.size());
    let mut text = format!(
        "frame {name:?} ({bytes} bytes, id {}) is {}: {}",
        hashes.frame, products.class, report.reason
    );
    if let Err(why) = &products.quicklook {
        text.push_str("; without a quicklook: ");
        text.push_str(why);
    }
    NewFrame {
        frame: FrameRecord {
            id: hashes.frame,
            name: name.clone(),
            accepted_unix_ms: unix_ms,
            class: products.class,
            probability: report.probability,
            reason: report.reason.clone(),
            bytes,
        },
        bundles: bundles.to_vec(),
        spooled: frame.identities.to_vec(),
        report: Report::info("frame-accepted", text),
    }
}

fn entry(name: &str, bytes: &[u8]) -> FileEntry {
    FileEntry { name: name.to_owned(), bytes: bytes.len() as u64, sha256: Sha256::digest(bytes).into() }
}
