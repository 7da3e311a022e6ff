//! The staff page as staff meet it: a real broker, the real server, a real browser.
//!
//! What it cannot show: how the bell sounds, and how glass feels under a finger.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "tests say where they cannot go on, and wait for real programs by the real clock"
)]

mod attention;
mod browser;
#[path = "../common/mod.rs"]
mod common;
mod counter;
mod daemon;
mod devices;
mod door;
mod gestures;
mod glance;
mod headline;
mod http;
mod notices;
mod shop;
mod waking;
mod words;

use std::time::{Duration, Instant};

use browser::Chromium;
use grelot::payload::GatewayState;
use serde_json::json;
use shop::{Shop, visit, with_card};

#[test]
fn a_customer_rings_on_every_tablet_and_is_claimed_by_one() {
    let shop = Shop::open();
    let chromium = Chromium::start();
    let (lea, paul) = (chromium.tablet("en", 1280, 800), chromium.tablet("fr", 800, 1280));
    for (tablet, name) in [(&lea, "Léa"), (&paul, "Paul")] {
        tablet.open(&shop.url());
        tablet.i_am(name);
    }
    lea.shows("All is calm");
    paul.shows("Tout est calme");
    lea.until("document.querySelector('#sound').dataset.state === 'on'", Duration::from_secs(5));

    let duval = visit(1, "Mme Duval", "gold", 0);
    shop.gateway.arrives(&with_card(duval.clone(), "fr", "Order 1182 is ready to collect"));
    for tablet in [&lea, &paul] {
        tablet.shows("Mme Duval");
        tablet.shows("Order 1182 is ready to collect");
        tablet.until("strikes > 0", Duration::from_secs(5));
        tablet.until("document.querySelector('#welcome .card[data-new]')", Duration::from_secs(5));
    }
    lea.shows("speaks French");
    paul.shows("parle français");
    assert_eq!(lea.run("return heard.textContent"), "Mme Duval has just come in.");

    lea.tap("#welcome .card .main");
    lea.shows("You take care");
    paul.shows("Léa s’en occupe");
    assert_eq!(paul.run("return document.querySelectorAll('#welcome .card').length"), 0);
    assert_eq!(paul.run("return document.querySelector('#care .main').hidden"), true);

    lea.tap("#care .card .main");
    paul.until("document.querySelector('#welcome .card')", Duration::from_secs(5));

    let strikes = paul.run("return strikes");
    shop.gateway.leaves(&duval);
    paul.shows("Tout est calme");
    paul.shows("VIENNENT DE PARTIR");
    assert_eq!(paul.run("return strikes"), strikes, "one arrival, one bell");
}

#[test]
fn the_quicker_colleague_wins_and_the_other_reads_a_friendly_notice() {
    let shop = Shop::open();
    shop.gateway.is_here(&visit(1, "Mme Duval", "gold", 30));
    let chromium = Chromium::start();
    let (lea, paul) = (chromium.tablet("en", 1280, 800), chromium.tablet("en", 1280, 800));
    for (tablet, name) in [(&lea, "Léa"), (&paul, "Paul")] {
        tablet.open(&shop.url());
        tablet.i_am(name);
        tablet.shows("Mme Duval");
    }
    shop.gateway.hesitate();
    lea.tap("#welcome .card .main");
    lea.until(
        "document.querySelector('.card[data-pending] .main').disabled",
        Duration::from_secs(2),
    );
    paul.tap("#welcome .card .main");
    shop.gateway.decide_after(2);
    paul.shows("Léa was a moment faster.");
    lea.shows("You take care");
}

#[test]
fn a_lost_server_is_plainly_visible_and_the_page_finds_back_by_itself() {
    let mut shop = Shop::open();
    shop.gateway.is_here(&visit(1, "Mme Duval", "gold", 200));
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 1280, 800);
    tablet.open(&shop.url());
    tablet.i_am("Léa");
    tablet.shows("Mme Duval");
    tablet.shows("Live");

    shop.stop_page();
    tablet.shows_within("Reconnecting since", Duration::from_secs(20));
    tablet.shows("No connection to the shop’s gateway");
    tablet.shows("Mme Duval");
    assert_eq!(tablet.run("return document.querySelector('.card .main').disabled"), true);
    tablet.picture("lost");
    for _ in ["English", "French"] {
        tablet.tap("#language");
        for (width, height) in SIZES {
            tablet.resize(width, height);
            assert_eq!(tablet.run(OVERFLOWING), json!([]), "{width}x{height}");
        }
    }

    shop.gateway.arrives(&visit(2, "M. Okafor", "gold", 0));
    shop.start_page();
    tablet.shows_within("M. Okafor", Duration::from_secs(20));
    tablet.shows("Live");
    tablet.hides("No connection");
}

