//! Work in threads without a trace of them in the result: jobs are cut by the data alone, and what they give is taken
//! in the order of the jobs.

use std::panic::resume_unwind;
use std::thread;

/// Does `jobs` jobs in up to `threads` threads, as many at a time, and hands their results over in order.
pub(super) fn in_order<T: Send>(
    threads: usize,
    jobs: usize,
    work: impl Fn(usize) -> T + Sync,
    mut take: impl FnMut(usize, T),
) {
    if threads <= 1 {
        (0..jobs).for_each(|job| take(job, work(job)));
        return;
    }
    let work = &work;
    for first in (0..jobs).step_by(threads) {
        let round = first..jobs.min(first + threads);
        let results = thread::scope(|scope| {
            let running: Vec<_> = round.clone().map(|job| scope.spawn(move || work(job))).collect();
            running.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for (job, result) in round.zip(results) {
            take(job, result.unwrap_or_else(|panic| resume_unwind(panic)));
        }
    }
}

/// Fills the rows of `out`, `length` values each, in up to `threads` threads: `fill` gets the number of a row and the
/// row.
pub(super) fn rows<T: Send>(
    threads: usize,
    out: &mut [T],
    length: usize,
    fill: impl Fn(usize, &mut [T]) + Sync,
) {
    let length = length.max(1);
    let fill_part = |first: usize, part: &mut [T]| {
        part.chunks_mut(length).zip(first..).for_each(|(row, at)| fill(at, row));
    };
    let per_thread = (out.len() / length).div_ceil(threads.max(1)).max(1);
    if threads <= 1 {
        fill_part(0, out);
        return;
    }
    let fill_part = &fill_part;
    thread::scope(|scope| {
        for (nth, part) in out.chunks_mut(per_thread * length).enumerate() {
            scope.spawn(move || fill_part(nth * per_thread, part));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_threads() {
        for threads in [0, 1, 2, 3, 8] {
            let mut seen = Vec::new();
            in_order(threads, 7, |job| job * job, |job, square| seen.push((job, square)));
            assert_eq!(seen, (0..7).map(|n| (n, n * n)).collect::<Vec<_>>());
            let mut out = vec![0; 10];
            rows(threads, &mut out, 2, |row, values| values.fill(row));
            assert_eq!(out, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
        }
    }
}
