//! One bundle in the symbol store: a folder `<spacecraft>-<epoch>-<id>` with `about.json`, the blocks,
//! and once all are whole the sealed file `<id>.pbb` in their place.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use passband_proto::bundle::{FileHeader, Geometry, Head, Opener};
use passband_proto::datagram::{Datagram, SymbolHeader};
use passband_proto::ids::{BundleId, Class};
use passband_proto::keyring::KeyRing;
use serde::{Deserialize, Serialize};

use super::Verdict;
use super::blocks::{OpenBlock, block_path};
use super::products::{FileReport, OpenedBundle, open_sealed_file, write_aside};

/// Blocks a bundle may have: 64 GiB in blocks of 64 KiB.
const MAX_BLOCKS: u32 = 1 << 20;

/// What identifies a bundle and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    schema: u32,
    spacecraft: u16,
    epoch: u16,
    id: BundleId,
    symbol_bytes: u16,
    block_count: u32,
    class: Class,
}

#[derive(Debug)]
enum Block {
    Open(OpenBlock),
    /// Decoded, its seal checked; sealed bytes.
    Whole(u32),
}

/// A bundle that is being received, or was.
#[derive(Debug)]
pub(super) struct Bundle {
    about: About,
    dir: PathBuf,
    blocks: BTreeMap<u32, Block>,
    symbols_received: u64,
    head: Option<Head>,
    products: Option<OpenedBundle>,
    completion: bool,
    faults: Vec<String>,
}

/// What the station knows of a bundle.
#[derive(Debug, Clone, Serialize)]
pub struct BundleReport {
    /// Its id.
    pub id: String,
    /// The spacecraft that sealed it.
    pub spacecraft: u16,
    /// The key epoch it was sealed under.
    pub epoch: u16,
    /// Its class, as last sent.
    pub class: Class,
    /// Its name; unknown until its head is whole.
    pub name: Option<String>,
    /// Kind of product.
    pub product: Option<String>,
    /// The frame it was made from.
    pub frame: Option<String>,
    /// Whether all of it is here, opened and written out.
    pub complete: bool,
    /// Bytes of its content; unknown until its head is whole.
    pub bytes: Option<u64>,
    /// Blocks of which it consists.
    pub block_count: u32,
    /// Blocks that are whole.
    pub blocks_complete: u32,
    /// Distinct authentic symbols received (those of whole blocks count K at most).
    pub symbols_received: u64,
    /// Source symbols of which it consists; estimated while blocks are unheard of.
    pub symbols_needed: u64,
    /// Share of it that is here, percent.
    pub percent: f64,
    /// Folder of its products.
    pub output: Option<PathBuf>,
    /// The sealed bundle.
    pub sealed: Option<PathBuf>,
    /// Its files, once complete.
    pub files: Vec<FileReport>,
    /// What went wrong with it.
    pub faults: Vec<String>,
}

impl Bundle {
    /// Makes the folder of a bundle that is heard of for the first time.
    pub(super) fn create(store: &Path, header: &SymbolHeader, symbol_bytes: u16) -> Result<Self> {
        let about = About {
            schema: 1,
            spacecraft: header.spacecraft,
            epoch: header.epoch,
            id: header.bundle,
            symbol_bytes,
            block_count: header.block_count,
            class: header.class,
        };
        let dir = store.join(format!("{}-{}-{}", about.spacecraft, about.epoch, about.id));
        fs::create_dir_all(&dir).with_context(|| format!("making the folder {}", dir.display()))?;
        write_aside(&dir.join("about.json"), &serde_json::to_vec(&about)?)?;
        Ok(Self::new(about, dir))
    }

