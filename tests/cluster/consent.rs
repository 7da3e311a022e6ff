//! A customer who withdrew is not announced, although the broker forgets withdrawals.

use std::time::Duration;

use crate::common::waiting::eventually;
use crate::mosquitto::{Subscriber, publish};
use crate::office::{Gateway, Office};
use crate::rabbitmq::RabbitMq;
use crate::rights;

/// The withdrawn customer is inside all the time; every step of the story needs the cluster, which
/// takes longest to start.
#[tokio::test]
async fn a_withdrawn_customer_is_not_announced_on_a_cluster_that_forgets_withdrawals() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = RabbitMq::start(3, &rights::printed(dir.path(), &rights::RABBITMQ));
    let ports = cluster.ports.clone();
    rights::a_stolen_login_reads_and_writes_its_own_store_alone(&rights::RABBITMQ, ports[2]);
    rights::a_stolen_tablet_reads_no_claims(&rights::RABBITMQ, ports[2]);
    let office =
        Office::with_login(&dir.path().join("office"), &[ports[0], ports[2]], "head-office");

    // Without a list, a warning says that gateways which are away do not learn of it.
    let (_, complaint) = office.run("customers withdraw c-9");
    assert!(complaint.contains("does not deliver"), "{complaint}");
    office.run("customers withdraw c-1 --fleet fleet.db");
    let mut staff = Subscriber::start(ports[2], &["-t", "grelot/v1/42/arrivals"]).await;
    let mut states = Subscriber::start(ports[2], &["-t", "grelot/v1/42/visits/+"]).await;

    // Without an answer no customer is announced.
    let gateway = |name: &str, ports: &[u16]| {
        Gateway::start_as(Some(&format!("42-{name}")), dir.path(), name, ports, "")
    };
    let door = gateway("door", &[ports[1], ports[2]]);
    eventually("it sees the customers", || door.here() == ["c-1", "c-2", "c-3"]);
    eventually("the broker's ways are known", || {
        door.status()["broker"]["abilities"]["wildcard"] == false
    });
    assert_eq!(door.withdrawals(), "asking");
    assert!(door.shown().contains("alerts are held back"), "{}", door.shown());
    let broker = &door.status()["broker"]["abilities"];
    assert_eq!((&broker["expiry"], &broker["session"]), (&true.into(), &true.into()));
    assert!(staff.within(Duration::from_millis(300)).await.is_empty());
    assert!(states.within(Duration::from_millis(300)).await.is_empty());

    // Head office answers: the others are announced.
    let serving = office.serve();
    let rung = [staff.next().await, staff.next().await].map(|said| said.json()["client"].clone());
    assert!(rung.contains(&"c-2".into()) && rung.contains(&"c-3".into()), "{rung:?}");
    assert_eq!(door.withdrawals(), "answered");
    eventually("the gateway has acknowledged it", || {
        office.acknowledged() == [("door".to_owned(), 1)]
    });
    assert_eq!(door.here(), ["c-2", "c-3"]);

    // A tablet that connects now asks: nothing is retained for it.
    let mut tablet = Subscriber::start(ports[0], &["-t", "grelot/v1/42/sync/tablet"]).await;
    let ask = ["-t", "grelot/v1/42/sync", "-m", "{}", "-D", "publish", "response-topic"];
    publish(ports[0], &[&ask[..], &["grelot/v1/42/sync/tablet"]].concat()).await;
    let answer = tablet.next().await.json();
    let visits = answer["retained"].as_object().unwrap().keys();
    assert_eq!(visits.filter(|topic| topic.starts_with("visits/")).count(), 2, "{answer}");

    // Without head office the store's other gateway answers.
    drop(serving);
    let till = gateway("till", &[ports[0], ports[2]]);
    eventually("the other gateway answers", || till.withdrawals() == "answered");

    // A node is killed, and meanwhile another customer withdraws.
    cluster.kill(1);
    office.run("customers withdraw c-2 --fleet fleet.db");
    let _serving = office.serve();
    eventually("both gateways have acknowledged it", || {
        office.acknowledged() == [("door".to_owned(), 2), ("till".to_owned(), 2)]
    });
    for gateway in [&door, &till] {
        eventually("the customer has vanished", || gateway.here() == ["c-3"]);
    }
    let later = staff.within(Duration::from_millis(300)).await;
    let clients = later.iter().map(|said| said.json()["client"].clone());
    assert!(!clients.clone().any(|client| client == "c-1"), "{later:?}");
    let states = states.within(Duration::from_millis(300)).await;
    assert!(!states.iter().any(|said| said.payload.contains("c-1")), "{states:?}");

    // Settings reach a gateway that was away when they were pushed, although nothing is retained.
    let hash = |gateway: &Gateway| gateway.status()["configuration"]["hash"].clone();
    let before = hash(&till);
    drop(till);
    std::fs::write(office.folder.join("one.toml"), "[presence]\ndwell_secs = 4\n").unwrap();
    office.run("fleet push one.toml");
    let till = gateway("till", &[ports[0], ports[2]]);
    eventually("both have the settings", || {
        let now = hash(&till);
        now != before && now == hash(&door)
    });
}
