//! What holds where fragments are put together whatever fragments come: what is held has its limits and frees its frames,
//! every packet ends once, and what is put together is made of nothing but the fragments of its packet, each in its place,
//! and goes on once.

use core::net::Ipv6Addr;
use stack::addr::{MacAddress, Prefix};
use stack::machine::PortId;
use stack::packet::{Batch, Pool};
use stack::pipeline::{Dataplane, DataplaneConfig, Limits};
use stack::port::{LinkState, Medium, PortInfo};
use stack::tables::{Route, TableUpdate};
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::{HEADER_LEN, Header, protocol};
use std::collections::{BTreeMap, BTreeSet};

const OWN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1);
const PORT: PortId = PortId(0);
const FRAMES: u32 = 128;
const MAX_PACKETS: usize = 4;
const MAX_FRAGMENTS: usize = 12;
const MTU: usize = 1_500;
/// Octets of a step: what happens, which packet, where, how much, whether more follows.
const STEP_LEN: usize = 5;

/// Source and identification of a packet.
type Key = (Ipv6Addr, u32);

/// Part of a packet: where it starts, whether it is the last, and what it says.
#[derive(Clone, PartialEq, Debug)]
struct Part {
    start: usize,
    more: bool,
    data: Vec<u8>,
}

struct Subject {
    plane: Dataplane,
    pool: Pool,
    now: Instant,
    /// What came of each packet.
    parts: BTreeMap<Key, Vec<Part>>,
}

impl Subject {
    fn new() -> Self {
        let pool = Pool::new(FRAMES).expect("memory for the pool");
        let port = PortInfo {
            name: "p0".into(),
            kind: "mem",
            mode: String::new(),
            medium: Medium::Ip,
            link_address: MacAddress::default(),
            mtu: MTU,
            link: LinkState::Up,
            xdp: None,
        };
        let limits = Limits { reassemblies: MAX_PACKETS, reassembly_fragments: MAX_FRAGMENTS, ..Limits::default() };
        let mut plane = Dataplane::new(DataplaneConfig { limits, ..DataplaneConfig::default() }, pool.clone(), &[port]);
        let now = Instant::from_secs(1);
        plane.apply(now, TableUpdate::RouteSet(Prefix::host(OWN), Route::Local));
        plane.apply(now, TableUpdate::RouteSet(Prefix::DEFAULT, Route::OnLink(PORT)));
        Subject { plane, pool, now, parts: BTreeMap::new() }
    }

    /// A fragment as it comes in.
    fn fragment(&mut self, (source, identification): Key, part: Part) {
        let [high, low] = (part.start as u16 | u16::from(part.more)).to_be_bytes();
        let header = [&[protocol::MOBILITY, 0, high, low][..], &identification.to_be_bytes(), &part.data].concat();
        let packet = PacketBuilder::new(source, OWN).payload(protocol::FRAGMENT, &header);
        self.parts.entry((source, identification)).or_default().push(part);
        self.frame(&packet);
    }

    fn frame(&mut self, octets: &[u8]) {
        let mut batch: Batch = self.pool.copy_of(octets).into_iter().collect();
        self.plane.process(self.now, PORT, &mut batch);
        self.drain();
        self.check();
    }

    /// Looks at what is for the node, and takes out what is sent.
    fn drain(&mut self) {
        while let Some((_, packet)) = self.plane.poll_local().or_else(|| self.plane.poll_signalling()) {
            let bytes = packet.bytes();
            let header = Header::parse(bytes).expect("a packet for the node is whole");
            assert_eq!(header.total_length(), bytes.len());
            if header.next_header != protocol::MOBILITY {
                continue;
            }
            let payload = &bytes[HEADER_LEN..];
            let mut of_source = self.parts.iter_mut().filter(|((source, _), _)| *source == header.source);
            let whole = of_source.find(|(_, parts)| is_made_of(payload, parts));
            let Some((_, parts)) = whole else { panic!("{payload:02x?} is not made of the fragments of one packet") };
            // What comes of it later is another packet.
            parts.clear();
        }
        while self.plane.outgoing(PORT).pop().is_some() {}
        while self.plane.poll_notice().is_some() {}
    }

