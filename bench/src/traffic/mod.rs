//! What packets are made: whose they are, and how large.

pub(crate) mod link;
pub(crate) mod popularity;
pub(crate) mod size;
mod zipf;
