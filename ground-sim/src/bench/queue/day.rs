//! A day in the life: 1.5 TB of frames, 15 passes at 1 Gbit/s, half of it has no room on the link.
//!
//! The queue and the belief about losses are those that fly; time is virtual. Each frame is 1 GB and goes down as the
//! default configuration has it: evidence, quicklook and a region of a suspect or an alert, and the cube in strips. The
//! value of a frame is spread over its bytes.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Context, Result};
use passband_flight::products::Kind;
use passband_flight::queue::{Item, Queue, Settings, State};
use passband_proto::ids::{BundleId, Class};
use passband_proto::transfer::base_target;
use passband_proto::transfer::belief::{LossBelief, Observation};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::link::{DAY_MS, Parcel, Pass, datagrams_a_second, passes};
use crate::bench::{Bench, Op, Row, Sink};

const GROUP: &str = "day";
const FRAME_BYTES: u64 = 1_000_000_000;
const DAY_BYTES: u64 = 1_500_000_000_000;
const STRIP_BYTES: u64 = 14_000_000;
const RATE_BPS: f64 = 1e9;
const PASSES: u64 = 15;
/// 5 to 8 minutes are usual.
const PASS_MS: u64 = 400_000;
/// From a frame's last line to its bundles in the store.
const INTAKE_MS: u64 = 6_000;
/// What the store may take.
const QUOTA_BYTES: u64 = 512 << 30;
/// Loss of a pass, drawn evenly; the sender expects the middle.
const LOSS: (f64, f64) = (0.05, 0.35);
/// Between two reports of a station, ms.
const REPORT_MS: f64 = 20_000.0;
/// Shares of frames by class, of a thousand: alert, suspect, routine; the rest are discard candidates.
const OF_A_THOUSAND: [u32; 3] = [10, 50, 540];

/// A frame of the day.
#[derive(Debug)]
struct Frame {
    captured_ms: u64,
    class: Class,
    bundles: Vec<BundleId>,
}

/// What is known of a bundle, beside the queue.
#[derive(Debug)]
struct Stored {
    parcel: Parcel,
    class: Class,
    bytes: u64,
}

/// A day as it went.
struct Outcome {
    frames: Vec<Frame>,
    stored: BTreeMap<BundleId, Stored>,
    dropped: u64,
}

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let seeds = bench.pick(1, 3, 10);
    for (reports, what) in [
        (false, "share of the value of suspect and alert frames down within one pass, no report all day"),
        (true, "the same, with a report every 20 s of a pass"),
    ] {
        let (mut ours, mut fifo, mut whole, mut alerts, mut gigabytes, mut dropped) =
            (1.0_f64, 0.0, 0.0, 1.0_f64, 0.0, 0);
        for n in 0..seeds {
            let mut rng = ChaCha8Rng::seed_from_u64(bench.seed + n);
            let plan = passes(PASSES, PASS_MS, LOSS, &mut rng);
            let day = fly(&plan, reports, &mut rng.clone())?;
            let first = first_in_first_out(&plan, &mut rng);
            ours = ours.min(value(&day, &plan, &[Class::Alert, Class::Suspect]));
            alerts = alerts.min(value(&day, &plan, &[Class::Alert]));
            whole += whole_frames(&day, &plan) / seeds as f64;
            fifo += value(&first, &plan, &[Class::Alert, Class::Suspect]) / seeds as f64;
            gigabytes += down_bytes(&day) as f64 / 1e9 / seeds as f64;
            dropped += day.dropped / seeds;
        }
        let note = format!(
            "the least of {seeds} days; alerts alone {:.2} %; {:.1} % of those frames whole by then; {gigabytes:.0} GB down \
             in all, {dropped} bundles of lower classes dropped for room",
            alerts * 100.0,
            whole * 100.0
        );
        let row = Row::new(GROUP, what, Some(ours * 100.0), "%", Op::AtLeast, 99.0);
        sink(row.beside("first in, first out", Some(fifo * 100.0)).note(note))?;
    }
    Ok(())
}

