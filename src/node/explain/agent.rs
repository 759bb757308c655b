//! A mobility agent: the terminal's binding, which names its group.

use super::findings::Findings;
use core::net::Ipv6Addr;
use stack::tables::BindingState;

/// What is asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum About {
    /// The terminal with this home address.
    Terminal(Ipv6Addr),
    /// The terminal, if any, that has this group.
    Group(Ipv6Addr),
}

/// What the agent knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct AgentView {
    pub(super) about: About,
    /// The source of the groups.
    pub(super) address: Ipv6Addr,
    pub(super) binding: Option<BindingView>,
    /// Registrations that were refused, of all terminals.
    pub(super) refused: u64,
}

/// A terminal's binding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BindingView {
    pub(super) home_address: Ipv6Addr,
    pub(super) care_of: Ipv6Addr,
    pub(super) group: Ipv6Addr,
    pub(super) home_agent: Ipv6Addr,
    pub(super) state: BindingState,
    pub(super) remaining_secs: u64,
    /// Whether there is a way to where packets are forwarded to.
    pub(super) has_route: bool,
}

/// What the agent has to say. The tree of the group is the router's business.
pub(super) fn explain(view: &AgentView) -> Findings {
    let mut found = Findings::of("mma");
    let Some(binding) = &view.binding else {
        match view.about {
            About::Group(group) => found.note(format!("no terminal has been granted {group} by this agent")),
            About::Terminal(terminal) => {
                found.missing(
                    format!("{terminal} has no binding at the mobility agent {}", view.address),
                    "it has not registered here: on the terminal `drover show terminals` says what it hears, and here \
                     [[mma.terminal]] needs its home_address, spi and key",
                );
                if view.refused > 0 {
                    found.advise(
                        format!("{} registrations, of all terminals, were refused", view.refused),
                        "the counters refused-* of mma in `drover show counters` say why",
                    );
                }
            }
        }
        return found;
    };
    let BindingView { home_address, care_of, group, home_agent, remaining_secs, .. } = binding;
    let bound = format!("{home_address} is bound for {remaining_secs} s more, with the care-of address {care_of}");
    match binding.state {
        BindingState::Active => {
            found.there(format!("{bound}; its packets come through the home agent {home_agent}, or to {care_of}"));
            found.there(format!("they go to its group {group} from {}", view.address));
        }
        BindingState::Anchor => {
            found.there(format!("{bound}, without a group"));
            leaves_for(&mut found, *group, binding.has_route, "packets leave in a tunnel to the on-link address");
        }
        BindingState::Forward { to, from_home_agent } => {
            found.there(format!("{bound}; the terminal has moved on"));
            if !from_home_agent {
                found.note("what comes through the home agent's tunnel is dropped: the home agent knows better");
            }
            leaves_for(&mut found, to, binding.has_route, "packets are forwarded to");
        }
    }
    found
}

fn leaves_for(found: &mut Findings, to: Ipv6Addr, has_route: bool, way: &str) {
    if has_route {
        found.ways.push(format!("{way} {to}"));
    } else {
        found.missing(format!("no route to {to}"), "add a [[route]] with a port and via");
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::{Explanation, Standing};
    use super::*;

    fn view(state: BindingState) -> AgentView {
        AgentView {
            about: About::Terminal("2001:db8:100:1::55".parse().unwrap()),
            address: "2001:db8:200::1".parse().unwrap(),
            binding: Some(BindingView {
                home_address: "2001:db8:100:1::55".parse().unwrap(),
                care_of: "2001:db8:200:c0a::7".parse().unwrap(),
                group: "ff35::200:5eff:fe10:55".parse().unwrap(),
                home_agent: "2001:db8:100:1::1".parse().unwrap(),
                state,
                remaining_secs: 1790,
                has_route: true,
            }),
            refused: 0,
        }
    }

    fn said(view: &AgentView) -> (Vec<Standing>, String) {
        let found = explain(view);
        let standings = found.all.iter().map(|finding| finding.standing).collect();
        (standings, Explanation::new(found.all, &found.ways).verdict)
    }

    #[test]
    fn a_bound_terminal() {
        let found = explain(&view(BindingState::Active));
        assert!(found.all.iter().all(|finding| finding.standing == Standing::There));
        assert!(found.all[0].what.contains("1790 s") && found.all[1].what.contains("ff35::200:5eff:fe10:55"));
    }

    #[test]
    fn a_terminal_without_binding() {
        let unbound = AgentView { binding: None, refused: 3, ..view(BindingState::Active) };
        let (standings, verdict) = said(&unbound);
        assert_eq!(standings, [Standing::Missing, Standing::Note]);
        assert_eq!(verdict, "missing here: 2001:db8:100:1::55 has no binding at the mobility agent 2001:db8:200::1");
        let other = AgentView { about: About::Group("ff35::1".parse().unwrap()), ..unbound };
        assert_eq!(said(&other).0, [Standing::Note]);
    }

    #[test]
    fn a_terminal_that_has_moved_on() {
        let to = "2001:db8:300:c0a::9".parse().unwrap();
        let mut moved = view(BindingState::Forward { to, from_home_agent: true });
        assert_eq!(said(&moved).1, "nothing is missing here: packets are forwarded to 2001:db8:300:c0a::9");
        moved.binding.as_mut().unwrap().has_route = false;
        assert_eq!(said(&moved).1, "missing here: no route to 2001:db8:300:c0a::9");
    }

    #[test]
    fn an_anchored_terminal() {
        let mut anchored = view(BindingState::Anchor);
        anchored.binding.as_mut().unwrap().group = "2001:db8:200:a::7".parse().unwrap();
        let (standings, verdict) = said(&anchored);
        assert_eq!(standings, [Standing::There]);
        assert!(verdict.ends_with("to the on-link address 2001:db8:200:a::7"), "{verdict}");
    }
}
