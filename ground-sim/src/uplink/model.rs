//! A board in one process: the very associations and ledger that fly, over a disk that is two maps. What it does with an order
//! is to count it. Its fault model: it is started anew at any moment, and keeps what it had kept by then.

use std::collections::BTreeMap;

use passband_flight::orders::{Giver, Keep, Ledger, Moment, OrderId, Record, Step};
use passband_proto::dict::{
    Answer, Association, Beacon, Disk, KeyState, Mode, Order, Packet, ParametersState, Reason, ResetCause,
    Severity, Shed, Source, UpdateState,
};
use passband_proto::packet::{CommandPacket, Mode as Flags};
use passband_proto::sdls::{Associations, Channel, Content, Limits, Mark, Role, RoleKey, RoleKeys, State};

pub(super) const SPACECRAFT: u16 = 7;
pub(super) const SPI: u16 = 2;

/// A packet of telemetry: APID, time, user data.
pub(super) type Told = (u16, u64, Vec<u8>);

pub(super) fn key() -> RoleKey {
    RoleKey::new(SPACECRAFT, SPI, Role::Operator, [3; 32]).unwrap()
}

pub(super) struct Board {
    pub(super) associations: Associations,
    ledger: Ledger,
    challenges: u64,
    /// On its disk.
    pub(super) marks: BTreeMap<u16, Mark>,
    kept: BTreeMap<OrderId, Record>,
    used: BTreeMap<u16, u32>,
    /// How often each order was done.
    pub(super) done: BTreeMap<u32, u32>,
    /// Whether its telemetry says how its keys stand.
    pub(super) tells_keys: bool,
}

impl Board {
    pub(super) fn new() -> Self {
        let mut board = Self {
            associations: associations(),
            ledger: Ledger::default(),
            challenges: 0,
            marks: BTreeMap::from([(SPI, Mark::fresh(SPI))]),
            kept: BTreeMap::new(),
            used: BTreeMap::new(),
            done: BTreeMap::new(),
            tells_keys: true,
        };
        board.start();
        board
    }

    /// Starts anew from its disk.
    pub(super) fn start(&mut self) {
        self.associations = associations();
        for mark in self.marks.values() {
            self.associations.restore(mark);
        }
        self.challenges += 1;
        self.associations.set_challenge(self.challenges.to_be_bytes(), 0);
        let orders = self.kept.iter().map(|(id, record)| Keep::Order(*id, record.clone()));
        let used = self.used.iter().map(|(source, number)| Keep::Used(*source, *number));
        self.ledger = Ledger::restore(orders.chain(used).collect::<Vec<_>>());
    }

    pub(super) fn take(&mut self, now_ms: u64, frame: &[u8]) {
        let Ok(opened) = self.associations.open(now_ms, frame) else { return };
        if let Some(mark) = opened.must_persist {
            self.marks.insert(mark.spi, mark);
            self.associations.persisted(&mark);
        }
        let Content::Data(data) = opened.content else { return };
        let Ok(command) = CommandPacket::parse(&data) else { return };
        let order = Order::decode(command.order).unwrap();
        if let Order::AnswersSeen { below, bits } = order {
            let seen = self.ledger.seen(opened.spi, below, bits);
            self.keep(&seen);
        } else if !matches!(order, Order::TelemetrySend { .. }) {
            self.order(now_ms, opened.spi, &command);
        }
    }

    fn order(&mut self, now_ms: u64, spi: u16, command: &CommandPacket<'_>) {
        let giver = Giver { source: spi, role: Source::Operator };
        let step = match command.mode {
            Flags::Run => Step::Run,
            Flags::Arm => Step::Arm,
            Flags::Fire => Step::Fire,
        };
        let now = moment(now_ms);
        let taken = self.ledger.take(now, giver, command.number, step, command.order);
        self.keep(&taken.keep);
        if let Some(run) = taken.run {
            *self.done.entry(run.id.number).or_default() += 1;
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
    pub(super) fn unseen(&self) -> usize {
        self.ledger.unseen().count()
    }

    /// What it tells: answers, the state of the key, and the beacon.
    pub(super) fn telemetry(&mut self, now_ms: u64) -> Vec<Told> {
        if self.associations.needs_challenge(now_ms) {
            self.challenges += 1;
            self.associations.set_challenge(self.challenges.to_be_bytes(), now_ms);
        }
        let answers = self.ledger.unseen().take(8).map(|(id, record)| told(now_ms, &record.answer(*id)));
        let mut out: Vec<_> = answers.collect();
        if self.tells_keys {
            out.push(told(now_ms, &self.association()));
        }
        out.push(told(now_ms, &beacon(self.associations.challenge().unwrap())));
        out
    }

    pub(super) fn answers(&self) -> Vec<Answer> {
        self.ledger.iter().map(|(id, record)| record.answer(*id)).collect()
    }

    fn association(&self) -> Association {
        let status = self.associations.status().next().unwrap();
        let last = self.ledger.iter().map(|(id, _)| id.number).max();
        Association {
            spi: SPI,
            role: Source::Operator,
            state: match status.state {
                State::Operational => KeyState::Operational,
                State::Unsynchronised => KeyState::CountersLost,
                State::Retired => KeyState::Retired,
            },
            fingerprint: key().fingerprint(),
            highest: status.highest.unwrap_or(0),
            taken: 0,
            refused: 0,
            last_number: last.unwrap_or(0),
        }
    }
}

fn associations() -> Associations {
    let mut keys = RoleKeys::default();
    keys.insert(key()).unwrap();
    Associations::new(Channel { spacecraft: SPACECRAFT, vcid: 0 }, &keys, Limits::default())
}

fn moment(now_ms: u64) -> Moment {
    Moment { steady_ms: now_ms, unix_ms: now_ms, mode: Mode::Nominal, arm_ms: 60_000 }
}

fn told<P: Packet>(now_ms: u64, packet: &P) -> Told {
    let mut data = vec![0; P::DEF.data_bytes()];
    packet.write(&mut data).unwrap();
    (P::DEF.apid, now_ms, data)
}

fn beacon(challenge: [u8; 8]) -> Beacon {
    Beacon {
        spacecraft: SPACECRAFT,
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
