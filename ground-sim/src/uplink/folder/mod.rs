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

mod drops;
mod files;
mod shelf;
#[cfg(test)]
mod tests;
mod uploads;

pub use drops::Drop;

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use passband_proto::dict::Order;
use passband_proto::packet::Mode;
use passband_proto::sdls::RoleKey;
use serde_json::json;

use self::files::read_small;
use super::entry::Entry;
use super::hold::{ARM_MS, ARM_S};
use crate::station::hex;

/// 2026-01-01T00:00:00Z, s since 1970.
const NUMBERS_FROM_S: u64 = 1_767_225_600;
/// Orders with which nothing can happen any more are kept so long, ms: 90 days.
pub const KEEP_MS: u64 = 90 * 86_400_000;

/// The folder of an outbox.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
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

    /// Whether there is an outbox in a folder.
    ///
    /// # Errors
    /// That can't be seen: it may not be looked into.
    pub fn is_there(root: &Path) -> Result<bool> {
        let seen = root.join("holder.json").try_exists();
        seen.with_context(|| format!("looking for an outbox in {}", root.display()))
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

    fn orders(&self) -> PathBuf {
        self.root.join("orders")
    }
}

fn order_name(number: u32) -> String {
    format!("{number:010}.json")
}
