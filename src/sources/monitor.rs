//! The second capture path: the kernel's HCI monitor channel, which carries a copy of every packet
//! that any controller exchanges with the host.
//!
//! Advertisements come as they were on the air, independent of BlueZ, and without cost for BlueZ.
//! The socket's filter passes advertising reports only: link keys, pairing and data of other
//! programs' connections never reach this process. Only a process with `CAP_NET_RAW` can open it;
//! the daemon has none and asks a helper that has it ([`handover`]).

pub mod handover;
mod socket;

use std::io::{self, Read as _};
use std::time::Duration;

use socket2::Socket;
use tokio::io::unix::AsyncFd;

use super::chains::Chains;
use super::hci;
use super::report::Report;
use crate::clock::Clocks;
use crate::pipeline::units::Tick;

/// A monitor packet's header: opcode, adapter, length; 16 bits each, least significant octet first
/// (Linux, `struct hci_mon_hdr`).
const HEADER: usize = 6;

/// The longest HCI event is 257 octets.
const LONGEST_PACKET: usize = 512;

/// Packets that come within this time of the first are read together, because a wake-up costs more
/// than a read. The kernel's buffer holds some 270 of them, a tenth of a second of the densest air.
const BATCH: Duration = Duration::from_millis(10);

/// An open monitor channel.
#[derive(Debug)]
pub struct Monitor {
    socket: AsyncFd<Socket>,
    clocks: Clocks,
    chains: Chains,
    dropped: u32,
}

impl Monitor {
    /// Opens the channel, by the helper where this process may not.
    ///
    /// # Errors
    /// The kernel has no Bluetooth; or the process has no `CAP_NET_RAW` (`PermissionDenied`), and the
    /// helper is not installed or does not answer.
    pub async fn open(clocks: Clocks) -> io::Result<Self> {
        let socket = match socket::connect() {
            Err(error) if is_refused(&error) => handover::ask().await?,
            opened => opened?,
        };
        let socket = socket::register(socket)?;
        Ok(Self { socket, clocks, chains: Chains::default(), dropped: 0 })
    }

    /// Passes every report to `receive`, with the number of its adapter, until the channel fails;
    /// and to `lose` how many more the kernel had no room for.
    pub async fn listen(
        &mut self,
        mut receive: impl FnMut(u16, Report<'_>),
        mut lose: impl FnMut(u64),
    ) -> io::Error {
        loop {
            let mut ready = match self.socket.readable_mut().await {
                Ok(ready) => ready,
                Err(error) => return error,
            };
            let (chains, at) = (&mut self.chains, now(&self.clocks));
            let read = ready.try_io(|socket| read_all(socket.get_mut(), chains, at, &mut receive));
            if let Ok(Err(error)) = read {
                return error;
            }
            drop(ready);
            let dropped = socket::dropped(self.socket.get_ref());
            lose(dropped.wrapping_sub(std::mem::replace(&mut self.dropped, dropped)).into());
            tokio::time::sleep(BATCH).await;
        }
    }

    /// Passes what has come and was not read to `receive`.
    pub fn drain(&mut self, mut receive: impl FnMut(u16, Report<'_>)) {
        let at = now(&self.clocks);
        // It ends with an error when nothing is left.
        let _ = read_all(self.socket.get_mut(), &mut self.chains, at, &mut receive);
    }
}

fn now(clocks: &Clocks) -> Duration {
    clocks.now().tick.since(Tick::ZERO)
}

/// Whether this process may not open the channel: it has no capability, or systemd allows it no
/// such socket.
fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
        || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// Reads until nothing is left.
fn read_all(
    socket: &mut Socket,
    chains: &mut Chains,
    at: Duration,
    receive: &mut impl FnMut(u16, Report<'_>),
) -> io::Result<()> {
    let mut packet = [0; LONGEST_PACKET];
    loop {
        let length = socket.read(&mut packet)?;
        let packet = packet.get(..length).unwrap_or_default();
        let Some((&[_, _, low, high, _, _], event)) = packet.split_first_chunk::<HEADER>() else {
            continue;
        };
        let index = u16::from_le_bytes([low, high]);
        // A truncated report is the controller's fault; the next one may be valid.
        for report in hci::reports(event).flatten() {
            if let Some(whole) = chains.join(index.into(), at, report) {
                receive(index, whole);
            }
        }
    }
}