    fn check(&self) {
        assert!(self.plane.counters().is_balanced(), "{:?}", self.plane.counters());
        assert!(self.plane.held_frames() <= MAX_FRAGMENTS, "{} frames are held", self.plane.held_frames());
        assert_eq!(self.pool.free_frames() + self.plane.held_frames(), FRAMES as usize);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.plane.handle_timeout(self.now);
        self.drain();
        self.check();
    }
}

/// Whether parts in a row make it, without a gap, and the one that ends it is a last one. Several may start at the same
/// place, since those that did not fit are known too.
fn is_made_of(payload: &[u8], parts: &[Part]) -> bool {
    let fits = |part: &Part| payload.get(part.start..part.start + part.data.len()) == Some(&part.data[..]);
    let mut reached = BTreeSet::from([0]);
    let mut at = 0;
    loop {
        for part in parts.iter().filter(|part| part.start == at && fits(part)) {
            let end = at + part.data.len();
            if !part.more && end == payload.len() {
                return true;
            }
            reached.insert(end);
        }
        let Some(&next) = reached.range(at + 1..).next() else { return false };
        at = next;
    }
}

/// Fragments one after the other, and time between them: [`STEP_LEN`] octets each.
pub(crate) fn fragments(input: &[u8]) {
    let mut subject = Subject::new();
    for (index, step) in input.chunks_exact(STEP_LEN).enumerate() {
        let &[what, which, start, octets, more] = step else { continue };
        // Three sources with two packets each: more than may be gathered.
        let source = Ipv6Addr::from_bits(OWN.to_bits() + 0x10 + u128::from(which % 3));
        let key = (source, u32::from(which / 3 % 2));
        // Neighbouring fragments often fit, overlap or leave a gap.
        let (start, length) = (64 * usize::from(start % 32), 8 * usize::from(octets % 32) + usize::from(octets / 225));
        let part = |fill: u8| Part { start, more: more & 1 == 1, data: vec![fill; length] };
        match what % 8 {
            // The same octets as others of this place have, or other ones.
            0..5 => subject.fragment(key, part((start / 64) as u8 | 0x40)),
            5 => subject.fragment(key, part(index as u8)),
            6 => subject.pass(Duration::from_millis(500 * u64::from(which))),
            _ => {
                // Whatever else says that it is a fragment.
                let rest = &input[index * STEP_LEN..];
                let packet =
                    PacketBuilder::new(source, OWN).payload(protocol::FRAGMENT, &rest[..rest.len().min(1_400)]);
                subject.parts.clear();
                subject.anything(&packet);
            }
        }
    }
    subject.pass(Duration::from_secs(61));
    assert_eq!(subject.plane.held_frames(), 0, "nobody waits for ever");
}

impl Subject {
    /// A fragment of which nothing is known: what is put together from here on may be made of it, so that only what is
    /// held is looked at.
    fn anything(&mut self, packet: &[u8]) {
        let mut batch: Batch = self.pool.copy_of(packet).into_iter().collect();
        self.plane.process(self.now, PORT, &mut batch);
        while self.plane.poll_local().or_else(|| self.plane.poll_signalling()).is_some() {}
        self.drain();
        self.check();
        // All that is gathered ends here.
        self.pass(Duration::from_secs(61));
        assert_eq!(self.plane.held_frames(), 0);
    }
}

/// Packets in fragments: in order, in the other order, mixed with another, with one missing, with an overlap.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let part = |which: u8, start: u8, more: u8| [0, which, start, 8, more];
    let last = |which: u8, start: u8| part(which, start, 0);
    let wait = [6, 30, 0, 0, 0];
    let histories: [&[[u8; STEP_LEN]]; 6] = [
        &[part(0, 0, 1), part(0, 1, 1), last(0, 2)],
        &[last(0, 2), part(0, 1, 1), part(0, 0, 1), part(1, 0, 1), last(1, 1)],
        &[part(0, 0, 1), part(3, 0, 1), part(1, 0, 1), last(3, 1), last(0, 1), last(1, 1)],
        &[part(0, 0, 1), last(0, 2), wait, wait, wait, wait, wait, part(0, 1, 1)],
        &[part(2, 0, 1), [0, 2, 0, 9, 1], last(2, 1), [5, 2, 1, 8, 0], part(2, 1, 1)],
        &[[0, 0, 0, 8, 0], part(1, 0, 1), [7, 0, 0, 0, 1], part(4, 0, 1), last(4, 1)],
    ];
    histories.iter().map(|history| history.concat()).collect()
}
