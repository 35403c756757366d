//! One bundle that is being received: which symbols of it came, and which blocks are whole.
//!
//! In the symbol store it is a folder `<spacecraft>-<epoch>-<id>` with `about.json`, the symbols of its open
//! blocks, the sealed file as far as it is there (see [`part`]), and once it is complete
//! `<id>.pbb` and `done.json` in their place.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use passband_proto::bundle::{Geometry, Manifest};
use passband_proto::datagram::{Datagram, SymbolHeader};
use passband_proto::report::{BlockState, BundleState};

use super::blocks::{OpenBlock, remove, source_symbols, symbols_path};
use super::finish::{Job, Outcome, Task};
use super::folder::{self, About, Key, MAX_BLOCKS, SCHEMA};
use super::open_blocks::OpenBlocks;
use super::part;
use super::products::write_aside;
use super::report::{BundleReport, Tally};
use super::sizes::Sizes;

/// What became of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// New; it takes so many bytes in memory.
    New(usize),
    Known,
    /// It speaks of another bundle of the same id.
    Conflict,
}

/// A bundle that is being received.
#[derive(Debug)]
pub(super) struct Bundle {
    about: About,
    dir: PathBuf,
    sizes: Sizes,
    open: OpenBlocks,
    whole: BTreeSet<u32>,
    /// Those of them whose content is in the product.
    written: BTreeSet<u32>,
    /// Blocks that are being decoded.
    decoding: BTreeSet<u32>,
    /// Blocks that could be decoded if it were known where they belong.
    waiting: BTreeSet<u32>,
    finishing: bool,
    manifest: Option<Manifest>,
    partial: Option<PathBuf>,
    complete: Option<BundleReport>,
    faults: Vec<String>,
    /// When it was used last.
    pub(super) used: u64,
}

impl Bundle {
    /// Makes the folder of a bundle that is heard of for the first time.
    pub(super) fn create(store: &Path, header: &SymbolHeader, symbol_bytes: u16) -> Result<Self> {
        let about = About {
            schema: SCHEMA,
            spacecraft: header.spacecraft,
            epoch: header.epoch,
            id: header.bundle,
            symbol_bytes,
            block_count: header.block_count,
            class: header.class,
        };
        let dir = folder::of(store, &about.key());
        fs::create_dir_all(&dir).with_context(|| format!("making the folder {}", dir.display()))?;
        write_aside(&dir.join("about.json"), &serde_json::to_vec(&about)?)?;
        Ok(Self::new(about, dir))
    }

    /// Takes up a folder of the store.
    pub(super) fn resume(dir: &Path) -> Result<Self> {
        let about = folder::read_about(dir)?;
        let mut this = Self::new(about, dir.to_owned());
        if let Some(report) = folder::done_report(dir) {
            this.complete = Some(report);
            return Ok(this);
        }
        // It was as good as done when the station stopped: the last step is taken again.
        let part = part::path(dir, &this.about);
        if this.sealed_path().is_file() && !part.is_file() {
            if part::noted(dir).is_empty()
                && let Some(geometry) = folder::sealed_geometry(&this.sealed_path())
            {
                part::note_all(dir, &geometry)?;
            }
            let back = fs::rename(this.sealed_path(), &part);
            back.with_context(|| format!("renaming {}", this.sealed_path().display()))?;
        }
        for (block, bytes) in part::blocks_of(dir)? {
            if this.sizes.fits(block, bytes) {
                this.whole.insert(block);
            }
        }
        for (block, path) in folder::symbol_files(dir)? {
            if let Err(e) = this.resume_block(block, &path) {
                this.faults.push(format!("{e:#}"));
            }
        }
        Ok(this)
    }

