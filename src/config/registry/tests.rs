//! What becomes of lines, good and bad.

use super::*;

const GOOD: &str = r#"{"client":"c-7f3a","tier":"gold","scheme":"token","days":{"20454":"09105c3e5587169051414225f96c0d79"},"consent":{"given_at":"2025-11-02T10:14:00Z","text":"fr-2025-10","expires_at":"2028-11-02T00:00:00Z","show_name":true},"card":{"name":"Mme D.","language":"fr","note":"Order 1182 is ready to collect"},"quiet":null}"#;
const NOON: &str = "2026-01-01T12:00:00Z";

fn clock() -> Clock {
    Clock::Set(WallTime::parse(NOON).unwrap())
}

fn read(text: &str) -> (Registry, Report) {
    Reading::new(42, clock()).load_from(text.as_bytes(), Path::new("customers.jsonl")).unwrap()
}

fn refusals(text: &str) -> Vec<String> {
    read(text).1.refusals.iter().map(ToString::to_string).collect()
}

fn with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old));
    GOOD.replace(old, new)
}

#[test]
fn the_line_of_the_specification_loads() {
    let (registry, report) = read(GOOD);
    assert_eq!((registry.len(), report.loaded, report.refused), (1, 1, 0));
}

#[test]
fn a_bad_line_is_refused_with_number_and_reason_and_the_others_load() {
    let other = with("c-7f3a", "c-0002").replace("09105c", "19105c");
    let text = format!("{GOOD}\n\n{{\"client\":\n{}\n{other}\n", with("\"token\"", "\"tokn\""));
    let (registry, report) = read(&text);
    assert_eq!((registry.len(), report.refused), (2, 2));
    let refusals: Vec<_> = report.refusals.iter().map(ToString::to_string).collect();
    assert_eq!(
        refusals,
        [
            "line 3: not JSON at column 10",
            "line 4: scheme: only token, eid, beacon and irk are known here",
        ]
    );
}

#[test]
fn every_mistake_names_its_key_and_repeats_no_value() {
    for (old, new, reason) in [
        ("\"client\":\"c-7f3a\",", "", "client: missing"),
        (
            "c-7f3a",
            "a/b",
            "client: 1 to 64 visible ASCII characters without / + # \" \\ are needed",
        ),
        ("c-7f3a", "", "client: 1 to 64 visible ASCII characters without / + # \" \\ are needed"),
        ("\"tier\":\"gold\",", "", "tier: missing"),
        ("\"gold\"", "7", "a value of the wrong kind before column 27"),
        ("09105c3e", "0910", "days.20454: 32 hex digits are needed"),
        ("09105c3e", "zzzzzzzz", "days.20454: 32 hex digits are needed"),
        (
            "09105c3e5587169051414225f96c0d79",
            "00000000000000000000000000000000",
            "the key is all zeros",
        ),
        ("\"expires_at\":\"2028-11-02T00:00:00Z\",", "", "consent.expires_at: missing"),
        ("2028-11-02T00", "2028-13-02T00", "consent.expires_at: no RFC 3339 time"),
        ("2025-11-02T10", "yesterday", "consent.given_at: no RFC 3339 time"),
        ("Mme D.", "Mme\\u0000D.", "card.name: control characters are not allowed"),
        ("Mme D.", "Mme \\u202eD.", "card.name: control characters are not allowed"),
        (
            "\"quiet\":null",
            "\"quiet\":\"tomorrow\"",
            "quiet: null, \"today:<date>\", \"until:<time>\" or \"greet_only_if_asked\" is needed",
        ),
        ("\"quiet\":null", "\"quiet\":\"today:2026-02-30\"", "quiet: no date after today:"),
        ("\"quiet\":null", "\"phone\":{\"tx_db\":31}", "phone.tx_db: -30 to 30 dB is allowed"),
        ("\"quiet\":null", "\"phone\":{\"rx_db\":-1e9}", "phone.rx_db: -30 to 30 dB is allowed"),
    ] {
        assert_eq!(refusals(&with(old, new)), [format!("line 1: {reason}")], "{old} -> {new}");
    }
}

