//! The ways of packets to a terminal: over which links, by whom, in which headers, before and after it has moved.
//!
//! Every packet of every flow to the terminal counts. Where it is seen on a link, the link-layer addresses tell who sent
//! it there and to whom; ways are those steps, and no packet is followed.

use crate::config::lab::{Endpoint, Lab, LabMove, LinkIndex};
use crate::lab::observe::{Form, PacketSeen, Station, Wire};
use core::net::Ipv6Addr;
use stack::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// The time before a movement, and at the end of its time, in which ways are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The ways around a movement.
pub(crate) struct Ways {
    /// Just before it.
    pub(crate) before: Vec<Step>,
    /// From the movement until the time of `after` begins, where those of neither other time.
    pub(crate) between: Vec<Step>,
    /// At the end of its time.
    pub(crate) after: Vec<Step>,
}

/// A step of a way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    /// Who sends.
    pub(crate) sender: Station,
    /// On which link.
    pub(crate) link: LinkIndex,
    /// To whom; of a group's packets, the terminal where it is on the link.
    pub(crate) receiver: Option<Station>,
    /// How many packets.
    pub(crate) packets: u64,
    /// The headers that most of them had.
    pub(crate) headers: String,
}

/// What finds ways.
pub(super) struct Tracer<'a> {
    lab: &'a Lab,
    wire: &'a Wire,
    /// By the number of a form.
    forms: Vec<&'a Form>,
}

impl<'a> Tracer<'a> {
    pub(super) fn new(lab: &'a Lab, wire: &'a Wire) -> Self {
        let mut forms: Vec<(&u32, &Form)> = wire.forms().iter().map(|(form, number)| (number, form)).collect();
        forms.sort_unstable_by_key(|(number, _)| **number);
        Tracer { lab, wire, forms: forms.into_iter().map(|(_, form)| form).collect() }
    }

    /// The ways around a movement that was made `at`; its terminal's last one was `since` then, its next one is `until`.
    pub(super) fn around(&self, movement: &LabMove, since: Instant, at: Instant, until: Instant) -> Ways {
        let back = |end: Instant, begin: Instant| {
            let room = end.since(begin) / 2;
            Instant::ORIGIN + end.since(Instant::ORIGIN).saturating_sub(LOOK.min(room))
        };
        let settled = back(until, at);
        let before = self.steps(movement, Some(movement.from), back(at, since), at);
        let after = self.steps(movement, Some(movement.to), settled, until);
        let mut between = self.steps(movement, None, at, settled);
        let same = |a: &Step, b: &Step| (a.sender, a.link) == (b.sender, b.link);
        between.retain(|step| !before.iter().chain(&after).any(|other| same(step, other)));
        Ways { before, between, after }
    }

    /// The steps of packets to a terminal, which is on this link.
    fn steps(&self, movement: &LabMove, on: Option<LinkIndex>, from: Instant, until: Instant) -> Vec<Step> {
        let terminal = Station::all(self.lab).find(|station| station.terminal(self.lab) == Some(movement.terminal));
        let home_address = self.lab.address_of(Endpoint::Node(movement.terminal));
        let wanted: BTreeSet<u32> =
            (0..).zip(&self.forms).filter(|(_, form)| is_for(form, home_address)).map(|(n, _)| n).collect();
        let packets = self.wire.packets_between(from, until).iter().filter(|packet| wanted.contains(&packet.form));
        let mut counts = BTreeMap::<(Station, LinkIndex, Option<Station>), BTreeMap<u32, u64>>::new();
        for packet in packets {
            let &PacketSeen { sender: Some(sender), link, receiver, form, .. } = packet else { continue };
            *counts.entry((sender, link, receiver)).or_default().entry(form).or_default() += 1;
        }
        let step = |((sender, link, receiver), forms): ((Station, LinkIndex, Option<Station>), BTreeMap<u32, u64>)| {
            let most = forms.iter().max_by_key(|&(_, count)| count).map(|(&form, _)| form);
            let headers = most.and_then(|form| self.forms.get(form as usize)).map(|form| headers(form));
            let receiver =
                receiver.or_else(|| self.receiver(sender, link, if on == Some(link) { terminal } else { None }));
            Step { sender, link, receiver, packets: forms.values().sum(), headers: headers.unwrap_or_default() }
        };
        counts.into_iter().map(step).collect()
    }

