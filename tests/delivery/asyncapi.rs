//! The `AsyncAPI` document that ships with the program, compared with real messages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grelot::mqtt::topics::{Addressee, ROOT, TABLE, Topics};
use grelot::mqtt::{ASYNCAPI, inbound};
use grelot::payload::trace::{
    Trace, TraceContact, TraceCut, TraceDecision, TraceEvent, TraceGateway, TracePlace,
    TraceReception, TraceSurvey, TraceTraffic, TraceZone, WithdrawnTraces,
};
use grelot::payload::{
    Beacon, Canary, Contact, Contacts, Health, RadioHealth, RegistryHealth, Report, ReportBatch,
    ReportKind,
};
use grelot::pipeline::Effect;
use grelot::pipeline::event::{Claim, DepartureReason};
use grelot::pipeline::units::WallTime;
use grelot::store::{MessageKind, OutboundMessage};
use serde_json::Value;

use crate::mosquitto::{BrokerOptions, Mosquitto, Received};
use crate::shop::{OPENING, Shop, alert, card, peer, visit};

fn document() -> Value {
    serde_json::from_str(ASYNCAPI).unwrap()
}

/// The document's channels by name: address, schema of the payload, direction, retained.
struct Channel {
    address: String,
    message: Value,
    sends: bool,
    /// Over the line to head office alone.
    of_office: bool,
    retained: bool,
}

fn channels(document: &Value) -> BTreeMap<String, Channel> {
    let operations = document["operations"].as_object().unwrap();
    let channel = |(name, operation): (&String, &Value)| {
        let channel = resolve(document, &operation["channel"]);
        let message = channel["messages"].as_object().unwrap().values().next().unwrap();
        let channel = Channel {
            address: channel["address"].as_str().unwrap().to_owned(),
            message: resolve(document, message).clone(),
            sends: operation["action"] == "send",
            of_office: operation["tags"][0]["name"] == "head office",
            retained: operation["bindings"]["mqtt"]["retain"].as_bool().unwrap(),
        };
        (name.clone(), channel)
    };
    operations.iter().map(channel).collect()
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return value };
    let found = document.pointer(reference.strip_prefix('#').unwrap());
    resolve(document, found.unwrap_or_else(|| panic!("{reference} leads nowhere")))
}

/// What `value` violates in `schema`; supports exactly the keywords that the document uses.
fn offences(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut known = BTreeSet::new();
    let mut found = structure(document, schema, value, at, &mut known);
    let open = schema["additionalProperties"] == true;
    for key in value.as_object().into_iter().flat_map(|object| object.keys()) {
        if !open && !known.contains(key) {
            found.push(format!("{at}.{key} is not described"));
        }
    }
    found
}

fn structure(
    document: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
    known: &mut BTreeSet<String>,
) -> Vec<String> {
    let schema = resolve(document, schema);
    let mut found = Vec::new();
    let mut demand = |holds: bool, what: &Value| {
        if !holds {
            found.push(format!("{at}: {value} is not {what}"));
        }
    };
    for (keyword, demanded) in schema.as_object().unwrap() {
        let number = || demanded.as_f64().unwrap();
        let size = || value.as_str().map_or(0, |text| text.chars().count()) as f64;
        match keyword.as_str() {
            "description" | "properties" | "allOf" | "items" | "additionalProperties" => {}
            "type" => demand(has_type(demanded, value), demanded),
            "const" => demand(value == demanded, demanded),
            "enum" => demand(demanded.as_array().unwrap().contains(value), demanded),
            "minimum" => demand(value.as_f64().is_some_and(|v| v >= number()), demanded),
            "maximum" => demand(value.as_f64().is_some_and(|v| v <= number()), demanded),
            "minLength" => demand(size() >= number(), demanded),
            "maxLength" => demand(size() <= number(), demanded),
            "maxItems" => {
                demand(value.as_array().is_some_and(|v| v.len() as f64 <= number()), demanded);
            }
            "format" => demand(value.is_null() || has_format(demanded, value), demanded),
            "required" => {
                let keys = demanded.as_array().unwrap();
                demand(keys.iter().all(|key| value.get(key.as_str().unwrap()).is_some()), demanded);
            }
            other => panic!("this check does not know the keyword {other}"),
        }
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        found.extend(structure(document, part, value, at, known));
    }
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        known.insert(key.clone());
        if let Some(value) = value.get(key) {
            found.extend(offences(document, schema, value, &format!("{at}.{key}")));
        }
    }
    if let (Some(schema), Some(items)) = (schema.get("items"), value.as_array()) {
        found.extend(items.iter().flat_map(|item| offences(document, schema, item, at)));
    }
    found
}

fn has_type(demanded: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("this check does not know the type {other}"),
    };
    demanded.as_array().map_or_else(|| is(demanded), |types| types.iter().any(is))
}

