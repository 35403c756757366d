//! Datagrams for which there is no key: spooled as they are, with their tags, so that whoever has the key can
//! check and use them later, here or elsewhere.
//!
//! Each bundle has a file `raw/<spacecraft>-<epoch>-<id>-<T>-<blocks>.raw` of whole datagrams, all of one
//! size. Without a key nothing tells a right datagram from one that was forged with a right CRC: both are
//! kept, and what is claimed of a bundle's shape is part of the name, so that forged ones don't spoil others. What is
//! spooled is bounded: a forger on the very link can fill it.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::hash::BuildHasher;
use std::io::{BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use passband_proto::bundle::{FileHeader, Geometry};
use passband_proto::datagram::{Datagram, OVERHEAD_BYTES};
use passband_proto::fountain::BlockDecoder;
use passband_proto::ids::{BundleId, Class};
use serde::Serialize;

use super::Verdict;
use super::blocks::read_exactly;

/// Datagrams whose like is remembered, so that none is stored twice.
const MAX_SEEN: usize = 4 << 20;
/// Bundles that are spooled at most: without keys anybody can name one.
const MAX_FILES: usize = 10_000;
/// A bundle of which no more came makes room for others.
const SCRAP_DATAGRAMS: u64 = 4;
/// Datagrams held in memory before they are written, bytes.
const MAX_PENDING_BYTES: usize = 8 << 20;
/// Datagrams of a bundle that is put together without a key, at most: 22 GB of usual ones.
const MAX_INDEX: u64 = 16 << 20;
/// Blocks, and sizes that are claimed of them, of such a bundle.
const MAX_CLAIMS: usize = 1 << 18;

/// What names a file: spacecraft, epoch, bundle, symbol size, blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    spacecraft: u16,
    epoch: u16,
    id: BundleId,
    symbol_bytes: u16,
    block_count: u32,
}

/// What was spooled of a bundle without a key.
#[derive(Debug, Clone, Serialize)]
pub struct RawReport {
    /// The spacecraft it claims to be from.
    pub spacecraft: u16,
    /// The key epoch it takes.
    pub epoch: u16,
    /// The bundle's id.
    pub id: String,
    /// Datagrams that were spooled.
    pub datagrams: u64,
    /// The file they are in.
    pub spool: PathBuf,
    /// The sealed bundle, if it could be put together; nothing of it is verified.
    pub unverified: Option<PathBuf>,
}

/// The spool.
#[derive(Debug)]
pub(super) struct RawSpool {
    dir: PathBuf,
    limit_bytes: u64,
    bytes: u64,
    /// And the bytes that are spooled of each.
    names: BTreeMap<Name, u64>,
    pending: BTreeMap<Name, Vec<u8>>,
    pending_bytes: usize,
    seen: BTreeMap<Name, HashSet<u64>>,
    seen_count: usize,
    /// Datagrams of other bundles until room is looked for again.
    wait: usize,
    hasher: RandomState,
}

impl RawSpool {
    /// A spool in a folder, which is made once it is needed.
    pub(super) fn open(dir: &Path, limit_bytes: u64) -> Result<Self> {
        let mut bytes = 0;
        let mut names = BTreeMap::new();
        for (path, name) in files(dir)? {
            let its = fs::metadata(&path).map_or(0, |m| m.len());
            bytes += its;
            names.insert(name, its);
        }
        Ok(Self {
            dir: dir.to_owned(),
            limit_bytes,
            bytes,
            names,
            pending: BTreeMap::new(),
            pending_bytes: 0,
            seen: BTreeMap::new(),
            seen_count: 0,
            wait: 0,
            hasher: RandomState::new(),
        })
    }

