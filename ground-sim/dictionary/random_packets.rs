//! Random packets of every kind and the values that other programs have to find in them: what `scripts/dictionary` compares.
//!
//! `random_packets --each 1000 --seed 1 --out DIR` writes
//!
//! | file | what |
//! | --- | --- |
//! | `packets.bin` | the packets, one behind the other, kinds mixed |
//! | `packets.pcap` | each in a UDP datagram |
//! | `fprime.bin` | each as F Prime has it, events also as events: a length u32 and the bytes |
//! | `expected.json` | for each packet `[apid, count, coarse, fine, tag, [values]]` |
//! | `openmct.json` | for each packet `[apid, [values of data]]` |
//!
//! A value of `expected.json` is a text: decimal digits of a number or a code, 8 hexadecimal digits of a float's bits, the
//! text itself, hexadecimal digits of bytes. Values are chosen by their kinds alone, with a liking for extremes; here is a
//! second writer of user data, so that it isn't the dictionary's own that proves itself.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use passband_ground::dictionary::frame::{self, Framed};
use passband_ground::dictionary::{fprime_stream, openmct};
use passband_proto::dict::{Kind, Names, PACKETS, PacketDef};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};

/// Write random packets and what is in them.
#[derive(Debug, Parser)]
struct Options {
    /// Packets of each kind.
    #[arg(long, default_value_t = 1000)]
    each: usize,
    /// What they are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to.
    #[arg(long)]
    out: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    let mut kinds: Vec<_> = PACKETS.iter().flat_map(|def| std::iter::repeat_n(*def, options.each)).collect();
    kinds.shuffle(&mut random);
    let (mut expected, mut measured, mut counts) =
        (Vec::new(), Vec::new(), std::collections::BTreeMap::new());
    let (mut stream, mut pcap, mut fprime) = (Vec::new(), pcap_header(), Vec::new());
    for def in kinds {
        let (data, values) = user_data(def, &mut random);
        let count = counts.entry(def.apid).or_insert_with(|| random.random_range(0..0x4000_u16));
        let (coarse, fine, tag) = (random.random(), random.random(), random.random());
        let framed = Framed { def, count: *count, coarse, fine, data: &data, tag };
        expected.push(json!([def.apid, framed.count, coarse, fine, tag.to_string(), values]));
        *count = (*count + 1) % 0x4000;
        let packet = frame::write(&framed);
        pcap_packet(&mut pcap, &packet, random.random_range(20_000..40_000))?;
        stream.extend(packet);
        let frames = [Some(fprime_stream::telemetry(&framed)), fprime_stream::event(&framed)];
        for bytes in frames.into_iter().flatten() {
            fprime.extend(u32::try_from(bytes.len())?.to_be_bytes());
            fprime.extend(bytes);
        }
        let data = def.read(&data).map(|(_, value)| value.as_ref().map_or(Json::Null, openmct::value));
        measured.push(json!([def.apid, data.collect::<Vec<_>>()]));
    }
    let write = |name: &str, bytes: &[u8]| {
        let path = options.out.join(name);
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))
    };
    fs::create_dir_all(&options.out)?;
    write("packets.bin", &stream)?;
    write("packets.pcap", &pcap)?;
    write("fprime.bin", &fprime)?;
    write("expected.json", &serde_json::to_vec(&expected)?)?;
    write("openmct.json", &serde_json::to_vec(&measured)?)
}

fn user_data(def: &PacketDef, random: &mut ChaCha8Rng) -> (Vec<u8>, Vec<String>) {
    let mut data = Vec::new();
    let values = def.fields.iter().map(|field| value(field.kind, random, &mut data)).collect();
    (data, values)
}

