//! `drover explain`: the state of one node that should carry the packets of a group, or of a terminal, step by step.
//!
//! Each role has a file with a view, which is all that it looks at, and a function from the view to findings; [`gather`]
//! makes the views. What is found missing is said again in the verdict.

mod agent;
mod findings;
mod gather;
mod home_agent;
mod router;

pub use findings::{Explanation, Finding, Standing};
pub(super) use gather::explain;
