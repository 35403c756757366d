//! A real server on loopback that behaves as servers do.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use passband_proto::alert::{Alert, Position, fit};

use super::*;
use crate::catalogue::journal::Journal;
use crate::catalogue::{Product, ProductFile};
use crate::station::AlertReport;

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn alert(number: u32) -> AlertReport {
    let alert = Alert {
        number,
        time_unix_ms: 1_700_000_000_000 + u64::from(number),
        frame: fit(&format!("f{number}")),
        gas: fit("ch4"),
        probability_permille: 982,
        peak_ppm_m: 1250.4,
        mean_ppm_m: 400.0,
        pixels: 120,
        line: 30,
        sample: 40,
        position: Some(Position { lat_e7: 319_123_000, lon_e7: -1_020_456_000 }),
        plumes: 3,
        evidence: None,
    };
    AlertReport { spacecraft: 1, alert, sealed_bytes: 90 }
}

pub(super) fn write_alert(out: &Path, report: &AlertReport) {
    let folder = out.join("alerts");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("alert-1-1-{}.json", report.alert.number));
    crate::station::write_aside(&path, &serde_json::to_vec(report).unwrap()).unwrap();
}

/// The quicklook of an alert's frame, as the catalogue knows it.
pub(super) fn quicklook(report: &AlertReport) -> Product {
    let frame = report.alert.frame.to_string();
    let preview = ProductFile { name: format!("{frame}.quicklook.png"), bytes: 5, sha256: "00".to_owned() };
    Product {
        folder: format!("{frame}-quicklook"),
        product: "quicklook".to_owned(),
        created_unix_ms: report.alert.time_unix_ms,
        frame: Some(frame),
        frame_id: Some(format!("{:024x}", report.alert.number)),
        preview: Some(preview),
        ..crate::catalogue::tests::product(u64::from(report.alert.number))
    }
}

/// An alert with its quicklook, both as they came.
fn write_with_picture(out: &Path, number: u32) {
    write_picture(out, &alert(number));
    write_alert(out, &alert(number));
}

fn write_picture(out: &Path, report: &AlertReport) {
    let product = quicklook(report);
    let folder = out.join(&product.folder);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(&product.preview.as_ref().unwrap().name), b"\x89PNG!").unwrap();
    let journal = Journal::new(out);
    drop(journal.lock().unwrap());
    journal.append(&product).unwrap();
}

/// What the server does with a connection.
#[derive(Debug, Clone, Copy)]
enum Act {
    Answer(&'static str),
    /// Takes the request and closes without an answer.
    Drop,
    /// Takes the request and never answers.
    Hang,
}

const OK: Act = Act::Answer("200 OK\r\n");

struct Request {
    head: String,
    body: Vec<u8>,
    at: Instant,
}

/// Does these acts, one a connection, then answers 200 to all that come.
fn serve(listener: TcpListener, acts: Vec<Act>) -> Receiver<Request> {
    let mut acts = acts.into_iter();
    serve_by(listener, move |_| acts.next().unwrap_or(OK))
}

/// Does with each request what `act` says.
fn serve_by(
    listener: TcpListener,
    mut act: impl FnMut(&Request) -> Act + Send + 'static,
) -> Receiver<Request> {
    let (requests, came) = channel();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Some(request) = read_request(&mut stream) else { continue };
            let act = act(&request);
            if requests.send(request).is_err() {
                return;
            }
            match act {
                Act::Answer(answer) => {
                    let text = format!("HTTP/1.1 {answer}Content-Length: 0\r\nConnection: close\r\n\r\n");
                    let _ = stream.write_all(text.as_bytes());
                }
                Act::Drop => {}
                Act::Hang => held.push(stream),
            }
        }
    });
    came
}

impl Request {
    fn is_picture(&self) -> bool {
        self.head.contains("content-type: multipart/form-data")
    }

