//! A disk that is full, broken, or not permitted; and data that must be erased from it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use grelot::pipeline::Effect;
use grelot::pipeline::units::WallTime;
use grelot::store::{Change, Store, StoreError};

use crate::mosquitto::{BrokerOptions, Mosquitto, free_port};
use crate::shop::{OPENING, Shop, alert, card, peer, reached, settings, visit};

/// A small file system of its own; unmounted when dropped.
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    pub fn mount(at: &Path, options: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        let arguments = ["-t", "tmpfs", "-o", options, "tmpfs"];
        let mounted = mount_succeeds(Command::new("mount").args(arguments).arg(at));
        assert!(mounted, "only root mounts a tmpfs: run this test as root");
        Self(at.to_owned())
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(mount_succeeds(Command::new("mount").args(["-o", &options]).arg(&self.0)));
    }
}

fn mount_succeeds(mount: &mut Command) -> bool {
    mount.output().is_ok_and(|output| output.status.success())
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[tokio::test]
async fn a_full_disk_is_reported_and_loses_no_alert() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    // Room for the file and its journal once the ballast is gone.
    let disk = Tmpfs::mount(&state, "size=512k");
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", "grelot/v1/42/arrivals"]).await;
    let shop = Shop::open(&state, peer(broker.port));
    let ballast = state.join("ballast");
    fill(&ballast);

    for n in 0..40 {
        shop.perform(&[alert(&visit(&format!("c-{n}"), OPENING))]).await;
    }
    for n in 0..40 {
        assert_eq!(staff.next().await.json()["client"], format!("c-{n}"));
    }
    let trouble = reached(shop.delivery.trouble(), Option::is_some).await;
    assert!(trouble.as_ref().is_some_and(|trouble| trouble.contains("full")), "{trouble:?}");

    fs::remove_file(&ballast).unwrap();
    reached(shop.delivery.trouble(), Option::is_none).await;
    shop.delivered(80).await;
    shop.delivery.stop().await;
    let store = Store::open(&state).unwrap();
    assert_eq!(store.restored(&settings(), OPENING).unwrap().visits.len(), 40);
    assert_eq!(store.queued().unwrap(), []);
    drop((store, disk));
}

#[test]
fn a_state_directory_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file.join("state")).unwrap_err().to_string();
    assert!(error.contains(file.to_str().unwrap()), "{error}");

    let disk = Tmpfs::mount(&dir.path().join("state"), "size=256k");
    drop(Store::open(&disk.0).unwrap());
    disk.remount("ro");
    let error = Store::open(&disk.0).unwrap_err().to_string();
    assert!(error.contains(disk.0.to_str().unwrap()) && error.contains("Read-only"), "{error}");

    disk.remount("rw");
    fs::remove_file(disk.0.join("grelot.db")).unwrap();
    fill(&disk.0.join("ballast"));
    let error = Store::open(&disk.0).unwrap_err().to_string();
    assert!(error.contains("full") || error.contains("space"), "{error}");
}

pub fn fill(ballast: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(ballast).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![0x5a; size]).is_ok() {}
    }
}

#[test]
fn on_a_full_disk_the_room_of_the_journal_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let disk = Tmpfs::mount(&state, "size=1m");
    let mut store = Store::open(&state).unwrap();
    let alerted = |n| {
        let at = OPENING.plus(Duration::from_secs(n));
        [Change::Alerted { client: "c-1".into(), at }]
    };
    for n in 0..20 {
        store.commit(&alerted(n)).unwrap();
    }
    let journal = || fs::metadata(state.join("grelot.db-wal")).unwrap().len();
    assert!(journal() > 60 * 1024, "{}", journal());
    fill(&state.join("ballast"));

    // Where the end of the journal lies in a page that the disk has, that page is used first.
    for n in 20..25 {
        store.commit(&alerted(n)).unwrap();
    }

    assert!(journal() < 40 * 1024, "{}", journal());
    drop((store, disk));
}

#[test]
fn two_gateways_do_not_share_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path()).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::InUse(_))));
    drop(first);
    Store::open(dir.path()).unwrap();
}

#[test]
fn a_file_that_is_no_store_is_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("grelot.db"), [0x5a; 9000]).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.queued().unwrap(), []);
    assert_eq!(fs::read(dir.path().join("grelot.db.corrupt")).unwrap(), [0x5a; 9000]);
}

#[test]
fn a_page_gone_bad_is_noticed_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let path = dir.path().join("grelot.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..8192].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    drop(Store::open(dir.path()).unwrap());
    assert!(dir.path().join("grelot.db.corrupt").exists());
}

