use passband_proto::dict::EventCode;
use proptest::prelude::*;

use super::*;

const BOOT: Boot = Boot { id: [1; 16], by_watchdog: false, tried: 7, on_trial: false };

/// Begins starts one after the other; between two of them `end` says what becomes of the record.
fn starts(count: usize, end: impl Fn(Starts) -> Starts, boot: impl Fn(usize) -> Boot) -> Vec<Start> {
    let mut record = None;
    let mut out = Vec::new();
    for n in 0..count {
        let (begun, start) = Starts::begin(record, boot(n), 3);
        out.push(start);
        record = Some(Starts::decode(&end(begun).encode()).unwrap());
    }
    out
}

/// The record after so many starts of which none ended in order.
fn failing(count: usize, boot: Boot, before: Option<Starts>) -> Starts {
    let mut record = before;
    for _ in 0..count {
        record = Some(Starts::begin(record, boot, 3).0);
    }
    record.unwrap()
}

fn safe(starts: &[Start]) -> Vec<bool> {
    starts.iter().map(|start| start.safe.is_some()).collect()
}

#[test]
fn three_failed_starts_lead_to_safe_mode_and_it_stays() {
    let all = starts(8, |died| died, |_| BOOT);
    assert_eq!(safe(&all), [false, false, false, true, true, true, true, true]);
    assert_eq!(all.iter().map(|s| s.feed).collect::<Vec<_>>(), [[true; 6].as_slice(), &[false; 2]].concat());
    assert_eq!((all[3].failures, all[3].number, all[3].before), (3, 4, Before::Failed));
    let codes: Vec<_> = all[7].reports().iter().map(|report| report.code).collect();
    assert_eq!(codes, [EventCode::StartFailed, EventCode::SafeMode, EventCode::WatchdogUnfed]);
    assert!(all[0].reports().is_empty());
}

#[test]
fn orderly_stops_power_cuts_and_deaths_after_a_good_start_are_no_failures() {
    assert!(!safe(&starts(9, Starts::stopped, |_| BOOT)).contains(&true));
    let reset = |n| Boot { id: [u8::try_from(n).unwrap(); 16], ..BOOT };
    let cut = starts(9, |died| died, reset);
    assert!(!safe(&cut).contains(&true) && cut[1..].iter().all(|s| s.before == Before::PowerCut));
    let died = starts(9, Starts::well, |_| BOOT);
    assert!(!safe(&died).contains(&true) && died[1..].iter().all(|s| s.before == Before::Died));
    // Of two failures neither a power cut nor a stop makes none.
    let mixed = starts(5, |died| died, |n| reset(if n < 3 { 0 } else { n }));
    assert_eq!((mixed[2].failures, mixed[3].failures, mixed[3].before), (2, 2, Before::PowerCut));
}

#[test]
fn a_reset_by_the_watchdog_is_a_failure_and_gives_the_board_its_tries_anew() {
    let reset = |n| Boot { id: [u8::try_from(n / 8).unwrap(); 16], by_watchdog: n >= 8, ..BOOT };
    let all = starts(16, |died| died, reset);
    assert_eq!((all[8].before, all[8].safe, all[8].feed), (Before::Watchdog, Some(Cause::Failures), true));
    assert!(!all[7].feed && !all[15].feed && all[13].feed);
}

