//! Several receive queues, and other ones than before.

use super::*;
use crate::ethernet::Veth;
use crate::namespace::{in_namespace, run};
use stack::port::{Umem, XdpOptions, XdpPort, XdpShare};

#[test]
fn every_queue_is_served() {
    in_namespace(|| {
        let mut far = Veth::new(&["numrxqueues", "4", "numtxqueues", "4"]);
        run("ethtool", &["-L", "near0", "rx", "4"]);
        let pool = Pool::new(2048).unwrap();
        let options = XdpOptions { receive_frames: 220, ..XdpOptions::default() };
        let umem = Umem::new(&pool);
        let mut port = XdpPort::open(&umem, "near0", options).unwrap();
        assert!(port.info().mode.ends_with("4 queues"), "{}", port.info().mode);
        port.rx_batch(&pool, &mut Batch::new());
        assert_eq!(umem.lent_frames(), 4 * 220);
        contract(Box::new(port), pool, &mut far);
    });
}

/// Whoever waits for frames alone is woken by a change of the queues, too, and then has the new ones.
#[test]
fn other_queues_wake_who_waits_for_frames() {
    in_namespace(|| {
        let mut far = Veth::new(&["numrxqueues", "4", "numtxqueues", "4"]);
        run("ethtool", &["-L", "near0", "rx", "1"]);
        let pool = Pool::new(FRAMES).unwrap();
        let port =
            XdpPort::open(&Umem::new(&pool), "near0", XdpOptions { receive_frames: 128, ..XdpOptions::default() });
        let mut rig = Rig { pool, port: Box::new(port.unwrap()), far: &mut far };
        let queues = |port: &dyn Port| port.info().xdp.map(|given| given.queues);
        // The kernel takes none away that a socket is bound to.
        for wanted in [2, 4] {
            run("ethtool", &["-L", "near0", "rx", &wanted.to_string()]);
            rig.until(|port, _| queues(port) == Some(wanted));
        }
        rig.until_link(LinkState::Up);
        let frames: Vec<_> = (0..5).map(|n| rig.frame(n, 100)).collect();
        assert_passes(&mut rig, &frames);
    });
}

/// So is a worker that does not lead on the interface, once the one that does has found them.
#[test]
fn a_worker_is_woken_when_there_is_a_queue_for_it() {
    in_namespace(|| {
        let _far = Veth::new(&["numrxqueues", "2", "numtxqueues", "2"]);
        run("ethtool", &["-L", "near0", "rx", "1"]);
        let pools = [Pool::new(FRAMES).unwrap(), Pool::new(FRAMES).unwrap()];
        let options = XdpOptions { receive_frames: 128, ..XdpOptions::default() };
        let shares = XdpShare::among(2).into_iter().zip(&pools);
        let open = |(share, pool)| XdpPort::open_share(&Umem::new(pool), "near0", options.clone(), share).unwrap();
        let mut ports: Vec<XdpPort> = shares.map(open).collect();
        assert_eq!([ports[0].is_open(), ports[1].is_open()], [true, false]);
        let mut batch = Batch::new();
        run("ethtool", &["-L", "near0", "rx", "2"]);
        for (port, pool) in ports.iter_mut().zip(&pools) {
            while port.info().xdp.is_none_or(|given| given.queues < 2) {
                wait(port.poll_fd().unwrap());
                port.rx_batch(pool, &mut batch);
            }
        }
        assert_eq!([0, 1].map(|port: usize| ports[port].info().xdp.map(|given| given.own_queues)), [Some(1), Some(1)]);
    });
}
