//! The appliance: configuration, assembly of machines into a node, admin API, command line and lab.
#![deny(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod config;
pub mod kernel;
pub mod lab;
pub mod metrics;
pub mod node;
mod one_line;
pub mod state;
