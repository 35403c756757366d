//! What the usual ways without a fountain would do over the same losses: simple, generous models.
//!
//! Each knows for free what its real counterpart has to find out, and none pays for headers, timers or
//! lists of what is missing: they come off better here than they can in the air.

use super::losses::Losses;

/// Passes that are waited for.
const MOST_PASSES: u32 = 200;

/// A way to send packets `0 … n − 1` again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Model {
    /// All packets in order, once each pass; nothing is ever heard back.
    Blind,
    /// The same, but a pass too short for all of it begins where the last one ended.
    Carousel,
    /// What is missing is known after each pass and sent in the next, as often as there is room for it.
    Nak,
}

/// Passes until all `packets` are there with `room` datagrams in each pass, and datagrams sent by then;
/// `None` if that never comes.
pub(super) fn passes(model: Model, packets: usize, room: usize, losses: &mut Losses) -> Option<(u32, u64)> {
    let mut there = vec![false; packets];
    let (mut missing, mut sent, mut place) = (packets, 0_u64, 0);
    for pass in 1..=MOST_PASSES {
        let list: Vec<usize> = match model {
            Model::Nak => (0..packets).filter(|p| !there[*p]).collect(),
            Model::Blind | Model::Carousel => (0..packets).collect(),
        };
        if model != Model::Carousel {
            place = 0;
        }
        for _ in 0..room {
            let packet = list[place % list.len()];
            place += 1;
            let lost = losses.loses(sent);
            sent += 1;
            if !lost && !std::mem::replace(&mut there[packet], true) {
                missing -= 1;
                if missing == 0 {
                    return Some((pass, sent));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_take_as_long_as_probability_says() {
        let run =
            |model, room| passes(model, 100_000, room, &mut Losses::random(0.5, 1.0, 3)).map(|(n, _)| n);
        // 2^-n x 100,000 is below 1 at n = 17, and the last one takes a little longer.
        assert!((15..=24).contains(&run(Model::Blind, 100_000).unwrap()));
        assert!((3..=4).contains(&run(Model::Nak, 100_000).unwrap()));
        assert_eq!(run(Model::Blind, 50_000), None, "half of it never goes out");
        assert!(run(Model::Carousel, 50_000).is_some());
    }
}
