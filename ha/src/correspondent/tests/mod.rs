//! A correspondent, terminals that test their addresses with it and update their bindings, and those who pretend to.

mod bindings;
mod hostile;
mod lifetime;
mod preconfigured;
mod return_routability;
mod unreachable;

use super::*;
use crate::reception::{self, ANSWER_BURST};
use mma::return_routability::{BindingManagementKey, KeygenToken};
use stack::machine::{PortId, Transmit};
use stack::wire::mobility::option::NonceIndices;
use stack::wire::mobility::{
    BindingAcknowledgement, BindingUpdate, BindingUpdateFlags, Lifetime, MobilityMessage, TestAnswer,
};

pub(super) const CORRESPONDENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x10);
pub(super) const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 0x55);
pub(super) const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0xc, 0, 0, 0, 0x55);
pub(super) const OTHER_CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0xc, 0, 0, 0, 0x55);
const META: RxMeta = RxMeta { port: PortId(0), link_source: None, link_multicast: false, tunnel: None };

/// A correspondent and its clock.
pub(super) struct Bench {
    pub(super) node: CorrespondentNode,
    pub(super) now: Instant,
}

/// What came out of the correspondent for one thing that went in.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Packets, as they are on the wire.
    pub(super) packets: Vec<Vec<u8>>,
    pub(super) tables: Vec<TableUpdate>,
    pub(super) events: Vec<Event>,
    /// Whether a table update came after a packet.
    pub(super) table_after_packet: bool,
}

impl Answers {
    pub(super) fn is_silent(&self) -> bool {
        self.packets.is_empty() && self.tables.is_empty() && self.events.is_empty()
    }

    /// The only packet, a Mobility Header: where it goes, its routing header's address, its message.
    pub(super) fn message(&self) -> (Ipv6Addr, Option<Ipv6Addr>, MobilityMessage) {
        let [packet] = &self.packets[..] else { panic!("{} packets", self.packets.len()) };
        let (header, chain) = (ipv6::Header::parse(packet).unwrap(), Chain::parse(packet).unwrap());
        let routing = chain.type2_routing.map(|routing| routing.home_address);
        assert_eq!((header.source, chain.upper, chain.home_address), (CORRESPONDENT, protocol::MOBILITY, None));
        let message = reception::receive(packet).unwrap().message;
        (header.destination, routing, message)
    }

    /// The only packet, a Binding Acknowledgement.
    pub(super) fn acknowledgement(&self) -> BindingAcknowledgement {
        match self.message().2 {
            MobilityMessage::BindingAcknowledgement(acknowledgement) => acknowledgement,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn status(&self) -> Status {
        self.acknowledgement().status
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(Config::new(CORRESPONDENT))
    }

    pub(super) fn with(config: Config) -> Self {
        let policy = config.policy.clone();
        let mut bench =
            Bench { node: CorrespondentNode::new(config, SecretRng::simulated(7)), now: Instant::from_secs(1000) };
        let role = Correspondent { address: CORRESPONDENT, policy };
        assert_eq!(bench.drain().tables, [TableUpdate::CorrespondentSet(role)]);
        bench
    }

    pub(super) fn drain(&mut self) -> Answers {
        let mut answers = Answers::default();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Transmit(Transmit { packet, via }) => {
                    assert_eq!(via, Via::Route);
                    answers.packets.push(packet);
                }
                Output::Table(update) => {
                    answers.table_after_packet |= !answers.packets.is_empty();
                    answers.tables.push(update);
                }
                Output::Event(event) => answers.events.push(event),
            }
        }
        answers
    }

    pub(super) fn packet(&mut self, packet: &[u8]) -> Answers {
        self.node.handle_packet(self.now, &META, packet);
        self.drain()
    }

    pub(super) fn command(&mut self, command: Command) -> Answers {
        self.node.handle_command(self.now, command);
        self.drain()
    }

