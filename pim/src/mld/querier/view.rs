//! What a querier knows, to look at.

use super::Querier;
use crate::mld::compat::Version;
use crate::mld::group::{FilterMode, Group};
use core::net::Ipv6Addr;
use stack::addr::MacAddress;
use stack::time::Instant;

/// A group on a link, to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupView {
    /// The group.
    pub group: Ipv6Addr,
    /// Its filter mode.
    pub mode: FilterMode,
    /// When EXCLUDE mode ends.
    pub filter_timer: Option<Instant>,
    /// Its compatibility mode (§8.3.2).
    pub version: Version,
    /// The sources.
    pub sources: Vec<SourceView>,
    /// The hosts that are tracked.
    pub hosts: Vec<HostView>,
    /// The link-layer address of its only listener, where the group is delivered there (RFC 6085).
    pub delivery: Option<MacAddress>,
}

/// A source of a group, to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SourceView {
    /// The source.
    pub address: Ipv6Addr,
    /// When the interest in it runs out; `None` is that it is excluded.
    pub expires: Option<Instant>,
}

/// A listener of a group, to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostView {
    /// Its link-local address.
    pub address: Ipv6Addr,
    /// Until when it wants all sources but some.
    pub exclude_until: Option<Instant>,
    /// The sources that it asks for by name, and until when each holds.
    pub sources: Vec<(Ipv6Addr, Instant)>,
    /// The sources that it does not want, and until when each holds.
    pub excluded: Vec<(Ipv6Addr, Instant)>,
}

impl GroupView {
    /// Whether all its listeners name their sources.
    pub fn is_include(&self) -> bool {
        self.mode == FilterMode::Include
    }
}

impl Querier {
    /// The groups with listeners, by address.
    pub fn groups(&self) -> impl Iterator<Item = GroupView> {
        self.addresses_from(Ipv6Addr::UNSPECIFIED).filter_map(|address| self.group(address))
    }

    /// How many groups have listeners.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The addresses of the groups with listeners from this one on, in order.
    pub fn addresses_from(&self, from: Ipv6Addr) -> impl Iterator<Item = Ipv6Addr> {
        self.groups.range(from..).map(|(&address, _)| address)
    }

    /// One group with listeners.
    pub fn group(&self, address: Ipv6Addr) -> Option<GroupView> {
        let group = self.groups.get(&address)?;
        Some(GroupView { version: self.version_of(group), ..group.view(address) })
    }

    /// The group and the source of everything that listeners ask for; the unspecified address is all sources.
    pub fn memberships(&self) -> impl Iterator<Item = (Ipv6Addr, Ipv6Addr)> {
        self.groups.iter().flat_map(|(&address, group)| group.wanted().map(move |source| (address, source)))
    }

    /// local_receiver_include(S,G,I), and for the unspecified address local_receiver_include(*,G,I) (RFC 7761 §4.1.5).
    pub fn is_member(&self, group: Ipv6Addr, source: Ipv6Addr) -> bool {
        self.groups.get(&group).is_some_and(|group| {
            if source.is_unspecified() { group.mode == FilterMode::Exclude } else { group.is_requested(source) }
        })
    }

    /// The group and the source of everything that nobody wants of those who listen to all sources of the group.
    pub fn excluded(&self) -> impl Iterator<Item = (Ipv6Addr, Ipv6Addr)> {
        self.groups.iter().flat_map(|(&address, group)| group.excluded().map(move |source| (address, source)))
    }

    /// local_receiver_exclude(S,G,I) (RFC 7761 §4.1.5). Never of a source-specific group.
    pub fn is_excluded(&self, group: Ipv6Addr, source: Ipv6Addr) -> bool {
        self.groups.get(&group).is_some_and(|group| group.is_excluded(source))
    }
}

impl Group {
    fn view(&self, group: Ipv6Addr) -> GroupView {
        GroupView {
            group,
            mode: self.mode,
            filter_timer: self.filter_timer,
            version: self.compatibility.version(),
            delivery: self.delivery,
            sources: self
                .sources
                .iter()
                .map(|(&address, source)| SourceView { address, expires: source.expires })
                .collect(),
            hosts: self
                .hosts
                .iter()
                .map(|(&address, host)| HostView {
                    address,
                    exclude_until: host.exclude_until,
                    sources: host.sources.iter().map(|(&source, &until)| (source, until)).collect(),
                    excluded: host.excluded.iter().map(|(&source, &until)| (source, until)).collect(),
                })
                .collect(),
        }
    }
}
