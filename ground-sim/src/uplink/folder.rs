//! The outbox as a folder: readable by people, safe against a kill at any moment, and open to several processes.
//!
//! ```text
//! holder.json    whose it is: spacecraft, SPI, fingerprint of the key
//! counter        all counters of frames up to this one are used; written ahead by the worker alone
//! number         all numbers of orders up to this one are used; written under a lock, before a number is given out
//! armed-for      for how long orders stay armed on board, ms, as telemetry said; written by the worker alone
//! orders/N.json  an order and what is known of it: written by whoever queues it, then by the worker alone
//! uploads/ID.json, uploads/ID.bin   a file that goes up
//! drops/N, drops/ID   what is to be taken back: written by anyone, removed by the worker
//! lock           held by the worker: one process at a time
//! ```
//!
//! Every file is written aside, synced and renamed. Counters and numbers go on from the time, if that is ahead of what the files
//! say: counters from the milliseconds since 1970, numbers from tens of seconds since 2026. So a folder that is new, has lost a
//! file, or is an old copy that was put back goes on above what was used, unless its holder gave more than an order each ten
//! seconds ever since; that is seen by the answers, which name the order that they are of.
//!
//! A document that can't be read is set aside as `N.json.damaged`, and told of; all else goes on.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use passband_proto::dict::{Order, UploadKind};
use passband_proto::packet::Mode;
use passband_proto::sdls::RoleKey;
use serde_json::json;

use super::entry::Entry;
use super::hold::{ARM_MS, ARM_S};
use super::pieces::{MAX_BYTES, PieceSender};
use super::shelf::Shelf;
use super::upload::{About, Upload};
use crate::station::hex;
use crate::telemetry::feed::unix_ms;

/// 2026-01-01T00:00:00Z, s since 1970.
const NUMBERS_FROM_S: u64 = 1_767_225_600;
/// Largest document of an order or upload, bytes.
const MAX_DOCUMENT_BYTES: u64 = 64 << 10;
/// Orders with which nothing can happen any more are kept so long, ms: 90 days.
pub const KEEP_MS: u64 = 90 * 86_400_000;

/// The folder of an outbox.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
}

/// Something that is to be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// An order, by its number.
    Order(u32),
    /// An upload.
    Upload([u8; 4]),
}

