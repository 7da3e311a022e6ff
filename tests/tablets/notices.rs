//! Notifications while the page is hidden: over HTTPS, with the certificate of `grelot tls init`, whose
//! authority the browser trusts as a tablet does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use grelot::tablets::pairing::Pairings;
use grelot::tablets::{Pairing, TlsFiles};
use serde_json::{Value, json};

use crate::browser::Chromium;
use crate::shop::{Shop, now, visit, with_card};

const SOON: Duration = Duration::from_secs(20);

/// What `grelot tls init` makes: the page's certificate, and the authority that vouches for it.
fn own_certificate(folder: &Path) -> (TlsFiles, PathBuf) {
    let config = folder.join("grelot.toml");
    let text = "[store]\nid = 42\n[gateway]\nname = \"door\"\n[broker]\nembedded = true\n[state]\npath = \"state\"\n";
    fs::write(&config, text).unwrap();
    fs::create_dir(folder.join("state")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
    let made =
        command.arg("--json").arg("--config").arg(&config).args(["tls", "init"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let tls = folder.join("state/tls");
    let files = TlsFiles { certificate: tls.join("gateway.pem"), key: tls.join("gateway.key") };
    (files, made["authority"].as_str().unwrap().into())
}

/// The home folder of somebody who trusts the authority.
fn home_that_trusts(authority: &Path) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let database = home.path().join(".pki/nssdb");
    fs::create_dir_all(&database).unwrap();
    let database = format!("sql:{}", database.display());
    for arguments in [&["-N", "--empty-password"][..], &["-A", "-n", "grelot", "-t", "C,,", "-i"]] {
        let mut command = Command::new("certutil");
        command.args(["-d", &database]).args(arguments);
        if arguments[0] == "-A" {
            command.arg(authority);
        }
        let done = command.status().expect("certutil (Debian package libnss3-tools)");
        assert!(done.success(), "certutil {arguments:?}");
    }
    home
}

#[test]
fn a_hidden_page_says_how_many_wait_and_the_browser_keeps_no_customer() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, authority) = own_certificate(folder.path());
    let shop = Shop::open_with(|config| {
        config.tls = Some(tls);
        config.pairing = Pairing::Required;
    });
    let home = home_that_trusts(&authority);
    let chromium = Chromium::start_at_home(home.path());
    let tablet = chromium.tablet("en", 1280, 800);
    let code = Pairings::new(shop.state.path()).issue(now()).unwrap();
    tablet.open(&format!("{}#pair={}", shop.url(), code.digits));
    tablet.tap("#pair button");
    tablet.i_am("Léa");
    tablet.shows("All is calm");
    assert_eq!(tablet.run("return isSecureContext"), json!(true));
    let origin = tablet.run("return location.origin");
    tablet.tap("#more-tools");
    tablet.shows("Notify me when the page is hidden");
    tablet.devtools(
        "Browser.grantPermissions",
        &json!({ "origin": origin, "permissions": ["notifications"] }),
    );
    tablet.shows("Notifications are on");
    tablet.picture("notifications");
    tablet.tap("#notify");
    tablet.shows("Notifications are off");
    tablet.picture("notifications-off");
    let border = "return getComputedStyle(document.querySelector('#notify')).borderStyle";
    assert_eq!(tablet.run(border), "dashed", "off looks off");
    assert_eq!(tablet.violations(), Vec::<String>::new());
    tablet.tap("#notify");
    tablet.shows("Notifications are on");
    tablet.tap("#tools-close");
    tablet.until("navigator.serviceWorker.controller", SOON);

    // Another tab of the browser, which hides the page.
    let page = tablet.command("GET", "/window", &json!({}));
    let other = tablet.command("POST", "/window/new", &json!({ "type": "tab" }));
    tablet.command("POST", "/window", &json!({ "handle": other["handle"] }));
    tablet.open(&format!("{}healthz", shop.url()));
    let script = "return navigator.serviceWorker.getRegistration('/') \
        .then((registration) => registration.getNotifications()) \
        .then((all) => all.map(({ title, body, tag, data }) => ({ title, body, tag, data })))";
    let shows = |expected: Value| {
        let deadline = std::time::Instant::now() + SOON;
        while tablet.run(script) != expected {
            assert!(
                std::time::Instant::now() < deadline,
                "{} and not {expected}",
                tablet.run(script)
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    shows(json!([]));
    let (duval, okafor) = (visit(1, "Mme Duval", "gold", 0), visit(2, "M. Okafor", "gold", 0));
    let says = |body: &str| json!([{ "title": "Someone to welcome", "body": body, "tag": "grelot", "data": null }]);
    shop.gateway.arrives(&with_card(duval.clone(), "fr", "Order 1182"));
    shows(says("1 customer is waiting."));
    shop.gateway.arrives(&okafor);
    shows(says("2 customers are waiting."));
    shop.gateway.leaves(&duval);
    shop.gateway.leaves(&okafor);
    shows(json!([]));

    tablet.command("POST", "/window", &json!({ "handle": page }));
    shop.gateway.arrives(&with_card(visit(3, "Mme Duval", "gold", 0), "fr", "Order 1182"));
    tablet.shows("Mme Duval");
    let kept = tablet.run(
        "return Promise.all([indexedDB.databases(), caches.keys().then((names) => Promise.all(names.map((name) => \
             caches.open(name).then((cache) => cache.matchAll()).then((all) => Promise.all(all.map((a) => a.text())))))), \
             localStorage, sessionStorage, document.cookie, document.title]).then(JSON.stringify)",
    );
    let kept = kept.as_str().unwrap();
    assert!(
        kept.contains("Someone to welcome") && kept.contains("Léa"),
        "page and staff's name are kept"
    );
    let customers = ["Duval", "Okafor", "Order 1182", "c-0001", "c-0003"];
    assert_eq!(customers.iter().filter(|word| kept.contains(**word)).count(), 0, "{kept}");
    let profile = tablet.ended();
    assert!(!files_with(profile.path(), &["grelot-page"]).is_empty(), "the profile is looked at");
    assert_eq!(files_with(profile.path(), &customers), Vec::<PathBuf>::new());
}

#[test]
fn a_tapped_notification_brings_who_came_last_into_view() {
    let shop = Shop::open();
    for (number, seconds) in [(1, 400), (2, 300), (3, 200), (4, 100)] {
        shop.gateway.is_here(&visit(number, "Mme Duval", "gold", seconds));
    }
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 360, 640);
    tablet.before_load("localStorage.setItem('names', '[\"Léa\"]')");
    let in_view = "(() => { const card = document.querySelector('#welcome .card'); \
        if (!card) return false; \
        const [box, bar] = [card, document.querySelector('.bar')].map((e) => e.getBoundingClientRect()); \
        return card.dataset.visit.endsWith('04') && box.top >= bar.bottom && box.bottom <= innerHeight \
            && card.contains(document.activeElement); })()";
    let is_at_the_end = "scrollTo(0, document.body.scrollHeight); return scrollY > 300";
    tablet.open(&shop.url());
    tablet.until("document.querySelectorAll('#welcome .card').length === 4", SOON);
    assert_eq!(tablet.run(is_at_the_end), true);
    assert_eq!(tablet.run(&format!("return {in_view}")), false);
    // What the service worker says to a page that is open.
    tablet.run(
        "navigator.serviceWorker.dispatchEvent(new MessageEvent('message', { data: 'welcome' }))",
    );
    tablet.until(in_view, SOON);

    // A page that the service worker opens.
    tablet.open("about:blank");
    tablet.open(&format!("{}#welcome", shop.url()));
    tablet.until(in_view, SOON);
    assert_eq!(tablet.run("return location.hash"), "");
}

/// The files below a folder that hold one of the words, in one of the forms that browsers write.
fn files_with(folder: &Path, words: &[&str]) -> Vec<PathBuf> {
    let wide = |word: &&str| word.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let needles: Vec<Vec<u8>> =
        words.iter().flat_map(|word| [word.as_bytes().to_vec(), wide(word)]).collect();
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let octets = fs::read(&path).unwrap_or_default();
                let holds =
                    |needle: &Vec<u8>| octets.windows(needle.len()).any(|window| window == needle);
                if needles.iter().any(holds) {
                    found.push(path);
                }
            }
        }
    }
    found
}
