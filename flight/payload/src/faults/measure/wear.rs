//! The bytes that are written to the disk for the bytes that are stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use passband_proto::bundle::SealOptions;
use passband_proto::datagram::DEFAULT_SYMBOL_BYTES;
use passband_proto::ids::Class;
use passband_proto::keyring::KeyRing;
use passband_proto::keys::EpochKey;
use passband_proto::transfer::{Burst, Offer, Sender, SenderConfig, datagrams_in};
use passband_spectral::envi::{DataType, Header};
use passband_spectral::target::Target;
use passband_spectral::triage::Params;

use crate::adapters::catalogue::open_catalogue;
use crate::adapters::disk::{Disk, write_file};
use crate::adapters::spool::Spool;
use crate::adapters::vault::Vault;
use crate::camera::FrameFiles;
use crate::daemon::intake::{Detector, Follow, Intake, IntakeError, Sealer, Step, Taken};
use crate::faults::SimDisk;
use crate::faults::blocks::StoredBlocks;
use crate::products::Rules;
use crate::store::{AlertRecord, BundleRecord, Catalogue, StoreError};

/// Rate of the link that what is stored is sent over, bit/s.
const RATE_BPS: u64 = 40_000_000;
/// The daemon writes marks once in so much of the link's time, ns.
const WRITE_NS: u64 = 150_000_000;
const SAMPLES: usize = 256;
const BANDS: usize = 64;

/// What was written, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wear {
    /// Of frames, header and data.
    pub frame_bytes: u64,
    /// Sealed bundles.
    pub stored_bytes: u64,
    /// Written to the disk while frames were taken, the catalogue's pages among it.
    pub written_bytes: u64,
    /// Datagrams that sent it all until its class wanted no more.
    pub sent_bytes: u64,
    /// Written to the disk meanwhile: marks.
    pub mark_bytes: u64,
}

impl Wear {
    /// Bytes written for each byte stored.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub fn per_stored_byte(&self) -> f64 {
        self.written_bytes as f64 / self.stored_bytes.max(1) as f64
    }
}

/// Takes `frames` routine frames of `frame_bytes` each as the daemon does, after one that isn't counted, and sends them.
///
/// # Errors
/// Those of the store or the sender, in words.
pub fn wear(frame_bytes: u64, frames: u32) -> Result<Wear, String> {
    let bench = Bench::new().map_err(|e| e.to_string())?;
    bench.take(frame_bytes.min(1 << 17), 0)?;
    let before = bench.disk.written_bytes();
    let mut wear = Wear::default();
    let mut stored = Vec::new();
    for number in 1..=frames {
        let (bytes, bundles) = bench.take(frame_bytes, number)?;
        wear.frame_bytes += bytes;
        stored.extend(bundles);
    }
    wear.stored_bytes = stored.iter().map(BundleRecord::bytes).sum();
    let taken = bench.disk.written_bytes();
    wear.written_bytes = taken - before;
    wear.sent_bytes = bench.send(&stored)?;
    wear.mark_bytes = bench.disk.written_bytes() - taken;
    Ok(wear)
}

/// A store on a disk whose writes are counted, and a spool on another.
struct Bench {
    disk: SimDisk,
    camera: SimDisk,
    spool: Spool,
    vault: Vault,
    catalogue: Catalogue,
    key: EpochKey,
}

struct Quiet;

impl Follow for Quiet {
    fn at(&mut self, _step: Step) -> Result<(), IntakeError> {
        Ok(())
    }

    fn alert(&mut self, _alert: AlertRecord) {}

    fn make_room(&mut self, _bytes: u64, _class: Class) -> Result<(), IntakeError> {
        Ok(())
    }
}

impl Bench {
    fn new() -> Result<Self, StoreError> {
        let (disk, camera, state) = (SimDisk::default(), SimDisk::default(), Path::new("/state"));
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        shared.make_folder(state).map_err(|e| StoreError::file("making", state, e))?;
        let catalogue = open_catalogue(&disk, state)?.catalogue;
        let vault = Vault::open(shared, state)?;
        let folder = Path::new("/spool");
        let spool = Spool::open(Arc::new(camera.clone()), folder, Path::new("/rejected"), 1);
        let spool = spool.map_err(|e| StoreError::file("making", folder, e))?;
        Ok(Self { disk, camera, spool, vault, catalogue, key: EpochKey::new(1, 1, [7; 32]) })
    }

