//! What takes time: decoding blocks, opening them, and writing products.
//!
//! A [`Finisher`] does one [`Job`] after another and says what came of it. It works on the files of the
//! store alone and shares nothing with whoever takes datagrams nor with other finishers, so that several may
//! run in threads of their own: whoever gives the jobs knows what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use passband_proto::bundle::{Geometry, Manifest, Opener, SEAL_BYTES};
use passband_proto::fountain::BlockDecoder;
use passband_proto::keyring::KeyRing;

use super::blocks::{Records, source_symbols};
use super::draft::{Draft, Range};
use super::folder::{self, About, Key};
use super::part::PartFile;
use super::products::{OpenedBundle, open_sealed_file, write_aside};
use super::subsets;

/// Bundles whose files are held open …
const MAX_HELD: usize = 8;
/// … and files of products, before another bundle is opened: of 1,024 that a process usually may have.
const MAX_FILES: usize = 128;
/// Symbols beyond K that a decoder is given at most: more add nothing but memory.
const EXTRA_SYMBOLS: usize = 16;

/// Something to do.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) about: About,
    pub(super) dir: PathBuf,
    pub(super) geometry: Geometry,
    pub(super) task: Task,
}

#[derive(Debug)]
pub(super) enum Task {
    /// Decode a block from the symbols in its file. `head`: block 0 is in its place, so that content can be
    /// written into the product.
    Block { block: u32, spool: PathBuf, head: bool },
    /// The head is there from before: open it.
    Head,
    /// All blocks are there: make the sealed file and the product, in which are `written` already.
    Finish { written: BTreeSet<u32> },
    /// The head isn't there: write what can be opened of the content, whatever it is. A segment has so many
    /// sealed bytes.
    Headless { segment_bytes: u32, whole: Vec<u32>, open: Vec<(u32, PathBuf)> },
    /// Write what there is: of the blocks that are whole, and of those that are not.
    Partial { whole: Vec<u32>, written: BTreeSet<u32>, open: Vec<(u32, PathBuf)> },
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) key: Key,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    /// A block is whole and in its place, and whether its content is in the product. Of the head: what is in
    /// the bundle, and where its preview is, or why that could not be written.
    Whole { block: u32, written: bool, head: Option<Box<(Manifest, PathBuf)>>, fault: Option<String> },
    /// More symbols of a block are needed.
    More { block: u32 },
    /// A block's symbols don't give what was sealed; some were dropped, or all were put aside.
    Bad { block: u32, what: String },
    /// Blocks that were whole are not what was written, and have to come again: a crash of the system has
    /// taken them, or a fault of the disk.
    Lost { blocks: Vec<u32> },
    /// The bundle is complete.
    Complete(Box<OpenedBundle>),
    /// What there is was written there.
    Partial(PathBuf),
    /// The bundle can't be finished, for this reason.
    Fault(String),
}

/// Does jobs.
#[derive(Debug)]
pub(super) struct Finisher {
    keys: KeyRing,
    out: PathBuf,
    held: BTreeMap<Key, Held>,
    clock: u64,
}

/// The open files of a bundle.
#[derive(Debug)]
struct Held {
    part: PartFile,
    opener: Opener,
    draft: Option<Draft>,
    used: u64,
}

impl Finisher {
    pub(super) fn new(keys: KeyRing, out: &Path) -> Self {
        Self { keys, out: out.to_owned(), held: BTreeMap::new(), clock: 0 }
    }

    /// Does a job. Errors are those of the disk.
    pub(super) fn run(&mut self, job: &Job) -> Result<Done> {
        let outcome = match &job.task {
            Task::Block { block, spool, head } => self.block(job, *block, spool, *head)?,
            Task::Head => self.head(job)?,
            Task::Finish { written } => self.finish(job, written).unwrap_or_else(|e| {
                // The next attempt begins with files that are opened anew.
                self.held.remove(&job.about.key());
                Outcome::Fault(format!("{e:#}"))
            }),
            Task::Headless { segment_bytes, whole, open } => {
                self.headless(job, *segment_bytes, whole, open)?
            }
            Task::Partial { whole, written, open } => self.partial(job, whole, written, open)?,
        };
        Ok(Done { key: job.about.key(), outcome })
    }

