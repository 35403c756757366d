//! A block whose symbols, though each of them passed, don't give what was sealed: some symbol is wrong, by a
//! fault of a disk or of memory. Decoding without some of them finds the good ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use passband_proto::fountain::BlockDecoder;

use super::blocks::{Records, source_symbols};

/// Into how many groups symbols are cut; decoding is tried without each of them.
const GROUPS: usize = 16;

/// What a search came to.
#[derive(Debug)]
pub(super) enum Found {
    /// The block as it was sealed.
    Whole(Vec<u8>),
    /// No subset is right: all symbols were put aside, as evidence.
    Nothing {
        /// The file they are in.
        aside: PathBuf,
    },
}

/// Looks for symbols that give a block for which `right` holds.
pub(super) fn search(spool: &Path, symbol_bytes: u16, mut right: impl FnMut(&[u8]) -> bool) -> Result<Found> {
    let mut records = Records::open(spool, symbol_bytes)?;
    let block_bytes = records.block_bytes;
    let k = source_symbols(block_bytes, symbol_bytes) as usize;
    let mut symbols: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    while let Some((esi, symbol)) = records.next()? {
        // Twice K gives every group's absence a chance, and bounds memory.
        if symbols.len() >= 2 * k + 64 {
            break;
        }
        symbols.insert(esi, symbol.to_vec());
    }
    let groups = GROUPS.min(symbols.len().max(1));
    for without in 0..groups {
        let left = symbols.iter().enumerate().filter(|(i, _)| i % groups != without);
        let left: Vec<_> = left.map(|(_, (esi, symbol))| (*esi, symbol.clone())).collect();
        if left.len() < k {
            continue;
        }
        let mut decoder = BlockDecoder::new(block_bytes, symbol_bytes)?;
        if let Some(sealed) = decoder.decode(left)
            && right(&sealed)
        {
            return Ok(Found::Whole(sealed));
        }
    }
    if symbols.len() < k + k / (GROUPS - 1) + 1 {
        tracing::warn!("{}: too few symbols to find a wrong one among them", spool.display());
    }
    let aside = (0..1000).map(|n| spool.with_extension(format!("bad{n}"))).find(|p| !p.exists());
    let aside = aside.unwrap_or_else(|| spool.with_extension("bad"));
    fs::rename(spool, &aside).with_context(|| format!("renaming {}", spool.display()))?;
    Ok(Found::Nothing { aside })
}

#[cfg(test)]
mod tests {
    use super::super::blocks::OpenBlock;
    use super::*;
    use passband_proto::fountain::BlockEncoder;

    #[test]
    fn a_wrong_symbol_is_found_by_leaving_it_out_and_hopeless_cases_are_put_aside() {
        let sealed: Vec<u8> = (0..6400_u32).map(|i| u8::try_from(i % 241).unwrap()).collect();
        for (extra, wrong, found) in
            [(20, vec![30], true), (20, vec![3, 30, 31, 77], false), (0, vec![5], false)]
        {
            let dir = tempfile::tempdir().unwrap();
            let mut block = OpenBlock::new(dir.path(), 1, 6400, 64);
            let mut encoder = BlockEncoder::new(&sealed, 64).unwrap();
            let push = |esi: u32, symbol: &[u8]| {
                let mut symbol = symbol.to_vec();
                symbol[9] ^= u8::from(wrong.contains(&esi));
                block.push(esi, &symbol);
            };
            encoder.symbols(0, 100 + extra, push).unwrap();
            block.flush().unwrap();
            match search(block.path(), 64, |got| got == sealed).unwrap() {
                Found::Whole(got) => assert!(found && got == sealed),
                Found::Nothing { aside } => assert!(!found && aside.is_file() && !block.path().exists()),
            }
        }
    }
}
