//! The folder as the shelf of an outbox: what has to outlive the process.

use std::fs;

use anyhow::{Context, Result};

use super::super::entry::Entry;
use super::super::shelf::Shelf;
use super::super::upload::About;
use super::Folder;
use crate::station::hex;
use crate::telemetry::feed::unix_ms;

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
