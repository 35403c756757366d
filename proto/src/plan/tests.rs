use proptest::prelude::*;

use super::*;
use crate::keys::{EpochKey, TagKey};

/// A dictionary of four orders with a number each: `opcode u16 | number u16`.
struct Fake;

const VERBS: [&str; 4] = ["camera on", "camera capture", "camera off", "downlink rate"];
const EVENTS: [&str; 2] = ["frame-taken", "disk-full"];
const CHANNELS: [&str; 2] = ["temperature_c", "battery_v"];

impl Orders for Fake {
    fn encode(&self, words: &str) -> Result<Vec<u8>, String> {
        for (opcode, verb) in (1_u16..).zip(VERBS) {
            if let Some(Ok(number)) = words.strip_prefix(verb).map(|rest| rest.trim().parse::<u16>()) {
                return Ok([opcode.to_be_bytes(), number.to_be_bytes()].concat());
            }
        }
        Err(format!("no order '{words}'"))
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, String> {
        let [0, opcode @ 1..=4, high, low] = *bytes else { return Err("no such order".into()) };
        Ok(format!("{} {}", VERBS[usize::from(opcode) - 1], u16::from_be_bytes([high, low])))
    }

    fn dictionary_digest(&self) -> [u8; 4] {
        *b"fake"
    }

    fn event(&self, name: &str) -> Option<u16> {
        EVENTS.iter().position(|known| *known == name).and_then(|n| u16::try_from(n).ok())
    }

    fn event_name(&self, event: u16) -> Option<String> {
        EVENTS.get(usize::from(event)).map(|name| (*name).to_owned())
    }

    fn channel(&self, name: &str) -> Option<u16> {
        CHANNELS.iter().position(|known| *known == name).and_then(|n| u16::try_from(n).ok())
    }

    fn channel_name(&self, channel: u16) -> Option<String> {
        CHANNELS.get(usize::from(channel)).map(|name| (*name).to_owned())
    }
}

fn key() -> TagKey {
    EpochKey::new(1, 1, [7; 32]).tag_key()
}

fn plan_of(text: &str) -> Plan {
    compile(text, "p", &Fake).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn faults_of(text: &str) -> Vec<String> {
    compile(text, "p", &Fake).unwrap_err().iter().map(ToString::to_string).collect()
}

/// All there is, in the words of the fake dictionary.
const WHOLE: &str = r#"plan morning-pass
version 3
on reboot continue
on late run within 5min else skip

warm-up: at 2026-12-01T10:00:00Z every 1h30min times 16 do camera on 1
    wait for tlm temperature_c >= -5.5 for 10s up to 5min else abort
    on failure retry 3 every 10s then abort
    not after 2026-12-02T10:00:00Z
take: after warm-up +30s do camera capture 7
    on failure abort
after take do camera off 0
every aos "Kongsberg A" -2min times 5 do downlink rate 4
    not after +3min
los any do downlink rate 0
event disk-full at least error do camera off 0
    wait for no pass any up to 10min else run
every when tlm battery_v < 7.2 for 1min do camera off 0
every event any at least critical times 2 do camera off 1
after 10min start cool-down
    wait for pass Svalbard up to 1d else skip
    on failure retry 1 every 0s then continue
"#;

#[test]
fn all_that_a_plan_can_say_is_written_as_it_was_read() {
    let plan = plan_of(WHOLE);
    assert_eq!(write(&plan, &Fake).unwrap(), WHOLE);
    assert_eq!(plan.stations, ["Kongsberg A", "Svalbard"]);
    assert_eq!((plan.orders.len(), plan.entries.len(), plan.find("take")), (6, 9, Some(1)));
}

#[test]
fn it_comes_back_signed_and_not_with_any_flipped_bit_or_other_key() {
    let plan = plan_of(WHOLE);
    let bytes = sign(&plan, 9, &key()).unwrap();
    let signed = SignedPlan::new(&bytes).unwrap();
    assert_eq!((signed.spi(), signed.verify(&key()).as_ref()), (9, Ok(&plan)));
    let other = EpochKey::new(1, 2, [7; 32]).tag_key();
    assert_eq!(signed.verify(&other), Err(PlanError::Signature));
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(SignedPlan::new(&bad).unwrap().verify(&key()), Err(PlanError::Signature));
    }
    assert_eq!(SignedPlan::new(&bytes[..17]).unwrap_err(), PlanError::Short { bytes: 17 });
    let long = vec![0; MAX_PLAN_BYTES + 1];
    assert_eq!(SignedPlan::new(&long).unwrap_err(), PlanError::Long { bytes: long.len() });
}

#[test]
fn all_faults_are_told_with_line_and_what_is_expected() {
    let text = "plan Bad_Name\n\nat 2026-12-01 do camera on 1\n    not sure\nx: after y do camera on 1\n\
                aos \"Sval do camera on 1\nafter 5s every 2s do camera on 1\nafter 5s do fly 1\n\
                x: after 5s start a\nevent nothing do camera on 1\nwhen tlm battery_v ~ 3 do camera on 1\n\
                after 1s do camera on 1\n    on failure retry 0 every 1s\n    wait for pass any\n\
                \x20   wait for pass any up to 1s\non reboot continue\nevery at 2026-12-01T00:00Z do camera on 1\n\
                after 1s start p now\n";
    let faults = faults_of(text);
    let expected = [
        "p:1: 'Bad_Name'; expected a name of 1 to 24 of a-z, 0-9 and -",
        "p:3: '2026-12-01'; expected a UTC time like 2026-12-01T10:00:00Z, of 2000 to 2199",
        "p:4: 'sure'; expected 'after'",
        "p:5: 'y'; expected a span like 90s, or the label of an entry further up",
        "p:6: a quote that isn't closed; expected a second \"",
        "p:7: 'do'; expected 'times'",
        "p:8: order: no order 'fly 1'",
        "p:9: the label 'x' stands twice; expected another label",
        "p:10: 'nothing'; expected 'any' or an event of the dictionary",
        "p:11: '~'; expected <, <=, >, >=, == or !=",
        "p:13: '0'; expected how often to try again, 1 to 100",
        "p:14: the line ends early; expected 'up'",
        "p:15: a second 'wait'; expected one an entry",
        "p:16: 'on reboot' of the whole plan behind an entry; expected it above all entries",
        "p:17: 'every' before a time; expected 'at TIME every SPAN times N'",
        "p:18: 'now'; expected the end of the line",
        "p: the plan has no version; expected a line 'version N'",
    ];
    assert_eq!(faults, expected);
    let many = faults_of(&"x\n".repeat(MAX_FAULTS + 9));
    assert_eq!(many.len(), MAX_FAULTS + 1);
    // The 9 lines, and that there is neither a name nor a version.
    assert_eq!(many.last().unwrap(), "p:51: and 11 more from here on");
    assert_eq!(faults_of(&"x\n".repeat(MAX_FAULTS - 2)).len(), MAX_FAULTS);
    assert_eq!(faults_of("plan p\nversion 1\n"), ["p: it has no entry"]);
    assert_eq!(
        faults_of("plan p\nversion 1\nafter 1s start p\n"),
        ["p:3: the plan starts itself; expected another plan; repeat entries with 'every'"]
    );
    assert_eq!(
        faults_of(
            "plan p\nversion 1\n9x: at never do fly 1\n    on failure retry 2000 every 1s\n    not after +3 minutes\n"
        ),
        [
            "p:3: '9x'; expected a label of a letter and up to 23 of a-z, 0-9 and -",
            "p:3: 'never'; expected a UTC time like 2026-12-01T10:00:00Z, of 2000 to 2199",
            "p:3: order: no order 'fly 1'",
            "p:4: '2000'; expected how often to try again, 1 to 100",
            "p:5: '+3'; expected a UTC time, or a span since it was due like +10min",
        ]
    );
    assert!(faults_of("  not after +1s\n")[0].starts_with("p:1: an indented line with no entry above it"));
}

#[test]
fn a_plan_has_4096_entries_and_no_more() {
    let entries = |count: usize| format!("plan p\nversion 1\n{}", "after 1s do camera on 1\n".repeat(count));
    let plan = plan_of(&entries(MAX_ENTRIES));
    let bytes = sign(&plan, 1, &key()).unwrap();
    assert_eq!(SignedPlan::new(&bytes).unwrap().verify(&key()), Ok(plan));
    let faults = faults_of(&entries(MAX_ENTRIES + 1));
    assert_eq!(
        faults,
        ["p:4099: more than 4096 entries; expected the rest in another plan, started by this one"]
    );
}

/// A week of imaging: each site has its own capture, switches and downlinks are the same every time.
#[test]
fn a_thousand_entries_go_up_in_less_than_twelve_bytes_each() {
    let mut text = vec!["plan week\nversion 1\non failure continue\n".to_owned()];
    let mut unix_ms = 1_796_119_200_000_u64;
    for site in 0..250_u64 {
        unix_ms += 1_000 * (1_800 + site * 37 % 900);
        for (after_s, order) in [(0, "on 1"), (95, &format!("capture {site}")), (180, "off 0"), (200, "on 2")]
        {
            let at = show_utc(unix_ms + after_s * 1_000);
            text.push(format!("at {at} do camera {order}\n"));
        }
    }
    let plan = plan_of(&text.concat());
    let bytes = sign(&plan, 1, &key()).unwrap().len();
    println!("1,000 entries: {bytes} bytes signed, {:.2} an entry", bytes as f64 / 1_000.0);
    assert_eq!(plan.entries.len(), 1_000);
    assert!(bytes < 6_000, "{bytes}: half of what was aimed at, 5 s at 9,600 bit/s");
}

/// What is said of a change to a plan, and the change.
type Break = (&'static str, fn(&mut Plan));

#[test]
fn bytes_that_say_what_no_plan_may_say_are_refused_though_signed() {
    let sound = plan_of(WHOLE);
    let broken: [Break; 9] = [
        ("starts itself", |p| p.plans[0].clone_from(&p.name)),
        ("follows an entry", |p| p.entries[1].trigger = Trigger::Entry { entry: 1, after_ms: 0 }),
        ("stands twice", |p| p.entries[1].label = Some("warm-up".into())),
        ("no entry speaks of", |p| p.orders.push(vec![1])),
        ("in the order in which", |p| p.entries[0].action = Action::Order(3)),
        ("can't repeat", |p| p.entries[0].repeat = Repeat::Each { times: None }),
        ("not 1 to 800 bytes", |p| p.orders[0] = vec![0; 801]),
        ("no condition to begin at", |p| {
            p.entries[0].trigger = Trigger::When(Condition::Pass { station: None, on: true });
        }),
        ("compares with no number", |p| {
            let condition =
                Condition::Channel { channel: 0, compare: Compare::Less, value: f64::NAN, for_ms: 0 };
            p.entries[2].trigger = Trigger::When(condition);
        }),
    ];
    for (what, change) in broken {
        let mut plan = sound.clone();
        change(&mut plan);
        let said = sign(&plan, 1, &key()).unwrap_err().to_string();
        assert!(said.contains(what), "{what}: {said}");
        // What a holder of the key could sign with another program.
        let mut bytes = binary::encode(&plan).unwrap();
        bytes.extend_from_slice(&[0, 1]);
        bytes.extend_from_slice(&key().tag(&bytes));
        assert!(SignedPlan::new(&bytes).unwrap().verify(&key()).is_err(), "{what}");
    }
}

fn signed_bytes(plain: &[u8]) -> Vec<u8> {
    let mut bytes = [plain, &[0, 1]].concat();
    bytes.extend_from_slice(&key().tag(&bytes));
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_damage_that_is_signed_is_refused_or_a_plan_of_one_form(
        at in 0_usize..600, flip in 1_u8.., cut in 0_usize..600, junk in proptest::collection::vec(any::<u8>(), 0..40)
    ) {
        let mut plain = binary::encode(&plan_of(WHOLE)).unwrap();
        let length = plain.len();
        plain[at % length] ^= flip;
        for plain in [plain.clone(), plain[..cut % length].to_vec(), [b"PP\x01\x01".as_slice(), &junk].concat()] {
            if let Ok(plan) = SignedPlan::new(&signed_bytes(&plain)).unwrap().verify(&key()) {
                prop_assert_eq!(binary::encode(&plan).unwrap(), plain);
                if let Ok(text) = write(&plan, &Fake) {
                    prop_assert_eq!(plan_of(&text), plan, "{}", text);
                }
            }
        }
    }

    #[test]
    fn any_text_is_compiled_or_refused_with_its_line(
        words in proptest::collection::vec(0_usize..60, 0..60), junk in "\\PC{0,30}"
    ) {
        let known: Vec<&str> = WHOLE.split_inclusive(['\n', ' ']).collect();
        let mut text = String::from("plan p\nversion 1\n");
        words.iter().for_each(|word| text.push_str(known[word * 7 % known.len()]));
        text.push_str(&junk);
        match compile(&text, "p", &Fake) {
            Ok(plan) => prop_assert_eq!(plan_of(&write(&plan, &Fake).unwrap()), plan),
            Err(faults) => {
                prop_assert!((1..=MAX_FAULTS + 1).contains(&faults.len()));
                prop_assert!(faults.iter().all(|fault| fault.line <= text.lines().count()));
            }
        }
    }
}
