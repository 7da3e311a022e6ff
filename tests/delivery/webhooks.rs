//! Webhooks whose receivers are down, slow, answer 500, answer twice or hang up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grelot::config::{WEBHOOK_EVENTS, WebUrl, WebhookSecret};
use grelot::pipeline::Effect;
use grelot::pipeline::event::{Claim, DepartureReason};
use grelot::store::Store;
use grelot::webhooks::{Receivers, Report, Webhook};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::mosquitto::{PATIENCE, free_port};
use crate::shop::{OPENING, Shop, TestClock, alert, peer, settings, visit};

const KEY: &[u8] = b"a key of at least 24 octets";

/// How a receiver answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Taken,
    Error,
    Slow,
    Twice,
    HangsUp,
    Garbage,
}

/// A request that was whole and signed.
#[derive(Clone)]
struct Post {
    id: String,
    body: Value,
    answer: Answer,
}

/// A till's system, on loopback.
#[derive(Clone)]
struct Till {
    port: u16,
    posts: Arc<Mutex<Vec<Post>>>,
}

impl Till {
    fn new() -> Self {
        Self { port: free_port(), posts: Arc::default() }
    }

    /// Answers the nth request as `answer` says, until the runtime ends.
    async fn open(&self, answer: impl Fn(usize) -> Answer + Send + 'static) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let posts = Arc::clone(&self.posts);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(mut post) = read(&mut stream).await else { continue };
                let answer = answer(posts.lock().unwrap().len());
                post.answer = answer;
                posts.lock().unwrap().push(post);
                tokio::spawn(reply(stream, answer));
            }
        });
    }

    fn receivers(&self, lifetime: Duration) -> Receivers {
        let path = "/hooks?key=secret".to_owned();
        let url = WebUrl { tls: false, host: "127.0.0.1".into(), port: self.port, path };
        let secret = WebhookSecret::parse(&format!("whsec_{}", STANDARD.encode(KEY))).unwrap();
        let events = WEBHOOK_EVENTS.to_vec();
        let name = url.to_string().into();
        Receivers { webhooks: vec![Webhook { url, name, secret, events, lifetime }], tls: None }
    }

    fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }

    /// What it took, by `webhook-id`.
    fn taken(&self) -> BTreeMap<String, Value> {
        let took =
            |post: &Post| matches!(post.answer, Answer::Taken | Answer::Slow | Answer::Twice);
        let posts = self.posts().into_iter().filter(took);
        posts.map(|post| (post.id, post.body)).collect()
    }
}

/// Reads one request, and checks what Standard Webhooks promises of it.
async fn read(stream: &mut TcpStream) -> Option<Post> {
    let mut octets = Vec::new();
    let (head, mut body) = loop {
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await.ok()?;
        octets.extend_from_slice(&part[..length]);
        if let Some(end) = octets.windows(4).position(|window| window == b"\r\n\r\n") {
            break (String::from_utf8(octets[..end].to_vec()).unwrap(), octets[end + 4..].to_vec());
        }
        if length == 0 {
            return None;
        }
    };
    assert!(head.starts_with("POST /hooks?key=secret HTTP/1.1\r\n"), "{head}");
    let headers: BTreeMap<String, String> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().unwrap();
    while body.len() < length {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.ok()?;
        body.extend_from_slice(&part[..read]);
    }
    let (id, timestamp) = (&headers["webhook-id"], &headers["webhook-timestamp"]);
    assert!(timestamp.parse::<i64>().unwrap() >= OPENING.unix_secs());
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
    mac.update(&[format!("{id}.{timestamp}.").as_bytes(), &body].concat());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(headers["webhook-signature"], signature, "none without a signature");
    assert_eq!(&headers["idempotency-key"], id);
    let body = serde_json::from_slice(&body).unwrap();
    Some(Post { id: id.clone(), body, answer: Answer::Taken })
}

async fn reply(mut stream: TcpStream, answer: Answer) {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let error = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
    let _ = match answer {
        Answer::Taken => stream.write_all(OK).await,
        Answer::Error => stream.write_all(error).await,
        Answer::Slow => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            stream.write_all(OK).await
        }
        Answer::Twice => stream.write_all(&[OK, OK].concat()).await,
        Answer::HangsUp => Ok(()),
        Answer::Garbage => stream.write_all(b"\x16\x03\x01 no HTTP at all\r\n\r\n").await,
    };
}

fn open(state: &Path, receivers: Receivers, clock: &TestClock) -> Shop {
    let store = Store::open(state).unwrap();
    Shop::calling(store, peer(free_port()), clock.clone(), settings(), receivers)
}

