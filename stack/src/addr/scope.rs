use core::net::Ipv6Addr;

/// The scope of a multicast address, its `scop` field (RFC 7346 §2). Ordered from narrow to wide.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Scope(u8);

impl Scope {
    /// Scope 1.
    pub const INTERFACE_LOCAL: Scope = Scope(1);
    /// Scope 2.
    pub const LINK_LOCAL: Scope = Scope(2);
    /// Scope 5, the site: per-terminal groups never leave it.
    pub const SITE_LOCAL: Scope = Scope(5);
    /// Scope 8.
    pub const ORGANIZATION_LOCAL: Scope = Scope(8);
    /// Scope 14.
    pub const GLOBAL: Scope = Scope(14);

    /// The scope with this value, 0 to 15.
    pub const fn new(value: u8) -> Option<Self> {
        if value < 16 { Some(Scope(value)) } else { None }
    }

    /// The scope of a multicast address; `None` for a unicast one.
    pub const fn of(address: Ipv6Addr) -> Option<Self> {
        let o = address.octets();
        if o[0] == 0xff { Some(Scope(o[1] & 0xf)) } else { None }
    }

    /// The value of the `scop` field.
    pub const fn value(self) -> u8 {
        self.0
    }
}
