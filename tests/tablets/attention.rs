//! Alerts cannot be missed, and are no nuisance.

use std::time::Duration;

use grelot::tablets::PageSettings;
use serde_json::json;

use crate::browser::{Chromium, Tablet};
use crate::shop::{Shop, visit};

const SOON: Duration = Duration::from_secs(5);

/// A tablet of Léa's whose sound is on, and that counts vibrations.
fn tablet(chromium: &Chromium, shop: &Shop) -> Tablet {
    let tablet = chromium.tablet("en", 1280, 800);
    tablet.before_load(
        "localStorage.setItem('names', '[\"Léa\"]'); window.buzzed = 0; \
         navigator.vibrate = () => { window.buzzed += 1; return true; };",
    );
    tablet.open(&shop.url());
    tablet.tap("#sound");
    tablet.shows("Bell on");
    tablet.run("strikes = 0; buzzed = 0");
    tablet
}

#[test]
fn the_bell_repeats_until_somebody_comes_and_is_silent_where_it_is_off() {
    let shop = Shop::open_with(|config| {
        config.page = PageSettings { repeat: Duration::from_secs(1), ..PageSettings::default() };
    });
    let chromium = Chromium::start();
    let (loud, off) = (tablet(&chromium, &shop), tablet(&chromium, &shop));
    off.tap("#sound");
    off.shows("Bell off");
    off.run("strikes = 0; buzzed = 0");
    let duval = visit(1, "Mme Duval", "gold", 0);
    shop.gateway.arrives(&duval);
    loud.until("buzzed >= 3", Duration::from_secs(10));
    assert_eq!(loud.run("return strikes > 24"), true, "two strikes, and one each time after");
    assert_eq!(loud.run("return heard.textContent"), "1 customer is still waiting.");
    off.shows("Mme Duval");
    assert_eq!(off.run("return [strikes, buzzed]"), json!([0, 0]), "off is off");

    // A reload rings for nothing that rang before it.
    loud.open(&shop.url());
    loud.shows("Mme Duval");
    assert_eq!(loud.run("return [buzzed, heard.textContent]"), json!([0, ""]));

    loud.tap("#welcome .card .main");
    loud.shows("You take care");
    let buzzed = loud.run("return buzzed");
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(loud.run("return buzzed"), buzzed, "somebody takes care");
}

#[test]
fn an_escalated_visit_rings_once_more_and_says_so() {
    let shop = Shop::open();
    let chromium = Chromium::start();
    let tablet = tablet(&chromium, &shop);
    let duval = visit(1, "Mme Duval", "gold", 0);
    shop.gateway.arrives(&duval);
    tablet.until("buzzed === 1", SOON);
    shop.gateway.change(&duval, |state| state.escalated = true);
    tablet.until("buzzed === 2", SOON);
    tablet.shows("no one takes care");
    let said = tablet.run("return heard.textContent");
    assert_eq!(said, "Mme Duval has been waiting, and no one takes care.");
    assert_eq!(tablet.run("return document.querySelector('.card').dataset.age"), "late");
}

#[test]
fn a_test_rings_and_a_tablet_that_is_off_says_so() {
    let shop = Shop::open();
    let chromium = Chromium::start();
    let tablet = tablet(&chromium, &shop);
    tablet.tap("#more-tools");
    tablet.tap("#test-bell");
    tablet.until("strikes > 0", SOON);
}

#[test]
fn a_customer_who_withdraws_is_gone_from_the_page_at_once() {
    let shop = Shop::open();
    let chromium = Chromium::start();
    let tablet = tablet(&chromium, &shop);
    let (duval, byrne) = (visit(1, "Mme Duval", "gold", 0), visit(2, "Mr Byrne", "gold", 0));
    shop.gateway.arrives(&duval);
    tablet.shows("Mme Duval");
    tablet.tap("#welcome .card .main");
    tablet.shows("You take care of Mme Duval.");
    shop.gateway.arrives(&byrne);
    tablet.shows("Mr Byrne");
    tablet.tap("[data-visit$='02'] .more");
    tablet.tap("[data-visit$='02'] .dismiss");
    tablet.shows("HIDDEN FOR ALL");
    for visit in [&duval, &byrne] {
        shop.gateway.withdraws(visit);
    }
    tablet.until("!/Duval|Byrne|c-000/.test(document.documentElement.outerHTML)", SOON);
    assert_eq!(tablet.run("return document.title"), "Paris Rivoli");
}

#[test]
fn a_name_ends_with_the_shift() {
    let shop = Shop::open_with(|config| {
        config.page = PageSettings { shift_end: Some(0), ..PageSettings::default() };
    });
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 1280, 800);
    // Since the day before yesterday.
    tablet.before_load(
        "localStorage.setItem('names', '[\"Léa\"]'); \
         if (!sessionStorage.once) localStorage.setItem('since', Date.now() - 2 * 86400000); \
         sessionStorage.once = 1;",
    );
    tablet.open(&shop.url());
    tablet.until("document.querySelector('#name').open", SOON);
    tablet.i_am("Ada");
    tablet.until("document.querySelector('#me-name').textContent === 'Ada'", SOON);
    assert_eq!(tablet.run("return document.querySelector('#name').open"), false);
}
