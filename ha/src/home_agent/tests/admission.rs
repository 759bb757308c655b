//! What a registration is given and what it is refused, beside the tests of the message itself.

use super::*;
use stack::wire::mobility::BindingAcknowledgementFlags;
use stack::wire::nd::PrefixInformation;

const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10);

fn with_link_local(sequence: u16) -> Update {
    let update = Update::new(sequence);
    Update { flags: update.flags | BindingUpdateFlags::LINK_LOCAL_COMPATIBILITY, ..update }
}

fn asked(outputs: &[Output<Event>]) -> Vec<Event> {
    let events = outputs.iter().filter_map(|output| match output {
        Output::Event(event) => Some(*event),
        _ => None,
    });
    events
        .filter(|event| !matches!(event, Event::Registered { .. } | Event::Ended { .. } | Event::Rejected { .. }))
        .collect()
}

/// A home prefix with these lifetimes.
fn advertised(valid_lifetime_secs: u32, preferred_lifetime_secs: u32) -> PrefixInformation {
    PrefixInformation {
        address: AGENT,
        prefix_length: 64,
        on_link: true,
        autonomous: true,
        router_address: true,
        valid_lifetime_secs,
        preferred_lifetime_secs,
    }
}

#[test]
fn the_l_bit_has_both_addresses_looked_for_and_defended() {
    let mut agent = HomeAgent::new(config(HomeDad::Strict));
    let outputs = send(&mut agent, at(0), &with_link_local(1));
    let wanted = [HOME, LINK_LOCAL].map(|address| Event::DadWanted { port: PORT, address });
    assert_eq!(asked(&outputs), wanted);
    let detected = |agent: &mut HomeAgent, address, unique| {
        agent.handle_command(at(1), Command::DadResult { port: PORT, address, unique });
        drain(agent)
    };
    assert_eq!(detected(&mut agent, LINK_LOCAL, true), [], "one of two is not enough");
    let outputs = detected(&mut agent, HOME, true);
    assert_eq!(status_of(&outputs, CARE_OF), Status::ACCEPTED);
    assert_eq!(asked(&outputs), [HOME, LINK_LOCAL].map(|address| Event::ProxyStart { port: PORT, address }));
    assert_eq!(agent.bindings().active(HOME).unwrap().link_local, Some(LINK_LOCAL));
    // A refresh without the bit gives it up; one with it takes it again, without detection.
    let outputs = send(&mut agent, at(2), &Update::new(2));
    assert_eq!(asked(&outputs), [Event::ProxyStop { port: PORT, address: LINK_LOCAL }]);
    let outputs = send(&mut agent, at(3), &with_link_local(3));
    assert_eq!(asked(&outputs), [Event::ProxyStart { port: PORT, address: LINK_LOCAL }]);
    // Whoever claims the link-local address ends the binding.
    agent.handle_command(at(4), Command::AddressConflict { port: PORT, address: LINK_LOCAL });
    let outputs = drain(&mut agent);
    let stopped = |address| [Event::DadCancel { port: PORT, address }, Event::ProxyStop { port: PORT, address }];
    assert_eq!(asked(&outputs), [stopped(HOME), stopped(LINK_LOCAL)].concat());
    assert!(agent.bindings().is_empty());
}

#[test]
fn a_duplicate_of_either_address_refuses_the_whole_registration() {
    for duplicate in [HOME, LINK_LOCAL] {
        let mut agent = HomeAgent::new(config(HomeDad::Strict));
        send(&mut agent, at(0), &with_link_local(1));
        agent.handle_command(at(1), Command::DadResult { port: PORT, address: duplicate, unique: false });
        let outputs = drain(&mut agent);
        assert_eq!(status_of(&outputs, CARE_OF), Status::DUPLICATE_ADDRESS);
        let other = if duplicate == HOME { LINK_LOCAL } else { HOME };
        assert_eq!(asked(&outputs), [Event::DadCancel { port: PORT, address: other }]);
        assert!(agent.bindings().is_empty() && agent.waiting().count() == 0 && agent.link_locals.is_empty());
    }
}

#[test]
fn de_registration_while_detection_runs_ends_both() {
    let mut agent = HomeAgent::new(config(HomeDad::Strict));
    send(&mut agent, at(0), &with_link_local(1));
    let outputs = send(&mut agent, at(1), &Update::from_home(2));
    assert_eq!(asked(&outputs), [HOME, LINK_LOCAL].map(|address| Event::DadCancel { port: PORT, address }));
    assert!(agent.link_locals.is_empty());
}

