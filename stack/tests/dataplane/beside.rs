//! A data plane beside the first one against one that is alone: both are given the same tables and frames, and what the
//! two beside each other send, deliver and count is together what the one does.

use super::express::{P3, Recipe, change, config, fill, recipe, sorted};
use super::*;
use proptest::prelude::*;
use stack::machine::PortId;
use stack::packet::{Batch, Pool};
use stack::pipeline::{Counter, Counters, Dataplane, News};
use stack::tables::Watch;

/// Two data planes of one node. Frames come to the second, which hands to the first what it does not send on.
struct Pair {
    first: Bench,
    second: Dataplane,
    pool: Pool,
    sent: [Vec<Vec<u8>>; 4],
}

impl Pair {
    fn new(shape: u32) -> Self {
        let (config, ports) = config(true, shape);
        let (first, readers) = Bench::first(config.clone(), &ports);
        let pool = Pool::new(FRAMES).unwrap();
        let second = Dataplane::beside(config, readers, pool.clone(), &ports);
        let mut pair = Pair { first, second, pool, sent: [const { Vec::new() }; 4] };
        fill(&mut pair.first, shape);
        pair.tell();
        pair.collect();
        pair
    }

    /// Takes what the first has sent.
    fn collect(&mut self) {
        for port in [P0, P1, P2, P3] {
            self.sent[usize::from(port.0)].extend(self.first.sent(port));
        }
    }

    fn tell(&mut self) {
        while let Some(news) = self.first.plane.poll_news() {
            self.second.hear(self.first.now, news);
        }
    }

    fn receive_frames(&mut self, port: PortId, frames: &[Vec<u8>]) {
        for chunk in frames.chunks(BATCH_SIZE) {
            let mut batch: Batch = chunk.iter().map(|frame| self.pool.copy_of(frame).unwrap()).collect();
            self.second.forward(self.first.now, port, &mut batch);
            let left: Vec<Vec<u8>> = batch.drain(..).map(|packet| packet.bytes().to_vec()).collect();
            assert!(self.second.counters().is_balanced());
            assert!(self.second.poll_local().is_none() && self.second.poll_notice().is_none());
            assert!(!self.second.has_signalling());
            for port in [P0, P1, P2, P3] {
                let frames = core::iter::from_fn(|| self.second.outgoing(port).pop());
                self.sent[usize::from(port.0)].extend(frames.map(|packet| packet.bytes().to_vec()));
            }
            self.first.receive_frames(port, &left);
            self.collect();
            self.tell();
        }
        assert_eq!(self.pool.free_frames(), FRAMES as usize);
    }

    fn sent(&mut self, port: PortId) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.sent[usize::from(port.0)])
    }
}

/// What both have counted, by name; what went from one to the other is no packet's end.
fn sum(one: &Counters, other: &Counters) -> Vec<(&'static str, u64)> {
    let both = one.iter().zip(other.iter()).map(|((name, a), (_, b))| (name, a + b));
    both.filter(|&(name, count)| count > 0 && name != "handed-over").collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn two_come_to_what_one_comes_to(
        shape: u32,
        batches in prop::collection::vec(
            (prop::collection::vec(recipe(), 1..40), prop::collection::vec((0u32..16, any::<u32>()), 0..4)),
            1..6,
        ),
    ) {
        let (configured, ports) = config(true, shape);
        let mut alone = Bench::with(configured, ports);
        fill(&mut alone, shape);
        let mut pair = Pair::new(shape);
        let idle = Dataplane::new(DataplaneConfig::default(), Pool::new(1).unwrap(), &[]);
        for (recipes, changes) in batches {
            for port in [P0, P1] {
                let frames: Vec<_> =
                    recipes.iter().filter(|recipe| recipe.port == port.0).map(Recipe::frame).collect();
                alone.receive_frames(port, &frames);
                pair.receive_frames(port, &frames);
            }
            for port in [P0, P1, P2, P3] {
                prop_assert_eq!(sorted(pair.sent(port)), sorted(alone.sent(port)), "port {}", port.0);
            }
            prop_assert_eq!(pair.first.local(), alone.local());
            prop_assert_eq!(pair.first.notices(), alone.notices());
            let counted = sum(pair.first.plane.counters(), pair.second.counters());
            prop_assert_eq!(counted, sum(alone.plane.counters(), idle.counters()));
            prop_assert!(pair.first.plane.mroutes().eq(alone.plane.mroutes()));
            for (step, shape) in changes {
                change(&mut alone, step, shape);
                change(&mut pair.first, step, shape);
                pair.collect();
                pair.tell();
            }
        }
    }
}

