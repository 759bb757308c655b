//! Moves between sites, home and away: what is sent, by whom, in which order.

use super::super::*;
use super::script::{CARE_OF, Script};
use super::world::*;
use stack::wire::mobility::{Lifetime, MobilityOptions, Status};

/// S3, S5, S6, as far as it is the terminal's: from site 1 to site 2 while both links are up.
fn into_site_two() -> Script {
    let mut script = Script::settled_at(A);
    assert_eq!(script.up(C), [""; 0]);
    assert_eq!(script.prefer(C), ["inter-site move begins", "LCoA-C > MMA2: BU(M) HoA to G for 1800 s"]);
    let entered =
        ["receive G from MMA2", "own CoA2", "join G from MMA2 at C", "LCoA-C > HA: BU(H) HoA at CoA2 for 1800 s"];
    // What the terminal sends goes on by the old link: the home agent takes nothing from the new site yet.
    assert_eq!(script.grant(1), entered);
    script
}

#[test]
fn s3_with_both_links() {
    let mut script = into_site_two();
    // The first packet comes by the new tree; the home agent has not answered.
    assert_eq!(script.data(C), [""; 0]);
    let switched = ["default by C", "send LCoA-C => MMA2", "LCoA-C > MMA1: BU(M) HoA at CoA2 for 32 s"];
    assert_eq!(script.accept(HOME_AGENT), switched);
    let former: Vec<_> = script.terminal.former_sites().collect();
    assert_eq!(
        (former[0].agent, former[0].care_of, former[0].forwards_to),
        (AGENTS[0], Some(CARE_OF[0]), Some(CARE_OF[1]))
    );
    // What is in the old tree is received for a while.
    assert_eq!(script.wait(100), ["leave G at A", "forget G from MMA1", "move ends"]);
    assert_eq!(script.accept(AGENTS[0]), [""; 0]);
    assert!(!script.terminal.is_registering());
    assert_eq!(script.wait(31_999), [""; 0]);
    assert_eq!(script.wait(1), ["disown CoA1"]);
    assert_eq!(script.terminal.former_sites().count(), 0);
}

/// What the terminal sends goes by the old link until the home agent takes it from the new site, but no longer than there
/// is an old link, or a home agent that would.
#[test]
fn what_is_sent_goes_by_the_old_link_as_long_as_that_is_the_way() {
    let switched = ["default by C", "send LCoA-C => MMA2"];
    let mut script = into_site_two();
    let down = script.down(A);
    assert_eq!(down.iter().filter(|words| !words.contains("BU")).collect::<Vec<_>>()[1..], switched, "{down:?}");

    let mut script = into_site_two();
    let asked = script.last_asked(HOME_AGENT);
    let options = MobilityOptions::default();
    let refused = script.answer(&asked, Status::ADMINISTRATIVELY_PROHIBITED, Lifetime::ZERO, options);
    assert_eq!(refused[1..], switched, "{refused:?}");

    // Back before the home agent has answered: the way is what it was all the time.
    let mut script = into_site_two();
    let back = [script.prefer(A), script.grant(0), script.accept(HOME_AGENT)].concat();
    assert!(back.contains(&"LCoA-A > MMA1: BU(M) HoA to G for 1800 s".to_owned()), "{back:?}");
    assert!(!back.iter().any(|words| words.starts_with("default") || words.starts_with("send")), "{back:?}");
}

/// The old link is gone before the new one is up: the old agent is told in the same instant as the home agent, after it.
#[test]
fn s3_after_the_old_link_broke() {
    let mut script = Script::settled_at(A);
    assert_eq!(script.down(A), ["leave G at A", "no route ::", "send nothing"]);
    let begun = script.up(C);
    assert_eq!(begun, ["inter-site move begins", "LCoA-C > MMA2: BU(M) HoA to G for 1800 s"]);
    let entered = script.grant(1);
    assert_eq!(
        entered[4..],
        [
            "send LCoA-C => MMA2",
            "LCoA-C > HA: BU(H) HoA at CoA2 for 1800 s",
            "LCoA-C > MMA1: BU(M) HoA at CoA2 for 32 s"
        ]
    );
}

