//! The bytes in which the parameters are kept.
//!
//! ```text
//! "PBPR" | format u8 = 1 | flags u8 (1: values were lost) | version in force u32 | last version u32
//! | set in force | staged set
//! | on trial u8; if 1: deadline u64, Unix ms | time left u64, ms | time to confirm u64, ms | version before u32 | set before
//! | orders u8 | each: source u16 | number u32 | what u8 | version u32 | restart u8
//! set: count u16 | each: parameter u16 | length u8, 255: as configured | text | source u16 | number u32 | Unix ms u64 | version u32
//! ```
//!
//! Numbers are big endian; parameters of a set rise. Whatever is read is written again to the same bytes. Damage is told
//! by whoever keeps the record ([`crate::adapters::twin`]); here no bytes panic, and none are believed.

use core::fmt;

use super::set::{Change, MAX_CHANGES, OrderId, Set};
use super::state::{Done, Remembered, State, Trial};

/// Longest record, bytes: three full sets of the longest values.
pub const MAX_RECORD_BYTES: usize = 3 * MAX_CHANGES * 275 + 1024;
/// Most orders that are remembered.
pub(super) const MAX_REMEMBERED: usize = 32;

const MAGIC: &[u8; 4] = b"PBPR";
const FORMAT: u8 = 1;
/// In the place of a value's length: what the configuration says.
const AS_CONFIGURED: u8 = 255;

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRecord {
    /// They don't begin as one.
    Other,
    /// It has a format that this version doesn't know.
    Format(u8),
    /// Something in it is cut off or can't be.
    Field(&'static str),
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other => f.write_str("it is no record of parameters"),
            Self::Format(format) => write!(f, "it has format {format}, and this version knows {FORMAT}"),
            Self::Field(field) => write!(f, "its {field} is cut off or can't be"),
        }
    }
}

impl core::error::Error for BadRecord {}

/// Writes what is kept.
pub(super) fn encode(state: &State) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend([FORMAT, u8::from(state.lost)]);
    out.extend(state.version.to_be_bytes());
    out.extend(state.last_version.to_be_bytes());
    encode_set(&state.in_force, &mut out);
    encode_set(&state.staged, &mut out);
    out.push(u8::from(state.trial.is_some()));
    if let Some(trial) = &state.trial {
        for number in [trial.deadline_unix_ms, trial.left_ms, trial.within_ms] {
            out.extend(number.to_be_bytes());
        }
        out.extend(trial.version_before.to_be_bytes());
        encode_set(&trial.before, &mut out);
    }
    out.push(u8::try_from(state.orders.len()).unwrap_or(u8::MAX));
    for order in &state.orders {
        encode_order(order.id, &mut out);
        let (what, version, restart) = match order.done {
            Done::Staged => (0, 0, false),
            Done::Discarded => (1, 0, false),
            Done::Committed { version, restart } => (2, version, restart),
            Done::Confirmed { version } => (3, version, false),
            Done::RolledBack { version, restart } => (4, version, restart),
        };
        out.push(what);
        out.extend(u32::to_be_bytes(version));
        out.push(u8::from(restart));
    }
    out
}

fn encode_set(set: &Set, out: &mut Vec<u8>) {
    out.extend(u16::try_from(set.len()).unwrap_or(u16::MAX).to_be_bytes());
    for (code, change) in set.iter() {
        out.extend(code.to_be_bytes());
        let value = change.value.as_deref();
        out.push(value.map_or(AS_CONFIGURED, |value| u8::try_from(value.len()).unwrap_or(AS_CONFIGURED)));
        out.extend(value.unwrap_or_default().as_bytes());
        encode_order(change.by, out);
        out.extend(change.unix_ms.to_be_bytes());
        out.extend(change.version.to_be_bytes());
    }
}

