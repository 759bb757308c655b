//! Correspondents that refuse the Home Address option, clocks that differ, radios that waver.

use super::super::*;
use super::world::*;
use crate::home_agent::HomeDad;
use mma::auth::{NtpTime, ReplayPolicy, WallClock};
use stack::machine::PortId;
use stack::wire::build::PacketBuilder;
use stack::wire::mobility::{BindingErrorStatus, MobilityMessage};

const FRIEND: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 1);
const STRANGER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 2);

fn meta(port: PortId) -> RxMeta {
    RxMeta { port, link_source: None, link_multicast: false, tunnel: None }
}

fn at(spot: Spot, config: Config) -> World {
    let mut world = World::new(1, HomeDad::Off, config);
    world.prefer(spot);
    world.link_up(spot);
    world.run_for(Duration::from_secs(5));
    world
}

fn binding_error(source: Ipv6Addr, status: BindingErrorStatus, home_address: Ipv6Addr) -> Vec<u8> {
    let error = MobilityMessage::BindingError { status, home_address };
    PacketBuilder::new(source, A.address()).checksummed(135, error.emit(), 4)
}

/// A Parameter Problem about a packet with a Home Address option, quoting `quoted` octets of it.
fn parameter_problem(from: Ipv6Addr, source: Ipv6Addr, code: u8, pointer_off: u32, quoted: usize) -> Vec<u8> {
    let packet = PacketBuilder::new(source, FRIEND).home_address(HOME_ADDRESS).checksummed(17, vec![0; 400], 6);
    let mut body = (48 + pointer_off).wrapping_sub(2).to_be_bytes().to_vec();
    body.extend_from_slice(&packet[..quoted]);
    PacketBuilder::new(from, A.address()).icmpv6(4, code, &body)
}

fn direct(spot: Spot) -> Uplink {
    Uplink::Direct { port: spot.key.port, router: spot.key.router, source: spot.address() }
}

fn tunnel(spot: Spot) -> Uplink {
    let peer = AGENTS[spot.site.unwrap()];
    Uplink::Tunnel { port: spot.key.port, router: spot.key.router, source: spot.address(), peer }
}

#[test]
fn auto_uses_friends_directly_until_they_refuse() {
    let mut config = terminal_config();
    config.direct_correspondents = vec![FRIEND];
    let mut world = at(A, config);
    assert_eq!(world.tables.uplink, Some(tunnel(A)));
    assert_eq!(world.tables.exceptions, BTreeMap::from([(FRIEND, direct(A))]));
    // The exception moves with the terminal, without a Mobility Header.
    world.link_up(B);
    world.run_for(Duration::from_secs(1));
    world.prefer(B);
    world.run_for(Duration::from_secs(3));
    assert_eq!(world.tables.exceptions, BTreeMap::from([(FRIEND, direct(B))]));
    world.prefer(A);
    world.run_for(Duration::from_secs(3));

    let ignored = [
        binding_error(STRANGER, BindingErrorStatus::UNKNOWN_BINDING, HOME_ADDRESS),
        binding_error(FRIEND, BindingErrorStatus::UNKNOWN_BINDING, STRANGER),
        binding_error(FRIEND, BindingErrorStatus::UNRECOGNIZED_TYPE, HOME_ADDRESS),
        parameter_problem(FRIEND, STRANGER, 2, 0, 200),
        parameter_problem(STRANGER, A.address(), 2, 0, 200),
        parameter_problem(FRIEND, A.address(), 1, 0, 200),
        parameter_problem(FRIEND, A.address(), 2, 1, 200),
        parameter_problem(FRIEND, A.address(), 2, 0, 50),
        parameter_problem(FRIEND, A.address(), 2, 0, 0),
    ];
    for (index, packet) in ignored.iter().enumerate() {
        world.terminal.handle_packet(world.now, &meta(A.key.port), packet);
        world.drain();
        assert_eq!(world.tables.exceptions, BTreeMap::from([(FRIEND, direct(A))]), "{index}");
    }
    let error = binding_error(FRIEND, BindingErrorStatus::UNKNOWN_BINDING, HOME_ADDRESS);
    world.terminal.handle_packet(world.now, &meta(A.key.port), &error);
    world.drain();
    assert!(world.tables.exceptions.is_empty());
    assert_eq!(world.terminal.counters().uplink_refused, 1);
    // It is forgiven after a while.
    world.run_for(Duration::from_secs(601));
    assert_eq!(world.tables.exceptions, BTreeMap::from([(FRIEND, direct(A))]));
    // The other message, with no more of the packet quoted than its headers.
    let problem = parameter_problem(FRIEND, A.address(), 2, 0, 64);
    world.terminal.handle_packet(world.now, &meta(A.key.port), &problem);
    world.drain();
    assert!(world.tables.exceptions.is_empty());
}

