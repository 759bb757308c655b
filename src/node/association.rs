//! Keys of the configuration as security associations (RFC 4285).

use super::NodeError;
use crate::config::resolved::{AuthAlgorithm, ReplayProtection, SecurityAssociationConfig, ServedTerminal};
use ::mma::auth::{Algorithm, AssociationTable, Key, Peer, ReplayPolicy, SecurityAssociation, SiteKey, Spi, WallClock};
use stack::time::Duration;

/// The window of timestamps (RFC 4285 §5.1).
const TIMESTAMP_WINDOW: Duration = Duration::from_secs(7);

pub(super) fn association(
    role: &'static str,
    config: &SecurityAssociationConfig,
) -> Result<SecurityAssociation, NodeError> {
    let refused = |error: ::mma::auth::AssociationError| NodeError::Association { role, error: error.to_string() };
    Ok(SecurityAssociation {
        spi: Spi::new(config.spi).map_err(refused)?,
        key: Key::new(&config.key).map_err(refused)?,
        algorithm: match config.algorithm {
            AuthAlgorithm::HmacSha1 => Algorithm::HmacSha1_96,
            AuthAlgorithm::HmacSha256 => Algorithm::HmacSha256_128,
        },
    })
}

/// The terminals that an agent serves, and what makes their Binding Updates fresh.
pub(super) fn table(
    role: &'static str,
    terminals: &[ServedTerminal],
    site_key: Option<&SecurityAssociationConfig>,
    clock: WallClock,
) -> Result<(AssociationTable, ReplayPolicy), NodeError> {
    let mut table = AssociationTable::new();
    for terminal in terminals {
        let peer = Peer {
            identifier: None,
            home_address: Some(terminal.home_address),
            terminal: terminal.eui64,
            association: association(role, &terminal.association)?,
        };
        table.insert(peer).map_err(|error| NodeError::Association { role, error: error.to_string() })?;
    }
    if let Some(site_key) = site_key {
        let SecurityAssociation { spi, key, algorithm } = association(role, site_key)?;
        table = table.with_site_key(SiteKey { spi, key, algorithm });
    }
    let keys = terminals.iter().map(|terminal| &terminal.association).chain(site_key);
    let (all, stamped) = keys.fold((0, 0), |(all, stamped), key| {
        (all + 1, stamped + usize::from(key.replay == ReplayProtection::Timestamp))
    });
    let replay = match stamped {
        0 => ReplayPolicy::Sequence,
        _ if stamped == all => ReplayPolicy::Timestamp { window: TIMESTAMP_WINDOW, clock },
        _ => {
            let error = "`replay` has to be the same for all keys of one agent".to_owned();
            return Err(NodeError::Association { role, error });
        }
    };
    Ok((table, replay))
}
