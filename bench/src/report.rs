//! What a run says: one object, the same shape for every subcommand.
//!
//! The keys of [`Line`] are there in every result of every subcommand; what only one of them measures stands beside them.
//! Two runs are compared by them ([`crate::compare`]).

use crate::calibration::Calibration;
use crate::machine::Machine;
use crate::statistics::Spread;
use serde::Serialize;

/// A run.
#[derive(Serialize)]
pub(crate) struct Report<Method, More> {
    /// The subcommand.
    pub(crate) benchmark: &'static str,
    pub(crate) machine: Machine,
    pub(crate) calibration: Calibration,
    pub(crate) method: Method,
    pub(crate) results: Vec<Line<More>>,
}

/// A result. What is counted as a packet is one on the paths of the data plane, an operation on a table, an event of a
/// handover.
#[derive(Serialize)]
pub(crate) struct Line<More> {
    /// What was measured.
    pub(crate) path: String,
    /// Entries of the table that is looked up; terminals of a site.
    pub(crate) entries: u64,
    /// Multicast groups with a route each.
    pub(crate) groups: u64,
    /// Branches of a group's tree.
    pub(crate) branches: u32,
    /// Octets of the innermost IPv6 packet, of a mix the mean; null where no packet is sent.
    pub(crate) packet_octets: Option<u64>,
    /// How the entry that the next packet belongs to is drawn.
    pub(crate) distribution: String,
    /// Median, minimum and maximum over repetitions.
    pub(crate) ns_per_packet: Spread,
    /// User-space instructions; null where the kernel does not offer the counter.
    pub(crate) instructions_per_packet: Option<f64>,
    pub(crate) allocations_per_packet: f64,
    /// Packets in all repetitions together.
    pub(crate) packets: u64,
    #[serde(flatten)]
    pub(crate) more: More,
}
