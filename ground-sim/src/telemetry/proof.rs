//! The proof that the reader resynchronises: damaged streams without end.
//!
//! Each stream is a row of packets of many lengths, some of whose data hold heads of packets and whole other packets.
//! Then it is damaged: bits flipped (anywhere, and in length fields), stretches cut, moved and sent twice, noise and
//! beginnings of packets put between. Every byte keeps where it came from, so that the packets which are still intact
//! are known for certain: those whose bytes stand there one after another, none of them touched. A [`Reader`] has to
//! find all of these and nothing that was never sent, with the stream pushed in pieces of any size.
//!
//! Beside it a reader that follows the length field from packet to packet, which is how the common tools take a stream
//! of space packets apart.
//!
//! All of it depends on the seed alone.

use passband_proto::packet::{
    CRC_BYTES, Cuc, MIN_PACKET_BYTES, PRIMARY_BYTES, SEQUENCE_COUNTS, TAG_BYTES, seal_telemetry,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::reader::Reader;
use crate::bench::{Op, Row};

/// Lengths of the packets of APIDs 0x100, 0x101, …; several short ones, so that most packets are.
const LENGTHS: [usize; 12] = [25, 26, 33, 41, 60, 61, 97, 128, 200, 333, 700, 1500];
/// Most packets of a stream.
const MAX_PACKETS: u16 = 16;
/// Most damages done to a stream.
const MAX_DAMAGES: usize = 8;

/// What came of many streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proof {
    /// Streams that were read.
    pub streams: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that no damage touched.
    pub intact: u64,
    /// Those of them that the reader handed out.
    pub recovered: u64,
    /// Packets that the reader handed out and that were never sent.
    pub corrupt: u64,
    /// Intact packets that following the length field found.
    pub peer_recovered: u64,
    /// Packets of known APIDs that it handed out and that were never sent.
    pub peer_corrupt: u64,
}

/// Reads `streams` damaged streams.
#[must_use]
pub fn prove(streams: u64, seed: u64) -> Proof {
    let mut proof = Proof { streams, ..Proof::default() };
    for number in 0..streams {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number);
        one(&mut random, &mut proof);
    }
    proof
}

/// The figures beside their targets.
#[must_use]
pub fn rows(proof: &Proof) -> [Row; 2] {
    const PEER: &str = "following the length field";
    let of_intact = |found: u64| Some(found as f64 * 100.0 / proof.intact.max(1) as f64);
    let what = format!("intact packets recovered, of {} in {} damaged streams", proof.intact, proof.streams);
    let recovered = Row::new("telemetry", what, of_intact(proof.recovered), "%", Op::AtLeast, 100.0)
        .beside(PEER, of_intact(proof.peer_recovered));
    let what = "corrupt packets exported from these";
    let corrupt = Row::new("telemetry", what, Some(proof.corrupt as f64), "1", Op::AtMost, 0.0)
        .beside(PEER, Some(proof.peer_corrupt as f64));
    [recovered, corrupt]
}

/// How long packets of an APID are.
#[must_use]
pub fn lengths(apid: u16) -> Option<usize> {
    LENGTHS.get(usize::from(apid.checked_sub(0x100)?)).copied()
}

/// A byte of a stream, and of which packet it is which byte; none if it was flipped or put in.
type Cell = (u8, Option<(u16, u16)>);

/// Makes one stream, damages and reads it.
fn one(random: &mut ChaCha8Rng, proof: &mut Proof) {
    let packets = packets(random);
    let mut cells: Vec<Cell> = Vec::new();
    for (number, packet) in (0..).zip(&packets) {
        cells.extend((0..).zip(packet).map(|(at, byte)| (*byte, Some((number, at)))));
    }
    for _ in 0..random.random_range(1..=MAX_DAMAGES) {
        damage(&mut cells, &packets, random);
    }
    let stream: Vec<u8> = cells.iter().map(|cell| cell.0).collect();
    proof.bytes += stream.len() as u64;
    let intact = intact(&cells, &packets);
    proof.intact += intact.iter().sum::<u64>();
    let (mut found, mut corrupt) = (vec![0; packets.len()], 0);
    read(&stream, random, |packet| tally(&packets, packet, &mut found, &mut corrupt));
    proof.recovered += both(&intact, &found);
    proof.corrupt += corrupt;
    let (mut found, mut corrupt) = (vec![0; packets.len()], 0);
    follow_lengths(&stream, |packet| tally(&packets, packet, &mut found, &mut corrupt));
    proof.peer_recovered += both(&intact, &found);
    proof.peer_corrupt += corrupt;
}

