//! The Mobility Management Agent: gives a terminal of its site a care-of address and sends to its group what arrives there.
#![forbid(unsafe_code)]

pub mod auth;