    fn new(about: About, dir: PathBuf) -> Self {
        let open = OpenBlocks::new(dir.clone(), about.symbol_bytes);
        Self {
            about,
            dir,
            sizes: Sizes::of(&about),
            open,
            whole: BTreeSet::new(),
            written: BTreeSet::new(),
            decoding: BTreeSet::new(),
            waiting: BTreeSet::new(),
            finishing: false,
            manifest: None,
            partial: None,
            complete: None,
            faults: Vec::new(),
            used: 0,
        }
    }

    fn resume_block(&mut self, block: u32, path: &Path) -> Result<()> {
        if block >= self.about.block_count {
            return Ok(());
        }
        if self.whole.contains(&block) {
            return remove(path);
        }
        let bytes = self.open.take_up(block)?;
        if !self.sizes.fits(block, bytes) {
            self.open.remove(block);
            bail!("{}: of another size than its like", path.display());
        }
        Ok(())
    }

    pub(super) fn key(&self) -> Key {
        self.about.key()
    }

    /// Takes an authentic datagram of this bundle.
    pub(super) fn push(&mut self, datagram: &Datagram<'_>) -> Result<Taken> {
        let header = datagram.header();
        if header.block_count != self.about.block_count
            || datagram.symbol_bytes() != self.about.symbol_bytes
            || self.about.block_count > MAX_BLOCKS
        {
            return Ok(Taken::Conflict);
        }
        self.about.class = header.class;
        if self.complete.is_some() || self.finishing || self.whole.contains(&header.block) {
            return Ok(Taken::Known);
        }
        if !self.sizes.fits(header.block, header.block_bytes) {
            return Ok(Taken::Conflict);
        }
        let busy = |block| self.decoding.contains(&block);
        let open = self.open.open(header.block, header.block_bytes, busy)?;
        Ok(match open.push(header.esi, datagram.symbol()) {
            0 => Taken::Known,
            bytes => Taken::New(bytes),
        })
    }

    /// Writes the symbols of a block that are in memory.
    pub(super) fn flush(&mut self, block: u32) -> Result<()> {
        self.open.get_mut(block).map_or(Ok(()), OpenBlock::flush)
    }

    /// The job that a block is ready for, if it is; its symbols are written before.
    pub(super) fn job_for(&mut self, block: u32) -> Result<Option<Job>> {
        let ready = self.open.get_mut(block).is_some_and(|open| open.ready());
        if !ready || self.decoding.contains(&block) {
            return Ok(None);
        }
        let Some(geometry) = self.sizes.geometry_around(block) else {
            self.waiting.insert(block);
            return Ok(None);
        };
        let Some(open) = self.open.get_mut(block) else { return Ok(None) };
        open.flush()?;
        open.tried();
        let task = Task::Block { block, spool: open.path().to_owned(), head: self.whole.contains(&0) };
        self.decoding.insert(block);
        Ok(Some(self.job(geometry, task)))
    }

    /// Jobs for what could not be placed before, and can be now.
    pub(super) fn jobs_waiting(&mut self) -> Result<Vec<Job>> {
        if self.waiting.is_empty()
            || self.waiting.iter().all(|block| self.sizes.geometry_around(*block).is_none())
        {
            return Ok(Vec::new());
        }
        let mut jobs = Vec::new();
        for block in std::mem::take(&mut self.waiting) {
            // It may have been put to disk meanwhile.
            if let Some(bytes) = self.sizes.size_of(block) {
                self.open.open(block, bytes, |block| self.decoding.contains(&block))?;
            }
            jobs.extend(self.job_for(block)?);
        }
        Ok(jobs)
    }

    /// Jobs after a restart: finish what is whole, decode what is ready.
    pub(super) fn jobs_to_resume(&mut self) -> Result<Vec<Job>> {
        if let Some(job) = self.job_if_whole() {
            return Ok(vec![job]);
        }
        let mut jobs = Vec::new();
        if self.whole.contains(&0)
            && let Some(geometry) = self.sizes.geometry_around(0)
        {
            jobs.push(self.job(geometry, Task::Head));
        }
        let ready: Vec<_> = self.open.held().collect();
        for block in ready {
            jobs.extend(self.job_for(block)?);
        }
        Ok(jobs)
    }