/// The packets of a stream; each has its place as sequence count.
fn packets(random: &mut ChaCha8Rng) -> Vec<Vec<u8>> {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for count in 0..random.random_range(2..=MAX_PACKETS) {
        let kind = random.random_range(0..LENGTHS.len());
        let mut data = vec![0; LENGTHS[kind] - MIN_PACKET_BYTES];
        match random.random_range(0..4) {
            0 => {}
            1 => data.fill(0x09),
            _ => random.fill(data.as_mut_slice()),
        }
        // A whole packet, or the head of one, in the data of another.
        if let Some(other) = pick(random, &packets).filter(|_| random.random_bool(0.3)) {
            let part = random.random_range(7..=other.len()).max(random.random_range(7..=other.len()));
            let part = part.min(data.len());
            let at = random.random_range(0..=data.len() - part);
            data[at..at + part].copy_from_slice(&other[..part]);
        }
        let mut packet = vec![0; LENGTHS[kind]];
        let apid = 0x100 + u16::try_from(kind).unwrap_or(0);
        let time = Cuc::new(random.random(), random.random());
        seal_telemetry(&mut packet, apid, count, time, &data, None).expect("within all limits");
        let tag = packet.len() - TAG_BYTES - CRC_BYTES;
        debug_assert!(packet[tag..tag + TAG_BYTES] == [0; TAG_BYTES]);
        packets.push(packet);
    }
    packets
}

fn pick(random: &mut ChaCha8Rng, packets: &[Vec<u8>]) -> Option<Vec<u8>> {
    (!packets.is_empty()).then(|| packets[random.random_range(0..packets.len())].clone())
}

/// Does one damage to a stream.
fn damage(cells: &mut Vec<Cell>, packets: &[Vec<u8>], random: &mut ChaCha8Rng) {
    let stretch = |random: &mut ChaCha8Rng, cells: &[Cell], most: usize| {
        let bytes = random.random_range(0..=most.min(cells.len()));
        let at = random.random_range(0..=cells.len() - bytes);
        at..at + bytes
    };
    let place = random.random_range(0..=cells.len());
    match random.random_range(0..7) {
        0 => flip(cells.get_mut(place), random),
        1 => flip(a_length_field(cells, packets.len(), random), random),
        2 => drop(cells.drain(stretch(random, cells, 400))),
        3 => drop(cells.splice(place..place, noise(random))),
        4 => {
            let Some(other) = pick(random, packets) else { return };
            let part = random.random_range(1..other.len());
            cells.splice(place..place, other[..part].iter().map(|byte| (*byte, None)));
        }
        5 => {
            let twice = cells[stretch(random, cells, 2000)].to_vec();
            cells.splice(place..place, twice);
        }
        _ => {
            let moved: Vec<Cell> = cells.drain(stretch(random, cells, 2000)).collect();
            let place = place.min(cells.len());
            cells.splice(place..place, moved);
        }
    }
}

/// A byte of a length field, of a packet that still has its own.
fn a_length_field<'a>(
    cells: &'a mut [Cell],
    packets: usize,
    random: &mut ChaCha8Rng,
) -> Option<&'a mut Cell> {
    let place = (random.random_range(0..packets), random.random_range(4..6));
    cells.iter_mut().find(|cell| cell.1.is_some_and(|(number, at)| (usize::from(number), at) == place))
}

/// Bytes of no packet; many of them such as packets have in their heads.
fn noise(random: &mut ChaCha8Rng) -> Vec<Cell> {
    let heads = [0x09, 0x01, 0xC0, 0x00, 0x2E];
    let bytes = random.random_range(0..150);
    let byte = |_| if random.random_bool(0.7) { random.random() } else { heads[random.random_range(0..5)] };
    (0..bytes).map(byte).map(|byte| (byte, None)).collect()
}

