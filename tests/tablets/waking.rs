//! Tablets that slept, lost their Wi-Fi, or stand behind a proxy that has gone silent: what they show is
//! true within two seconds, and nothing stale is shown until then. The two seconds hold on a machine that
//! does nothing else: the long form asserts them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::browser::{Chromium, Tablet};
use crate::shop::{Shop, visit};

/// Complete this long after somebody looks, in the long form.
const WITHIN: Duration = Duration::from_secs(2);

/// How long a page is waited for.
fn patience() -> Duration {
    let long = std::env::var_os("GRELOT_LONG").is_some();
    if long { WITHIN } else { WITHIN * 10 }
}

/// Clocks that a test can stop, and a page that a test can hide.
const ASLEEP: &str = "
    localStorage.setItem('names', '[\"Léa\"]');
    window.buzzed = 0;
    navigator.vibrate = () => { window.buzzed += 1; return true; };
    let [slept, hidden] = [0, false];
    const [date, performed] = [Date.now.bind(Date), performance.now.bind(performance)];
    Date.now = () => date() + slept;
    // The monotonic clock stands still while a machine sleeps.
    performance.now = () => performed();
    Object.defineProperty(document, 'visibilityState', { get: () => (hidden ? 'hidden' : 'visible') });
    Object.defineProperty(document, 'hidden', { get: () => hidden });
    window.sleep = (milliseconds) => { slept += milliseconds; };
    window.hide = (state) => {
        hidden = state;
        document.dispatchEvent(new Event('visibilitychange'));
    };";

fn tablet(chromium: &Chromium, url: &str) -> Tablet {
    let tablet = chromium.tablet("en", 1280, 800);
    tablet.before_load(ASLEEP);
    tablet.open(url);
    tablet.shows("Mme Duval");
    tablet
}

/// Looks at the tablet, until `expression` is true.
#[track_caller]
fn look(tablet: &Tablet, expression: &str) {
    let shown = tablet.run(&format!("hide(false); {SHOWN}"));
    assert_eq!(shown, json!(""), "nothing stale is shown");
    tablet.until(expression, patience());
}

/// The board as it is shown: nothing while it is veiled.
const SHOWN: &str = "return [...document.querySelectorAll('#board > :not(.veil)')].map((e) => e.innerText).join('')";

const LIVE: &str = "document.querySelector('#banner').hidden";

const NEW: &str = "document.body.innerText.includes('Mr Byrne')";

#[test]
fn a_tablet_that_was_hidden_or_asleep_is_true_within_two_seconds_of_a_look() {
    let shop = Shop::open();
    let duval = visit(1, "Mme Duval", "gold", 90);
    shop.gateway.is_here(&duval);
    let proxy = Proxy::before(shop.address());
    let chromium = Chromium::start();
    let tablet = tablet(&chromium, &proxy.url());

    // Hidden, frozen, and the connection is dead although it looks alive.
    tablet.run("hide(true)");
    assert_eq!(tablet.run(SHOWN), json!(""), "veiled before it is hidden");
    proxy.swallow(true);
    shop.gateway.leaves(&duval);
    shop.gateway.is_here(&visit(2, "Mr Byrne", "gold", 600));
    tablet.run("sleep(600_000)");
    proxy.swallow(false);
    look(&tablet, NEW);
    let waits = "return document.querySelector('#welcome').innerText.includes('Duval')";
    assert_eq!(tablet.run(waits), json!(false), "she has left");
    assert_eq!(tablet.run("return buzzed"), json!(0), "nothing rings late");

    // The path is still dead when somebody looks: it says so, and shows no one.
    tablet.run("hide(true)");
    proxy.swallow(true);
    look(&tablet, "document.body.innerText.includes('No connection to the shop')");
    assert_eq!(tablet.run("return document.body.innerText.includes('Byrne')"), json!(false));
    proxy.swallow(false);
    tablet.shows("Mr Byrne");

    // The machine slept while the page was in sight: the clock jumps.
    tablet.run("sleep(600_000)");
    tablet.until("document.querySelector('#board').dataset.veiled === undefined", patience() * 2);
    tablet.shows("Mr Byrne");
}

