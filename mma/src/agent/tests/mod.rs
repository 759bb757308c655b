//! What the tests of the agent share: terminals that build Binding Updates, and a bench that checks the agent after every
//! step.

mod anchor;
mod forwarding;
mod freshness;
mod hostile;
mod lifetime;
mod model;
mod optimisation;
mod reception;
mod refusal;
mod registration;

use super::*;
use crate::auth::{Algorithm, Key, NtpTime, Peer, ReplayPolicy, SecurityAssociation, SiteKey, Spi};
use crate::{CareOfMode, GrePolicy, HomeAgent};
use proptest::prelude::{prop, prop_assert, proptest};
use stack::addr::{self, Eui64, GroupLayout, Scope};
use stack::machine::PortId;
use stack::machine::Via;
use stack::tables::{BindingState, MmaBinding};
use stack::time::Duration;
use stack::wire::build::PacketBuilder;
use stack::wire::error::WireErrorKind;
use stack::wire::ext::Chain;
use stack::wire::ipv6::{self, protocol};
use stack::wire::mobility::option::{AddressPrefix, Authentication, GreKey, MobileNodeIdentifier, Subscription};
use stack::wire::mobility::{
    self, BindingAcknowledgement, BindingAcknowledgementFlags, BindingErrorStatus, BindingUpdate, BindingUpdateFlags,
    CHECKSUM_AT, Lifetime, MobilityMessage, MobilityOptions, Status,
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const LAYOUT: GroupLayout = GroupLayout::Ssm { scope: Scope::SITE_LOCAL };
pub(super) const META: RxMeta = RxMeta { port: PortId(0), link_source: None, link_multicast: false, tunnel: None };
pub(super) const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1);
pub(super) const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 5);
pub(super) const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn care_of_prefix() -> Prefix {
    "2001:db8:f:c0a::/64".parse().unwrap()
}

pub(super) fn home(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x100 + n)
}

/// On access link `link`, with interface identifier `n`.
pub(super) fn access(link: u16, n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0xa00 + link, 0, 0, 0, n)
}

pub(super) fn group(n: u64) -> Ipv6Addr {
    LAYOUT.group(Eui64(0x0200_5eff_fe00_0000 | n)).unwrap()
}

pub(super) fn association(n: u16) -> SecurityAssociation {
    let key = Key::new(&[n as u8 + 1; 16]).unwrap();
    SecurityAssociation { spi: Spi::new(256 + u32::from(n)).unwrap(), key, algorithm: Algorithm::HmacSha1_96 }
}

pub(super) fn config() -> Config {
    let mut config = Config::new(AGENT, CareOfMode::Assigned { prefix: care_of_prefix() }, LAYOUT);
    config.source = SOURCE;
    config.access_prefixes = vec![Prefix::of_link(access(1, 0)), Prefix::of_link(access(2, 0))];
    config.home_agents = vec![HomeAgent { prefix: "2001:db8:1::/48".parse().unwrap(), agent: HOME_AGENT }];
    for n in 0..16 {
        let peer = Peer { identifier: None, home_address: Some(home(n)), terminal: None, association: association(n) };
        config.associations.insert(peer).unwrap();
    }
    config
}

/// A terminal that builds Binding Updates.
#[derive(Clone)]
pub(super) struct Terminal {
    pub(super) home_address: Ipv6Addr,
    pub(super) access_address: Ipv6Addr,
    pub(super) group: Ipv6Addr,
    pub(super) association: SecurityAssociation,
    pub(super) sequence: u16,
}

impl Terminal {
    pub(super) fn new(n: u16) -> Self {
        Terminal {
            home_address: home(n),
            access_address: access(1, n + 1),
            group: group(u64::from(n) + 1),
            association: association(n),
            sequence: 100,
        }
    }

    pub(super) fn update(&mut self) -> BindingUpdate {
        self.sequence = self.sequence.wrapping_add(1);
        BindingUpdate {
            sequence: self.sequence,
            flags: BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::MAP_REGISTRATION,
            lifetime: Lifetime::at_most(Duration::from_secs(600)),
            options: MobilityOptions {
                subscriptions: vec![Subscription { group: self.group, source: Some(AGENT) }],
                ..MobilityOptions::default()
            },
        }
    }

    pub(super) fn deregistration(&mut self) -> BindingUpdate {
        BindingUpdate { lifetime: Lifetime::ZERO, options: MobilityOptions::default(), ..self.update() }
    }

    pub(super) fn packet(&self, update: BindingUpdate) -> Vec<u8> {
        let care_of = update.options.alternate_care_of_address.unwrap_or(self.access_address);
        let message = self.association.sign_update(update, care_of, self.home_address);
        self.packet_of(message)
    }

    pub(super) fn packet_of(&self, message: Vec<u8>) -> Vec<u8> {
        PacketBuilder::new(self.access_address, AGENT).home_address(self.home_address).checksummed(
            protocol::MOBILITY,
            message,
            CHECKSUM_AT,
        )
    }

    /// Reads an acknowledgement as this terminal would, which verifies all of it.
    pub(super) fn read(&self, packet: &[u8]) -> BindingAcknowledgement {
        self.read_for(packet, self.access_address)
    }

