//! Where a request comes from: the peer's address, or what a trusted proxy says.
//!
//! `X-Forwarded-For` can be sent by anybody. It is read only when the peer is a
//! trusted proxy, from its end: each hop is what the proxy behind it saw, and the
//! first that is no trusted proxy is the client. What stands before it the client wrote.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

use crate::app::App;
use crate::settings::Networks;

/// The other end of the connection; the listener adds it to each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Where the client is, as far as that can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(IpAddr);

pub struct TrustedProxies(Vec<IpNet>);

impl ClientAddress {
    pub fn of(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Self {
        // Without a listener there is no peer; then all are counted as one.
        let unknown = Peer(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let Peer(peer) = extensions.get().copied().unwrap_or(unknown);
        app.proxies().client(peer, headers)
    }

    /// What is counted: of IPv6 the network, because a single customer has 2^64 addresses.
    pub fn to_bytes(self) -> [u8; 16] {
        match self.0 {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                Ipv6Addr::from_bits(network).octets()
            }
        }
    }
}

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }
}

impl std::fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl TrustedProxies {
    pub fn new(networks: &Networks) -> Self {
        Self(networks.0.clone())
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let mut client = peer.to_canonical();
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        let hops = lines.iter().rev().flat_map(|line| {
            let line = line.to_str().unwrap_or_default();
            line.rsplit(',').map(hop)
        });
        for hop in hops {
            if !self.is_trusted(client) {
                break;
            }
            // What isn't an address tells nothing about the client: the proxy stands for it.
            let Some(hop) = hop else {
                break;
            };
            client = hop;
        }
        ClientAddress(client)
    }
}

/// An address as proxies write it: alone, or with a port.
fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text
        .parse()
        .ok()
        .or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn client(peer: &str, forwarded: &[&'static str]) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|one| one.parse().unwrap());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_static(value));
        }
        TrustedProxies(networks.into())
            .client(peer.parse().unwrap(), &headers)
            .to_string()
    }

    #[test]
    fn a_stranger_is_who_they_are_whatever_they_say() {
        assert_eq!(client("192.0.2.7", &["203.0.113.9"]), "192.0.2.7");
        assert_eq!(client("192.0.2.7", &[]), "192.0.2.7");
    }

    #[test]
    fn behind_proxies_the_last_untrusted_hop_counts() {
        for (forwarded, expected) in [
            (&["203.0.113.9"][..], "203.0.113.9"),
            (&["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
            (&["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            (&["198.51.100.1", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            (&["203.0.113.9:4711"], "203.0.113.9"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["::ffff:203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(client("10.0.0.1", forwarded), expected, "{forwarded:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_not_taken_for_one() {
        for forwarded in [&["unknown"][..], &[""], &["203.0.113.9, evil"], &["a, , "]] {
            assert_eq!(client("10.0.0.1", forwarded), "10.0.0.1", "{forwarded:?}");
        }
        assert_eq!(client("10.0.0.1", &["evil, 10.0.0.2"]), "10.0.0.2");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let bytes = |text: &str| ClientAddress::from(text.parse::<IpAddr>().unwrap()).to_bytes();
        assert_eq!(bytes("2001:db8::1"), bytes("2001:db8::ffff:1:2:3"));
        assert_ne!(bytes("2001:db8::1"), bytes("2001:db8:0:1::1"));
        assert_eq!(bytes("192.0.2.7"), bytes("::ffff:192.0.2.7"));
        assert_ne!(bytes("192.0.2.7"), bytes("192.0.2.8"));
    }
}
