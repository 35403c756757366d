//! Work spread over the cores of this machine. The results come back in the order of the items, whatever the number of
//! threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

/// Cores of this machine that may be used.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Works through `items` on all cores and gives the results in the items' order.
pub(crate) fn on_all_cores<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    on_cores(cores(), items, work)
}

/// Works through `items` with so many threads (at least one) and gives the results in the items' order.
pub(crate) fn on_cores<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1).min(items.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    let result = work(item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_on_all_cores_comes_back_in_order_and_errors_come_through() {
        let items: Vec<u64> = (0..50).collect();
        let doubled: Vec<u64> = items.iter().map(|n| n * 2).collect();
        assert_eq!(on_all_cores(&items, |n| Ok(n * 2)).unwrap(), doubled);
        for threads in [0, 1, 7, 100] {
            assert_eq!(on_cores(threads, &items, |n| Ok(n * 2)).unwrap(), doubled);
        }
        assert!(on_all_cores(&items, |n| if *n == 33 { anyhow::bail!("33") } else { Ok(()) }).is_err());
        assert!(on_all_cores(&[] as &[u64], |_| Ok(())).unwrap().is_empty());
    }
}