#[test]
fn the_k_bit_is_never_granted() {
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    let update = Update::new(1);
    let update = Update { flags: update.flags | BindingUpdateFlags::KEY_MANAGEMENT, ..update };
    let outputs = send(&mut agent, at(0), &update);
    let (answer, ..) = acknowledgement(outputs.last().unwrap(), CARE_OF);
    assert_eq!((answer.status, answer.flags), (Status::ACCEPTED, BindingAcknowledgementFlags::default()));
}

#[test]
fn a_binding_ends_with_its_prefix() {
    // Valid, preferred; asked for are 400 s, in units of four.
    for (valid, preferred, lifetime, status) in [
        (u32::MAX, u32::MAX, 100, Status::ACCEPTED),
        (2_592_000, 604_800, 100, Status::ACCEPTED),
        (2_592_000, 400, 100, Status::ACCEPTED),
        (2_592_000, 399, 100, Status::ACCEPTED_PREFIX_DISCOVERY),
        (2_592_000, 0, 100, Status::ACCEPTED_PREFIX_DISCOVERY),
        (u32::MAX, 0, 100, Status::ACCEPTED_PREFIX_DISCOVERY),
        (404, 404, 100, Status::ACCEPTED),
        (403, 403, 100, Status::ACCEPTED_PREFIX_DISCOVERY),
        (203, 203, 50, Status::ACCEPTED_PREFIX_DISCOVERY),
        (3, 3, 0, Status::NOT_HOME_SUBNET),
    ] {
        let mut config = config(HomeDad::Off);
        config.links[0].advertised = vec![advertised(valid, preferred)];
        let mut agent = HomeAgent::new(config);
        let outputs = send(&mut agent, at(0), &Update::new(1));
        let (answer, ..) = acknowledgement(outputs.last().unwrap(), CARE_OF);
        assert_eq!((answer.lifetime, answer.status), (Lifetime(lifetime), status), "{valid} {preferred}");
        let ends = (lifetime > 0).then(|| Duration::from_secs(u64::from(lifetime) * 4));
        assert_eq!(agent.remaining(at(0), HOME), ends);
    }
}

#[test]
fn nobody_is_at_the_agent_itself_or_on_a_home_link() {
    let own = "2001:db8:9::1".parse().unwrap();
    let neighbour = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x11);
    for care_of in [AGENT, own, neighbour] {
        let mut config = config(HomeDad::Off);
        config.own.insert(own);
        let mut agent = HomeAgent::new(config);
        let outputs = send(&mut agent, at(0), &Update { alternate: Some(care_of), ..Update::new(1) });
        assert_eq!(status_of(&outputs, care_of), Status::INVALID_CARE_OF_ADDRESS);
        assert!(agent.bindings().is_empty() && !outputs.iter().any(|o| matches!(o, Output::Table(_))));
        assert_eq!(agent.counters().reject_care_of, 1);
    }
}

#[test]
fn the_operator_decides_who_registers_and_from_where() {
    let mut prohibited = config(HomeDad::Off);
    prohibited.denied.insert(HOME);
    let mut elsewhere = config(HomeDad::Off);
    elsewhere.care_of_prefixes = vec![Prefix::of_link(OTHER_CARE_OF)];
    for config in [prohibited, elsewhere] {
        let mut agent = HomeAgent::new(config);
        let outputs = send(&mut agent, at(0), &Update::new(1));
        assert_eq!(status_of(&outputs, CARE_OF), Status::ADMINISTRATIVELY_PROHIBITED);
        assert_eq!((agent.counters().reject_prohibited, agent.bindings().len()), (1, 0));
    }
    let mut here = config(HomeDad::Off);
    here.care_of_prefixes = vec![Prefix::of_link(CARE_OF)];
    let mut agent = HomeAgent::new(here);
    assert_eq!(status_of(&send(&mut agent, at(0), &Update::new(1)), CARE_OF), Status::ACCEPTED);
}

#[test]
fn a_home_registration_stays_one() {
    let mut agent = HomeAgent::new(config(HomeDad::Off));
    send(&mut agent, at(0), &Update::new(1));
    let before = *agent.bindings().get(HOME).unwrap();
    let other = Update { flags: BindingUpdateFlags::ACKNOWLEDGE, ..Update::new(2) };
    assert_eq!(status_of(&send(&mut agent, at(1), &other), CARE_OF), Status::REGISTRATION_TYPE_CHANGE);
    assert_eq!(*agent.bindings().get(HOME).unwrap(), before);
    // A stranger is not told.
    let forged = Update { key: Some(9), ..Update { flags: BindingUpdateFlags::ACKNOWLEDGE, ..Update::new(3) } };
    let outputs = send(&mut agent, at(2), &forged);
    assert_eq!(outputs.len(), 2);
    assert_eq!(agent.counters().reject_authentication, 1);
    assert_eq!(*agent.bindings().get(HOME).unwrap(), before);
}
