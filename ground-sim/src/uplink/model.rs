//! A model of the board for tests of the ground: the very associations and ledger that fly, over a disk that is two maps.
//!
//! What it does with an order is to count it. Its fault model: it is started anew at any moment, and keeps what it had kept by
//! then. It opens no socket and reads no clock.

use std::collections::BTreeMap;

use passband_flight::orders::{Giver, Keep, Ledger, Moment, OrderId, Record, Step};
use passband_proto::dict::{
    Association, Beacon, Disk, FixedText, KeyState, Mode, Order, Packet, ParametersState, Reason, ResetCause,
    Severity, Shed, UpdateState, Upload, UploadKind,
};
use passband_proto::packet::{CommandPacket, Mode as Flags};
use passband_proto::sdls::{
    AssociationStatus, Associations, Channel, Content, Limits, Mark, RoleKey, RoleKeys, State,
};

/// A packet of telemetry: APID, when it was made (ms since 1970-01-01 UTC), user data.
pub type Told = (u16, u64, Vec<u8>);

/// A board.
#[derive(Debug)]
pub struct BoardModel {
    channel: Channel,
    keys: RoleKeys,
    associations: Associations,
    ledger: Ledger,
    challenges: u64,
    /// The marks of its keys, on its disk.
    pub marks: BTreeMap<u16, Mark>,
    kept: BTreeMap<OrderId, Record>,
    used: BTreeMap<u16, u32>,
    /// How often each order was done.
    pub done: BTreeMap<OrderId, u32>,
    /// What came up of files, on its disk, by their ids.
    pub uploads: BTreeMap<[u8; 4], Coming>,
    /// Whether its telemetry says how its keys stand.
    pub tells_keys: bool,
}

/// A file that comes up.
#[derive(Debug, Clone)]
pub struct Coming {
    kind: UploadKind,
    size: u32,
    piece: u16,
    /// Pieces that are there, with their bytes.
    pub there: BTreeMap<u32, Vec<u8>>,
}

impl BoardModel {
    /// One that holds these keys, all of them in use.
    #[must_use]
    pub fn new(channel: Channel, keys: RoleKeys) -> Self {
        let ours = keys.iter().filter(|key| key.spacecraft() == channel.spacecraft);
        let marks = ours.map(|key| (key.spi(), Mark::fresh(key.spi()))).collect();
        let mut board = Self {
            channel,
            associations: Associations::new(channel, &keys, Limits::default()),
            keys,
            ledger: Ledger::default(),
            challenges: 0,
            marks,
            kept: BTreeMap::new(),
            used: BTreeMap::new(),
            done: BTreeMap::new(),
            uploads: BTreeMap::new(),
            tells_keys: true,
        };
        board.restart();
        board
    }

    /// Starts anew from its disk.
    pub fn restart(&mut self) {
        self.associations = Associations::new(self.channel, &self.keys, Limits::default());
        for mark in self.marks.values() {
            self.associations.restore(mark);
        }
        self.challenges += 1;
        self.associations.set_challenge(self.challenges.to_be_bytes(), 0);
        let orders = self.kept.iter().map(|(id, record)| Keep::Order(*id, record.clone()));
        let used = self.used.iter().map(|(source, number)| Keep::Used(*source, *number));
        self.ledger = Ledger::restore(orders.chain(used).collect::<Vec<_>>());
    }

    /// Takes a frame of the uplink.
    pub fn take(&mut self, now_ms: u64, frame: &[u8]) {
        let Ok(opened) = self.associations.open(now_ms, frame) else { return };
        if let Some(mark) = opened.must_persist {
            self.marks.insert(mark.spi, mark);
            self.associations.persisted(&mark);
        }
        let Content::Data(data) = opened.content else { return };
        let Ok(command) = CommandPacket::parse(&data) else { return };
        match Order::decode(command.order) {
            Ok(Order::AnswersSeen { below, bits }) => {
                let seen = self.ledger.seen(opened.spi, below, bits);
                self.keep(&seen);
            }
            Ok(Order::UploadPiece { id, index, bytes }) => {
                if let Some(coming) = self.uploads.get_mut(&id) {
                    coming.there.insert(index, bytes.to_vec());
                }
            }
            Ok(Order::TelemetrySend { .. }) => {}
            _ => self.order(now_ms, Giver { source: opened.spi, role: opened.role.into() }, &command),
        }
    }

    fn order(&mut self, now_ms: u64, giver: Giver, command: &CommandPacket<'_>) {
        let step = match command.mode {
            Flags::Run => Step::Run,
            Flags::Arm => Step::Arm,
            Flags::Fire => Step::Fire,
        };
        let now = moment(now_ms);
        let taken = self.ledger.take(now, giver, command.number, step, command.order);
        self.keep(&taken.keep);
        if let Some(run) = taken.run {
            *self.done.entry(run.id).or_default() += 1;
            if let Order::UploadBegin { id, kind, size, piece, .. } = run.order {
                self.uploads.entry(id).or_insert(Coming { kind, size, piece, there: BTreeMap::new() });
            }
            let done = self.ledger.finished(now, run.id, Reason::None, "as told");
            self.keep(done.as_slice());
        }
    }

