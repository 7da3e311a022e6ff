//! An MQTT 5 client that sends what a library would not.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use crate::mosquitto::PATIENCE;

/// CONNACK, PUBACK and SUBACK reason codes of MQTT 5.
pub const SUCCESS: u8 = 0x00;
pub const BAD_PASSWORD: u8 = 0x86;
pub const NOT_AUTHORIZED: u8 = 0x87;
pub const BAD_CLIENT_ID: u8 = 0x85;
pub const QUOTA_EXCEEDED: u8 = 0x97;
pub const GRANTED: u8 = 0x01;

pub struct Client {
    stream: TcpStream,
    next_id: u16,
}

/// TCP, and not an octet more.
pub fn silent(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

impl Client {
    /// Connects and logs in; the reason code where it is refused, an error where it is not
    /// answered.
    pub fn log_in(port: u16, id: &str, login: (&str, &str)) -> io::Result<Result<Self, u8>> {
        Self::connect(port, id, login, None)
    }

    /// The same with a retained last will on that topic.
    pub fn with_will(
        port: u16,
        id: &str,
        login: (&str, &str),
        will: &str,
    ) -> io::Result<Result<Self, u8>> {
        Self::connect(port, id, login, Some(will))
    }

    fn connect(
        port: u16,
        id: &str,
        (username, password): (&str, &str),
        will: Option<&str>,
    ) -> io::Result<Result<Self, u8>> {
        let mut client = Self { stream: silent(port)?, next_id: 1 };
        let mut body = text("MQTT");
        let flags = 0xc2 | if will.is_some() { 0x2c } else { 0 };
        body.extend([5, flags, 0, 60, 0]);
        body.extend(text(id));
        if let Some(topic) = will {
            body.push(0);
            body.extend(text(topic));
            body.extend(text("forged"));
        }
        body.extend(text(username));
        body.extend(text(password));
        client.send(0x10, &body)?;
        let (kind, answer) = client.receive()?;
        assert_eq!(kind >> 4, 2, "a CONNACK");
        Ok(if answer[1] == SUCCESS { Ok(client) } else { Err(answer[1]) })
    }

    /// Publishes with `QoS` 1; the reason code of the acknowledgement.
    pub fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) -> io::Result<u8> {
        let mut body = text(topic);
        body.extend(self.id());
        body.push(0);
        body.extend(payload);
        self.send(0x32 | u8::from(retain), &body)?;
        let answer = self.answer(4)?;
        Ok(answer.get(2).copied().unwrap_or(SUCCESS))
    }

    /// Subscribes with `QoS` 1; the reason code.
    pub fn subscribe(&mut self, filter: &str) -> io::Result<u8> {
        let mut body = self.id().to_vec();
        body.push(0);
        body.extend(text(filter));
        body.push(1);
        self.send(0x82, &body)?;
        let answer = self.answer(9)?;
        Ok(*answer.last().unwrap())
    }

    /// Whether the broker closes the connection on these octets.
    pub fn is_closed_by(&mut self, octets: &[u8]) -> bool {
        self.stream.write_all(octets).is_err() || self.answer(13).is_err()
    }

    fn id(&mut self) -> [u8; 2] {
        self.next_id += 1;
        self.next_id.to_be_bytes()
    }

    /// The next packet of that type; others are passed over.
    fn answer(&mut self, wanted: u8) -> io::Result<Vec<u8>> {
        loop {
            let (kind, body) = self.receive()?;
            if kind >> 4 == wanted {
                return Ok(body);
            }
        }
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let mut packet = vec![kind];
        let mut rest = body.len();
        loop {
            let digit = u8::try_from(rest % 128).unwrap();
            rest /= 128;
            packet.push(if rest > 0 { digit | 0x80 } else { digit });
            if rest == 0 {
                break;
            }
        }
        packet.extend(body);
        self.stream.write_all(&packet)
    }

    fn receive(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let kind = self.octet()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let octet = self.octet()?;
            length |= usize::from(octet & 0x7f) << shift;
            shift += 7;
            if octet & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((kind, body))
    }

    fn octet(&mut self) -> io::Result<u8> {
        let mut octet = [0];
        self.stream.read_exact(&mut octet)?;
        Ok(octet[0])
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut octets = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    octets.extend(text.as_bytes());
    octets
}
