//! The Mobile IPv6 roles (RFC 6275): home agent and mobile terminal.
#![forbid(unsafe_code)]

pub mod binding;
pub mod home_agent;
pub mod mobile;
mod reception;
