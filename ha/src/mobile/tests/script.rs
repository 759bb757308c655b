//! A terminal alone: what it is given, and the exact list of what it answers, in words. Its peers are played by the test.

use super::super::*;
use super::world::{A, AGENTS, B, C, H, HOME_ADDRESS, HOME_AGENT, P, SPOTS, Spot, association, terminal_config};
use crate::reception;
use stack::addr::{GroupLayout, Scope};
use stack::machine::TunnelMeta;
use stack::tables::TunnelReception;
use stack::wire::build::PacketBuilder;
use stack::wire::home_link::{Message, home_agents_anycast};
use stack::wire::ipv6;
use stack::wire::mobility::option::{AddressPrefix, Subscription as SubscriptionOption};
use stack::wire::mobility::{
    BindingAcknowledgement, BindingUpdate, BindingUpdateFlags, Lifetime, MobilityMessage, MobilityOptions, Status,
};

/// Care-of addresses that the two agents grant.
pub(super) const CARE_OF: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0xc0a, 0, 0, 0, 9), Ipv6Addr::new(0x2001, 0xdb8, 0x52, 0xc0a, 0, 0, 0, 9)];

/// Another home agent, and one more.
pub(super) const OTHERS: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2), Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 3)];

pub(super) const CN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1);

/// A Binding Update as its receiver sees it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) to: Ipv6Addr,
    pub(super) source: Ipv6Addr,
    bound: Ipv6Addr,
    pub(super) update: BindingUpdate,
}

/// The terminal, the time, and what it has asked its peers.
pub(super) struct Script {
    pub(super) now: Instant,
    pub(super) terminal: MobileTerminal,
    pub(super) asked: Vec<Asked>,
    /// The last cookies of a Home Test Init and a Care-of Test Init.
    pub(super) cookies: [[u8; 8]; 2],
    /// Identifier and source of the last question for home agents.
    pub(super) question: Option<(u16, Ipv6Addr)>,
}

fn name(address: Ipv6Addr) -> String {
    let regional = |site: usize| addr::with_interface_identifier(AGENTS[site], super::world::EUI.modified());
    let known = [
        (HOME_ADDRESS, "HoA"),
        (HOME_AGENT, "HA"),
        (OTHERS[0], "HA2"),
        (OTHERS[1], "HA3"),
        (home_agents_anycast(H.prefix()), "HAs"),
        (AGENTS[0], "MMA1"),
        (AGENTS[1], "MMA2"),
        (CARE_OF[0], "CoA1"),
        (CARE_OF[1], "CoA2"),
        (regional(0), "RCoA1"),
        (regional(1), "RCoA2"),
        (A.address(), "LCoA-A"),
        (B.address(), "LCoA-B"),
        (C.address(), "LCoA-C"),
        (P.address(), "LCoA-P"),
        (group(), "G"),
        (CN, "CN"),
    ];
    known.iter().find(|(known, _)| *known == address).map_or_else(|| address.to_string(), |(_, name)| (*name).into())
}

fn group() -> Ipv6Addr {
    GroupLayout::Ssm { scope: Scope::SITE_LOCAL }.group(super::world::EUI).unwrap()
}

fn place(port: PortId) -> &'static str {
    SPOTS.iter().position(|spot| spot.key.port == port).map_or("?", |at| ["A", "B", "C", "P", "H"][at])
}

use stack::addr;

impl Script {
    pub(super) fn new(config: Config) -> Self {
        let mut script = Script {
            now: Instant::from_secs(1),
            terminal: MobileTerminal::new(config, SecretRng::simulated(1)),
            asked: Vec::new(),
            cookies: [[0; 8]; 2],
            question: None,
        };
        script.answers();
        script
    }

    /// Settled at a spot whose agent is the multicast agent of its site, or at home.
    pub(super) fn settled_at(spot: Spot) -> Self {
        Self::settled_with(terminal_config(), spot)
    }

