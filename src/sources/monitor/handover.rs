//! How a process without `CAP_NET_RAW` gets an open HCI monitor.
//!
//! `grelot-monitor.socket` listens at [`SOCKET`], for the service's user alone. For each connection
//! systemd starts a helper (`grelot open-monitor`) with `CAP_NET_RAW` and nothing else. It opens
//! the channel behind a filter that is locked, passes the descriptor over the connection, and
//! exits.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use socket2::Socket;
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::socket;

/// The path at which systemd listens.
pub const SOCKET: &str = "/run/grelot-monitor.sock";

/// Timeout for the helper: systemd starts it first, which takes a second on a slow machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the helper for an open channel.
///
/// # Errors
/// There is no helper (`PermissionDenied`), or it did not answer, or could not open the channel.
pub async fn ask() -> io::Result<Socket> {
    let connection = UnixStream::connect(SOCKET).await.map_err(|error| {
        let why = format!("no CAP_NET_RAW, and no helper at {SOCKET}: {error}");
        io::Error::new(io::ErrorKind::PermissionDenied, why)
    })?;
    let received = tokio::time::timeout(PATIENCE, receive(&connection)).await;
    received.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map(Socket::from)
}

/// The descriptor that comes over `connection`.
async fn receive(connection: &UnixStream) -> io::Result<OwnedFd> {
    connection.async_io(Interest::READABLE, || receive_one(connection)).await
}

fn receive_one(connection: &impl AsFd) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut octet = [0];
    let mut octets = [IoSliceMut::new(&mut octet)];
    recvmsg(connection, &mut octets, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let passed = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    passed.ok_or_else(|| {
        io::Error::other(
            "the helper could not open the HCI monitor: journalctl -u 'grelot-monitor@*'",
        )
    })
}

/// Opens the channel and passes it over `connection`: all that the helper does.
///
/// # Errors
/// The channel cannot be opened: no `CAP_NET_RAW`, or no Bluetooth in the kernel; or the caller is
/// gone.
pub fn open_for(connection: impl AsFd) -> io::Result<()> {
    send(connection, socket::connect()?)
}

fn send(connection: impl AsFd, descriptor: impl AsFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    // The kernel passes descriptors only together with at least one octet.
    sendmsg(connection, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Type};
    use std::io::{Read as _, Write as _};

    #[tokio::test]
    async fn an_open_socket_is_passed_to_another_process() {
        let (helper, daemon) = std::os::unix::net::UnixStream::pair().unwrap();
        let (mut kernel, monitor) = Socket::pair(Domain::UNIX, Type::DGRAM, None).unwrap();
        send(&helper, monitor).unwrap();
        daemon.set_nonblocking(true).unwrap();
        let connection = UnixStream::from_std(daemon).unwrap();

        let mut passed = Socket::from(receive(&connection).await.unwrap());

        kernel.write_all(b"report").unwrap();
        let mut packet = [0; 16];
        assert_eq!(passed.read(&mut packet).unwrap(), 6);
    }

    #[tokio::test]
    async fn a_helper_that_ends_without_a_descriptor_is_an_error() {
        let (helper, daemon) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(helper);
        daemon.set_nonblocking(true).unwrap();
        let connection = UnixStream::from_std(daemon).unwrap();
        assert!(receive(&connection).await.unwrap_err().to_string().contains("helper"));
    }
}
