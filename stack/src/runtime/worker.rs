//! One worker: ports, data plane and node, run to completion.
//!
//! A turn reads every port once; each batch goes through the data plane, and each packet for the node is handled, with
//! all that follows from it (table updates, packets, notices), before the next one is looked at. PIM and MLD, of which
//! there may be more than there is time for ([`Worker::with_clock`]), come after all ports. Then timers run, and what is to
//! be sent is sent. A worker has no clock, no thread and no sleep of its own: the runtime and the simulator
//! drive it alike.

use super::crossing::{Task, ToForwarder};
use super::ports::{Change, Ports};
use super::share::Share;
use super::thread::Turns;
use crate::machine::{Notice, Output, PortId};
use crate::node::Node;
use crate::packet::{BATCH_SIZE, Batch};
use crate::pipeline::Dataplane;
use crate::port::{LinkState, Port};
use crate::time::Instant;
use std::collections::VecDeque;

/// Events that wait to be taken at the most; older ones are lost and counted.
const MAX_EVENTS: usize = 4096;

/// What a turn did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Frames that came in.
    pub received: usize,
    /// Frames that went out.
    pub sent: usize,
    /// Frames and news from other workers.
    pub heard: usize,
    /// PIM and MLD packets that the node was given.
    pub signalling: usize,
}

impl Progress {
    /// Whether nothing happened.
    pub const fn is_idle(&self) -> bool {
        self.received == 0 && self.sent == 0 && self.heard == 0 && self.signalling == 0
    }
}

/// A worker with its node.
pub struct Worker<N: Node> {
    dataplane: Dataplane,
    node: N,
    ports: Ports,
    batch: Batch,
    others: Vec<ToForwarder>,
    /// Frames of this turn that have left before its end.
    sent_early: usize,
    share: Share,
    /// Whether this turn has forwarded anything, or the last one where it has not begun to.
    forwards: bool,
    /// Whether this turn has forwarded half a batch of one port's or more: most likely there is more where that came from.
    is_pressed: bool,
    events: VecDeque<N::Event>,
    lost_events: u64,
}

impl<N: Node> Worker<N> {
    /// A worker; `ports` are those that the data plane was made for, in that order. Ports that are up are announced to
    /// the node in the first turn.
    pub fn new(dataplane: Dataplane, node: N, ports: Vec<Box<dyn Port>>) -> Self {
        Worker {
            dataplane,
            node,
            ports: Ports::new(ports),
            batch: Batch::new(),
            others: Vec::new(),
            sent_early: 0,
            share: Share::new(None),
            forwards: false,
            is_pressed: false,
            events: VecDeque::new(),
            lost_events: 0,
        }
    }

    /// The same worker with forwarders beside it, to which these ways lead. Its data plane is one that knows of them
    /// ([`Dataplane::first`]).
    pub fn with_forwarders(self, others: Vec<ToForwarder>) -> Self {
        Worker { others, ..self }
    }

    /// The same worker with a clock, that of the times that its turns are given: so it knows how long PIM and MLD take it,
    /// and gives them no more than a tenth of its time while there is more to forward than it can. Messages wait meanwhile,
    /// a quarter of a thousand of each port; those beyond are dropped (`drop-local-signalling-queue`). Without a clock each is
    /// handled in the turn in which it came.
    pub fn with_clock(self, clock: fn() -> Instant) -> Self {
        Worker { share: Share::new(Some(clock)), ..self }
    }

    /// One turn.
    pub fn iterate(&mut self, now: Instant) -> Progress {
        let mut progress = Progress::default();
        self.settle(now);
        let forwarded = core::mem::take(&mut self.forwards);
        self.is_pressed = false;
        for index in 0..self.ports.len() {
            let port = PortId(index as u8);
            // With nothing to forward it is better that messages wait with their port than that they are lost.
            if forwarded || !self.dataplane.is_nearly_full_of_signalling(port) {
                progress.received += self.ports.receive(port, self.dataplane.pool(), &mut self.batch);
            }
            while let Some(change) = self.ports.change(port) {
                self.dataplane.update_port(port, self.ports.info(port));
                let notice = match change {
                    Change::LinkAddress(address) => Notice::LinkAddress(port, address),
                    Change::Mtu(mtu) => Notice::Mtu(port, mtu),
                    Change::Link(LinkState::Up) => Notice::LinkUp(port),
                    Change::Link(LinkState::Down) => Notice::LinkDown(port),
                };
                self.node.handle_notice(now, notice);
                self.settle(now);
            }
            self.process(now, port);
        }
        for index in 0..self.others.len() {
            progress.heard += self.take_over(now, index);
        }
        progress.signalling = self.handle_signalling(now);
        self.handle_timeouts(now);
        progress.sent = self.ports.send_all(&mut self.dataplane) + core::mem::take(&mut self.sent_early);
        progress
    }

