//! Mobility anchor points without groups (RFC 5380): chosen by configuration, or found out.

use super::super::*;
use super::script::Script;
use super::world::*;
use stack::wire::mobility::{MobilityOptions, Status};

fn hierarchical() -> Config {
    Config { mode: Mode::Hierarchical, ..terminal_config() }
}

/// Registration with the anchor point by the regional address, then with the home agent.
const ENTERED: [&str; 8] = [
    "own RCoA1",
    "route RCoA1 Local",
    "receive MMA1 => LCoA-A of RCoA1",
    "receive HA => RCoA1 of HoA",
    "default by A",
    "send LCoA-A => MMA1 with RCoA1 => HA",
    "LCoA-A > HA: BU(H) HoA at RCoA1 for 1800 s",
    "move ends",
];

fn settled() -> Script {
    let mut script = Script::new(hierarchical());
    let asked = script.up(A);
    assert_eq!(asked, ["inter-site move begins", "LCoA-A > MMA1: BU(M) RCoA1 for 1800 s"]);
    assert_eq!(script.accept(AGENTS[0]), ENTERED[..7]);
    assert_eq!(script.accept(HOME_AGENT), ENTERED[7..]);
    script.wait(5_000);
    script
}

#[test]
fn registration_with_an_anchor_point() {
    let script = settled();
    assert_eq!(script.terminal.site().subscription, None);
    assert_eq!(script.terminal.joined().count(), 0);
    assert!(!script.terminal.is_registering());
}

/// A move within its domain is told to it, and to nobody else; what it sends is taken at either address meanwhile.
#[test]
fn a_move_within_the_domain() {
    let mut script = settled();
    script.up(B);
    let moved = ["intra-site move begins", "receive MMA1 => LCoA-B of RCoA1", "LCoA-B > MMA1: BU(M) RCoA1 for 1800 s"];
    assert_eq!(script.prefer(B), moved);
    assert_eq!(script.terminal.current_router(), Some(A.key));
    let answered = script.accept(AGENTS[0]);
    assert_eq!(answered, ["default by B", "send LCoA-B => MMA1 with RCoA1 => HA"]);
    assert_eq!(script.wait(100), ["forget MMA1 => LCoA-A of RCoA1", "move ends"]);
    assert_eq!(script.wait(100_000), [""; 0]);
}

/// Into another domain: the former anchor point sends to the new address on the link for a while (RFC 5380 §6.1).
#[test]
fn a_move_into_another_domain() {
    let mut script = settled();
    script.up(C);
    assert_eq!(script.prefer(C), ["inter-site move begins", "LCoA-C > MMA2: BU(M) RCoA2 for 1800 s"]);
    let entered = script.accept(AGENTS[1]);
    assert!(entered.contains(&"LCoA-C > HA: BU(H) HoA at RCoA2 for 1800 s".to_string()), "{entered:?}");
    let forward = ["LCoA-C > MMA1: BU(M) RCoA1 for 32 s", "receive MMA1 => LCoA-C of RCoA1"];
    assert!(forward.iter().all(|words| entered.contains(&(*words).to_string())), "{entered:?}");
    script.accept(HOME_AGENT);
    script.wait(100);
    script.accept(AGENTS[0]);
    let over = script.wait(32_000);
    let expected = ["forget HA => RCoA1 of HoA", "forget MMA1 => LCoA-C of RCoA1", "disown RCoA1", "no route RCoA1"];
    assert_eq!(over.iter().collect::<BTreeSet<_>>(), expected.map(String::from).iter().collect());
}

/// Home: the home agent first, then the anchor point is told to forget.
#[test]
fn home_from_a_domain() {
    let mut script = settled();
    script.up(H);
    assert_eq!(script.prefer(H), ["home move begins", "claim HoA", "HoA > HA: BU(H) HoA for 0 s"]);
    let home = script.accept(HOME_AGENT);
    assert_eq!(home[..1], ["announce HoA"]);
    assert!(home.contains(&"HoA > MMA1: BU(M) RCoA1 for 0 s".to_string()), "{home:?}");
    script.wait(100);
    script.accept(AGENTS[0]);
    assert_eq!(script.terminal.former_sites().count(), 0);
    script.wait(60_000);
    assert_eq!(script.terminal.site().care_of, None);
}

/// An agent that answers without the group is an anchor point; it is told to forget the home address.
#[test]
fn an_agent_without_groups_is_found_out() {
    let mut script = Script::new(terminal_config());
    assert_eq!(script.up(A)[1], "LCoA-A > MMA1: BU(M) HoA to G for 1800 s");
    assert_eq!(script.accept(AGENTS[0]), ["LCoA-A > MMA1: BU(M) RCoA1 for 1800 s"]);
    let entered = script.accept(AGENTS[0]);
    assert_eq!(
        (&entered[..7], &entered[7..]),
        (&ENTERED.map(String::from)[..7], &["LCoA-A > MMA1: BU(M) HoA for 0 s".to_string()][..])
    );
    script.accept(AGENTS[0]);
    script.accept(HOME_AGENT);
    assert!(!script.terminal.is_registering());
    assert_eq!(script.terminal.counters().anchors_found, 1);
    // It is remembered.
    script.up(P);
    script.prefer(P);
    script.accept(HOME_AGENT);
    script.wait(1_000);
    assert_eq!(script.prefer(A), ["inter-site move begins", "LCoA-A > MMA1: BU(M) RCoA1 for 1800 s"]);
}

/// One that knows only addresses of its own prefix says so.
#[test]
fn an_agent_that_refuses_a_foreign_home_address_is_asked_for_a_regional_one() {
    let mut script = Script::new(terminal_config());
    script.up(A);
    let refused = script.refuse(AGENTS[0], Status::NOT_HOME_SUBNET);
    assert_eq!(refused, ["MMA1 refuses: 132", "LCoA-A > MMA1: BU(M) RCoA1 for 1800 s"]);
    // Refused again it is of no use.
    script.refuse(AGENTS[0], Status::NOT_HOME_SUBNET);
    assert_eq!(script.terminal.site().site, Site::Plain);
}

/// An acknowledgement for the home address is none for the regional one.
#[test]
fn acknowledgements_are_for_the_address_that_was_bound() {
    let mut script = Script::new(hierarchical());
    script.up(A);
    let mut asked = script.last_asked(AGENTS[0]);
    asked.rebind(HOME_ADDRESS);
    let nothing = script.answer(&asked, Status::ACCEPTED, asked.update.lifetime, MobilityOptions::default());
    assert_eq!(nothing, [""; 0]);
    assert_eq!(script.terminal.agent_registration(), None);
}
