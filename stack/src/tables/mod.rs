//! What the data plane looks up, and the updates by which machines change it.
//!
//! Updates are applied by the worker that owns the table, in the order of the machines' output.

mod update;

pub use update::{
    Accept, BindingState, GroupReception, HomeBinding, IngressFilter, MmaBinding, MmaService, Mroute, MrouteKey,
    Neighbor, PortSet, Route, TableUpdate, TunnelReception, Uplink,
};
