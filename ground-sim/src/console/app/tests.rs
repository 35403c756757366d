//! The console at its keys, with a model of what gives the orders.

use super::super::commanding::Outgoing;
use super::*;
use crate::uplink::hold::ARM_MS;
use proptest::prelude::*;

#[derive(Default)]
struct Model {
    given: Vec<(Mode, String)>,
    refuses: bool,
    /// Whether the satellite is silent.
    silent: bool,
    /// Steps that don't leave.
    waits: &'static [Mode],
    taken_back: Vec<u32>,
    /// For how long what is armed stays so, by the satellite's word.
    left_ms: Option<u64>,
}

impl Commanding for Model {
    fn source(&self) -> u16 {
        2
    }

    fn key(&self) -> Option<(u16, String)> {
        Some((1, "operator, SPI 2".to_owned()))
    }

    fn send(&mut self, step: Mode, order: &Order) -> Result<u32, String> {
        if self.refuses {
            return Err("no room".to_owned());
        }
        self.given.push((step, order.to_string()));
        Ok(u32::try_from(self.given.len()).unwrap())
    }

    fn step(&self, number: u32) -> StepState {
        let step = self.given[number as usize - 1].0;
        match (step == Mode::Arm, self.silent, self.waits.contains(&step)) {
            _ if self.taken_back.contains(&number) => StepState::Over("dropped".to_owned()),
            (_, _, true) => StepState::Waits("waiting".to_owned()),
            (true, false, _) => StepState::Armed(self.left_ms),
            _ => StepState::Sent("sent once".to_owned()),
        }
    }

    fn take_back(&mut self, number: u32) -> Result<String, String> {
        self.taken_back.push(number);
        let waits = self.waits.contains(&self.given[number as usize - 1].0);
        Ok(if waits { "taken back: it was never sent" } else { "too late: it was sent once" }.to_owned())
    }

    fn outgoing(&self) -> Vec<Outgoing> {
        Vec::new()
    }
}

fn type_in(app: &mut App, model: &mut Model, text: &str, now_ms: u64) {
    for c in text.chars() {
        app.key(if c == '\n' { Key::Enter } else { Key::Char(c) }, now_ms, model);
    }
}

#[test]
fn a_typo_is_told_and_the_line_stays_to_be_mended() {
    let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model::default());
    type_in(&mut app, &mut model, "pass start 3oo", 0);
    assert!(app.draft().error.as_ref().unwrap().contains("is not a whole number"), "as it is typed");
    type_in(&mut app, &mut model, "\n", 0);
    assert_eq!((app.entry().text().as_str(), app.message().1), ("pass start 3oo", Tone::Error));
    (0..2).for_each(|_| app.key(Key::Backspace, 0, &mut model));
    type_in(&mut app, &mut model, "00\n", 0);
    assert_eq!(model.given, [(Mode::Run, "pass start 300 --rate 0".to_owned())]);
    assert_eq!(app.take_written(), ["pass start 300"]);
}

#[test]
fn a_hazardous_order_takes_both_prompts() {
    let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model::default());
    type_in(&mut app, &mut model, "board reboot\n", 1000);
    assert!(model.given.is_empty() && matches!(app.guard(), Some(Guard::ToArm(_))));
    type_in(&mut app, &mut model, "y", 2000);
    assert_eq!(model.given.len(), 1);
    assert_eq!(app.guard().unwrap().left_ms(12_000), Some(50_000));
    model.left_ms = Some(20_000);
    app.tick(2100, &model);
    assert_eq!(app.guard().unwrap().left_ms(2100), Some(20_000), "by the satellite's word");
    type_in(&mut app, &mut model, "fire\n", 3000);
    assert_eq!(model.given.len(), 1, "in capitals");
    (0..4).for_each(|_| app.key(Key::Backspace, 3000, &mut model));
    type_in(&mut app, &mut model, "FIRE\n", 4000);
    assert_eq!(model.given.last().unwrap(), &(Mode::Fire, "board reboot".to_owned()));
    app.tick(4000, &model);
    assert!(app.guard().is_none() && app.message().0.contains("sent once"), "{:?}", app.message());
}

#[test]
fn escape_takes_back_what_has_not_left_and_says_if_it_was_too_late() {
    let (mut app, mut model) =
        (App::new(Vec::new(), ARM_MS), Model { waits: &[Mode::Arm, Mode::Fire], ..Model::default() });
    type_in(&mut app, &mut model, "board reboot\ny", 0);
    assert!(matches!(app.guard(), Some(Guard::ToFire { arming: Some(_), .. })), "arming, not armed");
    app.key(Key::Escape, 1, &mut model);
    assert_eq!((app.message().0, &model.taken_back[..]), ("1: taken back: it was never sent", &[1][..]));
    model.waits = &[];
    type_in(&mut app, &mut model, "board reboot\ny", 10);
    app.tick(11, &model);
    assert!(matches!(app.guard(), Some(Guard::ToFire { arming: None, .. })), "armed");
    // The firing waits, and goes with what was armed.
    model.waits = &[Mode::Fire];
    type_in(&mut app, &mut model, "FIRE\n", 12);
    assert!(matches!(app.guard(), Some(Guard::Fired { number: 3, armed: 2, .. })), "{:?}", app.guard());
    app.key(Key::Escape, 13, &mut model);
    assert!(app.guard().is_none() && model.taken_back == [1, 3, 2]);
    assert_eq!(app.message(), ("3: taken back: it was never sent", Tone::Warning));
    type_in(&mut app, &mut model, "board reboot\nyFIRE\n", 14);
    model.waits = &[];
    app.key(Key::Escape, 15, &mut model);
    assert!(
        app.guard().is_none() && model.taken_back == [1, 3, 2],
        "it has left: there is nothing to take back"
    );
    model = Model::default();
    type_in(&mut app, &mut model, "board reboot\ny", 20);
    app.key(Key::Escape, 21, &mut model);
    assert!(app.message().0.contains("too late"), "{:?}", app.message());
}