#[test]
fn a_connection_that_only_looks_alive_is_noticed_within_twenty_seconds() {
    let shop = Shop::open();
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 1280, 800);
    // A stream that opens and says nothing, as behind a Wi-Fi access point that has lost us.
    tablet.before_load(
        "window.EventSource = class extends EventTarget { \
            constructor() { super(); window.opened = (window.opened ?? 0) + 1; } close() {} };",
    );
    tablet.open(&shop.url());
    tablet.shows_within("Reconnecting since", Duration::from_secs(20));
    tablet.until("opened > 1", Duration::from_secs(5));
}

#[test]
fn a_lost_broker_is_shown_and_customers_who_left_meanwhile_are_gone_after_its_return() {
    let mut shop = Shop::open();
    let (duval, okafor) = (visit(1, "Mme Duval", "gold", 200), visit(2, "M. Okafor", "gold", 300));
    shop.gateway.is_here(&duval);
    shop.gateway.is_here(&okafor);
    let chromium = Chromium::start();
    let tablet = chromium.tablet("fr", 1280, 800);
    tablet.open(&shop.url());
    tablet.i_am("Léa");
    tablet.shows("M. Okafor");

    shop.broker.kill();
    tablet.shows("La messagerie de la boutique ne répond plus");
    tablet.picture("broker-away");
    let claim = format!("/visits/{}/claim", duval.visit);
    let asked = json!({ "by": "Léa", "action": "claim" });
    let answer = http::json(shop.address().port(), "POST", &claim, &asked).unwrap();
    assert_eq!((answer.status, answer.problem().as_deref()), (503, Some("broker_away")));

    shop.gateway.leaves(&okafor);
    shop.broker.restart();
    tablet.shows_within("En direct", Duration::from_secs(20));
    tablet.hides("M. Okafor");
    tablet.shows("Mme Duval");
    tablet.tap("#welcome .card .main");
    tablet.shows("Vous vous en occupez");
}

#[test]
fn a_blind_gateway_is_shown_and_the_rest_continues() {
    let shop = Shop::open();
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 1280, 800);
    shop.gateway.is_here(&visit(1, "Mme Duval", "gold", 200));
    shop.gateway.status(GatewayState::Blind);
    tablet.open(&shop.url());
    tablet.i_am("Léa");
    tablet.shows("The gateway “door” has heard nothing since");
    tablet.picture("blind");
    tablet.tap("#welcome .card .main");
    tablet.shows("You take care");
    shop.gateway.status(GatewayState::Online);
    tablet.hides("has heard nothing");
}

#[test]
fn a_customer_who_was_not_here_is_reported_and_taken_off_all_tablets() {
    let shop = Shop::open();
    let chromium = Chromium::start();
    let (lea, paul) = (chromium.tablet("en", 1280, 800), chromium.tablet("en", 1280, 800));
    shop.gateway.is_here(&visit(1, "Mme Duval", "gold", 200));
    for (tablet, name) in [(&lea, "Léa"), (&paul, "Paul")] {
        tablet.open(&shop.url());
        tablet.i_am(name);
        tablet.shows("Mme Duval");
    }
    lea.tap(".card .more");
    lea.picture("menu");
    lea.tap(".card .absent");
    lea.shows("It helps the bell to learn.");
    paul.hides("Mme Duval");
    assert_eq!(shop.gateway.verdicts(), ["was_not_here"]);
}

#[test]
fn an_empty_room_is_no_audience_for_an_alert() {
    let shop = Shop::open();
    let chromium = Chromium::start();
    assert!(!shop.has_subscriber_of_arrivals(), "no tablet is connected");
    let tablet = chromium.tablet("en", 1280, 800);
    tablet.open(&shop.url());
    tablet.shows("All is calm");
    let wait_until = |heard: bool| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while shop.has_subscriber_of_arrivals() != heard {
            assert!(Instant::now() < deadline, "never became {heard}");
        }
    };
    wait_until(true);
    drop(tablet);
    wait_until(false);
}

#[test]
fn one_touch_switches_the_bell_on_and_the_next_one_off() {
    let shop = Shop::open();
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 1280, 800);
    tablet.before_load("localStorage.setItem('names', '[\"Léa\"]')");
    tablet.open(&shop.url());
    tablet.shows("All is calm");
    for (state, strikes) in [("Tap for sound", false), ("Bell on", true), ("Bell off", false)] {
        tablet.shows(state);
        assert_eq!(tablet.run("const rung = strikes > 0; strikes = 0; return rung"), strikes);
        tablet.tap("#sound");
    }
    tablet.shows("Bell on");
}

#[test]
fn a_discreet_customer_is_shown_without_a_sound() {
    let shop = Shop::open();
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 1280, 800);
    tablet.open(&shop.url());
    tablet.i_am("Léa");
    tablet.shows("All is calm");
    let mut aubry = visit(1, "Mlle Aubry", "gold", 0);
    aubry.discreet = true;
    shop.gateway.is_here(&aubry);
    tablet.shows("DISCREETLY HERE");
    tablet.shows("All is calm");
    assert_eq!(tablet.run("return strikes"), 0);
}

