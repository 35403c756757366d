//! A board on a disk that fails: golden, a good version in slot a that runs, an older one in slot b, and an update that
//! came up.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use passband_delta::{Options, encode};
use passband_launch::copies;
use passband_launch::proof::prove;
use passband_proto::release::ImageId;
use passband_proto::release::envelope::{Kind, add_signature, public_key, seal};
use passband_proto::release::image::build;
use passband_proto::release::manifest::{DeltaInfo, Manifest, StateFormats};
use passband_proto::release::root::{Role, Root};
use passband_proto::release::trust::Trust;
use passband_proto::slot::decide::{Boot, decide};
use passband_proto::slot::{Held, Mark, Slot, SlotRecord};
use sha2::{Digest, Sha256};

use crate::adapters::disk::{Disk, DiskFile, read_file, write_file};
use crate::adapters::slots::Slots;
use crate::faults::SimDisk;

const ROOT: &str = "/slots";
const UPLOAD: &str = "/upload";
const KEY: [u8; 32] = [9; 32];
/// Several segments to an image.
const SEGMENT_BYTES: u32 = 2_048;

/// The images of all versions, oldest first.
static IMAGES: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| [1, 2, 3].map(image));
/// What makes the newest of the one before it, and of nothing.
static DELTAS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let options =
        Options { segment_bytes: Some(SEGMENT_BYTES), table: Some(1), window: 12, learns: Some(false) };
    [Some(runs()), None].map(|base| encode(base, new(), &options).unwrap())
});

fn image(version: u8) -> Vec<u8> {
    let word =
        |n: u32| n.wrapping_mul(0x9e37_79b9) >> if n.is_multiple_of(97) { u32::from(version) } else { 7 };
    let program: Vec<u8> = (0..1_200).flat_map(|n| word(n).to_le_bytes()).collect();
    build(&program, &[("defaults.toml", &[version])]).unwrap()
}

/// What is in slot b, older than what runs.
pub(super) fn old() -> &'static [u8] {
    &IMAGES[0]
}

/// What is in slot a, and runs.
pub(super) fn runs() -> &'static [u8] {
    &IMAGES[1]
}

/// What the update brings.
pub(super) fn new() -> &'static [u8] {
    &IMAGES[2]
}

pub(super) fn id(bytes: &[u8]) -> ImageId {
    ImageId(Sha256::digest(bytes).into())
}

/// The root that the board came with.
pub(super) fn root() -> Vec<u8> {
    let role = |name| Role { name, threshold: 1, keys: [public_key(&KEY)].into_iter().collect() };
    let mission = "leakwatch".parse().unwrap();
    let body = Root { version: 1, mission, root: role("root"), release: role("release") }.body();
    add_signature(&seal(Kind::Root, &body).unwrap(), &KEY).unwrap()
}

/// What the board believes at first.
pub(super) fn trust() -> Trust {
    Trust::new(&root()).unwrap()
}

fn manifest(base: ImageId, delta: &[u8]) -> Manifest {
    let number = |n: usize| u32::try_from(n).unwrap();
    Manifest {
        root: 1,
        mission: "leakwatch".parse().unwrap(),
        board: "test".parse().unwrap(),
        name: "0.3".parse().unwrap(),
        version: 3,
        commit: [0; 20],
        built_unix_s: 1_800_000_000,
        expires_unix_s: None,
        launcher: (1, 1),
        state: StateFormats { writes: 1, least: 1, most: 1 },
        image: id(new()),
        image_bytes: number(new().len()),
        deltas: [DeltaInfo { base, digest: id(delta), bytes: number(delta.len()) }].into_iter().collect(),
    }
}

/// The update file: the manifest, and the delta against what runs or against nothing.
fn update(against_what_runs: bool) -> Vec<u8> {
    let (base, delta) =
        if against_what_runs { (id(runs()), &DELTAS[0]) } else { (ImageId::NONE, &DELTAS[1]) };
    let signed = seal(Kind::Manifest, &manifest(base, delta).body()).unwrap();
    [add_signature(&signed, &KEY).unwrap(), delta.clone()].concat()
}

/// A board.
pub(super) struct Board {
    pub(super) disk: SimDisk,
    pub(super) slots: Slots,
}

impl Board {
    /// With an update against what runs, or against nothing.
    pub(super) fn new(against_what_runs: bool) -> Self {
        let disk = SimDisk::default();
        Slot::ALL.iter().for_each(|slot| disk.make_folder(&Path::new(ROOT).join(slot.name())).unwrap());
        ["/", ROOT].iter().for_each(|folder| disk.sync_folder(Path::new(folder)).unwrap());
        for (slot, bytes) in [(Slot::A, runs()), (Slot::B, old()), (Slot::Golden, old())] {
            write_file(&disk, &Path::new(ROOT).join(slot.name()).join("passband"), bytes).unwrap();
        }
        write_file(&disk, Path::new(UPLOAD), &update(against_what_runs)).unwrap();
        let board = Self::on(disk);
        let good = |bytes| Held { image: id(bytes), mark: Mark::Good };
        let record = SlotRecord {
            generation: 1,
            active: Slot::A,
            a: good(runs()),
            b: good(old()),
            ..SlotRecord::FACTORY
        };
        copies::write(&board.slots, &record).unwrap();
        board
    }

    /// The one that this disk is of.
    pub(super) fn on(disk: SimDisk) -> Self {
        Self { slots: Slots::new(Arc::new(disk.clone()), Path::new(ROOT)), disk }
    }

    pub(super) fn upload(&self) -> Box<dyn DiskFile> {
        self.disk.open(Path::new(UPLOAD)).unwrap()
    }

    /// The bytes of a slot's image.
    pub(super) fn image(&self, slot: Slot) -> Vec<u8> {
        read_file(&self.disk, &self.slots.image(slot), 1 << 20).unwrap()
    }

    /// What the launcher starts in the first boot.
    pub(super) fn starts(&self) -> Option<Slot> {
        self.starts_in(1)
    }

    /// The slot that the launcher starts: the first whose image is proved, as it would be read after a restart. The
    /// record is written as the launcher writes it.
    pub(super) fn starts_in(&self, boot: u64) -> Option<Slot> {
        let found = self.slots.found();
        let decision = decide(found.record, Boot { id: boot, by_watchdog: false });
        let record = decision.write.or(found.record);
        if let Some(record) = &decision.write {
            copies::write(&self.slots, record).unwrap();
        }
        decision.order.into_iter().find(|slot| {
            let expected = record.map(|record| record.held(*slot).image).unwrap_or_default();
            read_file(&self.disk, &self.slots.image(*slot), 1 << 20).is_ok_and(|bytes| {
                prove(&bytes[..], bytes.len() as u64, std::io::sink()).unwrap().holds(expected)
            })
        })
    }
}

/// A file of these bytes.
pub(super) fn file(disk: &SimDisk, bytes: &[u8]) -> Box<dyn DiskFile> {
    let path = Path::new("/some");
    write_file(disk, path, bytes).unwrap();
    disk.open(path).unwrap()
}
