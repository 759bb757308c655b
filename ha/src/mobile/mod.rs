//! The mobile terminal.

mod config;
mod event;
pub mod movement;
pub mod router_choice;

pub use config::{Config, Radio, Restored, Timing, UplinkMode};
pub use event::{AdvertisedAgent, AdvertisedPrefix, Command, Event, HandoverKind, RouterAdvertisement, Stage};
