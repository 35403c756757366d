//! What the satellite can be told to do: every order, its arguments and their ranges, who may give it, and whether
//! it takes two steps.
//!
//! From these few tables come the sealed uplink form, the shell's grammar and its help, and the dictionaries for other
//! programs. An order on the wire is its opcode (u16) and its arguments in the order of the table, as
//! [`Kind`] lays each out.

use core::fmt;

use heapless::{String, Vec};

use super::kind::{Field, Kind, NestedOrder, Value, names};
use super::parameters::ParameterId;
use crate::wire::{Reader, Writer};

/// Slowest rate of the fast link that anybody may ask for, bit/s of UDP payload.
pub const MIN_RATE_BPS: u64 = 1_000;
/// Fastest rate of the fast link that anybody may ask for, bit/s of UDP payload.
pub const MAX_RATE_BPS: u64 = 10_000_000_000;
/// Most bytes of an order.
pub const MAX_ORDER_BYTES: usize = 800;

/// Who may give an order: a set of [`Source`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sources(pub u8);

names! {
    /// Who gives an order.
    pub enum Source: Name8, "source" {
        /// An operator of the mission.
        Operator = 0 "operator",
        /// Who makes plans.
        Planner = 1 "planner",
        /// Who brings up new software.
        Updater = 2 "updater",
        /// Who wants the camera's data.
        Science = 3 "science",
        /// Who brings back a payload that others can't command.
        Recovery = 4 "recovery",
        /// Someone in a shell on board.
        Shell = 5 "shell",
        /// A plan that runs on board.
        Plan = 6 "plan",
    }

    /// What it takes to have an order done.
    pub enum Hazard: Name8, "hazard" {
        /// It is given.
        None = 0 "none",
        /// It is armed, then fired within a time limit; any other order of who armed it disarms it.
        TwoSteps = 1 "two-steps",
        /// And who fires it holds another key than who armed it.
        TwoKeys = 2 "two-keys",
    }

    /// What is asked of an image before it is confirmed.
    pub enum Confirms: Name8, "confirms" {
        /// It has kept its health contract.
        Healthy = 0 "healthy",
        /// Nothing.
        Anyway = 1 "anyway",
    }

    /// A place on the board that holds one version of the flight software.
    pub enum SlotName: Name8, "slot" {
        /// The first of the two that are written in orbit.
        A = 0 "a",
        /// The second of them.
        B = 1 "b",
        /// The one flown from the factory.
        Golden = 2 "golden",
    }

    /// What is uplinked, and by whom: [`UploadKind::sources`].
    pub enum UploadKind: Name8, "upload" {
        /// A signed plan.
        Plan = 0 "plan",
        /// A shell script.
        Script = 1 "script",
        /// A file for the payload: orbit elements, contact windows, a target gas, a calibration.
        File = 2 "file",
        /// An image of new software.
        Image = 3 "image",
    }

    /// A packet that can be asked for.
    pub enum Wanted: Name8, "packet" {
        /// The beacon.
        Beacon = 0 "beacon",
        /// Housekeeping.
        Housekeeping = 1 "housekeeping",
        /// All parameters, a packet each.
        Parameters = 2 "parameters",
        /// The state of the uplink's keys, a packet each.
        Associations = 3 "associations",
        /// What is pending, a packet a plan.
        Agenda = 4 "agenda",
        /// What is missing of uploads, a packet each.
        Uploads = 5 "uploads",
        /// The answers that nobody acknowledged.
        Answers = 6 "answers",
        /// The clock.
        Time = 7 "time",
    }

    /// What goes down first.
    pub enum BundleClass: Name8, "class" {
        /// A leak is sure.
        Alert = 0 "alert",
        /// A leak is suspected.
        Suspect = 1 "suspect",
        /// Ordinary data.
        Routine = 2 "routine",
        /// Cloud or nothing.
        DiscardCandidate = 3 "discard-candidate",
        /// As it is.
        AsItIs = 255 "as-it-is",
    }

    /// How much work is left undone.
    pub enum Shed: Name8, "shed" {
        /// None.
        Nothing = 0 "nothing",
        /// No full cubes are made.
        Cubes = 1 "cubes",
        /// Nor regions.
        Regions = 2 "regions",
        /// And frames are looked at less often.
        Triage = 3 "triage",
        /// As temperature, power and memory ask for.
        Automatic = 255 "automatic",
    }
}