/// The day's frames, by the time of their capture.
fn frames(rng: &mut impl Rng) -> Vec<(u64, Class)> {
    let count = DAY_BYTES / FRAME_BYTES;
    let class = |rng: &mut dyn FnMut() -> u32| {
        let mut draw = rng();
        for (class, share) in Class::ALL.into_iter().zip(OF_A_THOUSAND) {
            if draw < share {
                return class;
            }
            draw -= share;
        }
        Class::DiscardCandidate
    };
    let mut draw = || rng.random_range(0..1000);
    (0..count).map(|n| ((n + 1) * DAY_MS / count, class(&mut draw))).collect()
}

/// What is made of a frame: kinds and sizes.
fn products(class: Class) -> Vec<(Kind, u64)> {
    let mut out = vec![(Kind::Quicklook, 120_000)];
    if matches!(class, Class::Alert | Class::Suspect) {
        out.push((Kind::Evidence, 60_000));
        out.push((Kind::Region, 10_000_000));
    }
    out.extend((0..FRAME_BYTES.div_ceil(STRIP_BYTES)).map(|_| (Kind::Cube, STRIP_BYTES)));
    out
}

fn id(number: u64) -> BundleId {
    let mut id = BundleId([0xDA; 12]);
    id.0[4..].copy_from_slice(&number.to_be_bytes());
    id
}

fn symbols(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1_408) + 2).unwrap_or(u32::MAX)
}

/// A satellite with its queue, and the link.
struct Satellite<'r, R> {
    queue: Queue,
    belief: LossBelief,
    /// Symbols to send for a need and a class, as long as the belief is the same.
    aims: BTreeMap<(u32, Class), u32>,
    day: Outcome,
    used_bytes: u64,
    next_id: u64,
    coming: VecDeque<(u64, Class)>,
    rng: &'r mut R,
}

/// A day with the queue that flies.
fn fly<R: Rng>(plan: &[Pass], reports: bool, rng: &mut R) -> Result<Outcome> {
    let coming = frames(rng).into();
    let day = Outcome { frames: Vec::new(), stored: BTreeMap::new(), dropped: 0 };
    let mut satellite = Satellite {
        queue: Queue::new(Settings::default())?,
        belief: LossBelief::expecting(f64::midpoint(LOSS.0, LOSS.1)),
        aims: BTreeMap::new(),
        day,
        used_bytes: 0,
        next_id: 0,
        coming,
        rng,
    };
    for (nth, pass) in (1..).zip(plan) {
        satellite.capture_until(pass.aos_ms)?;
        satellite.queue.begin_pass();
        satellite.fly_pass(pass, reports.then_some(nth))?;
    }
    satellite.capture_until(DAY_MS)?;
    Ok(satellite.day)
}

