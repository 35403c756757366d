//! The packets of telemetry: each of fixed length, each field a channel with a name and a unit.
//!
//! Here is what a packet's user data says; [`crate::packet`] puts header, time and check values around it. The fields of
//! [`Housekeeping`] are the channels that limits and conditions of plans speak of.

use core::fmt;

use super::events::{EventCode, Severity};
use super::kind::{Field, FixedText, Kind, Value, names};
use super::orders::{Opcode, Shed, Source, UploadKind};
use super::parameters::ParameterId;
use crate::wire::{Reader, Writer};

/// Most bytes of user data of a packet: what header, time and check values leave of 1,500.
pub const MAX_DATA_BYTES: usize = 1_475;

names! {
    /// How the payload works.
    pub enum Mode: Name8, "mode" {
        /// All of it.
        Nominal = 0 "nominal",
        /// Some work is left undone.
        Shedding = 1 "shedding",
        /// Only commanding, telemetry and update.
        Safe = 2 "safe",
    }

    /// Why the daemon started.
    pub enum ResetCause: Name8, "cause" {
        /// It isn't known.
        Unknown = 0 "unknown",
        /// It was told to stop before.
        Orderly = 1 "orderly",
        /// The board had no power, or was reset.
        PowerCut = 2 "power-cut",
        /// The run before crashed.
        Crash = 3 "crash",
        /// The run before was ended by a watchdog.
        Watchdog = 4 "watchdog",
        /// An order asked for it.
        Order = 5 "order",
    }

    /// How the disk does.
    pub enum Disk: Name8, "disk" {
        /// As it should.
        Good = 0 "good",
        /// It takes long to write.
        Slow = 1 "slow",
        /// It is full.
        Full = 2 "full",
        /// It fails.
        Failing = 3 "failing",
        /// It can't be written.
        ReadOnly = 4 "read-only",
    }

    /// Where an order stands.
    pub enum Stage: Name8, "stage" {
        /// It will be done.
        Accepted = 0 "accepted",
        /// It won't be done.
        Refused = 1 "refused",
        /// It is armed.
        Armed = 2 "armed",
        /// It is being done.
        Started = 3 "started",
        /// It is done.
        Done = 4 "done",
        /// It could not be done.
        Failed = 5 "failed",
    }

    /// Why an order is refused or failed.
    pub enum Reason: Name8, "reason" {
        /// It isn't.
        None = 0 "none",
        /// No order has these bytes.
        Malformed = 1 "malformed",
        /// Who gives it may not.
        NotAllowed = 2 "not-allowed",
        /// It takes two steps.
        NotArmed = 3 "not-armed",
        /// What is fired isn't what is armed.
        OtherArmed = 4 "other-armed",
        /// It was armed too long ago.
        ArmedTooLongAgo = 5 "armed-too-long-ago",
        /// Another key than the one that armed it is needed.
        SameKey = 6 "same-key",
        /// Too many orders wait.
        Busy = 7 "busy",
        /// Its number is older than what is remembered.
        TooOld = 8 "too-old",
        /// Its number was another order's.
        NumberTaken = 9 "number-taken",
        /// Not in this mode.
        WrongMode = 10 "wrong-mode",
        /// What it speaks of isn't there.
        NotFound = 11 "not-found",
        /// As things stand it can't be done.
        NotPossible = 12 "not-possible",
        /// The disk or another part failed.
        Fault = 13 "fault",
        /// It took too long.
        TimedOut = 14 "timed-out",
        /// The daemon was ended while it was at it.
        Interrupted = 15 "interrupted",
    }

    /// Whether parameters are on trial.
    pub enum ParametersState: Name8, "parameters" {
        /// They are confirmed.
        Confirmed = 0 "confirmed",
        /// They are put back unless they are confirmed.
        OnTrial = 1 "on-trial",
        /// Both copies were damaged: the configuration's values count.
        Damaged = 2 "damaged",
    }

    /// What may be done under a key.
    pub enum KeyState: Name8, "key" {
        /// It may be used.
        Operational = 0 "operational",
        /// It may not be used any more.
        Retired = 1 "retired",
        /// It isn't known what was used: only a re-synchronisation is taken.
        CountersLost = 2 "counters-lost",
    }

    /// Where a plan stands.
    pub enum PlanState: Name8, "plan" {
        /// It is on board.
        Loaded = 0 "loaded",
        /// It runs.
        Running = 1 "running",
        /// It is kept from going on.
        Held = 2 "held",
        /// It is through.
        Done = 3 "done",
        /// It ended before it was through.
        Aborted = 4 "aborted",
    }

    /// How a script ended.
    pub enum ScriptEnd: Name8, "end" {
        /// It runs still.
        Running = 0 "running",
        /// By itself.
        Exited = 1 "exited",
        /// By a signal.
        Signalled = 2 "signalled",
        /// It took too long.
        WallTime = 3 "wall-time",
        /// It used too much processor time.
        CpuTime = 4 "cpu-time",
        /// It wanted too much memory.
        Memory = 5 "memory",
        /// It wrote too much.
        Output = 6 "output",
        /// It was told to stop.
        Stopped = 7 "stopped",
        /// The daemon was ended while it ran.
        Interrupted = 8 "interrupted",
        /// It could not be started.
        NotStarted = 9 "not-started",
    }

    /// What becomes of something that comes up.
    pub enum UploadFate: Name8, "fate" {
        /// Pieces are missing.
        Coming = 0 "coming",
        /// It is whole, and not where it belongs yet: an image waits for its update, another for what holds it up.
        Waits = 1 "waits",
        /// It is where it belongs.
        Taken = 2 "taken",
        /// It was refused.
        Refused = 3 "refused",
    }

    /// Where an update stands.
    pub enum UpdateState: Name8, "update" {
        /// None goes on.
        Idle = 0 "idle",
        /// The image comes up.
        Receiving = 1 "receiving",
        /// The image is whole and waits.
        Received = 2 "received",
        /// The image is in the other slot.
        Staged = 3 "staged",
        /// The new image is on trial.
        Trial = 4 "trial",
        /// The update failed.
        Failed = 5 "failed",
    }
}

