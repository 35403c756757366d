//! The thread that runs operators' scripts: takes orders, follows the runs, and makes a bundle of what each said.
//!
//! It belongs to the daemon, not to the shell or the link by which an order came: neither LOS nor a dropped line ends a
//! run. A run that the daemon's end interrupted is told of at the next start.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use super::encoder::QueueChange;
use super::notes::make_script_output;
use super::shared::Shared;
use crate::adapters::script::{Begun, Finished, Now, Runner};
use crate::health::Task;
use crate::queue::item_of;
use crate::script::{End, Limits, Name, RunId, RunRecord};
use crate::telemetry::{Report, Severity};
use passband_proto::dict::EventCode;
use passband_proto::ids::BundleId;

/// How often runs are looked at, and orders while nothing runs.
const TICKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(300));

/// What is asked; what comes of it is told as [`ScriptNews`].
#[derive(Debug)]
pub(crate) enum ScriptOrder {
    /// Run a script.
    Start { id: RunId, name: Name, arguments: Vec<String>, limits: Limits },
    /// End the runs of a script.
    Stop { name: Name },
}

/// What came of an order.
#[derive(Debug)]
pub(crate) enum ScriptNews {
    /// Nothing was begun.
    Refused { id: RunId, why: String },
    /// A run has ended; the bundle with what it said.
    Ended { record: Box<RunRecord>, bundle: Option<[u8; 12]> },
    /// An order came again whose run has ended: its answer may be owed still.
    Ran { record: Box<RunRecord> },
}

/// The thread that runs scripts.
pub(crate) struct Scripts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) orders: Receiver<ScriptOrder>,
    /// To the sender of the fast link.
    pub(crate) queue: Sender<QueueChange>,
}

impl Scripts {
    /// Runs until the daemon stops; what runs then ends with it.
    pub(crate) fn run(self) {
        let shared = &self.shared;
        let (state, settings) = (&shared.config.paths.state, shared.config.scripts);
        let opened = Runner::open(
            Arc::clone(&shared.disk),
            state,
            settings,
            "/proc/self/exe".into(),
            shared.clock.unix_ms(),
        );
        let (mut runner, interrupted) = match opened {
            Ok(opened) => opened,
            Err(e) => {
                return shared
                    .event(&Report::error(EventCode::ScriptError, format!("no scripts are run: {e}")));
            }
        };
        interrupted.iter().for_each(|finished| self.finished(finished));
        let beat = shared.beat(Task::Scripts);
        while !shared.stopping() {
            beat.check_in();
            let tick = if runner.running().next().is_some() { TICKS.0 } else { TICKS.1 };
            match self.orders.recv_timeout(tick) {
                Ok(order) => self.follow(&mut runner, order),
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody can ask any more; what runs is followed to its end.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(tick),
            }
            runner.poll(self.now()).iter().for_each(|finished| self.finished(finished));
            self.shared.set_scripts_running(runner.running().count() as u64);
        }
    }

    fn now(&self) -> Now {
        Now { ms: self.shared.clock.now_ms(), unix_ms: self.shared.clock.unix_ms() }
    }

    fn follow(&self, runner: &mut Runner, order: ScriptOrder) {
        match order {
            ScriptOrder::Start { id, name, arguments, limits } => {
                match runner.start(id, &name, &arguments, limits, self.now()) {
                    Ok(Begun::Started) => {
                        let text = format!("script {name} runs, by order {id}");
                        self.shared.event(&Report::info(EventCode::ScriptStarted, text));
                    }
                    // An order that is followed again, after a restart: the run has ended by now, or goes on.
                    Ok(Begun::Already(record)) if record.end.is_some() => {
                        self.shared.script_news(ScriptNews::Ran { record });
                    }
                    Ok(Begun::Already(_)) => {}
                    Err(e) => self.shared.script_news(ScriptNews::Refused { id, why: e.to_string() }),
                }
            }
            ScriptOrder::Stop { name } => {
                let runs: Vec<_> =
                    runner.running().filter(|run| run.name == name).map(|run| run.id).collect();
                for id in runs {
                    runner.stop(id, self.shared.clock.now_ms());
                }
            }
        }
    }

