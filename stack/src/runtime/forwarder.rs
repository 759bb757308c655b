//! A worker beside the first one: its own queues of the ports, its own frames, the tables of the first.
//!
//! A turn learns what the first worker has told, reads every port once, sends on what goes the express way, and hands the
//! rest to the first worker, whose stages and machines decide about it. It never waits for anybody. What becomes of a port's
//! address, MTU and link it is told by the first, too.

use super::crossing::{Task, ToFirst};
use super::ports::Ports;
use super::thread::Turns;
use super::worker::Progress;
use crate::machine::PortId;
use crate::packet::Batch;
use crate::pipeline::Dataplane;
use crate::port::Port;
use crate::time::Instant;

/// News that are learnt in a turn at the most.
const MAX_NEWS: usize = 256;

/// A worker that forwards, and has no node.
pub struct Forwarder {
    dataplane: Dataplane,
    ports: Ports,
    batch: Batch,
    first: ToFirst,
}

impl Forwarder {
    /// A forwarder; `dataplane` is one beside the first worker's ([`Dataplane::beside`]), and `ports` are in the order of
    /// the first worker's, one for one.
    pub fn new(dataplane: Dataplane, ports: Vec<Box<dyn Port>>, first: ToFirst) -> Self {
        Forwarder { dataplane, ports: Ports::new(ports), batch: Batch::new(), first }
    }

    /// The data plane.
    pub fn dataplane(&self) -> &Dataplane {
        &self.dataplane
    }

    /// Frames that the forwarder holds: in the data plane, and waiting for a port.
    pub fn held_frames(&self) -> usize {
        self.dataplane.held_frames() + self.ports.held_frames()
    }

    fn hand_over(&mut self, port: PortId) {
        let task = Task::Receive(port);
        let given = self.batch.iter().take_while(|frame| self.first.send(task, frame.bytes())).count();
        if given > 0 {
            self.first.ring();
            self.dataplane.count_handed_over(given);
            self.batch.drain(..given);
        }
        if !self.batch.is_empty() {
            self.dataplane.drop_unhanded(&mut self.batch);
        }
    }
}

impl Turns for Forwarder {
    type Event = core::convert::Infallible;