/// S3: the request is lost, and sent again with a number of its own.
#[test]
fn s3_with_the_request_lost() {
    let mut script = into_site_two();
    script.data(C);
    script.accept(HOME_AGENT);
    script.wait(100);
    let first = script.last_asked(AGENTS[0]);
    assert_eq!(script.wait(900), ["LCoA-C > MMA1: BU(M) HoA at CoA2 for 32 s"]);
    let second = script.last_asked(AGENTS[0]);
    assert_eq!(second.update.sequence, first.update.sequence.wrapping_add(1));
    // An answer to either counts.
    assert_eq!(script.answer(&first, Status::ACCEPTED, Lifetime(8), MobilityOptions::default()), [""; 0]);
    assert_eq!(script.wait(32_000), ["disown CoA1"]);
}

/// S3: the old agent is not there any more. Nothing of it concerns the new site.
#[test]
fn s3_with_the_old_agent_unreachable() {
    let mut script = into_site_two();
    script.data(C);
    script.accept(HOME_AGENT);
    let asked = script.asked.len();
    // 1, 2, 4, 8, 16 s, and then as long as the last may have been heard.
    let answers = script.wait(31_000);
    assert_eq!(answers.iter().filter(|words| words.contains("> MMA1")).count(), 4);
    assert_eq!(script.asked.len(), asked + 4);
    assert_eq!(script.terminal.counters().agent_lost, 1);
    assert!(!script.terminal.is_registering());
    assert_eq!(script.terminal.refusing_agents().count(), 0);
    assert_eq!(script.wait(18_000), ["disown CoA1"]);
    assert_eq!(script.terminal.site().care_of, Some(CARE_OF[1]));
}

/// S3: the old agent does not forward there (129): it is told to forget the terminal.
#[test]
fn s3_with_forwarding_refused() {
    for status in [128, 129, 130, 143] {
        let mut script = into_site_two();
        script.data(C);
        script.accept(HOME_AGENT);
        let refused = script.refuse(AGENTS[0], Status(status));
        assert_eq!(refused, [format!("MMA1 refuses: {status}"), "LCoA-C > MMA1: BU(M) HoA for 0 s".into()]);
        assert_eq!(script.accept(AGENTS[0]), ["disown CoA1"]);
        assert_eq!(script.terminal.counters().forwarding_refused, 1);
        assert!(!script.terminal.is_registering());
    }
}

/// The operator wants none of it.
#[test]
fn without_forwarding_the_old_agent_is_told_to_forget() {
    let mut config = terminal_config();
    config.timers.forward = Duration::ZERO;
    let mut script = Script::settled_with(config, A);
    script.up(C);
    script.prefer(C);
    script.grant(1);
    script.data(C);
    assert_eq!(script.accept(HOME_AGENT).last().unwrap(), "LCoA-C > MMA1: BU(M) HoA for 0 s");
    assert_eq!(script.accept(AGENTS[0]), ["disown CoA1"]);
}

/// An agent that grants less is taken at its word; one that grants more is not.
#[test]
fn forwarding_lasts_as_long_as_both_want() {
    for (granted, millis) in [(4, 16_000), (8, 32_000), (100, 32_000)] {
        let mut script = into_site_two();
        script.data(C);
        script.accept(HOME_AGENT);
        script.wait(100);
        let asked = script.last_asked(AGENTS[0]);
        assert_eq!(script.answer(&asked, Status::ACCEPTED, Lifetime(granted), MobilityOptions::default()), [""; 0]);
        assert_eq!(script.wait(millis - 1), [""; 0]);
        assert_eq!(script.wait(1), ["disown CoA1"]);
    }
}

/// On to a third place while the first agent forwards: it is told of it, for the rest of its time.
#[test]
fn the_target_of_forwarding_follows_the_terminal() {
    let mut script = into_site_two();
    script.data(C);
    script.accept(HOME_AGENT);
    script.wait(100);
    script.accept(AGENTS[0]);
    script.wait(10_000);
    script.up(P);
    let moved = script.prefer(P);
    let plain = [
        "inter-site move begins",
        "receive HA => LCoA-P of HoA",
        "own LCoA-P",
        "receive CoA1 => LCoA-P of HoA",
        "receive CoA2 => LCoA-P of HoA",
        "LCoA-P > HA: BU(H) HoA at LCoA-P for 1800 s",
    ];
    assert_eq!(moved[..6], plain);
    let mut told = script.accept(HOME_AGENT);
    assert_eq!(told[..2], ["default by P", "send LCoA-P => HA"]);
    told.extend(script.wait(100));
    let told: Vec<_> = told.iter().filter(|words| words.contains("BU")).cloned().collect();
    // 32 s, less those that have gone by, in units of 4 s.
    assert_eq!(told, ["LCoA-P > MMA1: BU(M) HoA at LCoA-P for 20 s", "LCoA-P > MMA2: BU(M) HoA at LCoA-P for 32 s"]);
    script.accept(AGENTS[0]);
    script.accept(AGENTS[1]);
    assert_eq!(script.wait(20_000), ["forget CoA1 => LCoA-P of HoA", "disown CoA1"]);
    assert_eq!(script.wait(12_000), ["forget CoA2 => LCoA-P of HoA", "disown CoA2"]);
}

