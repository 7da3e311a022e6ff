//! As much of MQTT's packets as a bridge needs to judge a client: versions 3.1.1 and 5.
//!
//! Packets are only read, except CONNECT, which is written again with another identity.

/// The longest packet that is taken from a client.
pub const LONGEST: usize = 16 * 1024;

/// What is wrong with a client's octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Longer than [`LONGEST`].
    #[error("the packet is too long")]
    TooLong,
    /// Not MQTT 3.1.1 or 5.
    #[error("not MQTT 3.1.1 or 5")]
    Protocol,
    /// The octets end within a field, or a field is not what it should be.
    #[error("malformed packet")]
    Field,
}

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V3,
    /// MQTT 5.
    V5,
}

/// A packet's type and flags, and what follows the fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The type, 1 to 15.
    pub kind: u8,
    flags: u8,
    body: &'a [u8],
}

/// CONNECT, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Version of the protocol.
    pub version: Version,
    /// As the client wants to be called; may be empty.
    pub client_id: &'a str,
    /// Where there is one.
    pub password: Option<&'a [u8]>,
    /// Whether the client leaves a last will.
    pub has_will: bool,
    clean: bool,
    keep_alive: [u8; 2],
    /// The properties, after their length.
    properties: &'a [u8],
}

/// PUBLISH, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Empty where a topic alias stands for it.
    pub topic: &'a str,
    /// 0 to 2.
    pub qos: u8,
    /// Whether the broker is to keep it.
    pub retain: bool,
    /// With a `QoS` above 0.
    pub id: [u8; 2],
    pub payload: &'a [u8],
}

/// SUBSCRIBE, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The packet identifier.
    pub id: [u8; 2],
    /// What is subscribed to.
    pub filters: Vec<&'a str>,
}

/// Control packet types (MQTT 5, section 2.1.2).
pub mod kind {
    pub const CONNECT: u8 = 1;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const PUBREC: u8 = 5;
    pub const PUBREL: u8 = 6;
    pub const PUBCOMP: u8 = 7;
    pub const SUBSCRIBE: u8 = 8;
    pub const UNSUBSCRIBE: u8 = 10;
    pub const PINGREQ: u8 = 12;
    pub const DISCONNECT: u8 = 14;
}

/// Reason code "not authorized" of version 5.
const NOT_AUTHORISED: u8 = 0x87;

/// The first packet of `octets` and its length; `None` while it is not whole.
///
/// # Errors
/// If it is longer than [`LONGEST`], or its length is no number.
pub fn first(octets: &[u8]) -> Result<Option<(Packet<'_>, usize)>, Malformed> {
    let Some((head, rest)) = octets.split_first() else { return Ok(None) };
    let mut fields = Fields(rest);
    let length = match fields.length() {
        Err(_) if rest.len() < 4 && rest.iter().all(|octet| *octet >= 0x80) => return Ok(None),
        length => length?,
    };
    if length > LONGEST {
        return Err(Malformed::TooLong);
    }
    let Some(body) = fields.0.get(..length) else { return Ok(None) };
    let total = octets.len() - fields.0.len() + length;
    Ok(Some((Packet { kind: head >> 4, flags: head & 0x0f, body }, total)))
}

impl<'a> Packet<'a> {
    /// Reads CONNECT.
    ///
    /// # Errors
    /// If it is malformed, or of another version.
    pub fn connect(self) -> Result<Connect<'a>, Malformed> {
        let mut fields = Fields(self.body);
        if fields.text()? != "MQTT" {
            return Err(Malformed::Protocol);
        }
        let version = match fields.octet()? {
            4 => Version::V3,
            5 => Version::V5,
            _ => return Err(Malformed::Protocol),
        };
        let flags = fields.octet()?;
        let [a, b] = fields.pair()?;
        let properties = fields.properties_of(version)?;
        let client_id = fields.text()?;
        let has_will = flags & 0x04 != 0;
        if has_will {
            fields.properties_of(version)?;
            fields.text()?;
            fields.binary()?;
        }
        if flags & 0x80 != 0 {
            fields.text()?;
        }
        let password = if flags & 0x40 != 0 { Some(fields.binary()?) } else { None };
        let clean = flags & 0x02 != 0;
        let keep_alive = [a, b];
        Ok(Connect { version, client_id, password, has_will, clean, keep_alive, properties })
    }

    /// Reads PUBLISH.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn publish(self, version: Version) -> Result<Publish<'a>, Malformed> {
        let mut fields = Fields(self.body);
        let topic = fields.text()?;
        let qos = self.flags >> 1 & 0x03;
        let id = if qos > 0 { fields.pair()? } else { [0, 0] };
        fields.properties_of(version)?;
        let retain = self.flags & 0x01 != 0;
        if qos > 2 {
            return Err(Malformed::Field);
        }
        Ok(Publish { topic, qos, retain, id, payload: fields.0 })
    }

    /// Reads SUBSCRIBE.
    ///
    /// # Errors
    /// If it is malformed, or asks for nothing.
    pub fn subscribe(self, version: Version) -> Result<Subscribe<'a>, Malformed> {
        let mut fields = Fields(self.body);
        let id = fields.pair()?;
        fields.properties_of(version)?;
        let mut filters = Vec::new();
        while !fields.0.is_empty() {
            filters.push(fields.text()?);
            fields.octet()?;
        }
        if filters.is_empty() { Err(Malformed::Field) } else { Ok(Subscribe { id, filters }) }
    }
}

