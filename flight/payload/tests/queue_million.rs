//! What the queue costs: memory a bundle, and how long operations on a million bundles take.
//!
//! The figures: `cargo test --release -p passband-flight --test queue_million -- --ignored --nocapture`

#![allow(unsafe_code, reason = "an allocator that counts is the only honest measure of memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use passband_flight::queue::{Item, Kind, LinkBelief, Queue, Settings, Tasking};
use passband_proto::ids::{BundleId, Class};

/// The system's allocator, with a count of the bytes that are out.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `at` came from `alloc` above with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const T0: u64 = 1_700_000_000_000;

/// The `n`th random number.
fn random(n: u64) -> u64 {
    // SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
    let z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn id(n: u64) -> BundleId {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&random(n).to_be_bytes());
    BundleId(bytes)
}

/// Three of four are routine; one in ten is a cube. Those that come later were made later.
fn item(n: u64) -> Item {
    let r = random(n ^ (1 << 40));
    Item {
        id: id(n),
        class: [Class::Alert, Class::Suspect, Class::DiscardCandidate, Class::Routine]
            [(r % 12).min(3) as usize],
        kind: if (r / 12).is_multiple_of(10) { Kind::Cube } else { Kind::Evidence },
        created_unix_ms: T0 + n * 100,
        deadline_unix_ms: None,
        bytes: 1 + r / 120 % 100_000_000,
        source_symbols: u32::try_from(1 + r / 120 % 100_000_000 / 1408).unwrap(),
        tasking: u16::try_from(r / 7 % 8).unwrap(),
    }
}

fn empty() -> Queue {
    let mut settings = Settings::default();
    settings.taskings.extend((1..8).map(|n| Tasking { name: format!("pipeline-{n}"), share: n }));
    Queue::new(settings).unwrap()
}

/// A queue of `n` bundles, and the bytes it takes for each.
fn filled(n: u64) -> (Queue, f64) {
    let before = BYTES.load(Ordering::Relaxed);
    let mut queue = empty();
    (0..n).for_each(|n| assert!(queue.insert(&item(n)).is_ok()));
    let bytes = BYTES.load(Ordering::Relaxed) - before;
    (queue, bytes as f64 / n as f64)
}

#[test]
fn a_bundle_takes_no_more_than_130_bytes() {
    let (mut queue, waiting) = filled(50_000);
    assert!(waiting <= 130.0, "waiting: {waiting:.1} bytes");
    while let Some(next) = queue.next(T0) {
        assert!(queue.presume(&next.id, 1, 0.9).is_ok());
    }
    let before = BYTES.load(Ordering::Relaxed);
    drop(queue);
    let presumed = (before - BYTES.load(Ordering::Relaxed)) as f64 / 50_000.0;
    assert!(presumed <= 130.0, "presumed: {presumed:.1} bytes");
}

/// The median and the 99.9th percentile of how long `what` takes, µs.
fn time(name: &str, times: u64, mut what: impl FnMut(u64)) -> f64 {
    let mut all: Vec<f64> = (0..times)
        .map(|n| {
            let start = Instant::now();
            what(n);
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    all.sort_by(f64::total_cmp);
    let at = |permille: usize| all[(all.len() - 1) * permille / 1000];
    println!("{name:<16} median {:>9.2} µs   99.9 % {:>9.2} µs", at(500), at(999));
    at(500)
}

#[test]
#[ignore = "figures, not a check of what is right; takes some seconds"]
fn a_million_bundles() {
    const N: u64 = 1_000_000;
    let start = Instant::now();
    let (mut queue, bytes) = filled(N);
    println!(
        "{N} bundles in {:.1} s, {bytes:.1} bytes each, {:.0} MiB",
        start.elapsed().as_secs_f64(),
        bytes * N as f64 / 1_048_576.0
    );
    let now = T0 + N * 100;
    let some = |n: u64| id(random(n ^ (3 << 40)) % N);
    let ms = |n: u64| now + n;
    let mut medians = vec![
        time("insert", 50_000, |n| assert!(queue.insert(&item(N + n)).is_ok())),
        time("next", 50_000, |n| {
            let next = queue.next(ms(n)).unwrap();
            std::hint::black_box(next);
        }),
        time("promote", 50_000, |n| assert!(queue.promote(&some(n)).is_ok())),
        time("next promoted", 10_000, |n| assert!(queue.next(ms(n)).is_some())),
        time("demote", 50_000, |n| assert!(queue.demote(&some(n)).is_ok())),
        time("hold", 50_000, |n| assert!(queue.hold(&some(n), ms(n)).is_ok())),
        time("release", 50_000, |n| assert!(queue.release(&some(n)).is_ok())),
        time("reclass", 50_000, |n| assert!(queue.reclass(&some(n), Class::Suspect).is_ok())),
        time("presume", 50_000, |n| assert!(queue.presume(&some(n), 10, 0.9).is_ok())),
        time("remove", 50_000, |n| assert!(queue.remove(&id(n)).is_ok())),
    ];
    medians.push(time("victims of 1 GB", 1_000, |_| {
        assert!(queue.victims(1_000_000_000, 1 << 40, 1 << 40, Class::Alert).is_some());
    }));
    time("page of 20", 1_000, |_| assert_eq!(queue.upcoming(now).take(20).count(), 20));
    let deep = queue.upcoming(now).last().unwrap().id;
    time("all in order", 3, |_| assert!(queue.upcoming(now).count() > 800_000));
    let link = LinkBelief::expecting(0.2);
    time("explain the last", 3, |_| assert!(queue.explain(&deep, now, &[], &link).is_ok()));
    assert!(medians.iter().all(|median| *median <= 50.0));
}
