//! What one machine of a node says that concerns another.

use super::{DroverNode, NodeEvent, home_agent, mobile_terminal};
use ::ha::correspondent as cn_machine;
use ::ha::home_agent as ha_machine;
use ::ha::mobile;
use ::mma::mesh;
use core::net::Ipv6Addr;
use stack::addr;
use stack::machine::Machine;
use stack::mld_listener;
use stack::nd::neighbor::{self, DadOutcome};
use stack::nd::{discovery, host};
use stack::time::Instant;
use stack::wire::mld::extension::AccessRouter;

impl DroverNode {
    pub(super) fn on_neighbors_event(&mut self, now: Instant, event: neighbor::Event) {
        match event {
            neighbor::Event::DadDone { port, address, outcome, .. } => {
                if let Some(agent) = &mut self.home_agent {
                    // What could not be tried must not count as unique.
                    let unique = outcome == DadOutcome::Unique;
                    agent.handle_command(now, ha_machine::Command::DadResult { port, address, unique });
                }
            }
            neighbor::Event::ProxyContested { port, address, .. } => {
                if let Some(agent) = &mut self.home_agent {
                    agent.handle_command(now, ha_machine::Command::AddressConflict { port, address });
                }
            }
            neighbor::Event::AddressDuplicate { port, address } => {
                self.on_home_address(now, address, mobile::Command::AddressRemoved { port, address });
            }
            neighbor::Event::AddressUsable { port, address, optimistic: false } => {
                self.on_home_address(now, address, mobile::Command::AddressUsable { port, address });
            }
            _ => {}
        }
    }

    /// Autoconfiguration knows nothing of the home address, which the terminal claims itself.
    pub(super) fn on_home_address(&mut self, now: Instant, address: Ipv6Addr, command: mobile::Command) {
        if let Some(terminal) = self.terminal.as_mut().filter(|terminal| terminal.home_address() == address) {
            terminal.handle_command(now, command);
        }
    }

    pub(super) fn on_host_event(&mut self, now: Instant, event: host::Event) {
        if let (host::Event::AddressUsable { port, address, .. }, Some(listener)) = (&event, &mut self.listener)
            && addr::is_link_local(*address)
        {
            listener.handle_command(now, mld_listener::Command::SetSource { port: *port, address: *address });
        }
        if let (Some(terminal), Some(command)) = (&mut self.terminal, mobile_terminal::command(event)) {
            terminal.handle_command(now, command);
        }
    }

    pub(super) fn on_terminal_event(&mut self, now: Instant, event: mobile::Event) {
        self.terminal_persists |= matches!(event, mobile::Event::Persist { .. });
        if let (Some(listener), Some(command)) = (&mut self.listener, mobile_terminal::listener_command(&event)) {
            listener.handle_command(now, command);
        }
        if let Some(command) = mobile_terminal::neighbor_command(&event) {
            self.discovery.handle_command(now, discovery::Command::Neighbor(command));
        }
        self.outputs.event(NodeEvent::Terminal(event));
    }

    pub(super) fn on_listener_event(&mut self, _now: Instant, event: mld_listener::Event) {
        match event {}
    }

    pub(super) fn on_pim_event(&mut self, now: Instant, event: pim::Event) {
        if let (Some(mesh), pim::Event::ListenerMoves { router, keys, .. }) = (&mut self.mesh, &event) {
            let keys = keys.clone();
            mesh.handle_command(
                now,
                match *router {
                    AccessRouter::Previous(router) => mesh::Command::CameFrom { router, keys },
                    AccessRouter::Candidate(router) => mesh::Command::GoesTo { router, keys },
                },
            );
        }
        self.outputs.event(NodeEvent::Pim(event));
    }

    pub(super) fn on_mesh_event(&mut self, now: Instant, event: mesh::Event) {
        if let Some(pim) = &mut self.pim {
            match event {
                mesh::Event::Gone { key, .. } => pim.handle_command(now, pim::Command::ListenerGone(key)),
                mesh::Event::PreJoin { key, until, .. } => {
                    pim.handle_command(now, pim::Command::PreJoin { key, until });
                }
                mesh::Event::Acknowledged { .. } | mesh::Event::Unanswered { .. } => {}
            }
        }
        self.outputs.event(NodeEvent::Mesh(event));
    }

    pub(super) fn on_mma_event(&mut self, _now: Instant, event: ::mma::Event) {
        if let (Some(used), &::mma::Event::PreconfiguredSequence { home_address, correspondent, sequence }) =
            (&mut self.sequences_used, &event)
        {
            used.mma.insert((home_address, correspondent), sequence);
        }
        self.outputs.event(NodeEvent::Mma(event));
    }

    pub(super) fn on_home_agent_event(&mut self, now: Instant, event: ha_machine::Event) {
        if let Some(command) = home_agent::neighbor_command(&event) {
            self.discovery.handle_command(now, discovery::Command::Neighbor(command));
        }
        self.outputs.event(NodeEvent::HomeAgent(event));
    }

    pub(super) fn on_correspondent_event(&mut self, _now: Instant, event: cn_machine::Event) {
        if let (Some(used), &cn_machine::Event::SequenceUsed { home_address, sequence }) =
            (&mut self.sequences_used, &event)
        {
            used.correspondent.insert(home_address, sequence);
        }
        self.outputs.event(NodeEvent::Correspondent(event));
    }

    pub(super) fn on_services_event(&mut self, _now: Instant, event: core::convert::Infallible) {
        match event {}
    }
}
