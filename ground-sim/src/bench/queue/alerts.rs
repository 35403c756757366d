//! From capture to the alert on the ground: the schedule that flies, a radio that loses messages, a virtual clock.

use anyhow::{Context, Result};
use passband_flight::alerts::Schedule;
use passband_flight::config;
use passband_flight::store::{AlertRecord, FrameId};
use passband_proto::alert::{Alert, fit};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::bench::{Bench, Op, Row, Sink};

const GROUP: &str = "alerts";
const DAY_MS: u64 = 86_400_000;
/// From a frame's last line to its alert at the radio: what the issue of the board's profile allows.
const BOARD_MS: u64 = 2_000;
/// The radio loses so many messages.
const LOSS: f64 = 0.3;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let days = bench.pick(2, 20, 200);
    let mut rng = ChaCha8Rng::seed_from_u64(bench.seed);
    let (mut delays_s, mut crowd_s) = (Vec::new(), Vec::new());
    for _ in 0..days {
        let usual: Vec<u64> = (0..15).map(|_| rng.random_range(0..DAY_MS)).collect();
        delays_s.extend(day(usual, &mut rng)?);
        let at = rng.random_range(0..DAY_MS / 2);
        crowd_s.extend(day((0..20).map(|n| at + n * 3_000).collect(), &mut rng)?);
    }
    let (usual, crowd) = (Spread::of(delays_s), Spread::of(crowd_s));
    let note = format!(
        "6 messages a minute, {:.0} % lost, {} s on the board; 95 %: {:.0} s. With 20 alerts in a minute, over a gas field: \
         median {:.0} s, 95 %: {:.0} s; the surest first",
        LOSS * 100.0,
        BOARD_MS / 1000,
        usual.most_s,
        crowd.median_s,
        crowd.most_s
    );
    let what = "median time from capture to the alert on the ground, 15 alerts a day";
    sink(Row::new(GROUP, what, Some(usual.median_s), "s", Op::AtMost, 60.0).note(note))
}

/// How long alerts took, s.
struct Spread {
    median_s: f64,
    /// For 95 % of them.
    most_s: f64,
}

impl Spread {
    fn of(mut delays_s: Vec<f64>) -> Self {
        delays_s.sort_by(f64::total_cmp);
        let at =
            |hundredths: usize| delays_s.get(delays_s.len() * hundredths / 100).copied().unwrap_or(f64::NAN);
        Self { median_s: at(50), most_s: at(95) }
    }
}

/// How long each alert took, s.
fn day(mut captured_ms: Vec<u64>, rng: &mut impl Rng) -> Result<Vec<f64>> {
    captured_ms.sort_unstable();
    let mut schedule = Schedule::new(&config::Alerts::default());
    let mut heard = vec![None; captured_ms.len()];
    let mut coming = (0..).zip(&captured_ms).peekable();
    let mut now_ms = 0;
    while heard.iter().any(Option::is_none) && now_ms < 3 * DAY_MS {
        while let Some((number, captured)) = coming.next_if(|(_, captured)| **captured + BOARD_MS <= now_ms) {
            schedule.add(now_ms, now_ms, &record(number, *captured + BOARD_MS, rng));
        }
        while let Some(message) = schedule.poll(now_ms) {
            schedule.sent(now_ms, now_ms, message.number).context("an alert that isn't pending")?;
            if rng.random_range(0.0..1.0) >= LOSS {
                let place = heard.get_mut(message.number as usize).context("an alert of that number")?;
                place.get_or_insert(now_ms);
            }
        }
        let coming_ms = coming.peek().map(|(_, captured)| **captured + BOARD_MS);
        let next_ms = schedule.next_ms(now_ms).into_iter().chain(coming_ms).min();
        now_ms = next_ms.unwrap_or(u64::MAX).max(now_ms + 1);
    }
    let took = heard.iter().zip(&captured_ms);
    Ok(took.filter_map(|(heard, captured)| Some((heard.as_ref()? - captured) as f64 / 1e3)).collect())
}

fn record(number: u32, made_ms: u64, rng: &mut impl Rng) -> AlertRecord {
    let alert = Alert {
        number,
        time_unix_ms: made_ms,
        frame: fit(&format!("frame-{number}")),
        gas: fit("ch4"),
        probability_permille: rng.random_range(980..1000),
        peak_ppm_m: 900.0,
        mean_ppm_m: 400.0,
        pixels: 40,
        line: 1,
        sample: 1,
        position: None,
        plumes: 1,
        evidence: None,
    };
    AlertRecord::new(FrameId([0; 12]), &alert, vec![0; 150])
}
