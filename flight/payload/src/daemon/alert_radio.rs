//! The alert radio: a task that sends what the [schedule](crate::alerts) says.
//!
//! A new alert wakes it, and so does a change of alerts in the catalogue, which is the truth about them: what is
//! acknowledged or cancelled there is sent no more. A message leaves first and is noted then; a crash between the
//! two sends it once more.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use super::shared::Shared;
use crate::alerts::{Message, Schedule};
use crate::health::Task;
use crate::store::{Acknowledger, AlertRecord, AlertState, StoreError};
use crate::telemetry::Report;
use passband_proto::dict::EventCode;

/// How often it is seen whether the evidence of an alert is known to be on the ground.
const LOOK: Duration = Duration::from_secs(2);
/// The shortest sleep.
const NAP: Duration = Duration::from_millis(2);

/// The task, before it runs.
pub(crate) struct AlertRadio {
    shared: Arc<Shared>,
    socket: UdpSocket,
    schedule: Schedule,
}

impl AlertRadio {
    /// Goes on with the alerts of the runs before.
    pub(crate) fn new(shared: Arc<Shared>, socket: UdpSocket) -> Result<Self, StoreError> {
        let mut schedule = Schedule::new(&shared.config.alerts);
        schedule.resume(shared.clock.now_ms(), shared.clock.unix_ms(), &shared.catalogue.alerts()?);
        Ok(Self { shared, socket, schedule })
    }

    /// Sends alerts until it is dropped.
    pub(crate) async fn run(mut self, mut new_alerts: UnboundedReceiver<AlertRecord>) {
        let beat = self.shared.beat(Task::AlertRadio);
        loop {
            beat.check_in();
            self.send_all().await;
            let shared = Arc::clone(&self.shared);
            tokio::select! {
                // A channel that is closed is passed over: then the daemon stops.
                Some(alert) = new_alerts.recv() => {
                    self.schedule.add(shared.clock.now_ms(), shared.clock.unix_ms(), &alert);
                }
                () = shared.alerts_changed.notified() => self.follow_catalogue(),
                () = sleep(self.pause()) => self.look(),
            }
        }
    }

    /// Until there is something to do.
    fn pause(&self) -> Duration {
        let now_ms = self.shared.clock.now_ms();
        let next_ms = self.schedule.next_ms(now_ms).map(|next| next.saturating_sub(now_ms));
        next_ms.map_or(LOOK, |ms| Duration::from_millis(ms).clamp(NAP, LOOK))
    }

    /// Gives up what is too old, and settles alerts whose evidence is on the ground.
    fn look(&mut self) {
        let (unsent, sent) = self.schedule.expire(self.shared.clock.now_ms());
        self.settle(&unsent, AlertState::Stale);
        self.settle(&sent, AlertState::Through);
        let known = |alert: &&AlertRecord| alert.evidence.is_some_and(|id| self.shared.is_known(&id));
        let known: Vec<u32> = self.schedule.pending().filter(known).map(|alert| alert.number).collect();
        self.settle(&known, AlertState::Acknowledged(Acknowledger::Evidence));
    }

    fn settle(&mut self, numbers: &[u32], state: AlertState) {
        if numbers.is_empty() {
            return;
        }
        self.schedule.forget(numbers.iter().copied());
        if let Err(e) = self.shared.catalogue.settle_alerts(self.shared.clock.unix_ms(), numbers, state) {
            self.shared.store_failed("noting what became of an alert", &e);
        }
    }

    fn follow_catalogue(&mut self) {
        match self.shared.catalogue.alerts() {
            Ok(alerts) => {
                self.schedule.follow(self.shared.clock.now_ms(), self.shared.clock.unix_ms(), &alerts);
            }
            Err(e) => self.shared.store_failed("reading alerts", &e),
        }
    }

    /// Sends what can be sent now.
    async fn send_all(&mut self) {
        while let Some(message) = self.schedule.poll(self.shared.clock.now_ms()) {
            let target = self.shared.config.alerts.target;
            match self.socket.send_to(&message.sealed, target).await {
                Ok(_) => self.sent(&message),
                Err(e) => {
                    self.schedule.refused(self.shared.clock.now_ms());
                    let text = format!("the alert radio at {target} refused alert {}: {e}", message.number);
                    self.shared.throttled("alert radio", &Report::error(EventCode::AlertError, text));
                }
            }
        }
    }

    /// Notes that a message has left.
    fn sent(&mut self, message: &Message) {
        let (now_ms, unix_ms) = (self.shared.clock.now_ms(), self.shared.clock.unix_ms());
        let Some(sent) = self.schedule.sent(now_ms, unix_ms, message.number) else { return };
        let record = &sent.record;
        let age_ms = unix_ms.saturating_sub(record.created_unix_ms);
        let (number, frame, sends) = (record.number, &record.frame_name, record.sends);
        self.shared.count(|c| c.alerts_sent += 1);
        // Repeats are counted with the alert: as events they would crowd out all others.
        let report = (sends == 1).then(|| {
            self.shared.count(|c| c.alert_delay_ms_max = c.alert_delay_ms_max.max(age_ms));
            let text = format!("alert {number} of frame {frame:?} sent, {age_ms} ms after it was made");
            Report::info(EventCode::AlertSent, text)
        });
        tracing::info!("alert {number} of frame {frame:?} sent, {age_ms} ms old, {sends} times so far");
        match self.shared.catalogue.note_alert_sent(record, &sent.superseded, report.as_ref()) {
            Ok(true) => {}
            Ok(false) => self.schedule.forget([number]),
            Err(e) => self.shared.store_failed("noting an alert", &e),
        }
    }
}

#[cfg(test)]
mod tests;