/// The definition of a packet.
#[derive(Debug, PartialEq)]
pub struct PacketDef {
    /// Its application process identifier.
    pub apid: u16,
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub doc: &'static str,
    /// Its fields, in order.
    pub fields: &'static [FieldDef],
}

/// The definition of a field.
#[derive(Debug, PartialEq)]
pub struct FieldDef {
    /// Its name: that of a channel.
    pub name: &'static str,
    /// What it is; of a fixed size.
    pub kind: Kind,
    /// What it says.
    pub doc: &'static str,
    /// The unit of a number.
    pub unit: &'static str,
    /// The parameter with its limits, if it has any.
    pub limits: Option<ParameterId>,
}

impl FieldDef {
    const fn of(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, doc, unit: "", limits: None }
    }
}

impl PacketDef {
    /// The packet of an APID.
    #[must_use]
    pub fn of(apid: u16) -> Option<&'static Self> {
        PACKETS.iter().find(|def| def.apid == apid).copied()
    }

    /// Bytes of its user data.
    #[must_use]
    pub fn data_bytes(&self) -> usize {
        self.fields.iter().filter_map(|field| field.kind.fixed_bytes()).sum()
    }

    /// The fields of such a packet's user data, with their values; `None` in the place of one whose bytes are no value.
    pub fn read<'a>(
        &'static self,
        data: &'a [u8],
    ) -> impl Iterator<Item = (&'static FieldDef, Option<Value<'a>>)> {
        let mut left = Reader::new(data);
        self.fields.iter().map(move |field| {
            let bytes = field.kind.fixed_bytes().and_then(|len| left.slice(len));
            (field, bytes.and_then(|bytes| field.kind.take(&mut Reader::new(bytes))))
        })
    }

    /// The number of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<(u16, &'static FieldDef)> {
        (0..).zip(self.fields).find(|(_, field)| field.name == name)
    }
}

/// A packet's user data.
pub trait Packet: Sized {
    /// Its definition.
    const DEF: &'static PacketDef;

    /// Writes it as the definition says; how many bytes; `None` if it doesn't fit.
    fn write(&self, out: &mut [u8]) -> Option<usize>;

    /// Reads it.
    fn read(data: &[u8]) -> Option<Self>;

    /// Shows its fields, in order.
    fn visit(&self, see: &mut dyn FnMut(&'static FieldDef, Value<'_>));
}

