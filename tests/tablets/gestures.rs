//! What staff do, and how they take it back.

use std::time::Duration;

use grelot::payload::Arrival;
use serde_json::{Value, json};

use crate::browser::{Chromium, Tablet};
use crate::shop::{Shop, visit, with_card};

const SOON: Duration = Duration::from_secs(5);

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// A shop with one customer who waits, and the tablets of these people.
fn staff<const N: usize>(names: [&str; N]) -> (Shop, Chromium, [Tablet; N], Arrival) {
    let shop = Shop::open();
    let duval = visit(1, "Mme Duval", "gold", 90);
    shop.gateway.is_here(&duval);
    let chromium = Chromium::start();
    let tablets = names.map(|name| {
        let tablet = chromium.tablet("en", 1280, 800);
        tablet.open(&shop.url());
        tablet.i_am(name);
        tablet.shows("Mme Duval");
        tablet
    });
    (shop, chromium, tablets, duval)
}

fn menu(tablet: &Tablet, choice: &str) {
    tablet.tap(".card .more");
    tablet.tap(&format!(".card .{choice}"));
}

#[test]
fn everything_can_be_undone_for_ten_seconds() {
    let (shop, _chromium, [lea, paul], _) = staff(["Léa", "Paul"]);
    lea.tap("#welcome .card .main");
    lea.shows("You take care of Mme Duval.");
    lea.tap("#undo");
    paul.until("document.querySelector('#welcome .card')", SOON);
    lea.shows("Undone.");

    lea.tap("#welcome .card .main");
    lea.shows("You take care");
    lea.tap("#care .card .main");
    lea.shows("You gave Mme Duval back.");
    paul.shows("given back by Léa, waits again");
    lea.tap("#undo");
    paul.shows("Léa takes care");
    paul.hides("waits again");

    menu(&lea, "dismiss");
    lea.shows("is hidden for all.");
    paul.hides("Mme Duval");
    lea.tap("#undo");
    paul.shows("Mme Duval");

    menu(&lea, "absent");
    paul.hides("Mme Duval");
    lea.tap("#undo");
    paul.shows("Mme Duval");
    menu(&lea, "present");
    lea.shows("It helps the bell to learn.");
    lea.tap("#undo");
    lea.shows("Undone.");
    assert_eq!(shop.gateway.verdicts(), ["was_not_here", "none", "was_here", "none"]);

    menu(&lea, "dismiss");
    lea.until("!document.querySelector('#undo').hidden", SOON);
    lea.until("document.querySelector('#toast').hidden", Duration::from_secs(12));
    paul.tap("summary");
    paul.tap("#hidden .recall");
    lea.until("document.querySelector('#care .card')", SOON);
}

#[test]
fn a_colleague_takes_over_and_the_former_owner_reads_a_friendly_notice() {
    let (shop, _chromium, [lea, paul], _) = staff(["Léa", "Paul"]);
    lea.tap("#welcome .card .main");
    paul.shows("Léa takes care");
    menu(&paul, "take-over");
    paul.shows("You took Mme Duval over from Léa.");
    lea.shows("Paul has kindly taken Mme Duval over from you.");
    paul.tap("#undo");
    lea.shows("You take care");

    // The undo of a claim races with a colleague who takes over: one owner, and the loser learns it.
    lea.tap("#care .card .main");
    lea.shows("You gave Mme Duval back.");
    lea.tap("#welcome .card .main");
    lea.shows("You take care of Mme Duval.");
    shop.gateway.hesitate();
    menu(&paul, "take-over");
    paul.until("document.querySelector('.card[data-pending]')", SOON);
    lea.tap("#undo");
    shop.gateway.decide_after(2);
    lea.shows("Paul has kindly taken Mme Duval over from you.");
    for tablet in [&lea, &paul] {
        tablet.until("document.querySelectorAll('#care .card').length === 1", SOON);
    }
    assert_eq!(paul.run("return document.querySelector('#care .card').dataset.mine"), json!(""));
}

#[test]
fn two_people_of_one_name_are_two_and_a_tablet_is_handed_over_with_one_tap() {
    let (_shop, _chromium, [lea, namesake], _) = staff(["Léa", "Léa"]);
    lea.tap("#welcome .card .main");
    lea.shows("You take care");
    namesake.shows("Léa, on another tablet, takes care");
    let badge = "return document.querySelector('#care .badge').textContent";
    assert_eq!(namesake.run(badge), "LÉ");
    assert_eq!(namesake.run("return document.querySelector('#care .main').hidden"), true);

    lea.tap("#more-tools");
    lea.tap("#hand-over");
    lea.until("document.querySelector('#name').open", SOON);
    lea.i_am("Ada");
    lea.shows("Léa takes care");
}

