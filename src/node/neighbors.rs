//! Neighbour discovery's part of the configuration: every Ethernet port, and the node's own addresses.

use super::{NodePort, correspondent};
use crate::config::resolved::NodeConfig;
use stack::machine::Machine;
use stack::nd::neighbor::{Command, Config, Dad, Delivery, PortConfig, Role};
use stack::nd::{Discovery, discovery};
use stack::port::Medium;
use stack::time::Instant;

pub(super) fn config(config: &NodeConfig, ports: &[NodePort], seed: u64) -> Config {
    let role = if config.forwards() { Role::Router } else { Role::Host };
    let ethernet = ports.iter().filter(|port| port.medium == Medium::Ethernet);
    Config { seed, ports: ethernet.map(|port| PortConfig::new(port.id, port.link_address, role)).collect() }
}

/// Takes the configured addresses of a router into use. A terminal's are formed by autoconfiguration.
pub(super) fn install(config: &NodeConfig, ports: &[NodePort], discovery: &mut Discovery) {
    for (port, configured) in ports.iter().zip(&config.ports) {
        let radio = config.mobile_terminal.as_ref().is_some_and(|t| t.radios.iter().any(|r| r.port == port.id));
        if radio {
            continue;
        }
        let own = configured.addresses.iter().map(|address| address.address);
        for address in core::iter::once(port.link_local).chain(own) {
            // The operator has given the addresses: a router that waits for nobody to object would be late for its
            // neighbours, and one that objects is heard of by `drover show counters`.
            let elsewhere = correspondent::behind_tun(config).is_some_and(|(behind, _)| behind == address);
            let delivery = if elsewhere { Delivery::Routed } else { Delivery::Local };
            let command = Command::AddAddress { port: port.id, address, dad: Dad::Off, delivery };
            discovery.handle_command(Instant::ORIGIN, discovery::Command::Neighbor(command));
        }
        if !config.forwards() || port.medium != Medium::Ethernet {
            continue;
        }
        // The subnet-router anycast address (RFC 4291 §2.6.1), which a /127 does not have (RFC 6164 §5).
        let subnets = configured.addresses.iter().map(|address| address.prefix).filter(|prefix| prefix.length() < 127);
        for address in subnets.map(|prefix| prefix.address()) {
            let command = Command::AddAnycast { port: port.id, address };
            discovery.handle_command(Instant::ORIGIN, discovery::Command::Neighbor(command));
        }
    }
}
