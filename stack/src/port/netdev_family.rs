//! What XDP can do on a device, by the generic netlink family `netdev` (linux/netdev.h; Linux 6.3 and later).

use super::generic_netlink::{Family, attributes};
use super::netlink::Socket;
use std::io;

const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_A_DEV_XDP_ZC_MAX_SEGS: u16 = 4;
const NETDEV_XDP_ACT_RX_SG: u64 = 1 << 5;

/// What the driver of a device says that XDP can do there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct XdpFeatures {
    flags: u64,
    /// Pieces that a frame may lie in without being copied.
    zero_copy_pieces: u32,
}

impl XdpFeatures {
    /// Of the device with this number.
    ///
    /// # Errors
    /// ENOENT where the kernel has no such family, ENODEV where there is no such device.
    pub(super) fn of(index: u32) -> io::Result<Self> {
        let socket = Socket::open_generic()?;
        let request = Family::find(&socket, "netdev")?.request(NETDEV_CMD_DEV_GET)?;
        let by_index = request.attribute(NETDEV_A_DEV_IFINDEX, &index.to_ne_bytes());
        Ok(XdpFeatures::parse(attributes(&socket.ask(by_index)?)))
    }

    fn parse<'a>(attributes: impl Iterator<Item = (u16, &'a [u8])>) -> Self {
        let mut features = XdpFeatures::default();
        for (kind, value) in attributes {
            match kind {
                NETDEV_A_DEV_XDP_FEATURES => {
                    features.flags = value.try_into().map_or(0, u64::from_ne_bytes);
                }
                NETDEV_A_DEV_XDP_ZC_MAX_SEGS => {
                    features.zero_copy_pieces = value.try_into().map_or(0, u32::from_ne_bytes);
                }
                _ => {}
            }
        }
        features
    }

    /// Whether programs in the driver are given frames in several pieces.
    pub(super) fn has_multi_buffer(&self) -> bool {
        self.flags & NETDEV_XDP_ACT_RX_SG != 0
    }

    /// Whether sockets without copies are.
    pub(super) fn has_multi_buffer_without_copy(&self) -> bool {
        self.zero_copy_pieces > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_from_attributes() {
        let read = |flags: u64, pieces: u32| {
            XdpFeatures::parse(
                [
                    (NETDEV_A_DEV_IFINDEX, &7u32.to_ne_bytes()[..]),
                    (NETDEV_A_DEV_XDP_FEATURES, &flags.to_ne_bytes()),
                    (NETDEV_A_DEV_XDP_ZC_MAX_SEGS, &pieces.to_ne_bytes()),
                ]
                .into_iter(),
            )
        };
        let both = |features: XdpFeatures| (features.has_multi_buffer(), features.has_multi_buffer_without_copy());
        assert_eq!(both(read(0x1f, 1)), (false, false));
        assert_eq!(both(read(0x3f, 1)), (true, false));
        assert_eq!(both(read(0x3f, 8)), (true, true));
        let cut_off = XdpFeatures::parse([(NETDEV_A_DEV_XDP_FEATURES, &[0xff; 7][..])].into_iter());
        assert_eq!(cut_off, XdpFeatures::default());
    }

    /// Kernels before 6.3 have no such family.
    #[test]
    fn the_loopback_interface_has_no_xdp_in_its_driver() {
        match XdpFeatures::of(1) {
            Ok(features) => assert_eq!(features, XdpFeatures::default()),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOENT)),
        }
    }

    #[test]
    fn a_device_that_is_not_there_has_none() {
        let error = XdpFeatures::of(i32::MAX as u32).unwrap_err();
        assert!(matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENOENT)), "{error}");
    }
}