/// Back to the first site while its agent forwards: the registration makes it the agent again, at the same address.
#[test]
fn back_to_a_site_that_forwards() {
    let mut script = into_site_two();
    script.data(C);
    script.accept(HOME_AGENT);
    script.wait(100);
    script.accept(AGENTS[0]);
    script.wait(5_000);
    assert_eq!(script.prefer(A), ["inter-site move begins", "LCoA-A > MMA1: BU(M) HoA to G for 1800 s"]);
    let back = script.grant(0);
    assert_eq!(back[..2], ["receive G from MMA1", "join G from MMA1 at A"]);
    script.data(A);
    let switched = ["default by A", "send LCoA-A => MMA1", "LCoA-A > MMA2: BU(M) HoA at CoA1 for 32 s"];
    assert_eq!(script.accept(HOME_AGENT), switched);
    script.wait(100);
    script.accept(AGENTS[1]);
    // The time of the first forwarding is over long before: the address stays.
    assert_eq!(script.wait(32_000), ["disown CoA2"]);
    assert_eq!(script.terminal.site().care_of, Some(CARE_OF[0]));
}

/// The same before the first agent has answered: nothing that was asked before is asked again after the registration.
#[test]
fn a_registration_is_not_overtaken_by_an_old_request() {
    let mut script = into_site_two();
    script.data(C);
    script.accept(HOME_AGENT);
    script.wait(100);
    assert!(script.last_asked(AGENTS[0]).update.options.subscriptions.is_empty());
    script.prefer(A);
    let sent = script.asked.len();
    script.wait(20_000);
    assert!(script.asked[sent..].iter().all(|asked| !asked.update.options.subscriptions.is_empty()));
    script.grant(0);
    script.accept(HOME_AGENT);
    script.wait(60_000);
    assert_eq!(script.terminal.site().care_of, Some(CARE_OF[0]));
}

/// S4: the home agent first; then the old agent is asked to forward home, natively from the home address.
#[test]
fn s4_home() {
    let mut script = Script::settled_at(A);
    script.up(H);
    let begun = ["home move begins", "claim HoA", "HoA > HA: BU(H) HoA for 0 s"];
    assert_eq!(script.prefer(H), begun);
    let home = [
        "announce HoA",
        "receive CoA1 => HoA of HoA",
        "default by H",
        "send by H",
        "HoA > MMA1: BU(M) HoA at HoA for 32 s",
    ];
    assert_eq!(script.accept(HOME_AGENT), home);
    assert_eq!(script.wait(100), ["leave G at A", "forget G from MMA1", "move ends"]);
    assert_eq!(script.accept(AGENTS[0]), [""; 0]);
    assert_eq!(script.wait(32_000), ["forget CoA1 => HoA of HoA", "disown CoA1"]);
    // Nothing is joined on the home link.
    assert_eq!(script.terminal.joined().count(), 0);
}

/// Away and home so fast that the home agent may not be asked for the last care-of address in time (MAX_UPDATE_RATE): at
/// home nobody asks for it any more.
#[test]
fn s4_home_before_the_home_agent_could_be_told_of_the_last_place() {
    let mut script = Script::settled_at(A);
    let mut held_back = false;
    for _ in 0..8 {
        script.down(A);
        script.up(H);
        if script.terminal.site().site != Site::Home {
            script.accept(HOME_AGENT);
        }
        assert_eq!(script.terminal.site().site, Site::Home);
        held_back |= script.terminal.counters().update_rate_limited > 0 && !script.terminal.has_home_binding;
        script.down(H);
        script.up(A);
        script.grant(0);
    }
    script.down(A);
    script.up(H);
    if script.terminal.site().site != Site::Home {
        script.accept(HOME_AGENT);
    }
    assert!(held_back, "no update was ever held back");
    let asked = script.asked.len();
    script.wait(60_000);
    let late: Vec<_> = script.asked[asked..].iter().filter(|asked| asked.to == HOME_AGENT).collect();
    assert!(late.is_empty(), "the home agent is asked for a care-of address at home: {late:?}");
    assert_eq!(script.terminal.site().site, Site::Home);
    assert!(script.terminal.home_registration().is_none() && !script.terminal.is_registering());
}