/// Who holds a key of the uplink, as the dictionary names it.
#[cfg(feature = "std")]
impl From<crate::sdls::Role> for Source {
    fn from(role: crate::sdls::Role) -> Self {
        use crate::sdls::Role;
        match role {
            Role::Operator => Self::Operator,
            Role::Planner => Self::Planner,
            Role::Updater => Self::Updater,
            Role::Science => Self::Science,
            Role::Recovery => Self::Recovery,
        }
    }
}

impl Sources {
    const fn bit(source: Source) -> u8 {
        1 << source as u8
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, source: Source) -> bool {
        u8::try_from(source.code())
            .is_ok_and(|code| self.0 & (1_u8.checked_shl(code.into()).unwrap_or(0)) != 0)
    }
}

/// The definition of an order.
#[derive(Debug, PartialEq)]
pub struct OrderDef {
    /// Its number on the wire.
    pub opcode: u16,
    /// Its words in a shell: `pass start`.
    pub words: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Who may give it.
    pub sources: Sources,
    /// What it takes to have it done.
    pub hazard: Hazard,
    /// Its arguments.
    pub args: &'static [ArgDef],
}

/// The definition of an argument.
#[derive(Debug, PartialEq)]
pub struct ArgDef {
    /// Its name; in a shell `--name` if it has a default.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it says.
    pub doc: &'static str,
    /// The unit of a number.
    pub unit: &'static str,
    /// The least number.
    pub least: f64,
    /// The greatest number.
    pub most: f64,
    /// What it is if it isn't given, as text; one without it must be given. A number may stand outside the range: then it
    /// says that nothing was said.
    pub default: Option<&'static str>,
}

impl ArgDef {
    /// One of which nothing more is said.
    const fn of(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, doc, unit: "", least: f64::MIN, most: f64::MAX, default: None }
    }

    /// Whether a value is in range.
    #[must_use]
    pub fn admits(&self, value: &Value<'_>) -> bool {
        match value {
            Value::Name(names, code) => names.name_of(*code).is_some(),
            Value::Order(bytes) => Order::decode(bytes).is_ok(),
            _ => value.number().is_none_or(|n| self.has(n) || self.apart() == Some(n)),
        }
    }

    fn has(&self, n: f64) -> bool {
        (self.least..=self.most).contains(&n)
    }

    /// The default where it is a number outside the range.
    fn apart(&self) -> Option<f64> {
        self.default?.parse().ok().filter(|n| !self.has(*n))
    }

    /// The least and the greatest number for those who know of one range only: it holds the default, too.
    #[must_use]
    pub fn whole_range(&self) -> (f64, f64) {
        self.apart().map_or((self.least, self.most), |n| (self.least.min(n), self.most.max(n)))
    }
}

/// The range of an argument that has one, in words, without its unit: `1 to 900`, `1000 to 10000000000 or 0`.
pub struct Range<'a>(pub &'a ArgDef);

impl fmt::Display for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.0.least.max(0.0), self.0.most)?;
        self.0.apart().map_or(Ok(()), |n| write!(f, " or {n}"))
    }
}

/// Bytes that are no order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BadOrder {
    /// They end too early.
    Short,
    /// No order has this opcode.
    Opcode(u16),
    /// An argument is cut off, not of its kind or out of range.
    Argument {
        /// The order.
        order: &'static OrderDef,
        /// The argument.
        arg: &'static ArgDef,
    },
    /// Something stands behind the last argument.
    Trailing {
        /// The order.
        order: &'static OrderDef,
    },
    /// More bytes than an order has.
    Long,
}