impl Connect<'_> {
    /// The same CONNECT with another identity, and without a last will.
    pub fn under(&self, client_id: &str, login: Option<(&str, &[u8])>) -> Vec<u8> {
        let mut flags = if self.clean { 0x02 } else { 0 };
        if login.is_some() {
            flags |= 0xc0;
        }
        let level = if self.version == Version::V5 { 5 } else { 4 };
        let mut body = b"\x00\x04MQTT".to_vec();
        body.extend([level, flags]);
        body.extend(self.keep_alive);
        body.extend(self.properties);
        put(&mut body, client_id.as_bytes());
        if let Some((username, password)) = login {
            put(&mut body, username.as_bytes());
            put(&mut body, password);
        }
        whole(kind::CONNECT << 4, &body)
    }
}

/// CONNACK that refuses a client as not authorised.
pub fn refuse(version: Version) -> Vec<u8> {
    match version {
        Version::V5 => vec![0x20, 3, 0, NOT_AUTHORISED, 0],
        Version::V3 => vec![0x20, 2, 0, 5],
    }
}

impl Publish<'_> {
    /// The answer that refuses it: empty where none is needed, `None` where version 3.1.1 has none.
    pub fn refusal(&self, version: Version) -> Option<Vec<u8>> {
        let [a, b] = self.id;
        match (self.qos, version) {
            (0, _) => Some(Vec::new()),
            (1, Version::V5) => Some(vec![kind::PUBACK << 4, 3, a, b, NOT_AUTHORISED]),
            (_, Version::V5) => Some(vec![kind::PUBREC << 4, 3, a, b, NOT_AUTHORISED]),
            (_, Version::V3) => None,
        }
    }
}

impl Subscribe<'_> {
    /// SUBACK that refuses all of it.
    pub fn refusal(&self, version: Version) -> Vec<u8> {
        let mut body = self.id.to_vec();
        let code = match version {
            Version::V5 => {
                body.push(0);
                NOT_AUTHORISED
            }
            Version::V3 => 0x80,
        };
        body.extend(std::iter::repeat_n(code, self.filters.len()));
        whole(0x90, &body)
    }
}

fn put(body: &mut Vec<u8>, field: &[u8]) {
    // A field is a part of what a packet holds, or an own name: shorter than this can say.
    let length = u16::try_from(field.len()).unwrap_or(u16::MAX);
    body.extend(length.to_be_bytes());
    body.extend(field.iter().take(usize::from(length)));
}

