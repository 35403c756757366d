use super::super::belief::Group;
use super::super::plan::{base_target, pass_limit, value};
use super::*;
use crate::datagram::ESI_LIMIT;

fn geometry(block_count: u32) -> Geometry {
    let tail_bytes = if block_count == 1 { 640 } else { 3200 };
    Geometry { symbol_bytes: 64, block_count, head_bytes: 640, segment_bytes: 6400, tail_bytes }
}

fn planner() -> Planner {
    Planner::new(LossBelief::expecting(0.2), 1)
}

fn k(geometry: &Geometry, block: u32) -> u32 {
    geometry.source_symbols(block).unwrap()
}

const A: BundleId = BundleId([1; 12]);
const B: BundleId = BundleId([2; 12]);

#[test]
fn a_better_rank_goes_first_also_when_it_comes_later() {
    let mut p = planner();
    p.insert(A, Class::Routine, 20, geometry(5), &[]);
    assert!((0..3).all(|_| p.next_run().unwrap().id == A));
    p.insert(B, Class::Alert, 10, geometry(1), &[]);
    assert!((0..2).any(|_| p.next_run().unwrap().id == B), "at once, or after one drip");
}

#[test]
fn ids_are_consecutive_and_the_head_comes_first() {
    let mut p = planner();
    p.insert(A, Class::Routine, 1, geometry(6), &[]);
    let mut next = [0; 6];
    let mut head_first = 0;
    while let Some(run) = p.next_run() {
        assert_eq!(run.first_esi, next[run.block as usize]);
        next[run.block as usize] += run.count;
        if next[1..].iter().all(|n| *n == 0) {
            head_first += run.count;
        }
    }
    assert!(head_first >= 10, "the head's base target comes first");
    assert_eq!(next, [10, 100, 100, 100, 100, 50].map(pass_limit), "until the pass's limit");
}

#[test]
fn all_content_blocks_progress_alike() {
    let mut p = planner();
    p.insert(A, Class::Routine, 1, Geometry { tail_bytes: 6400, ..geometry(130) }, &[]);
    let mut sent = vec![0_u32; 130];
    for _ in 0..9000 {
        let run = p.next_run().unwrap();
        sent[run.block as usize] += run.count;
        let content = &sent[1..129];
        let (least, most) = (content.iter().min().unwrap(), content.iter().max().unwrap());
        assert!(most - least <= 1, "{least} … {most}");
        assert!(sent[129] == 0 || *least > 100, "the next window waits for its turn");
    }
}

#[test]
fn what_was_sent_in_earlier_sessions_counts_and_is_not_sent_again() {
    let mut p = planner();
    p.insert(A, Class::Routine, 1, geometry(1), &[(0, 500, 100)]);
    let run = p.next_run().unwrap();
    assert_eq!(run.first_esi, 500);
    assert!(p.first_tier.is_empty(), "100 symbols for K = 10 are enough");
}

#[test]
fn every_bundle_is_brought_to_its_target_before_any_climbs() {
    let mut p = planner();
    for (i, class) in (0..).zip([Class::DiscardCandidate, Class::Alert, Class::Routine, Class::Suspect]) {
        p.insert(BundleId([i; 12]), class, u64::from(i), geometry(u32::from(i) + 1), &[]);
    }
    loop {
        let before = p.first_tier.len();
        let run = p.next_run().unwrap();
        let plan = p.get(&run.id).unwrap();
        if before > 0 && p.first_tier.is_empty() {
            for (id, plan) in &p.plans {
                let enough = base_target(plan.class);
                assert!(*id == run.id || p.presumed(plan) >= enough, "{id}: {}", p.presumed(plan));
            }
            break;
        }
        assert!(run.block == 0 || plan.is_at_base());
    }
}

#[test]
fn left_over_capacity_prefers_value_and_a_new_pass_opens_everything_again() {
    let mut p = planner();
    p.insert(A, Class::DiscardCandidate, 1, geometry(1), &[]);
    p.insert(B, Class::Routine, 2, geometry(1), &[]);
    let mut first_climbers = Vec::new();
    while p.next_run().is_some() {
        if let Some(id) = p.climbing
            && first_climbers.last() != Some(&id)
        {
            first_climbers.push(id);
        }
    }
    assert_eq!(first_climbers.first(), Some(&B), "the routine bundle is worth more");
    assert!(first_climbers.contains(&A));
    p.begin_pass();
    assert!(p.next_run().is_some());
}

