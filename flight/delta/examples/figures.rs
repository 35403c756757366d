//! What deltas come to: `figures NEW [OLD…]` prints the sizes of the image alone and of deltas against others.

use std::time::Instant;

use passband_delta::{Delta, Options, Piece, encode};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((new, olds)) = args.split_first() else {
        println!("figures NEW [OLD…]");
        return;
    };
    let new = std::fs::read(new).expect("readable image");
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let options = Options {
        window: number("WINDOW").unwrap_or(Options::default().window),
        table: number("TABLE"),
        learns: number("LEARNS").map(|n| n > 0),
        segment_bytes: std::env::var("SEGMENT").ok().and_then(|text| text.parse().ok()),
    };
    if olds.is_empty() {
        report("nothing", &[], &new, &options);
    }
    for old in olds {
        report(old, &std::fs::read(old).expect("readable image"), &new, &options);
    }
}

fn report(name: &str, old: &[u8], new: &[u8], options: &Options) {
    let began = Instant::now();
    let delta = encode(Some(old), new, options).expect("any image can be encoded");
    let encoded = began.elapsed();
    let began = Instant::now();
    let read = Delta::read(&delta).expect("what was encoded");
    let mut out = vec![0; 16 << 10];
    for segment in 0..read.segments() {
        let mut run = read.begin(segment, old, &delta).expect("what was encoded");
        while let Piece::More(_) = run.piece(old, &delta, &mut out).expect("what was encoded") {}
    }
    let decoded = began.elapsed();
    println!(
        "{} bytes from {name}: {} bytes, {} of memory; encoded in {encoded:.2?}, decoded in {decoded:.2?} ({:.2} us a byte)",
        new.len(),
        delta.len(),
        read.memory_bytes(),
        decoded.as_secs_f64() * 1e6 / new.len() as f64
    );
}
