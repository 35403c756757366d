//! A look at everything: the sample that the channels are made of, and the facts of the digest.

use passband_proto::dict::{self, Disk, Housekeeping, Packet, Value};

use super::ahead::Ahead;
use crate::adapters::os::{available_memory, own_use};
use crate::command::hex;
use crate::daemon::desk::Program;
use crate::daemon::operator::transmitter;
use crate::daemon::shared::Shared;
use crate::digest::{Beyond, Coming, Facts, MAX_LISTED, Outside, Running, Since, Tally, Wrong};
use crate::ordered;
use crate::queue::State;
use crate::store::AlertState;
use crate::telemetry::{ByClass, Level, Limits, Marks, QueueStatus, SCHEMA, Sample, Sensed};

/// Passes in the digest.
const TOLD_PASSES: usize = 4;
/// Alerts are counted again after so long, ms, or when there is a new event.
const ALERTS_MS: u64 = 60_000;

/// What a look remembers of the ones before.
pub(super) struct Look {
    dictionary: [u8; 32],
    slot: Option<String>,
    ahead: Ahead,
    /// Alerts that are pending, and the newest event and the time, ms, when they were counted.
    alerts: Option<(u64, u64, u64)>,
    /// Frames taken so far, and when the last of them was, ms.
    frames: (u64, Option<u64>),
    /// The processor time of the daemon, ms, and when it was looked at.
    used: Option<(u64, u64)>,
}

impl Look {
    pub(super) fn new(shared: &Shared) -> Self {
        let frames = shared.counters().frames_accepted.total();
        let slot = std::env::var("PASSBAND_SLOT").ok();
        let slot = slot.filter(|slot| !slot.is_empty());
        Self {
            dictionary: dict::digest(),
            slot,
            ahead: Ahead::default(),
            alerts: None,
            frames: (frames, None),
            used: None,
        }
    }

    /// How the payload is now.
    pub(super) fn sample(&mut self, shared: &Shared, tally: &Tally) -> Sample {
        let (now_ms, unix_ms) = (shared.clock.now_ms(), shared.clock.unix_ms());
        let mut counters = shared.counters();
        let left_out = shared.desk.schedule(|schedule, _| schedule.left_out());
        counters.events_throttled = counters.events_throttled.saturating_add(left_out);
        let (queue, store_bytes) =
            shared.queue(|queue| (QueueStatus::of(queue.tally()), queue.tally().total().bytes));
        let (gate, open) = shared.gate_now();
        let mut others = shared.desk.others(|others| others.clone());
        self.read_use(now_ms, &mut others.readings);
        let taken = counters.frames_accepted.total();
        if taken > self.frames.0 {
            self.frames = (taken, Some(now_ms));
        }
        let next = self.ahead.passes(shared, unix_ms).first().map(|pass| pass.aos_unix_ms);
        Sample {
            unix_ms,
            boot_count: shared.boot_count,
            uptime_s: now_ms / 1000,
            counters,
            queue,
            alerts_pending: self.alerts_pending(shared, now_ms, tally.last_seq()),
            disk: Disk::from_name(shared.disk_mode().name()).unwrap_or(Disk::Failing),
            free_disk_bytes: shared.disk.free_bytes(&shared.config.paths.state),
            store_bytes,
            frame_age_s: self.frames.1.map(|at_ms| now_ms.saturating_sub(at_ms) / 1000),
            transmitting: open.is_some(),
            rate_bps: open.map_or(gate.configured_rate_bps(), |open| open.rate_bps),
            expected_loss: shared.expected_loss(),
            next_aos_s: next.map(|aos_unix_ms| aos_unix_ms.saturating_sub(unix_ms) / 1000),
            last_event: tally.last_seq(),
            worst: tally.worst(),
            marks: self.marks(shared),
            others,
        }
    }

    /// What the digest says now.
    pub(super) fn facts(
        &mut self,
        shared: &Shared,
        sample: &Sample,
        channels: &Housekeeping,
        (tally, limits): (&Tally, &Limits),
    ) -> Facts {
        let outside = shared.desk.outside(|outside| outside.clone());
        let (events, events_more) = tally.wrong();
        let since = since(tally, sample, &outside);
        Facts {
            schema: SCHEMA,
            now_unix_ms: sample.unix_ms,
            spacecraft: shared.config.spacecraft,
            running: self.running(shared, sample, &outside),
            transmitter: transmitter(shared),
            passes: self.ahead.passes(shared, sample.unix_ms).iter().take(TOLD_PASSES).cloned().collect(),
            wrong: Wrong {
                events,
                events_more,
                channels: beyond(channels, limits),
                disk: sample.disk,
                in_memory: shared.in_memory,
                parameters: sample.others.parameters_state,
                trial_left_s: outside.trial_left_s,
                keys_retired: first(outside.keys_retired),
                counters_lost: first(outside.counters_lost),
                others: first(outside.wrong),
            },
            since,
            queue: self.ahead.class_queues(shared, sample),
            coming: Coming {
                uploads: first(outside.uploads),
                update: sample.others.update,
                update_text: outside.update_text,
                agenda: first(outside.agenda),
            },
        }
    }

