//! Head office's database, as an SQLite file and on a real PostgreSQL: the same answers from both.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use grelot::fleet::store::Said;
use grelot::fleet::{Condition, FleetError, FleetStore, Location};
use grelot::payload::trace::{TraceContact, TraceGateway};
use grelot::payload::{
    HourReport, Report, ReportBatch, ReportKind, Trace, VisitLabel, VisitReport, WithdrawnTraces,
};
use grelot::pipeline::units::WallTime;

use crate::common::certificates::certificates;
use crate::common::postgres::{ENCODED, PASSWORD, Postgres};

const NOW: WallTime = WallTime::from_unix_secs(1_767_603_600);
const AT: &str = "2026-01-05T09:00:00Z";

/// Runs the test on both databases.
fn on_both(test: impl Fn(&Location)) {
    let folder = tempfile::tempdir().unwrap();
    test(&Location::from(folder.path().join("fleet.db")));
    let postgres = Postgres::start(None, false);
    test(&Location::from(postgres.url()));
}

fn open(location: &Location) -> FleetStore {
    FleetStore::open(location.clone()).unwrap()
}

fn later(days: u64) -> WallTime {
    NOW.plus(Duration::from_hours(days * 24))
}

#[test]
fn each_store_counts_its_withdrawals_without_gaps_and_each_once() {
    on_both(|location| {
        let mut store = open(location);
        let mut numbers = Vec::new();
        for (shop, client) in [(42, "c-1"), (42, "c-2"), (43, "c-1"), (42, "c-1"), (42, "c-3")] {
            numbers.push(store.withdraw(shop, client, AT).unwrap().serial);
        }
        assert_eq!(numbers, [1, 2, 1, 1, 3]);
        let mut again = open(location);
        assert_eq!(again.list(), store.list());
        assert_eq!(again.list().len(), 16);
        let after = again.withdrawals(42, 1, 10).unwrap();
        assert_eq!(after.iter().map(|one| &*one.client).collect::<Vec<_>>(), ["c-2", "c-3"]);
        assert_eq!(again.withdrawals(42, 0, 1).unwrap().len(), 1);
    });
}

#[test]
fn numbers_have_no_gap_and_no_double_while_four_write_at_once() {
    on_both(|location| {
        open(location);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                scope.spawn(move || {
                    let mut store = open(location);
                    for n in 0..25 {
                        store.withdraw(42, &format!("c-{writer}-{n}"), AT).unwrap();
                        store.push::<FleetError>("a", AT, "", |n| Ok(format!("# {n}\n"))).unwrap();
                    }
                });
            }
        });
        let mut store = open(location);
        let serials = store.withdrawals(42, 0, 1_000).unwrap().into_iter().map(|one| one.serial);
        assert!(serials.eq(1..=100));
        let history = store.history(Some("a")).unwrap();
        assert!(history.iter().map(|one| one.serial).eq((1..=100).rev()));
        assert!(history.iter().all(|one| one.text == format!("# {}\n", one.serial)));
    });
}

#[test]
fn a_gateway_is_behind_until_it_knows_the_whole_list() {
    on_both(|location| {
        let mut store = open(location);
        store.withdraw(42, "c-1", AT).unwrap();
        store.withdraw(42, "c-2", AT).unwrap();
        let list = store.list().to_owned();
        let mut say = |list: &str, serial| {
            store.acknowledged(42, "door", Some(list), serial, NOW).unwrap();
            let found = store.overview(NOW).unwrap().remove(0);
            let behind = store.behind().unwrap().first().map(|behind| behind.serial);
            assert_eq!(found.withdrawals_behind, 2 - behind.unwrap_or(2));
            behind
        };
        assert_eq!(say(&list, 1), Some(1));
        assert_eq!(say("another", 2), Some(0), "the numbers of another list say nothing");
        assert_eq!(say(&list, 2), None);
        assert_eq!(store.of_store(42).unwrap().len(), 1);
        assert!(store.of_store(43).unwrap().is_empty());
    });
}

