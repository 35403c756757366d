//! A daemon of the real binary in a folder of its own, and the ground's end of its links.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod station;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use passband_proto::bundle::{Head, Opener};
use passband_proto::datagram::{Datagram, SymbolHeader};
use passband_proto::fountain::BlockDecoder;
use passband_proto::ids::BundleId;
use passband_proto::keys::EpochKey;
use passband_spectral::envi::{DataType, Header};
use passband_spectral::target::Target;
use serde_json::Value;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);
const SECRET: [u8; 32] = [0x5A; 32];

pub struct Payload {
    pub dir: tempfile::TempDir,
    pub downlink: UdpSocket,
    pub alerts: UdpSocket,
    pub bus: UdpSocket,
    spool: PathBuf,
    child: Option<Child>,
}

impl Payload {
    /// A state folder with keys and a configuration; `more` is appended to `[downlink]`.
    pub fn new(transmit: &str, more: &str) -> Self {
        Self::on("state/spool", transmit, more, |_| {})
    }

    /// The same with the spool elsewhere, and with what `mount` mounts on the state folder, which is made then.
    pub fn on(spool: &str, transmit: &str, more: &str, mount: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let (downlink, alerts, bus) = (socket(), socket(), socket());
        // The port is free once the socket is closed; nobody else is given it so soon.
        let bus_port = socket().local_addr().unwrap().port();
        bus.connect(("127.0.0.1", bus_port)).unwrap();
        let config = format!(
            "spacecraft = {}\n[paths]\nstate = \"state\"\nspool = \"{spool}\"\n[camera]\npoll_ms = 20\nsettle_ms = 200\n\
             [health]\nsafe_after = 0\n[alerts]\nrepeat_s = [0, 1, 3]\nper_minute = 60\ntarget = \"{}\"\n[bus]\nlisten = \"127.0.0.1:{bus_port}\"\n\
             [downlink]\ntarget = \"{}\"\ntransmit = \"{transmit}\"\n{more}\n",
            spacecraft(),
            alerts.local_addr().unwrap(),
            downlink.local_addr().unwrap()
        );
        fs::write(dir.path().join("passband.toml"), config).unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        mount(&dir.path().join("state"));
        let spool = dir.path().join(spool);
        fs::create_dir_all(&spool).unwrap();
        let mut line = String::new();
        key().write_line(&mut line).unwrap();
        fs::write(dir.path().join("state/keys.txt"), line).unwrap();
        Self { dir, downlink, alerts, bus, spool, child: None }
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("passband.toml")
    }

    pub fn state(&self, name: &str) -> PathBuf {
        self.dir.path().join("state").join(name)
    }

    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts it with these variables in its environment.
    pub fn start_with(&mut self, environment: &[(&str, &str)]) {
        let log = fs::File::create(self.dir.path().join("log.txt")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_passband"))
            .args(["run", "--config"])
            .arg(self.config())
            .envs(environment.iter().copied())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        self.wait_until("the daemon answers", |p| p.ask(&["status"]).status.success().then_some(()));
    }

    /// Starts it where it must end by itself soon; how it did.
    pub fn fails_to_start(&self) -> Output {
        Command::new(env!("CARGO_BIN_EXE_passband"))
            .args(["run", "--config"])
            .arg(self.config())
            .output()
            .unwrap()
    }

    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; returns how long it took to end, which must be orderly.
    pub fn terminate(&mut self) -> Duration {
        let mut child = self.child.take().unwrap();
        let begun = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert!(child.wait().unwrap().success());
        begun.elapsed()
    }

    /// Waits until the daemon has ended by itself, which must be with status 1; what it said.
    pub fn wait_for_end(&mut self) -> String {
        let mut child = self.child.take().unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > PATIENCE {
                self.child = Some(child);
                panic!("the daemon goes on; log:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(child.wait().unwrap().code(), Some(1), "{}", self.log());
        self.log()
    }

    /// What the daemon that was started last has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log.txt")).unwrap_or_default()
    }

    pub fn ask(&self, args: &[&str]) -> Output {
        passband(
            args.iter()
                .map(|a| (*a).to_owned())
                .chain(["--config".into(), self.config().display().to_string()]),
        )
    }

    /// The JSON answer to a command that must succeed.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.ask(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["schema"], 1);
        value
    }

    pub fn codes(&self) -> Vec<String> {
        let events = self.json(&["events", "--limit", "1000"]);
        events["events"].as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap().to_owned()).collect()
    }

