//! Two files, byte for byte.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

const CHUNK_BYTES: usize = 64 * 1024;

/// What comparing one thing that both binaries made has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Comparison {
    /// Both made it, and it is the same.
    pub(crate) equal: bool,
    /// Its size with the native binary; `None` when it wasn't made.
    pub(crate) native_bytes: Option<u64>,
    /// Its size with the board's binary; `None` when it wasn't made.
    pub(crate) target_bytes: Option<u64>,
    /// Offset of the first byte that differs, or at which the shorter one ends.
    pub(crate) first_difference: Option<u64>,
}

/// Compares two files, either of which may be missing.
pub(crate) fn files(native: &Path, target: &Path) -> Result<Comparison> {
    let (native_bytes, target_bytes) = (size(native)?, size(target)?);
    let first_difference = match (native_bytes, target_bytes) {
        (Some(a), Some(b)) => difference(native, target)?.or_else(|| (a != b).then(|| a.min(b))),
        _ => None,
    };
    let equal = native_bytes.is_some() && target_bytes.is_some() && first_difference.is_none();
    Ok(Comparison { equal, native_bytes, target_bytes, first_difference })
}

fn size(path: &Path) -> Result<Option<u64>> {
    match std::fs::metadata(path) {
        Ok(meta) => Ok(Some(meta.len())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can't look at {}", path.display())),
    }
}

/// Offset of the first difference, up to the end of the shorter file.
fn difference(native: &Path, target: &Path) -> Result<Option<u64>> {
    let (mut a, mut b) = (Chunks::open(native)?, Chunks::open(target)?);
    let mut offset = 0;
    loop {
        let (left, right) = (a.next()?, b.next()?);
        if let Some(at) = left.iter().zip(right).position(|(l, r)| l != r) {
            return Ok(Some(offset + at as u64));
        }
        if left.len() < CHUNK_BYTES || right.len() < CHUNK_BYTES {
            return Ok(None);
        }
        offset += CHUNK_BYTES as u64;
    }
}

/// A file in chunks that are full but for the last one.
struct Chunks<'a> {
    path: &'a Path,
    file: File,
    chunk: Vec<u8>,
}

impl<'a> Chunks<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("can't read {}", path.display()))?;
        Ok(Self { path, file, chunk: Vec::with_capacity(CHUNK_BYTES) })
    }

    fn next(&mut self) -> Result<&[u8]> {
        self.chunk.clear();
        let read = self.file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut self.chunk);
        read.with_context(|| format!("can't read {}", self.path.display()))?;
        Ok(&self.chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(native: Option<&[u8]>, target: Option<&[u8]>) -> Comparison {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str, bytes: Option<&[u8]>| {
            let path = dir.path().join(name);
            bytes.inspect(|bytes| std::fs::write(&path, bytes).unwrap());
            path
        };
        files(&place("native", native), &place("target", target)).unwrap()
    }

    #[test]
    fn the_first_difference_is_found_wherever_it_is() {
        let long: Vec<u8> = (0..=250).cycle().take(3 * CHUNK_BYTES + 5).collect();
        assert!(compared(Some(&long), Some(&long)).equal);
        for at in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 7, long.len() - 1] {
            let mut other = long.clone();
            other[at] ^= 1;
            let found = compared(Some(&long), Some(&other));
            assert_eq!((found.equal, found.first_difference), (false, Some(at as u64)));
        }
    }

    #[test]
    fn a_file_that_goes_on_differs_where_the_other_ends() {
        let long = vec![7; 2 * CHUNK_BYTES];
        for cut in [0, 3, CHUNK_BYTES, 2 * CHUNK_BYTES - 1] {
            for found in
                [compared(Some(&long), Some(&long[..cut])), compared(Some(&long[..cut]), Some(&long))]
            {
                assert_eq!((found.equal, found.first_difference), (false, Some(cut as u64)));
            }
        }
        assert!(compared(Some(&[]), Some(&[])).equal);
    }

    #[test]
    fn a_missing_file_is_never_equal() {
        for (native, target) in [(None, Some(&b"x"[..])), (Some(&b"x"[..]), None), (None, None)] {
            let found = compared(native, target);
            assert_eq!((found.equal, found.first_difference), (false, None));
            assert_eq!(found.native_bytes, native.map(|bytes| bytes.len() as u64));
        }
    }
}
