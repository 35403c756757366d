//! Clocks that drift, step and start again, and packets that are held up.

use super::*;
use proptest::prelude::*;

const BOOTED: u64 = 1_796_000_000_000;

/// A board whose steady clock is `ppm` fast and whose clock of the day is `ahead` ms ahead at its boot.
fn pair(ground_s: u64, ppm: f64, ahead: i64, way_ms: u64) -> TimePair {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
    let steady_ms = (ground_s as f64 * 1000.0 * (1.0 + ppm / 1e6)).round() as u64;
    TimePair {
        boot: 7,
        steady_ms,
        board_unix_ms: (BOOTED + steady_ms).saturating_add_signed(ahead),
        received_unix_ms: BOOTED + ground_s * 1000 + way_ms,
    }
}

#[test]
fn offset_and_drift_are_found_though_two_fifths_of_the_packets_were_held_up() {
    let mut correlation = Correlation::default();
    for i in 0..200_u64 {
        let held_up = if i % 5 < 2 { 40_000 + i * 977 % 90_000 } else { 0 };
        correlation.push(&pair(i * 30, 40.0, 2_500, 20 + i * 7 % 11 + held_up));
    }
    let fit = correlation.fit(7).unwrap();
    let drift = fit.drift_ppm.unwrap();
    assert!((drift - 40.0).abs() < 6.0, "{drift} ppm");
    // 2,500 ahead at the boot, less the way, and what it gained since.
    let expected = 2_500.0 + 0.040 * 199.0 * 30.0 - 25.0;
    assert!((fit.offset_ms - expected).abs() < 25.0, "{} of {expected} ms", fit.offset_ms);
    let ground = fit.ground_unix_ms(pair(3000, 40.0, 0, 0).steady_ms);
    assert!(ground.abs_diff(BOOTED + 3_000_000) < 60, "{ground}");
}

#[test]
fn steps_and_boots_are_noticed_and_a_slew_is_not() {
    let mut correlation = Correlation::default();
    assert_eq!(correlation.push(&pair(10, 0.0, 0, 5)), Noticed::Boot);
    assert_eq!(correlation.push(&pair(1010, 0.0, 400, 5)), Noticed::Nothing, "400 ppm");
    assert_eq!(correlation.push(&pair(1011, 0.0, -3_600_000, 5)), Noticed::Step { ms: -3_600_400 });
    assert_eq!(
        correlation.push(&pair(500, 0.0, 0, 5)),
        Noticed::Nothing,
        "one that is late says nothing new"
    );
    assert_eq!(correlation.push(&pair(1012, 0.0, -3_600_000, 5)), Noticed::Nothing);
    let mut next = pair(1013, 0.0, 0, 5);
    (next.boot, next.steady_ms) = (8, 1000);
    assert_eq!(correlation.push(&next), Noticed::Boot);
    assert_eq!(correlation.boots().collect::<Vec<_>>(), [7, 8]);
    assert_eq!(correlation.settings(7).iter().map(|s| s.step_ms).collect::<Vec<_>>(), [0, -3_600_400]);
    assert_eq!(correlation.fit(8).unwrap().drift_ppm, None, "one pair has no slope");
    // The step moved the clock of the day alone: the steady clock's line goes on.
    assert!((correlation.fit(7).unwrap().offset_ms + 3_600_005.0).abs() < 1.0);
}

#[test]
fn what_is_kept_is_bounded_and_still_reaches_back() {
    let mut correlation = Correlation::default();
    for i in 0..5_000 {
        correlation.push(&pair(i, -10.0, 0, i % 3));
    }
    let fit = correlation.fit(7).unwrap();
    assert!(fit.pairs <= MAX_PAIRS && fit.pairs > MAX_PAIRS / 4);
    assert!((fit.drift_ppm.unwrap() + 10.0).abs() < 1.0, "{fit:?}");
    for boot in 0..100 {
        correlation.push(&TimePair { boot, ..pair(1, 0.0, 0, 0) });
    }
    assert_eq!(correlation.boots().count(), MAX_BOOTS);
}

proptest! {
    #[test]
    fn any_numbers_give_numbers(pairs in proptest::collection::vec(any::<(u8, u64, u64, u64)>(), 1..40)) {
        let mut correlation = Correlation::default();
        for (boot, steady_ms, board_unix_ms, received_unix_ms) in pairs {
            let pair = TimePair { boot: u32::from(boot % 3), steady_ms, board_unix_ms, received_unix_ms };
            correlation.push(&pair);
        }
        for boot in correlation.boots() {
            let fit = correlation.fit(boot).unwrap();
            prop_assert!(fit.offset_ms.is_finite() && fit.spread_ms.is_finite());
            prop_assert!(fit.drift_ppm.is_none_or(f64::is_finite));
            let _any = fit.ground_unix_ms(u64::MAX);
        }
    }
}
