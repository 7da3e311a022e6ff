//! A machine without a battery that boots with yesterday's time.

use std::path::Path;
use std::time::Duration;

use grelot::clock::Clocks;
use grelot::clock::kernel::Boot;
use grelot::daemon::delivery::Delivery;
use grelot::pipeline::event::{Away, Start};
use grelot::pipeline::identity::Registry;
use grelot::pipeline::units::{Clock, Tick, WallTime};
use grelot::pipeline::{Now, Pipeline};
use grelot::store::{self, Heartbeat, Store};
use grelot::webhooks::Receivers;

use crate::mosquitto::{BrokerOptions, Mosquitto, free_port};
use crate::shop::{OPENING, Shop, alert, online, peer, settings, visit};

fn heartbeat(clock: Clock, boot: &str, uptime_secs: u64) -> Heartbeat {
    let uptime = Duration::from_secs(uptime_secs);
    Heartbeat::new(clock, Some(Boot { id: boot.to_owned(), uptime }))
}

/// A shop whose broker is away, and whose power is cut after an alert.
async fn power_cut_in_the_evening(state: &Path) {
    let shop = Shop::open(state, peer(free_port()));
    shop.perform(&[alert(&visit("c-evening", OPENING))]).await;
    shop.delivery.stop().await;
    let mut store = Store::open(state).unwrap();
    assert_eq!(store.queued().unwrap().len(), 2, "the alert and the visit are not sent");
    let last = heartbeat(Clock::Set(OPENING), "evening", 40_000);
    store.commit(&[store::heartbeat(&settings(), last)]).unwrap();
}

#[tokio::test]
async fn last_evenings_unsent_alert_is_not_announced_in_the_morning() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    power_cut_in_the_evening(&state).await;

    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", "grelot/v1/42/arrivals"]).await;
    let now = Now { tick: Tick::ZERO, clock: Clock::Unset(OPENING.plus(Duration::from_secs(30))) };
    let mut store = Store::open(&state).unwrap();
    let restored = store.resume(&settings(), &heartbeat(now.clock, "morning", 20)).unwrap();
    assert_eq!(restored.away, Away::Unknown);
    let clocks = Clocks::new(move || now);
    let (delivery, _inbound) = Delivery::start(
        store,
        &restored,
        peer(broker.port),
        &settings(),
        online(),
        Receivers::default(),
        clocks,
    )
    .unwrap();
    let registry = Registry::default();
    let (_, effects) = Pipeline::new(settings(), registry, restored, Start::Unfollowed, now);
    delivery.perform(&settings(), now, &effects).await;
    delivery.perform(&settings(), now, &[alert(&visit("c-morning", OPENING))]).await;
    assert_eq!(staff.next().await.json()["client"], "c-morning");
    delivery.stop().await;
    let store = Store::open(&state).unwrap();
    let visits = store.restored(&settings(), OPENING).unwrap().visits;
    assert_eq!(visits.iter().map(|it| &*it.visit.client).collect::<Vec<_>>(), ["c-morning"]);
}

#[tokio::test]
async fn an_unsent_alert_goes_out_after_a_short_break_although_no_time_server_answers() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    power_cut_in_the_evening(&state).await;
    let mut store = Store::open(&state).unwrap();
    let unset = heartbeat(Clock::Unset(OPENING.plus(Duration::from_secs(30))), "evening", 40_030);
    let restored = store.resume(&settings(), &unset).unwrap();
    assert_eq!(restored.away, Away::Known(Duration::from_secs(30)));
    assert_eq!(store.queued().unwrap().len(), 2);
}

#[test]
fn what_was_kept_by_a_clock_that_did_not_count_is_corrected_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let yesterday = OPENING.minus(Duration::from_hours(14));
    let mut store = Store::open(dir.path()).unwrap();
    let here = visit("c-1", yesterday);
    let now = Now { tick: Tick::ZERO, clock: Clock::Unset(yesterday) };
    let mut id = 0;
    let changes = grelot::outbox::changes(&settings(), now, &[alert(&here)], || {
        id += 1;
        id
    });
    store.commit(&changes).unwrap();
    let last = heartbeat(Clock::Unset(yesterday), "morning", 100);
    store.commit(&[store::heartbeat(&settings(), last)]).unwrap();

    let later = OPENING.plus(Duration::from_secs(20));
    let restored =
        store.resume(&settings(), &heartbeat(Clock::Set(later), "morning", 120)).unwrap();
    assert_eq!(restored.away, Away::Known(Duration::from_secs(20)));
    let arrived: Vec<WallTime> =
        restored.visits.iter().map(|restored| restored.visit.arrived_at).collect();
    assert_eq!(arrived, [OPENING]);
    assert_eq!(restored.last_alerts, [("c-1".into(), OPENING)]);
    assert!(store.queued().unwrap().iter().all(|row| row.message.from == OPENING));
}
