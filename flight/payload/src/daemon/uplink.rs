//! The uplink: protected frames of the slow link, a datagram each, for the commander. A task of the daemon's one
//! asynchronous loop.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use passband_proto::dict::EventCode;
use passband_proto::sdls::MAX_FRAME_BYTES;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::commander::{Commander, Nominal, Then};
use super::encoder::QueueChange;
use super::listener::Listener;
use super::shared::{Shared, lock};
use super::{Ended, note_order};
use crate::adapters::os::{random_8, reboot};
use crate::health::{Starts, Task};
use crate::telemetry::Report;

/// The line is idle when nothing came for so long.
const IDLE: Duration = Duration::from_millis(200);
/// How often it is seen to while nothing comes.
const QUIET: Duration = Duration::from_secs(1);
/// Most frames that are taken before an order is done.
const MAX_TAKEN: usize = 1_000;
/// The pause after an error of the socket.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Takes frames until it is dropped.
pub(crate) async fn uplink(
    shared: Arc<Shared>,
    commander: Arc<Mutex<Commander>>,
    queue: Sender<QueueChange>,
    listener: Arc<Listener>,
) {
    let mut buffer = [0; MAX_FRAME_BYTES + 1];
    let beat = shared.beat(Task::Uplink);
    let socket = listener.bound(&shared, &beat).await;
    // Whether a frame came since the marks were settled.
    let mut busy = false;
    loop {
        beat.check_in();
        let mut works = Nominal { shared: &shared, queue: &queue };
        match timeout(if busy { IDLE } else { QUIET }, socket.recv(&mut buffer)).await {
            Ok(Ok(bytes)) => {
                busy = true;
                lock(&commander).receive(&mut works, buffer.get(..bytes).unwrap_or_default());
                // Whatever has come is taken before each order, which may wait for the disk.
                loop {
                    for _ in 0..MAX_TAKEN {
                        let Ok(bytes) = socket.try_recv(&mut buffer) else { break };
                        lock(&commander).receive(&mut works, buffer.get(..bytes).unwrap_or_default());
                    }
                    beat.check_in();
                    if !lock(&commander).serve(&mut works) {
                        break;
                    }
                    yield_now().await;
                }
            }
            Ok(Err(e)) => {
                let report = Report::error(EventCode::UplinkError, format!("receiving the uplink: {e}"));
                shared.throttled("uplink", &report);
                sleep(ERROR_PAUSE).await;
            }
            Err(_) => {
                busy = false;
                let mut commander = lock(&commander);
                commander.settle(&mut works);
                commander.freshen(|| random_8().ok());
            }
        }
    }
}

/// Does what is due by itself. Ends when an order wants the daemon to be started anew, or another slot; restarts the board
/// if one wants that.
pub(crate) async fn watch_orders(
    shared: Arc<Shared>,
    commander: Arc<Mutex<Commander>>,
    queue: Sender<QueueChange>,
) -> Ended {
    loop {
        sleep(IDLE).await;
        let mut works = Nominal { shared: &shared, queue: &queue };
        let then = {
            let mut commander = lock(&commander);
            commander.poll(&mut works);
            commander.parts().then.take()
        };
        match then {
            None => {}
            Some(Then::Restart) => return Ended::Restart,
            Some(Then::Switch) => return Ended::Switch,
            Some(Then::Reboot) => {
                shared.end_pass();
                shared.event(&Report::info(EventCode::DaemonStop, "the board is restarted by an order"));
                // One that can't be kept is taken for a power cut.
                drop(shared.pulse.ledger(|ledger| ledger.change(Starts::anew)));
                note_order(&commander);
                let why = reboot();
                drop(shared.pulse.ledger(|ledger| ledger.change(Starts::goes_on)));
                lock(&commander).not_rebooted(&mut works, &why.to_string());
            }
        }
    }
}
