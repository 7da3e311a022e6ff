//! The header of a pushed document: its serial number, from when and for which share of stores it
//! counts, and who signed it.
//!
//! ```toml
//! [document]
//! serial = 18
//! from = "2026-02-01T04:00:00Z"
//! ring = 10
//! roll_back_if = { alerts = 1.5, not_here = 0.2 }
//!
//! [presence]
//! dwell_secs = 4
//!
//! # untrusted comment: signature from minisign secret key
//! # RUQf6LRCGA9i5…
//! # trusted comment: grelot settings 18
//! # ywq3…
//! ```
//!
//! The signature is of every octet before its first line, and each of its lines is a TOML comment.

use minisign_verify::{PublicKey, Signature};
use toml::de::{DeTable, DeValue};

use super::reach::Reach;
use crate::pipeline::units::WallTime;

/// The signature's first line.
const SIGNATURE: &str = "# untrusted comment:";

/// The header of a document.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Header {
    /// A lower number than one seen before is refused.
    pub serial: Option<u64>,
    /// Not in force before; the one before it is.
    pub from: Option<WallTime>,
    /// The share of stores that it is for, in per cent; `None` for all.
    pub ring: Option<f64>,
    /// When it is taken back.
    pub roll_back_if: Option<Guard>,
    /// It is a candidate: it runs beside what is in force, and alerts no one.
    pub shadow: bool,
}

/// When a document is taken back: once it is sure that one of these limits is exceeded.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Guard {
    /// Factor by which alerts may grow or shrink, compared with before; above 1.
    pub alerts: Option<f64>,
    /// Share of judged visits where staff say that the customer was not here.
    pub not_here: Option<f64>,
    /// Share of the time in which nothing can be received.
    pub blind: Option<f64>,
    /// Share of alerts that no one takes up.
    pub unclaimed: Option<f64>,
    /// Share of gateways that have taken it back, from which on it is taken back everywhere.
    pub gateways: Option<f64>,
}

impl Guard {
    /// Its keys and what they limit.
    pub const KEYS: [&str; 5] = ["alerts", "not_here", "blind", "unclaimed", "gateways"];

    /// Sets a limit.
    ///
    /// # Errors
    /// Where the key is not known, or the value makes no limit.
    pub fn set(&mut self, key: &str, value: f64) -> Result<(), &'static str> {
        let (limit, sound, what) = match key {
            "alerts" => {
                let sound = value > 1.0 && value <= 100.0;
                (&mut self.alerts, sound, "must be a number above 1, at most 100")
            }
            "not_here" => (&mut self.not_here, is_share(value), SHARE),
            "blind" => (&mut self.blind, is_share(value), SHARE),
            "unclaimed" => (&mut self.unclaimed, is_share(value), SHARE),
            "gateways" => (&mut self.gateways, is_share(value), SHARE),
            _ => return Err("is not known: alerts, not_here, blind, unclaimed and gateways are"),
        };
        if !sound {
            return Err(what);
        }
        *limit = Some(value);
        Ok(())
    }

    /// Each limit that is set, with its key.
    pub fn limits(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let values = [self.alerts, self.not_here, self.blind, self.unclaimed, self.gateways];
        Self::KEYS.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?)))
    }
}

const SHARE: &str = "must be a share between 0 and 1";

fn is_share(value: f64) -> bool {
    value > 0.0 && value < 1.0
}

/// Why a document is refused before its settings are looked at.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// No signature, or none of the pinned keys made it.
    #[error("{0}")]
    Signature(&'static str),
    /// A key of `[document]` is wrong.
    #[error("{key} {what}")]
    Header {
        /// Such as `document.serial`.
        key: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An older one, or another of the same number.
    #[error(
        "document.serial is {found}, and {known} was here before: serial numbers never go back"
    )]
    Older {
        /// The serial number, as the document writes it.
        found: String,
        /// The last one that counted.
        known: u64,
    },
}

