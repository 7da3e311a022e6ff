//! A headless Chromium, driven over its `WebDriver` protocol.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http;

/// A driver of its own for each test, so that each ends what it began.
pub struct Chromium {
    driver: Child,
    port: u16,
}

/// One window of a browser of its own: one tablet.
pub struct Tablet {
    port: u16,
    session: String,
    profile: tempfile::TempDir,
}

/// Counts the bell's strikes.
const COUNT_STRIKES: &str = "window.strikes = 0; \
    const start = OscillatorNode.prototype.start; \
    OscillatorNode.prototype.start = function (...at) { window.strikes += 1; start.apply(this, at); };";

impl Chromium {
    pub fn start() -> Self {
        Self::run(&mut Command::new("chromedriver"))
    }

    /// The same with this home folder, whose authorities the browser trusts.
    pub fn start_at_home(home: &std::path::Path) -> Self {
        Self::run(Command::new("chromedriver").env("HOME", home).env_remove("XDG_DATA_HOME"))
    }

    fn run(driver: &mut Command) -> Self {
        driver.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null());
        (0..5).find_map(|_| Self::listening(driver)).expect("chromedriver listens on a port")
    }

    /// It takes a free port of IPv6, and ends where somebody else has the same of IPv4: then `None`.
    fn listening(driver: &mut Command) -> Option<Self> {
        let mut driver = driver.spawn().expect("chromedriver (Debian package chromium-driver)");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok()
        });
        let Some(port) = port else {
            driver.wait().unwrap();
            return None;
        };
        Some(Self { driver, port })
    }

    /// A tablet with this browser language and size.
    pub fn tablet(&self, language: &str, width: u32, height: u32) -> Tablet {
        self.tablet_with(&json!({}), language, width, height)
    }

    /// The same, for a self-signed certificate.
    pub fn tablet_that_trusts_all(&self, language: &str, width: u32, height: u32) -> Tablet {
        self.tablet_with(&json!({ "acceptInsecureCerts": true }), language, width, height)
    }

    fn tablet_with(&self, capabilities: &Value, language: &str, width: u32, height: u32) -> Tablet {
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--hide-scrollbars",
            "--mute-audio",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            &format!("--user-data-dir={}", profile.path().display()),
            &format!("--window-size={width},{height}"),
        ];
        let options = json!({
            "args": arguments,
            "prefs": { "intl.accept_languages": language, "intl.selected_languages": language },
        });
        let mut capabilities = capabilities.clone();
        capabilities["goog:chromeOptions"] = options;
        let capabilities = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let answer = call(self.port, "POST", "/session", &capabilities);
        let session = answer["sessionId"].as_str().expect("a session").to_owned();
        let tablet = Tablet { port: self.port, session, profile };
        tablet.resize(width, height);
        tablet
            .devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": COUNT_STRIKES }));
        tablet
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Ends its browsers, too; killed, it would leave them behind.
        let _ = http::json(self.port, "GET", "/shutdown", &json!({}));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Tablet {
    pub fn open(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": url }));
    }

    /// What every page runs before its own scripts.
    pub fn before_load(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script }));
    }

    /// Exactly this large, as narrow as a phone if need be.
    pub fn resize(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    pub fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", &feature);
    }

    /// What a function body returns.
    pub fn run(&self, script: &str) -> Value {
        self.command("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until(&self, expression: &str, within: Duration) {
        let deadline = Instant::now() + within;
        let script = format!("return Boolean({expression})");
        while self.run(&script) != json!(true) {
            let page = self.run("return document.body.innerText");
            assert!(Instant::now() < deadline, "never came true: {expression}\n{page}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the page shows this text.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.shows_within(text, Duration::from_secs(10));
    }

    #[track_caller]
    pub fn shows_within(&self, text: &str, within: Duration) {
        self.until(&format!("document.body.innerText.includes({})", json!(text)), within);
    }

    /// Waits until the page shows this text no longer.
    #[track_caller]
    pub fn hides(&self, text: &str) {
        let hidden = format!("!document.body.innerText.includes({})", json!(text));
        self.until(&hidden, Duration::from_secs(20));
    }

    /// Touches the element, as a finger would: only if it can be seen and is not covered.
    #[track_caller]
    pub fn tap(&self, selector: &str) {
        let quoted = json!(selector);
        self.until(
            &format!(
                "(() => {{ const e = document.querySelector({quoted}); \
                 return e && !e.disabled && e.offsetParent !== null && !e.closest('[data-settling]'); }})()"
            ),
            Duration::from_secs(10),
        );
        let found = json!({ "using": "css selector", "value": selector });
        let element = self.command("POST", "/element", &found);
        let id = element.as_object().and_then(|e| e.values().next()?.as_str()).unwrap();
        self.command("POST", &format!("/element/{id}/click"), &json!({}));
    }

    #[track_caller]
    pub fn type_into(&self, selector: &str, text: &str) {
        let found = json!({ "using": "css selector", "value": selector });
        let element = self.command("POST", "/element", &found);
        let id = element.as_object().and_then(|e| e.values().next()?.as_str()).unwrap();
        self.command("POST", &format!("/element/{id}/value"), &json!({ "text": text }));
    }

    /// Enters who uses the tablet.
    #[track_caller]
    pub fn i_am(&self, name: &str) {
        self.until("document.querySelector('#name').open", Duration::from_secs(10));
        self.type_into("#first-name", name);
        self.tap("#name button.main");
    }

    /// Keeps what the page looks like, for human eyes, under the build's scratch folder.
    pub fn picture(&self, name: &str) {
        self.run("scrollTo(0, 0)");
        let picture = self.devtools("Page.captureScreenshot", &json!({ "format": "png" }));
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
        std::fs::create_dir_all(&folder).unwrap();
        let png = base64(picture["data"].as_str().unwrap());
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    /// Presses keys one after the other, by their `WebDriver` codes or as letters.
    pub fn keys(&self, keys: &[&str]) {
        let events = keys
            .iter()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })));
        let keyboard =
            json!({ "type": "key", "id": "keyboard", "actions": events.collect::<Vec<_>>() });
        self.command("POST", "/actions", &json!({ "actions": [keyboard] }));
    }

    /// What axe-core finds wrong by WCAG 2.2 AA and best practice: a rule and an element each.
    pub fn violations(&self) -> Vec<String> {
        let axe = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("../npm/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(&axe)
            .unwrap_or_else(|_| panic!("{}: tests/all.sh installs it", axe.display()));
        let script = format!(
            "{axe}; return axe.run(document, {{ resultTypes: ['violations'], runOnly: \
             ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }}).then((found) => \
             found.violations.flatMap(({{ id, nodes }}) => nodes.map((node) => id + ': ' + node.html)))"
        );
        serde_json::from_value(self.run(&script)).unwrap()
    }

    pub fn devtools(&self, method: &str, parameters: &Value) -> Value {
        self.command("POST", "/goog/cdp/execute", &json!({ "cmd": method, "params": parameters }))
    }

    /// Ends the browser; what it has kept.
    pub fn ended(mut self) -> tempfile::TempDir {
        std::mem::replace(&mut self.profile, tempfile::tempdir().unwrap())
    }

    #[track_caller]
    pub fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        call(self.port, method, &format!("/session/{}{path}", self.session), body)
    }
}

impl Drop for Tablet {
    fn drop(&mut self) {
        let _ = http::json(self.port, "DELETE", &format!("/session/{}", self.session), &json!({}));
    }
}

#[track_caller]
fn call(port: u16, method: &str, path: &str, body: &Value) -> Value {
    let answer = http::json(port, method, path, body).expect("chromedriver answers");
    let answer: Value = serde_json::from_str(&answer.body).expect("JSON from chromedriver");
    let value = answer["value"].clone();
    assert!(value.get("error").is_none(), "{path}: {value}");
    value
}

fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let sextets: Vec<u8> = text.bytes().filter(|c| *c != b'=').map(value).collect();
    let quads = sextets.chunks(4).flat_map(|quad| {
        let bits = quad.iter().fold(0u32, |bits, s| bits << 6 | u32::from(*s));
        let bits = bits << (6 * (4 - quad.len()));
        bits.to_be_bytes()[1..quad.len()].to_vec()
    });
    quads.collect()
}