    /// Takes a datagram whose CRC is right, and its bytes.
    pub(super) fn push(&mut self, datagram: &Datagram<'_>, bytes: &[u8]) -> Result<Verdict> {
        let header = datagram.header();
        let name = Name {
            spacecraft: header.spacecraft,
            epoch: header.epoch,
            id: header.bundle,
            symbol_bytes: datagram.symbol_bytes(),
            block_count: header.block_count,
        };
        if self.names.len() >= MAX_FILES && !self.names.contains_key(&name) {
            // Not for each where that is of no use: it takes a look at all of them.
            self.wait = self.wait.saturating_sub(1);
            if self.wait == 0 && self.drop_scraps()? < MAX_FILES / 100 {
                self.wait = MAX_FILES;
            }
        }
        let one_more = self.names.len() >= MAX_FILES && !self.names.contains_key(&name);
        if one_more || self.bytes + bytes.len() as u64 > self.limit_bytes {
            return Ok(Verdict::Rejected("spool-full"));
        }
        self.names.entry(name).or_default();
        if !self.seen.contains_key(&name) {
            let seen = self.read_seen(&name)?;
            self.seen_count += seen.len();
            self.seen.insert(name, seen);
        }
        if self.seen_count >= MAX_SEEN {
            // Some may be stored twice from here on, which costs room and nothing else.
            self.seen.values_mut().for_each(|seen| *seen = HashSet::new());
            self.seen_count = 0;
        }
        let hash = self.hasher.hash_one(bytes);
        if !self.seen.entry(name).or_default().insert(hash) {
            return Ok(Verdict::Known);
        }
        self.seen_count += 1;
        self.bytes += bytes.len() as u64;
        *self.names.entry(name).or_default() += bytes.len() as u64;
        self.pending.entry(name).or_default().extend_from_slice(bytes);
        self.pending_bytes += bytes.len();
        if self.pending_bytes > MAX_PENDING_BYTES {
            self.flush()?;
        }
        Ok(Verdict::Spooled)
    }

    /// Makes room for other bundles by dropping those of which hardly anything came: whoever invents bundles
    /// would shut out all others for good. How many those were.
    fn drop_scraps(&mut self) -> Result<usize> {
        let is_scrap = |(name, bytes): (&Name, &u64)| {
            (*bytes <= SCRAP_DATAGRAMS * name.datagram_bytes() as u64).then_some(*name)
        };
        let scraps: Vec<_> = self.names.iter().filter_map(is_scrap).collect();
        for name in &scraps {
            let path = self.dir.join(name.file());
            self.remove(&path)?;
        }
        Ok(scraps.len())
    }

    /// Appends what is in memory to the files.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.pending_bytes = 0;
        fs::create_dir_all(&self.dir).with_context(|| format!("making the folder {}", self.dir.display()))?;
        for (name, bytes) in std::mem::take(&mut self.pending) {
            let path = self.dir.join(name.file());
            let file = OpenOptions::new().create(true).append(true).open(&path);
            let written = file.and_then(|mut file| file.write_all(&bytes));
            written.with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }

    /// The files of bundles for which there is a key now.
    pub(super) fn take_known(&mut self, has_key: impl Fn(u16, u16) -> bool) -> Result<Vec<PathBuf>> {
        let all = files(&self.dir)?.into_iter();
        Ok(all.filter(|(_, name)| has_key(name.spacecraft, name.epoch)).map(|(path, _)| path).collect())
    }

    /// Removes a spool whose datagrams were taken, and what was put together from it.
    pub(super) fn remove(&mut self, path: &Path) -> Result<()> {
        if let Some(name) = Name::parse(path) {
            if let Some(unverified) = unverified_path(path, &name) {
                super::blocks::remove(&unverified)?;
            }
            let bytes = self.names.remove(&name).unwrap_or_default();
            self.bytes = self.bytes.saturating_sub(bytes);
            self.pending.remove(&name);
            self.seen_count -= self.seen.remove(&name).map_or(0, |seen| seen.len());
        }
        super::blocks::remove(path)
    }

    /// What is in a file already, as far as that is remembered; a datagram that a crash has torn is cut off.
    fn read_seen(&self, name: &Name) -> Result<HashSet<u64>> {
        let path = self.dir.join(name.file());
        let mut seen = HashSet::new();
        if !path.is_file() {
            return Ok(seen);
        }
        let each = name.datagram_bytes() as u64;
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        let size = file.metadata().with_context(|| format!("reading {}", path.display()))?.len();
        file.set_len(size / each * each).with_context(|| format!("cutting {}", path.display()))?;
        replay_one(&path, |bytes| {
            if seen.len() < MAX_SEEN {
                seen.insert(self.hasher.hash_one(bytes));
            }
            Ok(())
        })?;
        Ok(seen)
    }
}

impl Name {
    fn file(&self) -> String {
        let Self { spacecraft, epoch, id, symbol_bytes, block_count } = self;
        format!("{spacecraft}-{epoch}-{id}-{symbol_bytes}-{block_count}.raw")
    }