    /// Takes the batch through the data plane, and does all that follows from it.
    fn process(&mut self, now: Instant, port: PortId) {
        if !self.batch.is_empty() {
            let before = self.dataplane.sent_packets();
            self.dataplane.process(now, port, &mut self.batch);
            let forwarded = self.dataplane.sent_packets() - before;
            self.forwards |= forwarded > 0;
            self.is_pressed |= forwarded >= BATCH_SIZE as u64 / 2;
            self.settle(now);
        }
    }

    /// Gives the node the PIM and MLD packets that there is time for; how many.
    fn handle_signalling(&mut self, now: Instant) -> usize {
        if !self.dataplane.has_signalling() {
            return 0;
        }
        let mut handled = 0;
        self.share.begin(now, self.is_pressed);
        while self.share.has_time()
            && let Some((meta, packet)) = self.dataplane.poll_signalling()
        {
            handled += 1;
            self.node.handle_packet(now, &meta, packet.bytes());
            drop(packet);
            self.settle(now);
        }
        handled
    }

    /// Takes what a forwarder has for this worker, a batch at the most; how many frames.
    fn take_over(&mut self, now: Instant, index: usize) -> usize {
        let (mut taken, mut arrival) = (0, None);
        while taken < BATCH_SIZE
            && let Some(crossing) = self.others[index].receive()
        {
            taken += 1;
            match crossing.task {
                Task::Receive(port) => {
                    if let Some(before) = arrival.replace(port).filter(|&before| before != port) {
                        self.process(now, before);
                    }
                    self.batch.extend(self.dataplane.take_over(crossing.frame()));
                }
                Task::Send(port) => self.dataplane.relay(port, crossing.frame()),
            }
            self.others[index].done(crossing);
        }
        if let Some(port) = arrival {
            self.process(now, port);
        }
        taken
    }

    /// When the worker wants its next turn although nothing comes in.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.node.poll_timeout(), self.dataplane.poll_timeout()].into_iter().flatten().min()
    }

    /// Whether frames wait that a port did not take: the next turn should not wait long.
    pub fn has_backlog(&mut self) -> bool {
        self.ports.has_backlog(&mut self.dataplane)
    }

    /// Frames that the worker holds: in the data plane, and waiting for a port.
    pub fn held_frames(&self) -> usize {
        self.dataplane.held_frames() + self.ports.held_frames()
    }

    /// The next event of the node, in order.
    pub fn poll_event(&mut self) -> Option<N::Event> {
        self.events.pop_front()
    }

    /// Events that were lost because nobody took them.
    pub fn lost_events(&self) -> u64 {
        self.lost_events
    }

    /// The node.
    pub fn node(&self) -> &N {
        &self.node
    }

    /// The node, to command it; what it answers is carried out in the next turn.
    pub fn node_mut(&mut self) -> &mut N {
        &mut self.node
    }

    /// The data plane.
    pub fn dataplane(&self) -> &Dataplane {
        &self.dataplane
    }

    /// The data plane, to set it up by hand.
    pub fn dataplane_mut(&mut self) -> &mut Dataplane {
        &mut self.dataplane
    }

    /// The ports in order.
    pub fn ports(&self) -> impl Iterator<Item = &dyn Port> {
        self.ports.iter()
    }

    /// Carries out what the node has answered and gives it what the data plane has for it, until both are quiet.
    fn settle(&mut self, now: Instant) {
        loop {
            while let Some(output) = self.node.poll_output() {
                match output {
                    Output::Table(update) => {
                        self.dataplane.apply(now, update);
                        self.relieve();
                    }
                    Output::Transmit(transmit) => {
                        self.dataplane.transmit(now, &transmit);
                        self.relieve();
                    }
                    Output::Event(event) => {
                        if self.events.len() >= MAX_EVENTS {
                            self.events.pop_front();
                            self.lost_events += 1;
                        }
                        self.events.push_back(event);
                    }
                }
            }
            if let Some(notice) = self.dataplane.poll_notice() {
                self.node.handle_notice(now, notice);
            } else if let Some((meta, packet)) = self.dataplane.poll_local() {
                self.node.handle_packet(now, &meta, packet.bytes());
            } else {
                return self.tell_others();
            }
        }
    }

    /// Tells the forwarders what has changed.
    fn tell_others(&mut self) {
        let mut told = false;
        while let Some(news) = self.dataplane.poll_news() {
            told = true;
            if let Some((last, others)) = self.others.split_last() {
                others.iter().for_each(|other| other.tell(news.clone()));
                last.tell(news);
            }
        }
        if told {
            self.others.iter().for_each(ToForwarder::ring);
        }
    }

    /// Sends at once where a queue is half full: a node that has thousands of messages to send, all Joins of a minute, say,
    /// or sets free what several routes have kept, has them leave instead of overflowing its queues.
    fn relieve(&mut self) {
        for index in 0..self.ports.len() {
            let port = PortId(index as u8);
            if self.dataplane.outgoing(port).is_half_full() {
                self.tell_others();
                self.sent_early += self.ports.send(port, self.dataplane.outgoing(port));
            }
        }
    }

    fn handle_timeouts(&mut self, now: Instant) {
        if self.dataplane.poll_timeout().is_some_and(|at| at <= now) {
            self.dataplane.handle_timeout(now);
            self.settle(now);
        }
        if self.node.poll_timeout().is_some_and(|at| at <= now) {
            self.node.handle_timeout(now);
            self.settle(now);
        }
    }
}

