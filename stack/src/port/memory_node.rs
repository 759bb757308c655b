//! The memory node that the device behind an interface is attached to, as sysfs says.
//!
//! sysfs shows the interfaces of the network namespace in which it was mounted, which need not be that of the process. So
//! an entry counts only where its number and its link-layer address are those that rtnetlink(7) has told.

use super::netdevice::NetDevice;
use std::path::Path;
use std::str::FromStr;

/// Where sysfs has the interfaces.
pub(super) const INTERFACES: &str = "/sys/class/net";

/// The memory node of the interface `name`, which is `found`; `None` where there is no device behind it (a veth), where it
/// belongs to no node, and where `interfaces`, the directory of sysfs, shows another interface of that name or none.
pub(super) fn memory_node(interfaces: &Path, name: &str, found: &NetDevice) -> Option<usize> {
    let entry = interfaces.join(name);
    if value(&entry.join("ifindex")) != Some(found.index)
        || value(&entry.join("address")) != Some(found.link_address.to_string())
    {
        return None;
    }
    // A virtio device has none itself: the PCI device above it has.
    ["device/numa_node", "device/../numa_node"].iter().find_map(|file| value(&entry.join(file)))
}

/// What a file of sysfs holds; a node of -1 is none.
fn value<T: FromStr>(file: &Path) -> Option<T> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::MacAddress;
    use crate::port::LinkState;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    /// A directory like /sys, removed at the end.
    struct Sysfs(PathBuf);

    impl Sysfs {
        fn new() -> Self {
            let root = std::env::temp_dir().join(format!("drover-sysfs-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&root);
            std::fs::create_dir_all(root.join("class/net")).unwrap();
            Sysfs(root)
        }

        fn interfaces(&self) -> PathBuf {
            self.0.join("class/net")
        }

        /// An interface on the device at `path`, or on none.
        fn interface(&self, name: &str, index: u32, path: Option<&str>) {
            let entry = self.interfaces().join(name);
            std::fs::create_dir(&entry).unwrap();
            std::fs::write(entry.join("ifindex"), format!("{index}\n")).unwrap();
            std::fs::write(entry.join("address"), "02:00:00:00:00:01\n").unwrap();
            if let Some(path) = path {
                symlink(self.0.join("devices").join(path), entry.join("device")).unwrap();
            }
        }

        /// A device on a memory node, as its file says.
        fn device(&self, path: &str, node: &str) {
            let device = self.0.join("devices").join(path);
            std::fs::create_dir_all(&device).unwrap();
            std::fs::write(device.join("numa_node"), format!("{node}\n")).unwrap();
        }
    }

    impl Drop for Sysfs {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_device_has_the_node_that_sysfs_says() {
        let sysfs = Sysfs::new();
        sysfs.device("pci0000:80/0000:81:00.0", "1");
        sysfs.device("pci0000:00/0000:00:03.0", "0");
        std::fs::create_dir(sysfs.0.join("devices/pci0000:00/0000:00:03.0/virtio0")).unwrap();
        sysfs.device("pci0000:00/0000:00:04.0", "-1");
        sysfs.interface("card", 2, Some("pci0000:80/0000:81:00.0"));
        sysfs.interface("virtual", 3, Some("pci0000:00/0000:00:03.0/virtio0"));
        sysfs.interface("nowhere", 4, Some("pci0000:00/0000:00:04.0"));
        sysfs.interface("veth", 5, None);
        let found = |index, last| NetDevice {
            index,
            is_ethernet: true,
            is_up: true,
            link: LinkState::Up,
            link_address: MacAddress([2, 0, 0, 0, 0, last]),
            mtu: 1500,
        };
        let node = |name, index, last| memory_node(&sysfs.interfaces(), name, &found(index, last));
        assert_eq!(node("card", 2, 1), Some(1));
        assert_eq!(node("virtual", 3, 1), Some(0));
        assert_eq!(node("nowhere", 4, 1), None);
        assert_eq!(node("veth", 5, 1), None);
        assert_eq!(node("absent", 6, 1), None);
        // Another network namespace's.
        assert_eq!((node("card", 7, 1), node("card", 2, 7)), (None, None));
    }
}
