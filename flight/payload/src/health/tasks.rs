//! Check-ins: each task of the daemon says now and then that it is at work; one that doesn't is stuck.
//!
//! A task that is at something long says until when ([`Tasks::working`]). A stuck one is told of by an event and
//! restarted, if it can be and that hasn't been tried too often; else the process is to end. From then on the watchdog
//! is not fed: should the process not even end, the board resets.

use core::fmt;
use std::collections::BTreeMap;

use crate::telemetry::{Report, Severity};
use passband_proto::dict::EventCode;

/// Most restarts of one task in [`WINDOW_MS`].
const MAX_RESTARTS: usize = 3;
/// Restarts longer ago than this are forgotten, ms.
const WINDOW_MS: u64 = 3_600_000;
/// Between two polls: when it is longer, all were held up (a process that was stopped, a board that slept), ms.
const MAX_POLL_GAP_MS: u64 = 10_000;

/// What checks in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Opening and checking everything at a start.
    Start,
    /// The asynchronous loop.
    Loop,
    /// What follows the transmitter's gate.
    Gate,
    /// The command socket.
    Operator,
    /// The alert radio.
    AlertRadio,
    /// What follows the bus computer.
    Bus,
    /// What takes reports of the ground.
    Reports,
    /// What takes orders of the ground.
    Uplink,
    /// The encoder of the fast link.
    Encoder,
    /// The fast link.
    Radio,
    /// What takes frames.
    Frames,
    /// What reads stored bundles.
    Scrub,
    /// The pass plan.
    Passes,
    /// What reads sensors.
    Sensors,
    /// What runs scripts.
    Scripts,
    /// What looks at everything and tells it.
    Telemetry,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Start,
        Self::Loop,
        Self::Gate,
        Self::Operator,
        Self::AlertRadio,
        Self::Bus,
        Self::Reports,
        Self::Uplink,
        Self::Encoder,
        Self::Radio,
        Self::Frames,
        Self::Scrub,
        Self::Passes,
        Self::Sensors,
        Self::Scripts,
        Self::Telemetry,
    ];

    /// The name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Loop => "loop",
            Self::Gate => "gate",
            Self::Operator => "operator",
            Self::AlertRadio => "alert-radio",
            Self::Bus => "bus",
            Self::Reports => "reports",
            Self::Uplink => "uplink",
            Self::Encoder => "encoder",
            Self::Radio => "radio",
            Self::Frames => "frames",
            Self::Scrub => "scrub",
            Self::Passes => "passes",
            Self::Sensors => "sensors",
            Self::Scripts => "scripts",
            Self::Telemetry => "telemetry",
        }
    }

    /// Whether it can be begun anew while the process goes on.
    pub fn can_restart(self) -> bool {
        matches!(self, Self::Operator | Self::Bus | Self::Reports | Self::Passes)
    }

    /// Whether the process is of no use without it.
    pub fn is_vital(self) -> bool {
        !matches!(self, Self::Scrub | Self::Sensors | Self::Scripts)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tell the operator.
    Tell(Report),
    /// Begin this task anew.
    Restart(Task),
    /// End the process, so that it is started anew.
    EndProcess {
        /// The task that is stuck.
        task: Task,
        /// What it was at; empty if it didn't say.
        at: &'static str,
        /// Why, for people.
        why: String,
    },
}

/// Follows the check-ins.
#[derive(Debug)]
pub struct Tasks {
    deadline_ms: u64,
    watched: BTreeMap<Task, Watched>,
    polled_ms: Option<u64>,
    ending: bool,
}

#[derive(Debug)]
struct Watched {
    checked_in_ms: u64,
    /// It is at something that may last until then.
    until_ms: u64,
    at: &'static str,
    /// When it was restarted, the last times.
    restarts_ms: Vec<u64>,
    /// It is stuck, and nothing helps.
    lost: bool,
}

impl Tasks {
    /// Tasks that check in every `deadline_ms` at least.
    pub fn new(deadline_ms: u64) -> Self {
        Self { deadline_ms, watched: BTreeMap::new(), polled_ms: None, ending: false }
    }

    /// From now on this task is watched. One that was watched before is begun anew: its restarts stay counted.
    pub fn watch(&mut self, task: Task, now_ms: u64) {
        let restarts_ms = self.watched.remove(&task).map(|before| before.restarts_ms).unwrap_or_default();
        let new = Watched { checked_in_ms: now_ms, until_ms: 0, at: "", restarts_ms, lost: false };
        self.watched.insert(task, new);
    }

    /// This task has ended as it should.
    pub fn ended(&mut self, task: Task) {
        self.watched.remove(&task);
    }

