//! A node: the machines of one configuration behind one door, as a worker drives them.

use crate::machine::{Notice, Output, RxMeta};
use crate::time::Instant;

/// The machines of a node and the function that routes events between them.
///
/// The contract is that of [`crate::machine::Machine`], with the data plane's notices beside the packets.
pub trait Node {
    /// What the node reports about itself: handovers and the like. Nothing depends on anyone listening.
    type Event;

    /// A packet for this node: ND, MLD, PIM, Mobility Header, ICMPv6 errors. The data plane has checked the IPv6
    /// header's length, answered echo requests, and refused protocols that no node speaks.
    fn handle_packet(&mut self, now: Instant, meta: &RxMeta, packet: &[u8]);

    /// Something happened in the data plane or at a port.
    fn handle_notice(&mut self, now: Instant, notice: Notice);

    /// Time has come to `now`: every timer that is due runs.
    fn handle_timeout(&mut self, now: Instant);

    /// The next answer; call until it returns `None` after every `handle_*`.
    fn poll_output(&mut self) -> Option<Output<Self::Event>>;

    /// When `handle_timeout` wants to be called next.
    fn poll_timeout(&self) -> Option<Instant>;
}