    /// Whether it is about this alert.
    fn is_of(&self, number: u32) -> bool {
        self.head.contains(&format!("idempotency-key: alert-1-1-{number}-"))
    }
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&chunk[..n]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|n| n.parse().ok()).unwrap_or_default();
        if bytes.len() >= end + 4 + length {
            return Some(Request { head, body: bytes[end + 4..].to_vec(), at: Instant::now() });
        }
    }
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn quick() -> Limits {
    Limits {
        try_for: Duration::from_millis(300),
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(80),
        ..Limits::default()
    }
}

fn start(out: &Path, address: SocketAddr, limits: Limits) -> Webhook {
    let headers = ["Authorization: Bearer k".to_owned()];
    let target = Target::new(&format!("http://{address}/hook/secret"), "Robin", &headers).unwrap();
    Webhook::start(out, &target, limits).unwrap()
}

/// Waits until the outbox says so of an alert.
fn wait_for(out: &Path, number: u32, what: impl Fn(&serde_json::Value) -> bool) {
    let path = out.join(format!("webhook/alert-1-1-{number}.json"));
    let since = Instant::now();
    loop {
        let text = fs::read(&path).unwrap_or_default();
        let entry: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        if what(&entry) {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{entry:#}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn state(entry: &serde_json::Value, kind: &str) -> String {
    entry[kind]["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_alert_is_told_through_all_that_servers_do_and_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listen();
    // Nobody listens at first.
    drop(listener);
    let hook = start(dir.path(), address, quick());
    write_alert(dir.path(), &alert(7));
    hook.waker().wake();
    wait_for(dir.path(), 7, |entry| entry["alert"]["attempts"].as_u64() >= Some(2));
    let acts = vec![
        Act::Answer("500 Internal Server Error\r\n"),
        Act::Drop,
        Act::Hang,
        Act::Answer("429 Too Many Requests\r\nRetry-After: 0.4\r\n"),
        Act::Answer("404 Not Found\r\n"),
        Act::Answer("302 Found\r\nLocation: http://127.0.0.1:1/\r\n"),
        OK,
    ];
    let requests = serve(TcpListener::bind(address).unwrap(), acts);
    wait_for(dir.path(), 7, |entry| state(entry, "alert") == "sent");
    let came: Vec<_> = requests.try_iter().collect();
    assert_eq!(came.len(), 7);
    assert!(came[4].at - came[3].at >= Duration::from_millis(400), "Retry-After is kept to");
    for request in &came {
        assert!(request.head.starts_with("post /hook/secret http/1.1"), "{}", request.head);
        assert!(request.head.contains("authorization: bearer k"));
        assert!(request.head.contains("idempotency-key: alert-1-1-7-alert"));
        let said: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert!(said["text"].as_str().unwrap().starts_with("Robin checking in: methane at 31.9123 N"));
        assert_eq!(said["passband"]["number"], 7);
    }
    hook.waker().wake();
    let news = hook.finish(Duration::from_secs(2));
    assert!(news.iter().any(|n| n.contains("takes messages again")), "{news:?}");
    assert!(news.iter().all(|n| !n.contains("secret")), "the address is a secret: {news:?}");
    // Another life tells nothing again.
    start(dir.path(), address, quick()).finish(Duration::from_secs(2));
    assert!(requests.try_recv().is_err());
}

#[test]
fn what_was_not_told_is_told_by_the_next_life_with_its_picture() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listen();
    drop(listener);
    let hook = start(dir.path(), address, quick());
    write_alert(dir.path(), &alert(1));
    hook.waker().wake();
    wait_for(dir.path(), 1, |entry| state(entry, "alert") == "pending");
    drop(hook.finish(Duration::ZERO));

    // The picture is down before the alert could be told.
    write_with_picture(dir.path(), 1);
    let requests = serve(TcpListener::bind(address).unwrap(), Vec::new());
    let hook = start(dir.path(), address, quick());
    let (first, second) =
        (requests.recv_timeout(PATIENCE).unwrap(), requests.recv_timeout(PATIENCE).unwrap());
    assert!(first.head.contains("content-type: application/json"));
    assert!(second.head.contains("content-type: multipart/form-data; boundary="));
    assert!(second.body.windows(5).any(|w| w == b"\x89PNG!"));
    wait_for(dir.path(), 1, |entry| state(entry, "picture") == "sent");

    // A picture that nobody would take.
    write_with_picture(dir.path(), 2);
    let picture = fs::File::create(dir.path().join("f2-quicklook/f2.quicklook.png")).unwrap();
    picture.set_len(1 << 30).unwrap();
    hook.waker().wake();
    wait_for(dir.path(), 2, |entry| state(entry, "picture") == "given-up");
    assert_eq!(requests.try_iter().count(), 1, "its picture can't be sent");
    let news = hook.finish(Duration::from_secs(2));
    assert!(news.iter().any(|n| n.contains("the picture of alert-1-1-2 is given up")), "{news:?}");
}

#[test]
fn a_message_that_a_server_refuses_is_given_up_at_once_and_the_next_one_told() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listen();
    let hook = start(dir.path(), address, quick());
    let requests = serve(listener, vec![Act::Answer("400 Bad Request\r\n")]);
    write_alert(dir.path(), &alert(1));
    write_alert(dir.path(), &alert(2));
    hook.waker().wake();
    wait_for(dir.path(), 2, |entry| state(entry, "alert") == "sent");
    wait_for(dir.path(), 1, |entry| {
        state(entry, "alert") == "given-up" && state(entry, "picture") == "given-up"
    });
    assert_eq!(requests.try_iter().count(), 2);
    assert!(hook.take_news()[0].contains("400 Bad Request"));
}

#[test]
fn pictures_that_a_server_does_not_take_are_given_up_and_hold_no_alert_up() {
    const ANSWERS: [&str; 5] = ["403 No\r\n", "404 No\r\n", "405 No\r\n", "501 No\r\n", "500 No\r\n"];
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listen();
    let hook = start(dir.path(), address, Limits { picture_tries: 3, ..quick() });
    let requests = serve_by(listener, |request| {
        let answer = (1..).zip(ANSWERS).find(|(number, _)| request.is_of(*number)).map(|(_, answer)| answer);
        if request.is_picture() { answer.map_or(OK, Act::Answer) } else { OK }
    });
    // All alerts come at once.
    let aside = dir.path().join("aside");
    for number in 1..=6 {
        write_picture(dir.path(), &alert(number));
        write_alert(&aside, &alert(number));
    }
    fs::rename(aside.join("alerts"), dir.path().join("alerts")).unwrap();
    hook.waker().wake();
    for number in 1..=5 {
        wait_for(dir.path(), number, |entry| {
            state(entry, "alert") == "sent" && state(entry, "picture") == "given-up"
        });
    }
    wait_for(dir.path(), 6, |entry| state(entry, "picture") == "sent");
    let came: Vec<_> = requests.try_iter().collect();
    let pictures = |number| came.iter().filter(|r| r.is_picture() && r.is_of(number)).count();
    assert_eq!([1, 2, 3, 4, 5, 6].map(pictures), [1, 1, 1, 1, 3, 1]);
    assert!(came[..6].iter().all(|request| !request.is_picture()), "alerts go before pictures");
}

#[test]
fn what_a_server_asks_for_over_a_picture_is_no_concern_of_alerts() {
    for (answer, tried) in [("429 No\r\nRetry-After: 3600\r\n", 1), ("500 No\r\n", 2)] {
        let dir = tempfile::tempdir().unwrap();
        let (listener, address) = listen();
        let patient = Duration::from_hours(1);
        let limits = Limits { first_pause: patient, longest_pause: patient, ..quick() };
        let hook = start(dir.path(), address, limits);
        let requests =
            serve_by(listener, move |request| if request.is_picture() { Act::Answer(answer) } else { OK });
        write_with_picture(dir.path(), 1);
        hook.waker().wake();
        wait_for(dir.path(), 1, |entry| entry["picture"]["failures"] == 1);
        write_with_picture(dir.path(), 2);
        hook.waker().wake();
        wait_for(dir.path(), 2, |entry| state(entry, "alert") == "sent");
        // The second picture has its turn, unless the server asked for peace.
        wait_for(dir.path(), 2, |entry| state(entry, "picture") == "pending");
        wait_for(dir.path(), 2, |entry| entry["picture"]["attempts"] == tried - 1);
        drop(hook.finish(PATIENCE));
        assert_eq!(requests.try_iter().filter(Request::is_picture).count(), tried, "{answer}");
    }
}

#[test]
fn an_alert_that_a_server_chokes_on_holds_no_other_up() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listen();
    let patient = Duration::from_hours(1);
    let hook = start(dir.path(), address, Limits { first_pause: patient, longest_pause: patient, ..quick() });
    let mut acts = [Act::Answer("500 No\r\n"), Act::Drop, Act::Hang].into_iter().cycle();
    let requests = serve_by(listener, move |request| {
        if (1..=3).any(|number| request.is_of(number)) { acts.next().unwrap_or(OK) } else { OK }
    });
    (1..=5).for_each(|number| write_alert(dir.path(), &alert(number)));
    hook.waker().wake();
    for number in [4, 5] {
        wait_for(dir.path(), number, |entry| state(entry, "alert") == "sent");
    }
    write_alert(dir.path(), &alert(6));
    hook.waker().wake();
    wait_for(dir.path(), 6, |entry| state(entry, "alert") == "sent");
    wait_for(dir.path(), 1, |entry| state(entry, "alert") == "pending" && entry["alert"]["attempts"] == 1);
    assert_eq!(requests.try_iter().count(), 6);
}

#[test]
fn an_outbox_that_can_not_be_written_tells_each_alert_once_and_is_made_up_for() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listen();
    let requests = serve(listener, Vec::new());
    let hook = start(dir.path(), address, quick());
    let (folder, aside) = (dir.path().join("webhook"), dir.path().join("aside"));
    fs::rename(&folder, &aside).unwrap();
    write_alert(dir.path(), &alert(1));
    hook.waker().wake();
    requests.recv_timeout(PATIENCE).unwrap();
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(20));
        hook.waker().wake();
    }
    assert!(requests.try_recv().is_err(), "only the writing is tried again");
    fs::rename(&aside, &folder).unwrap();
    wait_for(dir.path(), 1, |entry| state(entry, "alert") == "sent");
    assert_eq!(hook.finish(PATIENCE).iter().filter(|said| said.contains("writing")).count(), 1);
    start(dir.path(), address, quick()).finish(PATIENCE);
    assert!(requests.try_recv().is_err());
}

#[test]
fn a_message_that_can_not_be_told_is_given_up_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listen();
    drop(listener);
    let hook = start(dir.path(), address, Limits { give_up_after: Duration::from_millis(150), ..quick() });
    write_alert(dir.path(), &alert(1));
    hook.waker().wake();
    wait_for(dir.path(), 1, |entry| state(entry, "alert") == "given-up");
    let news = hook.finish(Duration::from_secs(2));
    assert!(news.iter().any(|n| n.contains("alert-1-1-1 is given up after")), "{news:?}");
}

#[test]
fn a_server_that_hangs_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listen();
    let hook = start(dir.path(), address, Limits { try_for: Duration::from_secs(30), ..quick() });
    let requests = serve(listener, vec![Act::Hang; 10]);
    write_alert(dir.path(), &alert(1));
    let since = Instant::now();
    let waker = hook.waker();
    waker.wake();
    requests.recv_timeout(PATIENCE).unwrap();
    (0..10_000).for_each(|_| waker.wake());
    drop(hook.finish(Duration::from_millis(50)));
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    wait_for(dir.path(), 1, |entry| state(entry, "alert") == "pending");
}
