//! A model of the board for tests of the ground: the very associations and ledger that fly, over a disk that is two maps.
//!
//! What it does with an order is to count it. Its fault model: it is started anew at any moment, and keeps what it had kept by
//! then. It opens no socket and reads no clock.

use std::collections::{BTreeMap, BTreeSet};

use passband_flight::orders::{Giver, Keep, Ledger, Moment, OrderId, Record, Step};
use passband_proto::dict::{
    Association, Beacon, Disk, FixedText, KeyState, Mode, Order, Packet, ParametersState, Reason, ResetCause,
    Severity, Shed, UpdateState, Upload, UploadFate, UploadKind, Wanted,
};
use passband_proto::packet::{CommandPacket, Mode as Flags};
use passband_proto::sdls::{
    AssociationStatus, Associations, Channel, Content, Limits, Mark, Reject, RoleKey, RoleKeys, State,
};

/// How often the state of keys is told, ms.
const KEYS_MS: u64 = 10_000;

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
    /// Whether its telemetry says how its keys stand: at its start, when asked, every ten seconds while counters are lost, and
    /// within ten seconds after an authentic frame was refused.
    pub tells_keys: bool,
    /// What becomes of a file that is whole.
    pub fate: (UploadFate, Reason),
    /// Answers that are told once.
    refused: Vec<(OrderId, Record)>,
    /// Keys whose state is to be told, and when the next may be told, ms.
    keys_wanted: BTreeSet<u16>,
    keys_ms: u64,
    /// Starts so far, when the last was, and the last moment that it knows of, ms.
    boots: u32,
    begun_ms: u64,
    seen_ms: u64,
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
            fate: (UploadFate::Taken, Reason::None),
            refused: Vec::new(),
            keys_wanted: BTreeSet::new(),
            keys_ms: 0,
            boots: 0,
            begun_ms: 0,
            seen_ms: 0,
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
        self.keys_wanted = self.associations.status().map(|status| status.spi).collect();
        self.keys_ms = 0;
        (self.boots, self.begun_ms) = (self.boots + 1, self.seen_ms);
    }

    /// Starts anew with its disk emptied.
    pub fn forget(&mut self) {
        (self.marks, self.kept, self.used) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        self.restart();
    }

    /// Takes a frame of the uplink.
    pub fn take(&mut self, now_ms: u64, frame: &[u8]) {
        self.seen_ms = now_ms;
        let opened = match self.associations.open(now_ms, frame) {
            Ok(opened) => opened,
            Err(reject) => return self.note_refused(&reject),
        };
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
            Ok(Order::TelemetrySend { packet: Wanted::Associations }) if command.number == 0 => {
                self.keys_wanted.insert(opened.spi);
                self.keys_ms = 0;
            }
            Ok(Order::TelemetrySend { .. }) if command.number == 0 => {}
            _ => self.order(now_ms, Giver { source: opened.spi, role: opened.role.into() }, &command),
        }
    }

    fn note_refused(&mut self, reject: &Reject) {
        use passband_proto::sdls::Reason::{Backward, Challenge, Replayed, Retired, TooOld, Unsynchronised};
        let known =
            matches!(reject.reason(), Backward | Challenge | Replayed | Retired | TooOld | Unsynchronised);
        self.keys_wanted.extend(reject.spi().filter(|_| known));
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
        // What is refused and not kept is answered all the same.
        self.refused.extend(taken.answer.filter(|(_, record)| record.is_settled()));
        if let Some(run) = taken.run {
            *self.done.entry(run.id).or_default() += 1;
            if let Order::UploadBegin { id, kind, size, piece, .. } = run.order {
                // What was taken before comes up anew.
                self.uploads.retain(|known, coming| *known != id || !coming.is_whole());
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
        self.seen_ms = now_ms;
        if self.associations.needs_challenge(now_ms) {
            self.challenges += 1;
            self.associations.set_challenge(self.challenges.to_be_bytes(), now_ms);
        }
        let refused = std::mem::take(&mut self.refused);
        let answers = self.ledger.unseen().take(8).chain(refused.iter().map(|(id, record)| (id, record)));
        let mut out: Vec<_> = answers.map(|(id, record)| told(now_ms, &record.answer(*id))).collect();
        out.extend(self.tell_keys(now_ms));
        out.extend(self.uploads.iter().map(|(id, coming)| told(now_ms, &coming.report(*id, self.fate))));
        let challenge = self.associations.challenge().unwrap_or_default();
        let uptime = u32::try_from(now_ms.saturating_sub(self.begun_ms) / 1000).unwrap_or(u32::MAX);
        out.push(told(now_ms, &beacon(self.channel.spacecraft, challenge, (self.boots, uptime))));
        out
    }

    fn tell_keys(&mut self, now_ms: u64) -> Vec<Told> {
        if now_ms < self.keys_ms {
            return Vec::new();
        }
        let wanted = std::mem::take(&mut self.keys_wanted);
        let is_due = |status: &AssociationStatus| {
            status.state == State::Unsynchronised || wanted.contains(&status.spi)
        };
        let due: Vec<_> = self.associations.status().filter(is_due).collect();
        if due.is_empty() {
            return Vec::new();
        }
        self.keys_ms = now_ms + KEYS_MS;
        let packets = due.iter().map(|status| told(now_ms, &self.association(status)));
        if self.tells_keys { packets.collect() } else { Vec::new() }
    }

    fn association(&self, status: &AssociationStatus) -> Association {
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
            last_number: self.ledger.next_number(status.spi).saturating_sub(1),
        }
    }
}

impl Coming {
    /// What it tells of itself: where the gaps are, the last of them up to the end of the last.
    fn report(&self, id: [u8; 4], fate: (UploadFate, Reason)) -> Upload {
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
        let (fate, reason) = if missing == 0 { fate } else { (UploadFate::Coming, Reason::None) };
        Upload { id, kind, name, size: self.size, piece: self.piece, pieces, missing, fate, reason, gaps }
    }

    fn is_whole(&self) -> bool {
        self.there.len() == self.size.div_ceil(self.piece.into()) as usize
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

fn beacon(spacecraft: u16, challenge: [u8; 8], (boot_count, uptime): (u32, u32)) -> Beacon {
    Beacon {
        spacecraft,
        mode: Mode::Nominal,
        reset_cause: ResetCause::Unknown,
        boot_count,
        uptime,
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