/// Lets time pass, a second in each step, until the report is as wanted.
async fn until(shop: &Shop, wanted: impl Fn(&Report) -> bool) -> Report {
    let begun = tokio::time::Instant::now();
    loop {
        let report = shop.delivery.webhooks();
        // The task reports for the first time once it runs.
        if !report.webhooks.is_empty() && wanted(&report) {
            return report;
        }
        assert!(begun.elapsed() < PATIENCE, "not reached: {report:?}");
        shop.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn waiting(report: &Report) -> u64 {
    report.webhooks.iter().map(|hook| hook.waiting).sum()
}

fn arrival(n: u8) -> Effect {
    let mut visit = visit(&format!("c-{n}"), OPENING);
    visit.announced = true;
    alert(&visit)
}

#[tokio::test]
async fn no_message_is_lost_to_a_receiver_that_is_down_slow_wrong_or_answers_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (till, clock) = (Till::new(), TestClock::default());
    let shop = open(dir.path(), till.receivers(Duration::from_hours(24)), &clock);
    for n in 0..30 {
        shop.perform(&[arrival(n)]).await;
    }
    // Down.
    let down = until(&shop, |report| report.webhooks[0].failed >= 5).await;
    assert_eq!((waiting(&down), down.webhooks[0].delivered), (30, 0));
    assert!(down.webhooks[0].trouble.is_some());

    let answers = [Answer::Error, Answer::Slow, Answer::Twice, Answer::HangsUp, Answer::Garbage];
    till.open(move |n| *answers.get(n % 7).unwrap_or(&Answer::Taken)).await;
    let up = until(&shop, |report| waiting(report) == 0).await;
    assert_eq!((till.taken().len(), up.webhooks[0].delivered), (30, 30));
    assert_eq!(up.dead, []);
    for (id, body) in till.taken() {
        assert!(id.starts_with("msg_"));
        assert_eq!(body["type"], "arrival");
        assert!(body["data"]["client"].as_str().unwrap().starts_with("c-"), "{body}");
        assert_eq!(body["data"].get("card"), None);
    }
    // Each is sent again under the same id, never under another.
    let ids: std::collections::BTreeSet<_> = till.posts().into_iter().map(|p| p.id).collect();
    assert_eq!(ids.len(), 30);
    shop.delivery.stop().await;
}

#[tokio::test]
async fn what_waits_at_a_restart_is_sent_afterwards_under_the_same_id() {
    let dir = tempfile::tempdir().unwrap();
    let (till, clock) = (Till::new(), TestClock::default());
    let receivers = || till.receivers(Duration::from_hours(24));
    till.open(|n| if n == 0 { Answer::Error } else { Answer::Taken }).await;
    let shop = open(dir.path(), receivers(), &clock);
    shop.perform(&[arrival(1)]).await;
    until(&shop, |report| report.webhooks[0].failed == 1).await;
    shop.delivery.stop().await;

    let shop = open(dir.path(), receivers(), &clock);
    until(&shop, |report| report.webhooks[0].delivered == 1).await;
    let posts = till.posts();
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[0].id, posts[1].id);
    shop.delivery.stop().await;
    let left = Store::open(dir.path()).unwrap().webhook_messages().unwrap();
    assert_eq!(left, []);
}

#[tokio::test]
async fn a_message_that_is_never_taken_is_reported_without_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let (till, clock) = (Till::new(), TestClock::default());
    till.open(|_| Answer::Error).await;
    let shop = open(dir.path(), till.receivers(Duration::from_mins(10)), &clock);
    shop.perform(&[arrival(1)]).await;
    let report = until(&shop, |report| !report.dead.is_empty()).await;
    assert_eq!((waiting(&report), report.webhooks[0].dead), (0, 1));
    assert_eq!(report.dead[0].event, "arrival");
    assert!(report.dead[0].why.contains("500"), "{:?}", report.dead[0]);
    shop.delivery.stop().await;
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.webhook_messages().unwrap(), []);
    assert_eq!(store.dead_webhook_messages().unwrap().len(), 1);
    drop(store);
    let disk = std::fs::read(dir.path().join("grelot.db")).unwrap();
    let held = |text: &str| disk.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!held("\"type\":\"arrival\""));
}

#[tokio::test]
async fn a_claim_and_a_departure_are_sent_once_and_a_quiet_visit_never() {
    let dir = tempfile::tempdir().unwrap();
    let (till, clock) = (Till::new(), TestClock::default());
    till.open(|_| Answer::Taken).await;
    let shop = open(dir.path(), till.receivers(Duration::from_hours(1)), &clock);
    let mut here = visit("c-1", OPENING);
    here.announced = true;
    shop.perform(&[alert(&here)]).await;
    here.claim =
        Some(Claim { by: "Léa".into(), tablet: None, since: clock.now().clock.reading() });
    shop.perform(&[Effect::Changed(here.clone())]).await;
    clock.advance(Duration::from_secs(5));
    // A second claimer is answered with the state as it is.
    shop.perform(&[Effect::Changed(here.clone())]).await;
    let at = clock.now().clock.reading();
    let quiet = visit("c-2", OPENING);
    for visit in [quiet, here] {
        shop.perform(&[Effect::Departed { visit, at, reason: DepartureReason::Left }]).await;
    }
    until(&shop, |report| report.webhooks[0].delivered >= 3 && waiting(report) == 0).await;
    let mut types: Vec<_> = till.posts().iter().map(|post| post.body["type"].clone()).collect();
    types.sort_by_key(ToString::to_string);
    assert_eq!(types, ["arrival", "claim", "departure"]);
    let claim = till.posts().into_iter().find(|post| post.body["type"] == "claim").unwrap();
    assert_eq!(claim.body["data"]["by"], "Léa");
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_withdrawn_customer_is_sent_to_no_webhook() {
    let dir = tempfile::tempdir().unwrap();
    let (till, clock) = (Till::new(), TestClock::default());
    let shop = open(dir.path(), till.receivers(Duration::from_hours(1)), &clock);
    shop.perform(&[arrival(1), arrival(2)]).await;
    until(&shop, |report| waiting(report) == 2).await;
    shop.perform(&[Effect::Forget { client: "c-1".into() }]).await;
    until(&shop, |report| waiting(report) == 1).await;
    till.open(|_| Answer::Taken).await;
    until(&shop, |report| waiting(report) == 0).await;
    assert!(till.posts().iter().all(|post| post.body["data"]["client"] == "c-2"));
    shop.delivery.stop().await;
}
