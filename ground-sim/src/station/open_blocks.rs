//! The blocks of a bundle of which symbols came and that are not whole: those that were heard of lately in
//! memory, the others on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::blocks::{OpenBlock, source_symbols, symbols_path};

/// Blocks that are held in memory at most; one takes about a kilobyte. A sender works at 128 at a time.
const MAX_HELD: usize = 4096;

/// How far an open block has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Distinct symbols.
    pub(super) received: u32,
    /// One more than the highest id that was heard.
    pub(super) end: u32,
    /// K.
    pub(super) source_symbols: u32,
}

/// The open blocks of a bundle.
#[derive(Debug)]
pub(super) struct OpenBlocks {
    dir: PathBuf,
    symbol_bytes: u16,
    most: usize,
    held: BTreeMap<u32, (u64, OpenBlock)>,
    on_disk: BTreeMap<u32, Standing>,
    clock: u64,
}

impl OpenBlocks {
    pub(super) fn new(dir: PathBuf, symbol_bytes: u16) -> Self {
        let (held, on_disk) = (BTreeMap::new(), BTreeMap::new());
        Self { dir, symbol_bytes, most: MAX_HELD, held, on_disk, clock: 0 }
    }

    /// The block that a symbol is of, begun or taken from disk if it isn't in memory. To make room for it,
    /// others are put to disk, but never those that are `busy`.
    pub(super) fn open(
        &mut self,
        block: u32,
        block_bytes: u32,
        busy: impl Fn(u32) -> bool,
    ) -> Result<&mut OpenBlock> {
        self.clock += 1;
        if !self.held.contains_key(&block) {
            self.make_room(busy)?;
            let open = self.begin(block, block_bytes)?;
            self.held.insert(block, (0, open));
        }
        let (used, open) = self.held.get_mut(&block).context("a block was put to disk in between")?;
        *used = self.clock;
        Ok(open)
    }

    /// A block as it is on disk, or a new one.
    fn begin(&mut self, block: u32, block_bytes: u32) -> Result<OpenBlock> {
        if self.on_disk.remove(&block).is_some() {
            match OpenBlock::resume(&self.dir, block, self.symbol_bytes) {
                Ok(open) if open.block_bytes() == block_bytes => return Ok(open),
                Err(e) if !is_gone(&e) => return Err(e),
                _ => {}
            }
        }
        Ok(OpenBlock::new(&self.dir, block, block_bytes, self.symbol_bytes))
    }

    /// Takes up a block that is on disk; its sealed size.
    pub(super) fn take_up(&mut self, block: u32) -> Result<u32> {
        let open = OpenBlock::resume(&self.dir, block, self.symbol_bytes)?;
        let bytes = open.block_bytes();
        if self.held.len() < self.most || open.ready() {
            self.held.insert(block, (0, open));
        } else {
            self.on_disk.insert(block, standing(&open));
        }
        Ok(bytes)
    }

    /// The block, if it is in memory.
    pub(super) fn get_mut(&mut self, block: u32) -> Option<&mut OpenBlock> {
        self.held.get_mut(&block).map(|(_, open)| open)
    }

    /// Forgets a block.
    pub(super) fn remove(&mut self, block: u32) -> Option<PathBuf> {
        let held = self.held.remove(&block).is_some();
        let on_disk = self.on_disk.remove(&block).is_some();
        (held || on_disk).then(|| symbols_path(&self.dir, block))
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.on_disk.clear();
    }

    /// How far a block has come; `None` if nothing of it came.
    pub(super) fn standing(&self, block: u32) -> Option<Standing> {
        let held = self.held.get(&block).map(|(_, open)| standing(open));
        held.or_else(|| self.on_disk.get(&block).copied())
    }

    /// All of them.
    pub(super) fn standings(&self) -> impl Iterator<Item = (u32, Standing)> {
        let held = self.held.iter().map(|(block, (_, open))| (*block, standing(open)));
        held.chain(self.on_disk.iter().map(|(block, standing)| (*block, *standing)))
    }

    /// Those in memory.
    pub(super) fn held(&self) -> impl Iterator<Item = u32> {
        self.held.keys().copied()
    }

    /// How many are in memory.
    pub(super) fn held_count(&self) -> usize {
        self.held.len()
    }

    /// The files of all of them.
    pub(super) fn files(&self) -> Vec<(u32, PathBuf)> {
        self.standings().map(|(block, _)| (block, symbols_path(&self.dir, block))).collect()
    }

    /// Sees to it that there is room for one more: half of those in memory, heard of least lately, go to disk.
    fn make_room(&mut self, busy: impl Fn(u32) -> bool) -> Result<()> {
        if self.held.len() < self.most {
            return Ok(());
        }
        let may_go = self.held.iter().filter(|(block, _)| !busy(**block));
        let mut by_use: Vec<_> = may_go.map(|(block, (used, _))| (*used, *block)).collect();
        by_use.sort_unstable();
        for (_, block) in by_use.into_iter().take(self.most / 2) {
            if let Some((_, mut open)) = self.held.remove(&block) {
                open.flush()?;
                self.on_disk.insert(block, standing(&open));
            }
        }
        Ok(())
    }
}

/// Whether what an error speaks of isn't there, or isn't what it was: nothing is lost by beginning again.
fn is_gone(e: &anyhow::Error) -> bool {
    e.downcast_ref::<std::io::Error>().is_none_or(|e| e.kind() == std::io::ErrorKind::NotFound)
}

fn standing(open: &OpenBlock) -> Standing {
    let source_symbols = source_symbols(open.block_bytes(), open.symbol_bytes());
    Standing { received: open.received(), end: open.end(), source_symbols }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_blocks_are_open_few_are_in_memory_and_no_symbol_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let mut blocks = OpenBlocks { most: 10, ..OpenBlocks::new(dir.path().to_owned(), 64) };
        for esi in 0..5 {
            for block in 0..100 {
                let open = blocks.open(block, 640, |busy| busy == 7).unwrap();
                assert!(open.push(esi * 3, &[1; 64]) > 0);
                assert!(open.push(esi * 3, &[1; 64]) == 0);
                assert!(blocks.held_count() <= 11);
            }
        }
        assert!(blocks.get_mut(7).is_some(), "it was busy");
        assert_eq!(blocks.files().len(), 100);
        for block in 0..100 {
            let expected = Standing { received: 5, end: 13, source_symbols: 10 };
            assert_eq!(blocks.standing(block), Some(expected));
        }
        assert!(blocks.remove(3).is_some() && blocks.standing(3).is_none() && blocks.remove(3).is_none());
        // What was put aside meanwhile begins again.
        let gone = blocks.on_disk.keys().next().copied().unwrap();
        std::fs::remove_file(symbols_path(dir.path(), gone)).unwrap();
        assert_eq!(blocks.open(gone, 640, |_| false).unwrap().received(), 0);
    }
}
