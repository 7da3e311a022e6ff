//! A raw HCI socket on the monitor channel, behind a filter.
//!
//! No safe library knows the address of an HCI socket: this file holds the only `unsafe` code of
//! the program.

use std::io;
use std::os::fd::AsRawFd as _;

use libc::{sock_filter, sock_fprog};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use tokio::io::unix::AsyncFd;

/// `AF_BLUETOOTH`, `BTPROTO_HCI`, `HCI_DEV_NONE`, `HCI_CHANNEL_MONITOR` of Linux.
const AF_BLUETOOTH: u16 = 31;
const BTPROTO_HCI: i32 = 1;
const HCI_DEV_NONE: u16 = 0xffff;
const HCI_CHANNEL_MONITOR: u16 = 2;

/// `struct sockaddr_hci` of Linux.
#[repr(C)]
struct HciAddress {
    family: u16,
    device: u16,
    channel: u16,
}

/// Puts an open channel on the current runtime.
///
/// # Errors
/// The runtime cannot watch one more descriptor.
#[expect(unsafe_code, reason = "tokio cannot see that a socket keeps its descriptor")]
pub fn register(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    // SAFETY: the socket owns its descriptor, always gives the same one, and keeps it open until
    // it is dropped, which the `AsyncFd` that owns it does last.
    Ok(unsafe { AsyncFd::register(socket) }?)
}

/// Opens the channel. The filter is attached before any packet can come, and locked.
///
/// # Errors
/// This process may not open the channel, or the kernel has none.
pub fn connect() -> io::Result<Socket> {
    let family = Domain::from(i32::from(AF_BLUETOOTH));
    let socket = Socket::new(family, Type::RAW, Some(Protocol::from(BTPROTO_HCI)))?;
    socket.set_nonblocking(true)?;
    attach(&socket, &advertising_reports_only())?;
    lock_filter(&socket)?;
    socket.bind(&monitor())?;
    Ok(socket)
}

#[expect(unsafe_code, reason = "socket2 has no safe constructor for addresses it does not know")]
fn monitor() -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    let address =
        HciAddress { family: AF_BLUETOOTH, device: HCI_DEV_NONE, channel: HCI_CHANNEL_MONITOR };
    // SAFETY: `HciAddress` is laid out as the kernel's `sockaddr_hci`, begins with its family as
    // every socket address does, and is far smaller than the storage, all of which is
    // initialised; the length given is the address's own.
    unsafe {
        *storage.view_as::<HciAddress>() = address;
        #[expect(clippy::cast_possible_truncation, reason = "six octets")]
        SockAddr::new(storage, size_of::<HciAddress>() as _)
    }
}

/// Attaches `filter` to `socket`: only packets that pass it can be read.
fn attach(socket: &Socket, filter: &[sock_filter; 9]) -> io::Result<()> {
    let program = sock_fprog { len: 9, filter: filter.as_ptr().cast_mut() };
    set_option(socket, libc::SO_ATTACH_FILTER, &program)
}

/// After this no process can change or remove the filter of `socket`, not even root.
fn lock_filter(socket: &Socket) -> io::Result<()> {
    set_option(socket, libc::SO_LOCK_FILTER, &1_i32)
}

/// `value` is what the kernel expects of the option: a `sock_fprog` whose filter is alive, or an
/// `int`.
#[expect(
    unsafe_code,
    reason = "socket2 attaches filters only with features that nothing else needs"
)]
fn set_option<T>(socket: &Socket, option: libc::c_int, value: &T) -> io::Result<()> {
    #[expect(clippy::cast_possible_truncation, reason = "sixteen octets at most")]
    let size = size_of::<T>() as libc::socklen_t;
    // SAFETY: the descriptor is open as long as `socket` is borrowed; the kernel reads at most the
    // size given, which is the value's; a `sock_fprog`'s pointer and length are a live array's,
    // which the kernel copies and does not write to.
    let set = unsafe {
        let value = std::ptr::from_ref(value).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, size)
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Number of packets that came while the socket's buffer was full, since it was opened; wraps.
#[expect(unsafe_code, reason = "socket2 does not know this option")]
pub fn dropped(socket: &Socket) -> u32 {
    /// `SK_MEMINFO_VARS` of Linux; the last of them is `SK_MEMINFO_DROPS`.
    const COUNTS: usize = 9;
    let mut counts = [0_u32; COUNTS];
    #[expect(clippy::cast_possible_truncation, reason = "36 octets")]
    let mut size = size_of_val(&counts) as libc::socklen_t;
    // SAFETY: the descriptor is open as long as `socket` is borrowed; the kernel writes at most
    // the size given, which is the array's, and any bits are a valid `u32`.
    let result = unsafe {
        let (value, size) = (counts.as_mut_ptr().cast(), &raw mut size);
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, value, size)
    };
    // Kernels before 4.12 do not report it.
    if result == 0 { counts[COUNTS - 1] } else { 0 }
}

