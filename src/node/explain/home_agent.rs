//! A home agent: the terminal's binding, and the tunnel to where it is.

use super::findings::Findings;
use core::net::Ipv6Addr;
use ha::binding::BindingStatus;

/// What the agent knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct HomeAgentView {
    pub(super) terminal: Ipv6Addr,
    pub(super) binding: Option<BindingView>,
    /// Whether the registration waits for duplicate address detection.
    pub(super) is_detecting: bool,
    /// Whether the data plane tunnels what comes for the terminal.
    pub(super) intercepts: bool,
    /// Registrations that were rejected, of all terminals.
    pub(super) rejected: u64,
}

/// A terminal's binding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BindingView {
    pub(super) care_of: Ipv6Addr,
    pub(super) agent: Ipv6Addr,
    /// The home link.
    pub(super) port: String,
    pub(super) status: BindingStatus,
    pub(super) remaining_secs: u64,
    /// Whether there is a way to the care-of address.
    pub(super) has_route: bool,
}

/// What the agent has to say.
pub(super) fn explain(view: &HomeAgentView) -> Findings {
    let mut found = Findings::of("home-agent");
    let terminal = view.terminal;
    let Some(binding) = &view.binding else {
        if view.is_detecting {
            found.missing(
                format!("the registration of {terminal} waits for duplicate address detection"),
                "it takes a second; with home_agent.dad = \"optimistic\" there is no wait",
            );
            return found;
        }
        found.missing(
            format!("{terminal} has no binding at this home agent"),
            "it is at home, or has not registered: on the terminal `drover show terminals` says where it is, and here \
             [[home_agent.terminal]] needs its home_address, spi and key",
        );
        if view.rejected > 0 {
            found.advise(
                format!("{} registrations, of all terminals, were rejected", view.rejected),
                "the counters reject-* of home-agent in `drover show counters` say why",
            );
        }
        return found;
    };
    let BindingView { care_of, agent, port, remaining_secs, .. } = binding;
    if binding.status == BindingStatus::Deregistered {
        found.there(format!("{terminal} has de-registered: it is at home, on {port}"));
        found.ways.push(format!("packets reach {terminal} on {port} by neighbour discovery"));
        return found;
    }
    found.there(format!("{terminal} is bound for {remaining_secs} s more, with the care-of address {care_of}"));
    if view.intercepts {
        found.there(format!("what comes for it on {port}, or from elsewhere, is taken"));
    } else {
        found.missing(
            format!("the data plane does not take what comes for {terminal}"),
            "its table may be full: compare home-bindings of tables in `drover show counters` with home_agent.max_bindings",
        );
    }
    if binding.has_route {
        found.there(format!("there is a route to {care_of}"));
        found.ways.push(format!("packets leave in the tunnel from {agent} to {care_of}: ask the mobility agent there"));
    } else {
        found.missing(format!("no route to {care_of}, the care-of address"), "add a [[route]] with a port and via");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::findings::{Explanation, Standing};
    use super::*;

    fn view() -> HomeAgentView {
        HomeAgentView {
            terminal: "2001:db8:100:1::55".parse().unwrap(),
            binding: Some(BindingView {
                care_of: "2001:db8:200:c0a::7".parse().unwrap(),
                agent: "2001:db8:100:1::1".parse().unwrap(),
                port: "home".into(),
                status: BindingStatus::Active,
                remaining_secs: 1790,
                has_route: true,
            }),
            is_detecting: false,
            intercepts: true,
            rejected: 0,
        }
    }

    fn verdict(view: &HomeAgentView) -> String {
        let found = explain(view);
        Explanation::new(found.all, &found.ways).verdict
    }

    #[test]
    fn a_terminal_away_from_home() {
        assert!(explain(&view()).all.iter().all(|finding| finding.standing == Standing::There));
        assert_eq!(
            verdict(&view()),
            "nothing is missing here: packets leave in the tunnel from 2001:db8:100:1::1 to 2001:db8:200:c0a::7: ask the \
             mobility agent there"
        );
    }

    #[test]
    fn each_thing_that_can_be_missing() {
        let unbound = HomeAgentView { binding: None, rejected: 2, ..view() };
        assert_eq!(verdict(&unbound), "missing here: 2001:db8:100:1::55 has no binding at this home agent");
        assert!(explain(&unbound).all[1].what.starts_with("2 registrations"));
        let detecting = HomeAgentView { is_detecting: true, ..unbound };
        assert!(verdict(&detecting).contains("waits for duplicate address detection"));
        let blind = HomeAgentView { intercepts: false, ..view() };
        assert!(verdict(&blind).contains("the data plane does not take what comes for 2001:db8:100:1::55"));
        let mut lost = view();
        lost.binding.as_mut().unwrap().has_route = false;
        assert_eq!(verdict(&lost), "missing here: no route to 2001:db8:200:c0a::7, the care-of address");
        let mut home = view();
        home.binding.as_mut().unwrap().status = BindingStatus::Deregistered;
        assert!(verdict(&home).contains("packets reach 2001:db8:100:1::55 on home"));
    }
}
