use core::net::Ipv6Addr;

/// An address as two numbers of 64 bits, as tables have it.
#[inline(always)]
pub(crate) fn halves(address: Ipv6Addr) -> [u64; 2] {
    let bits = address.to_bits();
    [(bits >> 64) as u64, bits as u64]
}

/// The address of two halves.
#[inline(always)]
pub(crate) fn whole([high, low]: [u64; 2]) -> Ipv6Addr {
    Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low))
}