#[test]
fn menus_close_with_escape_and_a_tap_elsewhere() {
    let (_shop, _chromium, [lea], _) = staff(["Léa"]);
    let closed = "document.querySelector('.card .menu').hidden";
    lea.tap(".card .more");
    lea.until(&format!("!{closed}"), SOON);
    lea.keys(&[ESCAPE]);
    lea.until(closed, SOON);
    assert_eq!(lea.run("return document.activeElement.className"), "more");
    lea.tap(".card .more");
    lea.tap("#store");
    lea.until(closed, SOON);
}

#[test]
fn an_opened_menu_is_in_sight_on_a_phone() {
    let (_shop, _chromium, [lea], _) = staff(["Léa"]);
    lea.resize(390, 480);
    let more = "document.querySelector('.card .more').getBoundingClientRect()";
    lea.run(&format!("scrollTo(0, 0); scrollBy(0, {more}.bottom - innerHeight)"));
    lea.run("document.querySelector('.card .more').click()");
    let menu = "document.querySelector('.card .menu').getBoundingClientRect()";
    lea.until(&format!("{menu}.height > 0 && {menu}.bottom <= innerHeight"), SOON);
    lea.shows("a false alert; hides the card and teaches the bell");
    assert_eq!(lea.violations(), Vec::<String>::new());
    lea.keys(&[ESCAPE]);

    // Nor does the toast cover the button of the card that it is about.
    lea.run("document.querySelector('.card .main').click()");
    lea.shows("You take care of Mme Duval.");
    lea.run("scrollTo(0, 0)");
    lea.run("document.querySelector('.card .main').click()");
    lea.shows("You gave Mme Duval back.");
    lea.until(
        "document.querySelector('.card .main').getBoundingClientRect().bottom \
         < document.querySelector('#toast').getBoundingClientRect().top",
        SOON,
    );
}

/// Tabs until the focus is on `selector`.
#[track_caller]
fn tab_to(tablet: &Tablet, selector: &str) {
    for _ in 0..30 {
        if tablet.run(&format!("return document.activeElement.matches('{selector}')")) == true {
            return;
        }
        tablet.keys(&[TAB]);
    }
    panic!("the keyboard never reaches {selector}");
}

#[test]
fn all_of_it_works_by_keyboard_and_the_focus_stays_with_the_card() {
    let shop = Shop::open();
    shop.gateway.is_here(&visit(1, "Mme Duval", "gold", 90));
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 1280, 800);
    tablet.open(&shop.url());
    tablet.until("document.querySelector('#name').open", SOON);
    tablet.shows("1 customer is waiting.");
    tab_to(&tablet, "#first-name");
    tablet.keys(&["A", "d", "a", ENTER]);
    tablet.shows("Mme Duval");
    tab_to(&tablet, "#welcome .main");
    tablet.keys(&[ENTER]);
    tablet.shows("You take care of");
    tablet.until("document.activeElement.closest('#care .card')", SOON);
    tab_to(&tablet, "#care .more");
    tablet.keys(&[ENTER]);
    tab_to(&tablet, "#care .dismiss");
    tablet.keys(&[ENTER]);
    tablet.shows("is hidden for all.");
    tab_to(&tablet, "#undo");
    tablet.keys(&[ENTER]);
    tablet.until("document.querySelector('#care .card')", SOON);
    tab_to(&tablet, "#more-tools");
    tablet.keys(&[ENTER]);
    tablet.until("document.querySelector('#tools').open", SOON);
    tablet.keys(&[ESCAPE]);
    tablet.until("!document.querySelector('#tools').open", SOON);
}

#[test]
fn a_screen_reader_names_the_customer_of_each_button() {
    let (shop, _chromium, [lea], duval) = staff(["Léa"]);
    shop.gateway.is_here(&with_card(duval, "fr", "Order 1182"));
    lea.tap(".card .more");
    lea.devtools("Accessibility.enable", &json!({}));
    let tree = lea.devtools("Accessibility.getFullAXTree", &json!({}));
    let nodes = tree["nodes"].as_array().unwrap();
    let of_role = |role: &str| -> Vec<&str> {
        let named = nodes.iter().filter(|node| node["role"]["value"] == role);
        named.filter_map(|node| node["name"]["value"].as_str()).collect()
    };
    let buttons: Vec<_> = of_role("button").iter().map(|name| name.replace(" :", ":")).collect();
    for button in ["I take care", "More", "Was here", "Was not here", "Hide for all"] {
        let named = format!("{button}: Mme Duval");
        assert!(buttons.iter().any(|name| name.starts_with(&named)), "{button}: {buttons:?}");
    }
    assert!(of_role("heading").contains(&"Mme Duval"), "{:?}", of_role("heading"));
    let note = lea.run("return document.querySelector('.card .note').lang");
    assert_eq!(note, Value::from("fr"), "a note is read in its language");
}
