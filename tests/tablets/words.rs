//! A language from a file, without a rebuild.

use grelot::config::Words;

use crate::browser::Chromium;
use crate::shop::{Shop, visit};

#[test]
fn a_language_comes_from_a_file_and_an_unknown_one_falls_back() {
    let german = include_str!("../../config/words/de.toml");
    let shop = Shop::open_with(|config| config.words = Words::default().with(german).unwrap());
    for number in 1..=2 {
        shop.gateway.is_here(&visit(number, "", "gold", 120));
    }
    let chromium = Chromium::start();
    let tablet = chromium.tablet("de", 1280, 800);
    tablet.before_load("localStorage.setItem('names', '[\"Lea\"]')");
    tablet.open(&shop.url());
    tablet.shows("ZU BEGRÜSSEN");
    tablet.shows("Gold-Gast");
    tablet.shows("vor 2 Min.");
    assert_eq!(tablet.run("return document.documentElement.lang"), "de");
    tablet.tap("#language");
    tablet.shows("TO WELCOME");
    tablet.run("localStorage.setItem('language', 'tlh')");
    tablet.open(&shop.url());
    tablet.shows("ZU BEGRÜSSEN");
}