impl<N: Node> Turns for Worker<N> {
    type Event = N::Event;

    fn iterate(&mut self, now: Instant) -> Progress {
        Worker::iterate(self, now)
    }

    fn poll_event(&mut self) -> Option<N::Event> {
        Worker::poll_event(self)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Worker::poll_timeout(self)
    }

    fn has_backlog(&mut self) -> bool {
        Worker::has_backlog(self)
    }

    fn has_mail(&self) -> bool {
        self.others.iter().any(ToForwarder::has_mail)
    }

    fn ports(&self) -> impl Iterator<Item = &dyn Port> {
        Worker::ports(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::MacAddress;
    use crate::machine::{Outputs, RxMeta, Transmit, Via};
    use crate::packet::Pool;
    use crate::pipeline::DataplaneConfig;
    use crate::port::{Medium, MemEnd, MemPort, PortInfo};
    use crate::tables::{Accept, Mroute, MrouteKey, PortSet, Route, TableUpdate};
    use crate::time::Duration;
    use crate::wire::build::PacketBuilder;
    use crate::wire::ipv6::protocol;
    use core::net::Ipv6Addr;

    const SELF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, 1);

    /// Builds a tree when it is signalled to, and answers with a packet to the group: that leaves only by the tree.
    #[derive(Default)]
    struct Joiner {
        outputs: Outputs<&'static str>,
        timer: Option<Instant>,
        notices: Vec<Notice>,
    }

    impl Node for Joiner {
        type Event = &'static str;

        fn handle_packet(&mut self, now: Instant, meta: &RxMeta, _: &[u8]) {
            let mroute = Mroute::new(Accept::Local, PortSet::single(meta.port));
            self.outputs.table(TableUpdate::MrouteSet(MrouteKey { source: SELF, group: GROUP }, mroute));
            self.outputs.transmit(PacketBuilder::new(SELF, GROUP).payload(protocol::NONE, b"tree"), Via::Route);
            self.outputs.event("joined");
            self.timer = Some(now + Duration::from_secs(1));
        }

        fn handle_notice(&mut self, _: Instant, notice: Notice) {
            self.notices.push(notice);
        }

        fn handle_timeout(&mut self, _: Instant) {
            self.timer = None;
            self.outputs.transmit(PacketBuilder::new(SELF, GROUP).payload(protocol::NONE, b"timer"), Via::Route);
        }

        fn poll_output(&mut self) -> Option<Output<&'static str>> {
            self.outputs.poll()
        }

        fn poll_timeout(&self) -> Option<Instant> {
            self.timer
        }
    }

