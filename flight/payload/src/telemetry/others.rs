//! What duties beside frames and links have to say in the channels: each fills its part, and a duty that isn't at work
//! leaves it as it is by default.

use passband_proto::dict::{Mode, ParametersState, ResetCause, Shed, UpdateState};

/// The first bytes of what tells one program and its settings from others; 0: not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// Of the commit that it was built from.
    pub git: [u8; 4],
    /// Of the program's SHA-256.
    pub binary: [u8; 4],
    /// Of the configuration file's SHA-256.
    pub configuration: [u8; 4],
    /// Of the dictionary's SHA-256.
    pub dictionary: [u8; 4],
}

/// What duties beside frames and links say. A duty that isn't at work leaves its part as it is by default.
#[derive(Debug, Clone, PartialEq)]
pub struct Others {
    /// How the payload works.
    pub mode: Mode,
    /// What work is left undone.
    pub shed: Shed,
    /// Why the daemon started.
    pub reset_cause: ResetCause,
    /// What the sensors say.
    pub readings: Sensed,
    /// Frames of which parts were shed.
    pub frames_shed: u64,
    /// The uplink's frames.
    pub uplink: UplinkCounts,
    /// What a re-synchronisation of the uplink has to say.
    pub challenge: [u8; 8],
    /// Orders.
    pub orders: OrderCounts,
    /// Plans that run.
    pub plans_running: u64,
    /// Scripts that run.
    pub scripts_running: u64,
    /// The first bytes of the SHA-256 of the parameters that were changed.
    pub parameters: [u8; 4],
    /// Whether they are on trial.
    pub parameters_state: ParametersState,
    /// Where an update stands.
    pub update: UpdateState,
    /// How much of what comes up is there, percent.
    pub upload_percent: u8,
}

impl Default for Others {
    fn default() -> Self {
        Self {
            mode: Mode::Nominal,
            shed: Shed::Nothing,
            reset_cause: ResetCause::Unknown,
            readings: Sensed::default(),
            frames_shed: 0,
            uplink: UplinkCounts::default(),
            challenge: [0; 8],
            orders: OrderCounts::default(),
            plans_running: 0,
            scripts_running: 0,
            parameters: [0; 4],
            parameters_state: ParametersState::Confirmed,
            update: UpdateState::Idle,
            upload_percent: 0,
        }
    }
}

/// What the sensors and the kernel say; none: not known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sensed {
    /// The board's highest temperature, °C.
    pub temperature_c: Option<f32>,
    /// The power that the board takes, W.
    pub power_w: Option<f32>,
    /// Memory that processes may still have, MiB.
    pub memory_free_mib: Option<f32>,
    /// The share of time in which some task waited for memory, percent.
    pub memory_pressure_percent: Option<f32>,
    /// The share of time in which some task waited for a processor, percent.
    pub cpu_pressure_percent: Option<f32>,
    /// The share of time in which some task waited for the disk, percent.
    pub io_pressure_percent: Option<f32>,
    /// Memory of the daemon, MiB.
    pub daemon_memory_mib: Option<f32>,
    /// The share of one core that the daemon uses, percent.
    pub daemon_cpu_percent: Option<f32>,
}

/// The uplink's frames since the start, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UplinkCounts {
    /// Taken.
    pub taken: u64,
    /// Refused in the last minute.
    pub refused_last_minute: u64,
    /// None at all, or damaged.
    pub damaged: u64,
    /// Under a key that isn't known, or retired.
    pub unknown_key: u64,
    /// Their seal didn't hold.
    pub forged: u64,
    /// They came before.
    pub replayed: u64,
    /// Beyond the rate that is taken.
    pub throttled: u64,
}

impl UplinkCounts {
    /// All that were refused.
    pub fn refused(&self) -> u64 {
        let refused = [self.damaged, self.unknown_key, self.forged, self.replayed, self.throttled];
        refused.into_iter().fold(0, u64::saturating_add)
    }
}

/// Orders since the first start, and answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderCounts {
    /// Taken.
    pub taken: u64,
    /// They came again.
    pub repeated: u64,
    /// Refused.
    pub refused: u64,
    /// Failed.
    pub failed: u64,
    /// Answers that nobody acknowledged.
    pub answers_open: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_frames_are_added_up() {
        let counts = UplinkCounts { damaged: 1, forged: 2, throttled: u64::MAX, ..UplinkCounts::default() };
        assert_eq!((counts.refused(), UplinkCounts { taken: 5, ..counts }.refused()), (u64::MAX, u64::MAX));
        assert_eq!(UplinkCounts { taken: 5, replayed: 2, ..UplinkCounts::default() }.refused(), 2);
    }
}
