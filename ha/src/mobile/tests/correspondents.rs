//! Correspondents with a binding: what the terminal asks and tells them itself, and how they forget.

use super::super::*;
use super::script::{CARE_OF, CN, Script};
use super::world::*;
use mma::return_routability::{BindingManagementKey, KeygenToken};
use stack::addr::{GroupLayout, Scope};
use stack::machine::CorrespondentWay;
use stack::wire::build::PacketBuilder;
use stack::wire::mobility::{
    BindingAcknowledgement, BindingErrorStatus, BindingUpdateFlags, Lifetime, MobilityMessage, Status, TestAnswer,
};

const HOME_TOKEN: [u8; 8] = [7; 8];
const CARE_OF_TOKEN: [u8; 8] = [9; 8];

fn seen(way: CorrespondentWay) -> Command {
    Command::Correspondent { correspondent: CN, way }
}

fn with(route_optimisation: RouteOptimisation) -> Config {
    Config { route_optimisation, ..terminal_config() }
}

fn home_test(cookie: [u8; 8]) -> Vec<u8> {
    let answer = MobilityMessage::HomeTest(TestAnswer { nonce_index: 5, cookie, token: HOME_TOKEN });
    PacketBuilder::new(CN, HOME_ADDRESS).checksummed(135, answer.emit(), 4)
}

fn care_of_test(care_of: Ipv6Addr, cookie: [u8; 8]) -> Vec<u8> {
    let answer = MobilityMessage::CareOfTest(TestAnswer { nonce_index: 6, cookie, token: CARE_OF_TOKEN });
    PacketBuilder::new(CN, care_of).checksummed(135, answer.emit(), 4)
}

/// The correspondent's answer to the update that came last.
fn acknowledgement(script: &Script, status: Status, sequence: Option<u16>) -> Vec<u8> {
    let asked = script.last_asked(CN);
    let at_home = asked.source == HOME_ADDRESS;
    let tokens = (KeygenToken(HOME_TOKEN), KeygenToken(CARE_OF_TOKEN));
    let key = match at_home {
        true => BindingManagementKey::for_deletion(tokens.0),
        false => BindingManagementKey::new(tokens.0, tokens.1),
    };
    let answer = BindingAcknowledgement {
        status,
        flags: Default::default(),
        sequence: sequence.unwrap_or(asked.update.sequence),
        lifetime: if status == Status::ACCEPTED { asked.update.lifetime } else { Lifetime::ZERO },
        options: Default::default(),
    };
    let bytes = key.sign_acknowledgement(answer, asked.source, CN);
    let builder = PacketBuilder::new(CN, asked.source);
    if at_home { builder } else { builder.type2_routing(HOME_ADDRESS) }.checksummed(135, bytes, 4)
}

/// What was sent to the correspondent. Messages to it have their distance from each other (RFC 6275 §11.8).
fn to_correspondent(answers: &[String]) -> Vec<&String> {
    answers.iter().filter(|words| words.contains("> CN: ")).collect()
}

fn group() -> Ipv6Addr {
    GroupLayout::Ssm { scope: Scope::SITE_LOCAL }.group(EUI).unwrap()
}

/// Home from site 1, where the agent had told a correspondent. Answers what follows the home agent's acknowledgement.
fn home(way: CorrespondentWay) -> (Script, Vec<String>) {
    let mut script = Script::settled_at(A);
    assert_eq!(script.command(seen(way)), [""; 0]);
    assert_eq!(script.terminal.agents_correspondents().count(), usize::from(way != CorrespondentWay::HomeAgent));
    script.up(H);
    script.prefer(H);
    let home = script.accept(HOME_AGENT);
    (script, home)
}

/// S4: the home agent, then the old agent, then the correspondents: a home test alone, and a binding of lifetime zero.
#[test]
fn s4_correspondents_forget() {
    for way in [CorrespondentWay::Optimised, CorrespondentWay::Forwarded] {
        let (mut script, told) = home(way);
        let order: Vec<_> = told.iter().filter(|words| words.contains(" > ")).collect();
        assert_eq!(order, ["HoA > MMA1: BU(M) HoA at HoA for 32 s", "HoA > CN: HoTI"]);
        let cookie = script.cookies[0];
        assert_eq!(script.packet(&home_test(cookie)), ["HoA > CN: BU HoA for 0 s"]);
        let deletion = script.last_asked(CN).update;
        assert_eq!(deletion.flags, BindingUpdateFlags::ACKNOWLEDGE);
        assert_eq!(deletion.options.nonce_indices.map(|indices| indices.home), Some(5));
        // The terminal does not know the agent's numbers: the correspondent tells.
        let resumed = acknowledgement(&script, Status::SEQUENCE_OUT_OF_WINDOW, Some(4_000));
        let again = [script.packet(&resumed), script.wait(400)].concat();
        assert_eq!(to_correspondent(&again), ["HoA > CN: BU HoA for 0 s"]);
        assert_eq!(script.last_asked(CN).update.sequence, 4_001);
        let accepted = acknowledgement(&script, Status::ACCEPTED, None);
        assert_eq!(script.packet(&accepted), [""; 0]);
        assert_eq!(script.terminal.correspondents().count(), 0);
        assert_eq!(script.terminal.optimisation_counters().deleted, 1);
        // A packet that was still under way does not begin it anew.
        assert_eq!(script.command(seen(CorrespondentWay::Forwarded)), [""; 0]);
    }
}

