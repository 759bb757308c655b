//! Frames of AF_XDP ports: what is shared, what is left to the kernel, what is locked in memory.

use super::*;
use crate::ethernet::Veth;
use crate::namespace::in_namespace;
use crate::wire::{Wire, veth};
use stack::port::{KernelRule, KernelShare, PortError, Umem, XdpOptions, XdpPort};
use std::net::Ipv6Addr;

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

/// A frame with another destination, Next Header and what is behind the IPv6 header.
fn changed(frame: &[u8], destination: &str, next_header: u8, upper: &[u8]) -> Vec<u8> {
    let destination: Ipv6Addr = destination.parse().unwrap();
    let padding = [0; 32];
    let mut changed =
        [&frame[..38], &destination.octets(), upper, &padding[..padding.len().saturating_sub(upper.len())]].concat();
    changed[20] = next_header;
    changed
}

fn neighbor_message(kind: u8, target: &str) -> Vec<u8> {
    let target: Ipv6Addr = target.parse().unwrap();
    [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &target.octets()].concat()
}

fn to_port(port: u16) -> Vec<u8> {
    [&[0x80, 0][..], &port.to_be_bytes(), &[0; 4]].concat()
}

#[test]
fn what_is_not_ours_is_left_to_the_kernel() {
    for generic in [false, true] {
        in_namespace(move || {
            let mut far = Veth::new(&[]);
            let pool = Pool::new(FRAMES).unwrap();
            let rules = vec![
                KernelRule::Prefix("2001:db8:2::/48".parse().unwrap()),
                KernelRule::Protocol(89),
                KernelRule::Port(6, 22),
            ];
            let address = |text: &str| text.parse::<Ipv6Addr>().unwrap();
            let share = KernelShare::new(rules, [address("2001:db8:1::1"), address("fe80::1")]);
            let shared = ["2001:db8:1::2", "2001:db8:1::1", "fe80::2"].map(address);
            assert_eq!(share.set_addresses(shared).unwrap(), 0);
            let options =
                XdpOptions { receive_frames: 128, generic, kernel: Some(share.clone()), ..XdpOptions::default() };
            let port = XdpPort::open(&Umem::new(&pool), "near0", options).unwrap();
            let kernel = Wire::open("near0");
            let mut rig = Rig { pool, port: Box::new(port), far: &mut far };
            rig.until_link(LinkState::Up);
            let frame = rig.frame(1, 100);
            // The kernel's: a prefix, addresses, solicitations for them, rules for groups and for what both have.
            let other = [
                changed(&frame, "2001:db8:2::1", 17, &to_port(9)),
                changed(&frame, "2001:db8:1::2", 17, &to_port(9)),
                changed(&frame, "fe80::2", 58, &neighbor_message(136, "fe80::9")),
                changed(&frame, "ff02::1:ff00:2", 58, &neighbor_message(135, "2001:db8:1::2")),
                changed(&frame, "ff02::5", 89, &[]),
                changed(&frame, "2001:db8:1::1", 6, &to_port(22)),
                changed(&frame, "ff02::5", 44, &[89, 0, 0, 8, 0, 0, 0, 1]),
                [&frame[..12], &[0x08, 0x00], &frame[14..]].concat(),
            ];
            let ours = [
                // In transit, whatever it is.
                frame.clone(),
                changed(&frame, "2001:db8:9::1", 6, &to_port(22)),
                changed(&frame, "2001:db8:9::1", 89, &[]),
                // To an address of ours, or of both, that no rule names; and a solicitation for it.
                changed(&frame, "2001:db8:1::1", 6, &to_port(179)),
                changed(&frame, "fe80::1", 103, &[]),
                changed(&frame, "fe80::1", 6, &to_port(22)),
                changed(&frame, "ff02::1:ff00:1", 58, &neighbor_message(135, "2001:db8:1::1")),
                changed(&frame, "ff02::d", 103, &[]),
                changed(&frame, "2001:db8:1::1", 44, &[6, 0, 0, 0, 0x80, 0, 0, 22]),
                // Cut off within the IPv6 header: ours, so that the pipeline counts it.
                frame[..40].to_vec(),
            ];
            for frame in other.iter().chain(&ours) {
                rig.far.give(frame);
            }
            assert_eq!(rig.receive(ours.len()), ours);
            let left = |count: usize| {
                let mut seen = Vec::new();
                while seen.len() < count {
                    kernel.wait();
                    seen.extend(kernel.receive());
                }
                seen
            };
            assert_eq!(left(other.len()), other);
            let passed = |share: &KernelShare| share.passed().into_iter().map(|(_, count)| count).collect::<Vec<_>>();
            assert_eq!(passed(&share), [2, 1, 0, 1, 2, 1]);

            // Both hear what all nodes are told, and advertisements to what both have.
            let both = [
                changed(&frame, "ff02::1", 58, &neighbor_message(136, "fe80::9")),
                changed(&frame, "2001:db8:1::1", 58, &neighbor_message(136, "fe80::9")),
            ];
            both.iter().for_each(|frame| rig.far.give(frame));
            assert_eq!(rig.receive(2), both);
            assert_eq!(left(2), both);

            // The kernel's addresses change while the port runs.
            share.set_addresses([address("2001:db8:1::3"), address("2001:db8:1::1")]).unwrap();
            let (before, now) = (changed(&frame, "2001:db8:1::2", 17, &[]), changed(&frame, "2001:db8:1::3", 17, &[]));
            rig.far.give(&now);
            rig.far.give(&before);
            assert_eq!((rig.receive(1), left(1)), (vec![before], vec![now]));
            assert_eq!(passed(&share), [3, 1, 2, 1, 2, 1]);
            drop(rig);
            assert_eq!(passed(&share), [3, 1, 2, 1, 2, 1], "counters outlast the program");
        });
    }
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