    fn keep(&mut self, changes: &[Keep]) {
        for change in changes {
            self.ledger.apply(change);
            match change {
                Keep::Order(id, record) => drop(self.kept.insert(*id, record.clone())),
                Keep::Forget(id) => drop(self.kept.remove(id)),
                Keep::Used(source, number) => drop(self.used.insert(*source, *number)),
            }
        }
    }

    /// Answers that nobody acknowledged.
    #[must_use]
    pub fn unseen(&self) -> usize {
        self.ledger.unseen().count()
    }

    /// What it tells: answers, the state of the key, and the beacon.
    pub fn telemetry(&mut self, now_ms: u64) -> Vec<Told> {
        if self.associations.needs_challenge(now_ms) {
            self.challenges += 1;
            self.associations.set_challenge(self.challenges.to_be_bytes(), now_ms);
        }
        let answers = self.ledger.unseen().take(8).map(|(id, record)| told(now_ms, &record.answer(*id)));
        let mut out: Vec<_> = answers.collect();
        if self.tells_keys {
            out.extend(self.associations.status().map(|status| told(now_ms, &self.association(&status))));
        }
        out.extend(self.uploads.iter().map(|(id, coming)| told(now_ms, &coming.report(*id))));
        let challenge = self.associations.challenge().unwrap_or_default();
        out.push(told(now_ms, &beacon(self.channel.spacecraft, challenge)));
        out
    }

    fn association(&self, status: &AssociationStatus) -> Association {
        let last =
            self.ledger.iter().filter(|(id, _)| id.source == status.spi).map(|(id, _)| id.number).max();
        let key = self.keys.get(self.channel.spacecraft, status.spi);
        Association {
            spi: status.spi,
            role: status.role.into(),
            state: match status.state {
                State::Operational => KeyState::Operational,
                State::Unsynchronised => KeyState::CountersLost,
                State::Retired => KeyState::Retired,
            },
            fingerprint: key.map(RoleKey::fingerprint).unwrap_or_default(),
            highest: status.highest.unwrap_or(0),
            taken: 0,
            refused: 0,
            last_number: last.unwrap_or(0),
        }
    }
}

impl Coming {
    /// What it tells of itself: where the gaps are, the last of them up to the end of the last.
    fn report(&self, id: [u8; 4]) -> Upload {
        let pieces = self.size.div_ceil(self.piece.into());
        let missing: Vec<u32> = (0..pieces).filter(|index| !self.there.contains_key(index)).collect();
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for index in &missing {
            match pairs.last_mut() {
                Some((first, count)) if *first + *count == *index => *count += 1,
                _ => pairs.push((*index, 1)),
            }
        }
        let mut gaps = [0; 160];
        let room = gaps.len() / 4;
        if let (true, Some((first, count))) = (pairs.len() > room, pairs.last().copied()) {
            pairs.truncate(room);
            if let Some(last) = pairs.last_mut() {
                last.1 = first + count - last.0;
            }
        }
        for (place, (first, count)) in gaps.chunks_exact_mut(4).zip(&pairs) {
            let short = |n: u32| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
            place.copy_from_slice([short(*first), short(*count)].as_flattened());
        }
        let missing = u32::try_from(missing.len()).unwrap_or(u32::MAX);
        let (kind, name) = (self.kind, FixedText::cut("a file"));
        Upload { id, kind, name, size: self.size, piece: self.piece, pieces, missing, gaps }
    }
}

fn moment(now_ms: u64) -> Moment {
    Moment { steady_ms: now_ms, unix_ms: now_ms, mode: Mode::Nominal, arm_ms: 60_000 }
}

fn told<P: Packet>(now_ms: u64, packet: &P) -> Told {
    let mut data = vec![0; P::DEF.data_bytes()];
    let written = packet.write(&mut data);
    debug_assert_eq!(written, Some(data.len()));
    (P::DEF.apid, now_ms, data)
}

fn beacon(spacecraft: u16, challenge: [u8; 8]) -> Beacon {
    Beacon {
        spacecraft,
        mode: Mode::Nominal,
        reset_cause: ResetCause::Unknown,
        boot_count: 1,
        uptime: 1,
        git: [0; 4],
        binary: [0; 4],
        configuration: [0; 4],
        dictionary: [0; 4],
        parameters: [0; 4],
        parameters_state: ParametersState::Confirmed,
        shed: Shed::Nothing,
        worst: Severity::Info,
        red: 0,
        yellow: 0,
        last_event: 0,
        temperature: 20.0,
        power: 9.0,
        disk_free: 1,
        disk: Disk::Good,
        queue_open: 0,
        alerts_pending: 0,
        next_aos: 0,
        orders_taken: 0,
        uplink_refused: 0,
        challenge,
        update: UpdateState::Idle,
        upload: 0,
    }
}