    pub(super) fn settled_with(config: Config, spot: Spot) -> Self {
        let mut script = Script::new(config);
        script.up(spot);
        script.prefer(spot);
        if let Some(site) = spot.site {
            script.grant(site);
        }
        if !spot.is_home {
            script.accept(HOME_AGENT);
        }
        script.wait(5_000);
        script.asked.clear();
        script
    }

    /// A link comes up and its router is heard.
    pub(super) fn up(&mut self, spot: Spot) -> Vec<String> {
        let port = spot.key.port;
        let commands = [
            Command::LinkUp(port),
            Command::AddressUsable { port, address: spot.link_local() },
            Command::RouterAdvertised(spot.advertisement()),
            Command::AddressUsable { port, address: spot.address() },
        ];
        commands.into_iter().flat_map(|command| self.command(command)).collect()
    }

    pub(super) fn down(&mut self, spot: Spot) -> Vec<String> {
        self.command(Command::LinkDown(spot.key.port))
    }

    /// Makes this spot the best by far.
    pub(super) fn prefer(&mut self, spot: Spot) -> Vec<String> {
        let signal = |other: Spot| if other == spot { -40 } else { -90 };
        let signals = SPOTS.map(|other| Command::Signal { port: other.key.port, dbm: signal(other) });
        let mut answers: Vec<String> = signals.into_iter().flat_map(|command| self.command(command)).collect();
        // The average follows.
        for _ in 0..2_000 {
            if answers.is_empty() {
                answers = self.wait(1);
            }
        }
        answers
    }

    pub(super) fn command(&mut self, command: Command) -> Vec<String> {
        self.terminal.handle_command(self.now, command);
        self.answers()
    }

    /// The first packet of the group by this spot.
    pub(super) fn data(&mut self, spot: Spot) -> Vec<String> {
        self.command(Command::GroupData { port: spot.key.port, group: group() })
    }