impl Folder {
    /// Opens or makes the folder of this key's holder.
    ///
    /// # Errors
    /// It can't be made, or is another holder's.
    pub fn open(root: &Path, key: &RoleKey) -> Result<Self> {
        let folder = Self { root: root.to_owned() };
        for path in [root.to_owned(), folder.orders(), folder.uploads(), root.join("drops")] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.with_context(|| format!("making the folder {}", path.display()))?;
        }
        let holder = json!({
            "schema": 1, "spacecraft": key.spacecraft(), "spi": key.spi(), "fingerprint": hex(&key.fingerprint()),
        });
        let path = root.join("holder.json");
        match read_small(&path)? {
            None => folder.write("holder.json", serde_json::to_string_pretty(&holder)?.as_bytes())?,
            Some(text) => {
                let found: serde_json::Value = serde_json::from_slice(&text)
                    .with_context(|| format!("{} is not of an outbox", path.display()))?;
                ensure!(found == holder, "{} is the outbox of another key: {found}", root.display());
            }
        }
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Takes the lock of whoever works the outbox; none if another process has it.
    ///
    /// # Errors
    /// The file of the lock can't be made.
    pub fn lock(&self) -> Result<Option<File>> {
        let file = self.lock_file("lock")?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e).context("locking the outbox"),
        }
    }

    /// All counters up to this one count as used. The time goes before the file, which may be an old copy.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn mark(&self, unix_ms: u64) -> Result<u64> {
        Ok(self.number_in("counter")?.unwrap_or(0).max(unix_ms))
    }

    /// For how long orders stay armed on board, as telemetry said, ms; else the default.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn arm_ms(&self) -> Result<u64> {
        Ok(self.number_in("armed-for")?.filter(|ms| ARM_S.contains(&(ms / 1000))).unwrap_or(ARM_MS))
    }

    /// All numbers up to this one count as used.
    ///
    /// # Errors
    /// The file can't be read, or all are used.
    pub fn used_number(&self, unix_ms: u64) -> Result<u32> {
        let used = u32::try_from(self.number_in("number")?.unwrap_or(0))
            .context("all numbers of orders are used")?;
        let by_time = (unix_ms / 1000).saturating_sub(NUMBERS_FROM_S) / 10;
        let by_time = u32::try_from(by_time).unwrap_or(u32::MAX / 2);
        Ok(self.numbers()?.last().copied().unwrap_or(0).max(by_time).max(used))
    }

    /// Queues an order.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn queue(&self, step: Mode, order: &Order, unix_ms: u64) -> Result<Entry> {
        let entry = Entry::new(self.take_number(unix_ms)?, step, order, unix_ms);
        self.write_order(&entry)?;
        Ok(entry)
    }

    /// Queues a file. One that is on its way already is left as it is; one that was taken back, refused or is there
    /// begins anew.
    ///
    /// # Errors
    /// Those of the disk; the file can't be sent up.
    pub fn queue_upload(
        &self,
        kind: UploadKind,
        name: &str,
        content: &[u8],
        piece: usize,
        unix_ms: u64,
    ) -> Result<About> {
        let id = PieceSender::new(kind, name, content.to_vec(), piece)?.id();
        if let Some(about) = self.upload(id)?.filter(About::is_open) {
            return Ok(about);
        }
        let about = About {
            id,
            kind,
            name: name.to_owned(),
            piece,
            queued_unix_ms: unix_ms,
            begin: self.take_number(unix_ms)?,
            told: None,
            report: None,
            whole: false,
            dropped: false,
        };
        self.write(&format!("uploads/{}.bin", hex(&id)), content)?;
        self.write_upload(&about)?;
        Ok(about)
    }

    /// Has something taken back by whoever works the outbox.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn drop_later(&self, what: Drop) -> Result<()> {
        self.write(&format!("drops/{}", drop_name(what)), b"")
    }

    /// What is to be taken back.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn drops(&self) -> Result<Vec<Drop>> {
        Ok(self.names("drops")?.iter().filter_map(|name| drop_of(name)).collect())
    }

    /// It is taken back.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn dropped(&self, what: Drop) -> Result<()> {
        let path = self.root.join("drops").join(drop_name(what));
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))
    }

    /// The numbers of all orders that are kept, rising.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn numbers(&self) -> Result<Vec<u32>> {
        let number = |name: &String| name.strip_suffix(".json")?.parse().ok();
        let mut numbers: Vec<u32> = self.names("orders")?.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// An order; none if there is none of this number.
    ///
    /// # Errors
    /// Its document can't be read.
    pub fn order(&self, number: u32) -> Result<Option<Entry>> {
        let path = self.orders().join(order_name(number));
        let entry = read_small(&path)?.map(|text| Entry::parse(&text));
        entry.transpose().with_context(|| format!("reading {}", path.display()))
    }

    /// Sets the document of an order or upload aside that can't be read; where it is now.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn set_aside(&self, what: Drop) -> Result<PathBuf> {
        let path = match what {
            Drop::Order(number) => self.orders().join(order_name(number)),
            Drop::Upload(id) => self.uploads().join(format!("{}.json", hex(&id))),
        };
        let aside = path.with_extension("json.damaged");
        fs::rename(&path, &aside).with_context(|| format!("renaming {}", path.display()))?;
        Ok(aside)
    }

    /// Whether there is an outbox in a folder.
    #[must_use]
    pub fn is_there(root: &Path) -> bool {
        root.join("holder.json").exists()
    }

    /// The uploads that are kept.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn upload_ids(&self) -> Result<Vec<[u8; 4]>> {
        let id =
            |name: &String| Some(u32::from_str_radix(name.strip_suffix(".json")?, 16).ok()?.to_be_bytes());
        Ok(self.names("uploads")?.iter().filter_map(id).collect())
    }

    /// What is kept of an upload; none if there is none.
    ///
    /// # Errors
    /// Its document can't be read.
    pub fn upload(&self, id: [u8; 4]) -> Result<Option<About>> {
        let path = self.uploads().join(format!("{}.json", hex(&id)));
        let about = read_small(&path)?.map(|text| serde_json::from_slice(&text));
        about.transpose().with_context(|| format!("reading {}", path.display()))
    }

    /// An upload with its content, to be sent.
    ///
    /// # Errors
    /// The file can't be read, or is another one.
    pub fn load_upload(&self, about: About) -> Result<Upload> {
        let path = self.uploads().join(format!("{}.bin", hex(&about.id)));
        let size = fs::metadata(&path).with_context(|| format!("reading {}", path.display()))?.len();
        ensure!(size <= MAX_BYTES as u64, "{} is too large", path.display());
        let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Upload::new(about, content)
    }

    /// Forgets what nothing can happen with any more.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn forget_order(&self, number: u32) -> Result<()> {
        let path = self.orders().join(order_name(number));
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))
    }

    fn take_number(&self, unix_ms: u64) -> Result<u32> {
        let lock = self.lock_file("number.lock")?;
        lock.lock().context("locking the numbers")?;
        let number = self.used_number(unix_ms)?.checked_add(1).context("all numbers of orders are used")?;
        self.write("number", number.to_string().as_bytes())?;
        Ok(number)
    }

    /// A number in a file; none if there is no file, or no number in it.
    fn number_in(&self, name: &str) -> Result<Option<u64>> {
        let text = read_small(&self.root.join(name))?;
        Ok(text.and_then(|text| std::str::from_utf8(&text).ok()?.trim().parse().ok()))
    }

    fn write_order(&self, entry: &Entry) -> Result<()> {
        let text = serde_json::to_vec_pretty(&entry.json())?;
        self.write(&format!("orders/{}", order_name(entry.number)), &text)
    }

    fn write_upload(&self, about: &About) -> Result<()> {
        self.write(&format!("uploads/{}.json", hex(&about.id)), &serde_json::to_vec_pretty(about)?)
    }

    fn lock_file(&self, name: &str) -> Result<File> {
        let path = self.root.join(name);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        file.with_context(|| format!("opening {}", path.display()))
    }

    fn orders(&self) -> PathBuf {
        self.root.join("orders")
    }

    fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    fn names(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.root.join(folder);
        let listing = fs::read_dir(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(listing.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }

    /// Writes a file aside, syncs it, renames it and syncs the folder.
    fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.root.join(name);
        let aside = path.with_extension(format!("{}.tmp", std::process::id()));
        let at = || format!("writing {}", path.display());
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&aside)
            .with_context(at)?;
        file.write_all(content).and_then(|()| file.sync_all()).with_context(at)?;
        fs::rename(&aside, &path).with_context(at)?;
        let parent = path.parent().unwrap_or(&self.root);
        File::open(parent).and_then(|folder| folder.sync_all()).with_context(at)
    }
}