impl Header {
    /// Reads and verifies `text`. With pinned `keys` it needs a signature, made for this `reach`, and
    /// a serial number.
    ///
    /// # Errors
    /// Where it is not signed as it has to be, or `[document]` is wrong. What is no TOML at all has an
    /// empty header: reading the settings says where.
    pub fn read(text: &str, topic: &str, keys: &[String]) -> Result<Self, Unfit> {
        if !keys.is_empty() {
            verify(text, topic, keys)?;
        }
        let header = Self::parse(text)?;
        if !keys.is_empty() && header.serial.is_none() {
            return Err(header_error("serial", "is missing: a signed document has a number"));
        }
        Ok(header)
    }

    fn parse(text: &str) -> Result<Self, Unfit> {
        let (root, _) = DeTable::parse_recoverable(text);
        let Some(document) = root.get_ref().get("document") else { return Ok(Self::default()) };
        let DeValue::Table(table) = document.get_ref() else {
            return Err(header_error("document", "is not a table"));
        };
        let mut header = Self::default();
        for (key, value) in table {
            match (&**key.get_ref(), value.get_ref()) {
                ("serial", DeValue::Integer(number)) => {
                    let serial = number.as_str().parse().ok().filter(|serial| *serial > 0);
                    let what = "must be a whole number from 1 on";
                    header.serial = Some(serial.ok_or_else(|| header_error("serial", what))?);
                }
                ("from", DeValue::String(time)) => {
                    let what = "must be a time such as \"2026-02-01T04:00:00Z\"";
                    let from = WallTime::parse(time);
                    header.from = Some(from.ok_or_else(|| header_error("from", what))?);
                }
                ("ring", value) => {
                    let what = "must be a number from 0 to 100, in per cent of the stores";
                    let ring = per_cent(value).ok_or_else(|| header_error("ring", what))?;
                    header.ring = Some(ring);
                }
                ("shadow", DeValue::Boolean(shadow)) => header.shadow = *shadow,
                ("roll_back_if", DeValue::Table(limits)) => {
                    header.roll_back_if = Some(guard(limits)?);
                }
                (key @ ("serial" | "from" | "roll_back_if" | "shadow"), _) => {
                    return Err(header_error(key, "has the wrong form"));
                }
                (key, _) => {
                    return Err(header_error(
                        key,
                        "is not known: serial, from, ring, roll_back_if and shadow are",
                    ));
                }
            }
        }
        Ok(header)
    }

    /// Whether the document is for this store. A larger ring has every store of a smaller one.
    pub fn is_for(&self, store: u16) -> bool {
        self.ring.is_none_or(|ring| place(store) < ring)
    }

    /// Whether it counts already. While the clock is not set a document waits.
    pub fn is_due(&self, now: Option<WallTime>) -> bool {
        self.from.is_none_or(|from| now.is_some_and(|now| from <= now))
    }

    /// Whether it may follow a document of number `known`; `same` if it is that one again.
    ///
    /// # Errors
    /// Where it is older.
    pub fn follows(&self, known: Option<u64>, same: bool) -> Result<(), Unfit> {
        let Some(known) = known else { return Ok(()) };
        match self.serial {
            Some(serial) if serial > known || serial == known && same => Ok(()),
            serial => {
                let found = serial.map_or("missing".to_owned(), |serial| serial.to_string());
                Err(Unfit::Older { found, known })
            }
        }
    }
}

/// The place of a store among all, from 0 to 100: stable, and unrelated to its number.
pub fn place(store: u16) -> f64 {
    // The finaliser of SplitMix64.
    let mut z = u64::from(store).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let hundredths = u32::try_from((z ^ (z >> 31)) % 10_000).unwrap_or_default();
    f64::from(hundredths) / 100.0
}