    fn info() -> PortInfo {
        PortInfo {
            name: "m".into(),
            kind: "mem",
            mode: String::new(),
            medium: Medium::Ip,
            link_address: MacAddress::default(),
            mtu: 1500,
            link: LinkState::Up,
            xdp: None,
        }
    }

    fn worker() -> (Worker<Joiner>, MemEnd) {
        let info = info();
        let pool = Pool::new(16).unwrap();
        let mut dataplane = Dataplane::new(DataplaneConfig::default(), pool, core::slice::from_ref(&info));
        dataplane.apply(Instant::ORIGIN, TableUpdate::RouteSet(crate::addr::Prefix::host(SELF), Route::Local));
        let (port, end) = MemPort::new(info);
        (Worker::new(dataplane, Joiner::default(), vec![Box::new(port)]), end)
    }

    #[test]
    fn a_packet_that_changes_state_is_answered_in_the_same_turn() {
        let (mut worker, end) = worker();
        let now = Instant::from_secs(1);
        let signal = PacketBuilder::new(PEER, SELF).payload(protocol::MOBILITY, &[0; 8]);
        assert!(end.push(signal));
        assert_eq!(worker.iterate(now), Progress { received: 1, sent: 1, heard: 0, signalling: 0 });
        assert_eq!(worker.node().notices, [Notice::LinkUp(PortId(0))]);
        assert_eq!(worker.poll_event(), Some("joined"));
        let answer = end.pop().unwrap();
        assert_eq!((&answer[24..40], &answer[40..]), (&GROUP.octets()[..], &b"tree"[..]));
        assert_eq!(worker.poll_timeout(), Some(Instant::from_secs(2)));
        assert!(worker.iterate(now).is_idle());
        assert_eq!(worker.iterate(Instant::from_secs(2)).sent, 1);
        assert!(worker.iterate(Instant::from_secs(3)).is_idle());
        assert!(worker.dataplane().counters().is_balanced());
        assert_eq!(worker.dataplane().pool().free_frames(), 16);
    }

    /// Says many things at once when a link comes up.
    struct Talker(u32);

    impl Node for Talker {
        type Event = ();

        fn handle_packet(&mut self, _: Instant, _: &RxMeta, _: &[u8]) {}

        fn handle_notice(&mut self, _: Instant, _: Notice) {}

        fn handle_timeout(&mut self, _: Instant) {}

        fn poll_output(&mut self) -> Option<Output<()>> {
            self.0 = self.0.checked_sub(1)?;
            let packet = PacketBuilder::new(SELF, GROUP).payload(protocol::NONE, &self.0.to_be_bytes());
            Some(Output::Transmit(Transmit { packet, via: Via::Link(PortId(0)) }))
        }

        fn poll_timeout(&self) -> Option<Instant> {
            None
        }
    }

    #[test]
    fn a_node_with_much_to_say_overflows_no_queue() {
        const MESSAGES: u32 = 10_000;
        let pool = Pool::new(2048).unwrap();
        let mut dataplane = Dataplane::new(DataplaneConfig::default(), pool, &[info()]);
        dataplane.apply(Instant::ORIGIN, TableUpdate::RouteSet(crate::addr::Prefix::host(SELF), Route::Local));
        let (port, end) = MemPort::new(info());
        end.set_capacity(MESSAGES as usize);
        let mut worker = Worker::new(dataplane, Talker(MESSAGES), vec![Box::new(port)]);
        assert_eq!(worker.iterate(Instant::from_secs(1)).sent, MESSAGES as usize);
        let said = core::iter::from_fn(|| end.pop()).map(|packet| packet[40..].to_vec());
        assert!(said.eq((0..MESSAGES).rev().map(|number| number.to_be_bytes())));
        assert!(worker.dataplane().counters().is_balanced());
    }

    /// Keeps packets of some groups from the start, and lets all of them go when it is spoken to.
    #[derive(Default)]
    struct Candidate(Outputs<()>);

    impl Candidate {
        const GROUPS: u16 = 8;

        fn group(number: u16) -> Ipv6Addr {
            Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 1, number)
        }

