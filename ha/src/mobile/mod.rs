//! The mobile terminal.

pub mod movement;
pub mod router_choice;