    fn iterate(&mut self, now: Instant) -> Progress {
        let mut progress = Progress::default();
        for _ in 0..MAX_NEWS {
            let Some(news) = self.first.hear() else { break };
            self.dataplane.hear(now, news);
            progress.heard += 1;
        }
        for index in 0..self.ports.len() {
            let port = PortId(index as u8);
            progress.received += self.ports.receive(port, self.dataplane.pool(), &mut self.batch);
            if !self.batch.is_empty() {
                self.dataplane.forward(now, port, &mut self.batch);
                if !self.batch.is_empty() {
                    self.hand_over(port);
                }
            }
        }
        progress.sent = self.ports.send_all(&mut self.dataplane);
        progress
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn has_backlog(&mut self) -> bool {
        self.ports.has_backlog(&mut self.dataplane)
    }

    fn has_mail(&self) -> bool {
        self.first.has_mail()
    }

    fn ports(&self) -> impl Iterator<Item = &dyn Port> {
        self.ports.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Bell, RelayPort, Worker, crossing};
    use super::*;
    use crate::addr::{MacAddress, Prefix};
    use crate::machine::{Notice, Output, RxMeta};
    use crate::node::Node;
    use crate::packet::{BATCH_SIZE, Pool};
    use crate::pipeline::{Counter, DataplaneConfig};
    use crate::port::{LinkState, Medium, MemEnd, MemPort, PortInfo};
    use crate::tables::{Neighbor, Route, TableUpdate};
    use crate::wire::build::PacketBuilder;
    use crate::wire::ethernet;
    use crate::wire::ipv6::protocol;
    use core::net::Ipv6Addr;
    use std::collections::VecDeque;

    const SELF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 2);
    const CN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 3, 0, 0, 0, 3);
    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
    const FRAMES: u32 = 2048;
    const NOW: Instant = Instant::from_secs(1);

    /// Says what it was told to say, and hears.
    #[derive(Default)]
    struct Script {
        updates: VecDeque<TableUpdate>,
        heard: Vec<Vec<u8>>,
        timer: Option<Instant>,
        timeouts: usize,
    }

    impl Node for Script {
        type Event = ();

        fn handle_packet(&mut self, _: Instant, _: &RxMeta, packet: &[u8]) {
            self.heard.push(packet.to_vec());
        }

        fn handle_notice(&mut self, _: Instant, _: Notice) {}

        fn handle_timeout(&mut self, _: Instant) {
            self.timer = None;
            self.timeouts += 1;
        }

        fn poll_output(&mut self) -> Option<Output<()>> {
            self.updates.pop_front().map(Output::Table)
        }

        fn poll_timeout(&self) -> Option<Instant> {
            self.timer
        }
    }

    struct Crew {
        first: Worker<Script>,
        forwarder: Forwarder,
        /// Ends of the first worker's ports, and of those of the forwarder that are its own.
        of_first: Vec<MemEnd>,
        of_forwarder: Vec<MemEnd>,
    }

    fn info(port: u8) -> PortInfo {
        PortInfo {
            name: format!("m{port}"),
            kind: "mem",
            mode: String::new(),
            medium: Medium::Ethernet,
            link_address: MacAddress([2, 0, 0, 0, 0, port]),
            mtu: 1500,
            link: LinkState::Up,
            xdp: None,
        }
    }

    /// Two ports, of which the forwarder has the first `own`, and a route behind the second.
    fn crew(own: u8) -> Crew {
        let bell = || Bell::new().unwrap();
        let (to_forwarder, to_first) = crossing(&bell(), &bell());
        let infos = [info(0), info(1)];
        let config = DataplaneConfig::default();
        let (dataplane, mut readers) = Dataplane::first(config.clone(), Pool::new(FRAMES).unwrap(), &infos, 1);
        let of_first: Vec<(MemPort, MemEnd)> = infos.iter().cloned().map(MemPort::new).collect();
        let (ports, of_first): (Vec<_>, Vec<_>) =
            of_first.into_iter().map(|(port, end)| (Box::new(port) as Box<dyn Port>, end)).unzip();
        let neighbor = Neighbor { link_address: MacAddress([2, 0, 0, 0, 9, 9]), notify_use: false };
        let updates = [
            TableUpdate::RouteSet(Prefix::host(SELF), Route::Local),
            TableUpdate::RouteSet(Prefix::host(FAR), Route::Via { port: PortId(1), next_hop: ROUTER }),
            TableUpdate::NeighborSet(PortId(1), ROUTER, neighbor),
        ];
        let script = Script { updates: updates.into(), ..Script::default() };
        let first = Worker::new(dataplane, script, ports).with_forwarders(vec![to_forwarder]);
        let plane = Dataplane::beside(config, readers.remove(0), Pool::new(FRAMES).unwrap(), &infos);
        let mut of_forwarder = Vec::new();
        let mut ports: Vec<Box<dyn Port>> = Vec::new();
        for info in infos {
            let port = PortId(ports.len() as u8);
            if port.0 < own {
                let (port, end) = MemPort::new(info);
                of_forwarder.push(end);
                ports.push(Box::new(port));
            } else {
                ports.push(Box::new(RelayPort::new(port, info, to_first.clone()).unwrap()));
            }
        }
        let mut crew = Crew { first, forwarder: Forwarder::new(plane, ports, to_first), of_first, of_forwarder };
        crew.first.iterate(NOW);
        crew.forwarder.iterate(NOW);
        crew
    }

    impl Crew {
        fn check(&self) {
            let planes = [self.first.dataplane(), self.forwarder.dataplane()];
            assert!(planes.iter().all(|plane| plane.counters().is_balanced()));
            let held = [self.first.held_frames(), self.forwarder.held_frames()];
            for (plane, held) in planes.iter().zip(held) {
                assert_eq!(plane.pool().free_frames() + held, FRAMES as usize);
            }
        }

        fn count(&self, counter: Counter) -> [u64; 2] {
            [self.first.dataplane(), self.forwarder.dataplane()].map(|plane| plane.counters().get(counter))
        }
    }

    /// A frame to the first port.
    fn frame(destination: Ipv6Addr, protocol: u8, number: u16) -> Vec<u8> {
        let packet = PacketBuilder::new(CN, destination).payload(protocol, &number.to_be_bytes());
        let mut frame = vec![0; ethernet::HEADER_LEN];
        frame[5] = 0;
        frame[0] = 2;
        frame[6] = 2;
        frame[12..14].copy_from_slice(&ethernet::ETHERTYPE_IPV6.to_be_bytes());
        frame.extend(packet);
        frame
    }

    fn numbers(end: &MemEnd) -> Vec<u16> {
        core::iter::from_fn(|| end.pop()).map(|frame| u16::from_be_bytes([frame[54], frame[55]])).collect()
    }

    #[test]
    fn what_is_common_is_sent_on_and_the_rest_is_the_firsts() {
        let mut crew = crew(2);
        for number in 0..3 {
            assert!(crew.of_forwarder[0].push(frame(FAR, protocol::UDP, number)));
            assert!(crew.of_forwarder[0].push(frame(SELF, protocol::MOBILITY, number)));
        }
        assert_eq!(crew.forwarder.iterate(NOW), Progress { received: 6, sent: 3, heard: 0, signalling: 0 });
        assert_eq!(numbers(&crew.of_forwarder[1]), [0, 1, 2]);
        assert!(crew.first.has_mail());
        assert_eq!(crew.first.iterate(NOW), Progress { received: 0, sent: 0, heard: 3, signalling: 0 });
        assert!(!crew.first.has_mail());
        let heard: Vec<u8> = crew.first.node().heard.iter().map(|packet| packet[41]).collect();
        assert_eq!(heard, [0, 1, 2]);
        assert_eq!((crew.count(Counter::Rx), crew.count(Counter::HandedOver)), ([3, 3], [0, 3]));
        crew.check();
    }

    #[test]
    fn a_change_is_there_in_the_next_turn() {
        let mut crew = crew(2);
        crew.first.node_mut().updates.push_back(TableUpdate::RouteSet(Prefix::host(FAR), Route::Blackhole));
        crew.first.iterate(NOW);
        assert!(crew.forwarder.has_mail());
        assert!(crew.of_forwarder[0].push(frame(FAR, protocol::UDP, 7)));
        let progress = crew.forwarder.iterate(NOW);
        assert_eq!((progress.sent, progress.heard), (0, 1));
        assert!(crew.forwarder.iterate(NOW).is_idle());
        assert_eq!(crew.first.iterate(NOW).heard, 1);
        assert_eq!(crew.count(Counter::DropLookupBlackhole), [1, 0]);
        crew.check();
    }

    #[test]
    fn frames_for_a_port_of_the_firsts_leave_there_in_order() {
        let mut crew = crew(1);
        for number in 0..500 {
            assert!(crew.of_forwarder[0].push(frame(FAR, protocol::UDP, number)));
        }
        let mut sent = Vec::new();
        for _ in 0..20 {
            crew.forwarder.iterate(NOW);
            crew.first.iterate(NOW);
            sent.extend(numbers(&crew.of_first[1]));
        }
        assert_eq!(sent, (0..500).collect::<Vec<_>>());
        assert_eq!((crew.count(Counter::Output), crew.count(Counter::Relayed)), ([0, 500], [500, 0]));
        crew.check();
    }

    /// More comes by one port than a worker can take. A turn takes a batch of it, and beside it what the other port has,
    /// a batch of what the other worker has, and what is new; timers run.
    #[test]
    fn a_flood_by_one_port_delays_nothing_else() {
        let to_port = |port: u8, mut frame: Vec<u8>| {
            frame[5] = port;
            frame
        };
        for flooded in [0, 1] {
            let quiet = 1 - flooded;
            let flood = |end: &MemEnd| while end.push(to_port(flooded, frame(SELF, protocol::MOBILITY, 0))) {};
            let mut crew = crew(2);
            for turn in 0..100 {
                flood(&crew.of_forwarder[usize::from(flooded)]);
                assert!(crew.of_forwarder[usize::from(quiet)].push(to_port(quiet, frame(FAR, protocol::UDP, turn))));
                let progress = crew.forwarder.iterate(NOW);
                assert_eq!((progress.received, progress.sent), (BATCH_SIZE + 1, 1));
                assert_eq!(numbers(&crew.of_forwarder[1]), [turn]);
                assert_eq!(progress.heard, usize::from(turn > 0), "what the first has told in its turn");

                flood(&crew.of_first[usize::from(flooded)]);
                assert!(crew.of_first[usize::from(quiet)].push(to_port(quiet, frame(SELF, protocol::MOBILITY, 0))));
                let neighbor = Neighbor { link_address: MacAddress([2, 0, 0, 0, 8, turn as u8]), notify_use: false };
                let node = crew.first.node_mut();
                node.timer = Some(NOW);
                node.updates.push_back(TableUpdate::NeighborSet(PortId(1), CN, neighbor));
                let progress = crew.first.iterate(NOW);
                assert_eq!((progress.received, progress.heard), (BATCH_SIZE + 1, BATCH_SIZE));
                assert_eq!(crew.first.node().timeouts, usize::from(turn) + 1);
                crew.check();
            }
        }
    }

    /// The first worker does not come to it: what finds no box is dropped and counted, and the rest is not lost.
    #[test]
    fn a_forwarder_does_not_wait_for_the_first() {
        let mut crew = crew(2);
        let mut given = 0;
        while crew.count(Counter::DropHandoverFull)[1] == 0 {
            for number in 0..64 {
                assert!(crew.of_forwarder[0].push(frame(SELF, protocol::MOBILITY, number)));
            }
            given += 64;
            crew.forwarder.iterate(NOW);
            crew.check();
        }
        while crew.first.iterate(NOW).heard > 0 {}
        let dropped = crew.count(Counter::DropHandoverFull)[1];
        assert_eq!((crew.first.node().heard.len() as u64 + dropped, dropped > 0), (given, true));
        assert!(crew.of_forwarder[0].push(frame(SELF, protocol::MOBILITY, 0)));
        crew.forwarder.iterate(NOW);
        assert_eq!(crew.first.iterate(NOW).heard, 1, "there are boxes again");
        crew.check();
    }
}
