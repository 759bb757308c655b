//! The terminal against mobility agents and a home agent.

mod moves;
mod world;