impl fmt::Display for BadOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("an order has an opcode of two bytes"),
            Self::Opcode(opcode) => write!(f, "no order has opcode {opcode:#06x}"),
            Self::Argument { order, arg } => {
                write!(f, "{}: argument {} is no {} in its range", order.words, arg.name, arg.kind.noun())
            }
            Self::Trailing { order } => write!(f, "{}: bytes stand behind the last argument", order.words),
            Self::Long => write!(f, "an order has at most {MAX_ORDER_BYTES} bytes"),
        }
    }
}

impl core::error::Error for BadOrder {}

macro_rules! orders {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident = $opcode:literal $words:literal, $sources:expr, $hazard:ident {
            $($(#[doc = $arg_doc:literal])+ $arg:ident: $ty:ty = { $($key:ident: $value:expr),* $(,)? },)*
        }
    )+) => {
        /// Something that the satellite is told to do.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(clippy::large_enum_variant, reason = "there is no heap here, and orders are few")]
        pub enum Order {
            $($(#[doc = $doc])+ $name { $($(#[doc = $arg_doc])+ $arg: $ty,)* },)+
        }

        /// All orders, by their opcodes.
        pub const ORDERS: &[OrderDef] = &[$(OrderDef {
            opcode: $opcode,
            words: $words,
            doc: concat!($($doc,)+),
            sources: $sources,
            hazard: Hazard::$hazard,
            args: &[$(ArgDef {
                $($key: $value,)*
                ..ArgDef::of(stringify!($arg), <$ty as Field>::KIND, concat!($($arg_doc,)+))
            },)*],
        },)+];

        names! {
            /// Names of orders.
            pub enum Opcode: Name16, "order" {
                $($(#[doc = $doc])+ $name = $opcode $words,)+
            }
        }

        impl Order {
            /// Its opcode.
            #[must_use]
            pub fn opcode(&self) -> Opcode {
                match self { $(Self::$name { .. } => Opcode::$name,)+ }
            }

            fn visit(&self, see: &mut dyn FnMut(Value<'_>, Kind)) {
                match self {
                    $(Self::$name { $($arg,)* } => {
                        $(see($arg.value(), <$ty as Field>::KIND);)*
                    })+
                }
            }

            fn build(opcode: Opcode, r: &mut Reader<'_>) -> Option<Self> {
                Some(match opcode {
                    $(Opcode::$name => Self::$name {
                        $($arg: <$ty as Field>::of(<$ty as Field>::KIND.take(r)?)?,)*
                    },)+
                })
            }
        }
    };
}

impl Order {
    /// Its definition.
    #[must_use]
    pub fn def(&self) -> Option<&'static OrderDef> {
        OrderDef::of(self.opcode().code())
    }

    /// Writes it as it goes over a link.
    #[must_use]
    pub fn encode(&self) -> Vec<u8, MAX_ORDER_BYTES> {
        let mut buffer = [0; MAX_ORDER_BYTES];
        let mut w = Writer::new(&mut buffer);
        w.put(&self.opcode().code().to_be_bytes());
        let mut fits = true;
        self.visit(&mut |value, kind| fits &= value.put(kind, &mut w));
        let len = MAX_ORDER_BYTES.saturating_sub(w.room());
        debug_assert!(fits && w.fitted(), "the types of the arguments bound an order's size");
        Vec::from_slice(buffer.get(..len).unwrap_or_default()).unwrap_or_default()
    }

    /// Reads what [`Self::encode`] wrote, and checks every range.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadOrder> {
        let (def, args) = OrderDef::read(bytes)?;
        for arg in Args::new(def, args) {
            arg?;
        }
        let built =
            Opcode::from_code(def.opcode).and_then(|opcode| Self::build(opcode, &mut Reader::new(args)));
        built.ok_or(BadOrder::Opcode(def.opcode))
    }
}

impl OrderDef {
    /// The order of an opcode.
    #[must_use]
    pub fn of(opcode: u16) -> Option<&'static Self> {
        ORDERS.iter().find(|def| def.opcode == opcode)
    }

    /// The order that bytes begin, and its arguments.
    ///
    /// # Errors
    /// They are none, or too many.
    pub fn read(bytes: &[u8]) -> Result<(&'static Self, &[u8]), BadOrder> {
        if bytes.len() > MAX_ORDER_BYTES {
            return Err(BadOrder::Long);
        }
        let (opcode, args) = bytes.split_first_chunk::<2>().ok_or(BadOrder::Short)?;
        let opcode = u16::from_be_bytes(*opcode);
        Self::of(opcode).map(|def| (def, args)).ok_or(BadOrder::Opcode(opcode))
    }
}

/// The arguments of an order, one after the other, each checked.
pub struct Args<'a> {
    order: &'static OrderDef,
    left: core::slice::Iter<'static, ArgDef>,
    reader: Reader<'a>,
    ended: bool,
}

impl<'a> Args<'a> {
    /// Those of `order` in `bytes`, the opcode not among them.
    #[must_use]
    pub fn new(order: &'static OrderDef, bytes: &'a [u8]) -> Self {
        Self { order, left: order.args.iter(), reader: Reader::new(bytes), ended: false }
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = Result<(&'static ArgDef, Value<'a>), BadOrder>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let order = self.order;
        let Some(arg) = self.left.next() else {
            self.ended = true;
            return (!self.reader.is_empty()).then_some(Err(BadOrder::Trailing { order }));
        };
        let value = arg.kind.take(&mut self.reader).filter(|value| arg.admits(value));
        self.ended = value.is_none();
        Some(value.map(|value| (arg, value)).ok_or(BadOrder::Argument { order, arg }))
    }
}

/// An order as words of a shell, which read back as the very same order.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.encode();
        let (def, args) = OrderDef::read(&bytes).map_err(|_| fmt::Error)?;
        f.write_str(def.words)?;
        for arg in Args::new(def, args) {
            let (arg, value) = arg.map_err(|_| fmt::Error)?;
            // What would be taken for an option is given by its name.
            let like_option = matches!(value, Value::Text(text) if text.starts_with("--"));
            if arg.default.is_some() || like_option {
                write!(f, " --{}", DashedName(arg.name))?;
            }
            match value {
                Value::Order(_) => write!(f, " -- {value}")?,
                Value::Text(text) => write_word(f, text)?,
                _ => write!(f, " {value}")?,
            }
        }
        Ok(())
    }
}

