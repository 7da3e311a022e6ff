//! Connections before and after their login: how many, from where, for how long, and how many
//! passwords an address may try.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A client sends CONNECT at once; a connection without a login is closed after this.
pub(super) const LOGIN_WITHIN: Duration = Duration::from_secs(5);

/// Connections without a login. Beyond it the oldest is closed, so that a client that logs in
/// at once gets in beside any number of silent ones.
const MAX_PENDING: usize = 128;

/// The same from one address.
const MAX_PENDING_PER_ADDRESS: usize = 32;

/// Logged-in connections: tablets of a shop, tools of IT, other gateways.
const MAX_CLIENTS: usize = 256;

/// The same of one login, the gateway's own excepted.
const MAX_CLIENTS_PER_LOGIN: usize = 64;

/// Wrong passwords that an address may send at once...
const GUESSES: u32 = 10;

/// ... and then one each second.
const GUESS_EVERY: Duration = Duration::from_secs(1);

/// Addresses whose wrong passwords are counted.
const MAX_GUESSERS: usize = 1_024;

/// Every connection of the broker.
#[derive(Debug, Default)]
pub(super) struct Admission(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    connections: BTreeMap<SocketAddr, Connection>,
    accepted: u64,
    /// When an address has been forgiven all its wrong passwords.
    guessers: BTreeMap<IpAddr, Instant>,
}

#[derive(Debug)]
struct Connection {
    /// Grows with each connection.
    number: u64,
    /// The login, once there is one.
    login: Option<String>,
    closed: CancellationToken,
}

/// A connection's place; given back when dropped.
pub(super) struct Place {
    admission: Arc<Admission>,
    address: SocketAddr,
    number: u64,
    closed: CancellationToken,
}

impl Admission {
    /// A place for a new connection; an older one that has not logged in may lose its own.
    pub(super) fn enter(self: &Arc<Self>, address: SocketAddr) -> Place {
        let mut state = self.state();
        state.make_room(address.ip());
        state.accepted += 1;
        let (number, closed) = (state.accepted, CancellationToken::new());
        let connection = Connection { number, login: None, closed: closed.clone() };
        state.connections.insert(address, connection);
        Place { admission: Arc::clone(self), address, number, closed }
    }

    /// Notes that the connection has logged in; false where the login has too many.
    pub(super) fn log_in(&self, address: SocketAddr, login: &str, is_own: bool) -> bool {
        let mut state = self.state();
        let with_login = state.connections.values().filter(|found| found.login.is_some()).count();
        let same = |found: &&Connection| found.login.as_deref() == Some(login);
        let of_login = state.connections.values().filter(same).count();
        if !is_own && (with_login >= MAX_CLIENTS || of_login >= MAX_CLIENTS_PER_LOGIN) {
            return false;
        }
        if let Some(connection) = state.connections.get_mut(&address) {
            connection.login = Some(login.to_owned());
        }
        true
    }

    /// Whether the address may try a password that could be guessed.
    pub(super) fn may_guess(&self, address: SocketAddr, now: Instant) -> bool {
        let forgiven = self.state().guessers.get(&guesser(address)).copied();
        forgiven.is_none_or(|at| at <= now + GUESS_EVERY * (GUESSES - 1))
    }

