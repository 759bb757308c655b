//! The appliance as a device under test: the process `drover run` with a configuration file made for it, its machines and
//! its admin socket included. What it knows it has been told by messages.
//!
//! The kernel answers on the generator's and the sink's interface for the neighbours that the node asks for, which it does
//! when the first frame is for them. The mobility agent's terminal registers with an authenticated Binding Update (RFC 6275
//! §6.1.7, RFC 4285), and a router on the sink's side joins its group (RFC 7761 §4.5.4) for ever, so that nothing of either
//! has to be repeated.

use super::node::Node;
use super::stage::{Stage, ip, transmit};
use super::traffic::{
    CARE_OF, FAR, FAR_LINK, Flow, GROUP, HOME, HOME_AGENT, Links, NEAR, NEAR_LINK, Service, TERMINAL, TREE_SOURCE, Way,
};
use crate::traffic::link::{framed, to_group};
use crate::traffic::size::Size;
use anyhow::{Context, Result, ensure};
use core::net::Ipv6Addr;
use drover::admin::Topic;
use mma::auth::{Algorithm, Key, SecurityAssociation, Spi};
use pim::wire::{EncodedGroup, EncodedSource, GroupSet, HOLDTIME_FOREVER, Hello, JoinPrune, MessageType};
use stack::addr::{MacAddress, with_interface_identifier};
use stack::packet::Pool;
use stack::port::PacketPort;
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::option::Subscription;
use stack::wire::mobility::{BindingUpdate, BindingUpdateFlags, CHECKSUM_AT, Lifetime, MobilityOptions};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long it may take to be told.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at whether it has got there.
const LOOK: Duration = Duration::from_millis(5);
/// When messages that have had no effect are sent once more.
const AGAIN: Duration = Duration::from_millis(250);
/// Frames of the pool for what is said to it.
const FRAMES: u32 = 256;
const SPI: u32 = 1000;
const KEY: [u8; 16] = [0x5a; 16];
/// As long as a registration can be, in seconds, so that none ends within a run.
const LIFETIME_SECS: u64 = 262_140;
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
/// The router that the tree leads to.
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100);

/// A running node.
pub(super) struct Appliance {
    node: Node,
    mode: String,
    /// What has to be taken off the interfaces of generator and sink afterwards.
    _addresses: Addresses,
}

impl Appliance {
    /// Starts a node on a core, and waits until it has what the service needs.
    pub(super) fn start(program: &Path, service: Service, stage: &Stage, core: usize) -> Result<Self> {
        let addresses = Addresses::give(stage)?;
        let node = Node::start(program, &configuration(service, stage, core), stage)?;
        let mut appliance = Appliance { node, mode: String::new(), _addresses: addresses };
        let prepared = appliance.prepare(service, stage);
        appliance.node.is_asked_no_more();
        match prepared {
            Ok(()) => Ok(appliance),
            Err(error) => match appliance.stop() {
                Ok(()) => Err(error),
                Err(other) => Err(error.context(other)),
            },
        }
    }

    /// Waits until its ports are open, and has it told what it has to know.
    fn prepare(&mut self, service: Service, stage: &Stage) -> Result<()> {
        self.node.await_ready()?;
        let pool = Pool::new(FRAMES).context("cannot map the frames of a pool")?;
        let mut ends = [PacketPort::open(&stage.generator.name, true)?, PacketPort::open(&stage.sink.name, true)?];
        let links = stage.links();
        let started = Instant::now();
        let mut said: Option<Instant> = None;
        let mut sequence = 0;
        while let Some(lack) = lack(service, &self.node)? {
            ensure!(started.elapsed() < PATIENCE, "after {} s the appliance has no {lack}", PATIENCE.as_secs());
            if said.is_none_or(|said| said.elapsed() >= AGAIN) {
                said = Some(Instant::now());
                sequence += 1;
                let near = packets(service, Way::Forth, &links);
                let far = match service {
                    Service::Tunnel => vec![hello(), join(&links), update(sequence, &links)?],
                    _ => packets(service, Way::Back, &links),
                };
                for (port, frames) in ends.iter_mut().zip([near, far]) {
                    transmit(port, &pool, frames)?;
                }
            }
            thread::sleep(LOOK);
        }
        self.mode = self.node.mode()?;
        Ok(())
    }

    pub(super) fn mode(&self) -> &str {
        &self.mode
    }

    pub(super) fn stop(self) -> Result<()> {
        self.node.stop()
    }
}

/// Addresses for which the kernel of this namespace answers, gone with this.
struct Addresses([String; 2]);

impl Addresses {
    fn give(stage: &Stage) -> Result<Self> {
        let (near, far) = (&stage.generator.name, &stage.sink.name);
        let addresses = Addresses([near.clone(), far.clone()]);
        for (address, name) in [(NEAR, near), (FAR, far), (TERMINAL, far)] {
            ip(&format!("-6 address replace {address}/64 dev {name} nodad"))?;
        }
        Ok(addresses)
    }
}

impl Drop for Addresses {
    fn drop(&mut self) {
        for name in &self.0 {
            // Who cannot take them away leaves them to the namespace, which ends with this process.
            let _ = ip(&format!("-6 address flush dev {name} scope global"));
        }
    }
}

