//! What is to be taken back, and documents that can't be read: names in the folder, and nothing else.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Folder, order_name};
use crate::station::hex;

/// Something that is to be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// An order, by its number.
    Order(u32),
    /// An upload.
    Upload([u8; 4]),
}

impl Folder {
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
