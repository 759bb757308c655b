//! Where terminals are at a time, as the script of the lab has it.

use crate::config::lab::{Lab, LinkIndex, NodeIndex};
use crate::lab::observe::Station;
use crate::lab::script::{Step, script};
use stack::time::Instant;

/// On which links terminals are, over time.
pub(super) struct Places<'a> {
    lab: &'a Lab,
    /// In order of time.
    changes: Vec<(Instant, NodeIndex, LinkIndex, bool)>,
}

impl<'a> Places<'a> {
    /// The places of a run whose traffic started then.
    pub(super) fn new(lab: &'a Lab, started: Instant) -> Self {
        let starts = lab
            .terminals()
            .filter_map(|terminal| Some((Instant::ORIGIN, terminal, lab.nodes[terminal.0].start?, true)));
        let steps = script(lab).into_iter().filter_map(|(at, step)| match step {
            Step::Attach { terminal, link } => Some((started + at, terminal, link, true)),
            Step::Detach { terminal, link } => Some((started + at, terminal, link, false)),
            _ => None,
        });
        Places { lab, changes: starts.chain(steps).collect() }
    }

    /// Who hears what `sender` sends to a group on a link at this time: all on it but itself, and terminals only where they
    /// are on it.
    pub(super) fn listeners(&self, link: LinkIndex, sender: Station, at: Instant) -> Vec<Station> {
        let others = Station::all(self.lab).filter(|&station| station != sender);
        let on_link = others.filter(|station| station.links(self.lab).contains(&link));
        on_link.filter(|station| station.terminal(self.lab).is_none_or(|who| self.is_on(who, link, at))).collect()
    }

    fn is_on(&self, terminal: NodeIndex, link: LinkIndex, at: Instant) -> bool {
        let until_then = self.changes.iter().take_while(|change| change.0 <= at);
        until_then.filter(|change| (change.1, change.2) == (terminal, link)).last().is_some_and(|change| change.3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::lab::load_lab;
    use std::path::Path;

    #[test]
    fn a_terminal_hears_the_links_that_it_is_on() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/lab/fig5.toml");
        let lab = load_lab(&file).expect("a shipped lab");
        let places = Places::new(&lab, Instant::from_secs(5));
        let station = |name: &str| Station::all(&lab).find(|station| station.name(&lab) == name).expect("it is there");
        let (a, b, mt) = (station("a"), station("b"), station("mt"));
        let hears = |router: Station, link: &str, millis: u64| {
            let link = lab.link_named(link).expect("it is there");
            places.listeners(link, router, Instant::from_millis(millis))
        };
        assert_eq!(hears(a, "radio-a", 5_900), [mt]);
        assert_eq!(hears(b, "radio-b", 5_900), []);
        // Both for half a second, as the first movement keeps the old link.
        assert_eq!((hears(a, "radio-a", 6_300), hears(b, "radio-b", 6_300)), (vec![mt], vec![mt]));
        assert_eq!((hears(a, "radio-a", 6_600), hears(b, "radio-b", 6_600)), (vec![], vec![mt]));
        // The routers hear the terminal, and a point-to-point link has one other end.
        assert_eq!(hears(mt, "radio-b", 6_600), [b]);
        assert_eq!(hears(a, "core-a", 6_600), [station("core")]);
        assert_eq!(hears(station("backbone"), "cn-bb", 6_600), [station("cn")]);
    }
}
