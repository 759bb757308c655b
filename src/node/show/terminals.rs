//! The terminal of the node, and terminals that its agents know.

use super::{View, words};
use ::ha::mobile::movement::Site;
use core::net::Ipv6Addr;
use serde_json::{Value, json};
use stack::tables::BindingState;

impl View<'_> {
    pub(super) fn terminals(&self) -> Value {
        let Some(terminal) = &self.node.terminal else { return self.known_terminals() };
        let site = terminal.site();
        let (place, agent) = match site.site {
            Site::Nowhere => ("nowhere", None),
            Site::Home => ("home", None),
            Site::Agent(agent) => ("site of an agent", Some(agent)),
            Site::Plain => ("plain mobile ip", None),
        };
        let former = terminal.former_sites().map(|former| {
            let to = former.forwards_to.map_or_else(String::new, |to| format!(" to {to}"));
            let standing = format!("{:?}", former.standing).to_lowercase();
            let left = former.until.since(self.now).as_secs();
            format!("{} {standing}{to} {left} s", former.care_of.unwrap_or(former.agent))
        });
        let former = former.collect::<Vec<_>>().join(", ");
        let own = terminal.correspondents().map(|view| format!("{} {}", view.correspondent, view.state));
        let agents = terminal.agents_correspondents().map(|(correspondent, _)| format!("{correspondent} by the agent"));
        let correspondents = own.chain(agents).collect::<Vec<_>>().join(", ");
        let rows = terminal.links().map(|(port, link)| {
            json!({
                "home_address": terminal.home_address(),
                "place": place,
                "mma": agent,
                "home_agent": terminal.home_agent(),
                "care_of": site.care_of,
                "group": site.subscription.map(|subscription| subscription.group),
                "port": self.port(port),
                "signal_dbm": link.signal_dbm(),
                "routers": words(link.routers().map(|(router, _)| router)),
                "addresses": words(link.addresses()),
                "joined": terminal.joined().any(|(on, _)| on == port),
                "left": former,
                "correspondents": correspondents,
                "sends_here": terminal.current_router().is_some_and(|current| current.port == port),
            })
        });
        rows.collect()
    }

    /// Those that are registered with the agents of this node.
    fn known_terminals(&self) -> Value {
        let row = |place: &str, home_address: Ipv6Addr, care_of: Ipv6Addr, group: Option<Ipv6Addr>| json!({ "home_address": home_address, "place": place, "care_of": care_of, "group": group });
        let here = self.node.mma.iter().flat_map(|mma| mma.bindings());
        let here = here.map(|known| match known.state {
            BindingState::Active => row("this site", known.home_address, known.care_of, Some(known.group)),
            BindingState::Anchor => row("this site", known.home_address, known.care_of, None),
            BindingState::Forward { .. } => row("moved on", known.home_address, known.care_of, None),
        });
        let away = self.node.home_agent.iter().flat_map(|agent| agent.bindings().iter());
        let away = away.map(|known| row("away from home", known.home_address, known.care_of, None));
        here.chain(away).collect()
    }
}
