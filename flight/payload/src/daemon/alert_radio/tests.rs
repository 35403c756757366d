use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use passband_proto::ids::BundleId;
use passband_proto::ids::Class;
use tokio::runtime::Builder;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use super::*;
use crate::config::Config;
use crate::products::Kind;
use crate::queue::item_of;
use crate::store::FrameId;
use crate::store::tests::alert;

/// What no test waits for.
const PATIENCE: Duration = Duration::from_secs(5);

fn shared(folder: &Path, target: SocketAddr, rules: &str) -> Arc<Shared> {
    let text = format!("[alerts]\ntarget = \"{target}\"\n{rules}");
    let config = Config::parse(&text, &folder.join("c.toml")).unwrap();
    Arc::new(Shared::for_tests(config, folder))
}

/// An alert of a frame of its own, made now.
fn add(shared: &Shared, id: u8) -> AlertRecord {
    let mut seal = |number| {
        let mut made = alert(number, 990);
        made.time_unix_ms = shared.clock.unix_ms();
        Some((made, vec![id; 100]))
    };
    shared.catalogue.add_alert(FrameId([id; 12]), &mut seal).unwrap().unwrap().0
}

/// The radio's end, and the daemon's.
async fn sockets() -> (UdpSocket, UdpSocket) {
    let any = "127.0.0.1:0";
    (UdpSocket::bind(any).await.unwrap(), UdpSocket::bind(any).await.unwrap())
}

/// The first byte of the next message.
async fn heard(radio: &UdpSocket) -> u8 {
    let mut buffer = [0; 300];
    let bytes = timeout(PATIENCE, radio.recv(&mut buffer)).await.expect("a message").unwrap();
    assert_eq!(bytes, 100);
    buffer[0]
}

fn run<F: Future<Output = ()>>(test: F) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// Waits for a state of alert 1.
async fn state(shared: &Shared, state: AlertState) {
    let begun = Instant::now();
    while shared.catalogue.alerts().unwrap()[0].state != state {
        assert!(begun.elapsed() < PATIENCE, "{:?}", shared.catalogue.alerts().unwrap()[0].state);
        sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn from_an_alert_that_is_added_to_its_bytes_on_the_socket_it_takes_milliseconds() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (radio, socket) = sockets().await;
        let shared = shared(dir.path(), radio.local_addr().unwrap(), "per_minute = 600");
        let (alerts, new_alerts) = unbounded_channel();
        let task = tokio::spawn(AlertRadio::new(Arc::clone(&shared), socket).unwrap().run(new_alerts));
        let mut delays = Vec::new();
        for id in 1..=21 {
            let record = add(&shared, id);
            let begun = Instant::now();
            alerts.send(record).unwrap();
            assert_eq!(heard(&radio).await, id);
            delays.push(begun.elapsed());
            // The radio is asleep again when the next one comes.
            sleep(Duration::from_millis(10)).await;
        }
        delays.sort();
        println!("from added to sent: median {:?}, longest {:?}", delays[10], delays[20]);
        assert!(delays[10] < Duration::from_millis(50), "{delays:?}");
        let counters = shared.counters();
        assert_eq!(counters.alerts_sent, 21);
        assert!(counters.alert_delay_ms_max < 2_000, "{}", counters.alert_delay_ms_max);
        let events = shared.catalogue.events(None, 1).unwrap();
        assert!(events[0].text.contains("sent, ") && events[0].text.ends_with(" ms after it was made"));
        task.abort();
    });
}

#[test]
fn it_is_sent_again_until_the_operator_says_enough_and_that_takes_no_tick() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (radio, socket) = sockets().await;
        let shared = shared(dir.path(), radio.local_addr().unwrap(), "repeat_s = [0, 1]\nper_minute = 600");
        add(&shared, 1);
        let radio_task = AlertRadio::new(Arc::clone(&shared), socket).unwrap();
        let (_alerts, new_alerts) = unbounded_channel();
        let task = tokio::spawn(radio_task.run(new_alerts));
        assert_eq!([heard(&radio).await, heard(&radio).await], [1, 1], "of an earlier run, and repeated");
        let acknowledged = AlertState::Acknowledged(Acknowledger::Operator);
        shared.catalogue.settle_alerts(1, &[1], acknowledged).unwrap();
        shared.alerts_changed.notify_one();
        let silence = timeout(Duration::from_millis(1_300), radio.recv(&mut [0; 300])).await;
        assert!(silence.is_err(), "it was sent again");
        assert_eq!(shared.catalogue.alerts().unwrap()[0].state, acknowledged);
        assert!(!task.is_finished());
        task.abort();
    });
}

#[test]
fn evidence_that_is_whole_on_the_ground_acknowledges_the_alert() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (radio, socket) = sockets().await;
        let shared = shared(dir.path(), radio.local_addr().unwrap(), "");
        let evidence = add(&shared, 1).evidence;
        assert_eq!(evidence, Some(BundleId([3; 12])));
        let (_alerts, new_alerts) = unbounded_channel();
        let task = tokio::spawn(AlertRadio::new(Arc::clone(&shared), socket).unwrap().run(new_alerts));
        assert_eq!(heard(&radio).await, 1);
        let stored = crate::store::tests::bundle(3, Class::Alert, Kind::Evidence, 1);
        let _known = shared.queue(|queue| {
            let item = item_of(&stored, queue.settings());
            queue.insert(&item).and_then(|_| queue.known(&stored.id)).unwrap()
        });
        state(&shared, AlertState::Acknowledged(Acknowledger::Evidence)).await;
        task.abort();
    });
}

#[test]
fn a_radio_that_refuses_keeps_the_alert_pending_until_it_is_too_old_and_that_is_told() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        // A socket that can reach IPv4 only refuses an IPv6 target: as a radio does whose interface is down.
        let nowhere: SocketAddr = "[::1]:47001".parse().unwrap();
        let (_, socket) = sockets().await;
        let down = shared(dir.path(), nowhere, "repeat_s = [0]\nstale_s = 2");
        add(&down, 1);
        let (_alerts, new_alerts) = unbounded_channel();
        let task = tokio::spawn(AlertRadio::new(Arc::clone(&down), socket).unwrap().run(new_alerts));
        sleep(Duration::from_millis(1_200)).await;
        let kept = down.catalogue.alerts().unwrap()[0].clone();
        assert_eq!((kept.state, kept.sends), (AlertState::Pending, 0));
        assert_eq!(down.counters().alerts_sent, 0);
        state(&down, AlertState::Stale).await;
        let codes: Vec<_> = down.catalogue.events(None, 9).unwrap().into_iter().map(|e| e.code).collect();
        assert_eq!(codes, ["alert-error", "alert-stale"]);
        task.abort();
    });
}

#[test]
fn a_board_that_is_slow_to_listen_loses_no_alert_that_is_in_the_catalogue() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (radio, socket) = sockets().await;
        let shared = shared(dir.path(), radio.local_addr().unwrap(), "");
        let (alerts, new_alerts) = unbounded_channel::<AlertRecord>();
        let task = tokio::spawn(AlertRadio::new(Arc::clone(&shared), socket).unwrap().run(new_alerts));
        // The thread of frames is gone before it could hand the alert over: the channel is closed, nothing spins.
        drop(alerts);
        sleep(Duration::from_millis(20)).await;
        add(&shared, 1);
        shared.alerts_changed.notify_one();
        assert_eq!(heard(&radio).await, 1);
        task.abort();
    });
}
