//! Writes the seeds of the corpus, made by the real encoders.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;

use passband_flight::adapters::disk::{Disk, read_file};
use passband_flight::adapters::last::{Saved, save};
use passband_flight::command::Request;
use passband_flight::config::Config;
use passband_flight::digest::Tally;
use passband_flight::faults::SimDisk;
use passband_flight::orders::Step;
use passband_flight::parameters::{Now, OrderId, Parameters};
use passband_fuzz::{Words, command_keys, delta_base, delta_options, key, sample_geometry, uplink_frames};
use passband_ground::capture::CaptureWriter;
use passband_ground::release::id_of;
use passband_ground::scene::{SceneParams, generate};
use passband_proto::alert::{Alert, fit, seal_alert};
use passband_proto::bundle::{FileEntry, Manifest, SealOptions, seal_bundle};
use passband_proto::bus::Transmit;
use passband_proto::datagram::{SymbolHeader, encode};
use passband_proto::dict::{Event, EventCode, FixedText, Order, PARAMETERS, Packet, ParameterId, Severity};
use passband_proto::fountain::BlockEncoder;
use passband_proto::ids::{BundleId, Class};
use passband_proto::packet::{CommandPacket, Cuc, MAX_PACKET_BYTES, Mode, seal_telemetry};
use passband_proto::plan;
use passband_proto::release::{ImageId, envelope, image, manifest};
use passband_proto::report::{
    Acknowledgement, AlertMark, Item, Report, codes, seal_acknowledgement, seal_report,
};
use passband_proto::slot::{Slot, SlotRecord};
use passband_proto::transfer::belief::Observation;
use passband_spectral::cube::Cube;
use passband_spectral::target::Target;
use passband_spectral::triage::{NoMaps, Params, Record, triage};

fn main() {
    let sealed = bundle();
    let datagrams = datagrams(&sealed);
    put("datagram", "source", &datagrams[0]);
    put("datagram", "repair", datagrams.last().map_or(&[], Vec::as_slice));
    put("bundle", "sealed", &sealed);
    put("bundle", "head", &[&[1], manifest().as_slice()].concat());
    packets();
    put("keyring", "two", key_file().as_bytes());
    put("role_keys", "two", role_key_file().as_bytes());
    uplink();
    put("alert", "one", &alert());
    put("bus", "open", &Transmit { on_for_ms: 300_000, rate_kbps: 40_000 }.encode());
    put("report", "one", &report());
    put("acknowledgement", "two", &acknowledgement());
    put("report_body", "runs", &codes::encode(&[0, 0, 0, 7, 7, 7, 7, 900, 10_000, 10_000]));
    put("report_body", "all", &(0..=255).collect::<Vec<u8>>());
    put("slot", "factory", &SlotRecord::FACTORY.encode());
    put("slot", "trial", &on_trial().encode());
    releases();
    put("delta", "against", &delta(true));
    put("delta", "alone", &delta(false));
    put("fountain", "block", &fountain(&sealed));
    put("station", "stream", &stream(&datagrams, false));
    put("station", "repaired", &stream(&datagrams, true));
    captures(&datagrams);
    for (name, request) in [
        ("status", Request::Status),
        ("events", Request::Events { since: Some(3), limit: Some(5) }),
        ("alert", Request::AlertsAck { number: 7 }),
        ("pass", Request::PassStart { seconds: 60, rate_bps: Some(1_000_000) }),
        ("order", Request::Order { order: "params set wind 3".into(), step: Some(Step::Arm) }),
        ("load", Request::Load { kind: "plan".into(), name: "night".into(), path: "/tmp/night.plan".into() }),
        ("tlm", Request::Tlm { channels: vec!["power".into(), "disk".into()] }),
    ] {
        put("command", name, request.line().unwrap_or_default().as_bytes());
    }
    let read = |path: &str| {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap_or_default()
    };
    orders();
    put("config", "example", &read("flight/payload/passband.example.toml"));
    parameters();
    put("passes", "windows", b"[[window]]\nstation = 'a'\naos = \"2026-12-01T10:00:00Z\"\nlos = 1796119680\nrate_bps = 5000\n[[window]]\nstation = 'b'\naos = 2026-12-01T10:05:00+01:00\nlos = 2026-12-01T10:15:00+01:00\n");
    put("passes", "stations", b"[[station]]\nname = 'Svalbard'\nlatitude_deg = 78.2\nlongitude_deg = 15.4\naltitude_m = 440\nmin_elevation_deg = 5\n");
    put("passes", "tle", b"ISS (ZARYA)\n1 25544U 98067A   20194.88612269 -.00002218  00000-0 -31515-4 0  9992\n2 25544  51.6461 221.2784 0001413  89.1723 280.4612 15.49507896236008\n");
    put("passes", "json", b"[{\"EPOCH\":\"2020-07-12T21:16:01.000416\",\"MEAN_MOTION\":15.495,\"ECCENTRICITY\":0.0001,\"INCLINATION\":51.6,\"RA_OF_ASC_NODE\":221,\"ARG_OF_PERICENTER\":\"89.1\",\"MEAN_ANOMALY\":280,\"BSTAR\":-3.15e-5}]");
    put("passes", "kvn", b"TIME_SYSTEM = UTC\nEPOCH = 2020-194T21:16:01\nMEAN_MOTION = 15.495 [rev/day]\nECCENTRICITY = 0.0001\nINCLINATION = 51.6\nRA_OF_ASC_NODE = 221\nARG_OF_PERICENTER = 89\nMEAN_ANOMALY = 280\nBSTAR = 0\n");
    put("envi", "cube", b"ENVI\nsamples = 8\nlines = 4\nbands = 3\nheader offset = 0\ndata type = 12\ninterleave = bil\nbyte order = 0\nwavelength units = Nanometers\nwavelength = {2100, 2200.5, 2300}\nfwhm = {5, 5, 5}\n");
    let target = read("flight/spectral/targets/ch4.csv");
    let text = String::from_utf8_lossy(&target);
    let head: String = text.lines().take(60).map(|line| format!("{line}\n")).collect();
    put("gas", "head", head.as_bytes());
    put(
        "gas",
        "windows",
        b"# name: X2\n# window_nm: 1590 1700 2122 2488\n# molar_mass_g: 44.01\n# columns_ppm_m: 500 1000 2000\n\
          wavelength_nm,a500,weight,a1000,a2000\n1600,1e-6,5,9e-7,8e-7\n1650.5,2e-5,5.1,1.9e-5,1.7e-5\n\
          2300,3e-5,0.9,2.5e-5,2e-5\n",
    );
    put("gas", "bare", b"1000,0.1\n1001,0.2\n");
    put("envi", "site", b"ENVI\nsamples = 2\nlines = 2\nbands = 2\ndata type = 4\ninterleave = bip\nmap info = {UTM, 1, 1, 5e5, 4e6, 30, 30, 11, North, WGS-84, units=Meters}\nwind speed = 3.5\nsun elevation = 41\nband names = {red, swir}\n");
    put(
        "envi",
        "pixel",
        b"ENVI\nsamples = 2\nlines = 1\nbands = 1\ndata type = 1\npixel size = {8.0, 8.5, units=Meters}\n",
    );
    frames();
    plan();
}

