//! What lies ahead: the passes to come, and when what is in the queue will be down by them.

use std::sync::Arc;

use passband_proto::ids::Class;

use crate::daemon::shared::Shared;
use crate::digest::ClassQueue;
use crate::passes::{Pass, PassPlan};
use crate::queue::{Contact, State, when_sent};
use crate::telemetry::Sample;

/// Passes that are looked at to tell when what waits will be down.
const MAX_PASSES: usize = 32;
/// Passes are computed again after so long, ms.
const PASSES_MS: u64 = 600_000;
/// An open end of a pass lies so far ahead, ms.
const OPEN_END_MS: u64 = 7 * 86_400_000;
/// Share of a datagram that isn't content, and of symbols sent to spare: what bytes take on the link beside losses.
const OVERHEAD: f64 = 1.06;

/// What is known of it.
#[derive(Default)]
pub(super) struct Ahead {
    known: Option<KnownPasses>,
}

/// The next passes of a plan.
struct KnownPasses {
    plan: Arc<PassPlan>,
    computed_unix_ms: u64,
    passes: Vec<Pass>,
}

impl Ahead {
    /// The passes that aren't over. Computing them takes a while: it is done when the plan or the time says so.
    pub(super) fn passes(&mut self, shared: &Shared, unix_ms: u64) -> &[Pass] {
        let plan = shared.pass_plan();
        let holds = self.known.as_ref().is_some_and(|known| {
            Arc::ptr_eq(&known.plan, &plan)
                && (known.computed_unix_ms..known.computed_unix_ms.saturating_add(PASSES_MS))
                    .contains(&unix_ms)
        });
        if !holds {
            let passes = plan.next(unix_ms, MAX_PASSES);
            self.known = Some(KnownPasses { plan, computed_unix_ms: unix_ms, passes });
        }
        let Some(known) = &mut self.known else { return &[] };
        known.passes.retain(|pass| pass.los_unix_ms > unix_ms);
        &known.passes
    }

    /// What is to go down, by class, and when it will be.
    pub(super) fn class_queues(&mut self, shared: &Shared, sample: &Sample) -> Vec<ClassQueue> {
        let contacts = self.contacts(shared, sample);
        let cost = OVERHEAD / (1.0 - sample.expected_loss.clamp(0.0, 0.95));
        let mut ahead = 0.0;
        let mut all: Vec<ClassQueue> = shared.queue(|queue| {
            let of =
                |class| (queue.tally().of(State::Waiting, class), queue.tally().of(State::OnLink, class));
            let queue = |class| {
                let (waiting, on_link) = of(class);
                ClassQueue {
                    class,
                    waiting: waiting.bundles,
                    waiting_bytes: waiting.bytes,
                    on_link: on_link.bundles,
                    on_link_bytes: on_link.bytes,
                    down_unix_ms: None,
                }
            };
            Class::ALL.map(queue).to_vec()
        });
        for class in all.iter_mut().filter(|class| class.open() > 0) {
            ahead += class.open_bytes() as f64 * cost;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "such casts saturate"
            )]
            let bytes = ahead as u64;
            class.down_unix_ms = when_sent(sample.unix_ms, &contacts, bytes);
        }
        all
    }

    /// When the transmitter is open: now, and by the plan.
    fn contacts(&mut self, shared: &Shared, sample: &Sample) -> Vec<Contact> {
        let now_unix_ms = sample.unix_ms;
        let open = shared.open_now().map(|open| Contact {
            aos_unix_ms: now_unix_ms,
            los_unix_ms: now_unix_ms.saturating_add(open.left_ms.unwrap_or(OPEN_END_MS)),
            rate_bps: open.rate_bps,
        });
        let configured = shared.config.downlink.rate_bps;
        let planned = self.passes(shared, now_unix_ms).iter().map(|pass| Contact {
            aos_unix_ms: pass.aos_unix_ms,
            los_unix_ms: pass.los_unix_ms,
            rate_bps: pass.rate_bps.unwrap_or(configured),
        });
        open.into_iter().chain(planned).collect()
    }
}
