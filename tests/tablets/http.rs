//! As much HTTP as a browser's driver and the attacks on the page need.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Result, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

pub struct Answer {
    pub status: u16,
    /// The header lines, names in small letters.
    pub head: Vec<String>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    /// The server's error code.
    pub fn problem(&self) -> Option<String> {
        let answer: Value = serde_json::from_str(&self.body).ok()?;
        Some(answer["error"].as_str()?.to_owned())
    }
}

pub fn json(port: u16, method: &str, path: &str, body: &Value) -> Result<Answer> {
    let host = format!("127.0.0.1:{port}");
    let headers = [("Host", host.as_str()), ("Content-Type", "application/json")];
    request(port, method, path, &headers, &body.to_string())
}

pub fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    if !body.is_empty() {
        write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
    }
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    stream.write_all(head.as_bytes())?;
    // A server that has read enough may have closed already.
    let _ = stream.write_all(body.as_bytes());
    read(stream)
}

/// Opens a WebSocket, sends one binary message, and returns the first one of the answer.
pub fn websocket(port: u16, path: &str, headers: &[(&str, &str)], message: &[u8]) -> Vec<u8> {
    let mut head = format!("GET {path} HTTP/1.1\r\nConnection: Upgrade\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).unwrap();
        answer.push(octet[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    // Masked with zeros: a client must mask, with any key.
    let length = u8::try_from(message.len()).unwrap();
    stream.write_all(&[&[0x82, 0x80 | length, 0, 0, 0, 0], message].concat()).unwrap();
    let mut frame = [0; 2];
    stream.read_exact(&mut frame).unwrap();
    let mut payload = vec![0; usize::from(frame[1] & 0x7f)];
    stream.read_exact(&mut payload).unwrap();
    payload
}

fn read(stream: TcpStream) -> Result<Answer> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    for line in reader.by_ref().lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        head.push(match line.split_once(':') {
            Some((name, value)) => format!("{}:{value}", name.to_ascii_lowercase()),
            None => line,
        });
    }
    let status = head.first().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
    let mut answer = Answer { status, head, body: String::new() };
    let length = answer.header("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    answer.body = String::from_utf8_lossy(&body).into_owned();
    Ok(answer)
}
