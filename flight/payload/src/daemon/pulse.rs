//! The pulse of the daemon: check-ins of all tasks, sensors, load, and the record of starts; what every thread shares,
//! and what begins before anything else may fail.
//!
//! Nobody waits for a disk while holding one of its locks but for the record's, which the thread that feeds the
//! watchdog never takes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::ledger::Ledger;
use super::shared::lock;
use crate::adapters::clock::Clock;
use passband_proto::dict;

use crate::health::{Action, Before, Level, Readings, Settings, Shed, Start, Task, Tasks};
use crate::telemetry::{HealthStatus, Others, Report};
use passband_proto::dict::EventCode;

/// No level is fixed: that of [`dict::Shed::Automatic`].
const AUTOMATIC: u8 = 255;
/// Most news that wait to be told.
const MAX_NEWS: usize = 200;

/// Begins a task anew.
pub(crate) type Restart = Box<dyn FnMut() -> Result<(), String> + Send>;

/// The pulse.
pub(crate) struct Pulse {
    pub(crate) clock: Clock,
    pub(crate) start: Start,
    pub(crate) settings: Settings,
    /// That of the start, as it is told.
    number: AtomicU64,
    tasks: Mutex<Tasks>,
    shed: Mutex<Shed>,
    level: AtomicU8,
    /// The least level, as the parameters say.
    least: AtomicU8,
    /// The level that an operator has fixed; 255: none.
    fixed: AtomicU8,
    readings: Mutex<Readings>,
    news: Mutex<Vec<Report>>,
    restarts: Mutex<BTreeMap<Task, Restart>>,
    turns: [AtomicU64; Task::ALL.len()],
    ledger: Mutex<Ledger>,
    stop: AtomicBool,
}

/// A task's way to say that it is at work.
pub(crate) struct Beat {
    pulse: Arc<Pulse>,
    task: Task,
    turn: u64,
}

impl Pulse {
    pub(crate) fn new(clock: Clock, settings: Settings, start: Start, ledger: Ledger) -> Self {
        Self {
            clock,
            number: AtomicU64::new(start.number),
            start,
            tasks: Mutex::new(Tasks::new(settings.deadline_s.saturating_mul(1000))),
            shed: Mutex::new(Shed::new(&settings)),
            settings,
            level: AtomicU8::new(0),
            least: AtomicU8::new(0),
            fixed: AtomicU8::new(AUTOMATIC),
            readings: Mutex::default(),
            news: Mutex::default(),
            restarts: Mutex::default(),
            turns: Default::default(),
            ledger: Mutex::new(ledger),
            stop: AtomicBool::new(false),
        }
    }

    /// Begins to watch a task; a beat of the same task that was given out before counts no more.
    pub(crate) fn beat(self: &Arc<Self>, task: Task) -> Beat {
        let turn = self.turns.get(task as usize).map_or(0, |turn| turn.fetch_add(1, Ordering::Relaxed) + 1);
        lock(&self.tasks).watch(task, self.clock.now_ms());
        Beat { pulse: Arc::clone(self), task, turn }
    }

    /// A task that is never begun anew is at work.
    pub(crate) fn check_in(&self, task: Task) {
        lock(&self.tasks).checked_in(task, self.clock.now_ms());
    }

    /// A task that is never begun anew begins something that may last so long.
    pub(crate) fn working(&self, task: Task, at: &'static str, ms: u64) {
        let now_ms = self.clock.now_ms();
        lock(&self.tasks).working(task, now_ms, now_ms.saturating_add(ms), at);
    }

    /// How a task is begun anew, should it be stuck.
    pub(crate) fn on_restart(&self, task: Task, restart: Restart) {
        lock(&self.restarts).insert(task, restart);
    }

    /// Begins a task anew.
    pub(crate) fn restart(&self, task: Task) {
        let mut restarts = lock(&self.restarts);
        let done =
            restarts.get_mut(&task).map_or_else(|| Err("nobody knows how".to_owned()), |again| again());
        drop(restarts);
        if let Err(why) = done {
            self.tell(Report::error(EventCode::TaskStuck, format!("task {task} can't be begun anew: {why}")));
        }
    }

    /// What is to be done about the tasks now.
    pub(crate) fn poll_tasks(&self) -> Vec<Action> {
        lock(&self.tasks).poll(self.clock.now_ms())
    }

    /// What will be to be done about them in so long, if none checks in.
    #[cfg(test)]
    pub(crate) fn poll_tasks_in(&self, ms: u64) -> Vec<Action> {
        lock(&self.tasks).poll(self.clock.now_ms().saturating_add(ms))
    }