/// Puts a random value behind what is there; what it is.
fn value(kind: Kind, random: &mut ChaCha8Rng, out: &mut Vec<u8>) -> String {
    let unsigned = |bytes: usize, n: u64, out: &mut Vec<u8>| {
        out.extend(&n.to_be_bytes()[8 - bytes..]);
        (n & (u64::MAX >> (64 - 8 * bytes))).to_string()
    };
    match kind {
        Kind::U8 => unsigned(1, extreme(random), out),
        Kind::U16 => unsigned(2, extreme(random), out),
        Kind::U32 => unsigned(4, extreme(random), out),
        Kind::U64 => unsigned(8, extreme(random), out),
        Kind::I32 => {
            let n = extreme(random).to_be_bytes();
            out.extend(&n[4..]);
            i32::from_be_bytes([n[4], n[5], n[6], n[7]]).to_string()
        }
        Kind::F32 => {
            let bits = float(random).to_bits();
            out.extend(bits.to_be_bytes());
            format!("{bits:08x}")
        }
        Kind::Name8(names) => unsigned(1, code(names, 0xFF, random), out),
        Kind::Name16(names) => unsigned(2, code(names, 0xFFFF, random), out),
        Kind::FixedText(bytes) => {
            let text = text(usize::from(bytes) - 1, random);
            out.extend(text.as_bytes());
            out.extend(vec![0; usize::from(bytes) - text.len()]);
            text
        }
        Kind::Fixed(bytes) => {
            let bytes: Vec<u8> = (0..bytes).map(|_| random.random()).collect();
            out.extend(&bytes);
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        Kind::Text(_) | Kind::Bytes(_) | Kind::Order | Kind::Limits => {
            unreachable!("no packet has such a field")
        }
    }
}

fn extreme(random: &mut ChaCha8Rng) -> u64 {
    match random.random_range(0..8) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << random.random_range(0..64),
        3 => (1_u64 << random.random_range(1..64)).wrapping_sub(1),
        4 => random.random_range(0..1_000_000),
        _ => random.random(),
    }
}

fn float(random: &mut ChaCha8Rng) -> f32 {
    let odd =
        [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MIN, f32::MAX, f32::MIN_POSITIVE, 1e-45];
    match random.random_range(0..6) {
        0 => *odd.choose(random).unwrap_or(&0.0),
        1 | 2 => random.random_range(-100.0..100.0),
        _ => {
            let any = f32::from_bits(random.random());
            // A NaN has many forms; which of them is kept hangs on the processor.
            if any.is_nan() { f32::NAN } else { any }
        }
    }
}

/// A code; one in forty has no name.
fn code(names: &Names, most: u16, random: &mut ChaCha8Rng) -> u64 {
    let known = names.values.choose(random).map_or(0, |value| value.code);
    let unknown = random.random_range(0..most);
    if random.random_range(0..40) == 0 { unknown.into() } else { known.into() }
}

/// A text of at most so many bytes; one in five is as long as it can be.
fn text(most: usize, random: &mut ChaCha8Rng) -> String {
    let wanted = if random.random_range(0..5) == 0 { most } else { random.random_range(0..=most) };
    let mut text = String::new();
    while text.len() < wanted {
        let c = match random.random_range(0..6) {
            0 => random.random_range('\u{80}'..='\u{7FF}'),
            1 => random.random_range('\u{800}'..='\u{FFFF}'),
            2 => random.random_range('\u{10000}'..='\u{10FFFF}'),
            // No zero: it would end the text.
            3 => random.random_range('\u{1}'..='\u{7F}'),
            _ => random.random_range(' '..='~'),
        };
        let fits = text.len() + c.len_utf8() <= wanted;
        text.push(if fits { c } else { '.' });
    }
    text
}

/// The head of a capture of IPv4 packets without a link layer (type 228).
fn pcap_header() -> Vec<u8> {
    [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 65_535, 228].iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn pcap_packet(out: &mut Vec<u8>, payload: &[u8], port: u16) -> Result<()> {
    let whole = u16::try_from(payload.len() + 28)?;
    for word in [1, 0, u32::from(whole), u32::from(whole)] {
        out.extend(word.to_le_bytes());
    }
    out.extend([0x45, 0]);
    out.extend(whole.to_be_bytes());
    out.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    out.extend(port.to_be_bytes());
    out.extend(port.to_be_bytes());
    out.extend((whole - 20).to_be_bytes());
    out.extend([0, 0]);
    out.extend(payload);
    Ok(())
}
