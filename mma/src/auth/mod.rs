//! Authentication of Binding Updates and Binding Acknowledgements between a terminal and its agents (RFC 4285).
//!
//! A [`SecurityAssociation`] signs and verifies; an [`AssociationTable`] finds the one of a terminal, or derives it from
//! the key of the site; a [`ReplayGuard`] refuses what was seen before. Mobility agent, home agent and terminal use the
//! same three. The wire side stands in [`stack::wire::mobility::authentication`].
//!
//! Left out: MN-AAA authentication (RFC 4285 §5.2).

mod association;
mod replay;
mod site_key;
mod table;

pub use association::{Algorithm, AssociationError, Key, SecurityAssociation, Spi};
pub(crate) use replay::is_after;
pub use replay::{NtpTime, ReplayError, ReplayFloor, ReplayGuard, ReplayPolicy, WallClock};
pub use site_key::SiteKey;
pub use table::{AssociationTable, Authenticated, AuthenticationError, Named, Peer, PeerError, Principal};
