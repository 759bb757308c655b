use super::*;
use crate::addr::ALL_NODES;
use crate::machine::Via;
use crate::nd::nud::State;
use crate::tables::Neighbor;
use crate::wire::nd::{NeighborAdvertisement, NeighborSolicitation, RouterAdvertisement, RouterSolicitation};
use proptest::prelude::*;

const PORT: PortId = PortId(0);
const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const PEER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
const OTHER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 3]);
const OWN: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const PEER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const AWAY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
const ANY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

/// One machine and its clock.
struct Bed {
    nd: NeighborDiscovery,
    now: Instant,
}

/// What came out, in few words.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Said {
    Solicits { source: Ipv6Addr, destination: Ipv6Addr, target: Ipv6Addr, via: Via },
    Advertises { flags: [bool; 3], source: Ipv6Addr, destination: Ipv6Addr, target: Ipv6Addr, via: Via },
    Table(TableUpdate),
    Event(Event),
}

fn config(role: Role) -> PortConfig {
    PortConfig::new(PORT, MAC, role)
}

impl Bed {
    fn with(config: PortConfig) -> Self {
        let mut nd = NeighborDiscovery::new(Config { seed: 1, ports: vec![config] });
        nd.handle_command(Instant::ORIGIN, Command::Notice(Notice::LinkUp(PORT)));
        Bed { nd, now: Instant::ORIGIN }
    }

    /// A machine with the address [`OWN`].
    fn new(role: Role) -> Self {
        let mut bed = Bed::with(config(role));
        bed.add(OWN, Dad::Off);
        bed.said();
        bed
    }

    fn command(&mut self, command: Command) {
        self.nd.handle_command(self.now, command);
    }

    fn add(&mut self, address: Ipv6Addr, dad: Dad) {
        self.command(Command::AddAddress { port: PORT, address, dad, delivery: Delivery::Local });
    }

    fn missing(&mut self, address: Ipv6Addr) {
        self.command(Command::Notice(Notice::NeighborMissing { port: PORT, address }));
    }

    fn used(&mut self, address: Ipv6Addr) {
        self.command(Command::Notice(Notice::NeighborUsed { port: PORT, address }));
    }

    fn receive(&mut self, source: Ipv6Addr, destination: Ipv6Addr, message: &Message) {
        let meta = RxMeta { port: PORT, link_source: Some(PEER_MAC), link_multicast: false, tunnel: None };
        self.nd.handle_packet(self.now, &meta, &message.packet(source, destination));
    }

    fn advertised(&mut self, target: Ipv6Addr, solicited: bool, over: bool, link: Option<MacAddress>) {
        let message = advertisement(target, [false, solicited, over], link);
        self.receive(PEER, OWN, &message);
    }