impl Shelf for Folder {
    fn keep_arm(&mut self, arm_ms: u64) -> Result<()> {
        self.write("armed-for", arm_ms.to_string().as_bytes())
    }

    fn keep_mark(&mut self, mark: u64) -> Result<()> {
        self.write("counter", mark.to_string().as_bytes())
    }

    fn keep_order(&mut self, entry: &Entry) -> Result<()> {
        self.write_order(entry)
    }

    fn keep_upload(&mut self, about: &About) -> Result<()> {
        self.write_upload(about)?;
        if about.whole || about.dropped {
            let _gone = fs::remove_file(self.uploads().join(format!("{}.bin", hex(&about.id))));
        }
        Ok(())
    }

    fn new_number(&mut self) -> Result<u32> {
        self.take_number(unix_ms())
    }

    fn use_numbers(&mut self, up_to: u32) -> Result<()> {
        let lock = self.lock_file("number.lock")?;
        lock.lock().context("locking the numbers")?;
        let used = self.used_number(0)?.max(up_to);
        self.write("number", used.to_string().as_bytes())
    }
}

fn order_name(number: u32) -> String {
    format!("{number:010}.json")
}

fn drop_name(what: Drop) -> String {
    match what {
        Drop::Order(number) => format!("order-{number}"),
        Drop::Upload(id) => format!("upload-{}", hex(&id)),
    }
}

fn drop_of(name: &str) -> Option<Drop> {
    if let Some(number) = name.strip_prefix("order-") {
        return number.parse().ok().map(Drop::Order);
    }
    let id = u32::from_str_radix(name.strip_prefix("upload-")?, 16).ok()?;
    Some(Drop::Upload(id.to_be_bytes()))
}