/// A delta against the base of the target, or against nothing.
fn delta(against: bool) -> Vec<u8> {
    let base = delta_base();
    let mut new = base.clone();
    new.splice(800..800, base[..400].iter().rev().copied());
    new.drain(300..340);
    let base = against.then_some(base.as_slice());
    passband_delta::encode(base, &new, &delta_options()).expect("any bytes can be told")
}

/// Telemetry as it is and with its CRC to be made, and a command.
fn packets() {
    let mut out = [0; MAX_PACKET_BYTES];
    let time = Cuc::saturating_from_unix_ms(1_796_000_000_123);
    let tag_key = key().telemetry_key();
    let bytes =
        seal_telemetry(&mut out, 0x101, 77, time, &content()[..60], Some(&tag_key)).expect("a packet");
    put("packet", "telemetry", &out[..bytes]);
    out[0] = 255;
    put("packet", "repaired", &out[..bytes]);
    let command = CommandPacket { sequence_count: 3, mode: Mode::Arm, number: 9, order: &content()[..30] };
    let bytes = command.write(&mut out).expect("a command");
    put("packet", "command", &out[..bytes]);
}

/// Moves of three givers: an order, one that takes two steps, one that takes two keys, and a repeat.
fn orders() {
    let mut moves = Vec::new();
    for (who, number, step, order) in [
        (0x30, 1, 0, "ping"),
        (0x30, 1, 0, "ping"),
        (0x31, 1, 1, "board reboot"),
        (0x31, 2, 2, "board reboot"),
        (0x30, 3, 1, "keys retire 3"),
        (0x01, 4, 2, "keys retire 3"),
        (0x22, 9, 0, "queue hold 0123"),
        (0x12, 10, 0, "answers seen 9 --bits 1"),
    ] {
        let order = Order::from_line(order).expect("an order").encode();
        moves.extend([who, number, step, u8::try_from(order.len()).unwrap_or(u8::MAX)]);
        moves.extend(order);
    }
    put("orders", "moves", &moves);
    let (disk, state) = (SimDisk::default(), Path::new("/state"));
    disk.make_folder(state).expect("a new disk");
    let saved = Saved {
        schema: 1,
        saved_unix_ms: 1,
        tally: Tally::default(),
        answers: std::collections::BTreeMap::new(),
    };
    save(&disk, state, &saved).expect("there is room");
    put("saved", "last", &read_file(&disk, &state.join("last.json"), 1 << 18).expect("it was written"));
    let event = Event {
        number: 7,
        unix: 1_800_000_000_000,
        severity: Severity::Error,
        code: EventCode::SendError,
        text: FixedText::default(),
    };
    let (mut data, mut out) = (vec![0; Event::DEF.data_bytes()], [0; MAX_PACKET_BYTES]);
    event.write(&mut data).expect("of its own length");
    let time = Cuc::saturating_from_unix_ms(1_800_000_000_000);
    let bytes = seal_telemetry(&mut out, Event::DEF.apid, 1, time, &data, None).expect("a packet");
    put("saved", "blackbox", &out[..bytes]);
}

