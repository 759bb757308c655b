//! What driver and kernel give an AF_XDP port, and what it says of that.

use super::*;
use crate::ethernet::Veth;
use crate::namespace::{in_namespace, run};
use stack::port::bpf::Hook;
use stack::port::{PacketPort, Umem, XdpGiven, XdpOptions, XdpPort, netdevice};

/// Whether the kernel has frames in several pieces for AF_XDP sockets.
fn kernel_has_multi_buffer() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(6))
}

#[test]
fn a_port_says_what_driver_and_kernel_give() {
    in_namespace(|| {
        let _far = Veth::new(&["numrxqueues", "2", "numtxqueues", "2"]);
        run("ethtool", &["-L", "near0", "rx", "2"]);
        let pool = Pool::new(FRAMES).unwrap();
        for generic in [false, true] {
            let options = XdpOptions { generic, ..XdpOptions::default() };
            let port = XdpPort::open(&Umem::new(&pool), "near0", options).unwrap();
            let given = XdpGiven {
                hook: if generic { Hook::Generic } else { Hook::Native },
                zero_copy: false,
                need_wakeup: true,
                busy_poll_us: 0,
                polls_device: false,
                multi_buffer: kernel_has_multi_buffer(),
                huge_pages: pool.is_on_huge_pages(),
                queues: 2,
                own_queues: 2,
                interface_mtu: 1500,
                memory_node: None,
            };
            assert_eq!(port.info().xdp, Some(given));
            assert_eq!(port.info().mode, given.to_string());
        }
        assert_eq!(PacketPort::open("near0", false).unwrap().info().xdp, None);
    });
}

/// Has the device of an interface interrupt no more: what comes is left to who polls it for 20 s.
fn without_interrupts(interface: &str) {
    // The sysfs that is mounted may be another namespace's.
    let script = "mount -t sysfs sysfs /sys && cd /sys/class/net/$0 && \
                  echo 1000000 >napi_defer_hard_irqs && echo 20000000000 >gro_flush_timeout";
    run("unshare", &["--mount", "sh", "-c", script, interface]);
}

#[test]
fn a_port_that_says_it_polls_its_device_needs_no_interrupts() {
    in_namespace(|| {
        for busy_poll_us in [0, 20] {
            let far = Veth::new(&[]);
            let pool = Pool::new(FRAMES).unwrap();
            let options = XdpOptions { receive_frames: 256, busy_poll_us, ..XdpOptions::default() };
            let mut port = XdpPort::open(&Umem::new(&pool), "near0", options).unwrap();
            let mut batch = Batch::new();
            // Older kernels learn from the first frame how to poll for this socket.
            far.wire.send(&frame(Medium::Ethernet, 0, 100));
            while port.rx_batch(&pool, &mut batch) == 0 {
                wait(port.poll_fd().unwrap());
            }
            let polls_device = port.info().xdp.unwrap().polls_device;
            assert!(busy_poll_us > 0 || !polls_device);
            without_interrupts("near0");
            // The last interrupt, from which on they are deferred.
            far.wire.send(&frame(Medium::Ethernet, 1, 100));
            while port.rx_batch(&pool, &mut batch) == 0 {
                wait(port.poll_fd().unwrap());
            }
            batch.clear();
            for number in 2..102 {
                let sent = frame(Medium::Ethernet, number, 100);
                far.wire.send(&sent);
                let received = port.rx_batch(&pool, &mut batch);
                // It comes with the call, or not at all.
                assert_eq!(received, usize::from(polls_device), "{number}");
                assert!(batch.drain(..).all(|packet| packet.bytes() == sent));
            }
            drop(port);
            run("ip", &["link", "delete", "near0"]);
        }
    });
}

#[test]
fn packets_longer_than_a_frame_has_room_for_are_counted() {
    in_namespace(|| {
        for generic in [false, true] {
            let far = Veth::new(&[]);
            for end in ["near0", "far0"] {
                netdevice::set_mtu(end, 9000).unwrap();
            }
            let pool = Pool::new(FRAMES).unwrap();
            let options = XdpOptions { receive_frames: 256, generic, ..XdpOptions::default() };
            let mut port = XdpPort::open(&Umem::new(&pool), "near0", options).unwrap();
            let given = port.info().xdp.unwrap();
            assert_eq!((given.hook == Hook::Generic, given.interface_mtu), (generic, 9000));
            let largest = port.info().mtu;
            assert_eq!(largest, 3570);
            let lengths = [100, largest, largest + 1, 200, 5000, 9000, 300];
            for (number, length) in (0..).zip(lengths) {
                far.wire.send(&frame(Medium::Ethernet, number, length));
            }
            let mut batch = Batch::new();
            while batch.len() < 4 {
                if port.rx_batch(&pool, &mut batch) == 0 {
                    wait(port.poll_fd().unwrap());
                }
            }
            let received: Vec<usize> = batch.iter().map(|packet| packet.len() - 14).collect();
            assert_eq!(received, [100, largest, 200, 300]);
            assert_eq!((port.counters().rx_frames, port.counters().rx_dropped), (4, 3));
            drop((port, batch));
            assert_eq!(pool.free_frames(), FRAMES as usize);
            run("ip", &["link", "delete", "near0"]);
        }
    });
}
