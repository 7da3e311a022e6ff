//! Clients that the page refuses or limits: other sites, unpaired tablets, crowds, floods of requests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use grelot::tablets::Pairing;
use grelot::tablets::pairing::Pairings;
use grelot::telemetry::Timings;
use serde_json::{Value, json};

use crate::browser::Chromium;
use crate::http;
use crate::shop::{Shop, certificate, now, visit};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn an_unpaired_tablet_shows_no_customer_until_the_code_is_typed_and_stays_paired() {
    let mut shop = Shop::open_with(|config| config.pairing = Pairing::Required);
    shop.gateway.is_here(&visit(1, "Mme Duval", "gold", 200));
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 800, 1280);
    tablet.open(&shop.url());
    tablet.shows("Let this tablet in");
    tablet.picture("pair");
    assert_eq!(tablet.run("return headline.textContent"), "This tablet is not paired");
    let of_wifi = "return /Wi-Fi|Reconnecting/.test(document.documentElement.outerHTML)";
    assert_eq!(tablet.run(of_wifi), false);
    assert!(!tablet.run("return document.body.innerText").as_str().unwrap().contains("Duval"));

    tablet.type_into("#code", "123 456");
    tablet.tap("#pair button");
    tablet.shows("No code is waiting");
    let code = grelot(&shop, &["tablets", "pair"]);
    tablet.run("code.value = ''");
    tablet.type_into("#code", code["code"].as_str().unwrap());
    tablet.type_into("#label", "till");
    tablet.tap("#pair button");
    tablet.i_am("Léa");
    tablet.shows("Mme Duval");
    assert_eq!(tablet.run("return document.cookie"), "", "no script sees the token");

    shop.stop_page();
    tablet.shows_within("Reconnecting since", Duration::from_secs(20));
    shop.start_page();
    tablet.shows_within("Live", Duration::from_secs(20));
    shop.gateway.arrives(&visit(2, "Mr Byrne", "gold", 0));
    tablet.until("heard.textContent.includes('Mr Byrne')", SOON);
    tablet.tap("#welcome .card .main");
    tablet.shows("You take care of Mr Byrne.");

    let paired = grelot(&shop, &["tablets", "list"]);
    assert_eq!(paired["label"], "till");
    let revoked = grelot(&shop, &["tablets", "revoke", paired["id"].as_str().unwrap()]);
    assert_eq!(revoked["label"], "till");
    tablet.shows_within("Let this tablet in", Duration::from_secs(20));
    tablet.hides("Mme Duval");
    // Nothing of her is left, where a screen reader hears it or in what no one sees.
    tablet.until("!/Duval|Byrne|c-000/.test(document.documentElement.outerHTML)", SOON);
    assert_eq!(tablet.run("return headline.textContent"), "This tablet is not paired");
    assert_eq!(
        tablet.run("return document.querySelector('#link').textContent"),
        "This tablet is not paired"
    );
    assert_eq!(tablet.run("return banner.hidden"), true, "nothing of Wi-Fi");
    assert_eq!(tablet.violations(), Vec::<String>::new());
}

#[test]
fn a_tablet_without_a_name_is_listed() {
    let shop = Shop::open_with(|config| config.pairing = Pairing::Required);
    Pairings::new(shop.state.path()).add(now(), "").unwrap();
    let listed = printed(&shop, &["tablets", "list"]);
    assert!(listed.trim_end().ends_with("(no name)"), "{listed}");
}

/// What IT does on the gateway; its answer, if any.
fn grelot(shop: &Shop, arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(shop, &[&["--json"], arguments].concat())).unwrap_or_default()
}