/// All parameters with their defaults as text, and a record with a set on trial.
fn parameters() {
    let lines = PARAMETERS.iter().map(|def| format!("{}={}\n", def.id, def.default)).collect::<String>();
    put("parameters", "defaults", lines.as_bytes());
    let now = Now { steady_ms: 0, unix_ms: 1_800_000_000_000 };
    let mut parameters = Parameters::new(Config::default());
    for (number, (id, value)) in
        (1..).zip([(ParameterId::BeaconEvery, "20"), (ParameterId::PowerLimits, "-,-,20,25")])
    {
        let by = OrderId { source: 1, number };
        parameters.stage(id, value, by, now).expect("a value");
        parameters.commit(600, OrderId { source: 2, ..by }, now).expect("something is staged");
    }
    parameters.stage(ParameterId::Wind, "default", OrderId { source: 1, number: 9 }, now).expect("a value");
    put("parameters", "trial", &parameters.record());
}

/// Frames with and without a plume, and their records.
fn frames() {
    for (name, asked, plume_ppm_m) in [("plume", 12, Some(20_000.0)), ("ground", 3, None)] {
        let params = SceneParams {
            samples: 20,
            lines: 32,
            bands: Some(80),
            bands_nm: Some(vec![[450.0, 700.0], [2120.0, 2490.0]]),
            plume_ppm_m,
            ..SceneParams::default()
        };
        let scene = generate(&params).expect("a scene");
        let text = scene.header.to_text();
        put("triage", name, &[&[asked], text.as_bytes(), b"\n", scene.data.as_slice()].concat());
        let cube = Cube::new(scene.header, scene.data).expect("a cube");
        let found = triage(&cube, &Target::ch4(), &Params::default(), &mut NoMaps).expect("a verdict");
        put("record", name, &Record::of(&found.report).encode().expect("a record"));
    }
}

/// A plan with all that a plan can say, as text and as bytes.
fn plan() {
    let text = "plan seed\nversion 3\non reboot restart\non late run within 5min else abort\n\n\
        a: at 2026-12-01T10:00:00Z every 90min times 16 do camera on\n    wait for tlm channel >= -5.5 for 10s up to 5min else run\n    \
        on failure retry 3 every 10s then abort\n    not after 2026-12-02T10:00:00Z\nafter a +30s do camera on\n\
        every aos \"Station B\" -2min times 5 do b\n    not after +3min\nlos any do c\nevent event at least error do d\n    \
        wait for no pass any up to 10min\nevery when tlm channel < 7e-9 for 1min do e\nafter 90s every 500s times 3 start f\n    \
        wait for pass s up to 1d\n";
    put("plan", "text", text.as_bytes());
    let plan = plan::compile(text, "seed", &Words).expect("a plan");
    let signed = plan::sign(&plan, 1, &key().tag_key()).expect("a plan");
    put("plan", "bytes", signed.get(..signed.len() - plan::SIGNATURE_BYTES).unwrap_or_default());
}

fn put(target: &str, name: &str, data: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder of the corpus");
    fs::write(folder.join(name), data).expect("a seed");
}

fn content() -> Vec<u8> {
    (0..1500_u32).map(|i| u8::try_from(i * 11 % 251).unwrap_or(0)).collect()
}