fn whole(head: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![head];
    let mut left = body.len();
    loop {
        let octet = u8::try_from(left % 128).unwrap_or_default();
        left /= 128;
        packet.push(if left > 0 { octet | 0x80 } else { octet });
        if left == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// What is left of a packet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn octet(&mut self) -> Result<u8, Malformed> {
        let (octet, rest) = self.0.split_first().ok_or(Malformed::Field)?;
        self.0 = rest;
        Ok(*octet)
    }

    fn pair(&mut self) -> Result<[u8; 2], Malformed> {
        Ok([self.octet()?, self.octet()?])
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed::Field)?;
        self.0 = rest;
        Ok(taken)
    }

    fn binary(&mut self) -> Result<&'a [u8], Malformed> {
        let length = u16::from_be_bytes(self.pair()?);
        self.take(usize::from(length))
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.binary()?).map_err(|_| Malformed::Field)
    }

    /// A variable byte integer.
    fn length(&mut self) -> Result<usize, Malformed> {
        let mut length = 0;
        for place in 0..4 {
            let octet = self.octet()?;
            length |= usize::from(octet & 0x7f) << (7 * place);
            if octet & 0x80 == 0 {
                return Ok(length);
            }
        }
        Err(Malformed::Field)
    }

    /// The properties with their length; nothing in version 3.1.1.
    fn properties_of(&mut self, version: Version) -> Result<&'a [u8], Malformed> {
        if version == Version::V3 {
            return Ok(&[]);
        }
        let before = self.0;
        let length = self.length()?;
        self.take(length)?;
        before.get(..before.len() - self.0.len()).ok_or(Malformed::Field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(flags: u8, more: &[&[u8]]) -> Vec<u8> {
        let mut body = b"\x00\x04MQTT\x05".to_vec();
        body.push(flags);
        body.extend([0, 60, 5, 0x11, 0, 0, 0, 30]);
        for field in more {
            put(&mut body, field);
        }
        whole(0x10, &body)
    }

    #[test]
    fn a_connect_is_written_again_with_another_identity_and_the_same_options() {
        let octets = connect(0xc2, &[b"kiosk", b"somebody", b"token"]);
        let (packet, total) = first(&octets).unwrap().unwrap();
        assert_eq!((packet.kind, total), (kind::CONNECT, octets.len()));
        let connect = packet.connect().unwrap();
        assert_eq!((connect.client_id, connect.password), ("kiosk", Some(b"token".as_slice())));
        let rewritten = connect.under("tablet-1", Some(("door", b"secret")));
        let (packet, _) = first(&rewritten).unwrap().unwrap();
        let again = packet.connect().unwrap();
        assert_eq!((again.client_id, again.password), ("tablet-1", Some(b"secret".as_slice())));
        assert_eq!((again.properties, again.clean), (connect.properties, true));
    }

    #[test]
    fn a_last_will_is_seen_and_left_out() {
        let mut body = b"\x00\x04MQTT\x05\x06\x00\x3c\x00\x00\x01a".to_vec();
        body.push(0);
        put(&mut body, b"grelot/v1/42/arrivals");
        put(&mut body, b"{}");
        let octets = whole(0x10, &body);
        let connect = first(&octets).unwrap().unwrap().0.connect().unwrap();
        assert!(connect.has_will);
        let rewritten = connect.under("tablet", None);
        assert!(!first(&rewritten).unwrap().unwrap().0.connect().unwrap().has_will);
    }

    #[test]
    fn a_packet_counts_once_it_is_whole() {
        let octets = connect(2, &[b"kiosk"]);
        for length in 0..octets.len() {
            assert_eq!(first(&octets[..length]), Ok(None), "{length}");
        }
        assert_eq!(first(&[0x30, 0xff, 0xff, 0x7f]), Err(Malformed::TooLong));
        assert_eq!(first(&[0x30, 0xff, 0xff, 0xff, 0xff, 1]), Err(Malformed::Field));
    }

    #[test]
    fn a_publication_and_a_subscription_are_read_in_both_versions() {
        let v3 = b"\x32\x0a\x00\x03a/b\x00\x07{} ";
        let publish = first(v3).unwrap().unwrap().0.publish(Version::V3).unwrap();
        assert_eq!((publish.topic, publish.qos, publish.id), ("a/b", 1, [0, 7]));
        assert_eq!(publish.refusal(Version::V3), None);
        assert_eq!(publish.refusal(Version::V5), Some(vec![0x40, 3, 0, 7, 0x87]));
        let v5 = b"\x82\x0d\x00\x09\x00\x00\x03a/b\x01\x00\x01#\x00";
        let subscribe = first(v5).unwrap().unwrap().0.subscribe(Version::V5).unwrap();
        assert_eq!(subscribe.filters, ["a/b", "#"]);
        assert_eq!(subscribe.refusal(Version::V5), [0x90, 5, 0, 9, 0, 0x87, 0x87]);
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read_or_refused(
            octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        ) {
            if let Ok(Some((packet, total))) = first(&octets) {
                assert!(total <= octets.len());
                if let Ok(connect) = packet.connect() {
                    connect.under("x", None);
                }
                for version in [Version::V3, Version::V5] {
                    let _ = packet.publish(version);
                    let _ = packet.subscribe(version);
                }
            }
        }
    }
}