#[test]
fn direct_falls_back_to_the_tunnel_for_who_refuses() {
    let mut config = terminal_config();
    config.uplink = UplinkMode::Direct;
    let mut world = at(A, config);
    assert_eq!(world.tables.uplink, Some(direct(A)));
    let error = binding_error(FRIEND, BindingErrorStatus::UNKNOWN_BINDING, HOME_ADDRESS);
    world.terminal.handle_packet(world.now, &meta(A.key.port), &error);
    world.drain();
    assert_eq!(world.tables.exceptions, BTreeMap::from([(FRIEND, tunnel(A))]));
    assert_eq!(world.tables.uplink, Some(direct(A)));
}

/// RFC 4285 §6: the terminal's clock is wrong by more than the window; it follows the agents'.
#[test]
fn timestamps_follow_the_agents_clock() {
    let reads = |secs: u64| NtpTime((0xe000_0000 + secs) << 32);
    let clock = WallClock { at: Instant::ORIGIN, reads: reads(0) };
    let replay = ReplayPolicy::Timestamp { window: ReplayPolicy::DEFAULT_WINDOW, clock };
    for skew in [0, 1, 3600] {
        let mut config = terminal_config();
        config.clock = Some(WallClock { at: Instant::ORIGIN, reads: reads(skew) });
        let mut world = World::with_replay(1, HomeDad::Off, config, replay);
        world.prefer(A);
        world.link_up(A);
        world.run_for(Duration::from_secs(5));
        world.assert_settled_at(A);
        let mismatches = u64::from(skew > 7);
        assert_eq!(world.terminal.counters().rx_clock, mismatches, "{skew}");
        assert_eq!(world.updates.len() as u64, 2 + mismatches);
        // Timestamps grow whatever happens.
        let stamps: Vec<_> = world.updates.iter().map(|sent| sent.update.options.message_id.unwrap()).collect();
        assert!(stamps[mismatches as usize..].is_sorted_by(|a, b| a < b));
    }
}

/// An agent that wants timestamps, and a terminal without a clock.
#[test]
fn no_clock_where_timestamps_are_wanted() {
    let clock = WallClock { at: Instant::ORIGIN, reads: NtpTime(0xe000_0000 << 32) };
    let replay = ReplayPolicy::Timestamp { window: ReplayPolicy::DEFAULT_WINDOW, clock };
    let mut world = World::with_replay(1, HomeDad::Off, terminal_config(), replay);
    world.prefer(A);
    world.link_up(A);
    world.run_for(Duration::from_secs(100));
    assert_eq!((world.tables.agents, world.tables.home), ([None, None], None));
    assert!(world.joined.is_empty());
    // The home agent is asked every 32 s, no more.
    assert!(world.updates.len() < 8, "{}", world.updates.len());
    world.command(Command::Clock(clock));
    world.run_for(Duration::from_secs(700));
    world.assert_settled_at(A);
}

/// S9 with the whole terminal: two radios whose signals swing by ±3 dB against each other for a minute.
#[test]
fn wavering_radios() {
    let mut world = at(A, terminal_config());
    world.link_up(B);
    world.run_for(Duration::from_secs(2));
    let before = world.handovers().len();
    for round in 0..120 {
        let swing = if round % 2 == 0 { 3 } else { -3 };
        world.signal(A, -60 + swing);
        world.signal(B, -60 - swing);
        world.run_for(Duration::from_millis(500));
    }
    assert!(world.handovers().len() - before <= 1);
}

/// What is heard is bounded.
#[test]
fn floods_of_routers_and_addresses() {
    let mut world = at(A, terminal_config());
    for n in 0..1000u16 {
        let mut advertisement = A.advertisement();
        advertisement.router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 9, n);
        advertisement.prefixes = vec![advertisement.prefixes[0]; 100];
        advertisement.agents = vec![advertisement.agents[0]; 100];
        world.command(Command::RouterAdvertised(advertisement));
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0xf00a, 0, 0, 0, 7, n);
        world.command(Command::AddressUsable { port: A.key.port, address });
        world.command(Command::Signal { port: PortId(77), dbm: 0 });
    }
    let (_, link) = world.terminal.links().find(|(port, _)| *port == A.key.port).unwrap();
    assert!(link.routers().count() <= 16 && link.addresses().count() <= 16);
    assert!(world.terminal.counters().drop_command > 2000);
    world.run_for(Duration::from_secs(3));
    world.assert_settled_at(A);
}