fn about() -> Manifest {
    let mut manifest = Manifest::new("sample", "file", Class::Routine, 5);
    let sha256 = passband_ground::station::sha256_hex(&content());
    let mut digest = [0; 32];
    for (place, pair) in digest.iter_mut().zip(sha256.as_bytes().chunks(2)) {
        *place = std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok()).unwrap_or(0);
    }
    manifest.files = vec![FileEntry { name: "a.bin".into(), bytes: 1500, sha256: digest }];
    manifest
}

fn bundle() -> Vec<u8> {
    let options = SealOptions { symbol_bytes: 64, segment_symbols: 10, ..SealOptions::default() };
    let mut out = Vec::new();
    seal_bundle(&key(), BundleId([1; 12]), &about(), &[], &mut content().as_slice(), &mut out, &options)
        .expect("a bundle");
    out
}

/// The plain head of the sample bundle.
fn manifest() -> Vec<u8> {
    let opener = passband_proto::bundle::Opener::new(&key(), &BundleId([1; 12]), 4);
    let sealed = bundle();
    let bytes = sample_geometry(&sealed).map_or(0, |g| g.head_bytes as usize);
    let mut head = sealed[64..64 + bytes].to_vec();
    drop(opener.open(0, &mut head));
    head
}

fn datagrams(sealed: &[u8]) -> Vec<Vec<u8>> {
    let geometry = sample_geometry(sealed).expect("a sealed file");
    let mut out = Vec::new();
    for block in 0..geometry.block_count {
        let start = geometry.block_offset(block).and_then(|o| usize::try_from(o).ok()).unwrap_or(0);
        let bytes = geometry.block_bytes(block).unwrap_or(0);
        let mut encoder = BlockEncoder::new(&sealed[start..start + bytes as usize], 64).expect("a block");
        let count = encoder.source_symbols() + 2;
        let mut write = |esi: u32, symbol: &[u8]| {
            let header = SymbolHeader {
                spacecraft: 1,
                epoch: 1,
                bundle: BundleId([1; 12]),
                block,
                class: Class::Routine,
                esi,
                block_bytes: bytes,
                block_count: geometry.block_count,
                link_seq: out.len() as u64,
            };
            let mut datagram = vec![0; 128];
            encode(&header, symbol, &key().tag_key(), &mut datagram).expect("a datagram");
            out.push(datagram);
        };
        encoder.symbols(0, count, &mut write).expect("symbols");
    }
    out
}

fn stream(datagrams: &[Vec<u8>], repaired: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for datagram in datagrams {
        out.extend(u16::try_from(datagram.len()).unwrap_or(0).to_be_bytes());
        out.extend(datagram);
        if repaired && let Some(first) = out.len().checked_sub(datagram.len()) {
            out[first] = 255;
        }
    }
    out
}

fn fountain(sealed: &[u8]) -> Vec<u8> {
    let mut out = [640_u32.to_be_bytes().as_slice(), &64_u16.to_be_bytes()].concat();
    let mut encoder = BlockEncoder::new(&sealed[64..704], 64).expect("a block");
    encoder
        .symbols(3, 12, |esi, symbol| {
            out.extend(esi.to_be_bytes());
            out.extend(symbol);
        })
        .expect("symbols");
    out
}

