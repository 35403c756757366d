//! The compact form of a plan, before its signature.
//!
//! ```text
//! 0  magic "PP"   2  version = 1   3  kind = 1
//! 4  head, in postcard: what the plan says as a whole, its stations, plans and orders, its shapes, a count of entries
//!    entries, each: shape | action | time | [not after] | [label length u8 | label]
//! ```
//!
//! A *shape* is all of an entry but its place in time, its order and its label; most entries share a few. Numbers of
//! entries are unsigned LEB128; a time is the distance to the one before of the same kind, in seconds where it is whole
//! seconds. *Action* counts back from the newest order or plan: 0 is one that comes up for the first time.
//!
//! There is one form of a plan: bytes that would be written otherwise are refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Action, Condition, Edge, Entry, Late, MAX_ENTRIES, MAX_PLAN_BYTES, NotAfter, OnFailure, OnReboot, Plan,
    PlanError, Repeat, Trigger, Wait,
};

const START: [u8; 4] = [b'P', b'P', 1, 1];

#[derive(Serialize, Deserialize)]
struct Head {
    name: String,
    version: u32,
    dictionary: [u8; 4],
    reboot: OnReboot,
    late: Late,
    stations: Vec<String>,
    plans: Vec<String>,
    orders: Vec<Vec<u8>>,
    shapes: Vec<Shape>,
    entries: u16,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Shape {
    labelled: bool,
    starts_plan: bool,
    trigger: Kind,
    repeat: Repeat,
    wait: Option<Wait>,
    failure: OnFailure,
    not_after: Limit,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Kind {
    At,
    Start,
    Entry,
    Pass { edge: Edge, station: Option<u16>, offset_ms: i32 },
    When(Condition),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Limit {
    None,
    Unix,
    Due(u32),
}

/// The bytes of a plan that was checked.
pub(super) fn encode(plan: &Plan) -> Result<Vec<u8>, PlanError> {
    let mut shapes = Vec::new();
    let (mut known, mut body, mut last) = (BTreeMap::new(), Vec::new(), Last::default());
    for (place, entry) in plan.entries.iter().enumerate() {
        let shape = Shape::of(entry);
        let bytes = postcard::to_allocvec(&shape).map_err(|_| damaged("shapes"))?;
        let number = *known.entry(bytes).or_insert_with(|| {
            shapes.push(shape);
            shapes.len() - 1
        });
        put(&mut body, number as u64);
        last.write(&mut body, place, entry);
    }
    let head = Head {
        name: plan.name.clone(),
        version: plan.version,
        dictionary: plan.dictionary,
        reboot: plan.reboot,
        late: plan.late,
        stations: plan.stations.clone(),
        plans: plan.plans.clone(),
        orders: plan.orders.clone(),
        shapes,
        entries: u16::try_from(plan.entries.len()).map_err(|_| damaged("entries"))?,
    };
    let head = postcard::to_allocvec(&head).map_err(|_| damaged("head"))?;
    Ok([START.as_slice(), &head, &body].concat())
}

/// The plan of any bytes, checked.
pub(super) fn decode(bytes: &[u8]) -> Result<Plan, PlanError> {
    if bytes.len() > MAX_PLAN_BYTES {
        return Err(PlanError::Long { bytes: bytes.len() });
    }
    let (start, rest) = bytes.split_first_chunk::<4>().ok_or(damaged("start"))?;
    if *start != START {
        return Err(PlanError::Kind { start: *start });
    }
    let (head, mut body) = postcard::take_from_bytes::<Head>(rest).map_err(|_| damaged("head"))?;
    if usize::from(head.entries) > MAX_ENTRIES {
        return Err(PlanError::plan("it has more than 4096 entries"));
    }
    let (mut entries, mut last) = (Vec::with_capacity(usize::from(head.entries)), Last::default());
    for place in 0..head.entries {
        let entry = take(&mut body)
            .and_then(|number| head.shapes.get(usize::try_from(number).ok()?))
            .and_then(|shape| last.read(&mut body, place, shape));
        entries.push(entry.ok_or(damaged("entries"))?);
    }
    let plan = Plan {
        name: head.name,
        version: head.version,
        dictionary: head.dictionary,
        reboot: head.reboot,
        late: head.late,
        stations: head.stations,
        plans: head.plans,
        orders: head.orders,
        entries,
    };
    plan.check()?;
    if encode(&plan)? == bytes { Ok(plan) } else { Err(damaged("form")) }
}

fn damaged(place: &'static str) -> PlanError {
    PlanError::Damaged { place }
}

impl Shape {
    fn of(entry: &Entry) -> Self {
        Self {
            labelled: entry.label.is_some(),
            starts_plan: matches!(entry.action, Action::Start(_)),
            trigger: match entry.trigger {
                Trigger::At { .. } => Kind::At,
                Trigger::Start { .. } => Kind::Start,
                Trigger::Entry { .. } => Kind::Entry,
                Trigger::Pass { edge, station, offset_ms } => Kind::Pass { edge, station, offset_ms },
                Trigger::When(condition) => Kind::When(condition),
            },
            repeat: entry.repeat,
            wait: entry.wait,
            failure: entry.failure,
            not_after: match entry.not_after {
                None => Limit::None,
                Some(NotAfter::Unix(_)) => Limit::Unix,
                Some(NotAfter::Due(ms)) => Limit::Due(ms),
            },
        }
    }
}

/// What the next entry is told by its distance from.
#[derive(Default)]
struct Last {
    unix_ms: u64,
    start_ms: u64,
    orders: u16,
    plans: u16,
}

impl Last {
    fn write(&mut self, out: &mut Vec<u8>, place: usize, entry: &Entry) {
        let (number, seen) = match entry.action {
            Action::Order(number) => (number, &mut self.orders),
            Action::Start(number) => (number, &mut self.plans),
        };
        put(out, u64::from(seen.saturating_sub(number)));
        *seen = (*seen).max(number.saturating_add(1));
        match entry.trigger {
            Trigger::At { unix_ms } => put_from(out, &mut self.unix_ms, unix_ms),
            Trigger::Start { after_ms } => put_from(out, &mut self.start_ms, u64::from(after_ms)),
            Trigger::Entry { entry, after_ms } => {
                put(out, place.saturating_sub(usize::from(entry)) as u64);
                put_from(out, &mut 0, u64::from(after_ms));
            }
            Trigger::Pass { .. } | Trigger::When(_) => {}
        }
        if let Some(NotAfter::Unix(unix_ms)) = entry.not_after {
            put_from(out, &mut { self.unix_ms }, unix_ms);
        }
        if let Some(label) = &entry.label {
            out.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(label.as_bytes());
        }
    }

    fn read(&mut self, body: &mut &[u8], place: u16, shape: &Shape) -> Option<Entry> {
        let seen = if shape.starts_plan { &mut self.plans } else { &mut self.orders };
        let number = seen.checked_sub(u16::try_from(take(body)?).ok()?)?;
        *seen = (*seen).max(number.checked_add(1)?);
        let trigger = match shape.trigger {
            Kind::At => Trigger::At { unix_ms: take_from(body, &mut self.unix_ms)? },
            Kind::Start => {
                Trigger::Start { after_ms: u32::try_from(take_from(body, &mut self.start_ms)?).ok()? }
            }
            Kind::Entry => {
                let entry = place.checked_sub(u16::try_from(take(body)?).ok()?)?;
                Trigger::Entry { entry, after_ms: u32::try_from(take_from(body, &mut 0)?).ok()? }
            }
            Kind::Pass { edge, station, offset_ms } => Trigger::Pass { edge, station, offset_ms },
            Kind::When(condition) => Trigger::When(condition),
        };
        let not_after = match shape.not_after {
            Limit::None => None,
            Limit::Unix => Some(NotAfter::Unix(take_from(body, &mut { self.unix_ms })?)),
            Limit::Due(ms) => Some(NotAfter::Due(ms)),
        };
        Some(Entry {
            label: if shape.labelled { Some(take_text(body)?) } else { None },
            trigger,
            repeat: shape.repeat,
            wait: shape.wait,
            failure: shape.failure,
            not_after,
            action: if shape.starts_plan { Action::Start(number) } else { Action::Order(number) },
        })
    }
}

/// A time by its distance from the last, which it then is.
fn put_from(out: &mut Vec<u8>, last: &mut u64, ms: u64) {
    let apart = ms.wrapping_sub(*last).cast_signed();
    let packed = if apart % 1_000 == 0 { zigzag(apart / 1_000) << 1 } else { (zigzag(apart) << 1) | 1 };
    put(out, packed);
    *last = ms;
}

fn take_from(body: &mut &[u8], last: &mut u64) -> Option<u64> {
    let packed = take(body)?;
    let apart = unzigzag(packed >> 1);
    let apart = if packed & 1 == 0 { apart.checked_mul(1_000)? } else { apart };
    *last = last.checked_add_signed(apart)?;
    Some(*last)
}

/// Signed as unsigned, small ones small.
fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -((n & 1).cast_signed())
}

fn put(out: &mut Vec<u8>, mut n: u64) {
    loop {
        let low = u8::try_from(n & 0x7F).unwrap_or(0);
        n >>= 7;
        if n == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn take(body: &mut &[u8]) -> Option<u64> {
    let mut n = 0_u64;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = body.split_first()?;
        *body = rest;
        n |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

fn take_text(body: &mut &[u8]) -> Option<String> {
    let (length, rest) = body.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*length))?;
    *body = rest;
    String::from_utf8(text.to_vec()).ok()
}