/// The property says nothing where the second hands everything over.
#[test]
fn the_second_sends_on_what_is_common() {
    let shape = 1 << 5;
    let mut pair = Pair::new(shape);
    change(&mut pair.first, 0, 0);
    pair.tell();
    for kind in [0, 1, 2, 3, 4, 6, 7, 8, 9] {
        let frame = Recipe::of_kind(kind).frame();
        // The first packet of a binding finds the tree, by the stages of the first.
        pair.receive_frames(P0, core::slice::from_ref(&frame));
        let before = pair.first.plane.counters().get(Counter::Rx);
        pair.receive_frames(P0, &vec![frame; 40]);
        assert_eq!(pair.first.plane.counters().get(Counter::Rx), before, "kind {kind}");
    }
    assert!(pair.second.counters().get(Counter::Rx) >= 9 * 40);
}

/// A stale neighbour is used once, and then by all.
#[test]
fn the_use_of_a_neighbour_is_told() {
    let mut pair = Pair::new(1 << 5);
    let stale = Neighbor { link_address: mac_of(ROUTER), notify_use: true };
    pair.first.apply(TableUpdate::NeighborSet(P1, ROUTER, stale));
    pair.tell();
    let frame = Recipe::of_kind(0).frame();
    pair.receive_frames(P0, core::slice::from_ref(&frame));
    let used = Notice::NeighborUsed { port: P1, address: ROUTER };
    assert_eq!((pair.first.notices(), pair.first.plane.counters().get(Counter::Rx)), (vec![used], 1));
    pair.receive_frames(P0, core::slice::from_ref(&frame));
    assert_eq!((pair.first.notices(), pair.first.plane.counters().get(Counter::Rx)), (vec![], 1));
    assert_eq!(pair.sent(P1).len(), 2);
}

/// A route that waits for a packet gets it by the first, which then lets the second send on.
#[test]
fn the_packet_that_a_route_waits_for_is_told() {
    let mut pair = Pair::new(1 << 5);
    let recipe = Recipe::of_kind(2);
    let frame = recipe.frame();
    let (key, mroute, _) = pair.first.plane.mroutes().find(|&(key, ..)| recipe.is_of(key)).unwrap();
    for watch in [Watch::NextPacket, Watch::Nothing, Watch::NextPacket] {
        pair.first.apply(TableUpdate::MrouteSet(key, Mroute { watch, ..mroute }));
        let told = usize::from(watch == Watch::NextPacket);
        let before = pair.first.plane.counters().get(Counter::Rx);
        // Those of the batch in which it is seen are the first's, too.
        pair.receive_frames(P0, &vec![frame.clone(); 5]);
        assert_eq!(pair.first.plane.counters().get(Counter::Rx), before + 5 * told as u64);
        assert_eq!(pair.first.notices().len(), told);
        pair.receive_frames(P0, &vec![frame.clone(); 5]);
        assert_eq!(pair.first.plane.counters().get(Counter::Rx), before + 5 * told as u64);
        assert!(pair.first.notices().is_empty());
    }
    assert_eq!(pair.sent(P1).len(), 30);
}

/// What the first refuses the second is not told, and what goes over without room is counted.
#[test]
fn refusals_and_losses_are_counted() {
    let limits = stack::pipeline::Limits { routes: 2, ..stack::pipeline::Limits::default() };
    let ports = [port(0, Medium::Ethernet, 1500)];
    let config = DataplaneConfig { limits, ..DataplaneConfig::default() };
    let (mut first, readers) = Bench::first(config.clone(), &ports);
    while first.plane.poll_news().is_some() {}
    first.set_route("2001:db8:1::/48", Route::Blackhole);
    first.set_route("2001:db8:2::/48", Route::Blackhole);
    let told: Vec<News> = core::iter::from_fn(|| first.plane.poll_news()).collect();
    assert_eq!(told, [News::Table(TableUpdate::RouteSet("2001:db8:1::/48".parse().unwrap(), Route::Blackhole))]);
    let pool = Pool::new(4).unwrap();
    let mut second = Dataplane::beside(config, readers, pool.clone(), &ports);
    let mut batch: Batch = (0..3).map(|_| pool.copy_of(&[0; 60]).unwrap()).collect();
    second.drop_unhanded(&mut batch);
    assert_eq!((second.counters().get(Counter::DropHandoverFull), pool.free_frames()), (3, 4));
    assert!(second.counters().is_balanced());
    let empty = Pool::new(0).unwrap();
    let (mut without_frames, _) = Dataplane::first(DataplaneConfig::default(), empty, &ports, 1);
    assert!(without_frames.take_over(&[0; 60]).is_none());
    without_frames.relay(P0, &[0; 60]);
    without_frames.relay(PortId(7), &[0; 60]);
    let counters = without_frames.counters();
    let lost = [Counter::DropOutputNoFrame, Counter::DropOutputNoPort].map(|counter| counters.get(counter));
    assert_eq!((counters.get(Counter::RelayedLost), lost, counters.get(Counter::Relayed)), (2, [1, 1], 0));
    assert!(counters.is_balanced());
}
