//! Memory that applying takes, by an allocator that counts: what was told, and never more than the limit.

#![allow(unsafe_code, reason = "an allocator that counts is the only honest measure of memory")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::program;
use passband_delta::{Delta, MAX_MEMORY_BYTES, Options, Piece, encode};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `at` came from `alloc` above with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that reading and applying a delta takes at most, and what it tells.
fn taken(delta: &[u8], base: &[u8]) -> (u64, u64) {
    let mut out = vec![0; 16 << 10];
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let read = Delta::read(delta).unwrap();
    let mut run = read.begin(0, base, delta).unwrap();
    while let Piece::More(_) = run.piece(base, delta, &mut out).unwrap() {}
    ((MOST.load(Ordering::Relaxed) - before) as u64, read.memory_bytes())
}

#[test]
fn memory_is_what_was_told() {
    let names: Vec<u32> = (0..1_500).map(|n| n * 11 % 1_709).collect();
    let old = program(&names, true);
    // Many copies: functions in pairs that changed places.
    let changed: Vec<u32> = names.chunks(2).flat_map(|pair| pair.iter().rev().copied()).collect();
    let new = program(&changed, true);
    let options = Options { learns: Some(false), ..Options::default() };
    let delta = encode(Some(&old), &new, &options).unwrap();
    let (taken_most, told) = taken(&delta, &old);
    assert!(taken_most <= told && told <= MAX_MEMORY_BYTES, "{taken_most} bytes taken, {told} told");
    assert!(told - taken_most < 1 << 20, "told is not far from what is taken: {taken_most} of {told}");
    let alone = encode(None, &new[..100_000], &options).unwrap();
    let (taken_most, told) = taken(&alone, &[]);
    assert!(taken_most <= told && told <= MAX_MEMORY_BYTES, "{taken_most} bytes taken, {told} told");
}
