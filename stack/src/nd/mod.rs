//! Neighbor Discovery of a node: neighbours and own addresses, a router's advertisements, a host's autoconfiguration.

pub mod advertiser;
mod cache;
pub mod discovery;
pub mod host;
pub mod neighbor;
pub mod nud;

pub use advertiser::RouterAdvertiser;
pub use cache::Entry;
pub use discovery::Discovery;
pub use host::HostAutoconfiguration;
pub use neighbor::NeighborDiscovery;