#[test]
fn a_store_of_a_later_grelot_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let path = dir.path().join("grelot.db");
    let mut bytes = fs::read(&path).unwrap();
    // `PRAGMA user_version`, https://www.sqlite.org/fileformat2.html#user_version_number
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&path, &bytes).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn a_customer_who_withdrew_is_gone_from_every_file() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let shop = Shop::open(&state, peer(free_port()));
    let mut gone = visit("c-7f3a", OPENING);
    gone.card = Some(card());
    shop.perform(&[alert(&gone), alert(&visit("c-stays", OPENING))]).await;
    shop.health(|health| health.queued == 4).await;
    assert!(!files_with(&state, b"Dumoulin").is_empty());

    let forget = Effect::Forget { client: "c-7f3a".into() };
    shop.perform(&[Effect::Erased { visit: gone.id }, forget]).await;

    shop.health(|health| health.queued == 3).await;
    for bytes in [&b"Dumoulin"[..], b"c-7f3a", b"Order 1182"] {
        assert_eq!(files_with(&state, bytes), Vec::<PathBuf>::new());
    }
    assert!(!files_with(&state, b"c-stays").is_empty());
    shop.delivery.stop().await;
    let store = Store::open(&state).unwrap();
    let restored = store.restored(&settings(), OPENING).unwrap();
    assert_eq!(restored.visits.len(), 1);
    assert_eq!(restored.last_alerts, [("c-stays".into(), OPENING)]);
}

fn files_with(dir: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        fs::read(path).is_ok_and(|file| file.windows(bytes.len()).any(|window| window == bytes))
    };
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(holds).collect()
}

#[tokio::test]
async fn the_state_directory_is_the_services_alone() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("deep").join("state");
    let shop = Shop::open(&state, peer(free_port()));
    shop.perform(&[alert(&visit("c-1", OPENING))]).await;
    shop.health(|health| health.queued == 2).await;
    assert_eq!(mode(&state), 0o700);
    for entry in fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    shop.delivery.stop().await;
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_is_too_old_to_matter_goes() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(dir.path(), peer(free_port()));
    let left = visit("c-1", OPENING);
    let departed = Effect::Departed {
        visit: left.clone(),
        at: OPENING,
        reason: grelot::pipeline::event::DepartureReason::Left,
    };
    shop.perform(&[alert(&left), departed]).await;
    let later = |after: Duration| -> WallTime { OPENING.plus(after) };
    shop.clock.advance(Duration::from_secs(599));
    shop.delivery.heartbeat(&shop.settings, shop.clock.now()).await;
    shop.delivery.stop().await;

    let store = Store::open(dir.path()).unwrap();
    let restored = store.restored(&settings(), later(Duration::from_secs(599))).unwrap();
    assert_eq!(restored.visits.len(), 1, "coming back would continue it");
    assert_eq!(restored.visits[0].departed_at, Some(OPENING));
    assert_eq!(
        store.last_heartbeat().unwrap().map(|last| last.at),
        Some(later(Duration::from_secs(599)))
    );
    let restored = store.restored(&settings(), later(Duration::from_secs(601))).unwrap();
    assert_eq!(restored.visits, []);
    assert_eq!(restored.last_alerts.len(), 1, "a cap outlives its visit");
}

#[test]
fn a_customer_who_withdrew_on_a_full_disk_is_not_recognised_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Tmpfs::mount(&dir.path().join("state"), "size=256k");
    let mut store = Store::open(&disk.0).unwrap();
    let now = grelot::pipeline::Now {
        tick: grelot::pipeline::units::Tick::ZERO,
        clock: grelot::pipeline::units::Clock::Set(OPENING),
    };
    let mut id = 0;
    let mut next_id = || {
        id += 1;
        id
    };
    let both = [alert(&visit("c-gone", OPENING)), alert(&visit("c-stays", OPENING))];
    let changes = grelot::outbox::changes(&settings(), now, &both, &mut next_id);
    store.commit(&changes).unwrap();
    fill(&disk.0.join("ballast"));
    // What room the file and its journal have left is used up.
    let others = (0..).map(|n| Change::Alerted { client: format!("c-{n}").into(), at: OPENING });
    assert!(others.take(10_000).any(|other| store.commit(&[other]).is_err()));

    let gone: std::sync::Arc<str> = "c-gone".into();
    let withdrawn = Change::Withdrawn { client: gone.clone(), at: OPENING };
    let withdrawal = [Change::Forgotten(gone.clone()), withdrawn];
    assert!(store.commit(&withdrawal).is_err(), "the disk is full");
    drop(store);

    let store = Store::open(&disk.0).unwrap();
    let restored = store.restored(&settings(), OPENING).unwrap();
    assert_eq!(restored.withdrawn, [gone.clone()]);
    assert!(restored.last_alerts.iter().all(|(client, _)| *client != gone));
    assert!(store.queued().unwrap().iter().all(|row| row.message.client.as_ref() != Some(&gone)));
    drop(store);

    fs::remove_file(disk.0.join("ballast")).unwrap();
    let store = Store::open(&disk.0).unwrap();
    assert_eq!(store.restored(&settings(), OPENING).unwrap().withdrawn, [gone]);
    drop(store);
    assert_eq!(files_with(&disk.0, b"c-stays").len(), 1, "the search would have found it");
    let left = files_with(&disk.0, b"c-gone");
    assert_eq!(left, [disk.0.join("grelot.db")], "the withdrawal itself, and nothing else");
}

