//! Interfaces: what a port sets on them, and those that cannot be used, go down and come up.

use super::*;
use crate::ethernet::Veth;
use crate::namespace::{comes, in_namespace, output, run};
use crate::wire::veth;
use stack::port::{PacketPort, TunOptions, TunPort, Umem, XdpOptions, XdpPort, netdevice};

#[test]
fn the_multicast_filter_is_open_while_the_port_is() {
    in_namespace(|| {
        let _far = Veth::new(&[]);
        let allmulti = || output("ip", &["-d", "link", "show", "near0"]).contains("allmulti 1");
        let pool = Pool::new(FRAMES).unwrap();
        assert!(!allmulti());
        let xdp = XdpPort::open(&Umem::new(&pool), "near0", XdpOptions::default()).unwrap();
        assert!(allmulti());
        drop(xdp);
        comes(|| !allmulti());
        let packet = PacketPort::open("near0", false).unwrap();
        assert!(allmulti());
        drop(packet);
        comes(|| !allmulti());
    });
}

#[test]
fn an_interface_that_cannot_be_used_gets_one_line_with_a_remedy() {
    in_namespace(|| {
        veth("near0", "far0", &[]);
        let pool = Pool::new(FRAMES).unwrap();
        let umem = Umem::new(&pool);
        let open = |name: &str| XdpPort::open(&umem, name, XdpOptions::default()).map(drop).unwrap_err().to_string();
        assert!(open("none0").contains("none0 does not exist here: `ip"));
        assert!(open("lo").contains("lo is not an Ethernet interface"));
        let first = XdpPort::open(&umem, "near0", XdpOptions::default()).unwrap();
        assert!(open("near0").contains("near0 is taken by another XDP program"));
        drop(first);
        run("ip", &["link", "set", "near0", "down"]);
        assert!(open("near0").contains("near0 is down: `ip link set near0 up`"));
        assert!(PacketPort::open("near0", false).unwrap_err().to_string().contains("near0 is down"));
        let taken = TunOptions { name: "near0".into(), mtu: 1500, addresses: vec![], routes: vec![] };
        assert!(TunPort::open(taken).unwrap_err().to_string().contains("near0 exists and is not a TUN"));
        for error in [open("none0"), open("lo"), open("near0"), open("no/name")] {
            assert_eq!(error.lines().count(), 1);
        }
        assert_eq!(pool.free_frames(), FRAMES as usize);
    });
}

#[test]
fn a_port_whose_peer_is_down_opens_down_and_comes_up_with_it() {
    in_namespace(|| {
        let mut far = Veth::new(&[]);
        far.link(LinkState::Down);
        let pool = Pool::new(FRAMES).unwrap();
        let port = XdpPort::open(&Umem::new(&pool), "near0", XdpOptions::default()).unwrap();
        assert_eq!(port.info().link, LinkState::Down);
        far.link(LinkState::Up);
        let mut rig = Rig { pool, port: Box::new(port), far: &mut far };
        rig.until_link(LinkState::Up);
        let frames: Vec<_> = (0..5).map(|n| rig.frame(n, 100)).collect();
        assert_passes(&mut rig, &frames);
    });
}

#[test]
fn an_interface_that_is_taken_down_by_hand_drops_and_comes_back() {
    in_namespace(|| {
        let mut far = Veth::new(&[]);
        let pool = Pool::new(FRAMES).unwrap();
        let umem = Umem::new(&pool);
        for kind in ["af_xdp", "af_packet"] {
            let port: Box<dyn Port> = match kind {
                "af_xdp" => Box::new(XdpPort::open(&umem, "near0", XdpOptions::default()).unwrap()),
                _ => Box::new(PacketPort::open("near0", false).unwrap()),
            };
            let mut rig = Rig { pool: pool.clone(), port, far: &mut far };
            rig.until_link(LinkState::Up);
            let frames: Vec<_> = (0..5).map(|n| rig.frame(n, 100)).collect();
            assert_passes(&mut rig, &frames);
            run("ip", &["link", "set", "near0", "down"]);
            rig.until_link(LinkState::Down);
            assert_down_drops(&mut rig, &frames);
            run("ip", &["link", "set", "near0", "up"]);
            rig.until_link(LinkState::Up);
            assert_passes(&mut rig, &frames);
            assert_eq!(rig.port.counters().reopened, 0, "{kind}");
        }
        assert_eq!(pool.free_frames(), FRAMES as usize);
    });
}

#[test]
fn the_kernel_can_be_told_to_compute_checksums() {
    in_namespace(|| {
        let _far = Veth::new(&[]);
        netdevice::no_transmit_checksum_offload("far0").unwrap();
        let features = output("ethtool", &["-k", "far0"]);
        assert!(features.contains("tx-checksumming: off"), "{features}");
        netdevice::no_transmit_checksum_offload("lo").unwrap();
    });
}