/// The content of a small file; none if there is none.
fn read_small(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("reading {}", path.display())),
    };
    let mut content = Vec::new();
    file.take(MAX_DOCUMENT_BYTES)
        .read_to_end(&mut content)
        .with_context(|| format!("reading {}", path.display()))?;
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::sdls::Role;

    const NOW: u64 = 1_796_119_200_000;

    fn key(spi: u16) -> RoleKey {
        RoleKey::new(1, spi, Role::Operator, [7; 32]).unwrap()
    }

    #[test]
    fn numbers_rise_over_processes_and_losses_and_a_folder_has_one_holder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), &key(2)).unwrap();
        let first = folder.queue(Mode::Run, &Order::Ping {}, NOW).unwrap().number;
        let other = Folder::open(dir.path(), &key(2)).unwrap();
        assert_eq!(other.queue(Mode::Run, &Order::Ping {}, NOW).unwrap().number, first + 1);
        assert!(first > 2_000_000, "from the time");
        fs::write(dir.path().join("number"), "junk").unwrap();
        assert_eq!(folder.queue(Mode::Run, &Order::Ping {}, 0).unwrap().number, first + 2);
        assert_eq!(folder.numbers().unwrap(), [first, first + 1, first + 2]);
        assert_eq!(folder.order(first).unwrap().unwrap().words(), "ping");
        assert!(folder.order(1).unwrap().is_none());
        let error = Folder::open(dir.path(), &key(3)).unwrap_err().to_string();
        assert!(error.contains("another key"), "{error}");
    }

    #[test]
    fn an_old_copy_uses_no_number_and_no_counter_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path(), &key(2)).unwrap();
        let old = folder.queue(Mode::Run, &Order::Ping {}, NOW).unwrap().number;
        folder.keep_mark(NOW + 16).unwrap();
        let files = ["number", "counter"].map(|name| (name, fs::read(dir.path().join(name)).unwrap()));
        let last =
            (0..5).map(|_| folder.queue(Mode::Run, &Order::PassStop {}, NOW).unwrap().number).max().unwrap();
        folder.keep_mark(NOW + 32).unwrap();
        // An hour later the copy of before is put back.
        files.iter().for_each(|(name, content)| fs::write(dir.path().join(name), content).unwrap());
        (old + 1..=last).for_each(|number| folder.forget_order(number).unwrap());
        let later = NOW + 3_600_000;
        assert!(folder.queue(Mode::Run, &Order::Ping {}, later).unwrap().number > last);
        assert!(folder.mark(later).unwrap() > NOW + 32);
    }

    #[test]
    fn one_process_works_it_and_a_lost_counter_goes_on_from_the_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path(), &key(2)).unwrap();
        assert_eq!(folder.mark(NOW).unwrap(), NOW);
        folder.keep_mark(NOW + 16).unwrap();
        assert_eq!(folder.mark(NOW + 9).unwrap(), NOW + 16);
        assert_eq!(folder.mark(NOW + 99).unwrap(), NOW + 99, "the file may be an old copy");
        let lock = folder.lock().unwrap();
        assert!(lock.is_some() && folder.lock().unwrap().is_none());
        drop(lock);
        assert!(folder.lock().unwrap().is_some());
        for what in [Drop::Order(12), Drop::Upload([1, 2, 3, 4])] {
            folder.drop_later(what).unwrap();
            assert_eq!(folder.drops().unwrap(), [what]);
            folder.dropped(what).unwrap();
        }
    }

    #[test]
    fn an_upload_is_queued_once_and_its_content_kept_until_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path(), &key(2)).unwrap();
        let queue = |content: &[u8]| folder.queue_upload(UploadKind::Script, "check", content, 200, NOW);
        let mut about = queue(&[5; 1000]).unwrap();
        assert_eq!(queue(&[5; 1000]).unwrap().begin, about.begin);
        assert_eq!(folder.load_upload(about.clone()).unwrap().progress().pieces, 5);
        about.whole = true;
        folder.keep_upload(&about).unwrap();
        assert!(folder.load_upload(about.clone()).is_err());
        assert!(
            folder.queue_upload(UploadKind::Script, "check", &[5; 1000], 200, NOW).unwrap().begin
                > about.begin
        );
        assert_eq!(folder.upload_ids().unwrap(), [about.id]);
    }
}
