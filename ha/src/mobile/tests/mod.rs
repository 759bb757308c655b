//! The terminal against mobility agents and a home agent.

mod correspondents;
mod discovery;
mod errors;
mod forwarding;
mod hierarchical;
mod hostile;
mod moves;
mod script;
mod world;