/// What the node still lacks for the service.
fn lack(service: Service, node: &Node) -> Result<Option<&'static str>> {
    let has = |topic, column: &str, value: &str| -> Result<bool> {
        Ok(node.rows(topic)?.iter().any(|row| row[column] == value))
    };
    if service == Service::Tunnel {
        // The packets of the tunnel are for the care-of address that the agent has to have given.
        return Ok(match has(Topic::Bindings, "care_of", &CARE_OF.to_string())? {
            false => Some("binding of the terminal"),
            true => (!has(Topic::Mroutes, "out", "far")?).then_some("tree of the terminal"),
        });
    }
    let neighbors = node.rows(Topic::Neighbors)?;
    let is_known = |address: Ipv6Addr| {
        neighbors.iter().any(|row| row["address"] == *address.to_string() && row["link_address"].is_string())
    };
    Ok((!is_known(NEAR) || !is_known(FAR)).then_some("link-layer address of a neighbour"))
}

/// A packet of the service that goes this way.
fn packets(service: Service, way: Way, links: &Links) -> Vec<Vec<u8>> {
    let flow = Flow::new(service, way, links, Size::Fixed(64));
    flow.offered.into_iter().map(|template| template.frame).collect()
}

fn configuration(service: Service, stage: &Stage, core: usize) -> String {
    let is_agent = service == Service::Tunnel;
    let mut text = format!(
        r#"[node]
name = "device"
cpu = {core}
poll = "busy"
loopback = [{loopback}]

[[port]]
name = "near"
interface = "{near}"
addresses = ["{NEAR_LINK}/64"]
site_border = {is_agent}

[[port]]
name = "far"
interface = "{far}"
addresses = ["{FAR_LINK}/64"]
point_to_point = true
"#,
        loopback = if is_agent { format!("\"{TREE_SOURCE}\"") } else { String::new() },
        near = stage.near.name,
        far = stage.far.name,
    );
    if is_agent {
        let key: String = KEY.iter().map(|octet| format!("{octet:02x}")).collect();
        text += &format!(
            r#"
[[route]]
prefix = "::/0"
port = "near"
via = "{NEAR}"

[router]

[[router.port]]
name = "far"
hello_at_once = true

[mma]
address = "{TREE_SOURCE}"
care_of = "stateless"
care_of_prefix = "{care_of}/64"
access_prefixes = ["{access}/64"]
gre = "off"
route_optimisation = "off"
max_lifetime_secs = {LIFETIME_SECS}

[[mma.home_agent]]
address = "{HOME_AGENT}"
prefix = "{home}/64"

[[mma.terminal]]
home_address = "{HOME}"
spi = {SPI}
key = "{key}"
"#,
            care_of = with_interface_identifier(CARE_OF, 0),
            access = with_interface_identifier(FAR, 0),
            home = with_interface_identifier(HOME, 0),
        );
    }
    text
}

/// The router's Hello.
fn hello() -> Vec<u8> {
    let hello = Hello { holdtime: Some(HOLDTIME_FOREVER), generation_id: Some(1), ..Hello::default() };
    of_router(MessageType::Hello, |body| hello.emit(body))
}

/// The router's Join for the terminal's group.
fn join(links: &Links) -> Vec<u8> {
    let set = GroupSet {
        group: EncodedGroup::host(GROUP),
        joined: vec![EncodedSource::host(TREE_SOURCE)],
        pruned: Vec::new(),
    };
    let upstream_neighbor = with_interface_identifier(LINK_LOCAL, links.far.interface_identifier());
    let message = JoinPrune { upstream_neighbor, holdtime: HOLDTIME_FOREVER, groups: vec![set] };
    of_router(MessageType::JoinPrune, |body| message.emit(body))
}

fn of_router(kind: MessageType, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    to_group(&pim::wire::packet(ROUTER, kind, body), MacAddress([2, 0, 0, 0, 0, 5]))
}

/// The terminal's Binding Update to the agent.
fn update(sequence: u16, links: &Links) -> Result<Vec<u8>> {
    let association =
        SecurityAssociation { spi: Spi::new(SPI)?, key: Key::new(&KEY)?, algorithm: Algorithm::HmacSha1_96 };
    let update = BindingUpdate {
        sequence,
        flags: BindingUpdateFlags::ACKNOWLEDGE | BindingUpdateFlags::MAP_REGISTRATION,
        lifetime: Lifetime::at_most(stack::time::Duration::from_secs(LIFETIME_SECS)),
        options: MobilityOptions {
            subscriptions: [Subscription { group: GROUP, source: Some(TREE_SOURCE) }].into_iter().collect(),
            ..MobilityOptions::default()
        },
    };
    let message = association.sign_update(update, TERMINAL, HOME);
    let packet = PacketBuilder::new(TERMINAL, TREE_SOURCE).home_address(HOME).checksummed(
        protocol::MOBILITY,
        message,
        CHECKSUM_AT,
    );
    Ok(framed(&packet, links.far, links.sink))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_would_give_the_care_of_address_of_the_frames() {
        let terminal = stack::addr::GroupLayout::terminal_of(GROUP).unwrap();
        assert_eq!(with_interface_identifier(CARE_OF, terminal.modified()), CARE_OF);
    }
}
