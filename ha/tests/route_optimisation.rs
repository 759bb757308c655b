//! The initiator of route optimisation and the correspondent node, as they are, over a network that loses, repeats,
//! reorders and delays: whatever happens, when it is quiet both know the same.

use core::net::Ipv6Addr;
use ha::correspondent::{self, CorrespondentNode};
use mma::return_routability::{NodeKey, PreconfiguredKey};
use mma::route_optimisation::{Action, Arrival, Config, Optimisation, Optimiser, Path, PreconfiguredPeer};
use mma::secret::SecretRng;
use proptest::prelude::*;
use stack::machine::{CorrespondentWay, Machine, Output, PortId, RxMeta};
use stack::rng::Rng;
use stack::tables::TableUpdate;
use stack::time::{Duration, Instant};
use stack::wire::ext::Chain;
use stack::wire::ipv6;
use stack::wire::mobility;
use std::collections::BTreeMap;

const HOMES: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10),
    // This one shares a key with the correspondent.
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x11),
];
const PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0xc);
const META: RxMeta = RxMeta { port: PortId(0), link_source: None, link_multicast: false, tunnel: None };
/// Longer than any binding lives.
const LONG: Duration = Duration::from_secs(100_000);

/// A care-of address of a home address at a place.
fn care_of(home: usize, place: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 2 + place, 0, 0, 0, 0, HOMES[home].segments()[7])
}

fn shared() -> PreconfiguredKey {
    PreconfiguredKey {
        node_key: NodeKey::new(&[0x77; 32]).unwrap(),
        home_nonce: b"home".to_vec(),
        care_of_nonce: b"care-of".to_vec(),
    }
}

fn correspondent(seed: u64) -> CorrespondentNode {
    let mut config = correspondent::Config::new(PEER);
    config.preconfigured.insert(HOMES[1], shared());
    CorrespondentNode::new(config, SecretRng::simulated(seed))
}

fn initiator(seed: u64) -> Optimiser {
    let preconfigured = vec![PreconfiguredPeer { home_address: HOMES[1], correspondent: PEER, key: shared() }];
    Optimiser::new(Config { preconfigured, ..Config::default() }, SecretRng::simulated(seed))
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    /// A packet of the correspondent to a home address, by whichever way it goes.
    Packet(usize),
    Move(usize, u16),
    Home(usize),
    /// The correspondent starts again: without bindings, with another key and other nonces.
    Restart,
    Chaos(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..2_000u64).prop_map(Step::Pass),
        2 => (2_000..400_000u64).prop_map(Step::Pass),
        5 => (0..2usize).prop_map(Step::Packet),
        2 => (0..2usize, 0..3u16).prop_map(|(home, place)| Step::Move(home, place)),
        1 => (0..2usize).prop_map(Step::Home),
        1 => Just(Step::Restart),
        2 => any::<bool>().prop_map(Step::Chaos),
    ]
}