fn has_format(demanded: &Value, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    match demanded.as_str().unwrap() {
        "date-time" => text.ends_with('Z') && WallTime::parse(text).is_some(),
        "uuid" => uuid::Uuid::try_parse(text).is_ok(),
        other => panic!("this check does not know the format {other}"),
    }
}

fn matches(address: &str, topic: &str) -> bool {
    let address = address.replace("{store}", "42");
    let (address, topic): (Vec<_>, Vec<_>) =
        (address.split('/').collect(), topic.split('/').collect());
    address.len() == topic.len()
        && address.iter().zip(&topic).all(|(a, t)| a.starts_with('{') || a == t)
}

/// Every message that a gateway can send, once.
async fn say_everything(shop: &Shop) {
    let mut arrived = visit("c-1", OPENING);
    arrived.card = Some(card());
    let mut claimed = arrived.clone();
    claimed.claim = Some(Claim { by: "Léa".into(), tablet: Some("k3f9".into()), since: OPENING });
    let reason = DepartureReason::TooLong;
    let departed = Effect::Departed { visit: claimed.clone(), at: OPENING, reason };
    shop.connected().await;
    shop.perform(&[alert(&arrived)]).await;
    shop.delivered(2).await;
    shop.perform(&[Effect::Changed(claimed)]).await;
    shop.delivered(3).await;
    arrived.escalated = true;
    shop.perform(&[Effect::Escalated(arrived)]).await;
    shop.delivered(5).await;
    shop.perform(&[departed]).await;
    shop.delivered(7).await;
    let at = OPENING.to_string();
    let heard = Contact {
        client: "c-1".to_owned(),
        rssi: Some(-61),
        count: 3,
        echo: Some(0x1a),
        arriving_at: Some(at.clone()),
    };
    shop.delivery.publish_contacts(&Contacts { v: 1, at: at.clone(), heard: vec![heard] });
    shop.delivery.publish_health(&Health {
        v: 1,
        at: at.clone(),
        uptime_s: 60,
        clock_set: true,
        advertisements: 1,
        contacts: 1,
        shed: 0,
        radios: vec![RadioHealth {
            adapter: "hci0".to_owned(),
            listening: true,
            ear: "monitor".to_owned(),
        }],
        radio_steps: [("rescan".to_owned(), 1)].into(),
        visits: 0,
        alerts: 1,
        copied_cards: 0,
        tablets: 1,
        registry: RegistryHealth::default(),
        delivery: shop.delivery.health(),
    });
    shop.delivery.send_canary(canary());
    let (battery_mv, temperature_c) = (Some(2950), Some(21.5));
    let beacon = Beacon {
        v: 1,
        last_heard: Some(at),
        missing: false,
        moved: true,
        cloned: false,
        rssi_dbm: Some(-71.5),
        battery_mv,
        temperature_c,
    };
    shop.delivery.set_beacon("entrance", &beacon);
}

/// The synthetic customer's arrival.
fn canary() -> OutboundMessage {
    let visit = visit("c-canary", OPENING).id;
    let payload = Canary { v: 1, run: visit.to_string(), arrived_at: OPENING.to_string() };
    OutboundMessage {
        kind: MessageKind::Canary,
        visit,
        payload: serde_json::to_vec(&payload).unwrap().into(),
        from: OPENING,
        lifetime: Duration::from_mins(2),
        client: None,
    }
}

/// A tablet's question, on which the gateway publishes its whole state at once.
async fn ask(broker: &Mosquitto) {
    let answers = "grelot/v1/42/sync/tablet";
    let question = ["-t", "grelot/v1/42/sync", "-m", "{\"v\":1}"];
    let respond = ["-D", "publish", "response-topic", answers];
    broker.publish(&[&question[..], &respond].concat()).await;
}

#[tokio::test]
async fn everything_said_is_as_the_document_describes_it() {
    let document = document();
    let channels = channels(&document);
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut all = broker.subscribe(&["--retain-as-published", "-t", "grelot/#"]).await;
    let shop = Shop::open(&dir.path().join("state"), peer(broker.port));

    say_everything(&shop).await;
    let mut said = Vec::new();
    let last = ["/beacons/entrance", "/gateways/door/consent", "/gateways/door/canary"];
    let is_said = |said: &[Received], topic| said.iter().any(|one| one.topic.ends_with(topic));
    while !last.iter().all(|topic| is_said(&said, topic)) {
        said.push(all.next().await);
    }
    ask(&broker).await;
    all.next_on("/42/sync").await;
    said.push(all.next_on("/sync/tablet").await);
    shop.delivery.stop().await;
    said.push(all.next().await);
    assert_eq!(said.last().unwrap().json()["state"], "offline");

    let described = check(&document, &channels, &said);
    let promised = channels.iter().filter(|(_, c)| c.sends && !c.of_office);
    let promised = promised.map(|(name, _)| name.clone());
    assert_eq!(described, promised.collect::<BTreeSet<_>>(), "each of them was said");
}