    fn block(&mut self, job: &Job, block: u32, spool: &Path, head: bool) -> Result<Outcome> {
        let symbol_bytes = job.about.symbol_bytes;
        let Some(sealed) = decode(spool, symbol_bytes)? else { return Ok(Outcome::More { block }) };
        let out = self.out.clone();
        let held = self.hold(job)?;
        let (geometry, opener) = (&job.geometry, &held.opener);
        // It is opened where it is: what is sealed has gone to its place before, and counts once it opens.
        held.part.place(geometry, block, &sealed)?;
        let bytes = sealed.len();
        let mut plain = sealed;
        if let Err(e) = opener.open(block, &mut plain) {
            let found = subsets::search(spool, symbol_bytes, |sealed| {
                plain = sealed.to_vec();
                opener.open(block, &mut plain).is_ok()
            })?;
            match found {
                subsets::Found::Whole(sealed) => held.part.place(geometry, block, &sealed)?,
                subsets::Found::Nothing { aside } => {
                    let what = format!("{e}: its symbols were put aside as {}", aside.display());
                    return Ok(Outcome::Bad { block, what });
                }
            }
        }
        held.part.note(block, bytes)?;
        if block == 0 {
            let sealed = held.part.read(geometry, 0)?;
            return Ok(held.open_head(&job.about, &out, sealed));
        }
        let written = head && held.ready_draft(job, &out).is_ok() && held.put(block, &plain)?;
        Ok(Outcome::Whole { block, written, head: None, fault: None })
    }

    fn head(&mut self, job: &Job) -> Result<Outcome> {
        let out = self.out.clone();
        let held = self.hold(job)?;
        if held.opened(job, 0).is_none() {
            return held.lose(vec![0]);
        }
        let sealed = held.part.read(&job.geometry, 0)?;
        Ok(held.open_head(&job.about, &out, sealed))
    }

    /// Makes the sealed file, and the product.
    fn finish(&mut self, job: &Job, written: &BTreeSet<u32>) -> Result<Outcome> {
        let sealed = folder::sealed_path(&job.dir, &job.about.id);
        let out = self.out.clone();
        let held = self.hold(job)?;
        if held.opened(job, 0).is_none() {
            return held.lose(vec![0]);
        }
        if held.ready_draft(job, &out)?.head().content.is_some() {
            // A single block: the draft holds nothing but the preview.
            let held = self.held.remove(&job.about.key()).context("the bundle's files were closed")?;
            held.part.finish(&job.about, job.geometry, &sealed)?;
            let opened = open_sealed_file(&sealed, &self.keys, &out).inspect_err(|_| {
                // As it was, for the next attempt.
                let _ = fs::rename(&sealed, super::part::path(&job.dir, &job.about));
            })?;
            let name = opened.output.file_name().context("the product has no name")?;
            super::draft::remove_folder(&out.join("partial").join(name));
            return Ok(Outcome::Complete(Box::new(opened)));
        }
        let lost = held.fill(job, |block| !written.contains(&block))?;
        if !lost.is_empty() {
            return held.lose(lost);
        }
        let mut files = held.ready_draft(job, &out)?.check()?;
        if files.is_err() {
            // What was written in between isn't what was opened: once more, all of it.
            let lost = held.fill(job, |_| true)?;
            if !lost.is_empty() {
                return held.lose(lost);
            }
            files = held.ready_draft(job, &out)?.check()?;
        }
        let files = match files {
            Ok(files) => files,
            Err(name) => bail!("{name} has another SHA-256 than its manifest says"),
        };
        let held = self.held.remove(&job.about.key()).context("the bundle's files were closed")?;
        let draft = held.draft.context("the bundle's product was closed")?;
        let manifest = draft.head().manifest.clone();
        let output = draft.finish()?;
        held.part.finish(&job.about, job.geometry, &sealed)?;
        Ok(Outcome::Complete(Box::new(OpenedBundle { manifest, geometry: job.geometry, output, files })))
    }

    fn partial(
        &mut self,
        job: &Job,
        whole: &[u32],
        written: &BTreeSet<u32>,
        open: &[(u32, PathBuf)],
    ) -> Result<Outcome> {
        let out = self.out.clone();
        let held = self.hold(job)?;
        if let Err(e) = held.ready_draft(job, &out) {
            return Ok(Outcome::Fault(format!("{e:#}")));
        }
        let mut present = Ranges::default();
        let segment = |draft: &Draft| u64::from(draft.head().manifest.segment_bytes);
        for &block in whole.iter().filter(|block| **block > 0) {
            if !written.contains(&block) {
                // What a crash has taken is found out, and asked for again, when the bundle is finished.
                let Some(plain) = held.opened(job, block) else { continue };
                held.put(block, &plain)?;
            }
            let Some(draft) = &held.draft else { continue };
            present.add(draft.content_offset(block), segment(draft));
        }
        let Some(draft) = &held.draft else { return Ok(Outcome::Fault("no draft".to_owned())) };
        for (block, spool) in open.iter().filter(|(block, _)| *block > 0) {
            let base = draft.content_offset(*block);
            pieces(&held.opener, *block, spool, job.about.symbol_bytes, &mut |offset, bytes| {
                present.add(base + offset, bytes.len() as u64);
                draft.write(base + offset, bytes)
            })?;
        }
        draft.describe(&present.done())?;
        Ok(Outcome::Partial(draft.folder().to_owned()))
    }

