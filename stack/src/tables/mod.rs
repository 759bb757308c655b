//! What the data plane looks up, and the updates by which machines change it.
//!
//! Updates are applied by the worker that owns the table, in the order of the machines' output.

mod binding;
mod care_of;
mod correspondent;
mod delivery;
mod fib;
mod hash;
mod link;
mod mfib;
mod neighbor;
mod optimised;
mod path_mtu;
mod prefetch;
mod reception;
mod routes;
mod sequence;
mod update;
mod words;

// Not inside the module, whose source the models in tests/models compile, too.
#[cfg(test)]
#[path = "hash/tests.rs"]
mod hash_tests;

pub use hash::TableFull;
pub use update::{
    Accept, BindingState, Correspondent, CorrespondentBinding, GroupReception, HomeAddressPolicy, HomeBinding,
    IngressFilter, MmaBinding, MmaService, Mroute, MrouteKey, Neighbor, PortSet, RegisterTunnel, Route, TableUpdate,
    TunnelReception, Uplink, Watch,
};

pub(crate) use binding::{BindingWords, HomeBindings, MmaBindings};
pub(crate) use care_of::CareOfAddresses;
pub(crate) use correspondent::Correspondents;
pub(crate) use delivery::Deliveries;
pub(crate) use hash::{HashTable, Slot};
pub(crate) use link::Link;
pub(crate) use mfib::Mfib;
pub(crate) use neighbor::{AdjacencyIndex, Neighbors, Resolution};
pub(crate) use optimised::OptimisedPairs;
pub(crate) use path_mtu::PathMtus;
pub(crate) use prefetch::prefetch;
pub(crate) use reception::{Groups, Tunnels, Uplinks};
pub(crate) use routes::{Routes, Target};
pub(crate) use sequence::Sequence;