    /// Tells of a run that has ended, and has what it said go down.
    fn finished(&self, finished: &Finished) {
        let (shared, record) = (&self.shared, &finished.record);
        let severity = match &record.end {
            Some(End::Exited(0) | End::Stopped) => Severity::Info,
            Some(End::NotStarted(_)) => Severity::Error,
            _ => Severity::Warning,
        };
        let how = record.end.as_ref().map_or_else(String::new, ToString::to_string);
        let first =
            if record.first_lines.is_empty() { String::new() } else { format!(": {}", record.first_lines) };
        let text = format!(
            "script {} by order {} {how}, {} bytes{first}",
            record.name, record.id, record.output_bytes
        );
        shared.event(&Report {
            severity,
            code: if severity == Severity::Info { EventCode::ScriptDone } else { EventCode::ScriptFailed },
            text,
        });
        if let Some(why) = &finished.unrecorded {
            let text = format!("how script run {} ended can't be kept: {why}", record.id);
            shared.event(&Report::error(EventCode::ScriptError, text));
        }
        let sent = self.send_down(finished);
        let bundle = sent.as_ref().ok().map(|id| id.0);
        shared.script_news(ScriptNews::Ended { record: Box::new(record.clone()), bundle });
        if let Err(e) = sent {
            let text = format!("the output of script run {} doesn't go down: {e}", record.id);
            shared.event(&Report::error(EventCode::ScriptError, text));
        }
    }

    fn send_down(&self, finished: &Finished) -> Result<BundleId, String> {
        let (shared, keys) = (&self.shared, self.shared.keys());
        if shared.in_memory {
            return Err("the catalogue is kept in memory".to_owned());
        }
        let key = keys.newest(shared.config.spacecraft).ok_or("there is no key to seal it under")?;
        let bundle = make_script_output(shared, key, finished)?;
        let inserted = shared.queue(|queue| queue.insert(&item_of(&bundle, queue.settings())));
        // It is new: nothing of how it stands has to be kept.
        let _change = inserted.map_err(|e| e.to_string())?;
        // The other end is gone only when the daemon stops.
        let _told = self.queue.send(QueueChange::News);
        Ok(bundle.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::sealed::SealedBundle;
    use crate::config::Config;
    use crate::products::Kind;
    use crate::script::RunRecord;
    use passband_proto::keyring::KeyRing;
    use passband_proto::keys::EpochKey;
    use passband_spectral::cube::ReadAt;

    #[test]
    fn what_a_run_said_becomes_a_bundle_and_an_event() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::parse("", &dir.path().join("c.toml")).unwrap();
        let shared = Arc::new(Shared::for_tests(config, dir.path()));
        let (key, mut keys) = (EpochKey::new(1, 1, [8; 32]), KeyRing::default());
        keys.insert(EpochKey::new(1, 1, [8; 32]));
        shared.set_keys(keys);
        let (orders, queue) = (std::sync::mpsc::channel().1, std::sync::mpsc::channel().0);
        let scripts = Scripts { shared: Arc::clone(&shared), orders, queue };
        let record = RunRecord {
            id: RunId { source: 0xFFFF, number: 7 },
            name: "look".parse().unwrap(),
            arguments: vec![],
            limits: Limits::default(),
            started_unix_ms: 1,
            ended_unix_ms: Some(2),
            end: Some(End::Exited(3)),
            output_bytes: 4,
            first_lines: "all".into(),
        };
        scripts.finished(&Finished { record: record.clone(), output: b"all\n".to_vec(), unrecorded: None });
        let bundles = shared.catalogue.bundles().unwrap();
        assert_eq!((bundles.len(), bundles[0].kind), (1, Kind::ScriptOutput));
        let sealed = SealedBundle::open(&shared.vault, &key, &bundles[0]).unwrap();
        let mut bytes = vec![0; usize::try_from(sealed.manifest().content_bytes()).unwrap()];
        sealed.content().read_at(0, &mut bytes).unwrap();
        let (head, output) = bytes.split_at(bytes.len() - 4);
        assert_eq!((RunRecord::decode(head), output), (Ok(record), &b"all\n"[..]));
        let events = shared.catalogue.events(None, 10).unwrap();
        assert!(
            events.iter().any(|e| e.text == "script look by order 65535-7 ended with status 3, 4 bytes: all")
        );
    }
}