    /// Writes what can be opened of the content of a bundle without a head.
    fn headless(
        &mut self,
        job: &Job,
        segment_bytes: u32,
        whole: &[u32],
        open: &[(u32, PathBuf)],
    ) -> Result<Outcome> {
        let folder = headless_folder(&self.out, &job.about);
        let held = self.hold(job)?;
        let opener = &held.opener;
        fs::create_dir_all(&folder).with_context(|| format!("making the folder {}", folder.display()))?;
        let path = folder.join("content.bin");
        let failed = || format!("writing {}", path.display());
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(failed)?;
        let segment = u64::from(segment_bytes.saturating_sub(SEAL_BYTES));
        let mut present = Ranges::default();
        for block in whole.iter().filter(|block| **block > 0) {
            let Some(plain) = held.opened(job, *block) else { continue };
            let base = u64::from(block - 1) * segment;
            present.add(base, plain.len() as u64);
            file.write_all_at(&plain, base).with_context(failed)?;
        }
        for (block, spool) in open.iter().filter(|(block, _)| *block > 0) {
            let base = u64::from(block - 1) * segment;
            let mut write = |offset: u64, bytes: &[u8]| {
                present.add(base + offset, bytes.len() as u64);
                file.write_all_at(bytes, base + offset).with_context(failed)
            };
            let whole = decode(spool, job.about.symbol_bytes)?;
            match whole.and_then(|mut sealed| opener.open(*block, &mut sealed).ok().map(|()| sealed)) {
                Some(plain) => write(0, &plain)?,
                None => pieces(opener, *block, spool, job.about.symbol_bytes, &mut write)?,
            }
        }
        let About { spacecraft, epoch, id, block_count, class, .. } = &job.about;
        let document = serde_json::json!({
            "schema": 1, "id": id.to_string(), "spacecraft": spacecraft, "epoch": epoch, "class": class,
            "head": false, "block_count": block_count, "segment_bytes": segment,
            "content": { "name": "content.bin", "present": present.done() },
        });
        write_aside(&folder.join("partial.json"), &serde_json::to_vec(&document)?)?;
        Ok(Outcome::Partial(folder))
    }

    /// Files of products that are held open.
    fn open_files(&self) -> usize {
        self.held.values().filter_map(|held| held.draft.as_ref()).map(Draft::open_files).sum()
    }

    /// The open files of a job's bundle.
    fn hold(&mut self, job: &Job) -> Result<&mut Held> {
        self.clock += 1;
        let key = job.about.key();
        if !self.held.contains_key(&key) {
            while self.held.len() >= MAX_HELD || self.open_files() > MAX_FILES {
                let oldest = self.held.iter().min_by_key(|(_, held)| held.used).map(|(key, _)| *key);
                let Some(oldest) = oldest else { break };
                self.held.remove(&oldest);
            }
            let (spacecraft, epoch) = (job.about.spacecraft, job.about.epoch);
            let epoch_key = self.keys.get(spacecraft, epoch);
            let epoch_key = epoch_key
                .with_context(|| format!("there is no key for spacecraft {spacecraft}, epoch {epoch}"))?;
            let opener = Opener::new(epoch_key, &job.about.id, job.about.block_count);
            let part = PartFile::open(&job.dir, &job.about)?;
            self.held.insert(key, Held { part, opener, draft: None, used: 0 });
        }
        let held = self.held.get_mut(&key).context("the bundle's files were closed")?;
        held.used = self.clock;
        Ok(held)
    }
}

impl Held {
    /// The head is there: begins the product.
    fn open_head(&mut self, about: &About, out: &Path, sealed: Vec<u8>) -> Outcome {
        super::draft::remove_folder(&headless_folder(out, about));
        let draft = self.opener.open_head(sealed).map_err(anyhow::Error::from);
        let draft = draft.and_then(|head| Draft::open(out, about, head));
        match draft.and_then(|draft| draft.describe(&[]).map(|()| draft)) {
            Ok(draft) => {
                let head = Some(Box::new((draft.head().manifest.clone(), draft.folder().to_owned())));
                self.draft = Some(draft);
                Outcome::Whole { block: 0, written: true, head, fault: None }
            }
            Err(e) => Outcome::Whole { block: 0, written: true, head: None, fault: Some(format!("{e:#}")) },
        }
    }

