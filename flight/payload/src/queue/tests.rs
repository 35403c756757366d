//! Tests of the queue as a whole.

mod fair;
mod life;
mod model;
mod random;

use passband_proto::ids::{BundleId, Class};

use super::item::Kind;
use super::settings::{Settings, Tasking};
use super::{Item, Queue};

/// A time, ms since 1970-01-01 UTC.
pub(super) const T0: u64 = 1_700_000_000_000;

pub(super) fn id(n: u32) -> BundleId {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    BundleId(bytes)
}

/// A routine cube of 1,000 symbols and 1 MB, made `n` seconds after [`T0`], of the default tasking.
pub(super) fn item(n: u32) -> Item {
    Item {
        id: id(n),
        class: Class::Routine,
        kind: Kind::Cube,
        created_unix_ms: T0 + u64::from(n) * 1000,
        deadline_unix_ms: None,
        bytes: 1_000_000,
        source_symbols: 1_000,
        tasking: 0,
    }
}

/// The default tasking with share 1, and some with the shares given.
pub(super) fn sharing(shares: &[u32]) -> Settings {
    let mut settings = Settings::default();
    let named = (1..).zip(shares).map(|(n, share)| Tasking { name: format!("pipeline-{n}"), share: *share });
    settings.taskings.extend(named);
    settings
}

pub(super) fn queue(items: impl IntoIterator<Item = Item>) -> Queue {
    let mut queue = Queue::new(sharing(&[])).unwrap();
    items.into_iter().for_each(|item| assert!(queue.insert(&item).unwrap().changed));
    queue
}

/// The numbers of ids.
pub(super) fn numbers(ids: impl IntoIterator<Item = BundleId>) -> Vec<u32> {
    ids.into_iter().map(|id| u32::from_be_bytes(*id.0.first_chunk().unwrap())).collect()
}

/// All that waits, in order.
pub(super) fn drain(queue: &mut Queue, now_unix_ms: u64) -> Vec<u32> {
    numbers(std::iter::from_fn(|| queue.next(now_unix_ms).map(|next| next.id)))
}