fn flip(cell: Option<&mut Cell>, random: &mut ChaCha8Rng) {
    if let Some(cell) = cell {
        *cell = (cell.0 ^ 1 << random.random_range(0..8), None);
    }
}

/// How often each packet stands in a stream untouched.
fn intact(cells: &[Cell], packets: &[Vec<u8>]) -> Vec<u64> {
    let mut times = vec![0; packets.len()];
    for (at, cell) in cells.iter().enumerate() {
        let Some((number, 0)) = cell.1 else { continue };
        let bytes = packets[usize::from(number)].len();
        let rest = cells.get(at..at + bytes).unwrap_or_default().iter();
        times[usize::from(number)] +=
            u64::from(rest.len() == bytes && (0..).zip(rest).all(|(at, cell)| cell.1 == Some((number, at))));
    }
    times
}

/// Reads a stream in pieces, with silences between.
fn read(stream: &[u8], random: &mut ChaCha8Rng, mut sink: impl FnMut(&[u8])) {
    let mut reader = Reader::new(lengths);
    let mut rest = stream;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(random.random_range(1..=rest.len().min(3000)));
        reader.push(piece, |packet| sink(packet.bytes()));
        if random.random_bool(0.1) {
            reader.idle(|packet| sink(packet.bytes()));
        }
        rest = more;
    }
    reader.finish(|packet| sink(packet.bytes()));
}

/// Goes from packet to packet by the length field alone, and hands out those of known APIDs.
fn follow_lengths(mut rest: &[u8], mut sink: impl FnMut(&[u8])) {
    while let Some(&[id_high, id_low, _, _, high, low]) = rest.first_chunk::<PRIMARY_BYTES>() {
        let bytes = usize::from(u16::from_be_bytes([high, low])) + PRIMARY_BYTES + 1;
        let Some((packet, more)) = rest.split_at_checked(bytes) else { return };
        if lengths(u16::from_be_bytes([id_high, id_low]) & 0x7FF).is_some() {
            sink(packet);
        }
        rest = more;
    }
}

/// Counts a packet that was handed out: by its place, or as one that was never sent.
fn tally(packets: &[Vec<u8>], packet: &[u8], found: &mut [u64], corrupt: &mut u64) {
    let count = u16::from_be_bytes([packet[2], packet[3]]) % SEQUENCE_COUNTS;
    match packets.get(usize::from(count)) {
        Some(sent) if sent == packet => found[usize::from(count)] += 1,
        _ => *corrupt += 1,
    }
}

/// How many of the intact packets were found, each as often as it is there.
fn both(intact: &[u64], found: &[u64]) -> u64 {
    intact.iter().zip(found).map(|(intact, found)| intact.min(found)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `PASSBAND_STREAMS` says how many, 3,000 if it doesn't.
    #[test]
    fn damaged_streams_give_all_that_is_intact_and_nothing_else() {
        let streams = std::env::var("PASSBAND_STREAMS").map_or(3000, |n| n.parse().expect("a number"));
        let proof = prove(streams, 1);
        println!("{proof:?}");
        assert!(proof.intact > streams * 5, "{proof:?}");
        assert_eq!((proof.recovered, proof.corrupt), (proof.intact, 0));
        assert!(proof.peer_recovered < proof.intact && proof.peer_corrupt > 0, "{proof:?}");
        let [recovered, corrupt] = rows(&proof);
        assert!(recovered.met && corrupt.met);
    }

    #[test]
    fn an_undamaged_stream_is_read_whole_by_both() {
        let packets = packets(&mut ChaCha8Rng::seed_from_u64(3));
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        read(&packets.concat(), &mut ChaCha8Rng::seed_from_u64(4), |packet| ours.push(packet.to_vec()));
        follow_lengths(&packets.concat(), |packet| peers.push(packet.to_vec()));
        assert_eq!((&ours, &peers), (&packets, &packets));
    }

    proptest! {
        #[test]
        fn whatever_the_seed(seed: u64) {
            let proof = prove(3, seed);
            prop_assert_eq!((proof.recovered, proof.corrupt), (proof.intact, 0));
        }
    }
}
