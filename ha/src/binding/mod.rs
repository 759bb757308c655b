//! Bindings, as the home agent keeps them, and the rules that they come in by.

pub mod sequence;