macro_rules! packets {
    ($(
        $(#[doc = $doc:literal])+
        $ty:ident = $apid:literal $name:literal {
            $($(#[doc = $field_doc:literal])+ $field:ident: $field_ty:ty = { $($key:ident: $value:expr),* $(,)? },)+
        }
    )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, PartialEq)]
            pub struct $ty {
                $($(#[doc = $field_doc])+ pub $field: $field_ty,)+
            }

            impl Packet for $ty {
                const DEF: &'static PacketDef = &PacketDef {
                    apid: $apid,
                    name: $name,
                    doc: concat!($($doc,)+),
                    fields: &[$(FieldDef {
                        $($key: $value,)*
                        ..FieldDef::of(stringify!($field), <$field_ty as Field>::KIND, concat!($($field_doc,)+))
                    },)+],
                };

                fn write(&self, out: &mut [u8]) -> Option<usize> {
                    let whole = out.len();
                    let mut w = Writer::new(out);
                    let mut fits = true;
                    $(fits &= self.$field.value().put(<$field_ty as Field>::KIND, &mut w);)+
                    (fits && w.fitted()).then(|| whole - w.room())
                }

                fn read(data: &[u8]) -> Option<Self> {
                    let mut r = Reader::new(data);
                    let packet = Self {
                        $($field: <$field_ty as Field>::of(<$field_ty as Field>::KIND.take(&mut r)?)?,)+
                    };
                    r.is_empty().then_some(packet)
                }

                fn visit(&self, see: &mut dyn FnMut(&'static FieldDef, Value<'_>)) {
                    let mut defs = Self::DEF.fields.iter();
                    $(if let Some(def) = defs.next() {
                        see(def, self.$field.value());
                    })+
                }
            }
        )+

        /// All packets, by their APIDs.
        pub const PACKETS: &[&PacketDef] = &[$(<$ty as Packet>::DEF,)+];

        names! {
            /// The packets' APIDs.
            pub enum Apid: Name16, "apid" {
                $($(#[doc = $doc])+ $ty = $apid $name,)+
            }
        }
    };
}

packets! {
    /// What whoever hears the satellite should know first.
    Beacon = 0x101 "beacon" {
        /// Number of the spacecraft.
        spacecraft: u16 = {},
        /// How the payload works.
        mode: Mode = {},
        /// Why the daemon started.
        reset_cause: ResetCause = {},
        /// Starts of the daemon.
        boot_count: u32 = {},
        /// Since the daemon started.
        uptime: u32 = { unit: "s" },
        /// The first bytes of the commit that the program was built from; 0: not known.
        git: [u8; 4] = {},
        /// The first bytes of the program's SHA-256.
        binary: [u8; 4] = {},
        /// The first bytes of the configuration's SHA-256.
        configuration: [u8; 4] = {},
        /// The first bytes of the dictionary's SHA-256.
        dictionary: [u8; 4] = {},
        /// The first bytes of the SHA-256 of the parameters that were changed.
        parameters: [u8; 4] = {},
        /// Whether they are on trial.
        parameters_state: ParametersState = {},
        /// What work is left undone.
        shed: Shed = {},
        /// The worst event since the last pass ended.
        worst: Severity = {},
        /// Channels beyond a red limit.
        red: u8 = {},
        /// Channels beyond a yellow limit only.
        yellow: u8 = {},
        /// Number of the newest event.
        last_event: u32 = {},
        /// The board's highest temperature; NaN: not known.
        temperature: f32 = { unit: "degC" },
        /// The power that the board takes; NaN: not known.
        power: f32 = { unit: "W" },
        /// Room left on the disk.
        disk_free: u32 = { unit: "MiB" },
        /// How the disk does.
        disk: Disk = {},
        /// Bundles that wait or are on the link.
        queue_open: u32 = {},
        /// Alerts that nobody has heard.
        alerts_pending: u16 = {},
        /// Until the next AOS by the plan; 4294967295: none is known.
        next_aos: u32 = { unit: "s" },
        /// Orders taken since the first start.
        orders_taken: u32 = {},
        /// Frames of the uplink refused since the daemon started.
        uplink_refused: u32 = {},
        /// What a re-synchronisation of the uplink has to say.
        challenge: [u8; 8] = {},
        /// Where an update stands.
        update: UpdateState = {},
        /// How much of what comes up is there.
        upload: u8 = { unit: "%" },
    }

    /// Every channel.
    Housekeeping = 0x102 "housekeeping" {
        /// How the payload works.
        mode: Mode = {},
        /// What work is left undone.
        shed: Shed = {},
        /// Starts of the daemon.
        boot_count: u32 = {},
        /// Since the daemon started.
        uptime: u32 = { unit: "s" },
        /// The board's highest temperature; NaN: not known.
        temperature: f32 = { unit: "degC", limits: Some(ParameterId::TemperatureLimits) },
        /// The power that the board takes; NaN: not known.
        power: f32 = { unit: "W", limits: Some(ParameterId::PowerLimits) },
        /// Memory that processes may still have; NaN: not known.
        memory_free: f32 = { unit: "MiB", limits: Some(ParameterId::MemoryLimits) },
        /// The share of time in which some task waited for memory; NaN: not known.
        memory_pressure: f32 = { unit: "%" },
        /// The share of time in which some task waited for a processor; NaN: not known.
        cpu_pressure: f32 = { unit: "%" },
        /// The share of time in which some task waited for the disk; NaN: not known.
        io_pressure: f32 = { unit: "%" },
        /// Memory of the daemon.
        daemon_memory: f32 = { unit: "MiB" },
        /// The share of one core that the daemon uses.
        daemon_cpu: f32 = { unit: "%" },
        /// Room left on the disk.
        disk_free: f32 = { unit: "MiB", limits: Some(ParameterId::DiskLimits) },
        /// How the disk does.
        disk: Disk = {},
        /// What all sealed bundles take.
        store: f32 = { unit: "MiB" },
        /// Since the last frame was taken; 4294967295: none was.
        frame_age: u32 = { unit: "s", limits: Some(ParameterId::FrameAgeLimits) },
        /// Frames taken as alerts.
        frames_alert: u32 = {},
        /// Frames taken as suspects.
        frames_suspect: u32 = {},
        /// Frames taken as routine.
        frames_routine: u32 = {},
        /// Frames taken as discard candidates.
        frames_discard: u32 = {},
        /// Frames that were moved to rejected/.
        frames_rejected: u32 = {},
        /// Frames that came again.
        frames_duplicate: u32 = {},
        /// Frames of which parts were shed.
        frames_shed: u32 = {},
        /// Whether the transmitter is open.
        transmitting: u8 = {},
        /// The fast link's rate of UDP payload.
        rate: u64 = { unit: "bit/s" },
        /// Datagrams handed to the fast link.
        datagrams: u64 = {},
        /// Their bytes.
        sent: u64 = { unit: "B" },
        /// Datagrams that the network refused.
        send_errors: u32 = {},
        /// The share of datagrams that the sender believes to be lost.
        expected_loss: f32 = {},
        /// Bundles that wait, alerts.
        waiting_alert: u32 = {},
        /// Bundles that wait, suspects.
        waiting_suspect: u32 = {},
        /// Bundles that wait, routine.
        waiting_routine: u32 = {},
        /// Bundles that wait, discard candidates.
        waiting_discard: u32 = {},
        /// Bundles that the sender has.
        on_link: u32 = {},
        /// Bundles presumed down.
        presumed: u32 = {},
        /// Bundles known to be down.
        known: u32 = {},
        /// Bundles held by the operator.
        held: u32 = {},
        /// Bundles damaged on the disk.
        damaged: u32 = {},
        /// Bundles dropped.
        dropped: u32 = {},
        /// Bundles read by the scrub.
        scrubbed: u32 = {},
        /// Alerts that nobody has heard.
        alerts_pending: u32 = { limits: Some(ParameterId::AlertLimits) },
        /// Alert messages handed to the alert radio.
        alerts_sent: u32 = {},
        /// The longest time from an alert's making to its first message.
        alert_delay: u32 = { unit: "ms" },
        /// Messages of the bus computer.
        bus_messages: u32 = {},
        /// Messages of the bus computer that were not understood.
        bus_errors: u32 = {},
        /// Reports of the ground that were taken.
        reports_taken: u32 = {},
        /// Reports of the ground that were refused.
        reports_refused: u32 = {},
        /// Frames of the uplink that were taken.
        uplink_taken: u32 = {},
        /// Frames of the uplink that were refused in the last minute.
        uplink_refused: u32 = { unit: "/min", limits: Some(ParameterId::RefusedLimits) },
        /// Frames of the uplink that were none, or damaged.
        uplink_damaged: u32 = {},
        /// Frames of the uplink under a key that isn't known, or retired.
        uplink_unknown_key: u32 = {},
        /// Frames of the uplink whose seal didn't hold.
        uplink_forged: u32 = {},
        /// Frames of the uplink that came before.
        uplink_replayed: u32 = {},
        /// Frames of the uplink beyond the rate that is taken.
        uplink_throttled: u32 = {},
        /// Orders taken.
        orders_taken: u32 = {},
        /// Orders that came again.
        orders_repeated: u32 = {},
        /// Orders refused.
        orders_refused: u32 = {},
        /// Orders that failed.
        orders_failed: u32 = {},
        /// Answers that nobody acknowledged.
        answers_open: u16 = {},
        /// Plans that run.
        plans_running: u8 = {},
        /// Scripts that run.
        scripts_running: u8 = {},
        /// Number of the newest event.
        last_event: u32 = {},
        /// Events kept back, as there were too many of a kind.
        events_throttled: u32 = {},
    }

    /// The clock on board, beside how long the daemon runs: what the ground finds steps and drift with.
    Time = 0x103 "time" {
        /// Starts of the daemon.
        boot_count: u32 = {},
        /// Steady time since the daemon started.
        steady: u64 = { unit: "ms" },
        /// The wall clock.
        unix: u64 = { unit: "ms" },
        /// Steps of the wall clock since the daemon started.
        steps: u16 = {},
    }

    /// Something that happened.
    Event = 0x104 "event" {
        /// Its number.
        number: u32 = {},
        /// When.
        unix: u64 = { unit: "ms" },
        /// How bad it is.
        severity: Severity = {},
        /// What.
        code: EventCode = {},
        /// What in particular, its first bytes.
        text: FixedText<160> = {},
    }

    /// The answer to an order.
    Answer = 0x105 "answer" {
        /// By which way the order came: its security association; 65535: a shell; 65534: a plan.
        source: u16 = {},
        /// The order's number.
        number: u32 = {},
        /// Which order.
        opcode: u16 = {},
        /// CRC-32C of the order as it came: whether it is the one that was meant.
        check: u32 = {},
        /// Where it stands.
        stage: Stage = {},
        /// Why it was refused or failed.
        reason: Reason = {},
        /// When that was.
        unix: u64 = { unit: "ms" },
        /// More about it.
        text: FixedText<120> = {},
    }

    /// A parameter.
    Parameter = 0x106 "parameter" {
        /// Which.
        id: ParameterId = {},
        /// What is in force, as text.
        value: FixedText<64> = {},
        /// What is staged, as text; empty: nothing.
        staged: FixedText<64> = {},
        /// Whether what is in force is on trial.
        state: ParametersState = {},
        /// By which way the order came that changed it; 0: none did.
        source: u16 = {},
        /// That order's number.
        number: u32 = {},
        /// When it was changed.
        unix: u64 = { unit: "ms" },
    }

    /// A key of the uplink, never any of its secret.
    Association = 0x107 "association" {
        /// The security association.
        spi: u16 = {},
        /// Who holds the key.
        role: Source = {},
        /// Whether it may be used.
        state: KeyState = {},
        /// What tells the key from others.
        fingerprint: [u8; 4] = {},
        /// The highest counter that was taken.
        highest: u64 = {},
        /// Frames taken since the daemon started.
        taken: u32 = {},
        /// Frames refused since the daemon started.
        refused: u32 = {},
        /// The highest number of an order from it.
        last_number: u32 = {},
    }

    /// A plan on board.
    Plan = 0x108 "plan" {
        /// Its name.
        name: FixedText<24> = {},
        /// Its version.
        version: u16 = {},
        /// Where it stands.
        state: PlanState = {},
        /// Its entries.
        entries: u16 = {},
        /// Those that are done.
        done: u16 = {},
        /// Those that failed.
        failed: u16 = {},
        /// Those that were left out.
        skipped: u16 = {},
        /// The entry that comes next, from 1; 0: none.
        next: u16 = {},
        /// When, if it is known; else 0.
        next_unix: u64 = { unit: "ms" },
        /// What it does, its first bytes.
        next_order: FixedText<64> = {},
    }

    /// Something that comes up in pieces.
    Upload = 0x109 "upload" {
        /// The first bytes of its SHA-256.
        id: [u8; 4] = {},
        /// What it is.
        kind: UploadKind = {},
        /// What it is called.
        name: FixedText<32> = {},
        /// Its size.
        size: u32 = { unit: "B" },
        /// Bytes of a piece.
        piece: u16 = { unit: "B" },
        /// Its pieces.
        pieces: u32 = {},
        /// Those that are missing.
        missing: u32 = {},
        /// What becomes of it.
        fate: UploadFate = {},
        /// Why it was refused, or can't be taken now.
        reason: Reason = {},
        /// Where the gaps are: pairs of a first piece and a count, 4 bytes each; 0, 0: no more. When they are more than
        /// there is room for, the last pair reaches to the end of the last one: the counts add up to more than is missing.
        gaps: [u8; 160] = {},
    }

    /// A run of a script.
    Script = 0x10A "script" {
        /// By which way the order came that began it.
        source: u16 = {},
        /// That order's number.
        number: u32 = {},
        /// The script.
        name: FixedText<24> = {},
        /// How it ended.
        end: ScriptEnd = {},
        /// The number of its exit or signal.
        status: u8 = {},
        /// How long it ran.
        ran: u32 = { unit: "ms" },
        /// Bytes that it wrote.
        output: u32 = { unit: "B" },
        /// The bundle with its output; 0: none.
        bundle: [u8; 12] = {},
        /// The first of what it wrote.
        text: FixedText<160> = {},
    }
}

/// The order of an answer, for people.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opcode = Opcode::from_code(self.opcode).map_or("?", Opcode::name);
        write!(f, "{}/{} {opcode}: {}", self.source, self.number, self.stage)?;
        if self.reason != Reason::None {
            write!(f, " ({})", self.reason)?;
        }
        if self.text.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.text.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_packet_is_of_fixed_length_and_fits() {
        for def in PACKETS {
            assert!(def.fields.iter().all(|f| f.kind.fixed_bytes().is_some() && f.doc.trim().ends_with('.')));
            assert!((1..=MAX_DATA_BYTES).contains(&def.data_bytes()), "{}: {}", def.name, def.data_bytes());
            assert!((0x100..0x200).contains(&def.apid));
            for (i, field) in def.fields.iter().enumerate() {
                assert!(def.fields.iter().skip(i + 1).all(|f| f.name != field.name), "{}", field.name);
            }
        }
    }

    #[test]
    fn a_packet_survives_the_wire_and_is_read_by_the_table_alone() {
        let answer = Answer {
            source: 2,
            number: 77,
            opcode: Opcode::PassStart.code(),
            check: 0x1234_5678,
            stage: Stage::Refused,
            reason: Reason::NotAllowed,
            unix: 1_800_000_000_123,
            text: FixedText::cut("only the operator may"),
        };
        let mut out = [0; MAX_DATA_BYTES];
        let len = answer.write(&mut out).unwrap();
        assert_eq!(len, Answer::DEF.data_bytes());
        assert_eq!(Answer::read(&out[..len]), Some(answer.clone()));
        assert_eq!(Answer::read(&out[..=len]), None);
        let mut shown = std::vec::Vec::new();
        answer.visit(&mut |field, value| shown.push((field.name, value.to_string())));
        let read: std::vec::Vec<_> = Answer::DEF
            .read(&out[..len])
            .map(|(field, value)| (field.name, value.unwrap().to_string()))
            .collect();
        assert_eq!(shown, read);
        assert_eq!(read[4], ("stage", "refused".to_owned()));
        assert_eq!(answer.to_string(), "2/77 pass start: refused (not-allowed): only the operator may");
        assert_eq!(answer.write(&mut [0; 20]), None);
    }

    proptest! {
        #[test]
        fn no_data_panics(apid in 0x100..0x110_u16, data in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Some(def) = PacketDef::of(apid) {
                prop_assert_eq!(def.read(&data).count(), def.fields.len());
            }
            let _ = (Beacon::read(&data), Housekeeping::read(&data), Upload::read(&data));
        }
    }
}
