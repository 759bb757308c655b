//! The program as a user has it, in network namespaces: the labs of all figures read by tshark, kernel hosts around our
//! routers, FRR's routers beside ours, mistakes, interfaces that go and come, a service manager around a node, the package, and what is
//! left when somebody stops a lab.
//!
//! Where namespaces are not to be had, the tests are left out and one line says so; with `DROVER_REQUIRE_NETNS=1` that
//! is a failure. It is alike with FRR and with Debian, for the tests that need them.

#[path = "namespaces/baselines.rs"]
mod baselines;
#[path = "namespaces/captures.rs"]
mod captures;
#[path = "namespaces/delivery.rs"]
mod delivery;
#[path = "namespaces/figures.rs"]
mod figures;
#[path = "namespaces/frr/mod.rs"]
mod frr;
#[path = "namespaces/hosts.rs"]
mod hosts;
#[path = "namespaces/interruption.rs"]
mod interruption;
#[path = "namespaces/kernel.rs"]
mod kernel;
#[path = "namespaces/labs.rs"]
mod labs;
#[path = "namespaces/links.rs"]
mod links;
#[path = "namespaces/listener.rs"]
mod listener;
#[path = "namespaces/mesh.rs"]
mod mesh;
#[path = "namespaces/metrics.rs"]
mod metrics;
#[path = "namespaces/mistakes.rs"]
mod mistakes;
#[path = "namespaces/package.rs"]
mod package;
#[path = "namespaces/ports.rs"]
mod ports;
#[path = "namespaces/room.rs"]
mod room;
#[path = "namespaces/service.rs"]
mod service;
#[path = "namespaces/site.rs"]
mod site;
#[path = "namespaces/transfer.rs"]
mod transfer;
#[path = "namespaces/unprivileged.rs"]
mod unprivileged;
#[path = "namespaces/views.rs"]
mod views;
#[path = "namespaces/workers.rs"]
mod workers;