    /// Counts a wrong password.
    pub(super) fn guessed(&self, address: SocketAddr, now: Instant) {
        let mut state = self.state();
        if state.guessers.len() >= MAX_GUESSERS {
            state.guessers.retain(|_, forgiven| *forgiven > now);
        }
        if state.guessers.len() >= MAX_GUESSERS {
            let soonest = state.guessers.iter().min_by_key(|(_, at)| **at).map(|(ip, _)| *ip);
            soonest.map(|ip| state.guessers.remove(&ip));
        }
        let forgiven = state.guessers.entry(guesser(address)).or_insert(now);
        *forgiven = (*forgiven).max(now).min(now + GUESS_EVERY * GUESSES) + GUESS_EVERY;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Closes the oldest connection without a login where the new one would be too many: of its
    /// own address, or of the address that has most.
    fn make_room(&mut self, newcomer: IpAddr) {
        let mut pending: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (address, connection) in &self.connections {
            if connection.login.is_none() {
                *pending.entry(address.ip()).or_default() += 1;
            }
        }
        let crowded = if pending.get(&newcomer).is_some_and(|n| *n >= MAX_PENDING_PER_ADDRESS) {
            Some(newcomer)
        } else if pending.values().sum::<usize>() >= MAX_PENDING {
            pending.iter().max_by_key(|(_, count)| **count).map(|(ip, _)| *ip)
        } else {
            None
        };
        let Some(crowded) = crowded else { return };
        let of_it = |(address, found): &(&SocketAddr, &Connection)| {
            address.ip() == crowded && found.login.is_none()
        };
        let oldest = self.connections.iter().filter(of_it).min_by_key(|(_, found)| found.number);
        let Some(address) = oldest.map(|(address, _)| *address) else { return };
        if let Some(connection) = self.connections.remove(&address) {
            connection.closed.cancel();
        }
    }
}

impl Place {
    /// Waits until the connection has lost its place: it did not log in `within` this time, or a
    /// newer one took it.
    pub(super) async fn lost(&self, within: Duration) {
        if tokio::time::timeout(within, self.closed.cancelled()).await.is_err() {
            let logged_in = {
                let state = self.admission.state();
                let found = state.connections.get(&self.address);
                found.is_some_and(|found| found.number == self.number && found.login.is_some())
            };
            if logged_in {
                self.closed.cancelled().await;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        if state.connections.get(&self.address).is_some_and(|found| found.number == self.number) {
            state.connections.remove(&self.address);
        }
    }
}

/// Whose wrong passwords are counted together: an IPv4 address, or a /64 of IPv6.
fn guesser(address: SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(ip: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, ip], port))
    }

    #[tokio::test]
    async fn silent_connections_do_not_keep_others_out() {
        let admission = Arc::new(Admission::default());
        let tablet = admission.enter(address(1, 1));
        assert!(admission.log_in(address(1, 1), "counter", false));
        let silent: Vec<_> = (0..5_000_u16)
            .map(|n| admission.enter(address(u8::try_from(n % 200).unwrap(), 1_000 + n)))
            .collect();
        let open = silent.iter().filter(|place| !place.closed.is_cancelled()).count();
        assert_eq!(open, MAX_PENDING);
        assert!(!tablet.closed.is_cancelled());
        let newest = silent.last().unwrap();
        assert!(!newest.closed.is_cancelled(), "the newest may log in");
        newest.lost(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn one_address_takes_only_its_share_of_the_places() {
        let admission = Arc::new(Admission::default());
        let other = admission.enter(address(1, 1));
        let many: Vec<_> = (0..500).map(|n| admission.enter(address(2, n))).collect();
        let open = many.iter().filter(|place| !place.closed.is_cancelled()).count();
        assert_eq!(open, MAX_PENDING_PER_ADDRESS);
        assert!(!other.closed.is_cancelled());
    }

    #[tokio::test]
    async fn a_login_in_time_keeps_its_place() {
        let admission = Arc::new(Admission::default());
        let place = admission.enter(address(1, 1));
        assert!(admission.log_in(address(1, 1), "counter", false));
        let lost = place.lost(Duration::ZERO);
        assert!(tokio::time::timeout(Duration::from_millis(20), lost).await.is_err());
    }

    #[test]
    fn one_login_cannot_take_all_places() {
        let admission = Arc::new(Admission::default());
        let mut places = Vec::new();
        for n in 0..100 {
            places.push(admission.enter(address(1, n)));
            assert_eq!(
                admission.log_in(address(1, n), "counter", false),
                usize::from(n) < MAX_CLIENTS_PER_LOGIN
            );
        }
        places.push(admission.enter(address(2, 1)));
        assert!(admission.log_in(address(2, 1), "till", false));
        drop(places);
        let _place = admission.enter(address(1, 1));
        assert!(admission.log_in(address(1, 1), "counter", false));
    }

    #[test]
    fn passwords_are_guessed_once_a_second() {
        let admission = Admission::default();
        let start = Instant::now();
        let guesses = |after: u64| {
            let now = start + Duration::from_secs(after);
            let mut guesses = 0;
            while admission.may_guess(address(1, 1), now) {
                admission.guessed(address(1, 1), now);
                guesses += 1;
            }
            guesses
        };
        assert_eq!(guesses(0), GUESSES);
        assert!(admission.may_guess(address(2, 1), start), "another address");
        assert_eq!(guesses(3), 3);
        assert_eq!(guesses(60), GUESSES);
        for n in 0..5_000_u32 {
            let ip = IpAddr::from(n.to_be_bytes());
            admission.guessed(SocketAddr::new(ip, 1), start);
        }
        assert!(admission.state().guessers.len() <= MAX_GUESSERS);
    }
}