#[test]
fn periodic_loss_starves_no_block() {
    for period in 2..80_u64 {
        let mut p = planner();
        p.insert(A, Class::Routine, 1, geometry(9), &[]);
        let mut got = [0_u32; 9];
        let mut datagram = 0_u64;
        while let Some(run) = p.next_run() {
            for _ in 0..run.count {
                datagram += 1;
                // Loses the first half of every period.
                if datagram % period >= period / 2 {
                    got[run.block as usize] += 1;
                }
            }
        }
        for (block, n) in (0..).zip(&got) {
            let k = k(&geometry(9), block);
            assert!(*n >= k + 2, "period {period}, block {block}: {n} of {k}");
        }
    }
}

#[test]
fn small_bundles_are_spread_out_so_that_no_burst_takes_all_of_one() {
    let mut p = planner();
    for i in 0..100 {
        p.insert(BundleId([i; 12]), Class::Routine, u64::from(i), geometry(1), &[]);
    }
    p.insert(BundleId([100; 12]), Class::Routine, 100, geometry(90), &[]);
    let mut at: BTreeMap<BundleId, Vec<u32>> = BTreeMap::new();
    let mut datagram: u32 = 0;
    while let Some(run) = p.next_run().filter(|_| datagram < 9000) {
        at.entry(run.id).or_default().extend((0..run.count).map(|i| datagram + i));
        datagram += run.count;
    }
    assert_eq!(at.len(), 101);
    for at in at.values() {
        for start in (0..8000).step_by(10) {
            let left = at.iter().filter(|t| !(start..start + 500).contains(*t)).count();
            assert!(left >= 11, "a burst of 500 at {start} leaves {left} of K = 10");
        }
    }
}

#[test]
fn the_head_of_a_large_bundle_outlasts_a_burst_that_takes_all_of_its_first_turn() {
    let mut p = planner();
    p.insert(A, Class::Routine, 1, geometry(90), &[]);
    let (mut content, mut dripped) = (0, 0);
    while dripped < 12 {
        let run = p.next_run().unwrap();
        match run.block {
            0 if content > 0 => dripped += run.count,
            0 => {}
            _ => content += run.count,
        }
    }
    assert!(content < 90 * 100 / 20, "within the first twentieth: {content}");
}

#[test]
fn presumed_rises_with_what_is_sent() {
    let mut p = planner();
    p.insert(A, Class::Routine, 1, geometry(4), &[]);
    let mut last = p.presumed(p.get(&A).unwrap());
    assert!(last < 1e-3);
    while p.next_run().is_some() {
        let now = p.presumed(p.get(&A).unwrap());
        assert!(now >= last - 1e-12);
        last = now;
    }
    assert!(last > 0.9999);
}

fn say(p: &mut Planner, number: u64, need: &[u32], as_of: u32) -> bool {
    let words = (0..).zip(need.iter().map(|need| Heard { station: 1, number, as_of, need: *need }));
    p.hear(&A, words)
}

#[test]
fn a_report_leaves_only_what_is_missing_and_a_whole_bundle_costs_nothing_more() {
    let mut p = planner();
    p.insert(A, Class::Routine, 1, geometry(4), &[]);
    for _ in 0..40 {
        p.next_run().unwrap();
    }
    let as_of = p.get(&A).unwrap().blocks()[1].next_esi;
    assert!(say(&mut p, 1, &[0, 0, 20, 0], as_of));
    let mut sent = [0; 4];
    while !p.first_tier.is_empty() {
        let run = p.next_run().unwrap();
        sent[run.block as usize] += run.count;
    }
    assert_eq!((sent[0], sent[1], sent[3]), (0, 0, 0));
    assert!((21..60).contains(&sent[2]), "{sent:?}");
    assert!(say(&mut p, 2, &[0; 4], as_of));
    assert!(p.get(&A).unwrap().is_whole());
    p.begin_pass();
    assert_eq!(p.next_run(), None);
    // Revoked: the ground lost its store.
    assert!(say(&mut p, 3, &[11, 101, 101, 51], as_of));
    assert!(p.next_run().is_some());
}