    /// The same for an update with this care-of address.
    pub(super) fn read_for(&self, packet: &[u8], care_of: Ipv6Addr) -> BindingAcknowledgement {
        let header = ipv6::Header::parse(packet).unwrap();
        assert_eq!((header.source, header.destination), (AGENT, self.access_address));
        let chain = Chain::parse(packet).unwrap();
        assert_eq!(chain.type2_routing.unwrap().home_address, self.home_address);
        let message = &packet[chain.upper_offset..];
        assert!(mobility::verify_checksum(AGENT, self.home_address, message));
        assert!(self.association.verify(message, care_of, self.home_address));
        match mobility::parse(message) {
            Ok(MobilityMessage::BindingAcknowledgement(acknowledgement)) => acknowledgement,
            other => panic!("no acknowledgement: {other:?}"),
        }
    }
}

/// An agent and what a node makes of its output.
pub(super) struct Bench {
    pub(super) agent: MobilityManagementAgent,
    pub(super) now: Instant,
    pub(super) entries: BTreeMap<Ipv6Addr, MmaBinding>,
}

impl Bench {
    pub(super) fn new(config: Config) -> Self {
        assert_eq!(config.validate(), Ok(()));
        let mut bench = Bench {
            agent: MobilityManagementAgent::new(config, 1, SecretRng::simulated(1)),
            now: Instant::from_secs(10),
            entries: BTreeMap::new(),
        };
        bench.drain();
        bench
    }

    pub(super) fn give(&mut self, packet: &[u8]) -> Vec<Output<Event>> {
        self.agent.handle_packet(self.now, &META, packet);
        self.drain()
    }

    pub(super) fn command(&mut self, command: Command) -> Vec<Output<Event>> {
        self.agent.handle_command(self.now, command);
        self.drain()
    }

    pub(super) fn pass(&mut self, time: Duration) -> Vec<Output<Event>> {
        self.now += time;
        self.agent.handle_timeout(self.now);
        self.drain()
    }

    pub(super) fn drain(&mut self) -> Vec<Output<Event>> {
        let outputs: Vec<_> = core::iter::from_fn(|| self.agent.poll_output()).collect();
        for output in &outputs {
            match output {
                Output::Table(TableUpdate::MmaBindingSet(home_address, entry)) => {
                    self.entries.insert(*home_address, *entry);
                }
                Output::Table(TableUpdate::MmaBindingRemove(home_address)) => {
                    assert!(self.entries.remove(home_address).is_some(), "removed what was not there");
                }
                _ => {}
            }
        }
        self.check();
        outputs
    }

    /// What holds after every step.
    pub(super) fn check(&self) {
        let bound: BTreeMap<_, _> = self.agent.bindings().map(|b| (b.home_address, self.agent.entry(b))).collect();
        assert_eq!(bound, self.entries, "the table updates give the bindings");
        let active = || self.agent.bindings().filter(|b| b.state == BindingState::Active);
        let groups: BTreeSet<_> = active().map(|b| b.group).collect();
        assert_eq!(groups.len(), active().count(), "each group has one terminal");
        let care_ofs: BTreeSet<_> = self.agent.bindings().map(|b| b.care_of).collect();
        if !matches!(self.agent.config.care_of, CareOfMode::Shared { .. }) {
            assert_eq!(care_ofs.len(), bound.len(), "each care-of address has one terminal");
        }
        for binding in self.agent.bindings() {
            if binding.state == BindingState::Anchor {
                assert_eq!(binding.care_of, binding.home_address);
                assert!(self.agent.config.anchors(binding.care_of));
            } else {
                assert!(self.agent.config.care_of.prefix().contains(binding.care_of));
                assert!(self.agent.config.layout.range().contains(binding.group));
            }
            if let BindingState::Forward { to, .. } = binding.state {
                assert!(!self.agent.config.is_own(to), "no agent forwards to itself");
                assert!(binding.forward_until.is_some_and(|until| until >= binding.expires_at));
            }
            assert_eq!(self.agent.timers.deadline(binding.home_address), Some(binding.expires_at));
        }
        assert_eq!(self.agent.timers.len(), bound.len());
    }

    /// Gives an update and reads the one acknowledgement.
    pub(super) fn ask(&mut self, terminal: &Terminal, update: BindingUpdate) -> BindingAcknowledgement {
        let care_of = update.options.alternate_care_of_address.unwrap_or(terminal.access_address);
        let outputs = self.give(&terminal.packet(update));
        let packets = sent(&outputs);
        assert_eq!(packets.len(), 1, "one acknowledgement: {outputs:?}");
        terminal.read_for(packets[0], care_of)
    }

    pub(super) fn register(&mut self, terminal: &mut Terminal) -> BindingAcknowledgement {
        let update = terminal.update();
        self.ask(terminal, update)
    }

    pub(super) fn counter(&self, name: &str) -> u64 {
        self.agent.counters().iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no counter {name}")).1
    }
}

pub(super) fn sent(outputs: &[Output<Event>]) -> Vec<&[u8]> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Transmit(transmit) => Some(&transmit.packet[..]),
            _ => None,
        })
        .collect()
}

pub(super) fn care_of(acknowledgement: &BindingAcknowledgement) -> Ipv6Addr {
    match acknowledgement.options.addresses[..] {
        [AddressPrefix { code: AddressPrefix::NEW_CARE_OF_ADDRESS, prefix_length: 128, address }] => address,
        ref other => panic!("no care-of address: {other:?}"),
    }
}