#[test]
fn the_browser_keeps_no_customer_and_asks_no_other_server() {
    let shop = Shop::open();
    shop.gateway.is_here(&with_card(visit(1, "Mme Duval", "gold", 9), "fr", "Order 1182"));
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 1280, 800);
    tablet.open(&shop.url());
    tablet.i_am("Léa");
    tablet.shows("Mme Duval");
    let kept = tablet.run(
        "return JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie + document.title",
    );
    let kept = kept.as_str().unwrap();
    assert!(kept.contains("Léa"));
    assert!(
        !kept.contains("Duval") && !kept.contains("1182") && !kept.contains("c-0001"),
        "{kept}"
    );
    let asked = tablet
        .run("return performance.getEntriesByType('resource').map((r) => new URL(r.name).origin)");
    let own = tablet.run("return location.origin");
    assert!(asked.as_array().unwrap().iter().all(|origin| *origin == own), "{asked}");
}

/// Fills the shop with all there can be.
fn a_busy_afternoon(shop: &Shop) {
    let gateway = &shop.gateway;
    for (number, name, minutes) in [(1, "M. Okafor", 9), (2, "Mrs Lindqvist", 31)] {
        let gone = visit(number, name, "gold", minutes * 60);
        gateway.is_here(&gone);
        gateway.leaves(&gone);
    }
    let mut quiet = visit(3, "Mlle Aubry", "gold", 1260);
    quiet.discreet = true;
    gateway.is_here(&quiet);
    gateway.is_here(&visit(4, "M. et Mme de La Rochefoucauld-Montbel", "platinum", 340));
    gateway.is_here(&with_card(
        visit(5, "Frau Weißenberger", "gold", 1900),
        "de",
        "Looks for a gift",
    ));
    gateway.is_here(&visit(6, "Dott. Łukasz Ferrářo", "silver", 2400));
    gateway.arrives(&visit(7, "", "platinum", 70));
    let duval = visit(8, "Mme Duval", "gold", 4);
    gateway.arrives(&with_card(
        duval,
        "fr",
        "Order 1182 is ready to collect; prefers the salon upstairs",
    ));
}

#[test]
fn nothing_overflows_on_tablets_and_phones_in_either_language() {
    let shop = Shop::open();
    a_busy_afternoon(&shop);
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 1280, 800);
    tablet.open(&shop.url());
    tablet.until("document.querySelector('#name').open", Duration::from_secs(10));
    tablet.picture("name-en");
    tablet.i_am("Léa");
    tablet.shows("Mme Duval");
    let care = |visit: &str| format!("[data-visit$='{visit}'] .main");
    tablet.tap(&care("05"));
    tablet.until("document.querySelectorAll('#care .card').length === 1", Duration::from_secs(5));
    tablet.run("localStorage.setItem('names', JSON.stringify(['Paul', 'Léa']))");
    tablet.open(&shop.url());
    tablet.shows("Mme Duval");
    tablet.tap(&care("06"));
    tablet.until("document.querySelectorAll('#care .card').length === 2", Duration::from_secs(5));

    for (language, other) in [("en", "Français"), ("fr", "English")] {
        for dark in [false, true] {
            tablet.dark(dark);
            for (width, height) in SIZES {
                tablet.resize(width, height);
                tablet.shows(other);
                tablet.until("!document.querySelector('[data-settling]')", Duration::from_secs(5));
                let shade = if dark { "dark" } else { "light" };
                tablet.picture(&format!("busy-{language}-{shade}-{width}"));
                assert_eq!(tablet.run(OVERFLOWING), json!([]), "{language} {width}x{height}");
                let aligned = "return [...document.querySelectorAll('.left li')].every((line) => { \
                    const [name, when] = ['.name', '.when'].map((part) => line.querySelector(part).getBoundingClientRect()); \
                    return name.left === when.left; })";
                assert_eq!(tablet.run(aligned), true, "{language} {width}x{height}");
            }
        }
        tablet.tap("#language");
    }
}

/// A tablet held either way, and a small phone.
const SIZES: [(u32, u32); 3] = [(1280, 800), (800, 1280), (360, 740)];

/// What sticks out of the page, or has more to say than it shows; names that are cut by an
/// ellipsis on purpose excepted.
const OVERFLOWING: &str = "
    const wide = document.documentElement.scrollWidth > innerWidth ? ['the page'] : [];
    const cut = [...document.querySelectorAll('body *')].filter((e) => {
        const box = e.getBoundingClientRect();
        const seen = box.width > 1 && !e.closest('.unseen, svg');
        const clipped = e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0
            && getComputedStyle(e).display !== 'inline' && !e.matches('h1, .departed .name');
        return seen && (clipped || box.right > innerWidth + 1 || box.left < -1);
    });
    return [...wide, ...cut.map((e) => e.outerHTML.slice(0, 120))];";
