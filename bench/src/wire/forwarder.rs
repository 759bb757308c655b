//! Drover as a device under test: the worker that the appliance runs, with AF_XDP ports and the data plane, on a thread
//! of the runtime. In the place of the machines is a node that says nothing; the tables are set as machines set them.

use super::stage::{Door, Stage};
use super::traffic::{CARE_OF, FAR, GROUP, HOME, HOME_AGENT, Links, NEAR, Service, TREE_SOURCE};
use crate::allocations;
use anyhow::{Context, Result, anyhow, ensure};
use core::convert::Infallible;
use core::net::Ipv6Addr;
use core::ops::ControlFlow;
use crossbeam_channel::{Sender, bounded};
use stack::addr::Prefix;
use stack::machine::{Notice, Output, PortId, RxMeta};
use stack::node::Node;
use stack::packet::Pool;
use stack::pipeline::{Counter, Dataplane, DataplaneConfig};
use stack::port::{Port, Umem, XdpOptions, XdpPort};
use stack::runtime::{PollMode, Worker, WorkerHandle, WorkerSpec, spawn};
use stack::tables::{
    Accept, BindingState, MmaBinding, MmaService, Mroute, MrouteKey, Neighbor, PortSet, Route, TableUpdate,
};
use stack::time::Instant;

/// Frames of the worker's pool, as many as the appliance has unless it is told otherwise.
pub(super) const FRAMES: u32 = 8192;

const NEAR_PORT: PortId = PortId(0);
const FAR_PORT: PortId = PortId(1);

/// A node without machines.
struct Silent;

impl Node for Silent {
    type Event = Infallible;

    fn handle_packet(&mut self, _: Instant, _: &RxMeta, _: &[u8]) {}

    fn handle_notice(&mut self, _: Instant, _: Notice) {}

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_output(&mut self) -> Option<Output<Infallible>> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

/// What is asked of a running worker: how often it has called the allocator.
struct Question(Sender<u64>);

/// A running worker.
pub(super) struct Forwarder {
    handle: WorkerHandle,
    questions: Sender<Question>,
    mode: String,
    allocations: u64,
}

/// Starts a worker on a core.
pub(super) fn start(service: Service, stage: &Stage, core: usize) -> Result<Forwarder> {
    let door = stage.door()?;
    let (names, links) = ([stage.near.name.clone(), stage.far.name.clone()], stage.links());
    let spec = WorkerSpec { name: "device".to_owned(), cpu: Some(core), poll: PollMode::Busy, ..WorkerSpec::default() };
    let (questions, asked) = bounded::<Question>(1);
    let (said, mode) = bounded(1);
    let handle = spawn(
        spec,
        move || {
            let worker = build(service, &door, &names, &links)?;
            let modes: Vec<&str> = worker.ports().map(|port| port.info().mode.as_str()).collect();
            let _ = said.send(modes.join("; "));
            Ok::<_, anyhow::Error>(worker)
        },
        asked,
        |_, _, Question(answer)| {
            let _ = answer.send(allocations::count());
            ControlFlow::Continue(())
        },
        |_, event| match event {},
    )
    .map_err(|error| anyhow!("{error}"))?;
    let mut forwarder =
        Forwarder { handle, questions, mode: mode.recv().context("the worker's mode")?, allocations: 0 };
    forwarder.allocations = forwarder.allocations()?;
    Ok(forwarder)
}

impl Forwarder {
    pub(super) fn mode(&self) -> &str {
        &self.mode
    }

    pub(super) fn allocations(&self) -> Result<u64> {
        let (answer, answered) = bounded(1);
        self.questions.send(Question(answer)).context("the worker has ended")?;
        self.handle.waker().wake();
        Ok(answered.recv().context("the worker has ended")? - self.allocations)
    }

    pub(super) fn stop(self) -> Result<()> {
        self.handle.stop();
        self.handle.join().map_err(|_| anyhow!("the worker broke off"))
    }
}

fn build(service: Service, door: &Door, names: &[String; 2], links: &Links) -> Result<Worker<Silent>> {
    door.enter_preferred()?;
    let pool = Pool::new(FRAMES).context("the worker's frames")?;
    let umem = Umem::new(&pool);
    let mut ports: Vec<Box<dyn Port>> = Vec::new();
    for name in names {
        ports.push(Box::new(XdpPort::open(&umem, name, XdpOptions::default())?));
    }
    let infos: Vec<_> = ports.iter().map(|port| port.info().clone()).collect();
    let mut plane = Dataplane::new(DataplaneConfig::default(), pool, &infos);
    for update in updates(service, links) {
        plane.apply(Instant::ORIGIN, update);
    }
    ensure!(plane.counters().get(Counter::RefusedUpdates) == 0, "a table refused an entry");
    Ok(Worker::new(plane, Silent, ports))
}

/// What the machines of a node would have set.
fn updates(service: Service, links: &Links) -> Vec<TableUpdate> {
    let neighbor = |port, address, link_address| {
        TableUpdate::NeighborSet(port, address, Neighbor { link_address, notify_use: false })
    };
    let to_group = |source, accept| {
        let mroute = Mroute::new(accept, PortSet::single(FAR_PORT));
        TableUpdate::MrouteSet(MrouteKey { source, group: GROUP }, mroute)
    };
    match service {
        Service::Reflect | Service::Unicast => vec![
            TableUpdate::RouteSet(Prefix::of_link(NEAR), Route::OnLink(NEAR_PORT)),
            TableUpdate::RouteSet(Prefix::of_link(FAR), Route::OnLink(FAR_PORT)),
            neighbor(NEAR_PORT, NEAR, links.generator),
            neighbor(FAR_PORT, FAR, links.sink),
        ],
        Service::Multicast => vec![to_group(NEAR, Accept::Port(NEAR_PORT))],
        Service::Tunnel => {
            const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
            let binding = MmaBinding {
                care_of: CARE_OF,
                group: GROUP,
                source: TREE_SOURCE,
                home_agent: HOME_AGENT,
                gre_key: None,
                access_identifier: GROUP.to_bits() as u64,
                optimise: false,
                state: BindingState::Active,
            };
            vec![
                neighbor(NEAR_PORT, ROUTER, links.generator),
                TableUpdate::RouteSet(Prefix::DEFAULT, Route::Via { port: NEAR_PORT, next_hop: ROUTER }),
                TableUpdate::RouteSet(Prefix::of_link(CARE_OF), Route::CareOf),
                TableUpdate::RouteSet(Prefix::host(TREE_SOURCE), Route::Local),
                TableUpdate::MmaServiceSet(MmaService {
                    address: TREE_SOURCE,
                    access_prefixes: vec![Prefix::of_link(NEAR)],
                    peers: Vec::new(),
                    chain: false,
                }),
                to_group(TREE_SOURCE, Accept::Local),
                TableUpdate::MmaBindingSet(HOME, binding),
            ]
        }
    }
}
