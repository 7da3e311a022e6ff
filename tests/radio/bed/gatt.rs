//! The GATT server of a customer's phone, as an app in the background runs it: written from the
//! protocol's description, not from grelot's code.
//!
//! Handles: 1 to 3 the GAP service every device has; 16 grelot's service with its challenge
//! (written, 18) and its answer (read, 20).

use std::time::SystemTime;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The service `47eaa099-…`; its characteristics differ in the first group.
const SERVICE: u128 = 0x47ea_a099_2cb6_416d_86dc_283c_f048_0ff9;
const CHALLENGE: u128 = 0x47ea_a09a_2cb6_416d_86dc_283c_f048_0ff9;
const ANSWER: u128 = 0x47ea_a09b_2cb6_416d_86dc_283c_f048_0ff9;

const PRIMARY_SERVICE: u16 = 0x2800;
const CHARACTERISTIC: u16 = 0x2803;
const READ: u8 = 0x02;
const WRITE: u8 = 0x08;

const INVALID_HANDLE: u8 = 0x01;
const NOT_SUPPORTED: u8 = 0x06;
const NOT_FOUND: u8 = 0x0a;

/// A phone whose app holds a store's day key.
#[derive(Clone)]
pub struct Phone {
    day_key: [u8; 16],
    nonce: Vec<u8>,
}

impl Phone {
    /// With the key as hex.
    pub fn new(day_key: &str) -> Self {
        let day_key = hex::decode(day_key).expect("the key is hex");
        Self { day_key: day_key.try_into().expect("the key has 16 octets"), nonce: Vec::new() }
    }

    /// Answers one ATT PDU; commands and confirmations get no answer.
    pub fn answer(&mut self, pdu: &[u8]) -> Option<Vec<u8>> {
        let (&opcode, rest) = pdu.split_first()?;
        let word = |at: usize| Some(u16::from_le_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
        let error = |handle: u16, code: u8| {
            let [low, high] = handle.to_le_bytes();
            Some(vec![0x01, opcode, low, high, code])
        };
        match opcode {
            // Exchange MTU: 23, as little as there is.
            0x02 => Some(vec![0x03, 23, 0]),
            0x10 if word(4)? == PRIMARY_SERVICE => {
                services(word(0)?, word(2)?).or_else(|| error(word(0)?, NOT_FOUND))
            }
            0x08 if word(4)? == CHARACTERISTIC => {
                characteristics(word(0)?, word(2)?).or_else(|| error(word(0)?, NOT_FOUND))
            }
            0x04 | 0x06 | 0x08 | 0x10 => error(word(0)?, NOT_FOUND),
            0x0a => match word(0)? {
                3 => Some(b"\x0bphone".to_vec()),
                20 => Some([&[0x0b], &self.proof()[..]].concat()),
                handle => error(handle, INVALID_HANDLE),
            },
            0x12 if word(0)? == 18 => {
                self.nonce = rest.get(2..)?.to_vec();
                Some(vec![0x13])
            }
            0x12 => error(word(0)?, INVALID_HANDLE),
            0x1e => None,
            request if request & 0x40 == 0 && request & 1 == 0 => error(0, NOT_SUPPORTED),
            _ => None,
        }
    }

    /// `01 || echo || token || first 8 octets of HMAC(day key, "grelot/1/challenge" || nonce ||
    /// echo || token)`.
    fn proof(&self) -> Vec<u8> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let window = u32::try_from(now / 600).unwrap();
        let token = self.mac(&[b"grelot/1/token", &window.to_be_bytes()]);
        let token = &token[..11];
        let echo = [0x1a];
        let proof = self.mac(&[b"grelot/1/challenge", &self.nonce, &echo, token]);
        [&[0x01], &echo[..], token, &proof[..8]].concat()
    }

    fn mac(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.day_key).expect("any length will do");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    }
}

/// Read by group type: BlueZ continues where the last answer ended, so one size of UUID in an
/// answer is enough.
fn services(from: u16, to: u16) -> Option<Vec<u8>> {
    let within = |handle: u16| (from..=to).contains(&handle);
    if within(1) {
        return Some(vec![0x11, 6, 1, 0, 3, 0, 0x00, 0x18]);
    }
    within(16).then(|| [&[0x11, 20, 16, 0, 20, 0][..], &SERVICE.to_le_bytes()].concat())
}

/// Read by type, in the same way.
fn characteristics(from: u16, to: u16) -> Option<Vec<u8>> {
    let within = |handle: u16| (from..=to).contains(&handle);
    if within(2) {
        return Some(vec![0x09, 7, 2, 0, READ, 3, 0, 0x00, 0x2a]);
    }
    let declared = [(17, WRITE, 18, CHALLENGE), (19, READ, 20, ANSWER)];
    let (at, properties, value, uuid) = declared.into_iter().find(|(at, ..)| within(*at))?;
    let [at, value]: [u8; 2] = [u8::try_from(at).unwrap(), value];
    Some([&[0x09, 21, at, 0, properties, value, 0][..], &uuid.to_le_bytes()].concat())
}
