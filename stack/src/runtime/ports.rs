use crate::addr::MacAddress;
use crate::machine::PortId;
use crate::packet::{Batch, Pool};
use crate::pipeline::{Dataplane, OutputQueue};
use crate::port::{LinkState, Port, PortInfo};

/// Batches that one port may send in a turn: what is left waits for the next.
const MAX_TX_BATCHES: usize = 16;

/// The ports of a worker, with what each has not sent yet.
pub(super) struct Ports(Vec<State>);

struct State {
    port: Box<dyn Port>,
    link: LinkState,
    link_address: MacAddress,
    mtu: usize,
    /// Frames that the port did not take yet.
    backlog: Batch,
}

/// What has changed at a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    LinkAddress(MacAddress),
    /// The largest packet, in octets.
    Mtu(usize),
    Link(LinkState),
}

impl Ports {
    /// All are taken to be down until [`Ports::change`] says otherwise.
    pub(super) fn new(ports: Vec<Box<dyn Port>>) -> Self {
        let state = |port: Box<dyn Port>| State {
            link: LinkState::Down,
            link_address: port.info().link_address,
            mtu: port.info().mtu,
            backlog: Batch::new(),
            port,
        };
        Ports(ports.into_iter().map(state).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &dyn Port> {
        self.0.iter().map(|state| &*state.port)
    }

    pub(super) fn info(&self, port: PortId) -> &PortInfo {
        self.0[usize::from(port.0)].port.info()
    }

    /// Takes what the port has received; how many frames.
    #[inline]
    pub(super) fn receive(&mut self, port: PortId, pool: &Pool, batch: &mut Batch) -> usize {
        self.0[usize::from(port.0)].port.rx_batch(pool, batch)
    }

    /// What has changed at the port since it was last asked: another address first, the link last.
    #[inline]
    pub(super) fn change(&mut self, port: PortId) -> Option<Change> {
        let state = &mut self.0[usize::from(port.0)];
        let info = state.port.info();
        if info.link_address != state.link_address {
            state.link_address = info.link_address;
            return Some(Change::LinkAddress(info.link_address));
        }
        if info.mtu != state.mtu {
            state.mtu = info.mtu;
            return Some(Change::Mtu(info.mtu));
        }
        if info.link != state.link {
            state.link = info.link;
            return Some(Change::Link(info.link));
        }
        None
    }

    /// Sends what waits in `queue`; how many frames went.
    pub(super) fn send(&mut self, port: PortId, queue: &mut OutputQueue) -> usize {
        let state = &mut self.0[usize::from(port.0)];
        let mut sent = 0;
        for _ in 0..MAX_TX_BATCHES {
            queue.fill(&mut state.backlog);
            if state.backlog.is_empty() {
                break;
            }
            let before = state.backlog.len();
            state.port.tx_batch(&mut state.backlog);
            sent += before - state.backlog.len();
            if !state.backlog.is_empty() {
                break;
            }
        }
        sent
    }

    /// Sends what the data plane has for each port; how many frames went.
    pub(super) fn send_all(&mut self, dataplane: &mut Dataplane) -> usize {
        (0..self.0.len()).map(|index| PortId(index as u8)).map(|port| self.send(port, dataplane.outgoing(port))).sum()
    }

    /// Whether frames wait that a port did not take, or that it was not given yet.
    pub(super) fn has_backlog(&self, dataplane: &mut Dataplane) -> bool {
        let mut ports = self.0.iter().enumerate();
        ports.any(|(index, state)| !state.backlog.is_empty() || !dataplane.outgoing(PortId(index as u8)).is_empty())
    }

    /// Frames that ports did not take.
    pub(super) fn held_frames(&self) -> usize {
        self.0.iter().map(|state| state.backlog.len()).sum()
    }
}