/// Compares messages with the document, and names the channels they came on.
fn check(
    document: &Value,
    channels: &BTreeMap<String, Channel>,
    said: &[Received],
) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for message in said {
        let described =
            channels.iter().find(|(_, c)| c.sends && matches(&c.address, &message.topic));
        let (name, channel) = described.unwrap_or_else(|| panic!("not described: {message:?}"));
        assert_eq!(message.retained, channel.retained, "{name}");
        if !message.payload.is_empty() {
            let schema = &channel.message["payload"];
            let offences = offences(document, schema, &message.json(), name);
            assert!(offences.is_empty(), "{offences:#?}");
        }
        seen.insert(name.clone());
    }
    seen
}

#[test]
fn the_document_has_the_topics_of_the_table() {
    let document = document();
    let mut described: Vec<String> = Vec::new();
    for (name, operation) in document["operations"].as_object().unwrap() {
        let address = resolve(&document, &operation["channel"])["address"].as_str().unwrap();
        let mqtt = &operation["bindings"]["mqtt"];
        described.push(format!("{name} {address} {} {}", mqtt["qos"], mqtt["retain"]));
    }
    let table = TABLE
        .iter()
        .map(|row| format!("{} {ROOT}/{} {} {}", row.name, row.pattern, row.qos, row.retained));
    assert_eq!(described, table.collect::<Vec<_>>());
}

#[test]
fn every_example_is_heard_and_fits_its_schema() {
    let document = document();
    let here = Addressee {
        topics: Topics::of(42),
        gateway: "door".to_owned(),
        group: Some("north".to_owned()),
    };
    let id = visit("c-1", OPENING).id.to_string();
    let mut heard = 0;
    for (name, channel) in channels(&document) {
        let topic = [
            ("store", "42"),
            ("visit", &id),
            ("group", "north"),
            ("client", "c-1"),
            ("gateway", "door"),
        ]
        .iter()
        .fold(channel.address, |topic, (key, value)| topic.replace(&format!("{{{key}}}"), value));
        for example in channel.message["examples"].as_array().into_iter().flatten() {
            let payload = &example["payload"];
            let offences = offences(&document, &channel.message["payload"], payload, &name);
            assert!(offences.is_empty(), "{offences:#?}");
            if !channel.sends {
                let text = payload.as_str().map_or_else(|| payload.to_string(), str::to_owned);
                let read = inbound::parse(&here, topic.as_bytes(), text.as_bytes());
                assert!(read.is_ok(), "{name}: {read:?}");
                heard += 1;
            }
        }
    }
    assert_eq!(
        heard, 11,
        "claim, feedback, withdrawal, announcement, four scopes of settings, withdrawals, reported, missed settings"
    );
}

#[test]
fn a_trace_of_contacts_is_as_the_document_describes_it() {
    let means = [(3.0, -60.5), (3.0, -52.0), (0.0, 0.0), (3.0, -61.0)];
    let trace = Trace {
        trace: "0123456789abcdef".to_owned(),
        visit: Some("fedcba9876543210".to_owned()),
        gateways: vec![TraceGateway { name: "door".to_owned(), place: Some(TracePlace::Door) }],
        zones: vec![TraceZone { zone: 1, place: TracePlace::Inside }],
        phase_us: 1_048_575_999_999,
        phone_db: -6,
        phone_model_known: true,
        listening: vec![0],
        reception: vec![TraceReception { at_us: 7, gateway: 0, blind: true }],
        surveys: vec![TraceSurvey {
            at_us: 0,
            stays: 3.0,
            passes: 0.5,
            gateways: vec![TraceTraffic { name: "door".to_owned(), means }],
            beacons: vec![means; 3],
        }],
        received: vec![TraceContact(0, 0, Some(-60), Some(0x1a)), TraceContact(9, 0, None, None)],
        decisions: vec![TraceDecision {
            at_us: 9,
            what: TraceEvent::Arrived,
            confidence: Some(0.9),
        }],
        ended_us: 20,
        cut: Some(TraceCut::Full),
    };
    let withdrawn = WithdrawnTraces { traces: vec![trace.trace.clone()] };
    let report = |(n, what)| Report { n, at: OPENING.to_string(), what };
    let both = [ReportKind::Trace(Box::new(trace)), ReportKind::WithdrawnTraces(withdrawn)];
    let batch = ReportBatch {
        v: 1,
        queue: "0123456789abcdef".to_owned(),
        dropped: 0,
        reports: (1..).zip(both).map(report).collect(),
    };
    let document = document();
    let schema = &document["components"]["schemas"]["Reports"];
    let sent = serde_json::to_value(&batch).unwrap();
    let offences = offences(&document, schema, &sent, "reports");
    assert!(offences.is_empty(), "{offences:#?}");
}
