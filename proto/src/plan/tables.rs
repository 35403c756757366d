//! What the entries of a text are read into: the plan so far, each name and each order in it once.

use std::collections::BTreeMap;

use super::check::{is_label, is_name, is_station};
use super::fault::Wrong;
use super::words::Words;
use super::{Late, MAX_NAMES, MAX_ORDER_BYTES, OnReboot, Orders, Plan};

/// The plan so far, and where things stand in it.
pub(super) struct Tables<'a> {
    pub(super) plan: Plan,
    pub(super) orders: &'a dyn Orders,
    labels: BTreeMap<String, u16>,
    by_order: BTreeMap<Vec<u8>, u16>,
}

impl<'a> Tables<'a> {
    /// A plan that says nothing yet.
    pub(super) fn new(orders: &'a dyn Orders) -> Self {
        let plan = Plan {
            name: String::new(),
            version: 0,
            dictionary: orders.dictionary_digest(),
            reboot: OnReboot::Continue,
            late: Late::default(),
            stations: Vec::new(),
            plans: Vec::new(),
            orders: Vec::new(),
            entries: Vec::new(),
        };
        Self { plan, orders, labels: BTreeMap::new(), by_order: BTreeMap::new() }
    }

    /// The place of an order that `words` say.
    pub(super) fn order(&mut self, words: &str) -> Result<u16, Wrong> {
        if words.is_empty() {
            return Err(Wrong::new("no order behind 'do'", "the words of one"));
        }
        let bytes = self.orders.encode(words).map_err(|what| Wrong::new(format!("order: {what}"), ""))?;
        if bytes.is_empty() || bytes.len() > MAX_ORDER_BYTES {
            return Err(Wrong::new(format!("an order of {} bytes", bytes.len()), "1 to 800 bytes"));
        }
        if let Some(known) = self.by_order.get(&bytes) {
            return Ok(*known);
        }
        let place = u16::try_from(self.plan.orders.len()).map_err(|_| Wrong::new("too many orders", ""))?;
        self.plan.orders.push(bytes.clone());
        self.by_order.insert(bytes, place);
        Ok(place)
    }

    /// The place of a station, or none for any.
    pub(super) fn station(&mut self, words: &mut Words<'_>) -> Result<Option<u16>, Wrong> {
        let (name, quoted) = words.name()?;
        if name == "any" && !quoted {
            return Ok(None);
        }
        if !is_station(name) {
            return Err(Wrong::word(name, "'any' or the name of a station, in \" if it has spaces"));
        }
        intern(&mut self.plan.stations, name).map(Some)
    }

    /// The place of a plan that is started.
    pub(super) fn other_plan(&mut self, name: &str) -> Result<u16, Wrong> {
        if !is_name(name) {
            return Err(Wrong::word(name, "the name of a plan, 1 to 24 of a-z, 0-9 and -"));
        }
        if name == self.plan.name {
            return Err(Wrong::new("the plan starts itself", "another plan; repeat entries with 'every'"));
        }
        intern(&mut self.plan.plans, name)
    }

    /// The place of an entry with a label.
    pub(super) fn label(&self, label: &str) -> Result<u16, Wrong> {
        let expected = "a span like 90s, or the label of an entry further up";
        self.labels.get(label).copied().ok_or_else(|| Wrong::word(label, expected))
    }

    /// Takes a label for the next entry.
    pub(super) fn set_label(&mut self, label: &str) -> Result<(), Wrong> {
        if !is_label(label) {
            return Err(Wrong::word(label, "a label of a letter and up to 23 of a-z, 0-9 and -"));
        }
        let place = u16::try_from(self.plan.entries.len()).unwrap_or(u16::MAX);
        match self.labels.insert(label.to_owned(), place) {
            None => Ok(()),
            Some(_) => Err(Wrong::new(format!("the label '{label}' stands twice"), "another label")),
        }
    }
}

fn intern(names: &mut Vec<String>, name: &str) -> Result<u16, Wrong> {
    let place = names.iter().position(|known| known == name).unwrap_or(names.len());
    if place == MAX_NAMES {
        return Err(Wrong::new("more than 64 names of stations or plans", ""));
    }
    if place == names.len() {
        names.push(name.to_owned());
    }
    u16::try_from(place).map_err(|_| Wrong::new("too many names", ""))
}
