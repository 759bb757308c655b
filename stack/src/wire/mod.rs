//! Wire formats: one file a protocol, each with `parse` and `emit`.
//!
//! A parser never panics, whatever it is given: it answers with a [`WireError`] that says what is wrong and where.

pub mod build;
pub mod checksum;
pub mod error;
pub mod ethernet;
pub mod ext;
pub mod fragment;
pub mod gre;
pub mod home_link;
pub mod ipv6;
pub mod mld;
pub mod mobility;
pub mod nd;
pub mod option;

pub use error::{WireError, WireErrorKind};