    /// Lets time pass, running every timer when it is due.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.nd.poll_timeout().filter(|&at| at <= end) {
            self.now = at;
            self.nd.handle_timeout(at);
        }
        self.now = end;
    }

    fn said(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        while let Some(output) = self.nd.poll_output() {
            said.push(match output {
                Output::Table(update) => Said::Table(update),
                Output::Event(event) => Said::Event(event),
                Output::Transmit(transmit) => {
                    let Opened { source, destination, message } = open(&transmit.packet).unwrap();
                    match message {
                        Message::NeighborSolicitation(message) => {
                            assert_eq!(message.source_link_address.is_none(), source.is_unspecified());
                            Said::Solicits { source, destination, target: message.target, via: transmit.via }
                        }
                        Message::NeighborAdvertisement(message) => {
                            assert_eq!(message.target_link_address, Some(MAC));
                            let flags = [message.router, message.solicited, message.override_cached];
                            Said::Advertises { flags, source, destination, target: message.target, via: transmit.via }
                        }
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
        said
    }

    fn state(&self, address: Ipv6Addr) -> Option<State> {
        self.nd.neighbor(PORT, address).map(|entry| entry.state)
    }

    /// Brings [`PEER`] to a state.
    fn bring(&mut self, state: State) {
        self.missing(PEER);
        if state != State::Incomplete {
            self.advertised(PEER, state == State::Reachable, true, Some(PEER_MAC));
        }
        if matches!(state, State::Delay | State::Probe) {
            self.used(PEER);
        }
        if state == State::Probe {
            self.pass(DELAY_FIRST_PROBE_TIME);
        }
        assert_eq!(self.state(PEER), Some(state));
        self.said();
    }
}

fn advertisement(target: Ipv6Addr, flags: [bool; 3], target_link_address: Option<MacAddress>) -> Message {
    let [router, solicited, override_cached] = flags;
    Message::NeighborAdvertisement(NeighborAdvertisement {
        router,
        solicited,
        override_cached,
        target,
        target_link_address,
        other: vec![],
    })
}

fn solicitation(target: Ipv6Addr, source_link_address: Option<MacAddress>) -> Message {
    Message::NeighborSolicitation(NeighborSolicitation { target, source_link_address, nonce: None, other: vec![] })
}

fn solicits(target: Ipv6Addr) -> Said {
    Said::Solicits { source: OWN, destination: solicited_node(target), target, via: Via::Link(PORT) }
}

fn probes(target: Ipv6Addr) -> Said {
    Said::Solicits { source: ANY, destination: solicited_node(target), target, via: Via::Link(PORT) }
}

fn set(address: Ipv6Addr, link_address: MacAddress, notify_use: bool) -> Said {
    Said::Table(TableUpdate::NeighborSet(PORT, address, Neighbor { link_address, notify_use }))
}

fn usable(address: Ipv6Addr, optimistic: bool) -> Said {
    Said::Event(Event::AddressUsable { port: PORT, address, optimistic })
}

fn local(address: Ipv6Addr) -> Said {
    Said::Table(TableUpdate::RouteSet(Prefix::host(address), Route::Local))
}

fn join(address: Ipv6Addr) -> Said {
    Said::Table(TableUpdate::LinkGroupJoin(PORT, solicited_node(address)))
}

fn leave(address: Ipv6Addr) -> Said {
    Said::Table(TableUpdate::LinkGroupLeave(PORT, solicited_node(address)))
}

#[test]
fn resolves_and_keeps_watch() {
    let mut bed = Bed::new(Role::Router);
    bed.missing(PEER);
    assert_eq!(bed.said(), [solicits(PEER)]);
    bed.missing(PEER);
    assert_eq!(bed.said(), []);
    bed.advertised(PEER, true, true, Some(PEER_MAC));
    assert_eq!(bed.said(), [set(PEER, PEER_MAC, false)]);
    assert_eq!(bed.state(PEER), Some(State::Reachable));
    // Between half and one and a half of REACHABLE_TIME.
    bed.pass(Duration::from_secs(14));
    assert_eq!(bed.said(), []);
    bed.pass(Duration::from_secs(31));
    assert_eq!(bed.said(), [set(PEER, PEER_MAC, true)]);
    bed.used(PEER);
    bed.used(PEER);
    assert_eq!((bed.said(), bed.state(PEER)), (vec![], Some(State::Delay)));
    bed.pass(DELAY_FIRST_PROBE_TIME);
    let probe = Said::Solicits { source: OWN, destination: PEER, target: PEER, via: Via::LinkAddress(PORT, PEER_MAC) };
    assert_eq!(bed.said(), std::slice::from_ref(&probe));
    bed.advertised(PEER, true, false, None);
    // The data plane's entry is as it was.
    assert_eq!((bed.said(), bed.state(PEER)), (vec![], Some(State::Reachable)));
    bed.pass(Duration::from_secs(45));
    bed.used(PEER);
    bed.said();
    bed.pass(DELAY_FIRST_PROBE_TIME + 3 * RETRANS_TIMER);
    let gone = Event::NeighborUnreachable { port: PORT, address: PEER, is_router: false };
    let removed = Said::Table(TableUpdate::NeighborRemove(PORT, PEER));
    assert_eq!(bed.said(), [probe.clone(), probe.clone(), probe, removed, Said::Event(gone)]);
    assert_eq!(bed.nd.counters().unreachable, 1);
}

#[test]
fn resolution_fails_after_three() {
    let mut bed = Bed::new(Role::Router);
    bed.missing(PEER);
    bed.pass(Duration::from_secs(10));
    let failed = Said::Table(TableUpdate::NeighborFailed(PORT, PEER));
    let event = Said::Event(Event::NeighborUnreachable { port: PORT, address: PEER, is_router: false });
    assert_eq!(bed.said(), [solicits(PEER), solicits(PEER), solicits(PEER), failed.clone(), event]);
    bed.command(Command::Notice(Notice::LinkDown(PORT)));
    bed.missing(PEER);
    assert_eq!(bed.said(), [failed]);
}

/// The rows of RFC 4861 appendix C with timers, packets and hints; those with messages stand in [`crate::nd::nud`].
#[test]
fn transition_table() {
    let retransmit = RETRANS_TIMER;
    type Row = (State, fn(&mut Bed), Duration, Option<State>);
    let rows: Vec<Row> = vec![
        (State::Incomplete, |_| {}, retransmit, Some(State::Incomplete)),
        (State::Incomplete, |_| {}, 3 * retransmit, None),
        (State::Incomplete, |bed| bed.used(PEER), Duration::ZERO, Some(State::Incomplete)),
        (
            State::Incomplete,
            |bed| bed.command(Command::Confirm { port: PORT, address: PEER }),
            Duration::ZERO,
            Some(State::Incomplete),
        ),
        (State::Reachable, |_| {}, Duration::from_secs(45), Some(State::Stale)),
        (State::Reachable, |bed| bed.used(PEER), Duration::ZERO, Some(State::Reachable)),
        (
            State::Reachable,
            |bed| bed.command(Command::Confirm { port: PORT, address: PEER }),
            Duration::ZERO,
            Some(State::Reachable),
        ),
        (State::Stale, |_| {}, Duration::from_secs(599), Some(State::Stale)),
        (State::Stale, |_| {}, Duration::from_secs(600), None),
        (State::Stale, |bed| bed.used(PEER), Duration::ZERO, Some(State::Delay)),
        (
            State::Stale,
            |bed| bed.command(Command::Confirm { port: PORT, address: PEER }),
            Duration::ZERO,
            Some(State::Reachable),
        ),
        (State::Delay, |_| {}, DELAY_FIRST_PROBE_TIME, Some(State::Probe)),
        (
            State::Delay,
            |bed| bed.command(Command::Confirm { port: PORT, address: PEER }),
            Duration::ZERO,
            Some(State::Reachable),
        ),
        (State::Probe, |_| {}, 2 * retransmit, Some(State::Probe)),
        (State::Probe, |_| {}, 3 * retransmit, None),
        (
            State::Probe,
            |bed| bed.command(Command::Confirm { port: PORT, address: PEER }),
            Duration::ZERO,
            Some(State::Reachable),
        ),
        (State::Probe, |bed| bed.advertised(PEER, true, true, Some(OTHER_MAC)), Duration::ZERO, Some(State::Reachable)),
        (State::Delay, |bed| bed.advertised(PEER, false, true, Some(OTHER_MAC)), Duration::ZERO, Some(State::Stale)),
    ];
    for (index, (state, act, wait, expected)) in rows.into_iter().enumerate() {
        let mut bed = Bed::new(Role::Router);
        bed.bring(state);
        act(&mut bed);
        bed.pass(wait);
        assert_eq!(bed.state(PEER), expected, "row {index}");
    }
}

#[test]
fn answers_for_its_own_addresses() {
    for (role, router) in [(Role::Router, true), (Role::Host, false)] {
        let mut bed = Bed::new(role);
        bed.receive(PEER, solicited_node(OWN), &solicitation(OWN, Some(PEER_MAC)));
        let answer = |destination, via| Said::Advertises {
            flags: [router, destination == PEER, true],
            source: OWN,
            destination,
            target: OWN,
            via,
        };
        assert_eq!(bed.said(), [set(PEER, PEER_MAC, true), answer(PEER, Via::LinkAddress(PORT, PEER_MAC))]);
        assert_eq!(bed.state(PEER), Some(State::Stale));
        // Without a link-layer address the neighbour cache has to do.
        bed.receive(PEER, OWN, &solicitation(OWN, None));
        assert_eq!(bed.said(), [answer(PEER, Via::Link(PORT))]);
        // Another node looks whether the address is free: it is defended before all.
        bed.receive(ANY, solicited_node(OWN), &solicitation(OWN, None));
        assert_eq!(bed.said(), [answer(ALL_NODES, Via::Link(PORT))]);
        bed.receive(PEER, solicited_node(PEER), &solicitation(AWAY, Some(PEER_MAC)));
        assert_eq!((bed.said(), bed.nd.counters().drop_target), (vec![], 1));
    }
}

#[test]
fn strict_detection() {
    let mut bed = Bed::new(Role::Host);
    bed.add(AWAY, Dad::Strict);
    assert_eq!(bed.said(), [join(AWAY), probes(AWAY)]);
    // A tentative address is not told to anybody.
    bed.receive(PEER, solicited_node(AWAY), &solicitation(AWAY, Some(PEER_MAC)));
    bed.pass(RETRANS_TIMER);
    assert_eq!(bed.said(), [local(AWAY), usable(AWAY, false)]);
    bed.command(Command::RemoveAddress { port: PORT, address: AWAY });
    let gone = Said::Table(TableUpdate::RouteRemove(Prefix::host(AWAY)));
    assert_eq!(bed.said(), [leave(AWAY), gone]);
}

#[test]
fn duplicates_are_found() {
    let duplicate = Said::Event(Event::AddressDuplicate { port: PORT, address: AWAY });
    for dad in [Dad::Strict, Dad::Optimistic] {
        for by_advertisement in [false, true] {
            let mut bed = Bed::new(Role::Host);
            bed.add(AWAY, dad);
            bed.said();
            if by_advertisement {
                bed.receive(PEER, ALL_NODES, &advertisement(AWAY, [false, false, true], Some(PEER_MAC)));
            } else {
                bed.receive(ANY, solicited_node(AWAY), &solicitation(AWAY, None));
            }
            let said = bed.said();
            assert_eq!((said.first(), said.last()), (Some(&leave(AWAY)), Some(&duplicate)));
            assert_eq!(said.len(), if dad == Dad::Optimistic { 3 } else { 2 });
            bed.pass(Duration::from_secs(10));
            assert_eq!(bed.said(), []);
            assert_eq!(bed.nd.addresses().count(), 1);
        }
    }
}

#[test]
fn own_probe_that_comes_back_is_no_duplicate() {
    let mut bed = Bed::new(Role::Host);
    bed.add(AWAY, Dad::Strict);
    let mut probe = None;
    while let Some(output) = bed.nd.poll_output() {
        if let Output::Transmit(transmit) = output {
            probe = Some(transmit.packet);
        }
    }
    let meta = RxMeta { port: PORT, link_source: Some(OTHER_MAC), link_multicast: true, tunnel: None };
    bed.nd.handle_packet(bed.now, &meta, &probe.unwrap());
    assert_eq!((bed.said(), bed.nd.counters().drop_looped), (vec![], 1));
    let meta = RxMeta { link_source: Some(MAC), ..meta };
    let message = advertisement(AWAY, [false, false, true], Some(MAC));
    bed.nd.handle_packet(bed.now, &meta, &message.packet(OWN, ALL_NODES));
    assert_eq!((bed.said(), bed.nd.counters().drop_looped), (vec![], 2));
}

/// RFC 4429 §3.2 and §3.3.
#[test]
fn optimistic_addresses() {
    let mut bed = Bed::with(config(Role::Host));
    bed.add(OWN, Dad::Optimistic);
    assert_eq!(bed.said(), [join(OWN), local(OWN), usable(OWN, true), probes(OWN)]);
    // It answers, and overrides nobody.
    bed.receive(PEER, solicited_node(OWN), &solicitation(OWN, Some(PEER_MAC)));
    let via = Via::LinkAddress(PORT, PEER_MAC);
    let answer = Said::Advertises { flags: [false, true, false], source: OWN, destination: PEER, target: OWN, via };
    assert_eq!(bed.said(), [set(PEER, PEER_MAC, true), answer]);
    // It never solicits: what waits is solicited once detection is through.
    bed.missing(AWAY);
    assert_eq!((bed.said(), bed.nd.counters().no_source), (vec![], 1));
    bed.pass(RETRANS_TIMER);
    assert_eq!(bed.said(), [usable(OWN, false), solicits(AWAY)]);
    bed.pass(2 * RETRANS_TIMER);
    assert_eq!(bed.said(), [solicits(AWAY), solicits(AWAY)]);
}

#[test]
fn addresses_wait_for_the_link() {
    let mut nd = NeighborDiscovery::new(Config { seed: 1, ports: vec![config(Role::Router)] });
    nd.handle_command(
        Instant::ORIGIN,
        Command::AddAddress { port: PORT, address: OWN, dad: Dad::Strict, delivery: Delivery::Routed },
    );
    let mut bed = Bed { nd, now: Instant::ORIGIN };
    assert_eq!(bed.said(), [join(OWN)]);
    bed.command(Command::Notice(Notice::LinkUp(PORT)));
    assert_eq!(bed.said(), [probes(OWN)]);
    bed.command(Command::Notice(Notice::LinkDown(PORT)));
    bed.pass(Duration::from_secs(5));
    assert_eq!(bed.said(), []);
    bed.command(Command::Notice(Notice::LinkUp(PORT)));
    bed.pass(RETRANS_TIMER);
    // Its packets go where the routes say: no local route.
    assert_eq!(bed.said(), [probes(OWN), usable(OWN, false)]);
    bed.bring(State::Reachable);
    bed.command(Command::Notice(Notice::LinkDown(PORT)));
    assert_eq!(bed.said(), [Said::Table(TableUpdate::NeighborRemove(PORT, PEER))]);
}

/// RFC 6275 §10.4.1, RFC 4861 §7.2.8.
#[test]
fn proxies_and_defends() {
    let mut bed = Bed::new(Role::Router);
    bed.command(Command::AddProxy { port: PORT, address: AWAY });
    let told = Said::Advertises {
        flags: [false, false, true],
        source: OWN,
        destination: ALL_NODES,
        target: AWAY,
        via: Via::Link(PORT),
    };
    assert_eq!(bed.said(), [join(AWAY), told.clone()]);
    bed.pass(Duration::from_secs(10));
    assert_eq!(bed.said(), [told.clone(), told]);
    bed.receive(PEER, solicited_node(AWAY), &solicitation(AWAY, Some(PEER_MAC)));
    let answer = |flags, destination, via| Said::Advertises { flags, source: OWN, destination, target: AWAY, via };
    let via = Via::LinkAddress(PORT, PEER_MAC);
    assert_eq!(bed.said(), [set(PEER, PEER_MAC, true), answer([false, true, false], PEER, via)]);
    bed.receive(ANY, solicited_node(AWAY), &solicitation(AWAY, None));
    assert_eq!(bed.said(), [answer([false; 3], ALL_NODES, Via::Link(PORT))]);
    // The mobile node is back before it said so to the home agent.
    bed.receive(PEER, ALL_NODES, &advertisement(AWAY, [false, false, true], Some(PEER_MAC)));
    let contested = Event::ProxyContested { port: PORT, address: AWAY, link_address: Some(PEER_MAC) };
    assert_eq!(bed.said(), [Said::Event(contested)]);
    bed.command(Command::RemoveProxy { port: PORT, address: AWAY });
    assert_eq!(bed.said(), [leave(AWAY)]);
    bed.receive(PEER, solicited_node(AWAY), &solicitation(AWAY, Some(PEER_MAC)));
    assert_eq!(bed.said(), []);
}

#[test]
fn anycast_addresses_are_answered_for_beside_others() {
    let mut bed = Bed::new(Role::Router);
    bed.command(Command::AddAnycast { port: PORT, address: AWAY });
    let said = bed.said();
    assert!(said.contains(&join(AWAY)) && said.len() == 2, "{said:?}");
    bed.receive(PEER, solicited_node(AWAY), &solicitation(AWAY, Some(PEER_MAC)));
    let answer = Said::Advertises {
        flags: [true, true, false],
        source: OWN,
        destination: PEER,
        target: AWAY,
        via: Via::LinkAddress(PORT, PEER_MAC),
    };
    assert_eq!(bed.said(), [set(PEER, PEER_MAC, true), answer]);
    // There is no detection of duplicates, nor is another one that has it one.
    bed.receive(ANY, solicited_node(AWAY), &solicitation(AWAY, None));
    bed.receive(PEER, ALL_NODES, &advertisement(AWAY, [true, false, false], Some(PEER_MAC)));
    assert_eq!(bed.said(), []);
    assert_eq!(bed.nd.counters().address_conflict, 0);
}

#[test]
fn detection_on_behalf_of_a_mobile_node() {
    let done = |token, outcome| Said::Event(Event::DadDone { port: PORT, address: AWAY, token, outcome });
    let mut bed = Bed::new(Role::Router);
    bed.command(Command::Dad { port: PORT, address: AWAY, token: 7 });
    assert_eq!(bed.said(), [join(AWAY), probes(AWAY)]);
    bed.command(Command::Dad { port: PORT, address: AWAY, token: 8 });
    bed.pass(RETRANS_TIMER);
    assert_eq!(bed.said(), [leave(AWAY), done(7, DadOutcome::Unique), done(8, DadOutcome::Unique)]);
    for by_advertisement in [false, true] {
        bed.command(Command::Dad { port: PORT, address: AWAY, token: 9 });
        bed.said();
        if by_advertisement {
            bed.receive(PEER, ALL_NODES, &advertisement(AWAY, [false, false, true], Some(PEER_MAC)));
        } else {
            bed.receive(ANY, solicited_node(AWAY), &solicitation(AWAY, None));
        }
        assert_eq!(bed.said(), [leave(AWAY), done(9, DadOutcome::Duplicate)]);
    }
    bed.command(Command::Dad { port: PORT, address: AWAY, token: 1 });
    bed.command(Command::CancelDad { port: PORT, address: AWAY, token: 1 });
    bed.command(Command::Dad { port: PORT, address: OWN, token: 2 });
    bed.command(Command::Dad { port: PortId(9), address: AWAY, token: 3 });
    let outcomes: Vec<Said> = bed.said().into_iter().filter(|said| matches!(said, Said::Event(_))).collect();
    let own = Said::Event(Event::DadDone { port: PORT, address: OWN, token: 2, outcome: DadOutcome::Duplicate });
    let unknown = Event::DadDone { port: PortId(9), address: AWAY, token: 3, outcome: DadOutcome::NotTried };
    assert_eq!(outcomes, [own, Said::Event(unknown)]);
    bed.pass(Duration::from_secs(5));
    assert_eq!(bed.said(), []);
    // What is not wanted, or only by somebody else, is not cancelled.
    bed.command(Command::CancelDad { port: PORT, address: AWAY, token: 4 });
    bed.command(Command::Dad { port: PORT, address: AWAY, token: 5 });
    bed.command(Command::CancelDad { port: PORT, address: AWAY, token: 4 });
    assert_eq!(bed.said(), [join(AWAY), probes(AWAY)]);
    bed.pass(RETRANS_TIMER);
    assert_eq!(bed.said(), [leave(AWAY), done(5, DadOutcome::Unique)]);
}

#[test]
fn a_terminal_back_home_announces_itself() {
    let mut bed = Bed::new(Role::Host);
    let add = Command::AddAddress { port: PORT, address: AWAY, dad: Dad::Off, delivery: Delivery::Routed };
    bed.command(add);
    assert_eq!(bed.said(), [join(AWAY), usable(AWAY, false)]);
    bed.command(Command::Announce { port: PORT, address: AWAY });
    bed.pass(Duration::from_secs(10));
    let told = Said::Advertises {
        flags: [false, false, true],
        source: AWAY,
        destination: ALL_NODES,
        target: AWAY,
        via: Via::Link(PORT),
    };
    assert_eq!(bed.said(), vec![told; 3]);
}

#[test]
fn routers_are_known_by_what_they_send() {
    let mut bed = Bed::new(Role::Host);
    let message = |link| {
        Message::RouterAdvertisement(RouterAdvertisement {
            source_link_address: link,
            reachable_time_millis: 1000,
            retransmit_timer_millis: 100,
            ..RouterAdvertisement::default()
        })
    };
    bed.receive(PEER, ALL_NODES, &message(None));
    assert_eq!(bed.said(), []);
    bed.receive(PEER, ALL_NODES, &message(Some(PEER_MAC)));
    assert_eq!(bed.said(), [set(PEER, PEER_MAC, true)]);
    assert!(bed.nd.neighbor(PORT, PEER).unwrap().is_router);
    bed.used(PEER);
    bed.pass(DELAY_FIRST_PROBE_TIME);
    bed.said();
    bed.advertised(PEER, true, true, Some(PEER_MAC));
    let event = Event::NoLongerRouter { port: PORT, address: PEER };
    assert_eq!(bed.said(), [Said::Event(event)]);
    // The router's timer values hold: stale within one and a half seconds, three probes within 300 ms.
    bed.pass(Duration::from_millis(1500));
    assert_eq!(bed.said(), [set(PEER, PEER_MAC, true)]);
    bed.used(PEER);
    bed.pass(DELAY_FIRST_PROBE_TIME + Duration::from_millis(300));
    assert_eq!(bed.said().len(), 5);
    // On a router's port they mean nothing, and solicitations tell who is there.
    let mut bed = Bed::new(Role::Router);
    bed.receive(PEER, ALL_NODES, &message(Some(PEER_MAC)));
    let solicitation = RouterSolicitation { source_link_address: Some(OTHER_MAC), other: vec![] };
    bed.receive(PEER, ALL_NODES, &Message::RouterSolicitation(solicitation));
    let event = Event::NoLongerRouter { port: PORT, address: PEER };
    assert_eq!(bed.said(), [set(PEER, PEER_MAC, true), set(PEER, OTHER_MAC, true), Said::Event(event)]);
}

#[test]
fn the_cache_is_bounded() {
    let limits = PortConfig { max_neighbors: 8, max_incomplete: 4, ..config(Role::Router) };
    let mut bed = Bed::with(limits);
    bed.add(OWN, Dad::Off);
    bed.bring(State::Reachable);
    for n in 0..1000u16 {
        let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 1, 0, 0, n);
        if n % 3 == 0 {
            bed.receive(address, OWN, &solicitation(OWN, Some(OTHER_MAC)));
        } else {
            bed.missing(address);
        }
        assert!(bed.nd.neighbors().count() <= 8);
    }
    assert_eq!(bed.state(PEER), Some(State::Reachable));
    assert!(bed.nd.counters().cache_evicted > 900);
    // Every solicitation of ours was answered although there was no room to remember who asked.
    assert_eq!(bed.nd.counters().tx_neighbor_advertisement, 334);
}

/// What the data plane holds after these outputs.
fn apply(table: &mut BTreeMap<Ipv6Addr, Neighbor>, groups: &mut BTreeMap<Ipv6Addr, ()>, said: &[Said]) {
    for said in said {
        match *said {
            Said::Table(TableUpdate::NeighborSet(_, address, neighbor)) => drop(table.insert(address, neighbor)),
            Said::Table(TableUpdate::NeighborRemove(_, address) | TableUpdate::NeighborFailed(_, address)) => {
                table.remove(&address);
            }
            Said::Table(TableUpdate::LinkGroupJoin(_, group)) => assert_eq!(groups.insert(group, ()), None),
            Said::Table(TableUpdate::LinkGroupLeave(_, group)) => assert_eq!(groups.remove(&group), Some(())),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever happens: the data plane's table is the cache's complete entries, flags included; the groups are those of
    /// the addresses; the limits hold; and once nothing happens any more, every timer runs out.
    #[test]
    fn random_operations(steps in prop::collection::vec((0..15u8, 0..6u8, any::<[bool; 3]>(), 0..4000u64), 1..120)) {
        let limits = PortConfig { max_neighbors: 4, max_incomplete: 2, max_proxies: 2, ..config(Role::Host) };
        let mut bed = Bed::with(limits);
        let (mut table, mut groups) = (BTreeMap::new(), BTreeMap::new());
        for (kind, who, flags, millis) in steps {
            let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, u16::from(who & 1), 0x10 + u16::from(who));
            let link = flags[0].then_some(if flags[1] { PEER_MAC } else { OTHER_MAC });
            match kind {
                0 => bed.missing(address),
                1 => {
                    // The data plane clears the flag and says so.
                    if let Some(neighbor) = table.get_mut(&address).filter(|neighbor: &&mut Neighbor| neighbor.notify_use) {
                        neighbor.notify_use = false;
                        bed.used(address);
                    }
                }
                2..=4 => bed.advertised(address, flags[1], flags[2], link),
                5 => bed.receive(address, solicited_node(OWN), &solicitation(OWN, link)),
                6 => bed.receive(ANY, solicited_node(address), &solicitation(address, None)),
                7 => bed.receive(PEER, solicited_node(address), &solicitation(address, link)),
                8 => bed.add(address, [Dad::Off, Dad::Optimistic, Dad::Strict][usize::from(who % 3)]),
                9 => bed.command(Command::RemoveAddress { port: PORT, address }),
                10 => bed.command(Command::AddProxy { port: PORT, address }),
                11 => bed.command(Command::RemoveProxy { port: PORT, address }),
                12 => bed.command(Command::Dad { port: PORT, address, token: 1 }),
                13 => bed.command(Command::Notice(if flags[0] { Notice::LinkUp(PORT) } else { Notice::LinkDown(PORT) })),
                _ => bed.command(Command::Confirm { port: PORT, address }),
            }
            apply(&mut table, &mut groups, &bed.said());
            bed.pass(Duration::from_millis(millis));
            apply(&mut table, &mut groups, &bed.said());
            let cache: BTreeMap<Ipv6Addr, Neighbor> = bed.nd.neighbors().filter_map(|info| {
                let notify_use = info.entry.state == State::Stale;
                info.entry.link_address.map(|link_address| (info.address, Neighbor { link_address, notify_use }))
            }).collect();
            prop_assert_eq!(&cache, &table);
            prop_assert!(bed.nd.neighbors().count() <= 4 && bed.nd.proxies().count() <= 2);
        }
        bed.command(Command::Notice(Notice::LinkDown(PORT)));
        bed.pass(Duration::from_secs(60));
        let left: Vec<AddressInfo> = bed.nd.addresses().collect();
        for AddressInfo { address, .. } in left {
            bed.command(Command::RemoveAddress { port: PORT, address });
        }
        let left: Vec<_> = bed.nd.proxies().collect();
        for (port, address) in left {
            bed.command(Command::RemoveProxy { port, address });
        }
        apply(&mut table, &mut groups, &bed.said());
        prop_assert!(table.is_empty() && groups.is_empty() && bed.nd.local.is_empty());
        prop_assert_eq!(bed.nd.poll_timeout(), None);
    }

    #[test]
    fn hostile_packets(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bed = Bed::new(Role::Host);
        let meta = RxMeta { port: PORT, link_source: None, link_multicast: false, tunnel: None };
        bed.nd.handle_packet(bed.now, &meta, &bytes);
        prop_assert_eq!(bed.said(), []);
    }
}