    /// The job that writes what there is of a bundle that isn't complete.
    pub(super) fn job_partial(&mut self) -> Option<Job> {
        if self.complete.is_some() || self.finishing {
            return None;
        }
        if !self.whole.contains(&0) {
            let segment_bytes = self.sizes.size_of(1)?;
            let nothing =
                Geometry { symbol_bytes: 0, block_count: 0, head_bytes: 0, segment_bytes: 0, tail_bytes: 0 };
            // Blocks are in their places as soon as it is known how large the head is.
            let geometry = self.sizes.geometry_around(1).unwrap_or(nothing);
            let whole = self.whole.iter().copied().collect();
            return Some(
                self.job(geometry, Task::Headless { segment_bytes, whole, open: self.open.files() }),
            );
        }
        let geometry = self.sizes.geometry_around(1)?;
        let whole = self.whole.iter().copied().collect();
        let open = self.open.files();
        Some(self.job(geometry, Task::Partial { whole, written: self.written.clone(), open }))
    }

    /// Takes what came of a job; the next one, if there is.
    pub(super) fn take(&mut self, outcome: Outcome) -> Result<Option<Job>> {
        match outcome {
            Outcome::Whole { block, written, head, fault } => {
                fault.into_iter().for_each(|what| self.fault(what));
                self.decoding.remove(&block);
                if let Some(path) = self.open.remove(block) {
                    remove(&path)?;
                }
                self.whole.insert(block);
                if written {
                    self.written.insert(block);
                }
                if let Some((manifest, folder)) = head.map(|head| *head) {
                    (self.manifest, self.partial) = (Some(manifest), Some(folder));
                }
                Ok(self.job_if_whole())
            }
            Outcome::More { block } => {
                self.decoding.remove(&block);
                // Some may have come meanwhile.
                self.job_for(block)
            }
            Outcome::Bad { block, what } => {
                self.fault(what);
                self.begin_again(block)
            }
            Outcome::Lost { blocks } => {
                self.finishing = false;
                for block in &blocks {
                    self.whole.remove(block);
                    self.written.remove(block);
                }
                tracing::warn!(
                    "{}: blocks {blocks:?} were damaged on disk and are received again",
                    self.about.id
                );
                // What it is called is known all the same.
                let head = self.whole.contains(&0).then(|| self.sizes.geometry_around(0)).flatten();
                Ok(head.map(|geometry| self.job(geometry, Task::Head)))
            }
            Outcome::Complete(opened) => {
                self.partial = None;
                self.manifest = Some(opened.manifest.clone());
                let tally = Tally::of_whole(&opened.geometry);
                let mut report = BundleReport::new(&self.about, self.manifest.as_ref(), &tally);
                report.output = Some(opened.output);
                report.sealed = Some(self.sealed_path());
                report.files = opened.files;
                report.faults.clone_from(&self.faults);
                write_aside(&self.dir.join("done.json"), &serde_json::to_vec(&report)?)?;
                self.complete = Some(report);
                self.clear_away()?;
                Ok(None)
            }
            Outcome::Partial(folder) => {
                self.partial = Some(folder);
                Ok(None)
            }
            Outcome::Fault(what) => {
                self.finishing = false;
                self.fault(what);
                Ok(None)
            }
        }
    }

    /// The symbols of a block were put aside; the job it is ready for all the same, if it is.
    fn begin_again(&mut self, block: u32) -> Result<Option<Job>> {
        self.decoding.remove(&block);
        if let Some(open) = self.open.get_mut(block) {
            open.flush()?;
        }
        self.open.remove(block);
        // What came since may be enough.
        let again = symbols_path(&self.dir, block).exists() && self.open.take_up(block).is_ok();
        if !self.whole.iter().any(|whole| self.sizes.are_alike(*whole, block)) {
            self.sizes.forget(block);
        }
        if again { self.job_for(block) } else { Ok(None) }
    }

