//! Configuration: TOML text in, types that cannot be invalid out.

pub mod resolved;
