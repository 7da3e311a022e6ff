//! The answers of an emulated controller to the kernel (Core, Vol 4 Part E 7), and the events that
//! it sends by itself.

use super::scenario::ControllerKind;

/// H4 packet indicators (Core, Vol 4 Part A 2).
pub const COMMAND: u8 = 1;
pub const ACL_DATA: u8 = 2;
const EVENT: u8 = 4;

/// The controllers' own addresses, least significant octet first: 00:F0:0D:00:00:0n.
pub fn own_address(number: u8) -> [u8; 6] {
    [number + 1, 0, 0, 0x0d, 0xf0, 0x00]
}

fn event(code: u8, parameters: &[u8]) -> Vec<u8> {
    let length = u8::try_from(parameters.len()).unwrap();
    [&[EVENT, code, length], parameters].concat()
}

/// An LE meta event packet.
pub fn le_event(subevent: u8, parameters: &[u8]) -> Vec<u8> {
    event(0x3e, &[&[subevent], parameters].concat())
}

/// Command complete, with a status of success.
pub fn complete(opcode: u16, result: &[u8]) -> Vec<u8> {
    let [low, high] = opcode.to_le_bytes();
    event(0x0e, &[&[1, low, high, 0], result].concat())
}

/// Command complete, with the status "command disallowed".
pub fn refused(opcode: u16) -> Vec<u8> {
    let [low, high] = opcode.to_le_bytes();
    event(0x0e, &[1, low, high, 0x0c])
}

/// Command status, with the status "pending".
pub fn begun(opcode: u16) -> Vec<u8> {
    let [low, high] = opcode.to_le_bytes();
    event(0x0f, &[0, 1, low, high])
}

pub fn inquiry_complete() -> Vec<u8> {
    event(0x01, &[0])
}

/// Disconnection complete, by the local host.
pub fn disconnected(handle: [u8; 2]) -> Vec<u8> {
    event(0x05, &[0, handle[0], handle[1], 0x16])
}

/// Number of completed packets: one.
pub fn packet_sent(handle: [u8; 2]) -> Vec<u8> {
    event(0x13, &[1, handle[0], handle[1] & 0x0f, 1, 0])
}

/// Read remote version complete: Bluetooth 4.2, the test company.
pub fn remote_version(handle: [u8; 2]) -> Vec<u8> {
    event(0x0c, &[0, handle[0], handle[1], 0x08, 0xf1, 0x05, 0, 0])
}

/// LE connection complete, as central, to `peer` (type and address as in the command).
pub fn connected([low, high]: [u8; 2], peer: &[u8]) -> Vec<u8> {
    let tail = [0x18, 0, 0, 0, 0x2a, 0, 0];
    le_event(0x01, &[&[0, low, high, 0x00], peer, &tail].concat())
}

/// The host cancelled an attempt to connect (Core, Vol 1 Part F 2).
pub const UNKNOWN_CONNECTION: u8 = 0x02;
/// The phone did not answer on the new connection.
pub const FAILED_TO_ESTABLISH: u8 = 0x3e;

/// LE connection complete, with an error in place of a connection.
pub fn not_connected(status: u8, peer: &[u8]) -> Vec<u8> {
    le_event(0x01, &[&[status, 0, 0, 0x00], peer, &[0; 7]].concat())
}

/// One advertising report; `kind` is the legacy event type.
pub fn report(extended: bool, kind: u8, address: &[u8; 6], data: &[u8], rssi: i8) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap();
    let [rssi] = rssi.to_le_bytes();
    if !extended {
        return le_event(0x02, &[&[1, kind, 1], &address[..], &[length], data, &[rssi]].concat());
    }
    let kind = match kind {
        0 => 0x13,
        2 => 0x12,
        4 => 0x1b,
        _ => 0x10,
    };
    let place = [1, 0, 0xff, 0x7f, rssi, 0, 0, 0, 0, 0, 0, 0, 0, 0, length];
    le_event(0x0d, &[&[1, kind, 0, 1], &address[..], &place, data].concat())
}

/// The answer to a query of the controller's abilities; `None` for all other commands, which only
/// need a "complete".
pub fn ability(
    opcode: u16,
    parameters: &[u8],
    kind: ControllerKind,
    number: u8,
) -> Option<Vec<u8>> {
    let version = if kind.extended { 0x09 } else { 0x08 };
    Some(match opcode {
        0x1001 => vec![version, 0, 0, version, 0xf1, 0x05, 0, 0],
        0x1002 => commands(kind).to_vec(),
        0x1003 => features(kind).to_vec(),
        0x1004 => extended_features(parameters.first().copied().unwrap_or(0), kind),
        0x1005 => vec![0xc0, 0, 0, 8, 0, 0, 0],
        0x1009 => own_address(number).to_vec(),
        0x2002 => vec![0xfb, 0, 8],
        0x2003 => vec![0, if kind.extended { 0x10 } else { 0 }, 0, 0, 0, 0, 0, 0],
        0x2007 => vec![0],
        0x200f | 0x202a => vec![8],
        0x2018 => vec![0x5a; 8],
        0x201c => vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x03, 0, 0],
        0x2023 => vec![0x1b, 0, 0x48, 0x01],
        0x202f => vec![0xfb, 0, 0x48, 0x08, 0xfb, 0, 0x48, 0x08],
        0x203a => vec![0xfb, 0],
        0x203b => vec![1],
        0x0c12 => vec![0, 0],
        0x0c14 => [&b"bed"[..], &[0; 245]].concat(),
        0x0c1b => vec![0, 8, 0x12, 0],
        0x0c23 => vec![0, 0, 0],
        0x0c25 => vec![0x60, 0],
        0x0c38 => vec![2],
        0x0c39 => vec![1, 0x33, 0x8b, 0x9e],
        0x0c3d | 0x0c43 | 0x0c46 | 0x0c55 | 0x0c58 => vec![0],
        0x0c0d => vec![0xff, 0xff, 0, 0],
        0x080e => vec![0, 0],
        0x1405 => vec![parameters.first().copied()?, parameters.get(1).copied()?, 0xc4],
        _ => return None,
    })
}

/// Supported commands: what Linux asks for before it scans, advertises and connects.
fn commands(kind: ControllerKind) -> [u8; 64] {
    let mut commands = [0; 64];
    let mut set =
        |octets: &[(usize, u8)]| octets.iter().for_each(|(at, bits)| commands[*at] = *bits);
    set(&[(5, 0xc0), (14, 0xe8), (15, 0x02), (25, 0xf7), (26, 0xff), (27, 0xff), (28, 0x0f)]);
    if kind.extended {
        set(&[(37, 0x60)]);
    }
    if kind.dual {
        set(&[(0, 0xff), (1, 0xff), (2, 0xff), (6, 0xff), (7, 0xff), (8, 0xff), (9, 0xff)]);
        set(&[(12, 0xff), (13, 0x03), (17, 0x07), (18, 0x08), (24, 0x60)]);
    }
    commands
}

fn features(kind: ControllerKind) -> [u8; 8] {
    if kind.dual {
        [0xa4, 0x08, 0, 0xc0, 0x58, 0x1e, 0x7b, 0x83]
    } else {
        // LE supported, BR/EDR not.
        [0, 0, 0, 0, 0x60, 0, 0, 0]
    }
}

fn extended_features(page: u8, kind: ControllerKind) -> Vec<u8> {
    let page_features = match page {
        0 => features(kind),
        1 => [0x02 | u8::from(kind.dual), 0, 0, 0, 0, 0, 0, 0],
        _ => [0; 8],
    };
    [&[page, 1], &page_features[..]].concat()
}