    /// Time passes; what timers do happens when it is due.
    pub(super) fn wait(&mut self, millis: u64) -> Vec<String> {
        let end = self.now + Duration::from_millis(millis);
        let mut answers = Vec::new();
        while let Some(at) = self.terminal.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.terminal.handle_timeout(self.now);
            answers.extend(self.answers());
        }
        self.now = end;
        answers
    }

    /// The last update that went to this peer.
    pub(super) fn last_asked(&self, peer: Ipv6Addr) -> Asked {
        self.asked.iter().rfind(|asked| asked.to == peer).unwrap_or_else(|| panic!("nothing for {peer}")).clone()
    }

    /// The agent of this site grants a care-of address and the group.
    pub(super) fn grant(&mut self, site: usize) -> Vec<String> {
        let asked = self.last_asked(AGENTS[site]);
        let address =
            AddressPrefix { code: AddressPrefix::NEW_CARE_OF_ADDRESS, prefix_length: 128, address: CARE_OF[site] };
        let options = MobilityOptions {
            addresses: vec![address],
            subscriptions: vec![SubscriptionOption { group: group(), source: Some(AGENTS[site]) }],
            ..MobilityOptions::default()
        };
        self.answer(&asked, Status::ACCEPTED, asked.update.lifetime, options)
    }

    /// A peer says yes to what it was asked last.
    pub(super) fn accept(&mut self, peer: Ipv6Addr) -> Vec<String> {
        let asked = self.last_asked(peer);
        self.answer(&asked, Status::ACCEPTED, asked.update.lifetime, MobilityOptions::default())
    }

    pub(super) fn refuse(&mut self, peer: Ipv6Addr, status: Status) -> Vec<String> {
        let asked = self.last_asked(peer);
        self.answer(&asked, status, Lifetime::ZERO, MobilityOptions::default())
    }

    pub(super) fn answer(
        &mut self,
        asked: &Asked,
        status: Status,
        lifetime: Lifetime,
        options: MobilityOptions,
    ) -> Vec<String> {
        let acknowledgement = BindingAcknowledgement {
            status,
            flags: Default::default(),
            sequence: asked.update.sequence,
            lifetime,
            options,
        };
        let key = association(if H.prefix().contains(asked.to) { 1 } else { 2 });
        let care_of = asked.update.options.alternate_care_of_address.unwrap_or(asked.source);
        let bytes = key.sign_acknowledgement(acknowledgement, care_of, asked.bound);
        let mut builder = PacketBuilder::new(asked.to, asked.source);
        if asked.source != asked.bound {
            builder = builder.type2_routing(asked.bound);
        }
        self.packet(&builder.checksummed(135, bytes, 4))
    }

    pub(super) fn packet(&mut self, packet: &[u8]) -> Vec<String> {
        self.packet_by(None, packet)
    }

    /// A packet that left a tunnel with these ends.
    pub(super) fn tunnelled(&mut self, source: Ipv6Addr, destination: Ipv6Addr, packet: &[u8]) -> Vec<String> {
        self.packet_by(Some(TunnelMeta { source, destination }), packet)
    }

    fn packet_by(&mut self, tunnel: Option<TunnelMeta>, packet: &[u8]) -> Vec<String> {
        let meta = RxMeta { port: PortId(0), link_source: None, link_multicast: false, tunnel };
        self.terminal.handle_packet(self.now, &meta, packet);
        self.answers()
    }

    fn answers(&mut self) -> Vec<String> {
        let mut answers = Vec::new();
        while let Some(output) = self.terminal.poll_output() {
            let words = match output {
                Output::Transmit(transmit) => Some(self.message(&transmit.packet)),
                Output::Table(update) => Some(table(update)),
                Output::Event(event) => told(event),
            };
            answers.extend(words);
        }
        answers
    }

    fn message(&mut self, packet: &[u8]) -> String {
        let header = ipv6::Header::parse(packet).unwrap();
        if header.next_header == ipv6::protocol::IPV6 {
            let inner = self.message(&packet[ipv6::HEADER_LEN..]);
            return format!("{} => {} [{inner}]", name(header.source), name(header.destination));
        }
        if header.next_header == ipv6::protocol::ICMPV6 {
            let Ok(Message::AddressRequest { identifier }) = Message::parse(&packet[ipv6::HEADER_LEN..]) else {
                panic!("{packet:02x?}")
            };
            let again = if self.question == Some((identifier, header.source)) { " again" } else { "" };
            self.question = Some((identifier, header.source));
            return format!("{} > {}: who is home agent?{again}", name(header.source), name(header.destination));
        }
        let received = reception::receive(packet).unwrap();
        let (source, to, bound) = (received.source, received.destination, received.home_address());
        let update = match received.message.clone() {
            MobilityMessage::BindingUpdate(update) => update,
            MobilityMessage::HomeTestInit { cookie } => {
                self.cookies[0] = cookie;
                return format!("{} > {}: HoTI", name(source), name(to));
            }
            MobilityMessage::CareOfTestInit { cookie } => {
                self.cookies[1] = cookie;
                return format!("{} > {}: CoTI", name(source), name(to));
            }
            other => return format!("{} > {}: {other:?}", name(source), name(to)),
        };
        let flags = if update.flags.contains(BindingUpdateFlags::HOME_REGISTRATION) {
            "(H)"
        } else if update.flags.contains(BindingUpdateFlags::MAP_REGISTRATION) {
            "(M)"
        } else {
            ""
        };
        let mut words = format!("{} > {}: BU{flags} {}", name(source), name(to), name(bound));
        if let Some(care_of) = update.options.alternate_care_of_address {
            words += &format!(" at {}", name(care_of));
        }
        if let Some(subscription) = update.options.subscriptions.first() {
            words += &format!(" to {}", name(subscription.group));
        }
        words += &format!(" for {} s", update.lifetime.duration().as_secs());
        self.asked.push(Asked { to, source, bound, update });
        words
    }
}

