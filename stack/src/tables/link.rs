//! What the data plane knows about each port: its medium, what sources it accepts, which groups the node hears there.

use super::IngressFilter;
use super::hash::TableFull;
use crate::addr::{self, MacAddress, Scope};
use crate::port::{Medium, PortInfo};
use core::net::Ipv6Addr;
use hashbrown::HashSet;

/// A port.
pub(crate) struct Link {
    /// What frames look like.
    pub(crate) medium: Medium,
    /// Our address there.
    pub(crate) link_address: MacAddress,
    /// The largest packet to send.
    pub(crate) mtu: usize,
    mtu_limit: usize,
    /// What sources it accepts.
    pub(crate) filter: IngressFilter,
    groups: HashSet<Ipv6Addr>,
    /// How many of them reach beyond the link.
    wide_groups: usize,
}

impl Link {
    /// A port on which no packet beyond `mtu_limit` is sent, whatever it takes.
    pub(crate) fn new(info: &PortInfo, mtu_limit: Option<u16>) -> Self {
        let mtu_limit = mtu_limit.map_or(usize::MAX, usize::from);
        Link {
            medium: info.medium,
            link_address: info.link_address,
            mtu: info.mtu.min(mtu_limit),
            mtu_limit,
            filter: IngressFilter::Open,
            groups: HashSet::new(),
            wide_groups: 0,
        }
    }

    /// The port has changed.
    pub(crate) fn update(&mut self, info: &PortInfo) {
        (self.medium, self.link_address) = (info.medium, info.link_address);
        self.mtu = info.mtu.min(self.mtu_limit);
    }

    /// Whether a packet with this source may come in (BCP 38). The caller has refused what is no unicast address.
    #[inline(always)]
    pub(crate) fn accepts(&self, source: Ipv6Addr) -> bool {
        match &self.filter {
            IngressFilter::Open => true,
            IngressFilter::Prefixes(prefixes) => {
                addr::is_link_local(source)
                    || source.is_unspecified()
                    || prefixes.iter().any(|prefix| prefix.contains(source))
            }
        }
    }

    /// Whether the node hears the group here. Every node hears `ff02::1` (RFC 4291 §2.8).
    #[inline]
    pub(crate) fn hears(&self, group: Ipv6Addr) -> bool {
        group == addr::ALL_NODES || self.groups.contains(&group)
    }

    pub(crate) fn join(&mut self, group: Ipv6Addr, limit: usize) -> Result<(), TableFull> {
        if self.groups.len() >= limit && !self.groups.contains(&group) {
            return Err(TableFull);
        }
        if self.groups.insert(group) {
            self.wide_groups += usize::from(reaches_beyond_link(group));
        }
        Ok(())
    }

    pub(crate) fn leave(&mut self, group: Ipv6Addr) {
        if self.groups.remove(&group) {
            self.wide_groups -= usize::from(reaches_beyond_link(group));
        }
    }

    /// Whether the node hears any group here that could be another's, too.
    #[inline(always)]
    pub(crate) fn hears_beyond_link(&self) -> bool {
        self.wide_groups > 0
    }
}

fn reaches_beyond_link(group: Ipv6Addr) -> bool {
    Scope::of(group).is_none_or(|scope| scope > Scope::LINK_LOCAL)
}