    /// A task is at work, and at nothing long.
    pub fn checked_in(&mut self, task: Task, now_ms: u64) {
        if let Some(watched) = self.watched.get_mut(&task) {
            (watched.checked_in_ms, watched.until_ms, watched.at) = (now_ms, 0, "");
        }
    }

    /// A task begins something that may last until `until_ms`, unless it checks in before.
    pub fn working(&mut self, task: Task, now_ms: u64, until_ms: u64, at: &'static str) {
        if let Some(watched) = self.watched.get_mut(&task) {
            (watched.checked_in_ms, watched.until_ms, watched.at) = (now_ms, until_ms, at);
        }
    }

    /// What is to be done at `now_ms`. To be called every second or so.
    pub fn poll(&mut self, now_ms: u64) -> Vec<Action> {
        let mut out = Vec::new();
        let gap_ms = now_ms.saturating_sub(self.polled_ms.replace(now_ms).unwrap_or(now_ms));
        if gap_ms > MAX_POLL_GAP_MS {
            self.excuse(gap_ms);
            let text = format!("the whole process was held up for {} s", gap_ms / 1000);
            out.push(Action::Tell(Report::warning(EventCode::ProcessHeldUp, text)));
        }
        if self.ending {
            return out;
        }
        for (task, watched) in &mut self.watched {
            out.extend(watched.poll(*task, now_ms, self.deadline_ms));
        }
        self.ending = out.iter().any(|action| matches!(action, Action::EndProcess { .. }));
        out
    }

    /// Whether the watchdog may be fed: no vital task is stuck beyond help.
    pub fn may_feed(&self) -> bool {
        !self.ending
    }

    /// Tasks that are stuck, and nothing helps.
    pub fn lost(&self) -> impl Iterator<Item = Task> + '_ {
        self.watched.iter().filter(|(_, watched)| watched.lost).map(|(task, _)| *task)
    }

    /// How often tasks were restarted in the last hour.
    pub fn restarts(&self) -> u64 {
        self.watched.values().map(|watched| watched.restarts_ms.len() as u64).sum()
    }

    /// Nobody could check in for so long.
    fn excuse(&mut self, gap_ms: u64) {
        for watched in self.watched.values_mut() {
            watched.checked_in_ms = watched.checked_in_ms.saturating_add(gap_ms);
            watched.until_ms = watched.until_ms.saturating_add(gap_ms);
        }
    }
}