    fn running(&self, shared: &Shared, sample: &Sample, outside: &Outside) -> Running {
        let Program { binary, configuration } = shared.desk.program(|program| *program);
        Running {
            version: crate::version(),
            slot: self.slot.clone(),
            uptime_s: sample.uptime_s,
            boot_count: sample.boot_count,
            reset_cause: sample.others.reset_cause,
            mode: sample.others.mode,
            shed: sample.others.shed,
            binary_sha256: binary.map(|digest| hex(&digest)),
            configuration_sha256: configuration.map(|digest| hex(&digest)),
            dictionary_sha256: hex(&self.dictionary),
            parameters_sha256: outside.parameters_sha256.clone(),
        }
    }

    fn marks(&self, shared: &Shared) -> Marks {
        let Program { binary, configuration } = shared.desk.program(|program| *program);
        let mark = |digest: Option<[u8; 32]>| digest.map_or([0; 4], |digest| head(&digest));
        Marks {
            git: crate::git_mark(),
            binary: mark(binary),
            configuration: mark(configuration),
            dictionary: head(&self.dictionary),
        }
    }

    /// Fills in what no sensor of another duty said.
    fn read_use(&mut self, now_ms: u64, readings: &mut Sensed) {
        let mib = |bytes: u64| f32::from(u16::try_from(bytes >> 20).unwrap_or(u16::MAX));
        if readings.memory_free_mib.is_none() {
            readings.memory_free_mib = available_memory().map(mib);
        }
        let Some(used) = own_use() else { return };
        readings.daemon_memory_mib.get_or_insert(mib(used.memory_bytes));
        let before = self.used.replace((now_ms, used.cpu_ms));
        if let Some((at_ms, cpu_ms)) = before.filter(|(at_ms, _)| *at_ms < now_ms) {
            let share = used.cpu_ms.saturating_sub(cpu_ms) as f64 / now_ms.saturating_sub(at_ms) as f64;
            #[expect(clippy::cast_possible_truncation, reason = "f32 is what the channel holds")]
            readings.daemon_cpu_percent.get_or_insert((share * 100.0) as f32);
        }
    }

    fn alerts_pending(&mut self, shared: &Shared, now_ms: u64, last_seq: u64) -> u64 {
        if let Some((pending, seq, at_ms)) = self.alerts
            && seq == last_seq
            && now_ms.saturating_sub(at_ms) < ALERTS_MS
        {
            return pending;
        }
        let Ok(alerts) = shared.catalogue.alerts() else {
            return self.alerts.map_or(0, |(pending, ..)| pending);
        };
        let pending = alerts.iter().filter(|alert| alert.state == AlertState::Pending).count() as u64;
        self.alerts = Some((pending, last_seq, now_ms));
        pending
    }
}

fn since(tally: &Tally, sample: &Sample, outside: &Outside) -> Since {
    let from_ms = tally.since().los_unix_ms.unwrap_or(0);
    let mut scripts: Vec<_> = outside.scripts.iter().filter(|run| run.unix_ms >= from_ms).cloned().collect();
    ordered::sort_by_key(&mut scripts, |run| std::cmp::Reverse(run.unix_ms));
    Since { alerts_pending: sample.alerts_pending, scripts: first(scripts), ..tally.since().clone() }
}

/// The channels beyond their limits, red ones first.
fn beyond(channels: &Housekeeping, limits: &Limits) -> Vec<Beyond> {
    let mut out = Vec::new();
    channels.visit(&mut |field, value| {
        let level = limits.level(field.name).filter(|level| *level > Level::Green);
        if let (Some(level), Some(value)) = (level, number(&value)) {
            let (channel, unit) = (field.name.to_owned(), field.unit.to_owned());
            out.push(Beyond { channel, level, value, unit });
        }
    });
    ordered::sort_by_key(&mut out, |beyond| std::cmp::Reverse(beyond.level));
    first(out)
}

/// A number that JSON can say.
fn number(value: &Value<'_>) -> Option<f64> {
    value.number().filter(|n| n.is_finite())
}

fn first<T>(mut all: Vec<T>) -> Vec<T> {
    all.truncate(MAX_LISTED);
    all
}

fn head(digest: &[u8; 32]) -> [u8; 4] {
    digest.first_chunk().copied().unwrap_or_default()
}

impl QueueStatus {
    /// The counts of a tally.
    pub(crate) fn of(tally: &crate::queue::Tally) -> Self {
        let of = |state| ByClass::of(|class| tally.of(state, class).bundles);
        Self {
            waiting: of(State::Waiting),
            on_link: of(State::OnLink),
            presumed: of(State::Presumed),
            known: of(State::Known),
            held: of(State::Held),
            damaged: of(State::Damaged),
        }
    }
}
