//! The catalogue's list of products: `OUT/catalogue/products.jsonl`, a line of JSON each, the newest last.
//!
//! Lines are only appended; of several with the same id the last counts. A line that a crash has torn is passed
//! over by readers, and closed by the next writer. Only `index` writes the file anew, aside and renamed, so that
//! whoever reads sees the old list or the new one. One process at a time writes: whoever holds `OUT/catalogue/lock`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::entry::Product;
use crate::station::write_aside;

/// Longest line that is read, bytes.
const MAX_LINE_BYTES: u64 = 4 << 20;

/// The list of products in an output folder.
#[derive(Debug, Clone)]
pub struct Journal {
    folder: PathBuf,
}

/// A place in the list, up to which somebody has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    inode: u64,
    offset: u64,
}

/// Which frames have products in the list, so that all of it is only read for those.
#[derive(Debug, Default)]
pub(super) struct Listed {
    mark: Mark,
    frames: BTreeSet<String>,
}

impl Listed {
    /// The products of a frame that are in the list.
    ///
    /// # Errors
    /// The list can't be read.
    pub(super) fn of_frame(&mut self, journal: &Journal, key: (&str, &str)) -> Result<Vec<Product>> {
        let frames = &mut self.frames;
        self.mark = journal.read_from(self.mark, |product| frames.extend(product.frame_id))?;
        if !self.frames.contains(key.1) {
            return Ok(Vec::new());
        }
        let products = journal.read()?.into_values();
        Ok(products.filter(|product| product.frame_key() == Some(key)).collect())
    }
}

impl Journal {
    /// The list of `out`; nothing is made yet.
    #[must_use]
    pub fn new(out: &Path) -> Self {
        Self { folder: out.join("catalogue") }
    }

    /// Waits until nobody else writes the catalogue, and keeps others from it as long as the file is held.
    ///
    /// # Errors
    /// The folder can't be made or the lock not opened.
    pub fn lock(&self) -> Result<File> {
        let folder = &self.folder;
        fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
        let path = folder.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        // There are file systems that know no locks.
        if let Err(e) = file.lock() {
            tracing::debug!("{} can't be locked: {e}", path.display());
        }
        Ok(file)
    }

    /// Appends a product.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn append(&self, product: &Product) -> Result<()> {
        let path = self.path();
        let failed = || format!("writing {}", path.display());
        let mut line = serde_json::to_vec(product)?;
        line.push(b'\n');
        let mut file =
            OpenOptions::new().create(true).read(true).append(true).open(&path).with_context(failed)?;
        if is_torn(&mut file).with_context(failed)? {
            line.insert(0, b'\n');
        }
        file.write_all(&line).with_context(failed)
    }

    /// Writes the whole list anew.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn replace(&self, products: &[Product]) -> Result<()> {
        let mut text = Vec::new();
        for product in products {
            serde_json::to_writer(&mut text, product)?;
            text.push(b'\n');
        }
        write_aside(&self.path(), &text)
    }

    /// All products, by id.
    ///
    /// # Errors
    /// The list is there and can't be read.
    pub fn read(&self) -> Result<BTreeMap<String, Product>> {
        let mut products = BTreeMap::new();
        self.read_from(Mark::default(), |product| {
            products.insert(product.id.clone(), product);
        })?;
        Ok(products)
    }

    /// Gives the products that were appended since `mark`, or all of them if the list was written anew, and
    /// where it ends now. A last line that isn't finished is left for the next time.
    ///
    /// # Errors
    /// The list is there and can't be read.
    pub fn read_from(&self, mark: Mark, mut each: impl FnMut(Product)) -> Result<Mark> {
        let path = self.path();
        let failed = || format!("reading {}", path.display());
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Mark::default()),
            Err(e) => return Err(e).with_context(failed),
        };
        let about = file.metadata().with_context(failed)?;
        let same = mark.inode == about.ino() && mark.offset <= about.len();
        let mut mark = Mark { inode: about.ino(), offset: if same { mark.offset } else { 0 } };
        file.seek(SeekFrom::Start(mark.offset)).with_context(failed)?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
            let bytes = read.with_context(failed)?;
            if bytes == 0 || (line.last() != Some(&b'\n') && (bytes as u64) < MAX_LINE_BYTES) {
                return Ok(mark);
            }
            mark.offset += bytes as u64;
            if let Ok(product) = serde_json::from_slice(&line) {
                each(product);
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("products.jsonl")
    }
}

/// Whether the last line has no end.
fn is_torn(file: &mut File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != [b'\n'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::product;

    #[test]
    fn the_last_line_of_an_id_counts_and_a_torn_one_costs_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path());
        assert!(journal.read().unwrap().is_empty());
        let _lock = journal.lock().unwrap();
        let (mut a, b) = (product(1), product(2));
        journal.append(&a).unwrap();
        a.name = "again".to_owned();
        journal.append(&a).unwrap();
        let mut file = OpenOptions::new().append(true).open(journal.path()).unwrap();
        file.write_all(br#"{"schema":1,"id":"0000"#).unwrap();
        let mark = journal.read_from(Mark::default(), drop).unwrap();
        journal.append(&b).unwrap();
        let mut since = Vec::new();
        journal.read_from(mark, |product| since.push(product.id)).unwrap();
        assert_eq!(since, std::slice::from_ref(&b.id));
        let all: Vec<_> = journal.read().unwrap().into_values().collect();
        assert_eq!(all, [a.clone(), b]);
        journal.replace(std::slice::from_ref(&a)).unwrap();
        assert_eq!(journal.read().unwrap().len(), 1);
        let mut since = 0;
        journal.read_from(mark, |_| since += 1).unwrap();
        assert_eq!(since, 1, "a list that was written anew is read from its beginning");
    }
}