    /// Lets time pass, timer by timer.
    pub(super) fn pass(&mut self, secs: u64) -> Answers {
        let end = self.now + Duration::from_secs(secs);
        let mut all = Answers::default();
        while let Some(at) = self.node.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.node.handle_timeout(self.now);
            let answers = self.drain();
            all.packets.extend(answers.packets);
            all.tables.extend(answers.tables);
            all.events.extend(answers.events);
        }
        self.now = end;
        all
    }

    pub(super) fn test(&mut self, source: Ipv6Addr, message: &MobilityMessage) -> Answers {
        self.packet(&mobility(PacketBuilder::new(source, CORRESPONDENT), message.emit()))
    }

    pub(super) fn home_test(&mut self, home_address: Ipv6Addr) -> TestAnswer {
        match self.test(home_address, &MobilityMessage::HomeTestInit { cookie: [1; 8] }).message() {
            (to, None, MobilityMessage::HomeTest(answer)) if to == home_address => answer,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn care_of_test(&mut self, care_of: Ipv6Addr) -> TestAnswer {
        match self.test(care_of, &MobilityMessage::CareOfTestInit { cookie: [2; 8] }).message() {
            (to, None, MobilityMessage::CareOfTest(answer)) if to == care_of => answer,
            other => panic!("{other:?}"),
        }
    }

    /// A terminal that has tested both its addresses.
    pub(super) fn terminal(&mut self, home_address: Ipv6Addr, care_of: Ipv6Addr) -> Terminal {
        let (home, away) = (self.home_test(home_address), self.care_of_test(care_of));
        Terminal { home_address, care_of, home, away }
    }

    /// A terminal that is bound, by an update of sequence number 1.
    pub(super) fn bound(&mut self, home_address: Ipv6Addr, care_of: Ipv6Addr) -> Terminal {
        let terminal = self.terminal(home_address, care_of);
        assert_eq!(self.packet(&terminal.update(1, 105)).status(), Status::ACCEPTED);
        terminal
    }

    pub(super) fn care_of(&self, home_address: Ipv6Addr) -> Option<Ipv6Addr> {
        self.node.bindings().get(home_address).map(|binding| binding.care_of)
    }
}

/// What a terminal, or its agent, knows after its tests.
#[derive(Clone, Copy)]
pub(super) struct Terminal {
    pub(super) home_address: Ipv6Addr,
    pub(super) care_of: Ipv6Addr,
    pub(super) home: TestAnswer,
    pub(super) away: TestAnswer,
}

impl Terminal {
    pub(super) fn key(&self) -> BindingManagementKey {
        BindingManagementKey::new(KeygenToken(self.home.token), KeygenToken(self.away.token))
    }

    pub(super) fn deletion_key(&self) -> BindingManagementKey {
        BindingManagementKey::for_deletion(KeygenToken(self.home.token))
    }

    pub(super) fn message(&self, sequence: u16, lifetime: u16) -> BindingUpdate {
        let indices = NonceIndices { home: self.home.nonce_index, care_of: self.away.nonce_index };
        BindingUpdate {
            sequence,
            flags: BindingUpdateFlags::ACKNOWLEDGE,
            lifetime: Lifetime(lifetime),
            options: MobilityOptions { nonce_indices: Some(indices), ..MobilityOptions::default() },
        }
    }

    pub(super) fn sign(&self, update: BindingUpdate) -> Vec<u8> {
        match update.lifetime.is_zero() {
            true => self.deletion_key().sign_update(update, self.home_address, CORRESPONDENT),
            false => self.key().sign_update(update, self.care_of, CORRESPONDENT),
        }
    }

    /// The packet of a signed message.
    pub(super) fn carry(&self, message: Vec<u8>) -> Vec<u8> {
        mobility(PacketBuilder::new(self.care_of, CORRESPONDENT).home_address(self.home_address), message)
    }

    /// A Binding Update for a lifetime in units of four seconds.
    pub(super) fn update(&self, sequence: u16, lifetime: u16) -> Vec<u8> {
        self.carry(self.sign(self.message(sequence, lifetime)))
    }
}

pub(super) fn mobility(builder: PacketBuilder, message: Vec<u8>) -> Vec<u8> {
    builder.checksummed(protocol::MOBILITY, message, CHECKSUM_AT)
}

pub(super) fn bound_to(home_address: Ipv6Addr, care_of: Ipv6Addr) -> TableUpdate {
    let binding = CorrespondentBinding { local: CORRESPONDENT, care_of };
    TableUpdate::CorrespondentBindingSet(home_address, binding)
}
