//! Where notifiers may send to. A notifier's address is a choice of somebody who may configure notifiers, not of
//! somebody who may reach everything that the console's host reaches.
//!
//! Refused are the host itself (loopback), link-local addresses (where clouds hand out credentials), and what is no
//! host's address; private networks are where receivers are, and are allowed. Names are judged by the addresses they
//! resolve to, at the moment of connecting, so that no name can change its mind in between.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use ipnet::IpNet;

const RESOLVING_DEADLINE: Duration = Duration::from_secs(5);

/// What the console's operator allows, by flags and not through the API.
#[derive(Debug, Clone, Default)]
pub struct Egress {
    /// Networks that are allowed though they would be refused: `127.0.0.0/8` for a receiver on this host.
    pub allow: Vec<IpNet>,
    /// The folder of file notifiers; without one there are none.
    pub files: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    #[error(
        "{address} is {what}: notifiers may not send there unless the console is started with --notify-allow and its network"
    )]
    Refused { address: IpAddr, what: &'static str },
    #[error("resolving {host}: {source}")]
    Resolving { host: String, source: io::Error },
}

impl Egress {
    pub fn check(&self, address: IpAddr) -> Result<(), EgressError> {
        let inner = embedded(address);
        if self.allow.iter().any(|network| network.contains(&inner)) {
            return Ok(());
        }
        match refusal(inner) {
            Some(what) => Err(EgressError::Refused { address, what }),
            None => Ok(()),
        }
    }

    /// The addresses of a host; one that may not be sent to refuses the name as a whole.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        let failed = |source| EgressError::Resolving { host: host.to_owned(), source };
        let found: Vec<SocketAddr> =
            tokio::time::timeout(RESOLVING_DEADLINE, tokio::net::lookup_host((host, port)))
                .await
                .map_err(|_| {
                    failed(io::Error::new(io::ErrorKind::TimedOut, "the name server does not answer"))
                })?
                .map_err(failed)?
                .collect();
        if found.is_empty() {
            return Err(failed(io::Error::new(io::ErrorKind::NotFound, "it has no address")));
        }
        for address in &found {
            self.check(address.ip())?;
        }
        Ok(found)
    }
}

/// The IPv4 address that an IPv6 one stands for (RFC 4291 §2.5.5, RFC 6052 §2.1, RFC 3056 §2), or the address itself.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    let from = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => from(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => from(high, low),
        _ => address,
    }
}

fn refusal(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_loopback() => Some("this host itself"),
        _ if address.is_unspecified() => Some("no host's address"),
        _ if address.is_multicast() => Some("a multicast address"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
        IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240 => Some("no host's address"),
        // Alibaba Cloud's metadata service, in the shared address space.
        IpAddr::V4(v4) if v4 == Ipv4Addr::new(100, 100, 100, 200) => Some("a cloud's metadata service"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        // Amazon's, in the unique local addresses.
        IpAddr::V6(v6) if v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254) => {
            Some("a cloud's metadata service")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_and_metadata_services_are_refused_in_every_spelling() {
        let egress = Egress::default();
        for refused in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "::127.0.0.1",
        ] {
            assert!(egress.check(refused.parse().expect("an address")).is_err(), "{refused}");
        }
        for allowed in ["10.1.2.3", "192.168.0.9", "172.16.0.1", "93.184.216.34", "fd12::1", "2001:db8::1"] {
            assert!(egress.check(allowed.parse().expect("an address")).is_ok(), "{allowed}");
        }
    }

    #[test]
    fn what_the_operator_allows_is_allowed() {
        let egress = Egress { allow: vec!["127.0.0.0/8".parse().expect("a network")], files: None };
        assert!(egress.check("127.0.0.1".parse().expect("an address")).is_ok());
        assert!(egress.check("::ffff:127.0.0.1".parse().expect("an address")).is_ok());
        assert!(egress.check("::1".parse().expect("an address")).is_err());
        assert!(egress.check("169.254.169.254".parse().expect("an address")).is_err());
    }

    #[tokio::test]
    async fn names_are_judged_by_what_they_resolve_to() {
        let refused = Egress::default().resolve("localhost", 80).await.expect_err("refused");
        assert!(matches!(refused, EgressError::Refused { .. }), "{refused}");
        for spelled in ["127.1", "2130706433", "0x7f000001"] {
            assert!(Egress::default().resolve(spelled, 80).await.is_err(), "{spelled}");
        }
    }
}