    /// Whether the watchdog may be fed.
    pub(crate) fn may_feed(&self) -> bool {
        self.start.feed && lock(&self.tasks).may_feed()
    }

    /// Takes what the sensors say.
    pub(crate) fn take_readings(&self, readings: &Readings) {
        *lock(&self.readings) = *readings;
        let mut shed = lock(&self.shed);
        let report = shed.take(self.clock.now_ms(), readings);
        self.level.store(shed.level().number(), Ordering::Relaxed);
        drop(shed);
        report.into_iter().for_each(|report| self.tell(report));
    }

    /// Has the load go one level up or down at once.
    #[cfg(test)]
    pub(crate) fn strain_for_tests(&self, readings: &Readings) {
        let mut shed = lock(&self.shed);
        *shed = shed.clone().hasty();
        drop(shed);
        self.take_readings(readings);
    }

    /// How much is left undone now.
    pub(crate) fn level(&self) -> Level {
        let fixed = self.fixed.load(Ordering::Relaxed);
        let level = if fixed == AUTOMATIC { self.level.load(Ordering::Relaxed) } else { fixed };
        Level::of(level.max(self.least.load(Ordering::Relaxed)))
    }

    /// Has at least so much left undone.
    pub(crate) fn shed_at_least(&self, shed: dict::Shed) {
        let level = if shed == dict::Shed::Automatic { 0 } else { shed.code() };
        self.least.store(u8::try_from(level).unwrap_or_default(), Ordering::Relaxed);
    }

    /// Has just so much left undone, whatever the sensors say, until it is told otherwise.
    pub(crate) fn fix_shed(&self, shed: dict::Shed) {
        self.fixed.store(u8::try_from(shed.code()).unwrap_or(AUTOMATIC), Ordering::Relaxed);
    }

    /// Says what the sensors and the starts say, in the channels.
    pub(crate) fn tell_vitals(&self, others: &mut Others) {
        let readings = *lock(&self.readings);
        #[expect(clippy::cast_possible_truncation, reason = "channels have the digits of an f32")]
        let narrow = |value: Option<f64>| value.map(|value| value as f32);
        others.readings.temperature_c = narrow(readings.temperature_c);
        others.readings.power_w = narrow(readings.power_w);
        others.readings.memory_pressure_percent = narrow(readings.memory_stall_percent);
        others.readings.cpu_pressure_percent = narrow(readings.cpu_stall_percent);
        others.readings.io_pressure_percent = narrow(readings.io_stall_percent);
        others.shed = dict::Shed::from_code(self.level().number().into()).unwrap_or(dict::Shed::Nothing);
        others.reset_cause = match self.start.before {
            Before::Unknown => dict::ResetCause::Unknown,
            Before::Stopped => dict::ResetCause::Orderly,
            Before::Ordered => dict::ResetCause::Order,
            Before::PowerCut => dict::ResetCause::PowerCut,
            Before::Died | Before::Failed => dict::ResetCause::Crash,
            Before::Watchdog => dict::ResetCause::Watchdog,
        };
    }

    /// Notes what is to be told; the loop tells it.
    pub(crate) fn tell(&self, report: Report) {
        let mut news = lock(&self.news);
        if news.len() < MAX_NEWS {
            news.push(report);
        }
    }

    /// What is to be told, once.
    pub(crate) fn take_news(&self) -> Vec<Report> {
        std::mem::take(&mut lock(&self.news))
    }

    /// The record of starts. May wait for a disk.
    pub(crate) fn ledger<T>(&self, work: impl FnOnce(&mut Ledger) -> T) -> T {
        work(&mut lock(&self.ledger))
    }

    /// The number of this start, in safe mode or not. `counted` is what the store has counted: where the record of
    /// starts was lost it goes on from there. May wait for a disk.
    pub(crate) fn number(&self, counted: u64) -> u64 {
        let (number, kept) = self.ledger(|ledger| {
            let behind = ledger.record().number() < counted;
            let kept = if behind { ledger.change(|record| record.counted(counted)) } else { Ok(()) };
            (ledger.record().number(), kept)
        });
        if let Err(e) = kept {
            let text = format!("the number of starts can't be kept: {e}");
            self.tell(Report::error(EventCode::RecordUnwritten, text));
        }
        self.number.store(number, Ordering::Relaxed);
        number
    }

    /// Has the process started anew in safe mode, or out of it.
    ///
    /// # Errors
    /// It is in that mode, or the order can't be kept; in words.
    pub(crate) fn order_safe(&self, safe: bool) -> Result<(), String> {
        if safe == self.start.safe.is_some() {
            let not = if safe { "" } else { "not " };
            return Err(format!("the payload is {not}in safe mode"));
        }
        self.ledger(|ledger| ledger.change(|record| record.ordered(safe)))
            .map_err(|e| format!("the order can't be kept: {e}"))?;
        Ok(())
    }

