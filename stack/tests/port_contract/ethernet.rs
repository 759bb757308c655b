//! The contract on Ethernet interfaces: by AF_XDP and by packet sockets, over a veth.

use super::*;
use crate::namespace::{await_carrier, in_namespace, run};
use crate::wire::{Wire, veth};
use stack::port::{PacketPort, Umem, XdpOptions, XdpPort};

/// The far end of a veth `near0`.
pub(crate) struct Veth {
    pub(crate) wire: Wire,
    queues: Vec<&'static str>,
}

impl Veth {
    pub(crate) fn new(queues: &[&'static str]) -> Veth {
        veth("near0", "far0", queues);
        Veth { wire: Wire::open("far0"), queues: queues.to_vec() }
    }
}

impl Far for Veth {
    fn give(&mut self, frame: &[u8]) {
        self.wire.send(frame);
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        self.wire.receive()
    }

    fn wait(&mut self) {
        self.wire.wait();
    }

    fn settle(&mut self) {
        await_carrier("far0");
    }

    fn link(&mut self, link: LinkState) -> bool {
        // The peer's state is this end's carrier.
        run("ip", &["link", "set", "far0", if link == LinkState::Up { "up" } else { "down" }]);
        // A packet socket reports that its interface was down once.
        let _ = self.wire.receive();
        true
    }

    fn vanish(&mut self) -> bool {
        run("ip", &["link", "delete", "far0"]);
        true
    }

    fn reappear(&mut self) {
        *self = Veth::new(&self.queues);
    }
}

#[test]
fn af_xdp_keeps_the_contract_native() {
    in_namespace(|| {
        let mut far = Veth::new(&[]);
        let pool = Pool::new(FRAMES).unwrap();
        let options = XdpOptions { receive_frames: 256, ..XdpOptions::default() };
        let port = XdpPort::open(&Umem::new(&pool), "near0", options).unwrap();
        assert!(port.info().mode.starts_with("native, "), "{}", port.info().mode);
        contract(Box::new(port), pool, &mut far);
    });
}

#[test]
fn af_xdp_keeps_the_contract_polling_its_device() {
    in_namespace(|| {
        let mut far = Veth::new(&[]);
        let pool = Pool::new(FRAMES).unwrap();
        let options = XdpOptions { receive_frames: 256, busy_poll_us: 20, ..XdpOptions::default() };
        let port = XdpPort::open(&Umem::new(&pool), "near0", options).unwrap();
        assert!(port.info().mode.contains(", busy poll 20 µs"), "{}", port.info().mode);
        contract(Box::new(port), pool, &mut far);
    });
}

#[test]
fn af_xdp_keeps_the_contract_generic() {
    in_namespace(|| {
        let mut far = Veth::new(&[]);
        let pool = Pool::new(FRAMES).unwrap();
        let options = XdpOptions { receive_frames: 256, generic: true, ..XdpOptions::default() };
        let port = XdpPort::open(&Umem::new(&pool), "near0", options).unwrap();
        assert!(port.info().mode.starts_with("generic, copy"), "{}", port.info().mode);
        contract(Box::new(port), pool, &mut far);
    });
}

#[test]
fn af_packet_keeps_the_contract() {
    in_namespace(|| {
        let mut far = Veth::new(&[]);
        let port = PacketPort::open("near0", true).unwrap();
        contract(Box::new(port), Pool::new(FRAMES).unwrap(), &mut far);
    });
}