#[test]
fn safe_mode_ends_by_order_or_with_another_program_or_configuration() {
    let failed = Some(failing(4, BOOT, None));
    let (record, start) = Starts::begin(failed, Boot { tried: 8, ..BOOT }, 3);
    assert_eq!((start.safe, start.tries_again, start.failures), (None, true, 0));
    assert_eq!(start.reports().last().unwrap().code, EventCode::SafeModeOver);
    let again = failing(3, Boot { tried: 8, ..BOOT }, Some(record));
    assert_eq!(again.safe, Some(Cause::Failures), "it failed as well");

    let well = failed.map(Starts::well);
    assert!(Starts::begin(well, BOOT, 3).1.safe.is_some(), "in safe mode all may be well");
    assert_eq!(Starts::begin(well.map(|r| r.ordered(false)), BOOT, 3).1.safe, None);

    let ordered = Starts::begin(None, BOOT, 3).0.ordered(true);
    let (record, start) = Starts::begin(Some(ordered), Boot { tried: 9, id: [3; 16], ..BOOT }, 3);
    assert_eq!((start.safe, start.before), (Some(Cause::Order), Before::Ordered));
    let rebooted = Starts::begin(Some(record.anew()), Boot { tried: 9, id: [4; 16], ..BOOT }, 3).1;
    assert_eq!((rebooted.before, rebooted.reports().len()), (Before::Ordered, 1), "no power cut is told");
    let late = record.anew().well();
    assert_eq!(
        Starts::begin(Some(late), Boot { tried: 9, id: [4; 16], ..BOOT }, 3).1.before,
        Before::Ordered
    );
    let goes_on = record.anew().goes_on();
    assert_eq!(
        Starts::begin(Some(goes_on), Boot { tried: 9, id: [4; 16], ..BOOT }, 3).1.before,
        Before::PowerCut
    );
    assert_eq!(Starts::begin(Some(record.ordered(false)), BOOT, 3).1.safe, None);
}

#[test]
fn switched_off_no_failure_leads_to_safe_mode() {
    let mut record = None;
    for _ in 0..20 {
        let (begun, start) = Starts::begin(record, BOOT, 0);
        assert!(start.safe.is_none() && start.feed);
        record = Some(begun);
    }
    assert_eq!(record.unwrap().failures, 19);
}

/// Starts of which none ends in order, with parameters on trial until they are put back: which of them puts back, and
/// which come up in safe mode.
fn on_trial(safe_after: u32, count: usize) -> (Vec<Option<u32>>, Vec<bool>) {
    let (mut record, mut on_trial, mut all) = (None, true, Vec::new());
    for _ in 0..count {
        let (begun, start) = Starts::begin(record, Boot { on_trial, ..BOOT }, safe_after);
        on_trial &= start.puts_back.is_none();
        record = Some(begun);
        all.push(start);
    }
    (all.iter().map(|start| start.puts_back).collect(), safe(&all))
}

#[test]
fn parameters_on_trial_are_put_back_before_safe_mode_so_that_those_before_have_a_normal_start() {
    assert_eq!(on_trial(3, 4), (vec![None, None, Some(2), None], vec![false, false, false, true]));
    assert_eq!(on_trial(2, 3), (vec![None, Some(1), None], vec![false, false, true]));
    assert_eq!(on_trial(1, 3), (vec![None, Some(1), None], vec![false, false, true]));
    assert_eq!(on_trial(0, 5).0, [None, None, None, Some(3), None]);
    assert_eq!(on_trial(9, 5).0, [None, None, None, Some(3), None]);
    let well = Starts::begin(None, BOOT, 1).0.well();
    assert_eq!(Starts::begin(Some(well), Boot { on_trial: true, ..BOOT }, 1).1.puts_back, None);
    let safe = failing(4, BOOT, None);
    let start = Starts::begin(Some(safe), Boot { on_trial: true, ..BOOT }, 1).1;
    assert_eq!((start.safe, start.puts_back), (Some(Cause::Failures), Some(4)), "it stays");
}

proptest! {
    #[test]
    fn whatever_is_read_is_refused_or_written_back_the_same(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..60),
        shape in any::<bool>(),
    ) {
        if shape {
            bytes.resize(RECORD_BYTES, 1);
            bytes[0] = FORMAT;
        }
        if let Ok(record) = Starts::decode(&bytes) {
            prop_assert_eq!(record.encode(), bytes);
            Starts::begin(Some(record), BOOT, 3).0.encode();
        }
    }
}
