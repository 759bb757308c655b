//! PIM-SM multicast routing (RFC 7761) and the MLD querier (RFC 3810): the multicast side of a site.

#![forbid(unsafe_code)]

pub mod wire;
