//! The staff page: floods, silent and slow clients, guessed pairing codes, a greedy tablet.
//!
//! Every connection chooses its loopback address, so that the limits by address are tried, too.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use grelot::clock::Clocks;
use grelot::pipeline::units::WallTime;
use grelot::tablets::Pairing;
use grelot::tablets::pairing::Pairings;
use tokio::runtime::Runtime;

use crate::common;

/// Longer than any answer takes on a busy machine: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// A page that needs pairing. Its broker is unreachable, which the page survives.
struct Page {
    runtime: Runtime,
    state: tempfile::TempDir,
    server: common::page::Page,
}

impl Page {
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let state = tempfile::tempdir().unwrap();
        let mut config = common::page::config(1, state.path());
        config.pairing = Pairing::Required;
        let mut page = Self { runtime, state, server: common::page::Page::new(config) };
        page.start();
        page
    }

    fn start(&mut self) {
        self.server.start(&self.runtime);
    }

    fn stop(&mut self) {
        self.server.stop(&self.runtime);
    }

    /// A connection from one of loopback's addresses.
    fn connect(&self, last: u8) -> TcpStream {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
        socket.connect(&self.server.address().into()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.into()
    }

    /// What `grelot tablets pair` prints.
    fn new_code(&self) -> String {
        Pairings::new(self.state.path()).issue(now()).unwrap().digits
    }

    /// Pairs a tablet; its cookie.
    fn pair(&self, last: u8) -> String {
        let answer = self.try_code(last, &self.new_code());
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.unwrap_or_else(|| panic!("not paired: {answer}"));
        cookie.split(';').next().unwrap().to_owned()
    }

    fn try_code(&self, last: u8, code: &str) -> String {
        let body = serde_json::json!({ "code": code, "label": "till" }).to_string();
        let mut stream = self.connect(last);
        let head = post("/pair", body.len(), "Connection: close\r\n");
        stream.write_all((head + &body).as_bytes()).unwrap();
        to_the_end(&mut stream)
    }

    /// The status line of a tablet's short request.
    fn session(&self, last: u8, cookie: &str) -> String {
        let mut stream = self.connect(last);
        let head = get("/session", &format!("Cookie: {cookie}\r\nConnection: close\r\n"));
        stream.write_all(head.as_bytes()).unwrap();
        first_line(&to_the_end(&mut stream))
    }

    /// A tablet's event stream, and the status line of its answer.
    fn events(&self, last: u8, cookie: &str, tab: &str) -> (TcpStream, String) {
        let mut stream = self.connect(last);
        let head = get(
            &format!("/events?tab={tab}"),
            &format!("Cookie: {cookie}\r\nConnection: close\r\n"),
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        (stream, String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.stop();
    }
}

fn now() -> WallTime {
    Clocks::machine().now().clock.reading()
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n")
}

fn post(path: &str, length: usize, headers: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{headers}\r\n"
    )
}

/// Everything until the server closes. A reset is an end, too: it closes with octets unread.
fn to_the_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the server never closed");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn first_line(answer: &str) -> String {
    answer.lines().next().unwrap_or_default().to_owned()
}

/// Waits for the next heartbeat.
fn beats(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    let mut octets = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains("event: beat") {
        match stream.read(&mut octets) {
            Ok(length) if length > 0 => seen.extend_from_slice(&octets[..length]),
            _ => return false,
        }
    }
    true
}

