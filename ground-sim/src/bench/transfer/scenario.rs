//! What the peers and Passband are put through, and how they fare.

use serde::{Deserialize, Serialize};

use super::losses::Losses;

/// Bytes of an IP packet that are left to whoever sends it over UDP.
pub const DATAGRAM_BYTES: u64 = 1472;

/// What fares how on the way back from the ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Return {
    /// Nothing comes back.
    Dead,
    /// What is sent in a pass comes back at the beginning of the next.
    Late,
    /// It loses as much as the way there.
    Lossy,
}

/// All ways back.
pub const RETURNS: [Return; 3] = [Return::Dead, Return::Late, Return::Lossy];

/// A file to get down, and the passes to do it in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Size of the file.
    pub file_bytes: u64,
    /// Share of datagrams lost, at random.
    pub loss: f64,
    /// Datagrams that a pass carries, of whatever size.
    pub pass_datagrams: u64,
    /// Length of a pass, s.
    pub pass_s: f64,
    /// Time between two passes, s.
    pub gap_s: f64,
    /// Passes after which nobody waits any more.
    pub most_passes: u32,
    /// Seed of the file and of the losses.
    pub seed: u64,
    /// Whether to wait for those that wait by the clock on the wall.
    pub real_time: bool,
}

impl Scenario {
    /// A file twice as long as a pass, 20 % loss.
    #[must_use]
    pub fn new(file_bytes: u64, seed: u64) -> Self {
        Self {
            file_bytes,
            loss: 0.2,
            pass_datagrams: file_bytes.div_ceil(DATAGRAM_BYTES) / 2,
            pass_s: 300.0,
            gap_s: 85.0 * 60.0,
            most_passes: 60,
            seed,
            real_time: true,
        }
    }

    /// What is lost on the way down.
    #[must_use]
    pub fn losses(&self) -> Losses {
        Losses::random(self.loss, 1.0, self.seed)
    }

    /// What is lost on the way back.
    #[must_use]
    pub fn return_losses(&self) -> Losses {
        Losses::random(self.loss, 1.0, self.seed ^ 0xB4C4)
    }

    /// When the `n`-th datagram is sent, seconds from the first one.
    #[must_use]
    pub fn time_s(&self, n: u64) -> f64 {
        let (pass, place) = (n / self.pass_datagrams, n % self.pass_datagrams);
        pass as f64 * (self.pass_s + self.gap_s) + self.pass_s * place as f64 / self.pass_datagrams as f64
    }

    /// In which second of contact, from the first, the `n`-th datagram is sent.
    #[must_use]
    pub fn second(&self, n: u64) -> u64 {
        let a_pass = self.pass_datagrams as f64 / self.pass_s;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of seconds")]
        let second = (n as f64 / a_pass) as u64;
        second
    }

    /// Datagrams that all passes carry.
    #[must_use]
    pub fn patience(&self) -> u64 {
        u64::from(self.most_passes) * self.pass_datagrams
    }
}

/// How somebody fared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Who.
    pub peer: String,
    /// How the way back was; none: the same for all of them.
    pub way_back: Option<Return>,
    /// Bytes of UDP payload sent until the file was down, divided by the file's; none if it never was.
    pub bytes: Option<f64>,
    /// Passes until then.
    pub passes: Option<f64>,
    /// Seconds until then.
    pub seconds: Option<f64>,
    /// What else there is to say.
    pub note: Option<String>,
    /// Whether it could be measured at all.
    pub measured: bool,
}

impl Figures {
    /// The file was down after so many datagrams and bytes.
    #[must_use]
    pub fn down(
        peer: &str,
        way_back: Option<Return>,
        scenario: &Scenario,
        datagrams: u64,
        bytes: u64,
    ) -> Self {
        let last = datagrams.saturating_sub(1);
        Self {
            peer: peer.to_owned(),
            way_back,
            bytes: Some(bytes as f64 / scenario.file_bytes as f64),
            passes: Some((last / scenario.pass_datagrams + 1) as f64),
            seconds: Some(scenario.time_s(last)),
            note: None,
            measured: true,
        }
    }

    /// It never was.
    #[must_use]
    pub fn never(peer: &str, way_back: Option<Return>, note: impl Into<String>) -> Self {
        let peer = peer.to_owned();
        let (bytes, passes, seconds, note) = (None, None, None, Some(note.into()));
        Self { peer, way_back, bytes, passes, seconds, note, measured: true }
    }

    /// These figures, or another's where those are worse; what never came about is worst.
    #[must_use]
    pub fn or_worse(mut self, other: &Self) -> Self {
        let worse = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a.max(b));
        self.bytes = worse(self.bytes, other.bytes);
        self.passes = worse(self.passes, other.passes);
        self.seconds = worse(self.seconds, other.seconds);
        self
    }

    /// It could not be measured.
    #[must_use]
    pub fn not_measured(peer: &str, why: impl Into<String>) -> Self {
        Self { measured: false, ..Self::never(peer, None, why) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_by_in_passes_and_between_them() {
        let scenario = Scenario { pass_datagrams: 100, ..Scenario::new(1 << 20, 1) };
        assert!((scenario.time_s(50) - 150.0).abs() < 1e-9);
        assert!((scenario.time_s(150) - (300.0 + 5100.0 + 150.0)).abs() < 1e-9);
        let figures = Figures::down("p", None, &scenario, 101, 1 << 21);
        assert_eq!((figures.bytes, figures.passes, figures.seconds), (Some(2.0), Some(2.0), Some(5400.0)));
        let later = Figures::down("p", None, &scenario, 99, 3 << 20);
        let worse = figures.clone().or_worse(&later);
        assert_eq!((worse.bytes, worse.passes, worse.seconds), (Some(3.0), Some(2.0), Some(5400.0)));
        assert_eq!(figures.clone().or_worse(&Figures::never("p", None, "")).bytes, None);
        let back: Figures = serde_json::from_str(&serde_json::to_string(&figures).unwrap()).unwrap();
        assert_eq!(back, figures);
    }
}