fn printed(shop: &Shop, arguments: &[&str]) -> String {
    let config = shop.state.path().join("grelot.toml");
    let state = shop.state.path().display();
    let text = format!(
        "[store]\nid = 42\nname = \"Paris Rivoli\"\n[gateway]\nname = \"door\"\n\
         [broker]\nembedded = true\n[state]\npath = \"{state}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
    let ended = command.arg("--config").arg(config).args(arguments).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap()
}

#[test]
fn without_a_cookie_nothing_is_read_or_written() {
    let shop = Shop::open_with(|config| config.pairing = Pairing::Required);
    shop.gateway.is_here(&visit(1, "Mme Duval", "gold", 200));
    let port = shop.address().port();
    let empty = json!({});
    let claim = "/visits/00000000-0000-8000-8000-000000000001/claim";
    for (method, path) in [("GET", "/events?tab=a"), ("GET", "/session"), ("POST", claim)] {
        let answer = http::json(port, method, path, &empty).unwrap();
        assert_eq!(answer.status, 401, "{method} {path}");
        assert!(!answer.body.contains("Duval"));
    }
    let forged = [("Host", "127.0.0.1"), ("Cookie", "grelot=../../etc/passwd")];
    let answer = http::request(port, "GET", "/session", &forged, "").unwrap();
    assert_eq!(answer.status, 401);
}

#[test]
fn other_sites_are_turned_away_and_every_answer_is_protected() {
    let shop = Shop::open();
    let port = shop.address().port();
    let rebound = http::request(port, "GET", "/", &[("Host", "evil.example")], "").unwrap();
    assert_eq!((rebound.status, rebound.problem().as_deref()), (421, Some("foreign_host")));
    let host = ("Host", "127.0.0.1");
    let json = ("Content-Type", "application/json");
    let foreign = [host, json, ("Origin", "http://evil.example")];
    let answer = http::request(port, "POST", "/pair", &foreign, "{}").unwrap();
    assert_eq!(answer.problem().as_deref(), Some("foreign_origin"));
    let form = [host, ("Content-Type", "text/plain")];
    let answer = http::request(port, "POST", "/pair", &form, "{}").unwrap();
    assert_eq!(answer.problem().as_deref(), Some("not_json"));

    for (path, cache) in [
        ("/", "no-cache"),
        ("/page/main.js", "no-cache"),
        ("/events", "no-store"),
        ("/healthz", "no-store"),
        ("/nowhere", "no-store"),
        ("/page/nowhere", "no-store"),
    ] {
        let answer = http::request(port, "GET", path, &[host], "").unwrap();
        assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}");
    }
}

#[test]
fn a_browser_loads_the_page_once_compressed_and_again_after_an_update_only() {
    let shop = Shop::open();
    let port = shop.address().port();
    let get = |path: &str, more: &[(&str, &str)]| {
        let headers = [&[("Host", "127.0.0.1")], more].concat();
        http::request(port, "GET", path, &headers, "").unwrap()
    };
    let page = get("/", &[]);
    let tag = page.header("etag").unwrap().to_owned();
    assert_eq!(get("/", &[("If-None-Match", &tag)]).status, 304);
    let script = page.body.split('"').find(|text| text.ends_with("/main.js")).unwrap().to_owned();
    let plain = get(&script, &[]);
    assert_eq!(plain.header("cache-control"), Some("public, max-age=31536000, immutable"));
    let packed = get(&script, &[("Accept-Encoding", "gzip, br")]);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let length = |answer: &http::Answer| -> usize {
        answer.header("content-length").unwrap().parse().unwrap()
    };
    assert!(length(&packed) < length(&plain) / 2);
    let of_another_version = get("/page/000000000000/main.js", &[]);
    assert_eq!(of_another_version.header("cache-control"), Some("no-cache"));
}