/// Quotes a word if it needs it, as a shell wants it.
fn write_word(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:+,@=%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return write!(f, " {text}");
    }
    f.write_str(" '")?;
    for c in text.chars() {
        if c == '\'' { f.write_str("'\\''")? } else { write!(f, "{c}")? }
    }
    f.write_str("'")
}

/// A field's name as an option has it.
pub struct DashedName(pub &'static str);

impl fmt::Display for DashedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| write!(f, "{}", if c == '_' { '-' } else { c }))
    }
}

const OPERATOR: u8 = Sources::bit(Source::Operator);
const PLANNER: u8 = Sources::bit(Source::Planner);
const UPDATER: u8 = Sources::bit(Source::Updater);
const SCIENCE: u8 = Sources::bit(Source::Science);
const RECOVERY: u8 = Sources::bit(Source::Recovery);
const SHELL: u8 = Sources::bit(Source::Shell);
const PLAN: u8 = Sources::bit(Source::Plan);
/// Everybody.
const ALL: Sources = Sources(OPERATOR | PLANNER | UPDATER | SCIENCE | RECOVERY | SHELL | PLAN);
/// Who works the payload from day to day.
const DAILY: Sources = Sources(OPERATOR | RECOVERY | SHELL | PLAN);
/// Who decides what goes down.
const DATA: Sources = Sources(OPERATOR | SCIENCE | RECOVERY | SHELL | PLAN);
/// Who may bring something up.
const UPLOADS: Sources = Sources(OPERATOR | PLANNER | UPDATER | SCIENCE | RECOVERY | SHELL);
/// Who may start and stop plans.
const PLANS: Sources = Sources(OPERATOR | PLANNER | RECOVERY | SHELL | PLAN);
/// Who may change what the payload is.
const CHIEF: Sources = Sources(OPERATOR | RECOVERY | SHELL);
/// Who may end a change of the software.
const SOFTWARE: Sources = Sources(UPDATER | RECOVERY | SHELL | PLAN);
/// Who may begin one. It is hazardous, and a plan gives no such order.
const UPDATES: Sources = Sources(UPDATER | RECOVERY | SHELL);