#[tokio::test]
async fn a_disk_that_is_full_before_the_start_silences_no_alert() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Tmpfs::mount(&dir.path().join("state"), "size=256k");
    let ballast = disk.0.join("ballast");
    fill(&ballast);
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", "grelot/v1/42/arrivals"]).await;
    let store = Store::open_or_remember(&disk.0).unwrap();
    let shop = Shop::with(store, peer(broker.port), crate::shop::TestClock::default(), settings());
    shop.perform(&[alert(&visit("c-1", OPENING))]).await;
    assert_eq!(staff.next().await.json()["client"], "c-1");
    let trouble = reached(shop.delivery.trouble(), Option::is_some).await;
    assert!(
        trouble
            .as_ref()
            .is_some_and(|trouble| trouble.contains("full") || trouble.contains("space"))
    );

    fs::remove_file(&ballast).unwrap();
    shop.perform(&[alert(&visit("c-2", OPENING))]).await;
    reached(shop.delivery.trouble(), Option::is_none).await;
    shop.delivery.stop().await;
    let store = Store::open(&disk.0).unwrap();
    assert_eq!(store.restored(&settings(), OPENING).unwrap().visits.len(), 2);
}

#[test]
fn a_disk_that_cannot_be_written_any_more_still_says_who_withdrew() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Tmpfs::mount(&dir.path().join("state"), "size=256k");
    let mut store = Store::open(&disk.0).unwrap();
    let gone: std::sync::Arc<str> = "c-gone".into();
    store.commit(&[Change::Withdrawn { client: gone.clone(), at: OPENING }]).unwrap();
    drop(store);
    disk.remount("ro");
    let mut store = Store::open_or_remember(&disk.0).unwrap();
    assert!(store.unwritable().is_some());
    assert_eq!(store.restored(&settings(), OPENING).unwrap().withdrawn, [gone.clone()]);
    let late = Change::Withdrawn { client: "c-late".into(), at: OPENING };
    assert!(store.commit(std::slice::from_ref(&late)).is_err());
    disk.remount("rw");
    store.commit(&[late]).unwrap();
    assert!(store.unwritable().is_none(), "it recovers by itself");
    assert_eq!(store.restored(&settings(), OPENING).unwrap().withdrawn.len(), 2);
}

#[test]
fn an_empty_store_is_begun_and_one_without_its_tables_is_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("grelot.db");
    fs::write(&path, "").unwrap();
    drop(Store::open(dir.path()).unwrap());
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("DROP TABLE withdrawals;").unwrap();
    drop(db);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.restored(&settings(), OPENING).unwrap().withdrawn, []);
    assert!(dir.path().join("grelot.db.corrupt").exists());
}

#[test]
fn a_damaged_row_stops_no_other_visit() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let now = grelot::pipeline::Now {
        tick: grelot::pipeline::units::Tick::ZERO,
        clock: grelot::pipeline::units::Clock::Set(OPENING),
    };
    let mut id = 0;
    let both = [alert(&visit("c-1", OPENING)), alert(&visit("c-2", OPENING))];
    let changes = grelot::outbox::changes(&settings(), now, &both, || {
        id += 1;
        id
    });
    store.commit(&changes).unwrap();
    drop(store);
    let db = rusqlite::Connection::open(dir.path().join("grelot.db")).unwrap();
    for table in ["visits SET id", "outbox SET visit"] {
        db.execute_batch(&format!("UPDATE {table} = 'x' WHERE client = 'c-1'")).unwrap();
    }
    drop(db);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.restored(&settings(), OPENING).unwrap().visits.len(), 1);
    assert_eq!(store.queued().unwrap().len(), 2);
}
