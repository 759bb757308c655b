//! Frames of AF_XDP ports: what is shared, what is left to the kernel, what is locked in memory.

use super::*;
use crate::ethernet::Veth;
use crate::namespace::in_namespace;
use crate::wire::{Wire, veth};
use stack::port::{PortError, Umem, XdpOptions, XdpPort};

#[test]
fn ports_of_a_worker_forward_without_a_copy() {
    in_namespace(|| {
        veth("a0", "a1", &[]);
        veth("b0", "b1", &[]);
        let pool = Pool::new(FRAMES).unwrap();
        let umem = Umem::new(&pool);
        let options = XdpOptions { receive_frames: 128, ..XdpOptions::default() };
        let mut a = XdpPort::open(&umem, "a0", options.clone()).unwrap();
        let mut b = XdpPort::open(&umem, "b0", options.clone()).unwrap();
        let (left, right) = (Wire::open("a1"), Wire::open("b1"));
        let frames: Vec<_> = (0..100).map(|n| frame(Medium::Ethernet, n, 64 + n as usize)).collect();
        let forward = |from: &mut XdpPort, to: &mut XdpPort, source: &Wire, sink: &Wire| {
            let (mut batch, mut arrived) = (Batch::new(), Vec::new());
            // The first turn gives a port all its frames to receive into.
            assert_eq!(from.rx_batch(&pool, &mut batch) + to.rx_batch(&pool, &mut batch), 0);
            assert_eq!(umem.lent_frames(), 256);
            frames.iter().for_each(|frame| source.send(frame));
            while arrived.len() < frames.len() {
                if from.rx_batch(&pool, &mut batch) == 0 {
                    sink.wait();
                }
                to.tx_batch(&mut batch);
                to.rx_batch(&pool, &mut batch);
                arrived.extend(std::iter::from_fn(|| sink.receive()));
            }
            assert_same(&arrived, &frames);
        };
        forward(&mut a, &mut b, &left, &right);
        forward(&mut b, &mut a, &right, &left);
        // The port that has registered the memory goes; the other lives on, and a third can share with it.
        drop(a);
        let mut a = XdpPort::open(&umem, "a0", options).unwrap();
        forward(&mut a, &mut b, &left, &right);
        forward(&mut b, &mut a, &right, &left);
        assert_eq!(b.counters().tx_frames, 200);
        drop((a, b));
        assert_eq!((umem.lent_frames(), pool.free_frames()), (0, FRAMES as usize));
    });
}

#[test]
fn what_is_not_ours_is_left_to_the_kernel() {
    in_namespace(|| {
        let mut far = Veth::new(&[]);
        let pool = Pool::new(FRAMES).unwrap();
        let options = XdpOptions {
            receive_frames: 128,
            kernel: vec!["2001:db8:2::/48".parse().unwrap(), "2001:db8:1::2/128".parse().unwrap()],
            ..XdpOptions::default()
        };
        let port = XdpPort::open(&Umem::new(&pool), "near0", options).unwrap();
        let kernel = Wire::open("near0");
        let mut rig = Rig { pool, port: Box::new(port), far: &mut far };
        rig.until_link(LinkState::Up);
        let ours = rig.frame(1, 100);
        let mut other = Vec::new();
        for destination in ["2001:db8:2::1", "2001:db8:1::2"] {
            let address: std::net::Ipv6Addr = destination.parse().unwrap();
            other.push([&ours[..38], &address.octets(), &ours[54..]].concat());
        }
        other.push([&ours[..12], &[0x08, 0x00], &ours[14..]].concat());
        // Cut off within the IPv6 header: ours, so that the pipeline counts it.
        let short = ours[..40].to_vec();
        for frame in other.iter().chain([&ours, &short]) {
            rig.far.give(frame);
        }
        assert_eq!(rig.receive(2), [ours, short]);
        let mut seen = Vec::new();
        while seen.len() < other.len() {
            kernel.wait();
            seen.extend(kernel.receive());
        }
        assert_eq!(seen, other);
    });
}

#[test]
fn a_small_pool_is_not_eaten_by_its_ports() {
    in_namespace(|| {
        let pool = Pool::new(256).unwrap();
        let umem = Umem::new(&pool);
        let names = [("a0", "a1"), ("b0", "b1"), ("c0", "c1")];
        let mut ports: Vec<_> = names
            .iter()
            .map(|(near, far)| {
                veth(near, far, &[]);
                XdpPort::open(&umem, near, XdpOptions::default()).unwrap()
            })
            .collect();
        for port in &mut ports {
            port.rx_batch(&pool, &mut Batch::new());
        }
        assert!((3 * 21..=3 * 42).contains(&umem.lent_frames()), "{}", umem.lent_frames());
        let wire = Wire::open("c1");
        let sent: Vec<_> = (0..100).map(|n| frame(Medium::Ethernet, n, 100)).collect();
        for frame in &sent {
            wire.send(frame);
            let mut batch = Batch::new();
            while ports[2].rx_batch(&pool, &mut batch) == 0 {
                wait(ports[2].poll_fd().unwrap());
            }
            assert_eq!(batch[0].bytes(), frame);
        }
    });
}

/// Takes from this thread alone the right to lock more memory than the limit, and to raise the limit.
fn without_memory_rights() {
    const VERSION_3: u32 = 0x2008_0522;
    const CAP_IPC_LOCK: u32 = 14;
    const CAP_SYS_RESOURCE: u32 = 24;
    let header = [VERSION_3, 0];
    // Effective, permitted and inheritable capabilities, the low halves first.
    let mut sets = [0u32; 6];
    // SAFETY: capget and capset with a header and two triples, as version 3 wants them.
    unsafe {
        assert_eq!(libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()), 0);
        for set in &mut sets[..2] {
            *set &= !(1 << CAP_IPC_LOCK | 1 << CAP_SYS_RESOURCE);
        }
        assert_eq!(libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()), 0);
    }
}

#[test]
fn frames_that_cannot_be_locked_in_memory_get_one_line_with_a_remedy() {
    in_namespace(|| {
        let _far = Veth::new(&[]);
        let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
        // SAFETY: one rlimit. The other tests are allowed to lock memory whatever the limit is.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) }, 0);
        without_memory_rights();
        let pool = Pool::new(FRAMES).unwrap();
        let error = XdpPort::open(&Umem::new(&pool), "near0", XdpOptions::default()).unwrap_err();
        assert!(matches!(error, PortError::LockedMemory { octets: 4_259_840 }), "{error}");
        assert!(
            error.to_string().starts_with("5 MiB of frames cannot be locked in memory: raise the limit"),
            "{error}"
        );
        assert_eq!(pool.free_frames(), FRAMES as usize);
    });
}
