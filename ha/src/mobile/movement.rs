//! What kind of move it is to use a router: the patent's decision from what the router advertises.
//!
//! The home prefix in its advertisement means home. The mobility agent that the terminal is registered with means that
//! it stays in its site: only a join is due. Another agent means another site. No agent that can be used means plain
//! Mobile IPv6, with the address on the link as care-of address. Agents come in MAP options (RFC 5380 §5); which of
//! several to take is RFC 5380 §7.1 and §9.1. Nothing here keeps state.

use core::cmp::Reverse;
use core::net::Ipv6Addr;

/// Where the terminal is registered now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Site {
    /// Nowhere yet.
    Nowhere,
    /// On its home link.
    Home,
    /// In the site of this mobility agent.
    Agent(Ipv6Addr),
    /// With its home agent alone, by the address that it has on a link.
    Plain,
}

/// A mobility agent that a router advertises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AgentOffer {
    /// Its address.
    pub address: Ipv6Addr,
    /// 0 to 15; 0 takes no new registrations but keeps those that it has (RFC 5380 §7.1).
    pub preference: u8,
    /// Distance to it in hops as the operator counts them, 1 to 15.
    pub distance: u8,
    /// Whether its valid lifetime runs. A lifetime of zero says that the agent is gone.
    pub valid: bool,
    /// Whether it turned this terminal down lately.
    pub refused: bool,
}

/// What using a router means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Movement {
    /// The site stays: join the group on the new link, nothing else.
    IntraSite,
    /// Register with this agent, join, tell the home agent.
    InterSite(Ipv6Addr),
    /// The home link: de-register.
    Home,
    /// Tell the home agent the address that the terminal has on the link.
    Plain,
}

/// Decides from where the terminal is registered and what a router advertises.
pub fn decide(site: Site, home_prefix: bool, agents: &[AgentOffer]) -> Movement {
    if home_prefix {
        return Movement::Home;
    }
    if let Site::Agent(current) = site
        && agents.iter().any(|agent| agent.address == current && agent.valid && !agent.refused)
    {
        return Movement::IntraSite;
    }
    match select(agents) {
        Some(agent) => Movement::InterSite(agent),
        None => Movement::Plain,
    }
}

/// The agent to register with: the highest preference, then the furthest, which has to be left least often.
fn select(agents: &[AgentOffer]) -> Option<Ipv6Addr> {
    agents
        .iter()
        .filter(|agent| agent.valid && !agent.refused && agent.preference > 0)
        .max_by_key(|agent| (agent.preference, agent.distance, Reverse(agent.address)))
        .map(|agent| agent.address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Movement::*;

    const ONE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    const TWO: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
    const THREE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 1);

    fn agent(address: Ipv6Addr) -> AgentOffer {
        AgentOffer { address, preference: 10, distance: 1, valid: true, refused: false }
    }

    #[test]
    fn the_whole_table() {
        let gone = AgentOffer { valid: false, ..agent(ONE) };
        let draining = AgentOffer { preference: 0, ..agent(ONE) };
        let refusing = AgentOffer { refused: true, ..agent(ONE) };
        let sites = [Site::Nowhere, Site::Home, Site::Agent(ONE), Site::Agent(TWO), Site::Plain];
        let other = [InterSite(ONE), InterSite(ONE), IntraSite, InterSite(ONE), InterSite(ONE)];
        let table: [(&str, bool, Vec<AgentOffer>, [Movement; 5]); 12] = [
            ("one agent", false, vec![agent(ONE)], other),
            ("list with it", false, vec![agent(THREE), agent(ONE)], {
                let mut row = other;
                row[2] = IntraSite;
                row
            }),
            ("the agent's lifetime is zero", false, vec![gone], [Plain; 5]),
            ("gone, another is there", false, vec![gone, agent(THREE)], [InterSite(THREE); 5]),
            ("preference zero", false, vec![draining], [Plain, Plain, IntraSite, Plain, Plain]),
            ("preference zero, another is there", false, vec![draining, agent(THREE)], {
                [InterSite(THREE), InterSite(THREE), IntraSite, InterSite(THREE), InterSite(THREE)]
            }),
            ("refused", false, vec![refusing], [Plain; 5]),
            ("no agent", false, vec![], [Plain; 5]),
            ("home prefix", true, vec![], [Home; 5]),
            ("home prefix and agent", true, vec![agent(ONE)], [Home; 5]),
            ("home prefix and agent gone", true, vec![gone], [Home; 5]),
            ("two agents", false, vec![agent(TWO), agent(ONE)], {
                [InterSite(ONE), InterSite(ONE), IntraSite, IntraSite, InterSite(ONE)]
            }),
        ];
        for (what, home_prefix, agents, expected) in table {
            for (site, expected) in sites.into_iter().zip(expected) {
                assert_eq!(decide(site, home_prefix, &agents), expected, "{what}, registered {site:?}");
            }
        }
    }

    #[test]
    fn preference_goes_before_distance() {
        let near = AgentOffer { preference: 11, ..agent(ONE) };
        let far = AgentOffer { distance: 5, ..agent(TWO) };
        assert_eq!(decide(Site::Nowhere, false, &[far, near]), InterSite(ONE));
        assert_eq!(decide(Site::Nowhere, false, &[agent(ONE), far]), InterSite(TWO));
    }
}