impl Watched {
    fn poll(&mut self, task: Task, now_ms: u64, deadline_ms: u64) -> Vec<Action> {
        let due_ms = self.checked_in_ms.saturating_add(deadline_ms).max(self.until_ms);
        let silent_s = now_ms.saturating_sub(self.checked_in_ms) / 1000;
        self.restarts_ms.retain(|at_ms| now_ms.saturating_sub(*at_ms) < WINDOW_MS);
        if now_ms < due_ms {
            let back = std::mem::take(&mut self.lost);
            let text = format!("task {task} is at work again");
            return Vec::from_iter(back.then(|| Action::Tell(Report::info(EventCode::TaskBack, text))));
        }
        if self.lost {
            return Vec::new();
        }
        let at = if self.at.is_empty() { String::new() } else { format!(", at {}", self.at) };
        let stuck = format!("task {task} is stuck: nothing heard of it for {silent_s} s{at}");
        let tell = |severity, what: &str| {
            Action::Tell(Report { severity, code: EventCode::TaskStuck, text: format!("{stuck}; {what}") })
        };
        if task.can_restart() && self.restarts_ms.len() < MAX_RESTARTS {
            self.restarts_ms.push(now_ms);
            (self.checked_in_ms, self.until_ms, self.at) = (now_ms, 0, "");
            return vec![tell(Severity::Error, "it is begun anew"), Action::Restart(task)];
        }
        self.lost = true;
        if !task.is_vital() {
            return vec![tell(Severity::Error, "the rest goes on without it")];
        }
        let what = "the process ends, to be started anew";
        let why = format!("{stuck}; {what}");
        vec![tell(Severity::Critical, what), Action::EndProcess { task, at: self.at, why }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(actions: &[Action]) -> Vec<String> {
        let name = |action: &Action| match action {
            Action::Tell(report) => report.code.name().to_owned(),
            Action::Restart(task) => format!("restart {task}"),
            Action::EndProcess { task, at, .. } => format!("end for {task} at {at:?}"),
        };
        actions.iter().map(name).collect()
    }

    /// Polls every second up to `to_s`, `alive` checking in; all that was to be done.
    fn run(tasks: &mut Tasks, from_s: u64, to_s: u64, alive: &[Task]) -> Vec<String> {
        let mut out = Vec::new();
        for now_s in from_s..=to_s {
            alive.iter().for_each(|task| tasks.checked_in(*task, now_s * 1000));
            out.extend(codes(&tasks.poll(now_s * 1000)));
        }
        out
    }

    #[test]
    fn who_checks_in_is_left_alone_and_a_stuck_vital_task_ends_the_process_once() {
        let mut tasks = Tasks::new(30_000);
        tasks.watch(Task::Frames, 0);
        tasks.watch(Task::Radio, 0);
        assert!(run(&mut tasks, 1, 100, &[Task::Frames, Task::Radio]).is_empty());
        assert!(run(&mut tasks, 101, 129, &[Task::Radio]).is_empty());
        assert!(tasks.may_feed());
        let said = run(&mut tasks, 130, 300, &[Task::Radio]);
        assert_eq!(said, ["task-stuck", "end for frames at \"\""]);
        assert!(!tasks.may_feed(), "the watchdog goes hungry");
    }

    #[test]
    fn a_task_at_something_long_has_until_then_and_an_ended_one_is_not_missed() {
        let mut tasks = Tasks::new(30_000);
        tasks.watch(Task::Frames, 0);
        tasks.watch(Task::Start, 0);
        tasks.ended(Task::Start);
        tasks.working(Task::Frames, 0, 500_000, "triage");
        assert!(run(&mut tasks, 1, 499, &[]).is_empty());
        assert_eq!(run(&mut tasks, 500, 501, &[]), ["task-stuck", "end for frames at \"triage\""]);
    }

    #[test]
    fn a_restart_gives_time_and_too_many_end_the_process() {
        let mut tasks = Tasks::new(30_000);
        tasks.watch(Task::Bus, 0);
        let said = run(&mut tasks, 1, 119, &[]);
        assert_eq!(said, ["task-stuck", "restart bus"].repeat(3));
        assert_eq!(tasks.restarts(), 3);
        assert_eq!(run(&mut tasks, 120, 200, &[]), ["task-stuck", "end for bus at \"\""]);
        let mut tasks = Tasks::new(30_000);
        tasks.watch(Task::Bus, 0);
        for hour in 0..9 {
            let from_s = hour * 3_600;
            assert_eq!(run(&mut tasks, from_s + 1, from_s + 31, &[]), ["task-stuck", "restart bus"]);
            assert!(run(&mut tasks, from_s + 32, from_s + 3_600, &[Task::Bus]).is_empty(), "once an hour");
        }
    }

    #[test]
    fn a_task_that_begins_anew_and_hangs_again_is_not_begun_anew_for_ever() {
        let mut tasks = Tasks::new(30_000);
        tasks.watch(Task::Passes, 0);
        let mut said = Vec::new();
        for now_s in 1..=300 {
            let actions = tasks.poll(now_s * 1000);
            if actions.contains(&Action::Restart(Task::Passes)) {
                tasks.watch(Task::Passes, now_s * 1000);
            }
            said.extend(codes(&actions));
        }
        assert_eq!(said[..6], ["task-stuck", "restart passes"].repeat(3));
        assert_eq!(said[6..], ["task-stuck", "end for passes at \"\""]);
        assert_eq!((tasks.restarts(), tasks.may_feed()), (3, false));
    }

    #[test]
    fn a_task_that_is_not_vital_is_given_up_and_told_of_when_it_is_back() {
        let mut tasks = Tasks::new(30_000);
        tasks.watch(Task::Scrub, 0);
        let said = run(&mut tasks, 1, 400, &[]);
        assert_eq!(said, ["task-stuck"]);
        assert_eq!(tasks.lost().collect::<Vec<_>>(), [Task::Scrub]);
        assert!(tasks.may_feed());
        assert_eq!(run(&mut tasks, 401, 402, &[Task::Scrub]), ["task-back"]);
    }

    #[test]
    fn a_process_that_was_stopped_as_a_whole_is_not_taken_for_stuck_tasks() {
        let mut tasks = Tasks::new(30_000);
        tasks.watch(Task::Radio, 0);
        assert!(run(&mut tasks, 1, 20, &[]).is_empty());
        assert_eq!(codes(&tasks.poll(5_000_000)), ["process-held-up"]);
        assert!(run(&mut tasks, 5_001, 5_009, &[]).is_empty(), "20 of its 30 s were used before");
        assert_eq!(run(&mut tasks, 5_010, 5_011, &[]).len(), 2);
    }
}
