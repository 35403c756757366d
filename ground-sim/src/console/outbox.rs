//! How orders leave by an outbox that `passband-ground uplink run` works: each is put into its folder as a whole.

use passband_proto::dict::{Order, Stage};
use passband_proto::packet::Mode;
use passband_proto::sdls::Role;

use super::commanding::{Commanding, Outgoing};
use crate::commands::order::{check_agenda, check_role};
use crate::commands::unix_ms;
use crate::uplink::Folder;

/// Most orders that are listed.
const MOST: usize = 40;

/// The outbox of a key's holder.
#[derive(Debug)]
pub struct Outbox {
    folder: Folder,
    spi: u16,
    role: Role,
}

impl Outbox {
    /// The one in a folder, of the holder of a key of this association and role.
    #[must_use]
    pub fn new(folder: Folder, spi: u16, role: Role) -> Self {
        Self { folder, spi, role }
    }
}

impl Commanding for Outbox {
    fn source(&self) -> u16 {
        self.spi
    }

    fn send(&mut self, step: Mode, order: &Order) -> Result<u32, String> {
        let def = order.def().ok_or("the dictionary has no such order")?;
        check_role(def, self.role).map_err(|e| format!("{e:#}"))?;
        check_agenda(order, self.role).map_err(|e| format!("{e:#}"))?;
        self.folder.queue(step, order, unix_ms()).map(|entry| entry.number).map_err(|e| format!("{e:#}"))
    }

    fn armed(&self, number: u32) -> Result<(), String> {
        let look = |number| self.folder.order(number).map_err(|e| format!("{e:#}"));
        let mut entry = look(number)?.ok_or("the order is gone from the outbox")?;
        if let Some(next) = entry.goes_on_as {
            entry = look(next)?.ok_or("the order is gone from the outbox")?;
        }
        match &entry.told {
            Some(told) if told.stage == Stage::Armed => Ok(()),
            _ => Err(entry.state()),
        }
    }

    fn outgoing(&self) -> Vec<Outgoing> {
        let numbers = self.folder.numbers().unwrap_or_default();
        let entries =
            numbers.into_iter().rev().take(MOST).filter_map(|n| self.folder.order(n).ok().flatten());
        let shown = |entry: crate::uplink::Entry| Outgoing {
            number: entry.number,
            step: entry.step,
            words: entry.words(),
            state: entry.state(),
        };
        entries.map(shown).collect()
    }
}