    /// Takes up a folder of the store; `None` if it is not a bundle's.
    pub(super) fn resume(dir: &Path) -> Result<Option<Self>> {
        let about = dir.join("about.json");
        if !about.is_file() {
            return Ok(None);
        }
        let text = fs::read(&about).with_context(|| format!("reading {}", about.display()))?;
        let about: About = serde_json::from_slice(&text).context("about.json")?;
        ensure!(about.schema == 1, "a symbol store of schema {} (this version knows 1)", about.schema);
        let mut this = Self::new(about, dir.to_owned());
        if this.sealed_path().is_file() {
            return Ok(Some(this));
        }
        let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("reading {}", dir.display()))?.path();
            if let Err(e) = this.resume_block(&path) {
                this.faults.push(format!("{e:#}"));
            }
        }
        Ok(Some(this))
    }

    fn new(about: About, dir: PathBuf) -> Self {
        Self {
            about,
            dir,
            blocks: BTreeMap::new(),
            symbols_received: 0,
            head: None,
            products: None,
            completion: false,
            faults: Vec::new(),
        }
    }

    fn resume_block(&mut self, path: &Path) -> Result<()> {
        let number = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok());
        let Some(block) = number.filter(|block| *block < self.about.block_count) else { return Ok(()) };
        match path.extension().and_then(|e| e.to_str()) {
            Some("blk") => {
                let bytes = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?.len();
                let bytes = u32::try_from(bytes).context("a block of 4 GiB or more")?;
                self.symbols_received += u64::from(self.k(bytes));
                if let Some(Block::Open(open)) = self.blocks.insert(block, Block::Whole(bytes)) {
                    self.symbols_received -= u64::from(open.received());
                    open.remove()?;
                }
            }
            Some("sym") if !matches!(self.blocks.get(&block), Some(Block::Whole(_))) => {
                let open = OpenBlock::resume(&self.dir, block, self.about.symbol_bytes)?;
                self.symbols_received += u64::from(open.received());
                self.blocks.insert(block, Block::Open(open));
            }
            _ => {}
        }
        Ok(())
    }

    /// Opens what is whole after a restart: the head, or all of it.
    pub(super) fn resume_products(&mut self, keys: &KeyRing, out: &Path) -> Result<()> {
        if self.sealed_path().is_file() {
            self.write_products(keys, out);
            return self.remove_blocks();
        }
        if matches!(self.blocks.get(&0), Some(Block::Whole(_))) {
            let path = block_path(&self.dir, 0);
            let sealed = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            self.open_head(sealed, keys);
        }
        self.finish_if_whole(keys, out)
    }

    pub(super) fn key(&self) -> (u16, u16, BundleId) {
        (self.about.spacecraft, self.about.epoch, self.about.id)
    }

    /// Takes an authentic datagram of this bundle.
    pub(super) fn push(&mut self, datagram: &Datagram<'_>) -> Verdict {
        let header = datagram.header();
        let about = &mut self.about;
        let symbol_bytes = datagram.symbol_bytes();
        if header.block_count != about.block_count
            || symbol_bytes != about.symbol_bytes
            || about.block_count > MAX_BLOCKS
        {
            return Verdict::Rejected("conflict");
        }
        about.class = header.class;
        if self.products.is_some() || self.sealed_path_known() {
            return Verdict::Known;
        }
        let block = self.blocks.entry(header.block).or_insert_with(|| {
            Block::Open(OpenBlock::new(&self.dir, header.block, header.block_bytes, symbol_bytes))
        });
        match block {
            Block::Whole(_) => Verdict::Known,
            Block::Open(open) if open.block_bytes() != header.block_bytes => Verdict::Rejected("conflict"),
            Block::Open(open) => {
                let new = open.push(header.esi, datagram.symbol());
                self.symbols_received += u64::from(new);
                if new { Verdict::New } else { Verdict::Known }
            }
        }
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.blocks.values_mut().try_for_each(|block| match block {
            Block::Open(open) => open.flush(),
            Block::Whole(_) => Ok(()),
        })
    }

    /// Decodes a block if enough symbols are there, opens it, and the whole bundle if it was the last.
    pub(super) fn decode_if_ready(&mut self, block: u32, keys: &KeyRing, out: &Path) -> Result<()> {
        if matches!(self.blocks.get(&block), Some(Block::Open(open)) if open.ready()) {
            self.decode(block, keys)?;
            self.finish_if_whole(keys, out)?;
        }
        Ok(())
    }

    /// Decodes every block for which it may succeed.
    pub(super) fn decode_all(&mut self, keys: &KeyRing, out: &Path) -> Result<()> {
        let possible = |(number, block): (&u32, &Block)| match block {
            Block::Open(open) if open.possible() => Some(*number),
            _ => None,
        };
        let blocks: Vec<u32> = self.blocks.iter().filter_map(possible).collect();
        blocks.into_iter().try_for_each(|block| self.decode(block, keys))?;
        self.finish_if_whole(keys, out)
    }

    /// Whether it became complete since the last call; its report then.
    pub(super) fn take_completion(&mut self) -> Option<BundleReport> {
        std::mem::take(&mut self.completion).then(|| self.report())
    }

    fn decode(&mut self, block: u32, keys: &KeyRing) -> Result<()> {
        let Some(Block::Open(open)) = self.blocks.get_mut(&block) else { return Ok(()) };
        let Some(sealed) = open.decode()? else { return Ok(()) };
        let Some(key) = keys.get(self.about.spacecraft, self.about.epoch) else { return Ok(()) };
        let opener = Opener::new(key, &self.about.id, self.about.block_count);
        if let Err(e) = opener.open(block, &mut sealed.clone()) {
            let aside = open.quarantine()?;
            self.faults.push(format!("{e}: its symbols were put aside as {}", aside.display()));
            return Ok(());
        }
        let bytes = open.block_bytes();
        write_aside(&block_path(&self.dir, block), &sealed)?;
        open.remove()?;
        self.symbols_received -= u64::from(open.received().saturating_sub(open.source_symbols()));
        self.blocks.insert(block, Block::Whole(bytes));
        if block == 0 {
            self.open_head(sealed, keys);
        }
        Ok(())
    }

    fn open_head(&mut self, sealed: Vec<u8>, keys: &KeyRing) {
        let Some(key) = keys.get(self.about.spacecraft, self.about.epoch) else { return };
        match Opener::new(key, &self.about.id, self.about.block_count).open_head(sealed) {
            Ok(head) => self.head = Some(head),
            Err(e) => self.faults.push(e.to_string()),
        }
    }

    /// When all blocks are whole: writes the sealed file, then the products, then drops the blocks.
    fn finish_if_whole(&mut self, keys: &KeyRing, out: &Path) -> Result<()> {
        let Some(geometry) = self.whole_geometry() else { return Ok(()) };
        if self.products.is_some() {
            return Ok(());
        }
        let sealed = self.sealed_path();
        let tmp = sealed.with_extension("tmp");
        let file = File::create(&tmp).with_context(|| format!("creating {}", tmp.display()))?;
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        let a = &self.about;
        let header =
            FileHeader { spacecraft: a.spacecraft, epoch: a.epoch, id: a.id, class: a.class, geometry };
        writer.write_all(&header.encode())?;
        for block in 0..a.block_count {
            let path = block_path(&self.dir, block);
            let mut file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
            std::io::copy(&mut file, &mut writer).with_context(|| format!("writing {}", tmp.display()))?;
        }
        writer.flush().with_context(|| format!("writing {}", tmp.display()))?;
        fs::rename(&tmp, &sealed).with_context(|| format!("renaming {}", tmp.display()))?;
        self.write_products(keys, out);
        self.completion = self.products.is_some();
        self.remove_blocks()
    }

    /// Removes the blocks once the sealed file stands in their place.
    fn remove_blocks(&mut self) -> Result<()> {
        self.blocks.clear();
        for entry in fs::read_dir(&self.dir).with_context(|| format!("reading {}", self.dir.display()))? {
            let path = entry.with_context(|| format!("reading {}", self.dir.display()))?.path();
            if matches!(path.extension().and_then(|e| e.to_str()), Some("blk" | "sym" | "tmp")) {
                fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            }
        }
        Ok(())
    }

    fn write_products(&mut self, keys: &KeyRing, out: &Path) {
        match open_sealed_file(&self.sealed_path(), keys, out) {
            Ok(opened) => {
                self.symbols_received = symbols_of(&opened.geometry);
                self.products = Some(opened);
            }
            Err(e) => self.faults.push(format!("{e:#}")),
        }
    }

    /// The geometry, if every block is whole.
    fn whole_geometry(&self) -> Option<Geometry> {
        let bytes = |block| match self.blocks.get(&block) {
            Some(Block::Whole(bytes)) => Some(*bytes),
            _ => None,
        };
        let count = self.about.block_count;
        if self.blocks.len() != count as usize || !(0..count).all(|b| bytes(b).is_some()) {
            return None;
        }
        let tail_bytes = bytes(count - 1)?;
        let segment_bytes = if count > 2 { bytes(1)? } else { tail_bytes };
        Some(Geometry {
            symbol_bytes: self.about.symbol_bytes,
            block_count: count,
            head_bytes: bytes(0)?,
            segment_bytes,
            tail_bytes,
        })
    }

    /// The report of this bundle as it stands.
    pub(super) fn report(&self) -> BundleReport {
        let manifest =
            self.products.as_ref().map(|p| &p.manifest).or(self.head.as_ref().map(|h| &h.manifest));
        let complete = self.products.is_some();
        let needed = self.products.as_ref().map_or_else(|| self.needed(), |p| symbols_of(&p.geometry));
        let whole = self.blocks.values().filter(|b| matches!(b, Block::Whole(_))).count();
        let received = self.symbols_received;
        let percent = 100.0 * received.min(needed) as f64 / needed.max(1) as f64;
        BundleReport {
            id: self.about.id.to_string(),
            spacecraft: self.about.spacecraft,
            epoch: self.about.epoch,
            class: self.about.class,
            name: manifest.map(|m| m.name.clone()),
            product: manifest.map(|m| m.product.clone()),
            frame: manifest.and_then(|m| m.frame.clone()),
            complete,
            bytes: manifest.map(passband_proto::bundle::Manifest::content_bytes),
            block_count: self.about.block_count,
            blocks_complete: if complete {
                self.about.block_count
            } else {
                u32::try_from(whole).unwrap_or(u32::MAX)
            },
            symbols_received: received,
            symbols_needed: needed,
            // Symbols count towards their own block only: 100 % is said of nothing but a whole bundle.
            percent: if complete { 100.0 } else { percent.min(99.9) },
            output: self.products.as_ref().map(|p| p.output.clone()),
            sealed: complete.then(|| self.sealed_path()),
            files: self.products.as_ref().map(|p| p.files.clone()).unwrap_or_default(),
            faults: self.faults.clone(),
        }
    }

    fn sealed_path(&self) -> PathBuf {
        self.dir.join(format!("{}.pbb", self.about.id))
    }

    /// Whether the sealed file is there though its products could not be written.
    fn sealed_path_known(&self) -> bool {
        self.blocks.is_empty() && self.sealed_path().is_file()
    }

    fn k(&self, block_bytes: u32) -> u32 {
        block_bytes.div_ceil(u32::from(self.about.symbol_bytes.max(1)))
    }

    /// Source symbols in all; blocks not heard of yet are taken to be as large as the largest one, but for
    /// the head, which is small.
    fn needed(&self) -> u64 {
        let k = |block: &Block| match block {
            Block::Open(open) => open.source_symbols(),
            Block::Whole(bytes) => self.k(*bytes),
        };
        let known: u64 = self.blocks.values().map(k).map(u64::from).sum();
        let largest = self.blocks.values().map(k).max().unwrap_or_default();
        let unheard = u64::from(self.about.block_count) - self.blocks.len() as u64;
        let head = u64::from(!self.blocks.contains_key(&0));
        known + head + unheard.saturating_sub(head) * u64::from(largest)
    }
}

/// Source symbols of all blocks.
fn symbols_of(geometry: &Geometry) -> u64 {
    (0..geometry.block_count).filter_map(|b| geometry.source_symbols(b)).map(u64::from).sum()
}
