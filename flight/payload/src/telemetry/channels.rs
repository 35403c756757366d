//! How the payload is at one moment, as the channels of the dictionary.
//!
//! A [`Sample`] is filled by whoever knows; what nobody knows stays at its default, and the channel says so as the
//! dictionary has it (NaN, or the greatest number). Numbers too great for a channel are its greatest one.

use passband_proto::dict::{Beacon, Disk, Housekeeping, Severity};

use super::{Counters, Marks, Others, QueueStatus};

/// Where a channel of 4 bytes says that there is nothing to say.
const NOT_KNOWN: u32 = u32::MAX;
const BYTES_PER_MIB: f64 = 1_048_576.0;

/// How the payload is at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The wall clock, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// Starts of the daemon on this store.
    pub boot_count: u64,
    /// Since this start, s.
    pub uptime_s: u64,
    /// What was done since this start.
    pub counters: Counters,
    /// Bundles by state and class.
    pub queue: QueueStatus,
    /// Alerts that nobody has heard.
    pub alerts_pending: u64,
    /// How the disk does.
    pub disk: Disk,
    /// Room left on it, bytes; none: it couldn't be asked.
    pub free_disk_bytes: Option<u64>,
    /// Bytes of all sealed bundles.
    pub store_bytes: u64,
    /// Since the last frame was taken, s; none: none was since the start.
    pub frame_age_s: Option<u64>,
    /// Whether the transmitter is open.
    pub transmitting: bool,
    /// The fast link's rate, bit/s of UDP payload.
    pub rate_bps: u64,
    /// The share of datagrams that the sender believes to be lost, 0 to 1.
    pub expected_loss: f64,
    /// Until the next AOS by the plan, s; 0 during a pass; none: none is known.
    pub next_aos_s: Option<u64>,
    /// Number of the newest event.
    pub last_event: u64,
    /// The worst event since the last pass ended.
    pub worst: Severity,
    /// What the program is.
    pub marks: Marks,
    /// What other duties say.
    pub others: Others,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            unix_ms: 0,
            boot_count: 0,
            uptime_s: 0,
            counters: Counters::default(),
            queue: QueueStatus::default(),
            alerts_pending: 0,
            disk: Disk::Good,
            free_disk_bytes: None,
            store_bytes: 0,
            frame_age_s: None,
            transmitting: false,
            rate_bps: 0,
            expected_loss: 0.0,
            next_aos_s: None,
            last_event: 0,
            worst: Severity::Info,
            marks: Marks::default(),
            others: Others::default(),
        }
    }
}

impl Sample {
    /// Bundles that wait or are on the link.
    pub fn queue_open(&self) -> u64 {
        self.queue.waiting.total().saturating_add(self.queue.on_link.total())
    }

    /// Every channel.
    pub fn housekeeping(&self) -> Housekeeping {
        let (c, q, o, r) = (&self.counters, &self.queue, &self.others, &self.others.readings);
        Housekeeping {
            mode: o.mode,
            shed: o.shed,
            boot_count: whole(self.boot_count),
            uptime: whole(self.uptime_s),
            temperature: real(r.temperature_c),
            power: real(r.power_w),
            memory_free: real(r.memory_free_mib),
            memory_pressure: real(r.memory_pressure_percent),
            cpu_pressure: real(r.cpu_pressure_percent),
            io_pressure: real(r.io_pressure_percent),
            daemon_memory: real(r.daemon_memory_mib),
            daemon_cpu: real(r.daemon_cpu_percent),
            disk_free: self.free_disk_bytes.map_or(f32::NAN, mib),
            disk: self.disk,
            store: mib(self.store_bytes),
            frame_age: self.frame_age_s.map_or(NOT_KNOWN, below_not_known),
            frames_alert: whole(c.frames_accepted.alert),
            frames_suspect: whole(c.frames_accepted.suspect),
            frames_routine: whole(c.frames_accepted.routine),
            frames_discard: whole(c.frames_accepted.discard_candidate),
            frames_rejected: whole(c.frames_rejected),
            frames_duplicate: whole(c.frames_duplicate),
            frames_shed: whole(o.frames_shed),
            transmitting: self.transmitting.into(),
            rate: self.rate_bps,
            datagrams: c.datagrams_sent,
            sent: c.bytes_sent,
            send_errors: whole(c.send_errors),
            expected_loss: narrow(self.expected_loss),
            waiting_alert: whole(q.waiting.alert),
            waiting_suspect: whole(q.waiting.suspect),
            waiting_routine: whole(q.waiting.routine),
            waiting_discard: whole(q.waiting.discard_candidate),
            on_link: whole(q.on_link.total()),
            presumed: whole(q.presumed.total()),
            known: whole(q.known.total()),
            held: whole(q.held.total()),
            damaged: whole(q.damaged.total()),
            dropped: whole(c.bundles_dropped),
            scrubbed: whole(c.bundles_scrubbed),
            alerts_pending: whole(self.alerts_pending),
            alerts_sent: whole(c.alerts_sent),
            alert_delay: whole(c.alert_delay_ms_max),
            bus_messages: whole(c.bus_messages),
            bus_errors: whole(c.bus_errors),
            reports_taken: whole(c.reports_taken),
            reports_refused: whole(reports_refused(c)),
            uplink_taken: whole(o.uplink.taken),
            uplink_refused: whole(o.uplink.refused_last_minute),
            uplink_damaged: whole(o.uplink.damaged),
            uplink_unknown_key: whole(o.uplink.unknown_key),
            uplink_forged: whole(o.uplink.forged),
            uplink_replayed: whole(o.uplink.replayed),
            uplink_throttled: whole(o.uplink.throttled),
            orders_taken: whole(o.orders.taken),
            orders_repeated: whole(o.orders.repeated),
            orders_refused: whole(o.orders.refused),
            orders_failed: whole(o.orders.failed),
            answers_open: o.orders.answers_open.try_into().unwrap_or(u16::MAX),
            plans_running: o.plans_running.try_into().unwrap_or(u8::MAX),
            scripts_running: o.scripts_running.try_into().unwrap_or(u8::MAX),
            last_event: whole(self.last_event),
            events_throttled: whole(c.events_throttled),
        }
    }

