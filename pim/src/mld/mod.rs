//! The router side of MLDv2 (RFC 3810 §7), with version 1 beside it (§8.3).

mod change;
mod compat;
mod group;
mod host;
mod querier;

pub use change::Membership;
pub(crate) use compat::OlderMessage;
pub use compat::Version;
pub use group::FilterMode;
pub(crate) use querier::{DeliveryChange, LinkRouters, Reporter, VersionMismatch};
pub use querier::{GroupView, HostView, Querier, QuerierState, SourceView};

#[cfg(test)]
mod tests;