impl<R: Rng> Satellite<'_, R> {
    /// Takes the frames that are in the store by now.
    fn capture_until(&mut self, now_ms: u64) -> Result<()> {
        while self.coming.front().is_some_and(|(ms, _)| ms + INTAKE_MS <= now_ms) {
            let Some((captured_ms, class)) = self.coming.pop_front() else { break };
            let made = products(class);
            let bytes: u64 = made.iter().map(|(_, bytes)| bytes).sum();
            let victims = self.queue.victims(bytes, self.used_bytes, QUOTA_BYTES, class);
            for victim in victims.context("no room for a frame")? {
                let gone = self.queue.remove(&victim)?;
                self.used_bytes -= gone.item.bytes;
                self.day.dropped += u64::from(gone.state == State::Waiting);
            }
            let mut bundles = Vec::new();
            for (kind, bytes) in made {
                self.next_id += 1;
                let id = id(self.next_id);
                let source_symbols = symbols(bytes);
                let created_unix_ms = captured_ms + INTAKE_MS;
                let item = Item {
                    id,
                    class,
                    kind,
                    created_unix_ms,
                    deadline_unix_ms: None,
                    bytes,
                    source_symbols,
                    tasking: 0,
                };
                let _new = self.queue.insert(&item)?;
                self.day.stored.insert(id, Stored { parcel: Parcel::new(source_symbols), class, bytes });
                self.used_bytes += bytes;
                bundles.push(id);
            }
            self.day.frames.push(Frame { captured_ms, class, bundles });
        }
        Ok(())
    }

    /// A pass, with reports if it has a number.
    fn fly_pass(&mut self, pass: &Pass, reports: Option<u64>) -> Result<()> {
        let rate = datagrams_a_second(RATE_BPS) / 1000.0;
        let (mut at_ms, mut sent) = (pass.aos_ms as f64, Vec::new());
        let mut report_ms = at_ms + REPORT_MS;
        while at_ms < pass.los_ms as f64 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of the day")]
            let now_ms = at_ms as u64;
            self.capture_until(now_ms)?;
            if let Some(nth) = reports.filter(|_| at_ms >= report_ms) {
                report_ms = at_ms + REPORT_MS;
                self.hear(nth, pass, &std::mem::take(&mut sent), at_ms)?;
            }
            let next = self.queue.next(now_ms).or_else(|| self.queue.next_presumed());
            let Some(next) = next else { break };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "what a pass carries"
            )]
            let room = ((pass.los_ms as f64 - at_ms) * rate) as u32;
            let waits = self.queue.get(&next.id).is_some_and(|view| view.standing.state == State::Waiting);
            let aim = self.aim(&next.id);
            let stored = self.day.stored.get_mut(&next.id).context("a bundle that isn't stored")?;
            let more = stored.parcel.symbols / 50 + 8;
            let want = if waits { aim.saturating_sub(stored.parcel.sent).max(1) } else { more };
            let now = want.min(room.max(1));
            at_ms += f64::from(now) / rate;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of the day")]
            stored.parcel.send(now, at_ms as u64, pass.loss, self.rng);
            sent.push(next.id);
            let total = u64::from(stored.parcel.sent);
            let _change = if now < want {
                self.queue.put_back(&next.id, total)?
            } else {
                self.queue.presume(&next.id, total, base_target(stored.class))?
            };
        }
        match reports {
            Some(nth) => self.hear(nth, pass, &sent, at_ms),
            None => Ok(()),
        }
    }

    /// Symbols that bring a bundle to where its class wants it.
    fn aim(&mut self, id: &BundleId) -> u32 {
        let Some(stored) = self.day.stored.get(id) else { return 0 };
        let (belief, class) = (&self.belief, stored.class);
        let need = stored.parcel.symbols;
        *self.aims.entry((need, class)).or_insert_with(|| belief.symbols_for(need, 1, base_target(class)))
    }

    /// The ground says what it has.
    fn hear(&mut self, nth: u64, pass: &Pass, sent: &[BundleId], at_ms: f64) -> Result<()> {
        let spent = (at_ms - pass.aos_ms as f64) * datagrams_a_second(RATE_BPS) / 1000.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what a pass carries")]
        let (span, heard) = (spent as u32, (spent * (1.0 - pass.loss)) as u32);
        self.belief.observe(&Observation { station: 1, first_seq: nth << 32, span, heard });
        self.aims.clear();
        for id in sent {
            let Some(stored) = self.day.stored.get_mut(id).filter(|_| self.queue.get(id).is_some()) else {
                continue;
            };
            let _change = if stored.parcel.down_ms.is_some() {
                self.queue.known(id)?
            } else {
                // What it lacks is what it is from now on.
                stored.parcel.sent = stored.parcel.symbols.saturating_sub(stored.parcel.lacks());
                self.queue.wanted(id)?
            };
        }
        Ok(())
    }
}