#[test]
fn document_numbers_grow_over_all_topics_and_a_failed_document_takes_none() {
    on_both(|location| {
        let mut store = open(location);
        let mut push = |topic: &str| {
            store.push::<FleetError>(topic, AT, "", |n| Ok(format!("# {n}\n"))).unwrap()
        };
        let (one, two) = (push("a"), push("b"));
        assert_eq!((one.serial, two.serial, two.text.as_str()), (1, 2, "# 2\n"));
        let failed = store.push::<anyhow::Error>("a", "", "", |_| anyhow::bail!("no key"));
        assert!(failed.is_err());
        assert_eq!(store.history(None).unwrap(), [two.clone(), one.clone()]);
        assert_eq!(store.newest("a").unwrap().unwrap(), one);
        assert_eq!(store.document(2).unwrap().unwrap(), two);
        assert_eq!(store.document(9).unwrap(), None);

        // What takes a document's place has a number, and is not there before.
        store.guard::<FleetError>(1, |n| Ok(format!("# back {n}\n"))).unwrap();
        assert_eq!(store.newest("a").unwrap().unwrap().serial, 1);
        assert_eq!(store.open_guards().unwrap(), [one]);
        let back = store.take_back(1, "too many", AT).unwrap().unwrap();
        assert_eq!((back.serial, back.text.as_str()), (3, "# back 3\n"));
        assert_eq!(store.newest("a").unwrap().unwrap(), back);
        assert_eq!(store.take_back(1, "again", "").unwrap(), None);
        assert!(store.open_guards().unwrap().is_empty());
        let next = store.push::<FleetError>("b", AT, "", |_| Ok(String::new())).unwrap();
        assert_eq!(next.serial, 4);
    });
}

