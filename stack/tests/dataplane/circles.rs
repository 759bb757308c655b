//! Tunnels of one node that lead into each other: a packet that goes around between them ends, and is counted once. No
//! machine makes such tables; a peer, an operator or two of them together might.

use super::*;

const OTHER_HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0x20);

/// Each of two terminals is where the other is at home.
#[test]
fn home_addresses_that_are_each_others_care_of_addresses() {
    let mut bench = home_agent();
    for (home_address, care_of) in [(HOME, OTHER_HOME), (OTHER_HOME, HOME)] {
        let binding = HomeBinding { care_of, agent: HOME_AGENT, home_port: P1 };
        bench.apply(TableUpdate::HomeBindingSet(home_address, binding));
    }
    bench.receive(P0, &[udp(CN, HOME, 64, b"round")]);
    assert_eq!((bench.sent(P0), bench.sent(P1), bench.local().len()), (vec![], vec![], 0));
    bench.expect_counters(&[("rx", 1), ("home-intercepted", 5), ("drop-lookup-loop", 1)]);
    // One that is its own.
    let own = HomeBinding { care_of: HOME, agent: HOME_AGENT, home_port: P1 };
    bench.apply(TableUpdate::HomeBindingSet(HOME, own));
    bench.receive(P0, &[udp(CN, HOME, 64, b"round")]);
    bench.expect_counters(&[("rx", 1), ("home-intercepted", 5), ("drop-lookup-loop", 1)]);
    // The node's own packet has a routing header the first time, and then one in front of it.
    bench.transmit(udp(HOME_AGENT, HOME, 64, b"round"), Via::Route);
    assert_eq!((bench.sent(P0), bench.sent(P1)), (vec![], vec![]));
    bench.expect_counters(&[("transmitted", 1), ("home-routed", 1), ("home-intercepted", 4), ("drop-lookup-loop", 1)]);
}

/// An agent that forwards to itself and takes that for what a peer has forwarded. Nothing grows, and each time a header is
/// taken off and another put on.
#[test]
fn an_agent_that_forwards_to_itself() {
    for chain in [false, true] {
        let mut bench = agent();
        let service = MmaService {
            address: AGENT,
            access_prefixes: vec!["2001:db8:300::/48".parse().unwrap()],
            peers: vec!["2001:db8:200::/64".parse().unwrap()],
            chain,
        };
        bench.apply(TableUpdate::MmaServiceSet(service));
        let state = BindingState::Forward { to: CARE_OF, from_home_agent: true };
        bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { state, ..binding() }));
        bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &udp(CN, HOME, 64, b"round"))]);
        assert_eq!((bench.sent(P0), bench.sent(P1), bench.local().len()), (vec![], vec![], 0));
        if chain {
            bench.expect_counters(&[("rx", 1), ("binding-forwarded", 5), ("drop-lookup-loop", 1)]);
        } else {
            bench.expect_counters(&[("rx", 1), ("binding-forwarded", 1), ("drop-binding-forwarded-twice", 1)]);
        }
    }
}

/// On a node that is home agent and mobility agent: the former agent forwards home what the home agent has sent it.
#[test]
fn a_home_agent_and_the_agent_that_forwards_home() {
    for from_home_agent in [false, true] {
        let mut bench = agent();
        bench.set_route(&format!("{HOME_AGENT}/128"), Route::Local);
        let home = HomeBinding { care_of: CARE_OF, agent: HOME_AGENT, home_port: P1 };
        bench.apply(TableUpdate::HomeBindingSet(HOME, home));
        let state = BindingState::Forward { to: HOME, from_home_agent };
        bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { state, ..binding() }));
        bench.receive(P0, &[udp(CN, HOME, 64, b"round")]);
        assert_eq!((bench.sent(P0), bench.sent(P1), bench.local().len()), (vec![], vec![], 0));
        if from_home_agent {
            // As no agent asks for it.
            bench.expect_counters(&[
                ("rx", 1),
                ("home-intercepted", 3),
                ("binding-forwarded", 2),
                ("drop-lookup-loop", 1),
            ]);
        } else {
            bench.expect_counters(&[("rx", 1), ("home-intercepted", 1), ("drop-binding-forward-home-agent", 1)]);
        }
    }
}

/// Tunnels to this node inside each other, as many as fit.
#[test]
fn tunnels_inside_tunnels_of_one_node() {
    let mut bench = terminal();
    let reception = TunnelReception { remote: AGENT, local: ACCESS, home_address: HOME };
    bench.apply(TableUpdate::TunnelReceptionSet(reception));
    let mut packet = udp(CN, HOME, 64, b"deep");
    for depth in 1..=20 {
        packet = tunnel(AGENT, ACCESS, &packet);
        bench.receive(P0, std::slice::from_ref(&packet));
        assert_eq!(bench.sent(P2).len(), usize::from(depth < 2), "{depth}");
        assert_eq!((bench.sent(P0), bench.sent(P1)), (vec![], vec![]));
        bench.local();
    }
}
