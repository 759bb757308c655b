//! The router side of MLDv2 (RFC 3810 §7).

mod group;
mod querier;

pub use group::{FilterMode, GroupView, HostView, SourceView};
pub(crate) use querier::LinkRouters;
pub use querier::{Membership, Querier, QuerierState};