#[test]
fn customers_who_must_not_be_recognised_here_are_counted_and_not_loaded() {
    let consent = GOOD.find("\"consent\"").unwrap()..GOOD.find("\"card\"").unwrap();
    let mut nothing = GOOD.to_owned();
    nothing.replace_range(consent.clone(), "\"consent\":null,");
    let mut absent = GOOD.to_owned();
    absent.replace_range(consent, "");
    let lines = [
        nothing,
        absent,
        with("2028-11-02T00:00:00Z", NOON),
        with("\"show_name\":true", "\"show_name\":true,\"stores\":[7,43]"),
        with("\"show_name\":true", "\"show_name\":true,\"withdrawn_at\":\"2025-12-01T00:00:00Z\""),
    ];
    let (registry, report) = read(&lines.join("\n"));
    assert!(registry.is_empty());
    assert_eq!(report.refused, 0);
    let skipped = report.skipped;
    assert_eq!(
        (skipped.no_consent, skipped.expired, skipped.other_store, skipped.withdrawn),
        (2, 1, 1, 1)
    );
    let (here, _) = read(&with("\"show_name\":true", "\"show_name\":true,\"stores\":[42]"));
    assert_eq!(here.len(), 1);
}

#[test]
fn consent_that_begins_in_the_future_does_not_count() {
    let tomorrow = with("2025-11-02T10:14:00Z", "2026-01-02T10:14:00Z");
    let (registry, report) = read(&tomorrow);
    assert_eq!((registry.len(), report.skipped.not_yet), (0, 1));
    // A clock that does not count may be late, but the bundle was made before now.
    let header = r#"{"grelot":"registry","version":1,"store":42,"made_at":"2026-01-03T00:00:00Z","expires_at":"2026-01-05T00:00:00Z"}"#;
    let late = Clock::Unset(clock().reading());
    for (lines, loaded) in [(tomorrow.clone(), 0), (format!("{header}\n{tomorrow}"), 1)] {
        let reading = Reading::new(42, late);
        let (registry, _) = reading.load_from(lines.as_bytes(), Path::new("x")).unwrap();
        assert_eq!(registry.len(), loaded);
    }
}

#[test]
fn a_withdrawn_customer_stays_out_although_the_registry_has_them() {
    let reading = Reading::new(42, clock()).without(["c-7f3a".to_owned()].into());
    let (registry, report) = reading.load_from(GOOD.as_bytes(), Path::new("x")).unwrap();
    assert_eq!((registry.len(), report.skipped.withdrawn), (0, 1));
}

#[test]
fn a_duplicate_is_refused_on_both_lines_or_on_all() {
    let token = |client: &str| with("c-7f3a", client);
    let beacon = |client: &str| {
        format!(
            r#"{{"client":"{client}","tier":"gold","scheme":"beacon","altbeacon":"{}","consent":{{"expires_at":"2028-11-02T00:00:00Z"}}}}"#,
            "ab".repeat(20)
        )
    };
    let third = token("c-3").replace("09105c", "777777");
    let text = [token("c-1"), beacon("c-4"), third, token("c-2"), beacon("c-5"), token("c-6")];
    let (registry, report) = read(&text.join("\n"));
    assert_eq!(registry.len(), 1);
    let lines: Vec<_> = report.refusals.iter().map(|refusal| refusal.line).collect();
    assert_eq!(lines, [1, 2, 4, 5, 6]);
    assert_eq!(
        report.refusals[0].to_string(),
        "line 1: the same token identity as line 4; both are refused"
    );
}

#[test]
fn a_phone_and_a_card_are_one_customer_unless_they_contradict_each_other() {
    let card = GOOD.replace(
        "\"token\",\"days\":{\"20454\":\"09105c3e5587169051414225f96c0d79\"}",
        "\"beacon\",\"altbeacon\":\"0102030405060708090a0b0c0d0e0f1011121314\"",
    );
    let (registry, report) = read(&format!("{GOOD}\n{card}"));
    assert_eq!((registry.len(), report.refused), (1, 0));
    let silver = card.replace("gold", "silver");
    let (registry, report) = read(&format!("{GOOD}\n{silver}"));
    assert_eq!((registry.len(), report.refused), (1, 1));
}

#[test]
fn only_todays_and_tomorrows_keys_are_kept() {
    let key = |n: u32| format!("\"{n}\":\"{n:032}\"");
    let days: Vec<_> = (20452..20460).map(key).collect();
    let line = with("\"20454\":\"09105c3e5587169051414225f96c0d79\"", &days.join(","));
    let (registry, _) = read(&line);
    assert_eq!(registry.days().collect::<Vec<_>>(), [20454, 20455]);
    let midnight = Clock::Set(WallTime::parse("2026-01-01T00:01:00Z").unwrap());
    let (registry, _) =
        Reading::new(42, midnight).load_from(line.as_bytes(), Path::new("x")).unwrap();
    assert_eq!(registry.days().collect::<Vec<_>>(), [20453, 20454, 20455]);
    let (registry, _) = Reading::new(42, clock())
        .keeping_every_day()
        .load_from(line.as_bytes(), Path::new("x"))
        .unwrap();
    assert_eq!(registry.days().count(), 8);
}