#[test]
fn requests_whose_body_never_arrives_do_not_block_the_page() {
    let page = Page::open();
    let cookie = page.pair(9);
    let (mut tablet, status) = page.events(9, &cookie, "a");
    assert_eq!(status, "HTTP/1.1 200");
    let mut flood: Vec<TcpStream> = (0..300)
        .map(|n| {
            let mut stream = page.connect(if n < 200 { 66 } else { 70 + n as u8 % 50 });
            stream.write_all(post("/pair", 500, "").as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(page.session(9, &cookie), "HTTP/1.1 204 No Content");
    let (_second, status) = page.events(9, &cookie, "b");
    assert_eq!(status, "HTTP/1.1 200");
    let mut other = page.connect(10);
    other.write_all(get("/healthz", "Connection: close\r\n").as_bytes()).unwrap();
    assert_eq!(first_line(&to_the_end(&mut other)), "HTTP/1.1 200 OK");

    let answers: Vec<String> =
        flood.iter_mut().map(|stream| first_line(&to_the_end(stream))).collect();
    let timed_out = |answer: &&String| *answer == "HTTP/1.1 408 Request Timeout";
    assert!(answers.iter().filter(timed_out).count() > 0, "the others gave way: {answers:?}");
    assert!(answers.iter().all(|answer| answer.is_empty() || timed_out(&answer)));
    assert!(beats(&mut tablet) && beats(&mut tablet), "the tablet stayed connected");
}

#[test]
fn a_body_that_trickles_in_ends_in_time() {
    let page = Page::open();
    let mut stream = page.connect(66);
    stream.write_all(post("/pair", 1000, "").as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut answer = Vec::new();
    for sent in 0.. {
        assert!(sent < 900, "the server waits for the whole body");
        // Fails once the server has closed: its answer is what counts.
        let _ = stream.write_all(b" ");
        let mut octets = [0; 1024];
        match stream.read(&mut octets) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&octets[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn silent_connections_do_not_disconnect_a_tablet_that_looks_on() {
    let page = Page::open();
    let cookie = page.pair(9);
    let (mut tablet, _) = page.events(9, &cookie, "a");
    let silent: Vec<TcpStream> = (0..1_000).map(|n| page.connect(11 + (n % 200) as u8)).collect();
    assert!(beats(&mut tablet) && beats(&mut tablet));
    assert_eq!(page.session(9, &cookie), "HTTP/1.1 204 No Content");
    assert!(page.try_code(10, &page.new_code()).contains("set-cookie"), "another one is let in");
    drop(silent);
}

#[test]
fn one_paired_tablet_cannot_take_all_places() {
    let page = Page::open();
    let (greedy, honest) = (page.pair(66), page.pair(9));
    let (mut tablet, _) = page.events(9, &honest, "a");
    let streams: Vec<_> = (0..150).map(|n| page.events(66, &greedy, &format!("tab{n}"))).collect();
    let open = streams.iter().filter(|(_, status)| status == "HTTP/1.1 200").count();
    assert_eq!(open, 6);
    let (_second, status) = page.events(9, &honest, "b");
    assert_eq!(status, "HTTP/1.1 200");
    let (_taken_over, _) = page.events(66, &greedy, "a");
    assert!(beats(&mut tablet) && beats(&mut tablet), "no tablet takes over another's stream");
}

#[test]
fn guessed_pairing_codes_are_counted_over_restarts_and_keep_no_tablet_out() {
    let mut page = Page::open();
    let code = page.new_code();
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let mut refused = Vec::new();
    for _ in 0..5 {
        refused.push(first_line(&page.try_code(66, wrong)));
        page.stop();
        page.start();
    }
    assert_eq!(refused[3], "HTTP/1.1 403 Forbidden");
    assert_eq!(refused[4], "HTTP/1.1 429 Too Many Requests");
    assert!(page.try_code(66, &code).contains("no_code"), "it is withdrawn");

    let next = page.new_code();
    for _ in 0..50 {
        assert!(page.try_code(66, wrong).contains("wrong_code"));
    }
    assert!(page.try_code(9, &next).contains("set-cookie"), "the guesser cannot withdraw it");
}

#[test]
fn of_many_tablets_that_race_with_one_code_one_is_let_in() {
    let page = Page::open();
    for _ in 0..5 {
        let code = page.new_code();
        let answers: Vec<String> = std::thread::scope(|scope| {
            let racers: Vec<_> = (20..28)
                .map(|last| {
                    scope.spawn({
                        let (page, code) = (&page, &code);
                        move || page.try_code(last, code)
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let let_in = |answer: &&String| answer.contains("set-cookie");
        assert_eq!(answers.iter().filter(let_in).count(), 1, "{answers:?}");
        let rest = answers.iter().filter(|answer| !let_in(answer));
        assert!(rest.clone().all(|answer| answer.contains("no_code")), "{answers:?}");
    }
    assert_eq!(Pairings::new(page.state.path()).list().unwrap().len(), 5);
}

#[test]
fn an_expired_code_lets_no_tablet_in() {
    let page = Page::open();
    let long_ago = WallTime::from_unix_millis(now().unix_millis() - 601_000);
    let code = Pairings::new(page.state.path()).issue(long_ago).unwrap().digits;
    assert!(page.try_code(9, &code).contains("no_code"));
    assert!(Pairings::new(page.state.path()).list().unwrap().is_empty());
}

#[test]
fn a_foreign_page_neither_pairs_nor_spends_a_code_and_a_rebound_name_learns_nothing() {
    let page = Page::open();
    let code = page.new_code();
    let body = serde_json::json!({ "code": code, "label": "thief" }).to_string();
    let ask = |head: &str, body: &str| {
        let mut stream = page.connect(66);
        stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).unwrap();
        to_the_end(&mut stream)
    };
    // A page of another site in a browser of the shop's network.
    let post = |host: &str, more: &str| {
        let length = body.len();
        ask(
            &format!("POST /pair HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{more}"),
            &body,
        )
    };
    let json = "Content-Type: application/json\r\n";
    for foreign in
        ["Origin: http://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"]
    {
        let answer = post("127.0.0.1", &format!("{json}{foreign}"));
        assert!(answer.contains("foreign_origin"), "{foreign} {answer}");
    }
    assert!(post("127.0.0.1", "Content-Type: text/plain\r\n").contains("not_json"));

    // A name of another site that resolves to the gateway: its page is of one origin with itself, and has
    // no cookie of the shop's. All it can do is guess.
    let rebound = |path: &str| ask(&format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n"), "");
    for path in ["/events?tab=a", "/session", "/tablets"] {
        assert!(rebound(path).starts_with("HTTP/1.1 401"), "{path}");
    }
    let paired = page.try_code(9, &code);
    assert!(paired.contains("set-cookie"), "the code was not spent: {paired}");
}
