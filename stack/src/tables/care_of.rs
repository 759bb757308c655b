//! The care-of addresses of a terminal, present and former, each with the home address that it stands for: what a type 2
//! routing header is checked against (RFC 6275 §6.4).

use super::hash::TableFull;
use core::net::Ipv6Addr;
use hashbrown::HashMap;

/// Home addresses by care-of address.
pub(crate) struct CareOfAddresses {
    home_addresses: HashMap<Ipv6Addr, Ipv6Addr>,
    limit: usize,
}

impl CareOfAddresses {
    pub(crate) fn new(limit: usize) -> Self {
        CareOfAddresses { home_addresses: HashMap::new(), limit }
    }

    /// The home address that `care_of` stands for.
    #[inline]
    pub(crate) fn home_address(&self, care_of: Ipv6Addr) -> Option<Ipv6Addr> {
        if self.home_addresses.is_empty() {
            return None;
        }
        self.home_addresses.get(&care_of).copied()
    }

    pub(crate) fn set(&mut self, care_of: Ipv6Addr, home_address: Ipv6Addr) -> Result<(), TableFull> {
        if self.home_addresses.len() >= self.limit && !self.home_addresses.contains_key(&care_of) {
            return Err(TableFull);
        }
        self.home_addresses.insert(care_of, home_address);
        Ok(())
    }

    pub(crate) fn remove(&mut self, care_of: Ipv6Addr) {
        self.home_addresses.remove(&care_of);
    }
}