#[test]
fn a_registry_without_a_key_for_today_says_so() {
    let (registry, report) = read(&with("20454", "20400"));
    assert_eq!((registry.len(), report.outdated), (1, 1));
    assert_eq!(report.warnings(), ["1 customers have no key for today or tomorrow"]);
}

#[test]
fn an_overlong_line_is_refused_without_being_held() {
    let long = with("Mme D.", &"x".repeat(20_000));
    let (registry, report) = read(&format!("{long}\n{GOOD}"));
    assert_eq!(registry.len(), 1);
    assert_eq!(report.refusals[0].to_string(), "line 1: longer than 16384 octets");
}

#[test]
fn depth_and_broken_text_are_refused() {
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(4000), "]".repeat(4000));
    assert_eq!(refusals(&deep), ["line 1: client: missing"]);
    let deep =
        with("\"quiet\":null", &format!("\"quiet\":{}{}", "[".repeat(4000), "]".repeat(4000)));
    assert_eq!(refusals(&deep), ["line 1: a value of the wrong kind before column 310"]);
    let mut text = GOOD.as_bytes().to_vec();
    text[12] = 0xff;
    let (_, report) = Reading::new(42, clock()).load_from(text.as_slice(), Path::new("x")).unwrap();
    assert_eq!(report.refusals[0].to_string(), "line 1: not UTF-8 at octet 13");
}

#[test]
fn more_irk_keys_than_the_false_match_rule_allows_are_not_loaded() {
    let line = |n: usize| {
        format!(
            r#"{{"client":"c-{n}","tier":"gold","scheme":"irk","irk":"{:032x}","consent":{{"expires_at":"2028-11-02T00:00:00Z"}}}}"#,
            n + 1
        )
    };
    let lines = |count: usize| (0..count).map(line).collect::<Vec<_>>().join("\n");
    let load = |text: String| Reading::new(42, clock()).load_from(text.as_bytes(), Path::new("x"));
    let error = load(lines(16_778)).unwrap_err().to_string();
    assert_eq!(
        error,
        "16778 irk keys would take one stranger in 999 for a customer; at most 16777 are allowed"
    );
    let (registry, report) = load(lines(16_777)).unwrap();
    assert_eq!(registry.len(), 16_777);
    assert_eq!(report.warnings(), ["16777 irk keys take one stranger in 1000 for a customer"]);
}

#[test]
fn a_bundle_of_another_store_or_of_last_week_is_not_loaded() {
    let header = |store: u16, expires: &str| {
        format!(
            "{{\"grelot\":\"registry\",\"version\":1,\"store\":{store},\"made_at\":\"{NOON}\",\"expires_at\":\"{expires}\"}}\n{GOOD}"
        )
    };
    let load = |text: String| {
        Reading::new(42, clock())
            .load_from(text.as_bytes(), Path::new("customers.jsonl"))
            .map(|(registry, _)| registry.len())
            .map_err(|error| error.to_string())
    };
    assert_eq!(load(header(42, "2026-01-03T00:00:00Z")), Ok(1));
    assert_eq!(
        load(header(43, "2026-01-03T00:00:00Z")),
        Err("registry customers.jsonl is for store 43, this is store 42".to_owned())
    );
    assert_eq!(
        load(header(42, NOON)),
        Err("registry customers.jsonl expired at 2026-01-01T12:00:00Z".to_owned())
    );
}

#[test]
fn a_compressed_registry_is_known_by_its_first_octets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("customers.jsonl");
    std::fs::write(&path, zstd::encode_all(GOOD.as_bytes(), 3).unwrap()).unwrap();
    let (registry, _) = load(&path, 42, clock()).unwrap();
    assert_eq!(registry.len(), 1);
    let enrolment = find(&path, "c-7f3a").unwrap().unwrap();
    assert_eq!(enrolment.credential.scheme(), "token");
    assert_eq!(find(&path, "c-7f3b").unwrap(), None);
}