#[test]
fn an_older_report_and_a_worse_one_of_another_station_change_nothing() {
    let mut p = planner();
    p.insert(A, Class::Routine, 1, geometry(1), &[]);
    while p.next_run().is_some() {}
    assert!(say(&mut p, 5, &[3], 20));
    assert!(!say(&mut p, 5, &[3], 20));
    assert!(!say(&mut p, 4, &[0], 20));
    let other = |need, as_of| std::iter::once((0, Heard { station: 2, number: 1, as_of, need }));
    assert!(!p.hear(&A, other(9, 20)));
    assert!(p.hear(&A, other(1, 20)));
    assert!(!p.hear(&B, other(1, 20)), "not in the plan");
}

#[test]
fn a_station_that_hands_over_does_not_leave_its_wants_behind() {
    let mut p = planner();
    p.insert(A, Class::Routine, 1, Geometry { head_bytes: 6400, ..geometry(1) }, &[]);
    while p.next_run().is_some() {}
    let block = |p: &Planner| p.get(&A).unwrap().blocks()[0];
    let word = |station, number, need, as_of| (0, Heard { station, number, as_of, need });
    let tell = |p: &mut Planner, word: (u32, Heard)| p.hear(&A, std::iter::once(word));
    // Station 2 heard little and sets; station 1 rises later, lacks five as of now, and goes on listening.
    assert!(tell(&mut p, word(2, 1, 87, 13)));
    let now = block(&p).next_esi;
    assert!(tell(&mut p, word(1, 1, 5, now)), "it lacks less");
    assert_eq!((block(&p).need(), block(&p).counted()), (5, 0));
    assert!(!p.first_tier.is_empty(), "and gets it");
    // One that has just risen lacks all, which changes nothing while the other is heard.
    assert!(!tell(&mut p, word(3, 1, 101, 0)));
    // The other falls silent: now it does.
    for number in 2..30 {
        tell(&mut p, word(3, number, 101, 0));
    }
    assert_eq!(block(&p).need(), 101);
    assert_eq!(block(&p).counted(), block(&p).sent, "all that was sent since the first id");
    // Whole at one is down, whatever others say, until that one takes it back.
    assert!(tell(&mut p, word(2, 2, 0, 13)));
    assert!(!tell(&mut p, word(3, 40, 101, 0)) && p.get(&A).unwrap().is_whole());
    assert!(tell(&mut p, word(2, 3, 9, now)) && !p.get(&A).unwrap().is_whole());
}

#[test]
fn who_begins_to_listen_in_the_middle_gets_the_head_too() {
    for percent_late in [2, 30, 50] {
        let mut p = planner();
        let g =
            Geometry { head_bytes: 64 * 25, segment_bytes: 64 * 1000, tail_bytes: 64 * 1000, ..geometry(12) };
        p.insert(A, Class::Routine, 1, g, &[]);
        let mut order = Vec::new();
        while !p.first_tier.is_empty() {
            if let Some(run) = p.next_run() {
                order.extend(std::iter::repeat_n(run.block, run.count as usize));
            }
        }
        let heads = order.iter().filter(|block| **block == 0).count();
        assert!(heads < 150 + order.len() / 180, "{heads} of {}", order.len());
        let from = order.len() * percent_late / 100;
        // Also where losses are periodic.
        for (period, phase) in (5..70).flat_map(|period| (0..period).map(move |phase| (period, phase))) {
            let heard = |(i, block): &(usize, &u32)| **block == 0 && i % period != phase;
            let heard = order[from..].iter().enumerate().filter(heard).count();
            assert!(heard >= 25, "{heard} from {percent_late} % on, {phase} of {period} lost");
        }
    }
}

#[test]
fn ids_that_a_crash_left_unused_are_not_taken_for_sent_ones() {
    let mut p = planner();
    // 1,000 ids reserved, 600 known to have been sent.
    p.insert(A, Class::Routine, 1, Geometry { head_bytes: 6400, ..geometry(1) }, &[(0, 1000, 600)]);
    let counted_as_of = |p: &mut Planner, number, as_of| {
        assert!(say(p, number, &[90], as_of));
        p.get(&A).unwrap().blocks()[0].counted()
    };
    assert_eq!(counted_as_of(&mut p, 1, 600), 0);
    assert_eq!(counted_as_of(&mut p, 2, 200), 400);
    p.begin_pass();
    let mut after = 0;
    while after < 50 {
        after += p.next_run().unwrap().count;
    }
    assert_eq!(p.get(&A).unwrap().blocks()[0].counted(), 400 + after, "what is sent since counts");
    assert_eq!(counted_as_of(&mut p, 3, 1000), after);
    assert_eq!(counted_as_of(&mut p, 4, 1000 + after), 0);
}