#[test]
fn without_a_binding_there_is_nothing_to_forget() {
    let (_, told) = home(CorrespondentWay::HomeAgent);
    assert!(!told.iter().any(|words| words.contains("CN")), "{told:?}");
}

/// A correspondent that does not answer is given up; one that refuses is left alone.
#[test]
fn s4_a_correspondent_that_does_not_help() {
    let (mut script, _) = home(CorrespondentWay::Optimised);
    let asked = script.wait(200_000).iter().filter(|words| words.contains("HoTI")).count();
    assert!((1..=8).contains(&asked), "{asked}");
    assert_eq!(script.terminal.correspondents().filter(|view| view.state == "deleting").count(), 0);
    let (mut script, _) = home(CorrespondentWay::Optimised);
    let cookie = script.cookies[0];
    script.packet(&home_test(cookie));
    let refused = acknowledgement(&script, Status(129), None);
    assert_eq!(script.packet(&refused), [""; 0]);
    let later = script.wait(200_000);
    assert!(!later.iter().any(|words| words.contains("CN")), "{later:?}");
}

/// A correspondent that the terminal did not know of shows itself by what the old agent sends home.
#[test]
fn a_correspondent_found_by_what_is_forwarded_home() {
    let (mut script, _) = home(CorrespondentWay::HomeAgent);
    assert_eq!(script.command(seen(CorrespondentWay::Forwarded)), ["HoA > CN: HoTI"]);
    assert_eq!(script.command(seen(CorrespondentWay::Forwarded)), [""; 0]);
}

/// What is remembered is bounded, and so is what is sent for it.
#[test]
fn a_flood_of_correspondents() {
    let mut script = Script::settled_at(A);
    for n in 0..1_000 {
        let correspondent = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 1, n);
        script.command(Command::Correspondent { correspondent, way: CorrespondentWay::Optimised });
    }
    assert_eq!(script.terminal.agents_correspondents().count(), super::super::correspondents::MAX_SEEN);
    script.up(H);
    script.prefer(H);
    let told = script.accept(HOME_AGENT);
    assert!(told.iter().filter(|words| words.contains("HoTI")).count() <= super::super::correspondents::MAX_SEEN);
}

/// Nobody optimises: nothing is asked, nothing deleted.
#[test]
fn off_is_off() {
    let mut script = Script::settled_with(with(RouteOptimisation::Off), A);
    for way in [CorrespondentWay::HomeAgent, CorrespondentWay::Forwarded, CorrespondentWay::Optimised] {
        assert_eq!(script.command(seen(way)), [""; 0]);
    }
    script.up(H);
    script.prefer(H);
    let told = script.accept(HOME_AGENT);
    assert!(!told.iter().any(|words| words.contains("CN")), "{told:?}");
}

/// The terminal in an agent's site tells a correspondent itself: all of it through the agent, so that the correspondent
/// sees nothing but home address and care-of address (RFC 5380 §12.2).
fn optimised_in_site_one() -> Script {
    let mut script = Script::settled_with(with(RouteOptimisation::Mt), A);
    let asked = script.command(seen(CorrespondentWay::HomeAgent));
    assert_eq!(asked, ["LCoA-A => MMA1 [HoA > CN: HoTI]", "LCoA-A => MMA1 [CoA1 > CN: CoTI]"]);
    let cookies = script.cookies;
    // Not in the tunnel: not the answer.
    assert_eq!(script.packet(&home_test(cookies[0])), [""; 0]);
    assert_eq!(script.tunnelled(AGENTS[0], group(), &home_test([0; 8])), [""; 0]);
    assert_eq!(script.tunnelled(AGENTS[0], group(), &home_test(cookies[0])), [""; 0]);
    let told = script.tunnelled(AGENTS[0], group(), &care_of_test(CARE_OF[0], cookies[1]));
    assert_eq!(told, ["LCoA-A => MMA1 [CoA1 > CN: BU HoA for 420 s]"]);
    let accepted = acknowledgement(&script, Status::ACCEPTED, None);
    let on = script.tunnelled(AGENTS[0], group(), &accepted);
    assert_eq!(on, ["send to CN LCoA-A => MMA1 from CoA1"]);
    script
}

#[test]
fn mt_through_an_agent() {
    let mut script = optimised_in_site_one();
    // S2.4: nothing of it changes by a move inside the site but the link.
    script.up(B);
    script.prefer(B);
    let moved = script.data(B);
    assert!(moved.contains(&"send to CN LCoA-B => MMA1 from CoA1".to_string()), "{moved:?}");
    assert!(!moved.iter().any(|words| words.contains(" > ")), "{moved:?}");
}

