//! The express way: packets that take one of the common ways through a router, a batch at a time, from the port's frame to
//! the frame that leaves, without a stop at each stage.
//!
//! | way | changes | lookups |
//! |---|---|---|
//! | unicast by a router, or to a neighbour on the link | hop limit, Ethernet header | route, neighbour |
//! | multicast by (S,G) | hop limit, Ethernet header of each branch | (S,G) |
//! | home agent's tunnel, or type 2 routing header, to the terminal's group | outer header over the old one, or in front | route, binding |
//! | to a bound home address | outer header in front | route, binding, route |
//! | a terminal's reverse tunnel at its home agent | outer header taken off | route, binding, route |
//! | the same at its mobility agent, to the home agent | outer header over the old one | route, binding, route |
//!
//! A packet is looked at, and so are the tables, before anything is changed. Whatever is not plainly one of these ways stays
//! in the batch and goes through the stages, the only exit: unresolved neighbours, errors, options, marks that contradict
//! each other, packets that are too big, what the node itself is told of. So the stages alone say what is right, and
//! this module has to come to the same octets and the same counters wherever it acts; `tests/dataplane/express.rs` holds
//! the two against each other. Packets of a flow are alike in what is asked here, so that they keep their order.

mod agent;
mod forward;
mod groups;
mod look;
mod send;
mod tunnels;

use super::{Dataplane, Forwarding};
use crate::machine::PortId;
use crate::packet::{BATCH_SIZE, Batch, Packet};
use crate::port::Medium;
use crate::tables::prefetch;
use arrayvec::ArrayVec;
use core::mem::MaybeUninit;
use look::Look;

/// The frames of a batch; those that have left are gone.
type Frames = ArrayVec<Option<Packet>, BATCH_SIZE>;

/// Which frames of a batch go a way, and what each is looked up by.
struct Asked<const WORDS: usize> {
    places: [u8; BATCH_SIZE],
    /// The first `count` are written: to fill all of them with something costs as much as some packets do.
    keys: [MaybeUninit<[u64; WORDS]>; BATCH_SIZE],
    count: usize,
}

impl<const WORDS: usize> Asked<WORDS> {
    const fn new() -> Self {
        Asked { places: [0; BATCH_SIZE], keys: [MaybeUninit::uninit(); BATCH_SIZE], count: 0 }
    }

    /// Adds a frame; there are no more than a batch has.
    #[inline(always)]
    fn push(&mut self, place: u8, key: [u64; WORDS]) {
        debug_assert!(self.count < BATCH_SIZE);
        // The remainder changes nothing, and spares the check of an index.
        let at = self.count % BATCH_SIZE;
        self.places[at] = place;
        self.keys[at].write(key);
        self.count = at + 1;
    }

    #[inline(always)]
    fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline(always)]
    fn places(&self) -> &[u8] {
        &self.places[..self.count]
    }

    #[inline(always)]
    fn keys(&self) -> &[[u64; WORDS]] {
        // SAFETY: `push` has written as many as are counted.
        unsafe { self.keys[..self.count].assume_init_ref() }
    }

    #[inline(always)]
    fn iter(&self) -> impl Iterator<Item = (u8, &[u64; WORDS])> {
        self.places().iter().copied().zip(self.keys())
    }
}

/// Octets of a cache line.
const LINE: usize = 64;

/// Sends on what can go the express way; the rest stays in `batch`, in its order.
pub(super) fn run(plane: &mut Dataplane, port: PortId, batch: &mut Batch) {
    let Some(link) = plane.links.get(usize::from(port.0)) else { return };
    if !plane.config.express || link.medium != Medium::Ethernet || plane.config.host_ports.contains(port) {
        return;
    }
    for packet in batch.iter() {
        let start = packet.bytes().as_ptr();
        prefetch(start);
        prefetch(start.wrapping_add(LINE));
    }
    let mut frames = Frames::new_const();
    let (mut unicast, mut groups) = (Asked::new(), Asked::new());
    let arrival = look::Arrival::new(plane, link, port);
    for (place, packet) in batch.drain(..).enumerate() {
        match arrival.look(packet.bytes()) {
            Look::Unicast(destination) => unicast.push(place as u8, destination),
            Look::Group(key) => groups.push(place as u8, key),
            Look::Other => {}
        }
        frames.push(Some(packet));
    }
    let mut output = 0;
    if !groups.is_empty() {
        output += groups::run(plane, port, &mut frames, &groups);
    }
    if !unicast.is_empty() {
        output += forward::run(plane, port, &mut frames, &unicast);
    }
    let taken = frames.len();
    for packet in frames.into_iter().flatten() {
        batch.push(packet);
    }
    plane.counters.add_many(super::Counter::Rx, (taken - batch.len()) as u64);
    plane.counters.add_many(super::Counter::Output, output);
}

/// Whether nothing but a route and a home agent's binding says where a unicast packet goes.
#[inline(always)]
fn routes_alone_decide(plane: &Dataplane) -> bool {
    plane.config.forwarding == Forwarding::Router
        && plane.correspondents.is_empty()
        && plane.tunnels.is_empty()
        && plane.uplinks.is_empty()
}