fn table(update: TableUpdate) -> String {
    let tunnel = |tunnel: TunnelReception| {
        format!("{} => {} of {}", name(tunnel.remote), name(tunnel.local), name(tunnel.home_address))
    };
    match update {
        TableUpdate::RouteSet(prefix, Route::Via { port, .. }) if prefix == Prefix::DEFAULT => {
            format!("default by {}", place(port))
        }
        TableUpdate::RouteSet(prefix, route) => format!("route {} {route:?}", name(prefix.address())),
        TableUpdate::RouteRemove(prefix) => format!("no route {}", name(prefix.address())),
        TableUpdate::GroupReceptionSet(group, reception) => {
            format!("receive {} from {}", name(group), name(reception.source))
        }
        TableUpdate::GroupReceptionRemove(key) => format!("forget {} from {}", name(key.group), name(key.source)),
        TableUpdate::TunnelReceptionSet(reception) => format!("receive {}", tunnel(reception)),
        TableUpdate::TunnelReceptionRemove(reception) => format!("forget {}", tunnel(reception)),
        TableUpdate::CareOfSet(care_of, _) => format!("own {}", name(care_of)),
        TableUpdate::CareOfRemove(care_of) => format!("disown {}", name(care_of)),
        TableUpdate::UplinkSet(_, Uplink::Down) => "send nothing".into(),
        TableUpdate::UplinkSet(_, Uplink::Native { port, .. }) => format!("send by {}", place(port)),
        TableUpdate::UplinkSet(_, Uplink::Tunnel { source, peer, .. }) => {
            format!("send {} => {}", name(source), name(peer))
        }
        TableUpdate::UplinkSet(_, Uplink::NestedTunnel { source, peer, care_of, home_agent, .. }) => {
            format!("send {} => {} with {} => {}", name(source), name(peer), name(care_of), name(home_agent))
        }
        TableUpdate::UplinkExceptionSet { correspondent, uplink, .. } => {
            let way = match uplink {
                Uplink::OptimisedTunnel { source, peer, care_of, .. } => {
                    format!("{} => {} from {}", name(source), name(peer), name(care_of))
                }
                Uplink::Direct { source, .. } => format!("from {}", name(source)),
                other => format!("{other:?}"),
            };
            format!("send to {} {way}", name(correspondent))
        }
        TableUpdate::UplinkExceptionRemove { correspondent, .. } => format!("send to {} as usual", name(correspondent)),
        other => format!("{other:?}"),
    }
}

fn told(event: Event) -> Option<String> {
    match event {
        Event::Persist { .. } | Event::HandoverStage { .. } => None,
        Event::Join { port, group, sources } => {
            let sources: Vec<_> = sources.into_iter().map(name).collect();
            Some(format!("join {} from {} at {}", name(group), sources.join(" "), place(port)))
        }
        Event::CameFrom { port, router: Some(router) } => {
            Some(format!("came from {} to {}", name(router), place(port)))
        }
        Event::CameFrom { port, router: None } => Some(format!("been where it was at {}", place(port))),
        Event::GoesTo { port, router } => Some(format!("go to {} from {}", name(router), place(port))),
        Event::Leave { port, group } => Some(format!("leave {} at {}", name(group), place(port))),
        Event::HomeAddressClaim { .. } => Some("claim HoA".into()),
        Event::HomeAddressAnnounce { .. } => Some("announce HoA".into()),
        Event::HomeAddressRelease { .. } => Some("release HoA".into()),
        Event::HandoverStarted { kind, .. } => Some(format!("{} move begins", kind.name())),
        Event::HandoverEnded { completed: true, .. } => Some("move ends".into()),
        Event::HandoverEnded { completed: false, .. } => Some("move overtaken".into()),
        Event::RegistrationRefused { peer, status } => Some(format!("{} refuses: {}", name(peer), status.0)),
        Event::RegistrationLost { peer } => Some(format!("{} does not answer", name(peer))),
    }
}

impl Asked {
    /// As if another address had been bound.
    pub(super) fn rebind(&mut self, bound: Ipv6Addr) {
        self.bound = bound;
    }
}