/// The signed part of a text and its signature, in minisign's own form.
fn signature(text: &str) -> Option<(&str, String)> {
    let at = text.rfind(&format!("\n{SIGNATURE}"))? + 1;
    let (body, signature) = text.split_at_checked(at)?;
    let lines = signature.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
    Some((body, lines.collect::<Vec<_>>().join("\n")))
}

fn verify(text: &str, topic: &str, keys: &[String]) -> Result<(), Unfit> {
    let Some((body, signature)) = signature(text) else {
        return Err(Unfit::Signature("is not signed, and only signed documents count here"));
    };
    let Ok(signature) = Signature::decode(&signature) else {
        return Err(Unfit::Signature("has a signature that cannot be read"));
    };
    let is_of = |key: &String| {
        let key = PublicKey::from_base64(key);
        key.is_ok_and(|key| key.verify(body.as_bytes(), &signature, false).is_ok())
    };
    if !keys.iter().any(is_of) {
        return Err(Unfit::Signature("is signed by none of the pinned keys, or was changed"));
    }
    // A document for one store is no document for all.
    if signature.trusted_comment() != comment(topic) {
        return Err(Unfit::Signature("is signed for another topic"));
    }
    Ok(())
}

/// What the signature says beside the text: where the document belongs.
pub fn comment(topic: &str) -> String {
    format!("grelot settings for {topic}")
}

/// `text` with `signature`, in minisign's own form, behind it.
pub fn signed(text: &str, signature: &str) -> String {
    let mut all = text.to_owned();
    for line in signature.lines() {
        all.push_str("# ");
        all.push_str(line);
        all.push('\n');
    }
    all
}

/// What is signed of a text: it ends with a line's end.
pub fn signable(text: &str) -> String {
    let text = signature(text).map_or(text, |(body, _)| body);
    if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// A document's settings, without its header and its signature.
///
/// # Errors
/// Where it is no TOML.
pub fn settings(text: &str) -> Result<String, toml_edit::TomlError> {
    let mut document: toml_edit::DocumentMut = signable(text).parse()?;
    document.remove("document");
    Ok(document.to_string().trim_start().to_owned())
}

fn per_cent(value: &DeValue<'_>) -> Option<f64> {
    number(value).filter(|number| (0.0..=100.0).contains(number))
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(number) => number.as_str().parse().ok(),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

fn guard(limits: &DeTable<'_>) -> Result<Guard, Unfit> {
    let mut guard = Guard::default();
    for (key, value) in limits {
        let wrong = |what| header_error(&format!("roll_back_if.{}", key.get_ref()), what);
        let value = number(value.get_ref()).ok_or_else(|| wrong("must be a number"))?;
        guard.set(key.get_ref(), value).map_err(wrong)?;
    }
    Ok(guard)
}

fn header_error(key: &str, what: &'static str) -> Unfit {
    let key = if key == "document" { key.to_owned() } else { format!("document.{key}") };
    Unfit::Header { key, what }
}

/// One layer: what is in force of it, and what waits for its time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layer {
    /// The document in force.
    pub current: Option<Pushed>,
    /// Waits for its time.
    pub next: Option<Pushed>,
    /// The last document's number, accepted or refused.
    pub serial: Option<u64>,
    /// The last document is for other stores than this one.
    pub out_of_ring: bool,
    /// What was in force before, kept while the present document may be taken back.
    pub former: Option<Pushed>,
    /// What was taken back here, and why.
    pub fell_back: Option<FellBack>,
    /// A candidate, until the next document.
    pub shadow: Option<Pushed>,
}

/// A document that was in force and is no longer.
#[derive(Debug, Clone, PartialEq)]
pub struct FellBack {
    /// As it came: when it comes again, it does not count again.
    pub text: String,
    /// Which limit was exceeded.
    pub why: String,
}

/// A document that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// The document as it came, signature included.
    pub text: String,
    pub header: Header,
}