#[test]
fn on_a_link_that_is_always_open_ids_last_for_months() {
    let mut p = planner().always_open(true);
    p.insert(A, Class::Routine, 1, geometry(1), &[]);
    let mut sent = 0;
    // A pass a minute: two weeks.
    for _ in 0..14 * 24 * 60 {
        p.begin_pass();
        while let Some(run) = p.next_run() {
            sent += run.count;
        }
    }
    assert!((ESI_LIMIT / 2..ESI_LIMIT - 100_000).contains(&sent), "{sent}");
}

#[test]
fn bundles_of_thousands_of_blocks_go_window_by_window_and_end() {
    let mut p = planner();
    let g = Geometry { head_bytes: 100, segment_bytes: 128, tail_bytes: 128, ..geometry(5000) };
    p.insert(A, Class::Routine, 1, g, &[]);
    let mut sent = 0_u64;
    while !p.first_tier.is_empty() {
        sent += u64::from(p.next_run().map_or(0, |run| run.count));
    }
    assert!(p.presumed(p.get(&A).unwrap()) >= 0.8);
    assert!(sent > 10_000 && sent < 200_000, "{sent}");
}

#[test]
fn a_block_whose_ids_are_used_up_gets_no_more() {
    let mut p = planner();
    p.insert(A, Class::Routine, 1, geometry(1), &[(0, ESI_LIMIT - 5, 3)]);
    let mut count = 0;
    while let Some(run) = p.next_run() {
        count += run.count;
        assert!(run.first_esi + run.count <= ESI_LIMIT);
    }
    assert_eq!(count, 5);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Send(u16),
        Offer(u8, u32, u8),
        Withdraw(u8),
        Pass,
        Report { id: u8, need: u32, as_of: u32, station: u16, number: u64 },
        Link(u32, u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1..600_u16).prop_map(Step::Send),
            2 => (0..4_u8, 1..6_u32, 0..4_u8).prop_map(|(id, blocks, class)| Step::Offer(id, blocks, class)),
            1 => (0..4_u8).prop_map(Step::Withdraw),
            1 => Just(Step::Pass),
            3 => (0..4_u8, 0..120_u32, 0..700_u32, 0..3_u16, 0..20_u64).prop_map(
                |(id, need, as_of, station, number)| Step::Report { id, need, as_of, station, number }
            ),
            1 => (1..100_000_u32, 0..100_000_u32).prop_map(|(span, heard)| Step::Link(span, heard.min(span))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

        /// Whatever happens in whatever order: ids never repeat and are consecutive, no pass limit is passed,
        /// nothing that is known to be whole is sent, and the link is idle only when nothing can be improved.
        #[test]
        fn never_idle_never_twice(steps in proptest::collection::vec(step(), 1..60)) {
            let mut p = planner();
            let mut next: BTreeMap<(BundleId, u32), u32> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Send(runs) => for _ in 0..runs {
                        let Some(run) = p.next_run() else {
                            for plan in p.plans.values() {
                                let open = (0..).zip(plan.blocks()).any(|(block, b)| {
                                    b.need() > 0
                                        && b.in_pass < pass_limit(k(&plan.geometry, block))
                                });
                                prop_assert!(!open, "idle with room left");
                            }
                            break;
                        };
                        let at = next.entry((run.id, run.block)).or_default();
                        prop_assert_eq!(run.first_esi, *at);
                        prop_assert!(run.count > 0);
                        *at += run.count;
                        let b = p.get(&run.id).unwrap().blocks()[run.block as usize];
                        prop_assert!(b.need() > 0, "sent though it is whole");
                    },
                    Step::Offer(id, blocks, class) => {
                        let id = BundleId([id; 12]);
                        if p.get(&id).is_none() {
                            let marks: Vec<_> = next.iter().filter(|((of, _), _)| *of == id)
                                .map(|((_, block), esi)| (*block, *esi, esi / 2)).collect();
                            let class = Class::from_code(class).unwrap_or(Class::Routine);
                            p.insert(id, class, u64::from(blocks), geometry(blocks), &marks);
                        }
                    }
                    Step::Withdraw(id) => p.remove(&BundleId([id; 12])),
                    Step::Pass => p.begin_pass(),
                    Step::Report { id, need, as_of, station, number } => {
                        let id = BundleId([id; 12]);
                        let blocks = p.get(&id).map_or(0, |plan| plan.blocks().len());
                        let heard = Heard { station, number, as_of, need };
                        let words = (0..).zip(std::iter::repeat_n(heard, blocks));
                        p.hear(&id, words);
                    }
                    Step::Link(span, heard) => {
                        p.observe(&Observation { station: 1, first_seq: u64::from(span), span, heard });
                    }
                }
            }
        }

        /// Wherever a pass ends early, no lower class was begun before a higher one reached its target.
        #[test]
        fn an_early_end_leaves_the_better_ranks_ahead(end in 1..4000_u32, blocks in 1..6_u32) {
            let mut p = planner();
            for rank in 0..4_u8 {
                let class = Class::from_code(rank).unwrap();
                p.insert(BundleId([rank; 12]), class, u64::from(rank), geometry(blocks), &[]);
            }
            let mut sent = 0;
            while let Some(run) = p.next_run().filter(|_| sent < end) {
                sent += run.count;
            }
            let reached = |plan: &Plan| p.presumed(plan) >= base_target(plan.class);
            let begun = |plan: &Plan| plan.blocks().iter().any(|b| b.sent > 0);
            let first_open = p.plans.values().position(|plan| !reached(plan)).unwrap_or(4);
            prop_assert!(!p.plans.values().skip(first_open + 1).any(begun), "classes are not mixed");
        }
    }
}