    /// Takes a frame of noise; its size, and what is stored of it.
    fn take(&self, frame_bytes: u64, number: u32) -> Result<(u64, Vec<BundleRecord>), String> {
        let name = format!("frame-{number}");
        let (header, data) = noise(frame_bytes, number);
        let bytes = (header.len() + data.len()) as u64;
        let files = FrameFiles { data: format!("{name}.bil"), header: format!("{name}.hdr"), name };
        for (file, bytes) in [(&files.data, data), (&files.header, header)] {
            write_file(&self.camera, &Path::new("/spool").join(file), &bytes).map_err(|e| e.to_string())?;
        }
        let options = SealOptions::default();
        let stop = AtomicBool::new(false);
        let intake = Intake {
            spool: &self.spool,
            catalogue: &self.catalogue,
            sealer: Sealer { vault: &self.vault, key: &self.key, options, threads: 1, stop: &stop },
            rules: &Rules::default(),
            examiner: &Detector { target: &Target::ch4(), params: &Params::default(), calibration: None },
        };
        match intake.take(files, 1, &mut Quiet).map_err(|e| e.to_string())? {
            Taken::Accepted { bundles, .. } => Ok((bytes, bundles)),
            Taken::Duplicate { id } => Err(format!("frame {id} twice")),
        }
    }

    /// Sends until nothing is wanted for its class; the bytes of the datagrams.
    fn send(&self, bundles: &[BundleRecord]) -> Result<u64, String> {
        let mut keys = KeyRing::default();
        keys.insert(self.key.clone());
        let mut sender = Sender::new(&SenderConfig::default(), keys);
        let reserve = datagrams_in(RATE_BPS, WRITE_NS, DEFAULT_SYMBOL_BYTES);
        sender.set_reserve_symbols(u32::try_from(reserve).unwrap_or(u32::MAX));
        let mut blocks =
            StoredBlocks { vault: &self.vault, catalogue: &self.catalogue, geometries: BTreeMap::new() };
        for (rank, record) in (0..).zip(bundles) {
            let BundleRecord { id, spacecraft, epoch, class, geometry, .. } = *record;
            blocks.geometries.insert(id, geometry);
            let offer = Offer { id, spacecraft, epoch, class, rank, geometry, marks: Vec::new() };
            sender.offer(&offer).map_err(|e| e.to_string())?;
        }
        let mut burst = Burst::default();
        let mut sent = 0;
        while bundles.iter().any(|record| sender.wants(&record.id)) {
            let polled = sender.poll_transmit(&mut blocks, &mut burst);
            if polled.map_err(|e| e.to_string())?.is_none() {
                break;
            }
            sent += burst.bytes() as u64;
        }
        sender.checkpoint(&mut blocks).map_err(|e| e.to_string())?;
        Ok(sent)
    }
}

/// A frame of noise, about so large: header and data.
#[expect(clippy::cast_precision_loss, reason = "the number of a band")]
fn noise(frame_bytes: u64, seed: u32) -> (Vec<u8>, Vec<u8>) {
    let lines = frame_bytes / (SAMPLES * BANDS * 2) as u64;
    let lines = usize::try_from(lines).unwrap_or(usize::MAX).max(1);
    let mut header = Header::new(SAMPLES, lines, BANDS, DataType::U16);
    header.wavelengths_nm = Some((0..BANDS).map(|band| 450.0 + 32.0 * band as f64).collect());
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut data = vec![0; lines * SAMPLES * BANDS * 2];
    for bytes in data.chunks_mut(2) {
        // Xorshift (Marsaglia, Journal of Statistical Software 8 (14), 2003); brightness from 4,096 to 8,191.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let [low, high, ..] = state.to_le_bytes();
        bytes.copy_from_slice(&[low, 0x10 | (high & 0x0F)]);
    }
    (header.to_text().into_bytes(), data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_little_more_than_what_is_stored() {
        let wear = wear(1 << 19, 1).unwrap();
        assert!(wear.stored_bytes > wear.frame_bytes && wear.frame_bytes > 500_000, "{wear:?}");
        assert!((1.0..1.2).contains(&wear.per_stored_byte()), "{wear:?}");
        assert!(wear.sent_bytes > wear.stored_bytes, "{wear:?}");
        assert!(wear.mark_bytes > 0 && wear.mark_bytes < wear.sent_bytes / 10, "{wear:?}");
    }
}