    /// The process stops in order: the watchdog, too.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The health as `status` shows it.
    pub(crate) fn status(&self) -> HealthStatus {
        let (stuck, restarts) = {
            let tasks = lock(&self.tasks);
            (tasks.lost().map(|task| task.name().to_owned()).collect(), tasks.restarts())
        };
        HealthStatus {
            safe_mode: self.start.safe,
            start: self.number.load(Ordering::Relaxed),
            start_before: self.start.before,
            failed_starts: self.start.failures,
            level: self.level().number(),
            strains: lock(&self.shed).strains(),
            stuck,
            restarts,
            readings: *lock(&self.readings),
        }
    }
}

impl core::fmt::Debug for Pulse {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pulse").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Beat {
    /// The task is at work; `false`: another one stands in its place, and it is to end.
    pub(crate) fn check_in(&self) -> bool {
        let current = self.is_current();
        if current {
            self.pulse.check_in(self.task);
        }
        current
    }

    /// The task begins something that may last so long.
    pub(crate) fn working(&self, at: &'static str, ms: u64) {
        if self.is_current() {
            self.pulse.working(self.task, at, ms);
        }
    }

    /// The task ends as it should while others go on.
    pub(crate) fn end(self) {
        if self.is_current() {
            lock(&self.pulse.tasks).ended(self.task);
        }
    }

    fn is_current(&self) -> bool {
        let turn = self.pulse.turns.get(self.task as usize);
        turn.is_none_or(|turn| turn.load(Ordering::Relaxed) == self.turn)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A pulse that keeps no record.
    pub(crate) fn pulse(clock: Clock) -> Arc<Pulse> {
        let (record, start) = crate::health::Starts::begin(None, crate::health::Boot::default(), 3);
        Arc::new(Pulse::new(clock, Settings::default(), start, Ledger::in_memory(record)))
    }

    #[test]
    fn one_that_was_replaced_checks_in_for_nobody() {
        let pulse = pulse(Clock::default());
        let first = pulse.beat(Task::Passes);
        assert!(first.check_in());
        let second = pulse.beat(Task::Passes);
        assert!(!first.check_in() && second.check_in());
        first.end();
        second.working("waiting", 5);
        assert!(pulse.poll_tasks().is_empty());
        second.end();
    }

    #[test]
    fn starts_are_counted_by_the_record_and_never_lower_than_the_store_has_counted() {
        let pulse = pulse(Clock::default());
        assert_eq!((pulse.number(0), pulse.status().start), (1, 1));
        assert_eq!((pulse.number(57), pulse.status().start), (57, 57), "the record was lost");
        assert_eq!(pulse.number(3), 57, "the store was lost");
        let record = pulse.ledger(|ledger| ledger.record());
        let (_, start) = crate::health::Starts::begin(Some(record), crate::health::Boot::default(), 3);
        assert_eq!(start.number, 58);
    }

    #[test]
    fn another_mode_is_ordered_once_and_only_if_it_is_another() {
        let pulse = pulse(Clock::default());
        assert!(pulse.order_safe(false).unwrap_err().contains("not in safe mode"));
        pulse.order_safe(true).unwrap();
        let again = pulse.ledger(|ledger| ledger.record());
        let (_, start) = crate::health::Starts::begin(Some(again), crate::health::Boot::default(), 3);
        assert_eq!(start.safe, Some(crate::health::Cause::Order));
    }

    #[test]
    fn what_is_to_be_told_is_bounded_and_told_once() {
        let pulse = pulse(Clock::default());
        (0..500).for_each(|_| pulse.tell(Report::info(EventCode::Other, "y")));
        assert_eq!((pulse.take_news().len(), pulse.take_news().len()), (MAX_NEWS, 0));
        pulse.restart(Task::Bus);
        assert!(pulse.take_news()[0].text.contains("nobody knows how"));
    }

    #[test]
    fn restarts_of_a_task_that_says_that_it_begins_stay_in_the_status() {
        let pulse = pulse(Clock::default());
        let begins = Arc::clone(&pulse);
        pulse.on_restart(
            Task::Passes,
            Box::new(move || {
                begins.beat(Task::Passes);
                Ok(())
            }),
        );
        pulse.beat(Task::Passes);
        let deadline_ms = pulse.settings.deadline_s * 1000;
        let actions = pulse.poll_tasks_in(deadline_ms + 1);
        assert!(actions.contains(&Action::Restart(Task::Passes)));
        pulse.restart(Task::Passes);
        assert_eq!(pulse.status().restarts, 1);
    }
}
