//! From the text of a plan to the plan. All faults of a text are told at once, up to
//! [`MAX_FAULTS`](super::MAX_FAULTS), and how many there are besides.
//!
//! The grammar is in `proto/PLAN.md`. Lines are read here, entries in `entry`.

use super::check::is_name;
use super::entry::{clause, entry_line, failure, span};
use super::fault::{Fault, Faults, Wrong};
use super::tables::Tables;
use super::words::Words;
use super::{
    Action, Entry, Giving, Late, MAX_ENTRIES, MAX_PLAN_BYTES, MAX_TEXT_BYTES, OnFailure, OnReboot, Orders,
    Plan, PlanError, Repeat, SIGNATURE_BYTES, Trigger, binary,
};

/// The plan of a text; `file` is named in what is wrong.
///
/// # Errors
/// The first [`MAX_FAULTS`](super::MAX_FAULTS) faults of the text, in the order of its lines, those of the whole at last;
/// if there are more, another one that says how many.
pub fn compile(text: &str, file: &str, orders: &dyn Orders) -> Result<Plan, Vec<Fault>> {
    let mut compiler = Compiler {
        tables: Tables::new(orders),
        faults: Faults::default(),
        file,
        failure: None,
        said: Vec::new(),
        lines: Vec::new(),
        open: false,
    };
    compiler.read(text);
    compiler.finish()
}

struct Compiler<'a> {
    tables: Tables<'a>,
    faults: Faults,
    file: &'a str,
    /// What entries do that don't say what they do on failure.
    failure: Option<OnFailure>,
    /// What of the head was said.
    said: Vec<&'static str>,
    /// The line of each entry.
    lines: Vec<usize>,
    /// Whether clauses of the last entry may follow.
    open: bool,
}