/// S3 with the terminal as initiator: told again from the new care-of address when the home agent knows it; until then
/// by the tunnel.
#[test]
fn mt_into_another_site() {
    let mut script = optimised_in_site_one();
    script.up(C);
    script.prefer(C);
    // The old care-of address is what CN knows and what the old link still takes.
    let entered = script.grant(1);
    assert!(!entered.iter().any(|words| words.starts_with("send")), "{entered:?}");
    script.data(C);
    // The home keygen token is young: only the care-of test is due, when the last one is a while ago.
    let told = [script.accept(HOME_AGENT), script.wait(400)].concat();
    let switched = ["default by C", "send LCoA-C => MMA2", "send to CN as usual"];
    assert_eq!(told[..3], switched);
    assert_eq!(told[3], "LCoA-C > MMA1: BU(M) HoA at CoA2 for 32 s");
    assert_eq!(to_correspondent(&told), ["LCoA-C => MMA2 [CoA2 > CN: CoTI]"]);
    let cookies = script.cookies;
    let told = script.tunnelled(AGENTS[1], group(), &care_of_test(CARE_OF[1], cookies[1]));
    let told = [told, script.wait(400)].concat();
    assert_eq!(to_correspondent(&told), ["LCoA-C => MMA2 [CoA2 > CN: BU HoA for 420 s]"]);
    let accepted = acknowledgement(&script, Status::ACCEPTED, None);
    assert_eq!(script.tunnelled(AGENTS[1], group(), &accepted), ["send to CN LCoA-C => MMA2 from CoA2"]);
}

/// S4 with the terminal as initiator.
#[test]
fn mt_home() {
    let mut script = optimised_in_site_one();
    script.up(H);
    script.prefer(H);
    // With the young token there is nothing to ask.
    let told = [script.accept(HOME_AGENT), script.wait(400)].concat();
    assert_eq!(to_correspondent(&told), ["HoA > CN: BU HoA for 0 s"]);
    let accepted = acknowledgement(&script, Status::ACCEPTED, None);
    script.packet(&accepted);
    assert_eq!(script.terminal.correspondents().count(), 0);
}

/// Plain Mobile IPv6: the care-of address is the terminal's own on the link.
#[test]
fn mt_in_plain_mobile_ipv6() {
    let config = Config { mode: Mode::Plain, ..with(RouteOptimisation::Mt) };
    let mut script = Script::new(config);
    script.up(A);
    script.accept(HOME_AGENT);
    let asked = script.command(seen(CorrespondentWay::HomeAgent));
    assert_eq!(asked, ["LCoA-A => HA [HoA > CN: HoTI]", "LCoA-A > CN: CoTI"]);
    let cookies = script.cookies;
    script.tunnelled(HOME_AGENT, A.address(), &home_test(cookies[0]));
    assert_eq!(script.packet(&care_of_test(A.address(), cookies[1])), ["LCoA-A > CN: BU HoA for 420 s"]);
    let accepted = acknowledgement(&script, Status::ACCEPTED, None);
    assert_eq!(script.packet(&accepted), ["send to CN from LCoA-A"]);
    // RFC 6275 §11.3.6: the correspondent has lost it. That is no refusal of the option.
    script.wait(30_000);
    let error =
        MobilityMessage::BindingError { status: BindingErrorStatus::UNKNOWN_BINDING, home_address: HOME_ADDRESS };
    let error = PacketBuilder::new(CN, A.address()).checksummed(135, error.emit(), 4);
    let again = script.packet(&error);
    assert!(again.iter().any(|words| words == "LCoA-A > CN: BU HoA for 420 s"), "{again:?}");
    assert!(again.contains(&"send to CN as usual".to_string()), "{again:?}");
    assert_eq!(script.terminal.refusing_correspondents().count(), 0);
}

/// With an anchor point the home test is in two tunnels (RFC 5380 §12.2).
#[test]
fn mt_with_an_anchor_point() {
    let config = Config { mode: Mode::Hierarchical, ..with(RouteOptimisation::Mt) };
    let mut script = Script::new(config);
    script.up(A);
    script.accept(AGENTS[0]);
    script.accept(HOME_AGENT);
    let asked = script.command(seen(CorrespondentWay::HomeAgent));
    assert_eq!(asked, ["LCoA-A => MMA1 [RCoA1 => HA [HoA > CN: HoTI]]", "LCoA-A => MMA1 [RCoA1 > CN: CoTI]"]);
}

/// Forged answers change nothing.
#[test]
fn forged_answers() {
    let mut script = optimised_in_site_one();
    script.wait(380_000);
    let before = *script.terminal.optimisation_counters();
    let mut rng = stack::rng::Rng::new(1);
    for n in 0..500u32 {
        let cookie = rng.next_u64().to_be_bytes();
        let forged = match n % 3 {
            0 => home_test(cookie),
            1 => care_of_test(CARE_OF[0], cookie),
            _ => acknowledgement(&script, Status((n % 256) as u8), Some(n as u16)),
        };
        let answers = script.tunnelled(AGENTS[0], group(), &forged);
        assert!(answers.is_empty(), "{answers:?}");
    }
    let after = script.terminal.optimisation_counters();
    assert_eq!((before.rx_home_test, before.rx_care_of_test), (after.rx_home_test, after.rx_care_of_test));
    assert!(after.rx_unmatched >= 300);
}