    pub fn wait_for_event(&self, code: &str) {
        self.wait_until(code, |p| p.codes().iter().any(|c| c == code).then_some(()));
    }

    pub fn wait_until<T>(&self, what: &str, mut check: impl FnMut(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(value) = check(self) {
                return value;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}; log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Puts a frame of noise into the spool; its header and data.
    pub fn put_frame(&self, name: &str, lines: usize, seed: u32) -> (Vec<u8>, Vec<u8>) {
        self.put(name, frame(lines, seed))
    }

    /// Puts a frame into the spool as a camera does; its header and data.
    pub fn put(&self, name: &str, (header, data): (Vec<u8>, Vec<u8>)) -> (Vec<u8>, Vec<u8>) {
        let spool = &self.spool;
        for (ending, bytes) in [("bil", &data), ("hdr", &header)] {
            fs::write(spool.join("camera.tmp"), bytes).unwrap();
            fs::rename(spool.join("camera.tmp"), spool.join(format!("{name}.{ending}"))).unwrap();
        }
        (header, data)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

thread_local! {
    static SPACECRAFT: u16 = {
        static TESTS: AtomicU32 = AtomicU32::new(0);
        let number = std::process::id().wrapping_mul(64).wrapping_add(TESTS.fetch_add(1, Ordering::Relaxed));
        u16::try_from(number % 60_000).unwrap() + 1
    };
}

/// A number of this test's own: a daemon that can't write its state folder has a socket named by it.
pub fn spacecraft() -> u16 {
    SPACECRAFT.with(|number| *number)
}

pub fn key() -> EpochKey {
    EpochKey::new(spacecraft(), 1, SECRET)
}

pub fn passband(args: impl IntoIterator<Item = String>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_passband")).args(args).stdin(Stdio::null()).output().unwrap()
}

/// A small frame of noise: an ENVI header and BIL data, u16.
pub fn frame(lines: usize, seed: u32) -> (Vec<u8>, Vec<u8>) {
    let mut header = Header::new(64, lines, 20, DataType::U16);
    header.wavelengths_nm = Some((0..20).map(|i| 450.0 + 105.0 * f64::from(i)).collect());
    let mut noise = Noise::new(seed);
    let data = (0..header.data_bytes()).map(|_| noise.bits().to_le_bytes()[1]).collect();
    (header.to_text().into_bytes(), data)
}

/// A frame with a strong methane plume at line 40, sample 30.
pub fn plume_frame(seed: u32) -> (Vec<u8>, Vec<u8>) {
    gas_frame(seed, &Target::ch4(), 6_000.0, 2_000.0)
}

/// A frame with a plume at line 40, sample 30, bands 6.25 nm apart from `first_nm`: ground of varying brightness, seen
/// through the gas by Beer and Lambert, as radiance in f32.
#[expect(clippy::cast_possible_truncation, reason = "f32 is what the frame holds")]
pub fn gas_frame(seed: u32, gas: &Target, peak_ppm_m: f64, first_nm: f64) -> (Vec<u8>, Vec<u8>) {
    const SAMPLES: usize = 64;
    const LINES: usize = 90;
    const BANDS: usize = 80;
    let centres: Vec<f64> = (0..BANDS).map(|b| first_nm + 6.25 * b as f64).collect();
    let absorption: Vec<f64> = centres.iter().map(|nm| gas.band_absorption(*nm, 7.0)).collect();
    let mut header = Header::new(SAMPLES, LINES, BANDS, DataType::F32);
    header.wavelengths_nm = Some(centres);
    header.fwhm_nm = Some(vec![7.0; BANDS]);
    let mut noise = Noise::new(seed);
    let albedo: Vec<f64> = (0..SAMPLES * LINES).map(|_| 1.0 + 0.15 * noise.normal()).collect();
    let slope: Vec<f64> = (0..SAMPLES * LINES).map(|_| 0.05 * noise.normal()).collect();
    let mut data = Vec::new();
    for line in 0..LINES {
        for (band, absorption) in absorption.iter().enumerate() {
            for sample in 0..SAMPLES {
                let pixel = line * SAMPLES + sample;
                let (dy, dx) = (line as f64 - 40.0, sample as f64 - 30.0);
                let ppm_m = peak_ppm_m * (-(dx * dx / 60.0 + dy * dy / 20.0)).exp();
                let ground = albedo[pixel] + slope[pixel] * (band as f64 / BANDS as f64 - 0.5);
                let radiance = ground * (-ppm_m * absorption).exp() * (1.0 + 0.003 * noise.normal());
                data.extend_from_slice(&(radiance as f32).to_le_bytes());
            }
        }
    }
    (header.to_text().into_bytes(), data)
}

/// Noise from a seed.
struct Noise(u32);

impl Noise {
    fn new(seed: u32) -> Self {
        Self(seed.wrapping_mul(2_654_435_761) | 1)
    }

    fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// Nearly normal, of mean 0 and standard deviation 1: twelve uniform numbers.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| f64::from(self.bits()) / f64::from(u32::MAX)).sum::<f64>() - 6.0
    }
}

/// What the ground received.
#[derive(Default)]
pub struct Ground {
    blocks: BTreeMap<(BundleId, u32), Block>,
    seen: BTreeSet<(BundleId, u32, u32)>,
    pub sessions: BTreeSet<u64>,
    pub datagrams: u64,
    pub bytes: u64,
    pub first_bundle: Option<BundleId>,
}

struct Block {
    header: SymbolHeader,
    decoder: BlockDecoder,
    fresh: Vec<(u32, Vec<u8>)>,
    have: u32,
    plain: Option<Vec<u8>>,
}

impl Ground {
    /// Takes what has arrived within `time`; every datagram must be sound, ours, and new.
    pub fn listen(&mut self, socket: &UdpSocket, time: Duration) {
        let begun = Instant::now();
        let mut buffer = [0; 10_000];
        while let Some(left) = time.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            socket.set_read_timeout(Some(left)).unwrap();
            let Ok(n) = socket.recv(&mut buffer) else { return };
            self.take(&buffer[..n]);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let datagram = Datagram::parse(bytes).unwrap();
        assert!(datagram.verify(&key().tag_key()));
        let header = *datagram.header();
        assert!(self.seen.insert((header.bundle, header.block, header.esi)), "sent twice: {header:?}");
        self.datagrams += 1;
        self.bytes += bytes.len() as u64;
        self.sessions.insert(header.link_seq >> 40);
        self.first_bundle.get_or_insert(header.bundle);
        let block = self.blocks.entry((header.bundle, header.block)).or_insert_with(|| Block {
            header,
            decoder: BlockDecoder::new(header.block_bytes, datagram.symbol_bytes()).unwrap(),
            fresh: Vec::new(),
            have: 0,
            plain: None,
        });
        block.have += 1;
        block.fresh.push((header.esi, datagram.symbol().to_vec()));
        if block.plain.is_none() && block.have >= datagram.source_symbols() {
            block.plain = block.decoder.decode(std::mem::take(&mut block.fresh));
        }
    }

    /// Opens the transmitter and takes what comes, until so many bundles are whole.
    pub fn receive(&mut self, payload: &Payload, bundles: usize) {
        payload.json(&["pass", "start", "--seconds", "60"]);
        let begun = Instant::now();
        while self.bundles().len() < bundles {
            assert!(begun.elapsed() < PATIENCE, "{} bundles; log:\n{}", self.bundles().len(), payload.log());
            self.listen(&payload.downlink, Duration::from_millis(100));
        }
    }

    /// Whether this file is among the contents of what is whole.
    pub fn has(&self, (header, data): &(Vec<u8>, Vec<u8>)) -> bool {
        let whole = [header.as_slice(), data].concat();
        self.bundles().values().any(|(_, content)| *content == whole)
    }

    /// Bundles that are whole: their head, and the content.
    pub fn bundles(&self) -> BTreeMap<BundleId, (Head, Vec<u8>)> {
        let ids: BTreeSet<BundleId> = self.blocks.keys().map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| Some((id, self.open(&id)?))).collect()
    }

    fn open(&self, id: &BundleId) -> Option<(Head, Vec<u8>)> {
        let first = self.blocks.iter().find(|((of, _), _)| of == id)?.1.header;
        let opener = Opener::new(&key(), id, first.block_count);
        let sealed = |block| self.blocks.get(&(*id, block))?.plain.clone();
        let mut head = opener.open_head(sealed(0)?).unwrap();
        let mut content = head.content.take().unwrap_or_default();
        for i in 1..first.block_count {
            let mut part = sealed(i)?;
            opener.open(i, &mut part).unwrap();
            content.extend_from_slice(&part);
        }
        Some((head, content))
    }
}

/// The files below a folder, by path.
pub fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files_below(&path));
        } else {
            out.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    out
}