        fn set(&mut self, forward: PortSet, hold: bool) {
            for number in 0..Self::GROUPS {
                let mroute = Mroute { hold, ..Mroute::new(Accept::Port(PortId(0)), forward) };
                self.0.table(TableUpdate::MrouteSet(MrouteKey { source: PEER, group: Self::group(number) }, mroute));
            }
        }
    }

    impl Node for Candidate {
        type Event = ();

        fn handle_packet(&mut self, _: Instant, _: &RxMeta, _: &[u8]) {
            self.set(PortSet::single(PortId(1)), false);
        }

        fn handle_notice(&mut self, _: Instant, _: Notice) {
            self.set(PortSet::EMPTY, true);
        }

        fn handle_timeout(&mut self, _: Instant) {}

        fn poll_output(&mut self) -> Option<Output<()>> {
            self.0.poll()
        }

        fn poll_timeout(&self) -> Option<Instant> {
            None
        }
    }

    /// More than a port's queue has room for.
    #[test]
    fn what_several_routes_have_kept_overflows_no_queue() {
        const KEPT: u16 = 250;
        let now = Instant::from_secs(1);
        let pool = Pool::new(1 << 15).unwrap();
        let mut dataplane = Dataplane::new(DataplaneConfig::default(), pool, &[info(), info()]);
        dataplane.apply(now, TableUpdate::RouteSet(crate::addr::Prefix::host(SELF), Route::Local));
        let [(inner, source), (outer, link)] = [info(), info()].map(MemPort::new);
        let all = usize::from(KEPT) * usize::from(Candidate::GROUPS);
        link.set_capacity(all);
        let mut worker = Worker::new(dataplane, Candidate::default(), vec![Box::new(inner), Box::new(outer)]);
        worker.iterate(now);
        for number in 0..KEPT {
            for group in 0..Candidate::GROUPS {
                let packet =
                    PacketBuilder::new(PEER, Candidate::group(group)).payload(protocol::NONE, &number.to_be_bytes());
                assert!(source.push(packet));
            }
            worker.iterate(now);
        }
        assert_eq!(worker.held_frames(), all);
        assert!(source.push(PacketBuilder::new(PEER, SELF).payload(protocol::MOBILITY, &[0; 8])));
        assert_eq!(worker.iterate(now).sent, all);
        let sent = core::iter::from_fn(|| link.pop()).map(|packet| (packet[39], [packet[40], packet[41]]));
        let each = (0..Candidate::GROUPS).flat_map(|group| (0..KEPT).map(move |n| (group as u8, n.to_be_bytes())));
        assert!(sent.eq(each));
        assert!(worker.dataplane().counters().is_balanced());
    }

    #[test]
    fn links_are_told_of() {
        let (mut worker, end) = worker();
        worker.iterate(Instant::from_secs(1));
        end.set_link(LinkState::Down);
        worker.iterate(Instant::from_secs(2));
        end.set_link(LinkState::Up);
        worker.iterate(Instant::from_secs(3));
        let up = Notice::LinkUp(PortId(0));
        assert_eq!(worker.node().notices, [up, Notice::LinkDown(PortId(0)), up]);
    }

    #[test]
    fn a_port_that_comes_back_with_another_address_is_told_of() {
        let (mut worker, end) = worker();
        worker.iterate(Instant::from_secs(1));
        end.set_link(LinkState::Down);
        worker.iterate(Instant::from_secs(2));
        let other = MacAddress([2, 0, 0, 0, 0, 9]);
        end.set_link_address(other);
        end.set_link(LinkState::Up);
        worker.iterate(Instant::from_secs(3));
        let (up, changed) = (Notice::LinkUp(PortId(0)), Notice::LinkAddress(PortId(0), other));
        assert_eq!(worker.node().notices, [up, Notice::LinkDown(PortId(0)), changed, up]);
        worker.iterate(Instant::from_secs(4));
        assert_eq!(worker.node().notices.len(), 4, "once");
    }

    #[test]
    fn another_mtu_is_told_of() {
        let (mut worker, end) = worker();
        worker.iterate(Instant::from_secs(1));
        end.set_mtu(1300);
        worker.iterate(Instant::from_secs(2));
        worker.iterate(Instant::from_secs(3));
        assert_eq!(worker.node().notices, [Notice::LinkUp(PortId(0)), Notice::Mtu(PortId(0), 1300)]);
    }

    std::thread_local! {
        static MICROS: core::cell::Cell<u64> = const { core::cell::Cell::new(1_000_000) };
    }

    fn clock() -> Instant {
        Instant::ORIGIN + Duration::from_micros(MICROS.get())
    }

    /// Takes a tenth of a millisecond for every message, and notes who has sent it.
    #[derive(Default)]
    struct Slow(Vec<Ipv6Addr>);

    impl Node for Slow {
        type Event = ();

        fn handle_packet(&mut self, _: Instant, _: &RxMeta, packet: &[u8]) {
            MICROS.set(MICROS.get() + 100);
            self.0.push(crate::pipeline::header::source(packet));
        }

        fn handle_notice(&mut self, _: Instant, _: Notice) {}

        fn handle_timeout(&mut self, _: Instant) {}

        fn poll_output(&mut self) -> Option<Output<()>> {
            None
        }

        fn poll_timeout(&self) -> Option<Instant> {
            None
        }
    }

    /// A worker with a port for data, one that they leave by, and two with routers.
    fn slow_worker() -> (Worker<Slow>, Vec<MemEnd>) {
        let infos = vec![info(); 4];
        let pool = Pool::new(2048).unwrap();
        let mut dataplane = Dataplane::new(DataplaneConfig::default(), pool, &infos);
        let peers = crate::addr::Prefix::new(PEER, 64).unwrap();
        dataplane.apply(Instant::ORIGIN, TableUpdate::RouteSet(peers, Route::OnLink(PortId(1))));
        for port in [2, 3] {
            dataplane.apply(Instant::ORIGIN, TableUpdate::LinkGroupJoin(PortId(port), crate::addr::ALL_PIM_ROUTERS));
        }
        let (ports, ends) = MemPort::all(&infos);
        (Worker::new(dataplane, Slow::default(), ports).with_clock(clock), ends)
    }

    fn hello(number: u16) -> Vec<u8> {
        let from = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number);
        let message = vec![0x20, 0, 0, 0];
        PacketBuilder::new(from, crate::addr::ALL_PIM_ROUTERS).hop_limit(1).checksummed(protocol::PIM, message, 2)
    }

    #[test]
    fn signalling_has_a_tenth_of_the_time_while_there_is_more_to_forward() {
        let (mut worker, ends) = slow_worker();
        let data =
            PacketBuilder::new(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1), PEER).payload(protocol::NONE, b"data");
        let (turns, mut forwarded) = (1000, 0);
        for turn in 0..turns {
            (0..BATCH_SIZE).for_each(|_| assert!(ends[0].push(data.clone())));
            // A router floods; the other one has something to say now and then.
            (0..8).for_each(|number| assert!(ends[2].push(hello(number))));
            if turn % 100 == 0 {
                assert!(ends[3].push(hello(99)));
            }
            let began = clock();
            // What forwarding takes.
            MICROS.set(MICROS.get() + 90);
            worker.iterate(began);
            forwarded += core::iter::from_fn(|| ends[1].pop()).count();
        }
        assert_eq!(forwarded, turns * BATCH_SIZE, "the ports are read on");
        let handled = &worker.node().0;
        assert!((95..=105).contains(&handled.len()), "{} messages, 10 us a turn for 100 us each", handled.len());
        let of_other = handled.iter().filter(|from| from.segments()[7] == 99).count();
        assert_eq!(of_other, 10, "it does not wait behind the flood");
        let lost = worker.dataplane().counters().get(crate::pipeline::Counter::DropLocalSignallingQueue);
        assert_eq!(lost as usize, 8 * turns + 10 - handled.len() - 256, "as many wait as may");
        assert!(worker.dataplane().counters().is_balanced());
    }

    #[test]
    fn a_storm_waits_with_its_port_and_nothing_of_it_is_lost() {
        let (mut worker, ends) = slow_worker();
        ends[2].set_capacity(1000);
        (0..1000).for_each(|number| assert!(ends[2].push(hello(number))));
        let mut turns = 0;
        loop {
            turns += 1;
            let progress = worker.iterate(clock());
            if progress.is_idle() {
                break;
            }
            assert!(progress.signalling <= 5, "half a millisecond a turn, for others' packets");
        }
        assert_eq!(turns, 201);
        assert!(worker.node().0.iter().map(|from| from.segments()[7]).eq(0..1000));
        assert_eq!(worker.dataplane().held_frames(), 0);
    }
}