    fn parse(path: &Path) -> Option<Self> {
        let mut words = path.file_name()?.to_str()?.strip_suffix(".raw")?.split('-');
        let name = Self {
            spacecraft: words.next()?.parse().ok()?,
            epoch: words.next()?.parse().ok()?,
            id: words.next()?.parse().ok()?,
            symbol_bytes: words.next()?.parse().ok().filter(|bytes| *bytes > 0)?,
            block_count: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(name)
    }

    fn datagram_bytes(&self) -> usize {
        usize::from(self.symbol_bytes) + OVERHEAD_BYTES
    }
}

/// What a store has spooled without keys.
///
/// # Errors
/// Those of the disk.
pub fn raw_spools(store: &Path) -> Result<Vec<RawReport>> {
    let report = |(path, name): (PathBuf, Name)| {
        let bytes = fs::metadata(&path).map_or(0, |m| m.len());
        let unverified = unverified_path(&path, &name).filter(|path| path.is_file());
        RawReport {
            spacecraft: name.spacecraft,
            epoch: name.epoch,
            id: name.id.to_string(),
            datagrams: bytes / name.datagram_bytes() as u64,
            spool: path,
            unverified,
        }
    };
    Ok(files(&store.join("raw"))?.into_iter().map(report).collect())
}

/// Hands every datagram of a folder of spools on.
pub(super) fn replay(dir: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    files(dir)?.into_iter().try_for_each(|(path, _)| replay_one(&path, &mut each))
}

/// Hands every datagram of a spool on.
pub(super) fn replay_one(path: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let Some(name) = Name::parse(path) else { return Ok(()) };
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut datagram = vec![0; name.datagram_bytes()];
    while read_exactly(&mut reader, &mut datagram)? {
        each(&datagram)?;
    }
    Ok(())
}

/// Puts a bundle together without a key, from the datagrams of a spool: `unverified/<id>-….pbb` beside it.
/// `None`: too few datagrams, or they contradict each other. Its seals tell, once there is a key, whether it
/// is right; if it is not, the datagrams themselves still hold whatever is.
///
/// # Errors
/// Those of the disk.
pub(crate) fn assemble(spool: &Path) -> Result<Option<PathBuf>> {
    let Some(name) = Name::parse(spool) else { return Ok(None) };
    let Some(path) = unverified_path(spool, &name) else { return Ok(None) };
    if path.is_file() {
        return Ok(Some(path));
    }
    let Some(index) = Index::of(spool, &name)? else { return Ok(None) };
    let Some(geometry) = index.geometry(&name) else { return Ok(None) };
    let file = File::open(spool).with_context(|| format!("opening {}", spool.display()))?;
    let folder = path.parent().context("no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
    let tmp = path.with_extension("tmp");
    let mut out = File::create(&tmp).with_context(|| format!("creating {}", tmp.display()))?;
    let Name { spacecraft, epoch, id, .. } = name;
    let header = FileHeader { spacecraft, epoch, id, class: index.class, geometry };
    out.write_all(&header.encode()).with_context(|| format!("writing {}", tmp.display()))?;
    for block in 0..geometry.block_count {
        let Some(sealed) = index.decode(&file, &name, &geometry, block)? else {
            drop(out);
            super::blocks::remove(&tmp)?;
            return Ok(None);
        };
        out.write_all(&sealed).with_context(|| format!("writing {}", tmp.display()))?;
    }
    fs::rename(&tmp, &path).with_context(|| format!("renaming {}", tmp.display()))?;
    Ok(Some(path))
}

/// Where in a spool the datagrams of each block are.
struct Index {
    /// (block, its size) → the places of its datagrams.
    places: BTreeMap<(u32, u32), Vec<u32>>,
    class: Class,
}

impl Index {
    /// `None`: it is too large, or too much is claimed of it.
    fn of(spool: &Path, name: &Name) -> Result<Option<Self>> {
        let bytes = fs::metadata(spool).with_context(|| format!("reading {}", spool.display()))?.len();
        if bytes / name.datagram_bytes() as u64 > MAX_INDEX {
            return Ok(None);
        }
        let mut this = Self { places: BTreeMap::new(), class: Class::Routine };
        let mut place = 0_u32;
        replay_one(spool, |bytes| {
            if let Ok(datagram) = Datagram::parse(bytes) {
                let header = datagram.header();
                this.class = header.class;
                let claim = (header.block, header.block_bytes);
                if this.places.len() < MAX_CLAIMS || this.places.contains_key(&claim) {
                    this.places.entry(claim).or_default().push(place);
                }
            }
            place = place.saturating_add(1);
            Ok(())
        })?;
        Ok((this.places.len() < MAX_CLAIMS).then_some(this))
    }

    /// The size of a block that most of its datagrams name.
    fn size(&self, block: u32) -> Option<u32> {
        let of_block = self.places.range((block, 0)..=(block, u32::MAX));
        of_block.max_by_key(|(_, places)| places.len()).map(|((_, bytes), _)| *bytes)
    }

    fn geometry(&self, name: &Name) -> Option<Geometry> {
        let last = name.block_count.checked_sub(1)?;
        let (head_bytes, tail_bytes) = (self.size(0)?, self.size(last)?);
        let segment_bytes = if last > 1 { self.size(1)? } else { tail_bytes };
        let geometry = Geometry {
            symbol_bytes: name.symbol_bytes,
            block_count: name.block_count,
            head_bytes,
            segment_bytes,
            tail_bytes,
        };
        geometry.check().ok().map(|()| geometry)
    }

    fn decode(&self, file: &File, name: &Name, geometry: &Geometry, block: u32) -> Result<Option<Vec<u8>>> {
        let Some(bytes) = geometry.block_bytes(block) else { return Ok(None) };
        let Some(places) = self.places.get(&(block, bytes)) else { return Ok(None) };
        let most = geometry.source_symbols(block).unwrap_or_default() as usize + 64;
        let mut symbols: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        let mut datagram = vec![0; name.datagram_bytes()];
        for place in places {
            if symbols.len() >= most {
                break;
            }
            let offset = u64::from(*place) * datagram.len() as u64;
            file.read_exact_at(&mut datagram, offset).context("reading a spool")?;
            if let Ok(datagram) = Datagram::parse(&datagram) {
                symbols.entry(datagram.header().esi).or_insert_with(|| datagram.symbol().to_vec());
            }
        }
        Ok(BlockDecoder::new(bytes, name.symbol_bytes)?.decode(symbols))
    }
}

fn unverified_path(spool: &Path, name: &Name) -> Option<PathBuf> {
    let file = format!("{}-{}-{}.pbb", name.id, name.symbol_bytes, name.block_count);
    Some(spool.parent()?.join("unverified").join(file))
}

/// The spools of a folder; none if there is no such folder.
fn files(dir: &Path) -> Result<Vec<(PathBuf, Name)>> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", dir.display()))?.path();
        out.extend(Name::parse(&path).map(|name| (path, name)));
    }
    out.sort();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::datagram::{SymbolHeader, encode};
    use passband_proto::keys::EpochKey;

