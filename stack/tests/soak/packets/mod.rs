//! Packets as they come to such a router, drawn at random: most of them aim at what is in its tables, and some miss.

mod agents;
mod headers;
mod ways;

use super::model::Model;
use super::octets;
use super::updates::Updates;
use super::world::{self, BUSY_PORTS};

/// The kinds of packets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    Routed,
    Anywhere,
    ToNode,
    Echo,
    Signalling,
    Multicast,
    Register,
    LinkGroup,
    ViaHomeAgent,
    ViaPeer,
    ToCareOf,
    Type2Routing,
    ReverseToAgent,
    ReverseToHomeAgent,
    ToHome,
    HomeAddressOption,
    LinkLocal,
    GroupFrame,
}

impl Kind {
    pub(crate) const ALL: [(Kind, u64); 18] = [
        (Kind::Routed, 20),
        (Kind::Anywhere, 4),
        (Kind::ToNode, 2),
        (Kind::Echo, 2),
        (Kind::Signalling, 2),
        (Kind::Multicast, 14),
        (Kind::Register, 8),
        (Kind::LinkGroup, 2),
        (Kind::ViaHomeAgent, 16),
        (Kind::ViaPeer, 4),
        (Kind::ToCareOf, 3),
        (Kind::Type2Routing, 8),
        (Kind::ReverseToAgent, 10),
        (Kind::ReverseToHomeAgent, 8),
        (Kind::ToHome, 10),
        (Kind::HomeAddressOption, 2),
        (Kind::LinkLocal, 2),
        (Kind::GroupFrame, 1),
    ];
}

/// A frame to come in.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) kind: Kind,
    pub(crate) octets: Vec<u8>,
    pub(crate) serial: u64,
    pub(crate) train: Option<u64>,
}

/// Makes packets with numbers of their own.
pub(crate) struct Packets {
    serial: u64,
}

impl Packets {
    pub(crate) fn new() -> Self {
        Packets { serial: 0 }
    }

    /// A port, and up to 64 frames for it.
    pub(crate) fn batch(&mut self, model: &Model, updates: &mut Updates) -> (u8, Vec<Input>) {
        let rng = &mut updates.rng;
        let port = rng.below(u64::from(BUSY_PORTS)) as u8;
        let count = match rng.below(8) {
            0 => 1,
            1 => 64,
            _ => 1 + rng.below(64),
        } as usize;
        let mut batch = Vec::with_capacity(count);
        while batch.len() < count {
            let row = match updates.rng.below(240) {
                0..20 => 2 + updates.rng.below(10) as usize,
                20..24 => 40,
                _ => 1,
            };
            let (kind, frame) = self.frame(model, updates, port);
            let train = (row > 1).then_some(self.serial);
            for _ in 0..row.min(count - batch.len()) {
                batch.push(Input { kind, octets: self.tagged(&frame), serial: self.serial, train });
            }
        }
        (port, batch)
    }

    /// The frame with the next number in all of its data.
    fn tagged(&mut self, frame: &(Vec<u8>, usize)) -> Vec<u8> {
        self.serial += 1;
        let (mut octets, data) = frame.clone();
        let tag = stack::rng::Rng::new(self.serial).next_u64().to_be_bytes();
        let at = octets.len().saturating_sub(data);
        for (octet, tag) in octets[at..].iter_mut().zip(tag.iter().cycle()) {
            *octet = *tag;
        }
        octets
    }

    /// A frame, and how many octets at its end are data.
    fn frame(&mut self, model: &Model, updates: &mut Updates, port: u8) -> (Kind, (Vec<u8>, usize)) {
        let mut draw = Draw { updates, model, port };
        let mut ticket = draw.below(Kind::ALL.iter().map(|&(_, share)| share).sum());
        let (kind, _) = *Kind::ALL
            .iter()
            .find(|&&(_, share)| match ticket.checked_sub(share) {
                Some(rest) => {
                    ticket = rest;
                    false
                }
                None => true,
            })
            .expect("a ticket below the sum of the shares");
        let (mut packet, data) = draw.packet(kind);
        let (trailer, cut) = draw.spoil(&mut packet);
        let destination = octets::destination(&packet);
        let to = match destination.is_multicast() || kind == Kind::GroupFrame {
            true => octets::mac_of_group(destination),
            false => world::mac(port),
        };
        let mut frame = octets::frame(to, [2, 0, 0, 0, 1, port], &packet);
        match draw.below(300) {
            0 => frame[12] = 8,
            1 => frame[5] ^= 0x40,
            2 => frame[6] |= 1,
            3 => frame.truncate(draw.below(60) as usize),
            _ => {}
        }
        let is_whole = frame.len() == 14 + packet.len() && cut == 0;
        frame.truncate(frame.len().saturating_sub(cut));
        frame.extend(core::iter::repeat_n(0xee, trailer));
        (kind, (frame, if is_whole && trailer == 0 { data } else { 0 }))
    }
}

/// What a packet is drawn from.
struct Draw<'a> {
    updates: &'a mut Updates,
    model: &'a Model,
    port: u8,
}

impl Draw<'_> {
    fn below(&mut self, n: u64) -> u64 {
        self.updates.rng.below(n)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
