//! A real bundle: a file, sealed, with keys and a sender, in a folder of its own.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use passband_proto::bundle::{Geometry, SealOptions};
use passband_proto::datagram::Datagram;
use passband_proto::ids::Class;
use passband_proto::keyring::KeyRing;
use passband_proto::report::Gate;
use passband_proto::transfer::{Burst, Offer, Sender, SenderConfig};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::bench::work_folder;

use super::losses::Losses;
use super::sim;
use crate::sealing::{SealedFile, SealedFiles, seal_file};

/// A file that was sealed, and a sender for it.
#[derive(Debug)]
pub struct Real {
    dir: TempDir,
    sealed: SealedFile,
    store: SealedFiles,
    sender: Sender,
    gate: Gate,
}

impl Real {
    /// Makes a file of `bytes` random bytes, seals it, and offers it to a sender.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn new(bytes: u64, options: &SealOptions, seed: u64) -> Result<Self> {
        let dir = work_folder()?;
        let file = random_file(dir.path(), bytes, seed)?;
        let keys = sim::keys();
        let key = keys.newest(sim::SPACECRAFT).context("no key")?;
        let sealed = seal_file(key, &file, Class::Routine, 0, options, dir.path())?;
        let mut store = SealedFiles::default();
        store.add(&sealed)?;
        let mut sender = Sender::new(&SenderConfig::default(), keys.clone());
        sender.offer(&Offer {
            id: sealed.id,
            spacecraft: sim::SPACECRAFT,
            epoch: 0,
            class: Class::Routine,
            rank: 1,
            geometry: sealed.geometry,
            marks: Vec::new(),
        })?;
        Ok(Self { dir, sealed, store, sender, gate: Gate::default() })
    }

    /// The folder, removed with this.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The sealed bundle.
    #[must_use]
    pub fn sealed(&self) -> &SealedFile {
        &self.sealed
    }

    /// The plain file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir.path().join(FILE_NAME)
    }

    /// Symbols of the bundle.
    #[must_use]
    pub fn source_symbols(&self) -> u64 {
        source_symbols(&self.sealed.geometry)
    }

    /// A pass begins.
    pub fn begin_pass(&mut self) {
        self.sender.begin_pass();
    }

    /// The sender hears a frame of a report.
    ///
    /// # Errors
    /// It is refused.
    pub fn hear(&mut self, frame: &[u8]) -> Result<()> {
        sim::hear(&mut self.gate, &mut self.sender, frame)
    }

    /// The next datagrams; none if nothing more is worth sending in this pass.
    ///
    /// # Errors
    /// The sender fails.
    pub fn poll(&mut self, burst: &mut Burst) -> Result<bool> {
        Ok(self.sender.poll_transmit(&mut self.store, burst)?.is_some())
    }

    /// The next datagrams.
    ///
    /// # Errors
    /// The sender fails, or has nothing more to send even in another pass.
    pub fn next(&mut self, burst: &mut Burst) -> Result<()> {
        for _ in 0..2 {
            if self.poll(burst)? {
                return Ok(());
            }
            self.sender.begin_pass();
        }
        anyhow::bail!("the sender has nothing more to send")
    }

    /// The next datagrams that come through a channel: as many as make every block whole, and `spare` more.
    ///
    /// # Errors
    /// As for [`Real::next`].
    pub fn survivors(&mut self, losses: &mut Losses, spare: u64) -> Result<Vec<Vec<u8>>> {
        let geometry = self.sealed.geometry;
        // What each block still lacks; two symbols beyond K decode always.
        let mut lacks: Vec<u32> =
            (0..geometry.block_count).map(|b| geometry.source_symbols(b).unwrap_or_default() + 2).collect();
        let (mut kept, mut sent, mut left) = (Vec::new(), 0, spare);
        let mut open = lacks.len();
        let mut burst = Burst::default();
        while open > 0 || left > 0 {
            self.next(&mut burst)?;
            for datagram in burst.datagrams() {
                sent += 1;
                if losses.loses(sent) {
                    continue;
                }
                kept.push(datagram.to_vec());
                left = if open == 0 { left.saturating_sub(1) } else { left };
                let block = Datagram::parse(datagram).context("what was sent is no datagram")?.header().block;
                if let Some(lack) = lacks.get_mut(block as usize).filter(|lack| **lack > 0) {
                    *lack -= 1;
                    open -= usize::from(*lack == 0);
                }
            }
        }
        Ok(kept)
    }
}

const FILE_NAME: &str = "payload.bin";

/// Symbols of a bundle.
#[must_use]
pub fn source_symbols(geometry: &Geometry) -> u64 {
    (0..geometry.block_count).filter_map(|b| geometry.source_symbols(b)).map(u64::from).sum()
}

/// Writes the key file of everything here.
///
/// # Errors
/// Those of the disk.
pub fn write_keys(dir: &Path) -> Result<PathBuf> {
    let mut text = String::new();
    sim::keys().iter().try_for_each(|key| key.write_line(&mut text)).context("writing a key")?;
    let path = dir.join("keys.txt");
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// The keys as a station holds them.
#[must_use]
pub fn keys() -> KeyRing {
    sim::keys()
}

/// Makes a file of seeded random bytes.
///
/// # Errors
/// Those of the disk.
pub fn random_file(dir: &Path, bytes: u64, seed: u64) -> Result<PathBuf> {
    let path = dir.join(FILE_NAME);
    let at = || format!("writing {}", path.display());
    let mut out = BufWriter::new(File::create(&path).with_context(at)?);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut chunk = vec![0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        rng.fill_bytes(&mut chunk);
        let n = left.min(chunk.len() as u64);
        out.write_all(&chunk[..usize::try_from(n)?]).with_context(at)?;
        left -= n;
    }
    out.flush().with_context(at)?;
    Ok(path)
}
