//! The staff page as staff meet it: a real broker, the real server, a real browser.
//!
//! What it cannot show: how the bell sounds, and how glass feels under a finger.

mod browser;
mod shop;

use std::time::Duration;

use browser::Chromium;
use grelot::mqtt::payload::GatewayState;
use serde_json::json;
use shop::{Shop, visit, with_card};

#[test]
fn whoever_comes_in_rings_on_every_tablet_and_is_taken_care_of_by_one() {
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
fn the_quicker_colleague_wins_and_the_other_is_told_kindly() {
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
            for (width, height) in [(1280, 800), (800, 1280), (360, 740)] {
                tablet.resize(width, height);
                tablet.shows(other);
                tablet.until("!document.querySelector('[data-settling]')", Duration::from_secs(5));
                let shade = if dark { "dark" } else { "light" };
                tablet.picture(&format!("busy-{language}-{shade}-{width}"));
                assert_eq!(tablet.run(OVERFLOWING), json!([]), "{language} {width}x{height}");
            }
        }
        tablet.tap("#language");
    }
}

/// What sticks out of the page, or has more to say than it shows; names that are cut by an
/// ellipsis on purpose excepted.
const OVERFLOWING: &str = "
    const wide = document.documentElement.scrollWidth > innerWidth ? ['the page'] : [];
    const cut = [...document.querySelectorAll('body *')].filter((e) => {
        const box = e.getBoundingClientRect();
        const seen = box.width > 1 && !e.closest('.unseen, svg');
        const clipped = e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0
            && getComputedStyle(e).display !== 'inline' && !e.matches('h1, .farewells .name');
        return seen && (clipped || box.right > innerWidth + 1 || box.left < -1);
    });
    return [...wide, ...cut.map((e) => e.outerHTML.slice(0, 120))];";