impl Layer {
    /// What the layer becomes with a document that came for `reach`.
    ///
    /// # Errors
    /// Where it may not count.
    pub fn with(
        &self,
        reach: Reach,
        topic: &str,
        text: &str,
        rules: &Rules<'_>,
    ) -> Result<Self, Unfit> {
        let header = Header::read(text, topic, rules.keys)?;
        let is = |pushed: &Option<Pushed>| pushed.as_ref().is_some_and(|one| one.text == text);
        let is_here = is(&self.current) && self.next.is_none() || is(&self.shadow);
        if is_here || self.has_fallen_back_from(text) {
            return Ok(self.clone());
        }
        let known = [&self.current, &self.next].into_iter().flatten();
        let same = known.clone().any(|pushed| pushed.text == text);
        header.follows(self.serial, same)?;
        let mut layer = Self { fell_back: None, shadow: None, ..self.clone() };
        layer.serial = header.serial.or(self.serial);
        // Only documents for several stores have rings.
        layer.out_of_ring = reach < Reach::Store && !header.is_for(rules.store);
        if layer.out_of_ring {
            return Ok(layer);
        }
        let due = header.is_due(rules.now);
        let is_candidate = header.shadow;
        let pushed = Some(Pushed { text: text.to_owned(), header });
        if is_candidate {
            layer.shadow = pushed;
            return Ok(layer);
        }
        layer.next = pushed;
        if due {
            layer.take_next();
        }
        Ok(layer)
    }

    /// What waits counts from now on; what counted before is kept while it may be needed again.
    fn take_next(&mut self) {
        let former = self.current.take();
        self.current = self.next.take();
        let guarded = self.current.as_ref().is_some_and(|now| now.header.roll_back_if.is_some());
        // Settings that may be taken back themselves are no last good ones.
        self.former = match former {
            Some(former) if former.header.roll_back_if.is_some() => self.former.take(),
            former => former,
        };
        if !guarded {
            self.former = None;
        }
    }

    fn has_fallen_back_from(&self, text: &str) -> bool {
        self.fell_back.as_ref().is_some_and(|fell_back| fell_back.text == text)
    }

    /// Takes back what is in force, if it may be: what was before counts again. True if it did.
    pub fn fall_back(&mut self, why: String) -> bool {
        let guarded = |current: &mut Pushed| current.header.roll_back_if.is_some();
        let Some(Pushed { text, .. }) = self.current.take_if(guarded) else { return false };
        self.current = self.former.take();
        self.fell_back = Some(FellBack { text, why });
        true
    }

    /// What waited and counts from now on takes its place; true if any did.
    pub fn pass_time(&mut self, now: Option<WallTime>) -> bool {
        let due = self.next.as_ref().is_some_and(|next| next.header.is_due(now));
        if due {
            self.take_next();
        }
        due
    }
}