struct World {
    now: Instant,
    optimiser: Optimiser,
    peer: CorrespondentNode,
    chance: Rng,
    chaos: bool,
    /// Where each terminal is; `None`: at home.
    places: [Option<Ipv6Addr>; 2],
    /// What the owner of the initiator believes.
    told: BTreeMap<Ipv6Addr, Ipv6Addr>,
    /// What the correspondent's data plane has.
    table: BTreeMap<Ipv6Addr, Ipv6Addr>,
    /// Packets under way, by when they arrive.
    wire: BTreeMap<(Instant, u64), Vec<u8>>,
    sent: u64,
    /// When what kind of message was sent last, three times back.
    rate: BTreeMap<u8, Vec<Instant>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = World {
            now: Instant::from_secs(50),
            optimiser: initiator(seed),
            peer: correspondent(seed ^ 1),
            chance: Rng::new(seed),
            chaos: false,
            places: [None; 2],
            told: BTreeMap::new(),
            table: BTreeMap::new(),
            wire: BTreeMap::new(),
            sent: 0,
            rate: BTreeMap::new(),
        };
        for home in 0..2 {
            world.go(home, 0);
        }
        world
    }

    fn take_over(&mut self, seed: u64) {
        self.optimiser = initiator(seed);
        self.told.clear();
        self.rate.clear();
    }

    fn go(&mut self, home: usize, place: u16) {
        let care_of = care_of(home, place);
        self.places[home] = Some(care_of);
        self.optimiser.set_care_of(self.now, HOMES[home], care_of, self.now + LONG);
    }

    fn put(&mut self, packet: Vec<u8>) {
        let (copies, spread) = if self.chaos { (self.chance.below(3), 3_000) } else { (1, 40) };
        for _ in 0..copies {
            self.sent += 1;
            let at = self.now + Duration::from_millis(5 + self.chance.below(spread));
            self.wire.insert((at, self.sent), packet.clone());
        }
    }

    /// Takes what both have to say, until neither has anything.
    fn drain(&mut self) {
        loop {
            if let Some(action) = self.optimiser.poll_action() {
                if let Action::Optimised { home_address, state, .. } = action {
                    match state {
                        Optimisation::On { care_of } => assert_eq!(self.told.insert(home_address, care_of), None),
                        Optimisation::Off => assert!(self.told.remove(&home_address).is_some()),
                    }
                }
                if let Some(packet) = action.packet() {
                    let kind = packet[Chain::parse(&packet).unwrap().upper_offset + 2];
                    let times = self.rate.entry(kind).or_default();
                    times.push(self.now);
                    // MAX_UPDATE_RATE (RFC 6275 §11.8).
                    if let [.., first, _, _, fourth] = times[..] {
                        assert!(fourth.since(first) > Duration::from_secs(1), "four of type {kind} in a second");
                    }
                    self.put(packet);
                }
            } else if let Some(output) = self.peer.poll_output() {
                match output {
                    Output::Transmit(transmit) => self.put(transmit.packet),
                    Output::Table(TableUpdate::CorrespondentBindingSet(home_address, binding)) => {
                        self.table.insert(home_address, binding.care_of);
                    }
                    Output::Table(TableUpdate::CorrespondentBindingRemove(home_address)) => {
                        self.table.remove(&home_address);
                    }
                    Output::Table(_) | Output::Event(_) => {}
                }
            } else {
                return;
            }
        }
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.drain();
            let arrives = self.wire.first_key_value().map(|(&(at, _), _)| at);
            let next = [arrives, self.optimiser.poll_timeout(), self.peer.poll_timeout()].into_iter().flatten().min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            self.now = self.now.max(next);
            if arrives == Some(next) {
                let (_, packet) = self.wire.pop_first().unwrap();
                self.deliver(&packet);
            } else {
                self.optimiser.handle_timeout(self.now);
                self.peer.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, packet: &[u8]) {
        let (header, chain) = (ipv6::Header::parse(packet).unwrap(), Chain::parse(packet).unwrap());
        if header.destination == PEER {
            return self.peer.handle_packet(self.now, &META, packet);
        }
        let home_address = chain.type2_routing.map(|routing| routing.home_address);
        let message = &packet[chain.upper_offset..];
        let end = home_address.unwrap_or(header.destination);
        assert!(mobility::verify_checksum(header.source, end, message));
        // To a home address: in the home agent's tunnel where the terminal is away. To an old care-of address: nowhere.
        let path = match HOMES.iter().position(|&home| home == header.destination) {
            Some(home) if self.places[home].is_some() => Path::HomeAgent,
            Some(_) => Path::Direct,
            None if self.places.contains(&Some(header.destination)) => Path::Direct,
            None => return,
        };
        let arrival = Arrival { source: header.source, destination: header.destination, home_address, path };
        let _ = self.optimiser.handle_message(self.now, &arrival, message);
    }

    /// A packet of the correspondent to a home address, sent and received at once.
    fn packet(&mut self, home: usize) {
        let home_address = HOMES[home];
        let way = match (self.table.get(&home_address), self.places[home]) {
            (_, None) => return,
            (Some(care_of), Some(place)) if *care_of == place => CorrespondentWay::Optimised,
            // Forwarded by an old agent, for a while.
            (Some(_), Some(_)) => CorrespondentWay::Forwarded,
            (None, Some(_)) => CorrespondentWay::HomeAgent,
        };
        if self.table.contains_key(&home_address) {
            self.peer.handle_command(self.now, correspondent::Command::Used { home_address });
        }
        self.optimiser.handle_correspondent(self.now, home_address, PEER, way);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass(millis) => self.pass(Duration::from_millis(millis)),
            Step::Packet(home) => self.packet(home),
            Step::Move(home, place) => self.go(home, place),
            Step::Home(home) => {
                self.places[home] = None;
                self.optimiser.return_home(self.now, HOMES[home]);
            }
            Step::Restart => {
                let kept: Vec<_> = self.peer.sequences().collect();
                self.peer = correspondent(self.chance.next_u64());
                self.peer.restore_sequences(kept);
                self.table.clear();
            }
            Step::Chaos(chaos) => self.chaos = chaos,
        }
        self.drain();
        for (home_address, care_of) in &self.told {
            let home = HOMES.iter().position(|home| home == home_address).unwrap();
            assert_eq!(Some(*care_of), self.places[home], "only the present care-of address is optimised");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn both_know_the_same_when_it_is_quiet(steps in prop::collection::vec(step(), 1..40), seed: u64) {
        let mut world = World::new(seed);
        for step in steps {
            world.step(step);
        }
        world.chaos = false;
        // No packets: every binding and every memory of a failure ends.
        world.pass(Duration::from_secs(2500));
        prop_assert!(world.told.is_empty() && world.optimiser.poll_timeout().is_none());
        prop_assert!(!world.table.contains_key(&HOMES[0]), "{:?}", world.table);
        // Packets: each terminal that is away is reached directly, in no more time than a few round trips take.
        for home in 0..2 {
            world.step(Step::Packet(home));
        }
        world.pass(Duration::from_secs(5));
        for (home, place) in world.places.into_iter().enumerate() {
            if place.is_some() {
                prop_assert_eq!(world.told.get(&HOMES[home]).copied(), place);
                prop_assert_eq!(world.table.get(&HOMES[home]).copied(), place);
            }
        }
        // Another agent takes over. It knows no sequence number and is told it (status 135).
        world.take_over(seed ^ 2);
        for home in 0..2 {
            world.go(home, 7);
            world.step(Step::Packet(home));
        }
        world.pass(Duration::from_secs(5));
        for (home, address) in HOMES.iter().enumerate() {
            prop_assert_eq!(world.told.get(address).copied(), Some(care_of(home, 7)));
            prop_assert_eq!(world.table.get(address).copied(), Some(care_of(home, 7)));
        }
        // A binding that is used does not end.
        for _ in 0..200 {
            for home in 0..2 {
                world.step(Step::Packet(home));
            }
            world.pass(Duration::from_secs(10));
            for (home, place) in world.places.into_iter().enumerate() {
                prop_assert_eq!(world.told.get(&HOMES[home]).copied(), place);
            }
        }
    }
}
