//! Bindings of the mobility agent and of the home agent.

use super::{Terminal, Updates, prefix, terminal_tree};
use crate::world::{self, AGENT, HOME_AGENTS, HOME_PORT, OTHER_AGENT};
use core::net::Ipv6Addr;
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::tables::{BindingState, HomeBinding, MmaBinding, MmaService, TableUpdate};

/// Former bindings that are remembered.
const FORMER: usize = 128;

impl Updates {
    pub(super) fn visitor(&mut self, grows: bool) -> TableUpdate {
        let known = self.visitors.any(&mut self.rng);
        let terminal = match known {
            Some(known) if self.rng.below(4) == 0 => known,
            Some(known) if !grows => {
                self.visitors.remove(known);
                return TableUpdate::MmaBindingRemove(known.0);
            }
            _ => {
                let number = self.rng.below(40_000);
                match self.rng.below(20) {
                    // The home agent is this node as well.
                    0 => (world::homed(number), number),
                    // An anchor point's regional address.
                    1 | 2 => (world::care_of(1 << 20 | number), 1 << 20 | number),
                    _ => (world::visitor(number), number),
                }
            }
        };
        self.visitors.insert(terminal);
        TableUpdate::MmaBindingSet(terminal.0, self.binding(terminal))
    }

    pub(super) fn binding(&mut self, (key, number): Terminal) -> MmaBinding {
        let rng = &mut self.rng;
        let tree = terminal_tree(number);
        let is_anchor = number >= 1 << 20;
        let is_homed = key == world::homed(number);
        let state = match rng.below(5) {
            _ if is_anchor => BindingState::Anchor,
            0 => BindingState::Forward {
                to: if rng.below(4) == 0 && !is_homed { key } else { world::foreign(number) },
                from_home_agent: rng.below(2) == 0,
            },
            _ => BindingState::Active,
        };
        // Each terminal has a few care-of addresses of its own, apart from those of others with its number.
        let care_of = world::care_of(number << 3 | u64::from(is_homed) << 2 | rng.below(4));
        MmaBinding {
            care_of: if is_anchor { key } else { care_of },
            group: if is_anchor { world::on_access_link(rng.below(4), world::identifier(number)) } else { tree.group },
            source: tree.source,
            home_agent: match number % 2 {
                home if is_homed => HOME_AGENTS[home as usize],
                _ => world::foreign_agent(number),
            },
            gre_key: (rng.below(2) == 0).then(|| rng.next_u64() as u32),
            access_identifier: world::identifier(number),
            optimise: rng.below(4) == 0,
            state,
        }
    }

    pub(super) fn home(&mut self, grows: bool) -> Vec<TableUpdate> {
        let known = self.homed.any(&mut self.rng);
        let terminal @ (home_address, number) = match known {
            Some(known) if self.rng.below(4) == 0 => known,
            Some(known) if !grows => {
                self.homed.remove(known);
                return vec![TableUpdate::HomeBindingRemove(known.0)];
            }
            _ => {
                let number = self.rng.below(40_000);
                (world::homed(number), number)
            }
        };
        self.homed.insert(terminal);
        let rng = &mut self.rng;
        let care_of = match rng.below(4) {
            0 => world::on_access_link(number, world::identifier(number)),
            1 => world::care_of(number << 3 | 4 | rng.below(4)),
            _ => world::foreign(number * 2 + rng.below(2)),
        };
        let agent = HOME_AGENTS[(number % 2) as usize];
        let binding = HomeBinding { care_of, agent, home_port: PortId(HOME_PORT) };
        match rng.below(8) {
            0 => {
                self.former.truncate(FORMER - 1);
                self.former.insert(0, (home_address, binding));
                vec![TableUpdate::FormerHomeBindingSet(home_address, binding)]
            }
            1 if !self.former.is_empty() => {
                let (former, _) = self.former[self.rng.below(self.former.len() as u64) as usize];
                vec![TableUpdate::FormerHomeBindingRemove(former)]
            }
            2 => vec![
                TableUpdate::HomeBindingSet(home_address, binding),
                TableUpdate::FormerHomeBindingRemove(home_address),
            ],
            _ => vec![TableUpdate::HomeBindingSet(home_address, binding)],
        }
    }

    pub(super) fn pair(&mut self, grows: bool) -> Option<TableUpdate> {
        if !grows {
            let (home_address, correspondent) = self.pairs.any(&mut self.rng)?;
            self.pairs.remove((home_address, correspondent));
            return Some(TableUpdate::OptimisedRemove { home_address, correspondent });
        }
        let home_address = match self.visitors.any(&mut self.rng) {
            Some((home_address, _)) if self.rng.below(20) > 0 => home_address,
            _ => world::visitor(self.rng.below(40_000)),
        };
        let correspondent = self.correspondent();
        self.pairs.insert((home_address, correspondent));
        Some(TableUpdate::OptimisedSet { home_address, correspondent })
    }

    /// A host somewhere: most of the time where a route leads.
    pub(crate) fn correspondent(&mut self) -> Ipv6Addr {
        let noise = u128::from(self.rng.next_u64()) << 64 | u128::from(self.rng.next_u64());
        match self.routes.any(&mut self.rng) {
            Some(known) if known.length() >= 16 && self.rng.below(10) > 0 => {
                let host = if known.length() == 128 { 0 } else { noise >> known.length() };
                Ipv6Addr::from_bits(known.address().to_bits() | host)
            }
            _ => Ipv6Addr::from_bits(0x2001_0db8 << 96 | 1 << 95 | noise >> 33),
        }
    }

    pub(super) fn service(&mut self) -> TableUpdate {
        let rng = &mut self.rng;
        let first = rng.below(2);
        TableUpdate::MmaServiceSet(MmaService {
            address: if rng.below(10) == 0 { OTHER_AGENT } else { AGENT },
            access_prefixes: (first..4).map(|link| Prefix::of_link(world::on_access_link(link, 0))).collect(),
            peers: (0..rng.below(5)).map(|site| prefix(world::foreign(site), 48)).collect(),
            chain: rng.below(2) == 0,
        })
    }
}