/// A terminal that starts again at home and has forgotten its binding finds that the home agent answers for it, and has
/// that removed; and does not take the address from another node that has it.
#[test]
fn s4_home_with_a_binding_that_was_forgotten() {
    let start = || {
        let mut script = Script::new(terminal_config());
        script.up(H);
        script.prefer(H);
        assert_eq!(script.terminal.site().site, Site::Home);
        let taken = script.command(Command::AddressRemoved { port: H.key.port, address: HOME_ADDRESS });
        assert!(taken.contains(&"claim HoA".to_owned()), "{taken:?}");
        assert!(taken.contains(&"HoA > HA: BU(H) HoA for 0 s".to_owned()), "{taken:?}");
        script
    };
    let mut script = start();
    let home = script.accept(HOME_AGENT);
    assert!(home.contains(&"announce HoA".to_owned()), "{home:?}");
    assert_eq!(script.terminal.site().site, Site::Home);
    assert!(!script.terminal.is_registering());

    let mut script = start();
    let refused = script.refuse(HOME_AGENT, Status::NOT_HOME_AGENT);
    assert!(
        refused.contains(&"release HoA".to_owned()) && !refused.contains(&"announce HoA".to_owned()),
        "{refused:?}"
    );
}

/// Where nobody answers for the home address it is announced: a home agent whose answer was lost hears of its terminal so.
#[test]
fn a_home_address_that_nobody_else_has_is_announced() {
    let mut script = Script::new(terminal_config());
    script.up(H);
    script.prefer(H);
    let usable = |port| Command::AddressUsable { port, address: HOME_ADDRESS };
    assert_eq!(script.command(usable(H.key.port)), ["announce HoA"]);
    // On another port it is none of the home link's, and away from home it is not the terminal's to say.
    assert!(script.command(usable(A.key.port)).is_empty());
    let mut away = Script::settled_at(A);
    assert!(away.command(usable(H.key.port)).is_empty());
}

/// S4, and away again while the agent forwards home.
#[test]
fn s4_and_away_again() {
    let mut script = Script::settled_at(A);
    script.up(H);
    script.prefer(H);
    script.accept(HOME_AGENT);
    script.wait(100);
    script.accept(AGENTS[0]);
    script.up(C);
    script.prefer(C);
    // No tree brings anything from the old site, so there is nothing to wait for.
    let told = script.grant(1);
    assert_eq!(told.last().unwrap(), "LCoA-C > MMA1: BU(M) HoA at CoA2 for 28 s");
    script.data(C);
    script.accept(HOME_AGENT);
    assert_eq!(script.wait(100)[0], "forget CoA1 => HoA of HoA");
}

/// S7: from home nobody is de-registered.
#[test]
fn s7_away_from_home() {
    let mut script = Script::settled_at(H);
    script.up(C);
    assert_eq!(script.prefer(C), ["inter-site move begins", "LCoA-C > MMA2: BU(M) HoA to G for 1800 s"]);
    let entered = [
        "receive G from MMA2",
        "own CoA2",
        "release HoA",
        "join G from MMA2 at C",
        "LCoA-C > HA: BU(H) HoA at CoA2 for 1800 s",
    ];
    assert_eq!(script.grant(1), entered);
    assert_eq!(script.data(C), [""; 0]);
    assert_eq!(script.accept(HOME_AGENT), ["default by C", "send LCoA-C => MMA2", "move ends"]);
    assert_eq!(script.wait(60_000), [""; 0]);
}

/// Mobile IPv6 as it is: agents are not looked at.
#[test]
fn plain_mode_uses_no_agent() {
    let mut config = terminal_config();
    config.mode = Mode::Plain;
    let mut script = Script::new(config);
    script.up(A);
    script.accept(HOME_AGENT);
    assert_eq!(script.terminal.site().site, Site::Plain);
    script.up(C);
    let moved = script.prefer(C);
    assert!(moved.contains(&"LCoA-C > HA: BU(H) HoA at LCoA-C for 1800 s".to_string()), "{moved:?}");
    script.accept(HOME_AGENT);
    assert_eq!(script.wait(100), ["forget HA => LCoA-A of HoA", "move ends"]);
    assert!(script.asked.iter().all(|asked| asked.update.options.subscriptions.is_empty()));
    assert_eq!(script.terminal.joined().count(), 0);
}

