//! The values that count as soon as they are in force: telemetry, commanding, limits and what is done when they are broken.
//!
//! Plain values for duties to read whenever they need one; nothing here says when that is.

use passband_proto::dict::{FixedText, ParameterId, Shed};

use crate::config::{Command, Config, Telemetry};

/// The name of a plan; empty: none.
pub type PlanName = FixedText<24>;

/// What duties read at run time.
#[derive(Debug, Clone)]
pub struct Live {
    /// How often what is sent.
    pub telemetry: Telemetry,
    /// How orders are taken.
    pub command: Command,
    /// The least work that is left undone.
    pub shed: Shed,
    /// The limits of channels.
    pub limits: Limits,
    /// The plans that are started when a channel is red.
    pub actions: Actions,
}

/// Limits of channels: red low, yellow low, yellow high, red high; NaN: there is no such limit.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The board's temperature, °C.
    pub temperature: [f32; 4],
    /// The power that the board takes, W.
    pub power: [f32; 4],
    /// The memory that is left, MiB.
    pub memory_free: [f32; 4],
    /// The room that is left on the disk, MiB.
    pub disk_free: [f32; 4],
    /// The time since the last frame was taken, s.
    pub frame_age: [f32; 4],
    /// The alerts that wait to be heard.
    pub alerts_pending: [f32; 4],
    /// Frames of the uplink refused in the last minute.
    pub uplink_refused: [f32; 4],
}

/// Plans that are started when a channel is beyond a red limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions {
    /// The board's temperature.
    pub temperature: PlanName,
    /// The power that the board takes.
    pub power: PlanName,
    /// The memory that is left.
    pub memory_free: PlanName,
    /// The room that is left on the disk.
    pub disk_free: PlanName,
    /// The time since the last frame was taken.
    pub frame_age: PlanName,
    /// The alerts that wait to be heard.
    pub alerts_pending: PlanName,
    /// Frames of the uplink refused in the last minute.
    pub uplink_refused: PlanName,
}

impl Default for Limits {
    fn default() -> Self {
        let none = f32::NAN;
        Self {
            temperature: [-25.0, -15.0, 75.0, 88.0],
            power: [none, none, 25.0, 30.0],
            memory_free: [128.0, 256.0, none, none],
            disk_free: [256.0, 1024.0, none, none],
            frame_age: [none; 4],
            alerts_pending: [none, none, 20.0, 100.0],
            uplink_refused: [none, none, 20.0, 1000.0],
        }
    }
}

impl Live {
    /// What a configuration file says of them; the rest as the dictionary has it.
    pub fn of(config: &Config) -> Self {
        Self {
            telemetry: config.telemetry.clone(),
            command: config.command.clone(),
            shed: Shed::Automatic,
            limits: Limits::default(),
            actions: Actions::default(),
        }
    }

    /// The limits that a parameter holds, and the plan that is started when they are broken (empty: none); `None` if it
    /// holds none.
    pub fn watch(&self, limits: ParameterId) -> Option<([f32; 4], &str)> {
        let (of, then) = (&self.limits, &self.actions);
        let (limits, plan) = match limits {
            ParameterId::TemperatureLimits => (of.temperature, &then.temperature),
            ParameterId::PowerLimits => (of.power, &then.power),
            ParameterId::MemoryLimits => (of.memory_free, &then.memory_free),
            ParameterId::DiskLimits => (of.disk_free, &then.disk_free),
            ParameterId::FrameAgeLimits => (of.frame_age, &then.frame_age),
            ParameterId::AlertLimits => (of.alerts_pending, &then.alerts_pending),
            ParameterId::RefusedLimits => (of.uplink_refused, &then.uplink_refused),
            _ => return None,
        };
        Some((limits, plan.0.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::dict::{Housekeeping, Packet};

    #[test]
    fn every_channel_with_limits_finds_them() {
        let live = Live::of(&Config::default());
        let named: Vec<_> = Housekeeping::DEF.fields.iter().filter_map(|field| field.limits).collect();
        assert!(named.len() >= 5);
        for id in named {
            assert!(live.watch(id).is_some_and(|(_, plan)| plan.is_empty()), "{id}");
        }
        assert!(live.watch(ParameterId::Wind).is_none());
        assert_eq!(live.watch(ParameterId::DiskLimits).unwrap().0[..2], [256.0, 1024.0]);
    }
}