/// A page whose clocks and timers a test can hurry.
const HURRIED: &str = "
    localStorage.setItem('names', '[\"Léa\"]');
    window.buzzed = 0;
    navigator.vibrate = () => { window.buzzed += 1; return true; };
    let [rate, base, since] = [1, performance.now(), performance.now()];
    const [performed, skew, later] = [performance.now.bind(performance), Date.now() - base, setTimeout];
    performance.now = () => base + (performed() - since) * rate;
    Date.now = () => skew + performance.now();
    window.setTimeout = (what, after, ...more) => later(what, (after ?? 0) / rate, ...more);
    window.setInterval = (what, every) => {
        const again = () => { later(again, every / rate); what(); };
        later(again, every / rate);
    };
    AbortSignal.timeout = (after) => {
        const stop = new AbortController();
        setTimeout(() => stop.abort(), after);
        return stop.signal;
    };
    window.hurry = (to) => { [base, since, rate] = [performance.now(), performed(), to]; };";

#[test]
fn ten_minutes_in_a_black_hole_end_within_two_seconds_and_with_one_ring() {
    let shop = Shop::open();
    let duval = visit(1, "Mme Duval", "gold", 90);
    shop.gateway.is_here(&duval);
    let proxy = Proxy::before(shop.address());
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 1280, 800);
    tablet.before_load(HURRIED);
    tablet.open(&proxy.url());
    tablet.shows("Mme Duval");

    // The page stays visible, and nothing closes the connection.
    proxy.swallow(true);
    let began = tablet.run("return performance.now()").as_f64().unwrap();
    tablet.run("hurry(60)");
    tablet.shows("No connection to the shop");
    assert_eq!(tablet.run("return document.querySelector('.card .main').disabled"), json!(true));
    shop.gateway.leaves(&duval);
    let over = format!("performance.now() > {began} + 600_000");
    tablet.until(&over, Duration::from_mins(1));
    tablet.run("hurry(1)");
    shop.gateway.arrives(&visit(2, "Mr Byrne", "gold", 0));
    proxy.swallow(false);
    tablet.until(&format!("{NEW} && {LIVE}"), patience());
    let waits = "return document.querySelector('#welcome').innerText.includes('Duval')";
    assert_eq!(tablet.run(waits), json!(false), "she has left");
    tablet.until("buzzed === 1", patience());

    // Once more: what rang before does not ring again.
    proxy.swallow(true);
    tablet.run("hurry(60)");
    tablet.shows("No connection to the shop");
    tablet.run("hurry(1)");
    proxy.swallow(false);
    tablet.until(LIVE, patience());
    assert_eq!(tablet.run("return buzzed"), json!(1));
}

#[test]
fn a_reload_without_a_connection_shows_the_pages_own_explanation_and_no_customer() {
    let mut shop = Shop::open();
    shop.gateway.is_here(&visit(1, "Mme Duval", "gold", 90));
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 800, 1280);
    tablet.before_load("localStorage.setItem('names', '[\"Léa\"]')");
    let kept = "caches.open('grelot-page').then((cache) => cache.keys()) \
                .then((keys) => keys.map((request) => new URL(request.url).pathname))";
    tablet.open(&shop.url());
    tablet.shows("Mme Duval");
    let deadline = Instant::now() + Duration::from_secs(10);
    while tablet.run(&format!("return {kept}")).as_array().unwrap().len() < 12 {
        assert!(Instant::now() < deadline, "the page is never kept");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Under the service worker: the page's own messages do not go through its cache.
    tablet.open(&shop.url());
    tablet.shows("Mme Duval");
    let paths = tablet.run(&format!("return {kept}"));
    let own = |path: &str| path == "/" || path.starts_with("/page/");
    assert!(paths.as_array().unwrap().iter().all(|path| own(path.as_str().unwrap())), "{paths}");

    let url = shop.url();
    shop.stop_page();
    tablet.open(&url);
    tablet.shows("Check this tablet’s Wi-Fi");
    tablet.picture("offline");
    assert!(tablet.violations().is_empty(), "{:?}", tablet.violations());
    shop.start_page();
    tablet.shows("Mme Duval");
}

/// Between a tablet and the page; it can swallow everything without closing a connection.
struct Proxy {
    address: SocketAddr,
    swallows: Arc<AtomicBool>,
}

impl Proxy {
    fn before(page: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let swallows = Arc::new(AtomicBool::new(false));
        let state = swallows.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(page) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                pump(from, to, state.clone());
                pump(server, client, state.clone());
            }
        });
        Self { address, swallows }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Connections that are open now stay silent for good, like new ones until it ends.
    fn swallow(&self, state: bool) {
        self.swallows.store(state, Ordering::SeqCst);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, swallows: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let (mut octets, mut dead) = ([0; 16 * 1024], false);
        while let Ok(read @ 1..) = from.read(&mut octets) {
            dead |= swallows.load(Ordering::SeqCst);
            if !dead && to.write_all(&octets[..read]).is_err() {
                return;
            }
        }
    });
}