#[test]
fn nothing_is_fired_before_the_satellite_has_said_that_it_is_armed() {
    let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model { silent: true, ..Model::default() });
    type_in(&mut app, &mut model, "board reboot\nyFIRE\n", 1000);
    assert_eq!(model.given.len(), 1);
    assert!(app.message().0.contains("it isn't armed yet: sent once"), "{:?}", app.message());
    model.silent = false;
    type_in(&mut app, &mut model, "\n", 2000);
    assert_eq!(model.given.last().unwrap(), &(Mode::Fire, "board reboot".to_owned()));
}

#[test]
fn of_two_keys_one_console_arms_and_another_fires() {
    let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model::default());
    type_in(&mut app, &mut model, "keys retire 3\n", 0);
    assert!(app.guard().is_some_and(Guard::takes_two_keys), "{:?}", app.message());
    type_in(&mut app, &mut model, "y", 0);
    assert!(app.guard().is_none(), "whoever armed it can't fire it");
    type_in(&mut app, &mut model, "keys retire 3\nfFIRE\n", 0);
    assert_eq!(model.given.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [Mode::Arm, Mode::Fire]);
}

#[test]
fn giving_up_the_time_or_a_refusal_ends_it() {
    let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model::default());
    type_in(&mut app, &mut model, "board reboot\nn", 0);
    assert!(app.guard().is_none() && model.given.is_empty());
    type_in(&mut app, &mut model, "board reboot\ny", 0);
    app.tick(ARM_MS, &model);
    assert!(app.guard().is_none() && app.message().0.contains("its time was over before it was fired"));
    type_in(&mut app, &mut model, "board reboot\ny", 0);
    type_in(&mut app, &mut model, "FIR", 10);
    type_in(&mut app, &mut model, "E\n", ARM_MS);
    assert!(model.given.iter().all(|(step, _)| *step == Mode::Arm), "what is typed too late is a new line");
    app.key(Key::Escape, ARM_MS, &mut model);
    model.refuses = true;
    type_in(&mut app, &mut model, "board reboot\ny", 0);
    assert!(app.guard().is_none() && app.message().0.contains("NOT given: no room"));
}

#[test]
fn what_is_pasted_gives_nothing() {
    let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model::default());
    app.paste("ping\nsafe enter\n");
    assert_eq!((app.entry().text().as_str(), model.given.len()), ("ping safe enter", 0));
    app.key(Key::Ctrl('u'), 0, &mut model);
    type_in(&mut app, &mut model, "board reboot\ny", 0);
    app.paste("FIRE\n");
    app.key(Key::Enter, 1, &mut model);
    assert_eq!(model.given.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_is_fired_but_what_was_armed_before(keys in prop::collection::vec(0..8_u8, 0..120)) {
        let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model::default());
        for (at, key) in keys.into_iter().enumerate() {
            let now_ms = at as u64 * 5000;
            match key {
                0 => type_in(&mut app, &mut model, "board reboot\n", now_ms),
                1 => type_in(&mut app, &mut model, "y", now_ms),
                2 => type_in(&mut app, &mut model, "FIRE", now_ms),
                3 => app.key(Key::Enter, now_ms, &mut model),
                4 => app.key(Key::Escape, now_ms, &mut model),
                5 => app.paste("FIRE\n"),
                6 => type_in(&mut app, &mut model, "ping\n", now_ms),
                _ => app.key(Key::Tab, now_ms, &mut model),
            }
        }
        let mut armed = false;
        for (step, _) in &model.given {
            prop_assert!(*step != Mode::Fire || armed);
            armed = *step == Mode::Arm;
        }
    }
}

#[test]
fn a_key_of_another_spacecraft_than_is_heard_is_named() {
    let (mut app, mut model) = (App::new(Vec::new(), ARM_MS), Model::default());
    for (heard, says) in [(None, false), (Some(1), false), (Some(7), true)] {
        app.set_spacecraft(heard);
        type_in(&mut app, &mut model, "ping\n", 0);
        let (said, tone) = app.message();
        assert_eq!(said.contains("[operator, SPI 2] is of spacecraft 1, and telemetry of 7"), says, "{said}");
        assert_eq!(tone == Tone::Warning, says);
    }
}
