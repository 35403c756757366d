//! The page over a real connection: who is let in, what is answered, and that nothing can be sent.

use super::*;
use crate::screen::tests::{beacon, event, housekeeping, sealed};
use crate::screen::{Feed, Sources};
use passband_flight::passes::PassPlan;
use passband_proto::dict::{Housekeeping, Severity};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

struct Served {
    address: SocketAddr,
    telemetry: SocketAddr,
    token: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    dir: tempfile::TempDir,
}

impl Served {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let sources = Sources {
            out: dir.path().join("out"),
            store: dir.path().join("out/store"),
            archive: Some(dir.path().join("archive")),
            telemetry: Some(any),
        };
        std::fs::create_dir_all(sources.out.join("frames/x")).unwrap();
        std::fs::write(sources.out.join("frames/x/x.quicklook.png"), b"\x89PNG").unwrap();
        std::fs::write(dir.path().join("secret.png"), b"secret").unwrap();
        let feed = Feed::start(&sources, PassPlan::default(), crate::telemetry::TagKeys::default()).unwrap();
        let telemetry = feed.telemetry_address().unwrap();
        let token = Token::random().unwrap();
        let text = token.text().to_owned();
        let page = Page::bind(any, feed, sources.out, None, token).unwrap();
        let (address, stop) = (page.address(), Arc::new(AtomicBool::new(false)));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || page.run(&until).unwrap());
        Self { address, telemetry, token: text, stop, thread: Some(thread), dir }
    }

    fn open(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// What is answered, headers first.
    fn ask(&self, method: &str, path: &str, headers: &str) -> String {
        let close = "Connection: close\r\n";
        let mut stream = self.open(&format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{close}{headers}\r\n"));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token)
    }

    fn get(&self, path: &str) -> String {
        self.ask("GET", path, &self.bearer())
    }

    fn tell(&self, packet: &[u8]) {
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(packet, self.telemetry).unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or_default()
}

fn body(answer: &str) -> serde_json::Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn without_the_token_there_is_nothing_and_with_it_a_cookie() {
    let served = Served::start();
    for path in
        ["/", "/page.js", "/api/snapshot", "/api/stream", "/openmct/dictionary", "/picture/a.png", "/none"]
    {
        let answer = served.ask("GET", path, "");
        assert_eq!(status(&answer), "401", "{path}");
        assert!(!answer.contains("<html") && answer.contains("a token is needed"));
    }
    assert_eq!(status(&served.ask("GET", "/?token=wrong", "")), "401");
    assert_eq!(status(&served.ask("GET", "/", "Authorization: Bearer wrong\r\n")), "401");
    let answer = served.ask("GET", &format!("/?token={}", served.token), "");
    assert_eq!(status(&answer), "303");
    assert!(answer.contains("location: /\r\n") && answer.contains("HttpOnly; SameSite=Strict"));
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = format!("Cookie: other=1; {}\r\n", cookie.split(';').next().unwrap());
    let page = served.ask("GET", "/", &cookie);
    assert_eq!(status(&page), "200");
    assert!(page.contains("content-security-policy: default-src 'none'") && page.contains("nosniff"));
    assert!(!page.contains(&served.token) && !cookie.contains(&served.token));
}

#[test]
fn nothing_can_be_sent_and_nothing_outside_be_read() {
    let served = Served::start();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        assert_eq!(status(&served.ask(method, "/api/draft?line=ping", &served.bearer())), "405", "{method}");
    }
    assert_eq!(status(&served.get("/picture/frames/x/x.quicklook.png")), "200");
    for path in [
        "/picture/../secret.png",
        "/picture/%2e%2e/secret.png",
        "/picture/%2e%2e%2fsecret.png",
        "/picture/frames/..%2f..%2f..%2fsecret.png",
        "/picture//etc/passwd",
        "/picture/%2fetc%2fpasswd",
        "/picture/frames/x/x.json",
        "/openmct/dist/openmct.js",
        "/openmct/",
    ] {
        assert_eq!(status(&served.get(path)), "404", "{path}");
    }
    assert_eq!(status(&served.get(&format!("/api/draft?line={}", "x".repeat(9000)))), "414");
    assert!(served.dir.path().join("secret.png").is_file());
}

#[test]
fn a_draft_says_what_is_wrong_and_is_only_text() {
    let served = Served::start();
    let wrong = body(&served.get("/api/draft?line=pass%20start"));
    assert!(wrong["error"].as_str().unwrap().contains("SECONDS is wanted"));
    assert_eq!((&wrong["order"], &wrong["schema"]), (&serde_json::Value::Null, &1.into()));
    for path in ["/api/draft", "/openmct/history/beacon.uptime?start=a&end=1", "/openmct/stream"] {
        let answer = served.get(path);
        assert_eq!((status(&answer), body(&answer)["error"].is_string()), ("400", true), "{path}: {answer}");
    }
    let right = body(&served.get("/api/draft?line=board%20reboot"));
    assert_eq!(right["hazard"], "two-steps");
    assert_eq!(right["commands"].as_array().unwrap().len(), 2);
}

#[test]
fn openmct_gets_history_of_what_came() {
    let served = Served::start();
    for (count, power) in [(1, 5.0), (2, 50.0), (3, 6.0)] {
        let packet = Housekeeping { power, ..housekeeping() };
        served.tell(&sealed(&packet, count, u64::from(count) * 1000, None));
    }
    let history = |query: &str| body(&served.get(&format!("/openmct/history/housekeeping.power{query}")));
    let start = std::time::Instant::now();
    while history("?start=0&end=9000").as_array().unwrap().len() < 3 {
        assert!(start.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(20));
    }
    let latest = history("?start=0&end=9000&strategy=latest");
    assert_eq!(latest, serde_json::json!([{ "id": "housekeeping.power", "timestamp": 3000, "value": 6.0 }]));
    let two = history("?start=1500&end=2500");
    assert_eq!(two[0]["value"], 50.0);
    assert_eq!(history("?start=0&end=9000&strategy=minmax&size=1").as_array().unwrap().len(), 2);
    for bad in ["?start=5&end=1", "?strategy=all", "?strategy=latest&size=0", "?start=x"] {
        assert_eq!(status(&served.get(&format!("/openmct/history/housekeeping.power{bad}"))), "400", "{bad}");
    }
    assert_eq!(status(&served.get("/openmct/history/housekeeping.nothing")), "404");
    assert_eq!(status(&served.get("/openmct/stream?keys=x.y")), "400");
    assert!(body(&served.get("/openmct/dictionary"))["measurements"].as_array().unwrap().len() > 100);
}

/// The first event of a name whose data holds a text.
fn event_with(stream: &mut impl BufRead, name: &str, text: &str) -> String {
    let (mut line, mut of) = (String::new(), String::new());
    loop {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended");
        if let Some(name) = line.strip_prefix("event: ") {
            of = name.trim().to_owned();
        } else if line.starts_with("data: ") && of == name && line.contains(text) {
            return line;
        }
    }
}

#[test]
fn what_comes_is_streamed_to_the_page_and_to_openmct() {
    let served = Served::start();
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{}\r\n", served.bearer());
    let mut page = BufReader::new(served.open(&ask("/api/stream")));
    let mut openmct =
        BufReader::new(served.open(&ask("/openmct/stream?keys=event.number,beacon.boot_count")));
    event_with(&mut page, "snapshot", "\"satellite\":null");
    let mut line = String::new();
    openmct.read_line(&mut line).unwrap();
    served.tell(&sealed(&event(77, 5000, Severity::Error), 0, 5000, None));
    served.tell(&sealed(&beacon(), 0, 6000, None));
    let shown = event_with(&mut page, "snapshot", "\"number\":77");
    assert!(shown.contains("a frame\\nof no lines"), "what the satellite says breaks no line of the stream");
    event_with(&mut openmct, "data", "{\"id\":\"event.number\",\"timestamp\":5000,\"value\":77}");
}

#[test]
fn so_many_may_follow_and_no_more() {
    let served = Served::start();
    let ask = format!("GET /api/stream HTTP/1.1\r\nHost: x\r\n{}\r\n", served.bearer());
    let mut streams: Vec<_> = (0..MAX_STREAMS).map(|_| BufReader::new(served.open(&ask))).collect();
    streams.iter_mut().for_each(|stream| drop(event_with(stream, "snapshot", "{")));
    assert_eq!(status(&served.get("/api/stream")), "503");
    assert_eq!(status(&served.get("/api/snapshot")), "200", "the rest goes on");
}
