//! The addresses at which other machines reach this one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// More interfaces than a gateway has.
const MOST: usize = 16;

/// Addresses of the interfaces that are up, loopback and link-local ones left out, IPv4 first.
/// Empty where there is no network.
pub fn of_this_machine() -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> =
        if_addrs::get_if_addrs().unwrap_or_default().iter().map(if_addrs::Interface::ip).collect();
    addresses.retain(|address| is_reachable(*address));
    addresses.sort();
    addresses.dedup();
    addresses.truncate(MOST);
    addresses
}

/// The addresses at which others reach a listener on `listen`: never "all addresses". The loopback
/// address where there is no network.
pub fn reaching(listen: SocketAddr) -> Vec<SocketAddr> {
    if !listen.ip().is_unspecified() {
        return vec![listen];
    }
    let reached = |address: &IpAddr| listen.is_ipv6() || address.is_ipv4();
    let mut addresses: Vec<IpAddr> = of_this_machine().into_iter().filter(reached).collect();
    if addresses.is_empty() {
        addresses.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    addresses.into_iter().map(|address| SocketAddr::new(address, listen.port())).collect()
}

fn is_reachable(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !address.is_loopback() && !address.is_unspecified() && !link_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_is_no_address() {
        let listen = |text: &str| text.parse::<SocketAddr>().unwrap();
        for all in ["0.0.0.0:8443", "[::]:8443"] {
            assert!(reaching(listen(all)).iter().all(|found| !found.ip().is_unspecified()));
        }
        assert_eq!(reaching(listen("192.168.1.20:8443")), [listen("192.168.1.20:8443")]);
        assert!(reaching(listen("0.0.0.0:1")).iter().all(SocketAddr::is_ipv4));
    }
}