#[test]
fn nonsense_is_refused_in_plain_words() {
    let shop = Shop::open();
    shop.gateway.is_here(&visit(1, "Mme Duval", "gold", 200));
    let port = shop.address().port();
    let claim = "/visits/00000000-0000-8000-8000-000000000001/claim";
    let wait = Instant::now() + Duration::from_secs(5);
    let by_lea = json!({ "by": "Léa", "action": "claim" });
    while http::json(port, "POST", claim, &by_lea).unwrap().status != 202 {
        assert!(Instant::now() < wait, "the visit never came");
    }
    for (path, body, status, problem) in [
        (claim, json!({ "by": "", "action": "claim" }), 400, "bad_request"),
        (claim, json!({ "by": "Léa", "action": "marry" }), 400, "bad_request"),
        (claim, json!({ "by": "é".repeat(2000), "action": "claim" }), 400, "bad_request"),
        ("/visits/x/claim", by_lea.clone(), 404, "not_found"),
        (&claim.replace("01/", "02/"), by_lea.clone(), 410, "visit_over"),
        ("/nowhere", by_lea.clone(), 404, "not_found"),
    ] {
        let answer = http::json(port, "POST", path, &body).unwrap();
        assert_eq!((answer.status, answer.problem().as_deref()), (status, Some(problem)), "{body}");
    }
}

#[test]
fn a_crowd_at_the_door_is_bounded_and_goes_when_it_goes() {
    let shop = Shop::open();
    let port = shop.address().port();
    let listen = |tab: usize| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET /events?tab={tab} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        (stream, String::from_utf8_lossy(&answer).into_owned())
    };
    let crowd: Vec<_> = (0..256).map(listen).collect();
    assert!(crowd.iter().all(|(_, answer)| answer == "HTTP/1.1 200"));
    assert_eq!(listen(256).1, "HTTP/1.1 503");
    let late =
        http::request(port, "GET", "/session?tab=256", &[("Host", "127.0.0.1")], "").unwrap();
    assert_eq!(late.problem().as_deref(), Some("full"), "the page can say why");
    assert_eq!(listen(7).1, "HTTP/1.1 200", "a tab that comes back takes its own seat");
    drop(crowd);
    let deadline = Instant::now() + Duration::from_secs(20);
    while listen(256).1 != "HTTP/1.1 200" {
        assert!(Instant::now() < deadline, "the seats were never free again");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_knocker_who_says_nothing_is_sent_away() {
    let shop = Shop::open();
    let mut stream = TcpStream::connect(shop.address()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost:").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server closes before the test loses patience");
}

#[test]
fn the_page_speaks_tls_where_a_certificate_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open_with(|config| {
        config.tls = Some(certificate(folder.path()));
        config.pairing = Pairing::Required;
    });
    shop.gateway.is_here(&visit(1, "Mme Duval", "gold", 200));
    assert!(shop.url().starts_with("https://"));
    let chromium = Chromium::start();
    let tablet = chromium.tablet_that_trusts_all("en", 1280, 800);
    // The address of the QR code that `grelot tablets pair` prints.
    let code = Pairings::new(shop.state.path()).issue(now()).unwrap();
    tablet.open(&format!("{}#pair={}", shop.url(), code.digits));
    tablet.shows("Let this tablet in");
    assert_eq!(tablet.run("return location.hash"), "", "the code is in no history");
    tablet.tap("#pair button");
    tablet.i_am("Léa");
    tablet.shows("Mme Duval");
    let cookies = tablet.devtools("Network.getCookies", &json!({}));
    let cookie = &cookies["cookies"][0];
    assert_eq!(cookie["name"], "__Host-grelot");
    assert_eq!((&cookie["secure"], &cookie["httpOnly"]), (&json!(true), &json!(true)));
    assert_eq!(cookie["sameSite"], "Strict");
}

#[test]
fn an_address_that_is_taken_is_a_clear_error() {
    use grelot::clock::Clocks;
    use grelot::tablets::Server;
    use tokio_util::sync::CancellationToken;

    let shop = Shop::open();
    let again = Server::start(
        shop.config(),
        Timings::default(),
        Clocks::machine(),
        CancellationToken::new(),
    );
    let error = shop.runtime.block_on(again).expect_err("two servers on one address");
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    let reason = format!("{error}: {}", cause.unwrap_or_default());
    assert!(reason.starts_with(&format!("cannot listen on {}", shop.address())), "{reason}");
    assert!(reason.contains("in use"), "{reason}");
}