    /// Whether it is complete, and its product there.
    pub(super) fn is_complete(&self) -> bool {
        self.complete.is_some()
    }

    /// Whether nothing is being done for it.
    pub(super) fn is_idle(&self) -> bool {
        self.decoding.is_empty() && (!self.finishing || self.complete.is_some())
    }

    /// About how many blocks' worth of memory it takes.
    pub(super) fn weight(&self) -> usize {
        1 + self.open.held_count()
    }

    /// What it still needs, block by block, for a report to the satellite; `None` while nothing is missing and
    /// the product isn't there yet: that may still fail.
    pub(super) fn state(&self) -> Option<BundleState> {
        let id = self.about.id;
        if self.complete.is_some() {
            return Some(BundleState { id, blocks: Vec::new() });
        }
        if self.whole.len() == self.about.block_count as usize {
            return None;
        }
        let blocks = (0..self.about.block_count).map(|block| {
            if self.whole.contains(&block) {
                return BlockState { missing: 0, as_of: 0 };
            }
            let Some(open) = self.open.standing(block) else {
                let largest = self.sizes.largest().unwrap_or(1);
                let bytes = self.sizes.size_of(block).unwrap_or(largest);
                return BlockState { missing: source_symbols(bytes, self.about.symbol_bytes), as_of: 0 };
            };
            let missing = open.source_symbols.saturating_sub(open.received).max(1);
            BlockState { missing, as_of: open.end }
        });
        Some(BundleState { id, blocks: blocks.collect() })
    }

    /// The report of this bundle as it stands.
    pub(super) fn report(&self) -> BundleReport {
        if let Some(report) = &self.complete {
            return report.clone();
        }
        let k = |bytes: u32| u64::from(source_symbols(bytes, self.about.symbol_bytes));
        let known = |block: u32| self.sizes.size_of(block).map_or(0, k);
        let whole: u64 = self.whole.iter().map(|block| known(*block)).sum();
        let open: u64 =
            self.open.standings().map(|(_, open)| u64::from(open.received.min(open.source_symbols))).sum();
        let tally = Tally {
            blocks_complete: u32::try_from(self.whole.len()).unwrap_or(u32::MAX),
            received: whole + open,
            needed: self.sizes.source_symbols(),
            complete: false,
        };
        let mut report = BundleReport::new(&self.about, self.manifest.as_ref(), &tally);
        report.partial.clone_from(&self.partial);
        report.faults.clone_from(&self.faults);
        report
    }

    fn fault(&mut self, what: String) {
        const MOST: usize = 20;
        if self.faults.len() < MOST && !self.faults.contains(&what) {
            self.faults.push(what);
        }
    }

    fn job(&self, geometry: Geometry, task: Task) -> Job {
        Job { about: self.about, dir: self.dir.clone(), geometry, task }
    }

    /// The job that makes the product, once every block is whole.
    pub(super) fn job_if_whole(&mut self) -> Option<Job> {
        if self.finishing || self.complete.is_some() || self.whole.len() != self.about.block_count as usize {
            return None;
        }
        let geometry = self.sizes.geometry_around(self.about.block_count - 1)?;
        self.finishing = true;
        Some(self.job(geometry, Task::Finish { written: self.written.clone() }))
    }

    /// Removes what the sealed file stands for.
    fn clear_away(&mut self) -> Result<()> {
        self.open.clear();
        self.whole.clear();
        for entry in fs::read_dir(&self.dir).with_context(|| format!("reading {}", self.dir.display()))? {
            let path = entry.with_context(|| format!("reading {}", self.dir.display()))?.path();
            if matches!(path.extension().and_then(|e| e.to_str()), Some("sym" | "log" | "part" | "tmp")) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn sealed_path(&self) -> PathBuf {
        folder::sealed_path(&self.dir, &self.about.id)
    }
}
