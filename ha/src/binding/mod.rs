//! Bindings, as the home agent keeps them, and the rules that they come in by.

mod cache;

pub use cache::{Binding, BindingCache, BindingStatus};