fn encode_order(id: OrderId, out: &mut Vec<u8>) {
    out.extend(id.source.to_be_bytes());
    out.extend(id.number.to_be_bytes());
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<State, BadRecord> {
    let mut fields = Fields(bytes);
    if fields.array("head") != Ok(*MAGIC) {
        return Err(BadRecord::Other);
    }
    let [format] = fields.array("format")?;
    if format != FORMAT {
        return Err(BadRecord::Format(format));
    }
    let lost = fields.flag("flags")?;
    let version = fields.u32("version")?;
    let last_version = fields.u32("last version")?;
    let in_force = decode_set(&mut fields)?;
    let staged = decode_set(&mut fields)?;
    let trial = if fields.flag("trial")? { Some(decode_trial(&mut fields)?) } else { None };
    let [count] = fields.array("orders")?;
    if usize::from(count) > MAX_REMEMBERED {
        return Err(BadRecord::Field("count of orders"));
    }
    let orders = (0..count).map(|_| decode_remembered(&mut fields)).collect::<Result<_, _>>()?;
    if !fields.0.is_empty() {
        return Err(BadRecord::Field("end"));
    }
    Ok(State { lost, version, last_version, in_force, staged, trial, orders })
}

fn decode_trial(fields: &mut Fields<'_>) -> Result<Trial, BadRecord> {
    Ok(Trial {
        deadline_unix_ms: fields.u64("deadline")?,
        left_ms: fields.u64("time left")?,
        within_ms: fields.u64("time to confirm")?,
        version_before: fields.u32("version before")?,
        before: decode_set(fields)?,
    })
}

fn decode_remembered(fields: &mut Fields<'_>) -> Result<Remembered, BadRecord> {
    let id = decode_order(fields)?;
    let [what] = fields.array("order")?;
    let (version, restart) = (fields.u32("order's version")?, fields.flag("order's restart")?);
    let done = match (what, version, restart) {
        (0, 0, false) => Done::Staged,
        (1, 0, false) => Done::Discarded,
        (2, version, restart) => Done::Committed { version, restart },
        (3, version, false) => Done::Confirmed { version },
        (4, version, restart) => Done::RolledBack { version, restart },
        _ => return Err(BadRecord::Field("order")),
    };
    Ok(Remembered { id, done })
}

fn decode_order(fields: &mut Fields<'_>) -> Result<OrderId, BadRecord> {
    Ok(OrderId { source: fields.u16("order's source")?, number: fields.u32("order's number")? })
}

fn decode_set(fields: &mut Fields<'_>) -> Result<Set, BadRecord> {
    let mut set = Set::default();
    let mut last = None;
    for _ in 0..fields.u16("count of changes")? {
        let code = fields.u16("parameter")?;
        if last.is_some_and(|last| last >= code) {
            return Err(BadRecord::Field("row of parameters"));
        }
        last = Some(code);
        let [length] = fields.array("length of a value")?;
        let text = match length {
            AS_CONFIGURED => None,
            length => Some(core::str::from_utf8(fields.slice(length.into(), "value")?)),
        };
        let value = text.transpose().map_err(|_| BadRecord::Field("value"))?.map(str::to_owned);
        let by = decode_order(fields)?;
        let change =
            Change { value, by, unix_ms: fields.u64("time")?, version: fields.u32("version of a change")? };
        if !set.insert(code, change) {
            return Err(BadRecord::Field("count of changes"));
        }
    }
    Ok(set)
}

/// What is left to read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn slice(&mut self, bytes: usize, name: &'static str) -> Result<&'a [u8], BadRecord> {
        let (head, rest) = self.0.split_at_checked(bytes).ok_or(BadRecord::Field(name))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], BadRecord> {
        let (head, rest) = self.0.split_first_chunk().ok_or(BadRecord::Field(name))?;
        self.0 = rest;
        Ok(*head)
    }

    fn flag(&mut self, name: &'static str) -> Result<bool, BadRecord> {
        match self.array(name)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(BadRecord::Field(name)),
        }
    }

    fn u16(&mut self, name: &'static str) -> Result<u16, BadRecord> {
        self.array(name).map(u16::from_be_bytes)
    }

    fn u32(&mut self, name: &'static str) -> Result<u32, BadRecord> {
        self.array(name).map(u32::from_be_bytes)
    }

    fn u64(&mut self, name: &'static str) -> Result<u64, BadRecord> {
        self.array(name).map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order() -> impl Strategy<Value = OrderId> {
        (any::<u16>(), any::<u32>()).prop_map(|(source, number)| OrderId { source, number })
    }

    fn set() -> impl Strategy<Value = Set> {
        let value = prop::option::of("[a-z0-9.,-]{0,20}");
        let change = (value, order(), any::<u64>(), any::<u32>())
            .prop_map(|(value, by, unix_ms, version)| Change { value, by, unix_ms, version });
        prop::collection::vec((any::<u16>(), change), 0..5).prop_map(|changes| {
            let mut set = Set::default();
            changes.into_iter().for_each(|(code, change)| assert!(set.insert(code, change)));
            set
        })
    }

    fn state() -> impl Strategy<Value = State> {
        let trial = (any::<[u64; 3]>(), any::<u32>(), set()).prop_map(|(times, version_before, before)| {
            let [deadline_unix_ms, left_ms, within_ms] = times;
            Trial { deadline_unix_ms, left_ms, within_ms, version_before, before }
        });
        let done = prop_oneof![
            Just(Done::Staged),
            Just(Done::Discarded),
            any::<(u32, bool)>().prop_map(|(version, restart)| Done::Committed { version, restart }),
            any::<u32>().prop_map(|version| Done::Confirmed { version }),
            any::<(u32, bool)>().prop_map(|(version, restart)| Done::RolledBack { version, restart }),
        ];
        let remembered = (order(), done).prop_map(|(id, done)| Remembered { id, done });
        let orders = prop::collection::vec(remembered, 0..4);
        (any::<bool>(), any::<[u32; 2]>(), set(), set(), prop::option::of(trial), orders).prop_map(
            |(lost, [version, last_version], in_force, staged, trial, orders)| State {
                lost,
                version,
                last_version,
                in_force,
                staged,
                trial,
                orders: orders.into(),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(state in state(), cut in any::<prop::sample::Index>()) {
            let bytes = encode(&state);
            prop_assert!(bytes.len() <= MAX_RECORD_BYTES);
            prop_assert_eq!(decode(&bytes), Ok(state));
            prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn what_is_flipped_is_refused_or_read_as_it_stands(
            state in state(),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let mut bytes = encode(&state);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(read) = decode(&bytes) {
                prop_assert_eq!(encode(&read), bytes);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let says = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        assert_eq!(says(b""), "it is no record of parameters");
        assert_eq!(says(b"PBPR\x02"), "it has format 2, and this version knows 1");
        assert_eq!(says(b"PBPR\x01\x02"), "its flags is cut off or can't be");
        let mut twice = encode(&State::default());
        twice.push(0);
        assert_eq!(says(&twice), "its end is cut off or can't be");
    }
}