fn captures(datagrams: &[Vec<u8>]) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("sample.pcap");
    let mut writer = CaptureWriter::create(&path).expect("a capture");
    let from = SocketAddr::from(([10, 0, 0, 1], 5000));
    for datagram in datagrams.iter().take(6) {
        writer.write(SystemTime::UNIX_EPOCH, from, from, datagram).expect("a packet");
    }
    writer.flush().expect("a capture");
    let pcap = fs::read(&path).unwrap_or_default();
    put("capture", "pcap", &pcap);
    put("capture", "bare", &datagrams[..3].concat());
    // A pcapng file: section header, interface (raw IP), an enhanced packet.
    let mut pcapng = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let total = u32::try_from(body.len() + 12).unwrap_or(0);
        pcapng.extend(kind.to_le_bytes());
        pcapng.extend(total.to_le_bytes());
        pcapng.extend(body);
        pcapng.extend(total.to_le_bytes());
    };
    block(0x0A0D_0D0A, &[0x4D, 0x3C, 0x2B, 0x1A, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    block(1, &[101, 0, 0, 0, 0, 0, 0, 0]);
    let packet = pcap.get(40..40 + 156).unwrap_or_default();
    let length = u32::try_from(packet.len()).unwrap_or(0).to_le_bytes();
    block(6, &[&[0; 12], length.as_slice(), &length, packet].concat());
    put("capture", "pcapng", &pcapng);
}

fn key_file() -> String {
    let mut text = String::from("# two keys\n");
    for epoch in 1..3 {
        passband_proto::keys::EpochKey::new(1, epoch, [7; 32]).write_line(&mut text).expect("memory");
        text.push('\n');
    }
    text
}

fn role_key_file() -> String {
    let mut text = String::from("# an operator, and one for the safe\n");
    for key in command_keys() {
        key.write_line(&mut text).expect("memory");
        text.push('\n');
    }
    text
}

/// Each protected frame alone, and all of them as a stream.
fn uplink() {
    let frames = uplink_frames();
    for (frame, name) in frames.iter().zip(["shortest", "order", "longest", "resync"]) {
        put("uplink", name, frame);
    }
    let mut all = Vec::new();
    for frame in frames {
        all.extend(u16::try_from(frame.len()).unwrap_or(0).to_be_bytes());
        all.extend(frame);
    }
    put("uplink", "stream", &all);
}

fn alert() -> Vec<u8> {
    let alert = Alert {
        number: 1,
        time_unix_ms: 2,
        frame: fit("frame"),
        gas: fit("ch4"),
        probability_permille: 990,
        peak_ppm_m: 1.5,
        mean_ppm_m: 0.5,
        pixels: 3,
        line: 4,
        sample: 5,
        position: None,
        plumes: 1,
        evidence: Some(BundleId([1; 12])),
    };
    seal_alert(&key(), [1; 12], &alert).map(|sealed| sealed.to_vec()).unwrap_or_default()
}

fn report() -> Vec<u8> {
    let missing = vec![0, 5, 5, 5, 33];
    let items = vec![
        Item::Whole(BundleId([2; 12])),
        Item::Blocks { id: BundleId([1; 12]), first_block: 0, as_of: 99, missing },
    ];
    let link = Some(Observation { station: 1, first_seq: 9, span: 100, heard: 80 });
    seal_report(&key(), [1; 12], &Report { station: 1, number: 7, link, items }).unwrap_or_default()
}

fn on_trial() -> SlotRecord {
    let staged = SlotRecord::FACTORY.stage(Slot::A, ImageId([7; 32]));
    staged.and_then(|staged| staged.try_out(Slot::A, 3, 86_400)).expect("a sound record")
}

fn releases() {
    put("release", "root", &passband_fuzz::release::first_root());
    let body = release_manifest().body();
    put("release", "body", &body);
    let [_, secret] = &passband_fuzz::release::SECRETS;
    let bare = envelope::seal(envelope::Kind::Manifest, &body).expect("short enough");
    put("release", "manifest", &envelope::add_signature(&bare, secret).expect("room"));
    put("release", "update", &update());
    put("release", "image", &image::build(b"\x7fELF", &[("defaults.toml", b"x = 1")]).expect("an image"));
}

/// An update file: manifest, and the delta that makes its image of nothing.
fn update() -> Vec<u8> {
    let image = image::build(b"\x7fELF", &[("defaults.toml", b"x = 1")]).expect("an image");
    let delta = passband_delta::encode(None, &image, &delta_options()).expect("any bytes can be told");
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short");
    let info = manifest::DeltaInfo { base: ImageId::NONE, digest: id_of(&delta), bytes: length(&delta) };
    let said = manifest::Manifest {
        image: id_of(&image),
        image_bytes: length(&image),
        deltas: [info].into_iter().collect(),
        ..release_manifest()
    };
    let bare = envelope::seal(envelope::Kind::Manifest, &said.body()).expect("short enough");
    let [_, secret] = &passband_fuzz::release::SECRETS;
    [envelope::add_signature(&bare, secret).expect("room"), delta].concat()
}

fn release_manifest() -> manifest::Manifest {
    let delta = manifest::DeltaInfo { base: ImageId::NONE, digest: ImageId([3; 32]), bytes: 9 };
    manifest::Manifest {
        root: 1,
        mission: "fuzz".parse().expect("short"),
        board: "fuzz".parse().expect("short"),
        name: "0.1".parse().expect("short"),
        version: 1,
        commit: [4; 20],
        built_unix_s: 2,
        expires_unix_s: None,
        launcher: (1, 1),
        state: manifest::StateFormats { writes: 1, least: 1, most: 1 },
        image: ImageId([5; 32]),
        image_bytes: 6,
        deltas: [delta].into_iter().collect(),
    }
}

fn acknowledgement() -> Vec<u8> {
    let alerts = vec![AlertMark { number: 1, nonce: [1; 4] }, AlertMark { number: 9, nonce: [2, 3, 4, 5] }];
    let said = Acknowledgement { station: 1, number: 8, alerts };
    seal_acknowledgement(&key(), [1; 12], &said).unwrap_or_default()
}
