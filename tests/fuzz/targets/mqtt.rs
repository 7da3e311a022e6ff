//! Messages from the broker, as a gateway and as a tablet read them: a topic, a line feed, a
//! payload.
#![no_main]

use std::sync::LazyLock;

use grelot::mqtt::inbound;
use grelot::mqtt::topics::{Addressee, Topics};
use grelot::tablets::decode;
use libfuzzer_sys::fuzz_target;

static DOOR: LazyLock<Addressee> = LazyLock::new(|| Addressee {
    topics: Topics::of(42),
    gateway: "door".to_owned(),
    group: Some("north".to_owned()),
});

fuzz_target!(|message: &[u8]| {
    let mut parts = message.splitn(2, |&octet| octet == b'\n');
    let topic = parts.next().unwrap_or_default();
    let payload = parts.next().unwrap_or_default();
    if let Err(refused) = inbound::parse(&DOOR, topic, payload) {
        drop(refused.to_string());
    }
    if let Ok(topic) = str::from_utf8(topic) {
        drop(decode::message(&DOOR.topics, topic, payload));
    }
});