    /// Who receives a group's packets on a link: its one other end that is no terminal, or the terminal that is there.
    fn receiver(&self, sender: Station, link: LinkIndex, terminal: Option<Station>) -> Option<Station> {
        terminal.filter(|&terminal| terminal != sender).or_else(|| {
            let others = Station::all(self.lab).filter(|&station| station != sender);
            let mut routers = others
                .filter(|station| station.terminal(self.lab).is_none() && station.links(self.lab).contains(&link));
            let first = routers.next();
            first.filter(|_| routers.next().is_none())
        })
    }
}

/// Whether packets of this form end at the programs behind this address.
fn is_for(form: &Form, home_address: Ipv6Addr) -> bool {
    let last = form.inner.unwrap_or(form.outer).1;
    form.routing_header.unwrap_or(last) == home_address
}

fn headers(form: &Form) -> String {
    let ends = |(source, destination): (Ipv6Addr, Ipv6Addr)| format!("{source} > {destination}");
    let mut text = ends(form.outer);
    if let Some(inner) = form.inner {
        text += &format!(" around {}", ends(inner));
    }
    if let Some(home) = form.routing_header {
        text += &format!(", routing header {home}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::lab::load_lab;
    use crate::lab::sim::mac;
    use stack::wire::build::PacketBuilder;
    use stack::wire::ipv6::protocol;
    use std::path::Path;

    #[test]
    fn ways_are_those_of_packets_to_the_terminal() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/lab/fig5.toml");
        let lab = load_lab(&file).expect("a shipped lab");
        let station = |name: &str| Station::all(&lab).find(|station| station.name(&lab) == name).expect("it is there");
        let address = |text: &str| text.parse::<Ipv6Addr>().expect("an address");
        let (home, cn) = (address("2001:db8:100:1::55"), address("2001:db8:c::10"));
        let datagram = |source, destination| {
            PacketBuilder::new(source, destination).checksummed(
                protocol::UDP,
                vec![0x13, 0x89, 0x13, 0x89, 0, 8, 0, 0],
                6,
            )
        };
        let mut wire = Wire::default();
        let mut note = |millis: u64, from: &str, link: &str, to: Option<&str>, packet: &[u8]| {
            let of = |name: &str| mac(usize::from(station(name).0), 0).0;
            let to = to.map_or([0x33, 0x33, 0, 0, 0, 1], of);
            let frame = [&to[..], &of(from), &[0x86, 0xdd], packet].concat();
            wire.note(Instant::from_millis(millis), lab.link_named(link).expect("it is there"), &frame);
        };
        let group = PacketBuilder::new(address("2001:db8:200::1"), address("ff35::200:5eff:fe10:55"))
            .payload(protocol::IPV6, &datagram(cn, home));
        for (millis, router, radio, link) in
            [(5_950, "a", "radio-a", "core-a"), (6_100, "b", "radio-b", "core-b"), (6_950, "b", "radio-b", "core-b")]
        {
            note(millis, "cn", "cn-bb", Some("backbone"), &datagram(cn, home));
            note(millis, "core", link, None, &group);
            note(millis, router, radio, None, &group);
            note(millis, "mt", radio, Some(router), &datagram(home, cn));
        }
        note(6_200, "a", "radio-a", None, &group);
        note(6_200, "ha", "home", None, &datagram(cn, home));
        wire.sort();
        let tracer = Tracer::new(&lab, &wire);
        let times = [5_000, 6_000, 7_000].map(Instant::from_millis);
        let ways = tracer.around(&lab.moves[0], times[0], times[1], times[2]);
        let told = |steps: &[Step]| -> Vec<String> {
            let name = |station: Option<Station>| station.map_or("-", |station| station.name(&lab));
            let line = |step: &Step| {
                let (sender, receiver) = (step.sender.name(&lab), name(step.receiver));
                format!("{sender} {} {receiver} {}", lab.links[step.link.0].name, step.packets)
            };
            steps.iter().map(line).collect()
        };
        assert_eq!(told(&ways.before), ["core core-a a 1", "a radio-a mt 1", "cn cn-bb backbone 1"]);
        assert_eq!(told(&ways.after), ["core core-b b 1", "b radio-b mt 1", "cn cn-bb backbone 1"]);
        assert_eq!(told(&ways.between), ["ha home - 1"]);
        assert_eq!(
            ways.after[0].headers,
            "2001:db8:200::1 > ff35::200:5eff:fe10:55 around 2001:db8:c::10 > 2001:db8:100:1::55"
        );
    }
}