impl UploadKind {
    /// Who may bring up something of this kind. What a plan may order is another matter.
    #[must_use]
    pub const fn sources(self) -> Sources {
        match self {
            Self::Plan => UPLOADS,
            Self::Script | Self::File => CHIEF,
            Self::Image => UPDATES,
        }
    }
}

orders! {
    /// Does nothing but answer.
    Ping = 0x0001 "ping", ALL, None {}
    /// Sends packets of telemetry now.
    TelemetrySend = 0x0002 "tlm send", ALL, None {
        /// Which.
        packet: Wanted = {},
    }
    /// Says that answers to orders of the same source have reached the ground: they are sent no more.
    AnswersSeen = 0x0003 "answers seen", Sources(ALL.0 & !PLAN), None {
        /// All with numbers below this one.
        below: u32 = {},
        /// And of the 32 from there on those whose bit is set, the lowest bit first.
        bits: u32 = { default: Some("0") },
    }

    /// Opens the fast link's transmitter.
    PassStart = 0x0101 "pass start", DAILY, None {
        /// For so long.
        seconds: u32 = { unit: "s", least: 1.0, most: 900.0 },
        /// At this rate of UDP payload; 0: the configured one.
        rate: u64 = { unit: "bit/s", least: MIN_RATE_BPS as f64, most: MAX_RATE_BPS as f64, default: Some("0") },
    }
    /// Closes the fast link's transmitter.
    PassStop = 0x0102 "pass stop", DAILY, None {}

    /// Has a bundle go before everything that wasn't promoted earlier.
    QueuePromote = 0x0201 "queue promote", DATA, None {
        /// Its id or the beginning of it, 4 digits at least.
        id: String<24> = {},
    }
    /// Has a bundle go by its class again.
    QueueDemote = 0x0202 "queue demote", DATA, None {
        /// Its id or the beginning of it, 4 digits at least.
        id: String<24> = {},
    }
    /// Has a bundle neither sent nor dropped for room.
    QueueHold = 0x0203 "queue hold", DATA, None {
        /// Its id or the beginning of it, 4 digits at least.
        id: String<24> = {},
    }
    /// Holds a bundle no more.
    QueueRelease = 0x0204 "queue release", DATA, None {
        /// Its id or the beginning of it, 4 digits at least.
        id: String<24> = {},
    }
    /// Forgets a bundle and removes its file, sent or not.
    QueueDrop = 0x0205 "queue drop", DATA, None {
        /// Its id or the beginning of it, 4 digits at least.
        id: String<24> = {},
    }
    /// Has a bundle count towards another tasking, or have another class.
    QueueRetask = 0x0206 "queue retask", DATA, None {
        /// Its id or the beginning of it, 4 digits at least.
        id: String<24> = {},
        /// The tasking; empty: as it is.
        tasking: String<64> = { default: Some("") },
        /// The class.
        class: BundleClass = { default: Some("as-it-is") },
    }

    /// Says that the ground has an alert: it is sent no more.
    AlertsAck = 0x0301 "alerts ack", DATA, None {
        /// Its number.
        number: u32 = {},
    }
    /// Says that an alert is of no use any more: it is sent no more.
    AlertsCancel = 0x0302 "alerts cancel", DATA, None {
        /// Its number.
        number: u32 = {},
    }

    /// Stages a value for a parameter; it counts once it is committed.
    ParamsSet = 0x0401 "params set", DAILY, None {
        /// Which.
        name: ParameterId = {},
        /// The value; "default": what the configuration says.
        value: String<64> = {},
    }
    /// Forgets what is staged.
    ParamsDiscard = 0x0402 "params discard", DAILY, None {}
    /// Puts what is staged in force, on trial: unless it is confirmed in time, the values before are put back.
    ParamsCommit = 0x0403 "params commit", DAILY, None {
        /// Time to confirm.
        within: u32 = { unit: "s", least: 60.0, most: 604_800.0, default: Some("21600") },
    }
    /// Keeps the values that are on trial.
    ParamsConfirm = 0x0404 "params confirm", DAILY, None {}
    /// Puts the values before those on trial back.
    ParamsRollback = 0x0405 "params rollback", DAILY, None {}

    /// Says what comes up in pieces.
    UploadBegin = 0x0501 "upload begin", UPLOADS, None {
        /// The first 4 bytes of its SHA-256, in hexadecimal digits: what its pieces are told by.
        id: [u8; 4] = {},
        /// What it is.
        kind: UploadKind = {},
        /// What it is called on board.
        name: String<32> = {},
        /// Its size.
        size: u32 = { unit: "B", least: 1.0, most: 67_108_864.0 },
        /// Bytes of each piece but the last.
        piece: u16 = { unit: "B", least: 16.0, most: 768.0 },
        /// Its SHA-256.
        sha256: [u8; 32] = {},
    }
    /// Brings a piece up.
    UploadPiece = 0x0502 "upload piece", UPLOADS, None {
        /// Of what.
        id: [u8; 4] = {},
        /// Which piece, from 0.
        index: u32 = {},
        /// Its bytes.
        bytes: Vec<u8, 768> = {},
    }
    /// Forgets what has come up.
    UploadDrop = 0x0503 "upload drop", UPLOADS, None {
        /// Of what.
        id: [u8; 4] = {},
    }

    /// Starts a plan that is on board.
    PlanStart = 0x0601 "plan start", PLANS, None {
        /// Its name.
        name: String<24> = {},
    }
    /// Keeps a plan from going on.
    PlanHold = 0x0602 "plan hold", PLANS, None {
        /// Its name.
        name: String<24> = {},
    }
    /// Has a plan go on.
    PlanResume = 0x0603 "plan resume", PLANS, None {
        /// Its name.
        name: String<24> = {},
    }
    /// Ends a plan.
    PlanCancel = 0x0604 "plan cancel", PLANS, None {
        /// Its name.
        name: String<24> = {},
    }
    /// Leaves out an entry of a plan.
    PlanSkip = 0x0605 "plan skip", PLANS, None {
        /// The plan's name.
        name: String<24> = {},
        /// The entry, from 1.
        entry: u16 = { least: 1.0, most: 4096.0 },
    }
    /// Forgets a plan that doesn't run.
    PlanRemove = 0x0606 "plan remove", PLANS, None {
        /// Its name.
        name: String<24> = {},
    }
    /// Puts one order on the agenda.
    AgendaAdd = 0x0607 "agenda add", Sources(OPERATOR | PLANNER | RECOVERY | SHELL), None {
        /// When, as a plan says it: "aos +10s", "2026-12-01T10:00:00Z", "event disk-full".
        when: String<96> = {},
        /// What to do.
        order: NestedOrder = {},
    }
    /// Takes an order off the agenda that was put there alone.
    AgendaRemove = 0x0608 "agenda remove", Sources(OPERATOR | PLANNER | RECOVERY | SHELL), None {
        /// Its name, as the agenda shows it.
        name: String<24> = {},
    }

    /// Runs a script that is on board.
    ScriptRun = 0x0701 "script run", Sources(OPERATOR | RECOVERY | SHELL | PLAN), None {
        /// Its name.
        name: String<24> = {},
        /// Its arguments, in one string, separated by spaces.
        args: String<128> = { default: Some("") },
        /// The longest it may take.
        wall: u32 = { unit: "s", least: 1.0, most: 86_400.0, default: Some("300") },
        /// The most processor time it may use.
        cpu: u32 = { unit: "s", least: 1.0, most: 86_400.0, default: Some("60") },
        /// The most memory each of its processes may have.
        memory: u32 = { unit: "MiB", least: 1.0, most: 65_536.0, default: Some("256") },
        /// The most output that is kept.
        output: u32 = { unit: "KiB", least: 1.0, most: 65_536.0, default: Some("1024") },
    }
    /// Ends a script that runs.
    ScriptStop = 0x0702 "script stop", Sources(OPERATOR | RECOVERY | SHELL | PLAN), None {
        /// Its name.
        name: String<24> = {},
    }
    /// Forgets a script.
    ScriptRemove = 0x0703 "script remove", Sources(OPERATOR | RECOVERY | SHELL), None {
        /// Its name.
        name: String<24> = {},
    }

    /// Says how much work is left undone for now.
    HealthShed = 0x0801 "health shed", DAILY, None {
        /// How much.
        level: Shed = {},
    }
    /// Enters safe mode: commanding, telemetry and update go on, nothing else.
    SafeEnter = 0x0802 "safe enter", DAILY, None {}
    /// Leaves safe mode.
    SafeLeave = 0x0803 "safe leave", CHIEF, None {}
    /// Ends the daemon and starts it anew.
    DaemonRestart = 0x0804 "daemon restart", CHIEF, TwoSteps {}
    /// Restarts the board.
    BoardReboot = 0x0805 "board reboot", CHIEF, TwoSteps {}
    /// Puts what the black box holds into the queue.
    BlackboxSend = 0x0806 "blackbox send", DAILY, None {}

    /// Begins an update with a file that is on board or comes up: once it is whole and believed, its image is put into
    /// the slot that isn't in use.
    UpdateStart = 0x0901 "update start", UPDATES, TwoSteps {
        /// The first 4 bytes of the SHA-256 of the update file.
        id: [u8; 4] = {},
    }
    /// Ends an update and goes back to what was.
    UpdateAbort = 0x0902 "update abort", SOFTWARE, None {}
    /// Starts the image that was put into its slot, on trial.
    UpdateTry = 0x0903 "update try", UPDATES, TwoSteps {}
    /// The image on trial works: it stays, and nothing older is taken any more.
    UpdateConfirm = 0x0904 "update confirm", UPDATES, None {
        /// What is asked of it.
        health: Confirms = { default: Some("healthy") },
    }
    /// Starts another image that was confirmed once, or the golden one.
    UpdateBack = 0x0905 "update back", UPDATES, TwoSteps {
        /// The slot that holds it.
        slot: SlotName = {},
    }

    /// Retires a command key for good.
    KeysRetire = 0x0A01 "keys retire", Sources(OPERATOR | RECOVERY), TwoKeys {
        /// The security association whose key it is.
        spi: u16 = { least: 1.0, most: 65_520.0 },
    }
    /// Has a new command key count from the beginning: it was never used before.
    KeysAccept = 0x0A02 "keys accept", Sources(SHELL), None {
        /// The security association whose key it is.
        spi: u16 = { least: 1.0, most: 65_520.0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn opcodes_and_words_are_each_there_once() {
        for (i, def) in ORDERS.iter().enumerate() {
            assert!(ORDERS.iter().skip(i + 1).all(|d| d.opcode != def.opcode && d.words != def.words));
            assert!(def.doc.trim().ends_with('.') && def.sources.0 != 0, "{}", def.words);
            for arg in def.args {
                assert!(arg.doc.trim().ends_with('.') && arg.least <= arg.most, "{} {}", def.words, arg.name);
                assert!(arg.default.is_none() || !matches!(arg.kind, Kind::Order));
            }
        }
    }

    #[test]
    fn an_order_survives_the_wire() {
        let nested = Order::PassStart { seconds: 300, rate: 0 };
        for order in [
            Order::Ping {},
            nested.clone(),
            Order::ParamsSet {
                name: ParameterId::AlertProbability,
                value: String::try_from("0.97").unwrap(),
            },
            Order::AgendaAdd {
                when: String::try_from("aos +10s").unwrap(),
                order: NestedOrder(Vec::from_slice(&nested.encode()).unwrap()),
            },
            Order::UploadPiece { id: [1; 4], index: 7, bytes: Vec::from_slice(&[9; 768]).unwrap() },
        ] {
            assert_eq!(Order::decode(&order.encode()), Ok(order.clone()), "{order}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_name() {
        let says = |bytes: &[u8]| Order::decode(bytes).unwrap_err().to_string();
        let zero = Order::PassStart { seconds: 0, rate: 0 }.encode();
        assert_eq!(says(&zero), "pass start: argument seconds is no whole number in its range");
        let bytes = Order::PassStop {}.encode();
        assert_eq!(says(&[&bytes[..], &[0]].concat()), "pass stop: bytes stand behind the last argument");
        assert_eq!(says(&[0xFF, 0xFF]), "no order has opcode 0xffff");
        assert_eq!(says(&[1]), "an order has an opcode of two bytes");
        assert_eq!(says(&[0; MAX_ORDER_BYTES + 1]), "an order has at most 800 bytes");
        let named = [0x04, 0x01, 0xEE, 0xEE, 0];
        assert_eq!(says(&named), "params set: argument name is no parameter in its range");
    }

    #[test]
    fn the_range_of_a_rate_is_that_of_its_argument_and_0_says_nothing() {
        let admits = |rate| Order::decode(&Order::PassStart { seconds: 5, rate }.encode()).is_ok();
        for rate in [0, MIN_RATE_BPS, MAX_RATE_BPS] {
            assert!(admits(rate), "{rate}");
        }
        for rate in [1, MIN_RATE_BPS - 1, MAX_RATE_BPS + 1, u64::MAX] {
            assert!(!admits(rate), "{rate}");
        }
        let [seconds, rate] = OrderDef::of(0x0101).unwrap().args else { panic!() };
        assert_eq!((seconds.whole_range(), rate.whole_range()), ((1.0, 900.0), (0.0, 1e10)));
        assert_eq!(std::format!("{}; {}", Range(seconds), Range(rate)), "1 to 900; 1000 to 10000000000 or 0");
    }

    #[test]
    fn sources_are_told_apart() {
        assert!(ALL.has(Source::Plan) && !CHIEF.has(Source::Plan) && SOFTWARE.has(Source::Updater));
        let seen = OrderDef::of(3).unwrap().sources;
        assert!(!seen.has(Source::Plan) && seen.has(Source::Shell));
        let of_plans = |def: &&OrderDef| def.hazard != Hazard::None && def.sources.has(Source::Plan);
        let found = ORDERS.iter().find(of_plans).map(|def| def.words);
        assert_eq!(found, None, "a plan gives nothing that takes two steps");
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_is_read_is_what_was_written(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(order) = Order::decode(&bytes) {
                prop_assert_eq!(order.encode().to_vec(), bytes);
            }
        }

        #[test]
        fn known_opcodes_with_any_arguments_don_t_panic(
            def in 0..ORDERS.len(),
            args in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [&ORDERS[def].opcode.to_be_bytes()[..], &args].concat();
            if let Ok(order) = Order::decode(&bytes) {
                prop_assert_eq!(order.encode().to_vec(), bytes);
                prop_assert!(order.def().is_some());
            }
        }
    }
}