#[test]
fn a_trouble_that_is_known_counts_again_once_it_is_another() {
    on_both(|location| {
        let mut store = open(location);
        let status = |state: &str, warnings: &str| {
            format!(
                r#"{{"v":1,"state":"{state}","version":"0.1.0","config":"cafe","since":null,"warnings":{warnings}}}"#
            )
        };
        let say = |store: &mut FleetStore, text: &str| {
            assert!(store.heard(42, "door", Said::Status(text), NOW).unwrap());
            // Its health is of no consequence for its status.
            assert!(store.heard(42, "door", Said::Health("{}"), NOW).unwrap());
            let all = store.gateways_of(42, NOW).unwrap();
            (all[0].condition, all[0].needs_attention())
        };
        assert!(!store.heard(42, "door", Said::Health("{}"), NOW).unwrap());
        assert_eq!(say(&mut store, &status("online", "[]")), (Condition::Well, false));
        assert!(!store.acknowledge(42, "door", "", NOW).unwrap(), "there is nothing to know of");
        let blind = status("blind", "[]");
        assert_eq!(say(&mut store, &blind), (Condition::Blind, true));
        for note in ["", "the adapter is on its way"] {
            assert!(store.acknowledge(42, "door", note, NOW).unwrap());
        }
        assert_eq!(say(&mut store, &blind), (Condition::Blind, false));
        let full = status("blind", r#"["the disk is full"]"#);
        assert_eq!(say(&mut store, &full), (Condition::Blind, true));
        assert_eq!(say(&mut store, &status("online", r#"["x"]"#)), (Condition::Warns, true));
        let silent = store.overview(NOW.plus(Duration::from_secs(200))).unwrap();
        assert_eq!(silent[0].condition, Condition::Silent);
    });
}

fn hour(alerts: u64) -> ReportKind {
    ReportKind::Hour(HourReport {
        seconds: 3_600,
        blind_s: 600,
        advertisements: 90_000,
        contacts: 40,
        arrivals: alerts + 1,
        alerts,
        departures: 2,
    })
}

fn visit(announced: bool, claimed_after_s: Option<u64>) -> ReportKind {
    ReportKind::Visit(VisitReport {
        visit: "cafe".to_owned(),
        stayed_s: 600,
        confidence: 0.97,
        announced,
        dismissed: false,
        claimed_after_s,
        reason: "left".to_owned(),
    })
}

fn label(was_here: bool) -> ReportKind {
    ReportKind::Label(VisitLabel { visit: "cafe".to_owned(), was_here })
}

fn batch(reports: impl IntoIterator<Item = (WallTime, ReportKind)>) -> ReportBatch {
    let reports = (1..).zip(reports).map(|(n, (at, what))| Report { n, at: at.to_string(), what });
    ReportBatch { v: 1, queue: "q".to_owned(), dropped: 0, reports: reports.collect() }
}

#[test]
fn reports_count_once_and_are_deleted_when_they_are_old() {
    on_both(|location| {
        let mut store = open(location);
        let all = batch([
            (NOW, hour(3)),
            (NOW, visit(true, Some(20))),
            (NOW, visit(true, None)),
            (NOW, visit(false, None)),
            (NOW, label(true)),
            (NOW, label(false)),
            (later(1), hour(4)),
        ]);
        for new in [7, 0] {
            assert_eq!(store.report(42, "door", &all).unwrap(), new);
        }
        assert_eq!(store.report(43, "door", &all).unwrap(), 7);
        store.heard(42, "door", Said::Health("{}"), later(1)).unwrap();
        let found = store.stores(later(1)).unwrap().remove(0);
        let figures = found.figures;
        assert_eq!((figures.seconds, figures.blind_s, figures.arrivals), (7_200, 1_200, 9));
        assert_eq!((figures.alerts, figures.announced, figures.claimed), (7, 2, 1));
        assert_eq!((figures.claimed_s, figures.here, figures.not_here), (20, 1, 1));
        let first = NOW.unix_millis() / 3_600_000 - 1;
        let hours = store.hours(42, 0).unwrap();
        assert_eq!(
            hours.iter().map(|one| (one.hour, one.alerts)).collect::<Vec<_>>(),
            [(first, 3), (first + 24, 4)]
        );
        assert_eq!(store.hours(42, first + 1).unwrap().len(), 1);
        assert_eq!(store.reports(42).unwrap().len(), 5);
        assert_eq!(store.latest_reports(42, 2).unwrap().len(), 2);

        assert_eq!(store.age(later(2), 2).unwrap(), 0);
        assert_eq!(store.age(later(3), 2).unwrap(), 2 * 6);
        assert!(store.reports(42).unwrap().is_empty());
        assert_eq!(store.hours(42, 0).unwrap().len(), 1);
    });
}

#[test]
fn a_trace_of_contacts_is_taken_once_withdrawn_for_good_and_deleted_when_it_is_old() {
    on_both(|location| {
        let mut store = open(location);
        let trace = |id: u64| {
            let trace = Trace {
                trace: format!("{id:016x}"),
                gateways: vec![TraceGateway { name: "door".to_owned(), place: None }],
                received: vec![TraceContact(0, 0, Some(-60), None)],
                ..Trace::default()
            };
            (NOW, ReportKind::Trace(Box::new(trace)))
        };
        let known = |store: &mut FleetStore| {
            let traces = store.traces(42).unwrap().into_iter();
            traces.map(|one| one.trace.trace).collect::<Vec<_>>()
        };
        assert_eq!(store.report(42, "door", &batch([trace(1), trace(2)])).unwrap(), 2);
        assert_eq!(store.report(42, "door", &batch([trace(1)])).unwrap(), 0);
        let withdrawn = WithdrawnTraces { traces: vec![format!("{:016x}", 1)] };
        let withdrawn = batch([(NOW, ReportKind::WithdrawnTraces(withdrawn))]);
        store.report(42, "window", &withdrawn).unwrap();
        assert_eq!(known(&mut store).len(), 2, "another gateway's");
        store.report(42, "door", &ReportBatch { queue: "r".to_owned(), ..withdrawn }).unwrap();
        store.report(42, "door", &batch([trace(1)])).unwrap();
        assert_eq!(known(&mut store), [format!("{:016x}", 2)]);
        assert_eq!(store.traced_stores().unwrap(), [42]);
        assert_eq!(store.age_traces(later(30), 30).unwrap(), 0);
        assert_eq!(store.age_traces(later(31), 30).unwrap(), 2);
        assert!(store.traced_stores().unwrap().is_empty());
    });
}

/// A gateway that was taken over says anything; head office's service goes on.
#[test]
fn no_text_and_no_number_of_a_gateway_breaks_the_database() {
    on_both(|location| {
        let mut store = open(location);
        let text = "\0'; DROP TABLE gateways; -- \u{10ffff} é";
        store.heard(42, text, Said::Status(text), NOW).unwrap();
        store.acknowledged(42, "door", Some(text), u64::MAX, NOW).unwrap();
        let most = HourReport {
            seconds: u64::MAX,
            blind_s: u64::MAX,
            advertisements: u64::MAX,
            contacts: u64::MAX,
            arrivals: u64::MAX,
            alerts: u64::MAX,
            departures: u64::MAX,
        };
        let hours =
            (0..20).map(|n| (NOW.plus(Duration::from_secs(n)), ReportKind::Hour(most.clone())));
        let mut all = batch(hours.chain([(NOW, visit(true, Some(u64::MAX)))]));
        all.queue = text.to_owned();
        all.reports.push(Report { n: u64::MAX, at: text.to_owned(), what: label(true) });
        // The last has no time.
        assert_eq!(store.report(42, "door", &all).unwrap(), 21);
        assert_eq!(store.report(42, "door", &all).unwrap(), 0);
        assert!(store.stores(NOW).unwrap()[0].figures.seconds > 1 << 42);
        assert_eq!(store.overview(NOW).unwrap().len(), 2);
    });
}

#[test]
fn a_database_of_a_later_grelot_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.db");
    open(&Location::from(&path));
    let file = rusqlite::Connection::open(&path).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    let refused = FleetStore::open(&path).unwrap_err().to_string();
    let later = "a later grelot has written it (schema 99)";
    assert_eq!(refused, format!("{}: {later}", path.display()));

    let postgres = Postgres::start(None, false);
    open(&Location::from(postgres.url()));
    postgres.sql("UPDATE grelot.version SET version = 99");
    let refused = FleetStore::open(postgres.url()).unwrap_err().to_string();
    assert_eq!(refused, format!("{}: {later}", postgres.shown()));
}

/// What an earlier grelot has, in words that both databases understand: a candidate, and what two gateways
/// of one store reported of it.
const OF_AN_EARLIER_GRELOT: &str = "
    INSERT INTO documents VALUES (7, 'grelot/v1/fleet/shadow', '', '2026-01-05T08:00:00Z', '');
    INSERT INTO reports VALUES
        (42, 'door', 'a', 1, '2026-01-05T09:00:00Z', 'shadow',
         '{\"serial\":7,\"same\":5,\"more\":1,\"fewer\":0,\"sooner\":2,\"later\":0,\"otherwise\":0}'),
        (42, 'till', 'b', 1, '2026-01-05T09:00:00Z', 'shadow',
         '{\"serial\":7,\"same\":4,\"more\":0,\"fewer\":3,\"sooner\":0,\"later\":0,\"otherwise\":0}'),
        (42, 'door', 'a', 2, '2026-01-05T09:00:00Z', 'shadow',
         '{\"serial\":6,\"same\":9,\"more\":9,\"fewer\":9,\"sooner\":9,\"later\":9,\"otherwise\":9}');";

#[test]
fn a_database_of_an_earlier_grelot_is_migrated_and_adds_up_what_it_has() {
    let steps = [
        include_str!("../../src/fleet/database/sqlite_1.sql"),
        include_str!("../../src/fleet/database/sqlite_2.sql"),
        include_str!("../../src/fleet/database/sqlite_3.sql"),
        include_str!("../../src/fleet/database/sqlite_4.sql"),
        include_str!("../../src/fleet/database/sqlite_5.sql"),
        include_str!("../../src/fleet/database/sqlite_6.sql"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    for step in steps {
        file.execute_batch(step).unwrap();
    }
    file.execute_batch(OF_AN_EARLIER_GRELOT).unwrap();
    file.pragma_update(None, "user_version", 6).unwrap();
    drop(file);

    let postgres = Postgres::start(None, false);
    let steps = [
        include_str!("../../src/fleet/database/postgres_1.sql"),
        include_str!("../../src/fleet/database/postgres_2.sql"),
    ];
    postgres.sql(&format!(
        "CREATE SCHEMA grelot; SET search_path TO grelot; {} {OF_AN_EARLIER_GRELOT}
         UPDATE version SET version = {};",
        steps.concat(),
        steps.len()
    ));

    for location in [Location::from(path), Location::from(postgres.url())] {
        let sums = open(&location).shadow_sums().unwrap();
        let [sum] = &sums[..] else { panic!("{sums:?}") };
        assert_eq!((sum.serial, sum.stores), (7, 1), "{sums:?}");
        assert_eq!([sum.same, sum.more, sum.fewer, sum.sooner, sum.later], [9, 1, 3, 2, 0]);
    }
}

#[test]
fn a_file_that_is_no_database_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.db");
    fs::write(&path, "no database at all, but long enough for a header of one").unwrap();
    assert!(FleetStore::open(&path).unwrap_err().to_string().contains("fleet.db"));
}

/// `grelot fleet history`; its exit code, and all that it prints.
fn history(folder: &Path, state: &str, password: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
    command.args(["fleet", "history", "--state", state]).current_dir(folder);
    command.env("HOME", folder).env_remove("PGPASSWORD").env_remove("PGPASSFILE");
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    let ended = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    (ended.status.code(), text)
}

#[test]
fn a_password_comes_from_three_places_and_is_shown_in_none() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::start(None, false);
    let (with, without) = (postgres.url(), postgres.shown());
    let run = |state: &str, password| history(folder.path(), state, password);
    assert_eq!(run(&with, None), (Some(0), String::new()));
    assert_eq!(run(&without, Some(PASSWORD)), (Some(0), String::new()));

    let passfile = folder.path().join("pgpass");
    let line = format!("127.0.0.1:{}:*:fleet:{}\n", postgres.port, PASSWORD.replace(':', "\\:"));
    fs::write(&passfile, line).unwrap();
    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o600)).unwrap();
    let named = format!("{without}?passfile=pgpass");
    assert_eq!(run(&named, None), (Some(0), String::new()));
    fs::copy(&passfile, folder.path().join(".pgpass")).unwrap();
    assert_eq!(run(&without, None), (Some(0), String::new()));
    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = run(&named, None);
    assert_eq!(code, Some(1));
    assert!(said.contains("pgpass: others can open it"), "{said}");

    let refusals = [
        (with.replace(ENCODED, "a-secret"), "password authentication failed for user \"fleet\""),
        (with.replace("/postgres", "/elsewhere"), "database \"elsewhere\" does not exist"),
        (with.replace(ENCODED, "a-secret@"), "one in the password is written %40"),
        (format!("{with}?sslmode=a-secret"), "sslmode is disable, require or verify-full"),
        (with.replace(&postgres.port.to_string(), "1"), "Connection refused"),
        (format!("{with}?color=a-secret"), "the URL has an unknown parameter"),
    ];
    for (url, why) in refusals {
        let (code, said) = run(&url, None);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(said.starts_with("grelot: postgres://"), "{said}");
        for secret in [PASSWORD, ENCODED, "a-secret"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

#[test]
fn a_server_is_verified_where_the_url_asks_for_tls() {
    let folder = tempfile::tempdir().unwrap();
    certificates(&folder.path().join("tls"));
    certificates(&folder.path().join("others"));
    let (secured, open) =
        (Postgres::start(Some(&folder.path().join("tls")), false), Postgres::start(None, false));
    let run = |server: &Postgres, parameters: &str| {
        history(folder.path(), &format!("{}?{parameters}", server.url()), None)
    };
    for mode in ["require", "verify-full"] {
        let trusted = format!("sslmode={mode}&sslrootcert=tls/ca.pem");
        assert_eq!(run(&secured, &trusted), (Some(0), String::new()));
        let (code, said) = run(&open, &trusted);
        assert!(code == Some(1) && said.contains("server does not support TLS"), "{said}");
        // This system's authorities do not know it.
        let (code, said) = run(&secured, &format!("sslmode={mode}"));
        assert!(code == Some(1) && said.contains("certificate"), "{said}");
    }
    let (code, said) = run(&secured, "sslmode=require&sslrootcert=others/ca.pem");
    assert!(code == Some(1) && said.contains("invalid peer certificate"), "{said}");
    // A certificate for another name.
    let url = secured.url().replace("127.0.0.1", "localhost");
    let (code, said) =
        history(folder.path(), &format!("{url}?sslmode=require&sslrootcert=tls/ca.pem"), None);
    assert!(code == Some(1) && said.contains("invalid peer certificate"), "{said}");
    let with = |own: &str| {
        let url = secured.url().replace("/postgres", "/template1");
        let url = format!("{url}?sslmode=require&sslrootcert=tls/ca.pem{own}");
        history(folder.path(), &url, None)
    };
    assert_eq!(with("&sslcert=tls/gateway.pem&sslkey=tls/gateway.key"), (Some(0), String::new()));
    let (code, said) = with("");
    assert!(code == Some(1) && said.contains("requires a valid client certificate"), "{said}");
    let (code, said) = run(&secured, "sslmode=require&sslrootcert=absent.pem");
    assert!(code == Some(1) && said.contains("absent.pem"), "{said}");
    let (code, said) =
        run(&secured, "sslmode=require&sslrootcert=tls/ca.pem&sslcert=tls/gateway.pem");
    assert!(code == Some(1) && said.contains("sslcert and sslkey belong together"), "{said}");
}
