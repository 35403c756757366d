//! Both ends of the links, and what survives the ground's process.

use super::super::super::hold::ARM_MS;
use super::*;

/// When the clock of a test begins, ms since 1970-01-01 UTC.
pub(super) const T0_MS: u64 = 1_796_119_200_000;
pub(super) const CHANNEL: Channel = Channel { spacecraft: 7, vcid: 0 };

pub(super) fn key() -> RoleKey {
    RoleKey::new(CHANNEL.spacecraft, 2, Role::Operator, [3; 32]).unwrap()
}

pub(super) fn board() -> BoardModel {
    let mut keys = RoleKeys::default();
    keys.insert(key()).unwrap();
    BoardModel::new(CHANNEL, keys)
}

/// What survives the ground's process. Fault model: the process is killed at the n-th write, which is then done or isn't.
#[derive(Debug, Clone, Default)]
pub(super) struct Paper {
    pub(super) mark: u64,
    pub(super) number: u32,
    pub(super) orders: BTreeMap<u32, Entry>,
    pub(super) uploads: BTreeMap<[u8; 4], About>,
    pub(super) arm_ms: Option<u64>,
    pub(super) writes: u64,
    /// The write at which it is killed, and whether that is done.
    pub(super) killed_at: Option<(u64, bool)>,
}

impl Paper {
    pub(super) fn write(&mut self, change: impl FnOnce(&mut Self)) -> Result<()> {
        self.writes += 1;
        match self.killed_at {
            Some((at, done)) if at == self.writes => {
                if done {
                    change(self);
                }
                bail!("killed")
            }
            _ => {
                change(self);
                Ok(())
            }
        }
    }
}

impl Shelf for Paper {
    fn keep_mark(&mut self, mark: u64) -> Result<()> {
        self.write(|paper| paper.mark = mark)
    }

    fn keep_order(&mut self, entry: &Entry) -> Result<()> {
        self.write(|paper| drop(paper.orders.insert(entry.number, entry.clone())))
    }

    fn keep_upload(&mut self, about: &About) -> Result<()> {
        self.write(|paper| drop(paper.uploads.insert(about.id, about.clone())))
    }

    fn new_number(&mut self) -> Result<u32> {
        self.write(|paper| paper.number += 1)?;
        Ok(self.number)
    }

    fn keep_arm(&mut self, arm_ms: u64) -> Result<()> {
        self.write(|paper| paper.arm_ms = Some(arm_ms))
    }

    fn use_numbers(&mut self, up_to: u32) -> Result<()> {
        self.write(|paper| paper.number = paper.number.max(up_to))
    }
}

/// Both ends and the links between them, in one clock.
pub(super) struct Pair {
    pub(super) paper: Paper,
    pub(super) outbox: Outbox,
    pub(super) board: BoardModel,
    pub(super) random: ChaCha8Rng,
    pub(super) now_ms: u64,
    pub(super) loss: f64,
    pub(super) downlink: bool,
    /// Counters of all frames that left, under each start's salt.
    pub(super) counters: BTreeSet<u64>,
    pub(super) sent_bytes: u64,
    pub(super) noticed: Vec<Noticed>,
    pub(super) starts: u8,
}

impl Pair {
    pub(super) fn new(loss: f64, seed: u64) -> Self {
        let paper = Paper { number: 10, ..Paper::default() };
        Self {
            outbox: begin(&paper, 0, 1),
            paper,
            board: board(),
            random: ChaCha8Rng::seed_from_u64(seed),
            now_ms: 1_000,
            loss,
            downlink: true,
            counters: BTreeSet::new(),
            sent_bytes: 0,
            noticed: Vec::new(),
            starts: 1,
        }
    }

    pub(super) fn order(&mut self, step: Mode, line: &str) -> u32 {
        let number = self.paper.new_number().unwrap();
        let entry = Entry::new(number, step, &Order::from_line(line).unwrap(), self.now().unix_ms);
        self.paper.keep_order(&entry).unwrap();
        self.outbox.add(self.now(), entry);
        number
    }

    pub(super) fn now(&self) -> Moment {
        Moment { steady_ms: self.now_ms, unix_ms: T0_MS + self.now_ms }
    }

    pub(super) fn restart(&mut self) {
        self.starts += 1;
        self.outbox = begin(&self.paper, self.now_ms, self.starts);
    }