/// RFC 5380 §9: an advertisement without the agent does not take it away; one with lifetime zero does.
#[test]
fn an_agent_is_there_until_its_lifetime_ends_or_it_is_taken_back() {
    let mut script = Script::settled_at(A);
    let mut advertisement = A.advertisement();
    advertisement.agents.clear();
    assert_eq!(script.command(Command::RouterAdvertised(advertisement.clone())), [""; 0]);
    assert_eq!(script.terminal.site().site, Site::Agent(AGENTS[0]));
    // Another one beside it, in an advertisement of its own, changes nothing either.
    let mut other = C.advertisement().agents;
    other[0].preference = 15;
    advertisement.agents = other;
    assert_eq!(script.command(Command::RouterAdvertised(advertisement.clone())), [""; 0]);
    let mut gone = A.advertisement();
    gone.agents[0].lifetime = Duration::ZERO;
    let left = script.command(Command::RouterAdvertised(gone));
    assert_eq!(left, ["inter-site move begins", "LCoA-A > MMA2: BU(M) HoA to G for 1800 s"]);
    // And the end of its lifetime.
    let mut script = Script::settled_at(A);
    let mut short = A.advertisement();
    short.agents[0].lifetime = Duration::from_secs(10);
    script.command(Command::RouterAdvertised(short));
    advertisement.agents.clear();
    script.command(Command::RouterAdvertised(advertisement));
    assert_eq!(script.wait(9_999), [""; 0]);
    assert_eq!(script.wait(1)[0], "inter-site move begins");
    assert_eq!(script.terminal.site().site, Site::Plain);
}

/// The home agent looks for duplicates and takes longer than the first timeout: the answer to the first update counts,
/// and that to the repetition, which it may refuse or not, changes nothing any more.
#[test]
fn a_repetition_races_the_answer_to_the_first_update() {
    let mut script = Script::new(terminal_config());
    script.up(A);
    script.grant(0);
    let first = script.last_asked(HOME_AGENT);
    // It asks for no longer than the mobility agent has granted.
    assert_eq!(script.wait(1_500), ["LCoA-A > HA: BU(H) HoA at CoA1 for 1796 s"]);
    let second = script.last_asked(HOME_AGENT);
    script.answer(&first, Status::ACCEPTED, first.update.lifetime, MobilityOptions::default());
    let granted = *script.terminal.home_registration().unwrap();
    for status in [0, 135, 134, 129] {
        let late = script.answer(&second, Status(status), second.update.lifetime, MobilityOptions::default());
        assert_eq!(late, [""; 0]);
        assert_eq!(script.terminal.home_registration(), Some(&granted));
    }
    assert_eq!(script.terminal.counters().drop_unmatched, 4);
}

/// What stands in an acknowledgement of forwarding beyond what was asked is not believed, whoever signed it.
#[test]
fn hostile_acknowledgements_of_forwarding() {
    let mut script = into_site_two();
    script.data(C);
    script.accept(HOME_AGENT);
    script.wait(100);
    let asked = script.last_asked(AGENTS[0]);
    let mut rng = stack::rng::Rng::new(3);
    for _ in 0..500 {
        let mut other = asked.clone();
        // Another number, or another address than the one that was signed.
        if rng.below(2) == 0 {
            other.update.sequence = other.update.sequence.wrapping_add(1 + rng.below(65_000) as u16);
        } else {
            other.update.options.alternate_care_of_address = Some(Ipv6Addr::from_bits(u128::from(rng.next_u64())));
        }
        let status = Status(rng.below(256) as u8);
        let answers = script.answer(&other, status, Lifetime(rng.below(65_536) as u16), MobilityOptions::default());
        // Only an authentic 135 with a later number is followed: one more request.
        assert!(answers.is_empty() || status == Status::SEQUENCE_OUT_OF_WINDOW, "{status:?} {answers:?}");
    }
    let site = script.terminal.site();
    assert_eq!((site.site, site.care_of), (Site::Agent(AGENTS[1]), Some(CARE_OF[1])));
    assert_eq!(script.terminal.former_sites().map(|former| former.standing).collect::<Vec<_>>(), [Standing::Asked]);
}