/// The same day with a plain queue, an endless store and the targets of a suspect for all.
fn first_in_first_out(plan: &[Pass], rng: &mut impl Rng) -> Outcome {
    let mut day = Outcome { frames: Vec::new(), stored: BTreeMap::new(), dropped: 0 };
    let mut line = VecDeque::new();
    let mut number = 0;
    for (captured_ms, class) in frames(rng) {
        let mut bundles = Vec::new();
        for (_, bytes) in products(class) {
            number += 1;
            let parcel = Parcel::new(symbols(bytes));
            day.stored.insert(id(number), Stored { parcel, class, bytes });
            line.push_back((captured_ms + INTAKE_MS, id(number)));
            bundles.push(id(number));
        }
        day.frames.push(Frame { captured_ms, class, bundles });
    }
    let belief = LossBelief::expecting(f64::midpoint(LOSS.0, LOSS.1));
    let mut aims = BTreeMap::new();
    let rate = datagrams_a_second(RATE_BPS) / 1000.0;
    for pass in plan {
        let mut at_ms = pass.aos_ms as f64;
        while at_ms < pass.los_ms as f64 {
            let Some((_, id)) = line.front().filter(|(ms, _)| *ms as f64 <= at_ms) else { break };
            let Some(stored) = day.stored.get_mut(id) else { break };
            let need = stored.parcel.symbols;
            let aim =
                *aims.entry(need).or_insert_with(|| belief.symbols_for(need, 1, base_target(Class::Suspect)));
            at_ms += f64::from(aim) / rate;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of the day")]
            stored.parcel.send(aim, at_ms as u64, pass.loss, rng);
            line.pop_front();
        }
    }
    day
}

/// When a frame has to be down: at the end of the first pass that begins after its capture; `None` if there is none.
fn due_ms(frame: &Frame, plan: &[Pass]) -> Option<u64> {
    plan.iter().find(|pass| pass.aos_ms >= frame.captured_ms + INTAKE_MS).map(|pass| pass.los_ms)
}

/// The share of a frame's bytes that was down in time.
fn share(frame: &Frame, day: &Outcome, due_ms: u64) -> f64 {
    let (mut all, mut down) = (0, 0);
    for stored in frame.bundles.iter().filter_map(|id| day.stored.get(id)) {
        all += stored.bytes;
        down += if stored.parcel.down_ms.is_some_and(|ms| ms <= due_ms) { stored.bytes } else { 0 };
    }
    down as f64 / (all.max(1)) as f64
}

/// The share of the value of frames of these classes that was down in time.
fn value(day: &Outcome, plan: &[Pass], classes: &[Class]) -> f64 {
    let worth = |class| if class == Class::Alert { 10.0 } else { 1.0 };
    let (mut all, mut down) = (0.0, 0.0);
    for frame in day.frames.iter().filter(|frame| classes.contains(&frame.class)) {
        let Some(due_ms) = due_ms(frame, plan) else { continue };
        all += worth(frame.class);
        down += worth(frame.class) * share(frame, day, due_ms);
    }
    if all > 0.0 { down / all } else { 1.0 }
}

/// All that was down at the end of the day.
fn down_bytes(day: &Outcome) -> u64 {
    day.stored.values().filter(|stored| stored.parcel.down_ms.is_some()).map(|stored| stored.bytes).sum()
}

/// The share of suspect and alert frames of which every byte was down in time.
fn whole_frames(day: &Outcome, plan: &[Pass]) -> f64 {
    let of_value = |frame: &&Frame| matches!(frame.class, Class::Alert | Class::Suspect);
    let due = day.frames.iter().filter(of_value).filter_map(|frame| Some((frame, due_ms(frame, plan)?)));
    let (mut all, mut whole) = (0.0, 0.0);
    for (frame, due_ms) in due {
        all += 1.0;
        whole += if share(frame, day, due_ms) >= 1.0 { 1.0 } else { 0.0 };
    }
    if all > 0.0 { whole / all } else { 1.0 }
}