    /// Queues the file: its id.
    pub(super) fn upload(&mut self) -> [u8; 4] {
        let (kind, name) = (UploadKind::Script, "s".to_owned());
        let id = super::super::super::pieces::PieceSender::new(kind, &name, content(), 200).unwrap().id();
        let begin = self.paper.new_number().unwrap();
        let (told, report, whole, dropped) = (None, None, false, false);
        let about =
            About { id, kind, name, piece: 200, queued_unix_ms: 0, begin, told, report, whole, dropped };
        self.paper.keep_upload(&about).unwrap();
        self.restart();
        id
    }

    /// Plays `ms` in steps of 100.
    pub(super) fn play(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.now_ms += 100;
            if self.turn().is_err() {
                self.paper.killed_at = None;
                self.restart();
            }
        }
    }

    pub(super) fn turn(&mut self) -> Result<()> {
        let now = self.now();
        let random = &mut self.random;
        let frames = self.outbox.poll(now, &mut || Ok(random.random()), &mut self.paper)?;
        for frame in frames {
            self.sent_bytes += frame.len() as u64;
            let iv = Frame::parse(&frame, CHANNEL).unwrap().iv();
            if iv.salt != passband_proto::sdls::RESYNC_SALT {
                assert!(self.counters.insert(iv.counter), "counter {} was used before", iv.counter);
            }
            if !self.random.random_bool(self.loss) {
                self.board.take(self.now_ms, &frame);
            }
        }
        if self.now_ms.is_multiple_of(5_000) {
            for (apid, unix_ms, data) in self.board.telemetry(self.now_ms) {
                if self.downlink && !self.random.random_bool(self.loss) {
                    let noticed = self.outbox.hear(now, (apid, unix_ms, &data), &mut self.paper)?;
                    self.noticed.extend(noticed);
                }
            }
        }
        Ok(())
    }

    /// Plays until nothing is left to do on both ends.
    pub(super) fn settle(&mut self) {
        for _ in 0..200 {
            self.play(10_000);
            if self.outbox.is_settled() && self.board.unseen() == 0 {
                return;
            }
        }
        panic!("{:#?}", self.outbox.orders().collect::<Vec<_>>());
    }

    pub(super) fn assert_once(&self, count: usize) {
        assert_eq!(self.board.done.len(), count);
        assert!(self.board.done.values().all(|times| *times == 1), "{:?}", self.board.done);
    }
}

pub(super) fn begin(paper: &Paper, now_ms: u64, start: u8) -> Outbox {
    let key = key();
    let begin = Begin {
        key: &key,
        vcid: 0,
        rate_bps: 9_600,
        salt: [start; 4],
        mark: paper.mark,
        number: paper.number,
        arm_ms: paper.arm_ms.unwrap_or(ARM_MS),
        learns_arm: true,
    };
    let mut outbox = Outbox::new(&begin).unwrap();
    for entry in paper.orders.values() {
        outbox.add(Moment { steady_ms: now_ms, unix_ms: 0 }, entry.clone());
    }
    for about in paper.uploads.values().filter(|about| about.is_open()) {
        outbox.add_upload(Upload::new(about.clone(), content()).unwrap());
    }
    outbox
}

/// The file that goes up.
pub(super) fn content() -> Vec<u8> {
    (0..20_000_u32).map(|i| (i * 7 + i / 255).to_be_bytes()[3]).collect()
}

/// Hands a packet to the outbox that was made at a time by the board's clock: what was noticed.
pub(super) fn hear<P: Packet>(pair: &mut Pair, unix_ms: u64, packet: &P) -> Vec<Noticed> {
    let mut data = vec![0; P::DEF.data_bytes()];
    packet.write(&mut data).unwrap();
    let noticed = pair.outbox.hear(pair.now(), (P::DEF.apid, unix_ms, &data), &mut pair.paper).unwrap();
    pair.noticed.extend(noticed.iter().cloned());
    noticed
}

/// The same of an event.
pub(super) fn hear_event(pair: &mut Pair, unix: u64, code: EventCode, text: &str) -> Vec<Noticed> {
    let (number, severity, text) = (1, Severity::Warning, FixedText::cut(text));
    hear(pair, unix, &Event { number, unix, severity, code, text })
}
