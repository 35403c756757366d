//! What is lost on a way, datagram by datagram.

use crate::emulator::channel::{Channel, ChannelParams, Verdict};

/// What is lost.
#[derive(Debug)]
pub enum Losses {
    /// What a seeded channel loses.
    Channel(Box<Channel>),
    /// The first `lost` of every `period` datagrams.
    Periodic {
        /// Datagrams of a period.
        period: u64,
        /// How many of them are lost.
        lost: u64,
    },
}

impl Losses {
    /// Losses at random, in bursts of `burst_len` on average.
    #[must_use]
    pub fn random(loss: f64, burst_len: f64, seed: u64) -> Self {
        Self::Channel(Box::new(Channel::new(ChannelParams { loss, burst_len, seed, ..Default::default() })))
    }

    /// Whether the `n`-th datagram is lost.
    pub fn loses(&mut self, n: u64) -> bool {
        match self {
            Self::Periodic { period, lost } => n % *period < *lost,
            Self::Channel(channel) => {
                let verdict = channel.send(n, &[]);
                while channel.receive(u64::MAX).is_some() {}
                verdict != Verdict::Delivered
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_those_that_were_asked_for() {
        let mut losses = Losses::random(0.3, 1.0, 1);
        let lost = (0..20_000).filter(|n| losses.loses(*n)).count();
        assert!((5700..6300).contains(&lost), "{lost}");
        let mut losses = Losses::Periodic { period: 7, lost: 3 };
        assert_eq!((0..14).filter(|n| losses.loses(*n)).collect::<Vec<_>>(), [0, 1, 2, 7, 8, 9]);
    }
}