/// What documents are judged by here.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    pub store: u16,
    /// Pinned public keys; with any, only signed documents count.
    pub keys: &'a [String],
    /// The time; `None` while the clock is not set.
    pub now: Option<WallTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "grelot/v1/config/fleet";
    const NOW: WallTime = WallTime::from_unix_secs(1_767_603_600);

    fn rules(keys: &[String]) -> Rules<'_> {
        Rules { store: 42, keys, now: Some(NOW) }
    }

    fn push(layer: &mut Layer, text: &str, keys: &[String]) -> Result<(), Unfit> {
        *layer = layer.with(Reach::Fleet, TOPIC, text, &rules(keys))?;
        Ok(())
    }

    fn sign(text: &str, topic: &str, key: &minisign::KeyPair) -> String {
        let text = signable(text);
        let comment = comment(topic);
        let signature =
            minisign::sign(None, &key.sk, text.as_bytes(), Some(&comment), None).unwrap();
        signed(&text, &signature.into_string())
    }

    #[test]
    fn only_the_settings_are_pushed_again() {
        let text = "[document]\nserial = 3\nring = 10\n\n# why\n[presence]\ndwell_secs = 4 # s\n\
                    # untrusted comment: x\n# y\n# trusted comment: z\n# w\n";
        assert_eq!(settings(text).unwrap(), "# why\n[presence]\ndwell_secs = 4 # s\n");
    }

    #[test]
    fn serial_numbers_never_go_back() {
        let mut layer = Layer::default();
        push(&mut layer, "[presence]\ndwell_secs = 1\n", &[]).unwrap();
        push(&mut layer, "[document]\nserial = 7\n", &[]).unwrap();
        push(&mut layer, "[document]\nserial = 7\n", &[]).unwrap();
        for older in ["[document]\nserial = 6\n", "[document]\nserial = 7\n# other\n", "", "x = 1"]
        {
            let refused = push(&mut layer, older, &[]).unwrap_err().to_string();
            assert!(refused.contains("never go back"), "{older}: {refused}");
        }
        push(&mut layer, "[document]\nserial = 9\n", &[]).unwrap();
        assert_eq!(layer.serial, Some(9));
    }

    #[test]
    fn a_document_waits_for_its_time_and_the_one_before_serves() {
        let mut layer = Layer::default();
        push(&mut layer, "[document]\nserial = 1\n", &[]).unwrap();
        let second = "[document]\nserial = 2\nfrom = \"2026-01-05T10:00:00Z\"\n";
        push(&mut layer, second, &[]).unwrap();
        let current = |layer: &Layer| layer.current.as_ref().unwrap().header.serial;
        assert_eq!(current(&layer), Some(1));
        assert!(!layer.pass_time(Some(NOW)) && !layer.pass_time(None));
        assert!(layer.pass_time(WallTime::parse("2026-01-05T10:00:00Z")));
        assert_eq!((current(&layer), layer.next), (Some(2), None));
    }

    #[test]
    fn a_ring_has_its_share_of_stores_and_a_larger_one_has_them_too() {
        let share = |ring| {
            let header = Header { ring: Some(ring), ..Header::default() };
            (1..=10_000).filter(|store| header.is_for(*store)).collect::<Vec<u16>>()
        };
        let (small, large) = (share(10.0), share(30.0));
        assert!((900..1_100).contains(&small.len()), "{}", small.len());
        assert!(small.iter().all(|store| large.contains(store)));
        assert_eq!((share(0.0).len(), share(100.0).len()), (0, 10_000));
        let one = share(1.0);
        let numbers = |digit: u16| one.iter().filter(|store| **store % 10 == digit).count();
        assert!((0..10).all(|digit| numbers(digit) < 25), "a ring prefers no kind of number");
    }

    #[test]
    fn a_candidate_changes_nothing_and_ends_with_the_next_document() {
        let mut layer = Layer::default();
        push(&mut layer, "[document]\nserial = 1\n", &[]).unwrap();
        let candidate = "[document]\nserial = 2\nshadow = true\n[presence]\ndwell_secs = 1\n";
        for _ in 0..2 {
            push(&mut layer, candidate, &[]).unwrap();
            assert_eq!(layer.current.as_ref().unwrap().header.serial, Some(1));
            assert_eq!(layer.shadow.as_ref().unwrap().header.serial, Some(2));
        }
        push(&mut layer, "[document]\nserial = 3\n", &[]).unwrap();
        assert_eq!((layer.shadow, layer.serial), (None, Some(3)));
    }

    #[test]
    fn a_guarded_document_is_taken_back_and_does_not_come_again() {
        let (good, guarded) = (
            "[document]\nserial = 1\n",
            "[document]\nserial = 2\nroll_back_if = { alerts = 1.5, not_here = 0.2 }\n",
        );
        let mut layer = Layer::default();
        push(&mut layer, good, &[]).unwrap();
        assert!(!layer.fall_back("no reason".to_owned()), "it is not guarded");
        for _ in 0..2 {
            push(&mut layer, guarded, &[]).unwrap();
        }
        let guard = layer.current.as_ref().unwrap().header.roll_back_if.unwrap();
        assert_eq!((guard.alerts, guard.not_here, guard.blind), (Some(1.5), Some(0.2), None));
        let second = guarded.replace("serial = 2", "serial = 3");
        push(&mut layer, &second, &[]).unwrap();
        assert!(layer.fall_back("too many alerts".to_owned()));
        assert_eq!(layer.current.as_ref().unwrap().text, good, "the last good one");
        push(&mut layer, &second, &[]).unwrap();
        assert_eq!(layer.current.as_ref().unwrap().text, good);
        push(&mut layer, "[document]\nserial = 4\n", &[]).unwrap();
        assert_eq!((layer.serial, layer.fell_back, layer.former), (Some(4), None, None));
    }

    #[test]
    fn a_store_outside_the_ring_keeps_what_it_has() {
        let mut layer = Layer::default();
        push(&mut layer, "[document]\nserial = 1\n", &[]).unwrap();
        push(&mut layer, "[document]\nserial = 2\nring = 0\n", &[]).unwrap();
        assert!(layer.out_of_ring && layer.serial == Some(2));
        assert_eq!(layer.current.as_ref().unwrap().header.serial, Some(1));
        push(&mut layer, "[document]\nserial = 3\nring = 100.0\n", &[]).unwrap();
        assert!(!layer.out_of_ring && layer.current.unwrap().header.serial == Some(3));
    }

    #[test]
    fn a_forged_document_does_not_count_where_a_key_is_pinned() {
        let (own, other) = (
            minisign::KeyPair::generate_unencrypted_keypair().unwrap(),
            minisign::KeyPair::generate_unencrypted_keypair().unwrap(),
        );
        let keys = [own.pk.to_base64()];
        let text = "[document]\nserial = 3\n[presence]\ndwell_secs = 2\n";
        let mut layer = Layer::default();
        push(&mut layer, &sign(text, TOPIC, &own), &keys).unwrap();
        let good = sign(&text.replace('3', "4"), TOPIC, &own);
        for (forged, why) in [
            (text.replace('3', "4"), "not signed"),
            (sign(text, TOPIC, &other), "none of the pinned keys"),
            (good.replace("dwell_secs = 2", "dwell_secs = 9"), "none of the pinned keys"),
            (sign(text, "grelot/v1/43/config", &own), "another topic"),
            (format!("{text}# untrusted comment: x\n# y\n"), "cannot be read"),
            (sign("[presence]\ndwell_secs = 2\n", TOPIC, &own), "serial is missing"),
            (String::new(), "not signed"),
        ] {
            let refused = push(&mut layer, &forged, &keys).unwrap_err().to_string();
            assert!(refused.contains(why), "{why}: {refused}\n{forged}");
        }
        push(&mut layer, &good, &keys).unwrap();
        assert_eq!(layer.serial, Some(4));
    }

    #[test]
    fn a_wrong_header_is_reported() {
        for (text, why) in [
            ("document = 1", "document is not a table"),
            ("[document]\nserial = 0", "document.serial must be a whole number"),
            ("[document]\nserial = \"1\"", "document.serial has the wrong form"),
            ("[document]\nring = 101", "document.ring must be a number"),
            ("[document]\nfrom = \"soon\"", "document.from must be a time"),
            ("[document]\nrinng = 1", "document.rinng is not known"),
            ("[document]\nshadow = 1", "document.shadow has the wrong form"),
            ("[document]\nroll_back_if = 1", "document.roll_back_if has the wrong form"),
            (
                "[document.roll_back_if]\nalerts = 0.5",
                "document.roll_back_if.alerts must be a number above",
            ),
            ("[document.roll_back_if]\nblind = 2", "document.roll_back_if.blind must be a share"),
            ("[document.roll_back_if]\nx = 2", "document.roll_back_if.x is not known"),
        ] {
            let refused = Header::read(text, TOPIC, &[]).unwrap_err().to_string();
            assert!(refused.starts_with(why), "{refused}");
        }
    }
}
