//! Limits on the page's connections: in all, by address and by tablet.
//!
//! A connection is *unproven* until the server has answered an admitted request on it. Under
//! pressure unproven connections are closed, first the oldest of the address that holds most of
//! them, so that floods of new or silent connections do not disconnect a tablet. A proven
//! connection gives way only to newer ones of the same tablet.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Two hundred tablets, each with its event stream and a request on its way, and some to spare.
const MOST_CONNECTIONS: usize = 512;

/// Unproven connections of one address. Tablets behind one proxy share an address.
const MOST_UNPROVEN_OF_ADDRESS: usize = 32;

/// Proven connections of one tablet: twice what its browser opens, for those that are closing.
const MOST_OF_TABLET: usize = 12;

/// The connection of a staff device that speaks MQTT, to be run by the owner of all connections.
pub type DeviceConnection = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Such connections that wait for their owner.
pub const MOST_WAITING_DEVICES: usize = 32;

#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// By a number that rises with each connection: the oldest comes first.
    entries: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    proof: Proof,
    evicted: CancellationToken,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    Unproven,
    /// By a tablet's id; `None` where tablets need no pairing.
    Proven(Option<String>),
}

/// One open connection; it frees its place when dropped.
#[derive(Debug)]
pub struct Connection {
    connections: Arc<Connections>,
    id: u64,
    evicted: CancellationToken,
}

impl Connections {
    /// Takes a place for a connection from `address`. `None` if proven connections hold them all.
    pub fn open(self: &Arc<Self>, address: IpAddr) -> Option<Arc<Connection>> {
        let address = address.to_canonical();
        let mut open = self.lock();
        if open.unproven_of(address) >= MOST_UNPROVEN_OF_ADDRESS {
            open.evict_oldest(|entry| entry.is_unproven() && entry.address == address);
        }
        if open.entries.len() >= MOST_CONNECTIONS {
            let busiest = open.busiest_address()?;
            open.evict_oldest(|entry| entry.is_unproven() && entry.address == busiest);
        }
        let (id, evicted) = (open.next, CancellationToken::new());
        open.next += 1;
        let entry = Entry { address, proof: Proof::Unproven, evicted: evicted.clone() };
        open.entries.insert(id, entry);
        Some(Arc::new(Connection { connections: Arc::clone(self), id, evicted }))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn unproven_of(&self, address: IpAddr) -> usize {
        let unproven = self.entries.values().filter(|entry| entry.is_unproven());
        unproven.filter(|entry| entry.address == address).count()
    }

    /// The address with the most unproven connections.
    fn busiest_address(&self) -> Option<IpAddr> {
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for entry in self.entries.values().filter(|entry| entry.is_unproven()) {
            *counts.entry(entry.address).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(address, _)| address)
    }

    fn evict_oldest(&mut self, eligible: impl Fn(&Entry) -> bool) {
        let oldest = self.entries.iter().find(|(_, entry)| eligible(entry)).map(|(id, _)| *id);
        if let Some(entry) = oldest.and_then(|id| self.entries.remove(&id)) {
            entry.evicted.cancel();
        }
    }
}

impl Entry {
    fn is_unproven(&self) -> bool {
        self.proof == Proof::Unproven
    }
}

impl Connection {
    /// Records that an admitted request was answered, by the tablet with this id if tablets need
    /// pairing.
    pub fn prove(&self, tablet: Option<String>) {
        let mut open = self.connections.lock();
        let Some(entry) = open.entries.get_mut(&self.id) else { return };
        let proof = Proof::Proven(tablet);
        if entry.proof == proof {
            return;
        }
        entry.proof = proof.clone();
        let same = |entry: &Entry| entry.proof == proof;
        let of_tablet = open.entries.values().filter(|entry| same(entry)).count();
        if proof != Proof::Proven(None) && of_tablet > MOST_OF_TABLET {
            open.evict_oldest(same);
        }
    }

    /// Resolves when the connection must give way to another.
    pub async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.lock().entries.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 168, 0, last])
    }

    fn is_evicted(connection: &Connection) -> bool {
        connection.evicted.is_cancelled()
    }

    #[test]
    fn silent_connections_of_many_addresses_give_way_and_tablets_stay() {
        let connections = Arc::new(Connections::default());
        let tablet = connections.open(address(1)).unwrap();
        tablet.prove(Some("till".into()));
        let flood: Vec<_> = (0..1_000)
            .map(|n| connections.open(address(2 + u8::try_from(n % 200).unwrap())).unwrap())
            .collect();
        let unpaired = connections.open(address(250)).unwrap();
        assert!(!is_evicted(&tablet) && !is_evicted(&unpaired));
        let left = flood.iter().filter(|connection| !is_evicted(connection)).count();
        assert_eq!(left, MOST_CONNECTIONS - 2);
    }

    #[test]
    fn one_address_evicts_its_own_silent_connections_first() {
        let connections = Arc::new(Connections::default());
        let newcomer = connections.open(address(1)).unwrap();
        let flood: Vec<_> = (0..500).map(|_| connections.open(address(2)).unwrap()).collect();
        assert!(!is_evicted(&newcomer));
        let left = flood.iter().filter(|connection| !is_evicted(connection)).count();
        assert_eq!(left, MOST_UNPROVEN_OF_ADDRESS);
    }

    #[test]
    fn a_tablet_that_opens_more_than_its_share_loses_its_own_oldest() {
        let connections = Arc::new(Connections::default());
        let other = connections.open(address(1)).unwrap();
        other.prove(Some("other".into()));
        let greedy: Vec<_> = (0..MOST_OF_TABLET + 3)
            .map(|_| {
                let connection = connections.open(address(1)).unwrap();
                connection.prove(Some("greedy".into()));
                connection
            })
            .collect();
        let evicted: Vec<bool> = greedy.iter().map(|connection| is_evicted(connection)).collect();
        assert!(evicted[..3].iter().all(|evicted| *evicted));
        assert!(evicted[3..].iter().all(|evicted| !evicted));
        assert!(!is_evicted(&other));
    }

    #[test]
    fn a_closed_connection_frees_its_place() {
        let connections = Arc::new(Connections::default());
        let proven = |n: usize| {
            let connection = connections.open(address(1)).unwrap();
            connection.prove(Some(n.to_string()));
            connection
        };
        let mut all: Vec<_> = (0..MOST_CONNECTIONS).map(proven).collect();
        assert!(connections.open(address(2)).is_none(), "proven connections never give way");
        all.pop();
        assert!(connections.open(address(2)).is_some());
    }
}
