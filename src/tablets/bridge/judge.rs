//! What a device may send to the broker.

use serde::Deserialize;

use crate::mqtt::Role;
use crate::mqtt::broker::Rights;
use crate::mqtt::packet::{self, Malformed, Packet, Publish, Version, kind};
use crate::mqtt::topics::Topics;

/// No claim or feedback is longer.
const LONGEST_PAYLOAD: usize = 1024;

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The broker gets it.
    Pass,
    /// The broker does not get it; the device gets this answer.
    Answer(Vec<u8>),
    /// The connection is closed.
    Close,
}

/// Judges the packets of one device.
pub struct Judge {
    rights: Rights,
    /// The device's name; `None` where devices need no pairing.
    label: Option<String>,
    version: Version,
}

/// Who acts: the only field of claims and feedback that matters here.
#[derive(Deserialize)]
struct By {
    by: Option<String>,
}

impl Judge {
    /// For a device of that name in that store.
    pub fn new(topics: &Topics, label: Option<String>, version: Version) -> Self {
        Self { rights: Rights::of(Role::Tablet, "", topics), label, version }
    }

    /// The verdict on the first packet of `octets`, and its length; `None` while it is not whole.
    pub fn first(&self, octets: &[u8]) -> Option<(Verdict, usize)> {
        match packet::first(octets) {
            Ok(None) => None,
            Ok(Some((packet, length))) => {
                let verdict = self.judge(packet).unwrap_or_else(|error| {
                    tracing::debug!(%error, "a device's connection is closed");
                    Verdict::Close
                });
                Some((verdict, length))
            }
            Err(error) => {
                tracing::debug!(%error, "a device's connection is closed");
                Some((Verdict::Close, 0))
            }
        }
    }

    fn judge(&self, packet: Packet<'_>) -> Result<Verdict, Malformed> {
        match packet.kind {
            kind::PUBLISH => Ok(self.publish(&packet.publish(self.version)?)),
            kind::SUBSCRIBE => {
                let wish = packet.subscribe(self.version)?;
                let forbidden = wish.filters.iter().find(|filter| !self.rights.may_read(filter));
                Ok(match forbidden {
                    None => Verdict::Pass,
                    Some(filter) => {
                        tracing::warn!(filter, "a device may not subscribe to this");
                        Verdict::Answer(wish.refusal(self.version))
                    }
                })
            }
            kind::PUBACK
            | kind::PUBREC
            | kind::PUBREL
            | kind::PUBCOMP
            | kind::UNSUBSCRIBE
            | kind::PINGREQ
            | kind::DISCONNECT => Ok(Verdict::Pass),
            _ => Ok(Verdict::Close),
        }
    }

    /// A topic alias without a topic stands for one that was judged before: the broker learns an alias
    /// only from publications that it gets.
    fn publish(&self, wish: &Publish<'_>) -> Verdict {
        let permitted = (wish.topic.is_empty() || self.rights.may_write(wish.topic))
            && !wish.retain
            && wish.payload.len() <= LONGEST_PAYLOAD
            && self.speaks_for_itself(wish.payload);
        if permitted {
            return Verdict::Pass;
        }
        tracing::warn!(topic = wish.topic, "a device may not publish this");
        wish.refusal(self.version).map_or(Verdict::Close, Verdict::Answer)
    }

    /// Whether `by` is absent or names this device.
    fn speaks_for_itself(&self, payload: &[u8]) -> bool {
        let Some(label) = &self.label else { return true };
        let Ok(By { by }) = serde_json::from_slice(payload) else { return false };
        by.is_none_or(|by| by == *label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge() -> Judge {
        Judge::new(&Topics::of(42), Some("Kiosk".to_owned()), Version::V5)
    }

    fn publish(head: u8, topic: &str, payload: &str) -> Vec<u8> {
        let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
        body.extend(topic.bytes());
        if head & 0x06 != 0 {
            body.extend([0, 7]);
        }
        body.push(0);
        body.extend(payload.bytes());
        [vec![head, u8::try_from(body.len()).unwrap()], body].concat()
    }

    fn verdict(octets: &[u8]) -> Verdict {
        let (verdict, length) = judge().first(octets).unwrap();
        assert_eq!(length, octets.len());
        verdict
    }

    const CLAIM: &str = "grelot/v1/42/visits/6d0b/claim";

    #[test]
    fn a_device_claims_under_its_own_name_only() {
        let own = r#"{"v":1,"by":"Kiosk","action":"claim"}"#;
        assert_eq!(verdict(&publish(0x32, CLAIM, own)), Verdict::Pass);
        let refused = Verdict::Answer(vec![0x40, 3, 0, 7, 0x87]);
        assert_eq!(verdict(&publish(0x32, CLAIM, &own.replace("Kiosk", "Léa"))), refused);
        assert_eq!(verdict(&publish(0x32, CLAIM, "no JSON")), refused);
        assert_eq!(verdict(&publish(0x33, CLAIM, own)), refused, "retained");
        let elsewhere = CLAIM.replace("/42/", "/43/");
        assert_eq!(verdict(&publish(0x32, &elsewhere, own)), refused);
        assert_eq!(verdict(&publish(0x30, "grelot/v1/42/arrivals", "{}")), Verdict::Answer(vec![]));
        let feedback = CLAIM.replace("claim", "feedback");
        let said = r#"{"v":1,"verdict":"was_here"}"#;
        assert_eq!(verdict(&publish(0x32, &feedback, said)), Verdict::Pass);
    }

    #[test]
    fn a_device_reads_what_a_tablet_reads() {
        let subscribe = |filter: &str| {
            let mut body = vec![0, 9, 0];
            body.extend(u16::try_from(filter.len()).unwrap().to_be_bytes());
            body.extend(filter.bytes());
            body.push(1);
            [vec![0x82, u8::try_from(body.len()).unwrap()], body].concat()
        };
        for filter in ["arrivals", "departures", "visits/+", "gateways/+/status"] {
            assert_eq!(verdict(&subscribe(&format!("grelot/v1/42/{filter}"))), Verdict::Pass);
        }
        for filter in ["#", "grelot/v1/42/#", "grelot/v1/42/withdrawn/+", "grelot/v1/43/arrivals"] {
            let refused = Verdict::Answer(vec![0x90, 4, 0, 9, 0, 0x87]);
            assert_eq!(verdict(&subscribe(filter)), refused, "{filter}");
        }
    }

    #[test]
    fn what_a_client_does_not_send_ends_the_connection() {
        for octets in [[0x10, 0], [0x20, 0], [0xf0, 0], [0x00, 0]] {
            assert_eq!(verdict(&octets), Verdict::Close, "{octets:?}");
        }
    }
}