    /// What whoever hears the satellite should know first; `red` and `yellow`: how many channels are beyond limits.
    pub fn beacon(&self, spacecraft: u16, red: usize, yellow: usize) -> Beacon {
        let (o, marks) = (&self.others, &self.marks);
        Beacon {
            spacecraft,
            mode: o.mode,
            reset_cause: o.reset_cause,
            boot_count: whole(self.boot_count),
            uptime: whole(self.uptime_s),
            git: marks.git,
            binary: marks.binary,
            configuration: marks.configuration,
            dictionary: marks.dictionary,
            parameters: o.parameters,
            parameters_state: o.parameters_state,
            shed: o.shed,
            worst: self.worst,
            red: red.try_into().unwrap_or(u8::MAX),
            yellow: yellow.try_into().unwrap_or(u8::MAX),
            last_event: whole(self.last_event),
            temperature: real(o.readings.temperature_c),
            power: real(o.readings.power_w),
            disk_free: self.free_disk_bytes.map_or(0, |bytes| whole(bytes >> 20)),
            disk: self.disk,
            queue_open: whole(self.queue_open()),
            alerts_pending: self.alerts_pending.try_into().unwrap_or(u16::MAX),
            next_aos: self.next_aos_s.map_or(NOT_KNOWN, below_not_known),
            orders_taken: whole(o.orders.taken),
            uplink_refused: whole(o.uplink.refused()),
            challenge: o.challenge,
            update: o.update,
            upload: o.upload_percent,
        }
    }
}

fn reports_refused(c: &Counters) -> u64 {
    let refused = [c.reports_forged, c.reports_replayed, c.reports_malformed, c.reports_odd];
    refused.into_iter().fold(0, u64::saturating_add)
}

fn whole(count: u64) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

/// A number that is known, where the greatest one says that it isn't.
fn below_not_known(seconds: u64) -> u32 {
    whole(seconds).min(NOT_KNOWN - 1)
}

fn real(reading: Option<f32>) -> f32 {
    reading.unwrap_or(f32::NAN)
}

fn mib(bytes: u64) -> f32 {
    narrow(bytes as f64 / BYTES_PER_MIB)
}

#[expect(clippy::cast_possible_truncation, reason = "f32 is what the channel holds")]
fn narrow(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{ByClass, OrderCounts};
    use passband_proto::dict::{Mode, Packet};

    #[test]
    fn what_nobody_knows_is_told_as_not_known() {
        let housekeeping = Sample::default().housekeeping();
        assert!(housekeeping.temperature.is_nan() && housekeeping.disk_free.is_nan());
        assert_eq!((housekeeping.frame_age, housekeeping.mode), (u32::MAX, Mode::Nominal));
        let beacon = Sample::default().beacon(7, 0, 0);
        assert_eq!((beacon.spacecraft, beacon.next_aos, beacon.disk_free), (7, u32::MAX, 0));
        let known = Sample { frame_age_s: Some(u64::MAX), next_aos_s: Some(0), ..Sample::default() };
        assert_eq!(known.housekeeping().frame_age, u32::MAX - 1, "known, if very old");
        assert_eq!(known.beacon(7, 0, 0).next_aos, 0);
    }

    #[test]
    fn great_numbers_are_the_greatest_and_both_packets_fit() {
        let all = u64::MAX;
        let classes = ByClass { alert: all, suspect: all, routine: all, discard_candidate: all };
        let orders = OrderCounts { answers_open: all, taken: all, ..OrderCounts::default() };
        let sample = Sample {
            counters: Counters { frames_accepted: classes, bytes_sent: all, ..Counters::default() },
            free_disk_bytes: Some(all),
            alerts_pending: all,
            others: Others { orders, scripts_running: all, plans_running: all, ..Others::default() },
            ..Sample::default()
        };
        let (housekeeping, beacon) = (sample.housekeeping(), sample.beacon(1, 999, 1));
        assert_eq!((housekeeping.frames_alert, housekeeping.sent), (u32::MAX, all));
        assert_eq!((housekeeping.answers_open, housekeeping.scripts_running), (u16::MAX, u8::MAX));
        assert_eq!((beacon.alerts_pending, beacon.red, beacon.disk_free), (u16::MAX, u8::MAX, u32::MAX));
        let mut out = [0; 1_500];
        let bytes = housekeeping.write(&mut out).unwrap();
        assert_eq!(Housekeeping::read(&out[..bytes]).unwrap().frames_alert, u32::MAX);
        assert_eq!(beacon.write(&mut out), Some(Beacon::DEF.data_bytes()));
    }
}
