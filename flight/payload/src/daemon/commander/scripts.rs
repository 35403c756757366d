//! Orders about scripts. The thread that runs them says later how a run ended.

use passband_proto::dict::{FixedText, Order, Reason, Script, ScriptEnd};

use super::hands::Worker;
use crate::adapters::script::ScriptStore;
use crate::daemon::scripts::{ScriptNews, ScriptOrder};
use crate::digest::ScriptRun;
use crate::orders::desk::Outcome;
use crate::orders::{OrderId, Run};
use crate::script::{End, Limit, Limits, Name, RunId, RunRecord, ScriptError};

impl Worker<'_> {
    /// Does an order about scripts.
    pub(super) fn scripts(&mut self, run: &Run) -> Outcome {
        let name =
            |name: &str| name.parse::<Name>().map_err(|e| Outcome::failed(Reason::NotFound, e.to_string()));
        let result = match &run.order {
            Order::ScriptRun { name: script, args, wall, cpu, memory, output } => {
                name(script).and_then(|name| {
                    let asked = Limits {
                        wall_s: (*wall).into(),
                        cpu_s: (*cpu).into(),
                        memory_bytes: u64::from(*memory) << 20,
                        output_bytes: u64::from(*output) << 10,
                        ..self.works.script_limits()
                    };
                    self.run_script(run, name, args, within(asked, self.works.script_limits()))
                })
            }
            Order::ScriptStop { name: script } => name(script).and_then(|name| {
                self.ask(ScriptOrder::Stop { name }).map(|()| Outcome::done("it is told to end"))
            }),
            Order::ScriptRemove { name: script } => name(script).and_then(|name| self.remove_script(&name)),
            other => Err(Outcome::failed(Reason::NotPossible, format!("{other} is no order about scripts"))),
        };
        result.unwrap_or_else(|failed| failed)
    }

    fn run_script(&mut self, run: &Run, name: Name, args: &str, limits: Limits) -> Result<Outcome, Outcome> {
        // One that was begun is gone on with, whatever became of its script.
        if !run.resumed {
            self.script_store()?.script(&name).map_err(not_there)?;
        }
        let arguments = args.split_ascii_whitespace().map(str::to_owned).collect();
        let id = RunId { source: run.id.source, number: run.id.number };
        self.ask(ScriptOrder::Start { id, name, arguments, limits }).map(|()| Outcome::goes_on(""))
    }

    fn ask(&mut self, order: ScriptOrder) -> Result<(), Outcome> {
        let scripts = self.works.scripts();
        let sent = scripts.is_some_and(|scripts| scripts.send(order).is_ok());
        sent.then_some(()).ok_or_else(|| Outcome::failed(Reason::WrongMode, "no scripts are run now"))
    }

    fn remove_script(&mut self, name: &Name) -> Result<Outcome, Outcome> {
        self.script_store()?.remove(name).map_err(not_there)?;
        Ok(Outcome::done("removed"))
    }

    fn script_store(&self) -> Result<ScriptStore, Outcome> {
        let Some(disk) = self.parts.disk.clone() else {
            return Err(Outcome::failed(Reason::Fault, "there is no disk"));
        };
        ScriptStore::open(disk, &self.parts.state).map_err(not_there)
    }
}

/// A script that can't be had.
#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn not_there(e: ScriptError) -> Outcome {
    let reason = match e {
        ScriptError::Unknown { .. } => Reason::NotFound,
        _ => Reason::NotPossible,
    };
    Outcome::failed(reason, e.to_string())
}

/// No more than what is configured.
fn within(asked: Limits, most: Limits) -> Limits {
    Limits {
        wall_s: asked.wall_s.min(most.wall_s.max(1)),
        cpu_s: asked.cpu_s.min(most.cpu_s),
        memory_bytes: asked.memory_bytes.min(most.memory_bytes).max(16 << 20),
        output_bytes: asked.output_bytes.min(most.output_bytes),
        ..most
    }
}

/// The order of a run that has ended, and what became of it.
pub(super) fn ended(news: &ScriptNews) -> (OrderId, Outcome) {
    match news {
        ScriptNews::Refused { id, why } => (
            OrderId { source: id.source, number: id.number },
            Outcome::failed(Reason::NotPossible, why.clone()),
        ),
        ScriptNews::Ended { record, .. } | ScriptNews::Ran { record } => {
            let id = OrderId { source: record.id.source, number: record.id.number };
            let how = record.end.as_ref().map_or_else(String::new, ToString::to_string);
            let text = format!("{how}; {}", record.first_lines.replace('\n', " | "));
            let text = text.trim_end_matches("; ").to_owned();
            let outcome = match &record.end {
                Some(End::Exited(0) | End::Stopped) => Outcome::done(text),
                Some(End::Limit(Limit::Wall | Limit::Cpu)) => Outcome::failed(Reason::TimedOut, text),
                Some(End::Interrupted) => Outcome::failed(Reason::Interrupted, text),
                _ => Outcome::failed(Reason::Fault, text),
            };
            (id, outcome)
        }
    }
}

/// How a run ended, and the number of its exit or signal.
fn end_of(record: &RunRecord) -> (ScriptEnd, u8) {
    let byte = |n: i32| u8::try_from(n.rem_euclid(256)).unwrap_or_default();
    match &record.end {
        None => (ScriptEnd::Running, 0),
        Some(End::Exited(status)) => (ScriptEnd::Exited, byte(*status)),
        Some(End::Signal(signal)) => (ScriptEnd::Signalled, byte(*signal)),
        Some(End::Limit(Limit::Wall)) => (ScriptEnd::WallTime, 0),
        Some(End::Limit(Limit::Cpu)) => (ScriptEnd::CpuTime, 0),
        Some(End::Limit(Limit::Memory | Limit::Processes)) => (ScriptEnd::Memory, 0),
        Some(End::Limit(Limit::Output | Limit::Folder)) => (ScriptEnd::Output, 0),
        Some(End::Stopped) => (ScriptEnd::Stopped, 0),
        Some(End::Interrupted) => (ScriptEnd::Interrupted, 0),
        Some(End::NotStarted(_)) => (ScriptEnd::NotStarted, 0),
    }
}

/// A run as a packet.
pub(super) fn packet(record: &RunRecord, bundle: Option<[u8; 12]>) -> Script {
    let (end, status) = end_of(record);
    let ran_ms =
        record.ended_unix_ms.unwrap_or(record.started_unix_ms).saturating_sub(record.started_unix_ms);
    Script {
        source: record.id.source,
        number: record.id.number,
        name: FixedText::cut(record.name.as_str()),
        end,
        status,
        ran: u32::try_from(ran_ms).unwrap_or(u32::MAX),
        output: u32::try_from(record.output_bytes).unwrap_or(u32::MAX),
        bundle: bundle.unwrap_or_default(),
        text: FixedText::cut(&record.first_lines),
    }
}

/// A run as the digest tells it.
pub(super) fn in_digest(record: &RunRecord) -> ScriptRun {
    let (end, status) = end_of(record);
    ScriptRun {
        name: record.name.as_str().to_owned(),
        unix_ms: record.ended_unix_ms.unwrap_or(record.started_unix_ms),
        end,
        status,
        first_line: record.first_lines.lines().next().unwrap_or_default().to_owned(),
    }
}