impl Compiler<'_> {
    fn read(&mut self, text: &str) {
        if text.len() > MAX_TEXT_BYTES {
            self.fault(0, Wrong::new(format!("{} bytes of text", text.len()), "at most 8 MiB"));
            return;
        }
        for (number, line) in text.lines().enumerate() {
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if self.lines.len() > MAX_ENTRIES {
                return;
            }
            let read = if line.starts_with([' ', '\t']) {
                self.clause(content)
            } else if let Some(rest) = content.strip_prefix("on ") {
                self.policy(rest)
            } else if let Some(rest) = content.strip_prefix("plan ") {
                self.name(rest)
            } else if let Some(rest) = content.strip_prefix("version ") {
                self.version(rest)
            } else {
                self.entry(number + 1, content)
            };
            if let Err(wrong) = read {
                self.fault(number + 1, wrong);
            }
        }
    }

    fn finish(mut self) -> Result<Plan, Vec<Fault>> {
        if !self.said.contains(&"plan") {
            self.fault(0, Wrong::new("the plan has no name", "a line 'plan NAME'"));
        }
        if !self.said.contains(&"version") {
            self.fault(0, Wrong::new("the plan has no version", "a line 'version N'"));
        }
        let plan = self.tables.plan;
        if self.faults.is_empty() {
            let checked = plan.check().and_then(|()| binary::encode(&plan)).and_then(|bytes| {
                let bytes = bytes.len() + SIGNATURE_BYTES;
                if bytes > MAX_PLAN_BYTES { Err(PlanError::Long { bytes }) } else { Ok(()) }
            });
            let Err(error) = checked else { return Ok(plan) };
            let (line, what) = match error {
                PlanError::Field { entry, what } => {
                    let line = entry.and_then(|entry| self.lines.get(entry - 1).copied());
                    (line.unwrap_or(0), what)
                }
                other => (0, other.to_string()),
            };
            self.faults.add(Fault { file: self.file.to_owned(), line, what, expected: String::new() });
        }
        Err(self.faults.told(self.file))
    }

    fn fault(&mut self, line: usize, wrong: Wrong) {
        let Wrong { what, expected } = wrong;
        self.faults.add(Fault { file: self.file.to_owned(), line, what, expected });
    }

    fn name(&mut self, rest: &str) -> Result<(), Wrong> {
        self.head("plan")?;
        let name = rest.trim();
        if !is_name(name) {
            return Err(Wrong::word(name, "a name of 1 to 24 of a-z, 0-9 and -"));
        }
        name.clone_into(&mut self.tables.plan.name);
        Ok(())
    }

    fn version(&mut self, rest: &str) -> Result<(), Wrong> {
        self.head("version")?;
        let number = rest.trim().parse().ok().filter(|version| *version > 0);
        self.tables.plan.version = number.ok_or_else(|| Wrong::word(rest.trim(), "a number from 1"))?;
        Ok(())
    }

    /// A line of the head: each once, before all entries.
    fn head(&mut self, what: &'static str) -> Result<(), Wrong> {
        self.open = false;
        if !self.lines.is_empty() {
            return Err(Wrong::new(
                format!("'{what}' of the whole plan behind an entry"),
                "it above all entries",
            ));
        }
        if self.said.contains(&what) {
            return Err(Wrong::new(format!("'{what}' for the second time"), "it once"));
        }
        self.said.push(what);
        Ok(())
    }

    fn policy(&mut self, rest: &str) -> Result<(), Wrong> {
        let mut words = Words::new(rest);
        match words.next() {
            "reboot" => {
                self.head("on reboot")?;
                self.tables.plan.reboot = match words.next() {
                    "continue" => OnReboot::Continue,
                    "abort" => OnReboot::Abort,
                    "restart" => OnReboot::Restart,
                    other => return Err(Wrong::word(other, "'continue', 'abort' or 'restart'")),
                };
            }
            "late" => {
                self.head("on late")?;
                self.tables.plan.late = late(&mut words)?;
            }
            "failure" => {
                self.head("on failure")?;
                self.failure = Some(failure(&mut words)?);
            }
            other => return Err(Wrong::word(other, "'reboot', 'late' or 'failure'")),
        }
        words.end()
    }

    fn entry(&mut self, line: usize, content: &str) -> Result<(), Wrong> {
        if self.lines.len() == MAX_ENTRIES {
            self.lines.push(line);
            return Err(Wrong::new(
                "more than 4096 entries",
                "the rest in another plan, started by this one",
            ));
        }
        let read = entry_line(&mut self.tables, content);
        self.lines.push(line);
        // What is wrong keeps its place, so that what follows, its clauses, too, is read as it would be.
        self.open = true;
        let mut entry = read.as_ref().cloned().unwrap_or(Entry {
            label: None,
            trigger: Trigger::Start { after_ms: 0 },
            repeat: Repeat::Once,
            wait: None,
            failure: OnFailure::Continue,
            not_after: None,
            action: Action::Order(0),
        });
        entry.failure = self.failure.unwrap_or(OnFailure::Continue);
        self.tables.plan.entries.push(entry);
        self.said.retain(|said| !said.starts_with("entry "));
        for wrong in read.err().into_iter().flatten() {
            self.fault(line, wrong);
        }
        Ok(())
    }

    fn clause(&mut self, content: &str) -> Result<(), Wrong> {
        if !self.open {
            // Behind a line of the head that stands in the wrong place it says nothing new.
            let behind = !self.faults.is_empty() && !self.lines.is_empty();
            let wrong =
                Wrong::new("an indented line with no entry above it", "an entry, at the start of a line");
            return if behind { Ok(()) } else { Err(wrong) };
        }
        let what = match Words::new(content).next() {
            "wait" => "entry wait",
            "on" => "entry on failure",
            "not" => "entry not after",
            other => return Err(Wrong::word(other, "'wait for', 'on failure' or 'not after'")),
        };
        if self.said.contains(&what) {
            return Err(Wrong::new(
                format!("a second '{}'", what.trim_start_matches("entry ")),
                "one an entry",
            ));
        }
        self.said.push(what);
        let Some(mut entry) = self.tables.plan.entries.pop() else { return Ok(()) };
        let read = clause(&mut self.tables, &mut entry, content);
        self.tables.plan.entries.push(entry);
        read
    }
}

fn late(words: &mut Words<'_>) -> Result<Late, Wrong> {
    words.expect("run")?;
    words.expect("within")?;
    let within_ms = span(words)?;
    words.expect("else")?;
    let otherwise = match words.next() {
        "skip" => Giving::Skip,
        "abort" => Giving::Abort,
        other => return Err(Wrong::word(other, "'skip' or 'abort'")),
    };
    Ok(Late { within_ms, otherwise })
}
