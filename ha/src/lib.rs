//! The Mobile IPv6 roles (RFC 6275): home agent, mobile terminal and correspondent node.
#![forbid(unsafe_code)]

pub mod binding;
pub mod correspondent;
pub mod home_agent;
pub mod mobile;
mod reception;
#[cfg(test)]
#[path = "../../fuzz/properties/samples.rs"]
#[allow(dead_code, reason = "shared with the fuzz targets")]
mod samples;
