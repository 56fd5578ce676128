//! Connections.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net};
use moat_event::{Direction, Protocol};

use super::MatcherError;
use crate::activity::Connect;
use crate::{model, ports};

/// An IPv4-mapped IPv6 network is `::ffff:0:0/96` and the IPv4 address (RFC 4291, section 2.5.5.2).
const MAPPED_PREFIX: u8 = 96;

#[derive(Debug, Clone)]
pub(crate) struct NetworkMatcher {
    pub(crate) direction: Direction,
    peers: Peers,
    protocols: Vec<Protocol>,
    except: Option<Peers>,
}

/// Addresses and ports, both of them; an empty list is all.
#[derive(Debug, Clone)]
struct Peers {
    networks: Vec<IpNet>,
    ports: Vec<RangeInclusive<u16>>,
}

impl Peers {
    fn new(cidrs: &[String], ports: &[String]) -> Result<Self, MatcherError> {
        Ok(Peers {
            networks: cidrs.iter().map(|text| parse_network(text)).collect::<Result<_, _>>()?,
            ports: ports.iter().map(|text| parse_ports(text)).collect::<Result<_, _>>()?,
        })
    }

    fn network(&self, connect: &Connect) -> Option<&IpNet> {
        let peer = connect.peer.to_canonical();
        self.networks.iter().find(|network| network.contains(&peer))
    }

    /// A listed network that listening on all addresses takes in; the unspecified address of IPv6 stands for IPv4's
    /// too (ip(7), `IPV6_V6ONLY`).
    fn taken_in(&self, connect: &Connect) -> Option<&IpNet> {
        let own = connect.peer.to_canonical();
        let every = connect.direction == Direction::Listen && own.is_unspecified();
        self.networks.iter().find(|network| every && (own.is_ipv6() || matches!(network, IpNet::V4(_))))
    }

    fn port_range(&self, connect: &Connect) -> Option<&RangeInclusive<u16>> {
        self.ports.iter().find(|range| range.contains(&connect.port))
    }

    fn ports_contain(&self, connect: &Connect) -> bool {
        self.ports.is_empty() || self.port_range(connect).is_some()
    }

    fn contain(&self, connect: &Connect) -> bool {
        (self.networks.is_empty() || self.network(connect).is_some()) && self.ports_contain(connect)
    }
}

impl NetworkMatcher {
    pub(super) fn new(model: &model::NetworkMatcher) -> Result<Self, MatcherError> {
        Ok(NetworkMatcher {
            direction: model.direction,
            peers: Peers::new(&model.cidrs, &model.ports)?,
            protocols: model.protocols.clone(),
            // An exception of nothing would be one of everything, its lists being empty.
            except: model
                .except
                .as_ref()
                .filter(|except| !except.cidrs.is_empty() || !except.ports.is_empty())
                .map(|except| Peers::new(&except.cidrs, &except.ports))
                .transpose()?,
        })
    }

    pub(super) fn matches(&self, connect: &Connect) -> bool {
        let protocol = match self.protocols[..] {
            [] => connect.protocol != Protocol::Raw,
            _ => self.protocols.contains(&connect.protocol),
        };
        self.direction == connect.direction
            && protocol
            && (self.peers.contain(connect) || self.takes_in(connect).is_some())
            && !self.except.as_ref().is_some_and(|except| except.contain(connect))
    }

    /// The listed network that the workload would listen on among others.
    pub(crate) fn takes_in(&self, connect: &Connect) -> Option<&IpNet> {
        self.peers.taken_in(connect).filter(|_| self.peers.ports_contain(connect))
    }

    /// The listed network that the peer is in.
    pub(crate) fn network(&self, connect: &Connect) -> Option<&IpNet> {
        self.peers.network(connect)
    }

    /// The listed ports that the connection's is one of.
    pub(crate) fn port_range(&self, connect: &Connect) -> Option<&RangeInclusive<u16>> {
        self.peers.port_range(connect)
    }

    pub(crate) fn lists_protocols(&self) -> bool {
        !self.protocols.is_empty()
    }
}

/// A network or a single address; an IPv4-mapped one is the IPv4 network.
pub(crate) fn parse_network(text: &str) -> Result<IpNet, MatcherError> {
    let network = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| MatcherError::Network(text.to_owned()))?;
    let mapped = match network {
        IpNet::V6(v6) if v6.prefix_len() >= MAPPED_PREFIX => v6
            .addr()
            .to_ipv4_mapped()
            .and_then(|address| Ipv4Net::new(address, v6.prefix_len() - MAPPED_PREFIX).ok()),
        _ => None,
    };
    Ok(mapped.map_or(network, IpNet::V4))
}

/// `443` or `1-1024`.
pub(crate) fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, MatcherError> {
    ports::parse(text).map_err(|_| MatcherError::Port(text.to_owned()))
}