    #[test]
    fn a_flood_of_invented_bundles_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = RawSpool::open(&dir.path().join("raw"), 128 * 50).unwrap();
        let key = EpochKey::new(1, 1, [1; 32]).tag_key();
        let mut verdicts = BTreeMap::new();
        for block in 0..200 {
            let header = SymbolHeader {
                spacecraft: 1,
                epoch: 1,
                bundle: BundleId([u8::try_from(block % 7).unwrap(); 12]),
                block,
                class: Class::Routine,
                esi: 0,
                block_bytes: 64,
                block_count: 200,
                link_seq: 0,
            };
            let mut bytes = vec![0; 128];
            encode(&header, &[0; 64], &key, &mut bytes).unwrap();
            let verdict = spool.push(&Datagram::parse(&bytes).unwrap(), &bytes).unwrap();
            *verdicts.entry(format!("{verdict:?}")).or_insert(0) += 1;
        }
        assert_eq!(verdicts["Spooled"], 50);
        assert_eq!(verdicts["Rejected(\"spool-full\")"], 150);
        spool.flush().unwrap();
        let again = RawSpool::open(&dir.path().join("raw"), 128 * 50).unwrap();
        assert_eq!((again.bytes, again.names.len()), (128 * 50, 7));
    }

    #[test]
    fn ten_thousand_invented_bundles_keep_no_real_one_out() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = RawSpool::open(dir.path(), 1 << 30).unwrap();
        let key = EpochKey::new(1, 1, [1; 32]).tag_key();
        let mut push = |id: u32, esi: u32| {
            let mut bundle = [0; 12];
            bundle[..4].copy_from_slice(&id.to_be_bytes());
            let header = SymbolHeader {
                spacecraft: 1,
                epoch: 1,
                bundle: BundleId(bundle),
                block: 0,
                class: Class::Routine,
                esi,
                block_bytes: 6400,
                block_count: 1,
                link_seq: 0,
            };
            let mut bytes = vec![0; 128];
            encode(&header, &[0; 64], &key, &mut bytes).unwrap();
            spool.push(&Datagram::parse(&bytes).unwrap(), &bytes).unwrap()
        };
        (0..20).for_each(|esi| assert_eq!(push(0, esi), Verdict::Spooled));
        for id in 1..2 * u32::try_from(MAX_FILES).unwrap() {
            push(id, 0);
        }
        assert_eq!(push(u32::MAX, 0), Verdict::Spooled);
        assert_eq!(push(0, 5), Verdict::Known, "nor do they cost what came before");
    }
}
