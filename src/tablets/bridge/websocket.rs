//! The server's side of WebSocket (RFC 6455), as far as MQTT needs it: binary messages in both
//! directions, of bounded length, without extensions.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What a key is hashed with (RFC 6455, section 1.3).
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Octets of a message, and of all that is read ahead.
const LONGEST: usize = 16 * 1024;

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Why there are no more messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The client closed the connection, or it broke.
    #[error("the connection is closed")]
    Closed,
    /// A frame that is too long, not masked, or of another kind.
    #[error("a frame breaks the protocol")]
    Protocol,
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A binary message, or a part of one.
    Message(Vec<u8>),
    /// To be answered with [`WebSocket::pong`].
    Ping(Vec<u8>),
}

pub struct WebSocket {
    io: TokioIo<Upgraded>,
    /// What was read and is no whole frame yet.
    read: Vec<u8>,
    /// Binary messages may come in fragments; MQTT takes no notice of where a message ends.
    within_message: bool,
}

/// The answer to a client that wants to speak `protocol`; `None` where the request is none.
pub fn accept(headers: &HeaderMap, protocol: &'static str) -> Option<Response> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let lists = |name: HeaderName, word: &str| {
        text(name)
            .is_some_and(|list| list.split(',').any(|it| it.trim().eq_ignore_ascii_case(word)))
    };
    let key = text(header::SEC_WEBSOCKET_KEY)?;
    let is_upgrade = lists(header::UPGRADE, "websocket")
        && lists(header::CONNECTION, "upgrade")
        && text(header::SEC_WEBSOCKET_VERSION) == Some("13")
        && lists(header::SEC_WEBSOCKET_PROTOCOL, protocol)
        && STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16);
    if !is_upgrade {
        return None;
    }
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{MAGIC}").as_bytes());
    let head = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, STANDARD.encode(hash))
        .header(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    head.body(Body::empty()).ok()
}

impl WebSocket {
    /// The connection after the upgrade.
    pub fn new(upgraded: Upgraded) -> Self {
        Self { io: TokioIo::new(upgraded), read: Vec::new(), within_message: false }
    }

    /// What the client sends next. Cancelling it loses nothing.
    ///
    /// # Errors
    /// If the connection ends or the client breaks the protocol.
    pub async fn receive(&mut self) -> Result<Received, Ended> {
        loop {
            if let Some(frame) = Frame::take(&mut self.read)? {
                match (frame.kind, self.within_message) {
                    (BINARY, false) | (CONTINUATION, true) => {
                        self.within_message = !frame.last;
                        return Ok(Received::Message(frame.payload));
                    }
                    (PING, _) => return Ok(Received::Ping(frame.payload)),
                    (PONG, _) => {}
                    (CLOSE, _) => return Err(Ended::Closed),
                    _ => return Err(Ended::Protocol),
                }
                continue;
            }
            let length = self.io.read_buf(&mut self.read).await.map_err(|_| Ended::Closed)?;
            if length == 0 {
                return Err(Ended::Closed);
            }
        }
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// If the connection is broken.
    pub async fn send(&mut self, message: &[u8]) -> Result<(), Ended> {
        self.send_frame(BINARY, message).await
    }

    /// Answers a ping.
    ///
    /// # Errors
    /// If the connection is broken.
    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), Ended> {
        self.send_frame(PONG, payload).await
    }

    pub async fn close(&mut self) {
        // The client may be gone.
        let _ = self.send_frame(CLOSE, &[]).await;
        let _ = self.io.shutdown().await;
    }

    async fn send_frame(&mut self, kind: u8, payload: &[u8]) -> Result<(), Ended> {
        let mut frame = vec![0x80 | kind];
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(length @ 0..126), _) => frame.push(length),
            (_, Ok(length)) => {
                frame.push(126);
                frame.extend(length.to_be_bytes());
            }
            _ => return Err(Ended::Protocol),
        }
        frame.extend(payload);
        self.io.write_all(&frame).await.map_err(|_| Ended::Closed)?;
        self.io.flush().await.map_err(|_| Ended::Closed)
    }
}

/// One frame of a client.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    last: bool,
    payload: Vec<u8>,
}

impl Frame {
    /// Takes the first frame out of `octets`; `None` while it is not whole.
    fn take(octets: &mut Vec<u8>) -> Result<Option<Self>, Ended> {
        let &[first, second, ..] = octets.as_slice() else { return Ok(None) };
        let (last, reserved, kind) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
        let (masked, short) = (second & 0x80 != 0, usize::from(second & 0x7f));
        let is_control = kind >= CLOSE;
        // A client masks; control frames are short and whole; lengths of 64 bits are too long.
        if !masked || reserved != 0 || short == 127 || (is_control && (short > 125 || !last)) {
            return Err(Ended::Protocol);
        }
        let (length, head) = match (short, octets.get(2..4)) {
            (126, Some(&[a, b])) => (usize::from(u16::from_be_bytes([a, b])), 4),
            (126, _) => return Ok(None),
            (short, _) => (short, 2),
        };
        if length > LONGEST {
            return Err(Ended::Protocol);
        }
        let (Some(mask), Some(payload)) =
            (octets.get(head..head + 4), octets.get(head + 4..head + 4 + length))
        else {
            return Ok(None);
        };
        let payload =
            payload.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask).collect();
        octets.drain(..head + 4 + length);
        Ok(Some(Self { kind, last, payload }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 8, 9, 10];
        let length = u16::try_from(payload.len()).unwrap();
        let mut octets = vec![first];
        if let Ok(short @ 0..126) = u8::try_from(length) {
            octets.push(0x80 | short);
        } else {
            octets.push(0xfe);
            octets.extend(length.to_be_bytes());
        }
        octets.extend(mask);
        octets.extend(payload.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask));
        octets
    }

    #[test]
    fn frames_are_taken_one_after_the_other_once_they_are_whole() {
        let long = vec![3; 300];
        let mut octets = [frame(0x82, b"abc"), frame(0x02, &long)].concat();
        let all = octets.clone();
        let first = Frame::take(&mut octets).unwrap().unwrap();
        assert_eq!(
            (first.kind, first.last, first.payload.as_slice()),
            (2, true, b"abc".as_slice())
        );
        let second = Frame::take(&mut octets).unwrap().unwrap();
        assert_eq!((second.last, second.payload), (false, long));
        assert_eq!(Frame::take(&mut octets), Ok(None));
        for length in 0..9 {
            assert_eq!(Frame::take(&mut all[..length].to_vec()), Ok(None), "{length}");
        }
    }

    #[test]
    fn what_breaks_the_protocol_ends_the_connection() {
        for octets in [
            vec![0x82, 3, 1, 2, 3],                   // not masked
            vec![0xc2, 0x83, 1, 2, 3, 4, 5, 6, 7],    // an extension
            vec![0x82, 0xff, 0, 0, 0, 0, 1, 0, 0, 0], // 64 bits long
            vec![0x82, 0xfe, 0xff, 0xff, 1, 2, 3, 4], // longer than a packet
            vec![0x09, 0x80, 1, 2, 3, 4],             // a ping in fragments
        ] {
            assert_eq!(Frame::take(&mut octets.clone()), Err(Ended::Protocol), "{octets:?}");
        }
    }

    #[test]
    fn the_handshake_is_the_specifications() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "mqtt, mqttv3.1"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let answer = accept(&headers, "mqtt").unwrap();
        let accepted = answer.headers().get("sec-websocket-accept").unwrap();
        assert_eq!(accepted, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(accept(&headers, "chat").is_none());
        headers.remove("upgrade");
        assert!(accept(&headers, "mqtt").is_none());
    }
}