/// The most that `left` symbols can add up to, shared out among bundles of so many symbols and so great a
/// value, each with as many as it has already: tries every way.
fn best_split(belief: &LossBelief, bundles: &[(u32, f64, u32)], left: u32) -> f64 {
    let Some(((need, worth, sent), others)) = bundles.split_first() else { return 0.0 };
    let worth_with = |more: u32| {
        let sent = sent + more;
        worth * belief.all_down(&[Group { need: *need, sent, count: 1 }])
    };
    if others.is_empty() {
        return worth_with(left);
    }
    (0..=left).map(|more| worth_with(more) + best_split(belief, others, left - more)).fold(0.0, f64::max)
}

#[test]
fn whenever_the_pass_ends_hardly_any_other_split_would_have_been_worth_more() {
    use Class::{Alert, DiscardCandidate, Routine, Suspect};
    let mut worst: f64 = 0.0;
    for bundles in [
        [(10, Routine), (10, Routine), (10, Routine)],
        [(10, Alert), (20, Suspect), (30, Routine)],
        [(30, Alert), (10, DiscardCandidate), (12, Suspect)],
        [(60, Suspect), (8, Routine), (25, Routine)],
    ] {
        let mut p = planner();
        for (i, (need, class)) in (1_u8..).zip(bundles) {
            let bytes = need * 64;
            let geometry =
                Geometry { head_bytes: bytes, segment_bytes: bytes, tail_bytes: bytes, ..geometry(1) };
            p.insert(BundleId([i; 12]), class, u64::from(i), geometry, &[]);
        }
        let standing = |p: &Planner| -> Vec<(u32, f64, u32)> {
            let of = |(i, (need, class)): (u8, (u32, Class))| {
                let block = p.get(&BundleId([i; 12])).unwrap().blocks().first().unwrap();
                (need, value(class), block.next_esi)
            };
            (1_u8..).zip(bundles).map(of).collect()
        };
        while !p.first_tier.is_empty() {
            p.next_run().unwrap();
        }
        let base = standing(&p);
        let mut left = 0;
        while left < 40 {
            left += p.next_run().unwrap().count;
            let ours = best_split(&p.belief, &standing(&p), 0);
            let best = best_split(&p.belief, &base, left);
            worst = worst.max((best - ours) / best);
        }
    }
    assert!(worst < 0.02, "{worst}");
}