    /// The draft, begun if the head is there and it isn't.
    fn ready_draft(&mut self, job: &Job, out: &Path) -> Result<&Draft> {
        // Another thread may have finished it, or somebody removed it, meanwhile.
        let draft = if let Some(draft) = self.draft.take().filter(|draft| draft.folder().is_dir()) {
            draft
        } else {
            let head = self.opener.open_head(self.part.read(&job.geometry, 0)?)?;
            Draft::open(out, &job.about, head)?
        };
        Ok(self.draft.insert(draft))
    }

    /// Writes blocks that are whole into the product; those that can't be read or opened any more.
    fn fill(&mut self, job: &Job, which: impl Fn(u32) -> bool) -> Result<Vec<u32>> {
        let mut lost = Vec::new();
        for block in (1..job.geometry.block_count).filter(|block| which(*block)) {
            match self.opened(job, block) {
                Some(plain) => drop(self.put(block, &plain)?),
                None => lost.push(block),
            }
        }
        Ok(lost)
    }

    /// What is in a block, if that is what the log says it is.
    fn opened(&self, job: &Job, block: u32) -> Option<Vec<u8>> {
        let mut plain = self.part.read(&job.geometry, block).ok()?;
        self.opener.open(block, &mut plain).ok().map(|()| plain)
    }

    /// Notes that blocks have to come again.
    fn lose(&mut self, blocks: Vec<u32>) -> Result<Outcome> {
        blocks.iter().try_for_each(|block| self.part.lost(*block))?;
        Ok(Outcome::Lost { blocks })
    }

    /// Writes a content block into the product, if there is one yet; whether it did.
    fn put(&mut self, block: u32, plain: &[u8]) -> Result<bool> {
        let Some(draft) = &self.draft else { return Ok(false) };
        draft.write(draft.content_offset(block), plain)?;
        Ok(true)
    }
}

/// Decodes a block from the symbols in a file; `None`: it takes more.
fn decode(spool: &Path, symbol_bytes: u16) -> Result<Option<Vec<u8>>> {
    let mut records = Records::open(spool, symbol_bytes)?;
    let most = source_symbols(records.block_bytes, symbol_bytes) as usize + EXTRA_SYMBOLS;
    let mut decoder = BlockDecoder::new(records.block_bytes, symbol_bytes)?;
    let mut symbols = Vec::with_capacity(most);
    while symbols.len() < most
        && let Some((esi, symbol)) = records.next()?
    {
        symbols.push((esi, symbol.to_vec()));
    }
    Ok(decoder.decode(symbols))
}

/// Where what is known of a bundle without a head is written.
fn headless_folder(out: &Path, about: &About) -> PathBuf {
    out.join("partial").join(about.id.to_string())
}

/// Opens the source symbols of a block that isn't whole, one by one, and hands them on with their places in it.
fn pieces(
    opener: &Opener,
    block: u32,
    spool: &Path,
    symbol_bytes: u16,
    each: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    if fs::metadata(spool).is_err() || !symbol_bytes.is_multiple_of(16) {
        return Ok(());
    }
    let mut records = Records::open(spool, symbol_bytes)?;
    let k = source_symbols(records.block_bytes, symbol_bytes);
    let content = records.block_bytes.saturating_sub(SEAL_BYTES);
    while let Some((esi, symbol)) = records.next()? {
        let offset = esi.saturating_mul(u32::from(symbol_bytes));
        if esi >= k || offset >= content || opener.open_piece(block, offset, symbol).is_err() {
            continue;
        }
        let bytes = symbol.len().min((content - offset) as usize);
        each(u64::from(offset), symbol.get(..bytes).unwrap_or_default())?;
    }
    Ok(())
}

/// Ranges in any order, put together.
#[derive(Debug, Default)]
struct Ranges(Vec<Range>);

impl Ranges {
    fn add(&mut self, start: u64, bytes: u64) {
        match self.0.last_mut() {
            Some((_, end)) if *end == start => *end += bytes,
            _ => self.0.push((start, start + bytes)),
        }
    }

    fn done(mut self) -> Vec<Range> {
        self.0.sort_unstable();
        let mut out: Vec<Range> = Vec::new();
        for (start, end) in self.0 {
            match out.last_mut() {
                Some((_, last)) if *last >= start => *last = end.max(*last),
                _ => out.push((start, end)),
            }
        }
        out
    }
}
