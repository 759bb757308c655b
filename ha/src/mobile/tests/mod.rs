//! The terminal against mobility agents and a home agent.

mod errors;
mod moves;
mod world;
