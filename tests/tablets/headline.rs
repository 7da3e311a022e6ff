//! The page's headline is true. Leaves a picture of each state in the test's scratch folder.
//!
//! Leaves a picture of each state in the test's scratch folder.

use grelot::payload::GatewayState;
use serde_json::json;

use crate::browser::{Chromium, Tablet};
use crate::shop::Shop;

/// The headline, once it is this one; calm never stands beside a banner.
#[track_caller]
fn headline(tablet: &Tablet, expected: &str, picture: &str) {
    tablet.shows(expected);
    tablet.picture(&format!("headline-{picture}"));
    let beside_a_banner = "return !document.querySelector('#banner').hidden \
        && document.querySelector('#headline').innerText.includes('calm')";
    assert_eq!(tablet.run(beside_a_banner), json!(false), "calm beside a banner");
}

#[test]
fn the_headline_is_calm_only_if_nothing_is_wrong() {
    let mut shop = Shop::open();
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 1280, 800);
    tablet.before_load("localStorage.setItem('names', '[\"Léa\"]')");
    tablet.open(&shop.url());
    headline(&tablet, "All is calm, but the bell is silent", "locked");
    tablet.shows("Tap anywhere to let this tablet ring");
    tablet.tap("#sound");
    headline(&tablet, "The bell rings as soon as someone comes in", "calm");
    tablet.hides("silent");
    tablet.tap("#sound");
    headline(&tablet, "The bell is off on this tablet", "off");
    tablet.tap("#sound");

    shop.gateway.status(GatewayState::Blind);
    headline(&tablet, "Who is here is not certain", "blind");
    shop.gateway.status(GatewayState::Online);
    tablet.shows("All is calm");
    shop.broker.kill();
    headline(&tablet, "Who is here is not certain", "no-broker");
    shop.broker.restart();
    tablet.shows("All is calm");
    shop.stop_page();
    headline(&tablet, "Who is here is not certain", "disconnected");
}

#[test]
fn a_tablet_whose_screen_may_sleep_says_so() {
    let shop = Shop::open();
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 360, 740);
    tablet.before_load("localStorage.setItem('names', '[\"Léa\"]')");
    // As browsers do where the page comes without TLS.
    tablet.before_load("delete Navigator.prototype.wakeLock");
    tablet.before_load("Object.defineProperty(window, 'isSecureContext', { get: () => false })");
    tablet.open(&shop.url());
    tablet.tap("#sound");
    headline(&tablet, "Keep this screen on", "may-sleep");
    tablet.resize(360, 640);
    tablet.tap("#link");
    tablet.shows("IT can change that with “grelot tls init” on the gateway");
    let close = "document.querySelector('#tools-close').getBoundingClientRect()";
    assert_eq!(tablet.run(&format!("return {close}.bottom <= innerHeight - 16")), json!(true));
    assert_eq!(tablet.violations(), Vec::<String>::new());
    tablet.picture("may-sleep-why");
    tablet.tap("#tools-close");
    tablet.until("!document.querySelector('#tools').open", std::time::Duration::from_secs(5));
}