/// Classic BPF over the monitor packet: opcode (2 octets), adapter (2), length (2), and for an
/// event its code, its length, and for an LE meta event the subevent.
fn advertising_reports_only() -> [sock_filter; 9] {
    /// `BPF_LD | BPF_ABS`, a half-word or an octet.
    const LOAD_HALF: u16 = 0x28;
    const LOAD_OCTET: u16 = 0x30;
    /// `BPF_JMP | BPF_JEQ | BPF_K`: compares and jumps.
    const IF_EQUAL: u16 = 0x15;
    /// `BPF_RET | BPF_K`: ends the filter with the number of octets to pass.
    const RETURN: u16 = 0x06;
    /// `HCI_MON_EVENT_PKT` (3), least significant octet first, as the filter's loads see it.
    const EVENT: u32 = 0x0300;
    const LE_META: u32 = 0x3e;
    const ADVERTISING_REPORT: u32 = 0x02;
    const EXTENDED_ADVERTISING_REPORT: u32 = 0x0d;
    const WHOLE: u32 = 0xffff_ffff;
    [
        instruction(LOAD_HALF, 0, 0, 0),
        instruction(IF_EQUAL, 0, 6, EVENT),
        instruction(LOAD_OCTET, 0, 0, 6),
        instruction(IF_EQUAL, 0, 4, LE_META),
        instruction(LOAD_OCTET, 0, 0, 8),
        instruction(IF_EQUAL, 1, 0, ADVERTISING_REPORT),
        instruction(IF_EQUAL, 0, 1, EXTENDED_ADVERTISING_REPORT),
        instruction(RETURN, 0, 0, WHOLE),
        instruction(RETURN, 0, 0, 0),
    ]
}

/// `jt` and `jf`: how many instructions to skip when the condition holds, and when not.
const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    /// An event of 3 parameters, as the monitor carries it from `hci1`.
    fn event(opcode: u8, code: u8, subevent: u8) -> Vec<u8> {
        vec![opcode, 0, 1, 0, 5, 0, code, 3, subevent, 0, 0]
    }

    #[test]
    fn what_found_no_room_is_counted() {
        let receiver = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        receiver.set_recv_buffer_size(4_096).unwrap();
        receiver.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let sender = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        sender.connect(&receiver.local_addr().unwrap()).unwrap();
        assert_eq!(dropped(&receiver), 0);
        (0..100).for_each(|_| assert_eq!(sender.send(&[0; 256]).unwrap(), 256));
        let lost = dropped(&receiver);
        receiver.set_nonblocking(true).unwrap();
        let count = std::iter::from_fn(|| (&receiver).read(&mut [0; 256]).ok()).count();
        assert_eq!(count + usize::try_from(lost).unwrap(), 100);
        assert!(lost > 0);
    }

    #[test]
    fn a_locked_filter_cannot_be_changed_or_taken_away() {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        attach(&socket, &advertising_reports_only()).unwrap();
        lock_filter(&socket).unwrap();
        let changed = attach(&socket, &advertising_reports_only());
        assert_eq!(changed.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        for (option, value) in [(libc::SO_DETACH_FILTER, 0), (libc::SO_LOCK_FILTER, 0)] {
            let done = set_option(&socket, option, &value);
            assert_eq!(done.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        }
    }

    #[test]
    fn the_kernel_passes_advertising_reports_only() {
        let (mut kernel, mut receiver) = Socket::pair(Domain::UNIX, Type::DGRAM, None).unwrap();
        attach(&receiver, &advertising_reports_only()).unwrap();
        let reports = [event(3, 0x3e, 0x02), event(3, 0x3e, 0x0d)];
        kernel.write_all(&reports[0]).unwrap();
        // A command, ACL data either way, a vendor's event, a link key, an LE connection, an LE
        // long term key request, a system note, packets cut short.
        for other in [
            event(2, 0x3e, 0x02),
            event(4, 0x3e, 0x02),
            event(5, 0x3e, 0x02),
            event(3, 0xff, 0x02),
            event(3, 0x18, 0x02),
            event(3, 0x3e, 0x01),
            event(3, 0x3e, 0x05),
            event(12, 0x3e, 0x02),
            vec![3, 0, 1, 0, 1, 0, 0x3e],
            vec![3],
        ] {
            // The sender of a datagram that is filtered away gets no error.
            kernel.write_all(&other).unwrap();
        }
        kernel.write_all(&reports[1]).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let mut came = Vec::new();
        let mut packet = [0; 64];
        while let Ok(length) = receiver.read(&mut packet) {
            came.push(packet[..length].to_vec());
        }
        assert_eq!(came, reports);
    }
}
