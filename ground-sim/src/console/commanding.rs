//! How orders leave the console. The console knows nothing of keys, frames or repetition: all that is behind this trait.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use passband_proto::dict::{Hazard, Order};
use passband_proto::packet::Mode;

use crate::screen::draft;

/// An order that was given here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its number.
    pub number: u32,
    /// Whether it was to be run, armed or fired.
    pub step: Mode,
    /// The order's words.
    pub words: String,
    /// What became of it on the ground, such as "waits for the link" or "sent 3 times".
    pub state: String,
}

/// How far a step of a hazardous order has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// It hasn't left, with what it waits for.
    Waits(String),
    /// It was sent, and isn't answered.
    Sent(String),
    /// The satellite has said that it is armed, still for so long, ms, if that is known.
    Armed(Option<u64>),
    /// Nothing more becomes of it, with how it ended.
    Over(String),
}

/// Gives orders to the satellite.
pub trait Commanding {
    /// By which way they go: the security association that answers name.
    fn source(&self) -> u16;

    /// The key that orders go under: its spacecraft, and what it is called; none: there is none.
    fn key(&self) -> Option<(u16, String)> {
        None
    }

    /// Takes an order over, as a whole, and gives its number; from then on it is sent until it is answered.
    ///
    /// # Errors
    /// Why it isn't taken, in words for the operator. Nothing is sent then.
    fn send(&mut self, step: Mode, order: &Order) -> Result<u32, String>;

    /// How far a step of a hazardous order has come.
    fn step(&self, number: u32) -> StepState;

    /// Takes a step back that hasn't left yet, or gives up what is armed: what became of it, in words.
    ///
    /// # Errors
    /// It can't be asked for.
    fn take_back(&mut self, number: u32) -> Result<String, String>;

    /// For how long orders stay armed on board, ms, if it is known.
    fn arm_ms(&self) -> Option<u64> {
        None
    }

    /// The orders given, the newest first.
    fn outgoing(&self) -> Vec<Outgoing>;
}

/// No way up: orders are checked, and shown as lines to give them elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoUplink;

impl Commanding for NoUplink {
    fn source(&self) -> u16 {
        0
    }

    fn send(&mut self, step: Mode, order: &Order) -> Result<u32, String> {
        let hazard = order.def().map_or(Hazard::None, |def| def.hazard);
        let commands = draft::commands(order, hazard);
        let line = if step == Mode::Fire { commands.last() } else { commands.first() };
        Err(format!("no uplink here; elsewhere: {}", line.map_or("", String::as_str)))
    }

    fn step(&self, _number: u32) -> StepState {
        StepState::Over("no uplink here".to_owned())
    }

    fn take_back(&mut self, _number: u32) -> Result<String, String> {
        Err("no uplink here".to_owned())
    }

    fn outgoing(&self) -> Vec<Outgoing> {
        Vec::new()
    }
}

/// Orders for practice: each becomes a line of JSON in a file, and goes nowhere else.
#[derive(Debug)]
pub struct Rehearsal {
    file: File,
    given: Vec<Outgoing>,
}

/// Most orders of a rehearsal that are listed.
const MOST: usize = 200;

impl Rehearsal {
    /// Appends to a file, which is made if there is none.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let file = file.with_context(|| format!("the rehearsal's file {}", path.display()))?;
        Ok(Self { file, given: Vec::new() })
    }
}

impl Commanding for Rehearsal {
    /// As the operator's first key has.
    fn source(&self) -> u16 {
        2
    }

    fn send(&mut self, step: Mode, order: &Order) -> Result<u32, String> {
        let number = self.given.first().map_or(1, |newest| newest.number + 1);
        let words = order.to_string();
        let line = serde_json::json!({ "number": number, "step": step.name(), "order": words });
        // In one piece, so that no part of a line is left by whatever happens.
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|e| format!("the rehearsal's file: {e}"))?;
        self.given.insert(0, Outgoing { number, step, words, state: "rehearsed".to_owned() });
        self.given.truncate(MOST);
        Ok(number)
    }

    /// No satellite answers here: what is armed is so at once, and nothing else waits.
    fn step(&self, number: u32) -> StepState {
        match self.given.iter().find(|given| given.number == number) {
            Some(given) if given.step == Mode::Arm => StepState::Armed(None),
            _ => StepState::Over("rehearsed".to_owned()),
        }
    }

    fn take_back(&mut self, number: u32) -> Result<String, String> {
        let given = self.given.iter_mut().find(|given| given.number == number);
        "rehearsed, then given up".clone_into(&mut given.ok_or("there is no such order")?.state);
        Ok("given up; this is a rehearsal".to_owned())
    }

    fn outgoing(&self) -> Vec<Outgoing> {
        self.given.clone()
    }
}
