//! The contract of [`Port`], on every kind of port: order, sizes, full batches, what does not fit stays, frames balance,
//! a link that is down drops and counts, and comes back.

#[path = "ports/namespace.rs"]
mod namespace;
#[path = "ports/wire.rs"]
mod wire;

use namespace::{await_carrier, comes, in_namespace, output, run};
use stack::addr::{MacAddress, Prefix};
use stack::packet::{BATCH_SIZE, Batch, Pool};
use stack::port::bpf::Hook;
use stack::port::netdevice::{self, HostRoute};
use stack::port::{
    LinkState, Medium, MemEnd, MemPort, PacketPort, PcapPort, PcapReader, Port, PortError, PortInfo, TunOptions,
    TunPort, Umem, XdpGiven, XdpOptions, XdpPort, XdpShare,
};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use wire::{Wire, veth, wait};

const FRAMES: u32 = 1024;
const NEAR: [u8; 6] = [2, 0, 0, 0, 0, 1];
const FAR: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// The other side of a port.
trait Far {
    /// Sends a frame to the port.
    fn give(&mut self, frame: &[u8]);
    /// A frame that the port has sent.
    fn take(&mut self) -> Option<Vec<u8>>;
    /// Waits until there may be one.
    fn wait(&mut self) {}
    /// Waits until the far end is ready.
    fn settle(&mut self) {}
    /// Takes the link down or up, where that can be done.
    fn link(&mut self, link: LinkState) -> bool;
    /// Makes the interface go away, and come back under its name.
    fn vanish(&mut self) -> bool {
        false
    }
    fn reappear(&mut self) {}
    /// A frame as the port receives it, as it was given.
    fn given(&self, received: &[u8]) -> Vec<u8> {
        received.to_vec()
    }
}

struct Rig<'a> {
    pool: Pool,
    port: Box<dyn Port>,
    far: &'a mut dyn Far,
}

/// A packet with number and length, in a frame as the port's medium has it. No next header: the kernel lets it be.
fn frame(medium: Medium, number: u32, packet_length: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    if medium == Medium::Ethernet {
        frame.extend(NEAR);
        frame.extend(FAR);
        frame.extend([0x86, 0xdd]);
    }
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(((packet_length - 40) as u16).to_be_bytes());
    frame.extend([59, 64]);
    frame.extend("2001:db8::2".parse::<std::net::Ipv6Addr>().unwrap().octets());
    frame.extend("2001:db8:1::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    frame.extend(number.to_be_bytes());
    let header = frame.len() - 44;
    frame.resize(header + packet_length, number as u8);
    frame
}

impl Rig<'_> {
    fn frame(&self, number: u32, length: usize) -> Vec<u8> {
        frame(self.port.info().medium, number, length)
    }

    /// Polls the port until `done`, which is given what has come so far.
    fn until(&mut self, mut done: impl FnMut(&dyn Port, &Batch) -> bool) -> Batch {
        let mut batch = Batch::new();
        loop {
            let before = batch.len();
            let received = self.port.rx_batch(&self.pool, &mut batch);
            assert_eq!(batch.len(), before + received);
            if done(&*self.port, &batch) {
                return batch;
            }
            match self.port.poll_fd() {
                Some(fd) => wait(fd),
                None => assert!(received > 0, "what a port in memory has comes at once"),
            }
        }
    }

    fn receive(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while frames.len() < count {
            let batch = self.until(|_, batch| !batch.is_empty());
            frames.extend(batch.iter().map(|packet| self.far.given(packet.bytes())));
        }
        frames
    }

    /// Sends frames, a batch at a time, and returns those that came out at the far end.
    fn send(&mut self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut arrived = Vec::new();
        let mut waiting = frames.iter();
        let mut batch = Batch::new();
        let mut idle = Batch::new();
        while arrived.len() < frames.len() {
            while !batch.is_full() {
                let Some(frame) = waiting.next() else { break };
                batch.push(self.pool.copy_of(frame).expect("frames come back"));
            }
            self.port.tx_batch(&mut batch);
            self.port.rx_batch(&self.pool, &mut idle);
            self.far.wait();
            while let Some(frame) = self.far.take() {
                arrived.push(frame);
            }
        }
        assert!(batch.is_empty() && self.far.take().is_none());
        arrived
    }

    fn until_link(&mut self, link: LinkState) {
        self.until(|port, _| port.info().link == link);
        if link == LinkState::Up {
            self.far.settle();
        }
    }
}

fn contract(port: Box<dyn Port>, pool: Pool, far: &mut dyn Far) {
    let mut rig = Rig { pool, port, far };
    rig.until_link(LinkState::Up);
    let info = rig.port.info().clone();

    // Sizes, both ways, and the counters with them.
    let sizes: Vec<usize> = (64..info.mtu).step_by(97).chain([info.mtu]).collect();
    let frames: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(n, &size)| rig.frame(n as u32, size)).collect();
    let octets: usize = frames.iter().map(Vec::len).sum();
    let before = rig.port.counters();
    frames.iter().for_each(|frame| rig.far.give(frame));
    assert_same(&rig.receive(frames.len()), &frames);
    assert_same(&rig.send(&frames), &frames);
    let after = rig.port.counters();
    assert_eq!(after.rx_frames - before.rx_frames, frames.len() as u64);
    assert_eq!(after.tx_frames - before.tx_frames, frames.len() as u64);
    assert_eq!(
        (after.rx_octets - before.rx_octets, after.tx_octets - before.tx_octets),
        (octets as u64, octets as u64)
    );
    assert_eq!((after.rx_dropped, after.tx_dropped), (before.rx_dropped, before.tx_dropped));

    // More than a batch: no batch overflows, and order holds over batches.
    let many: Vec<Vec<u8>> = (0..200).map(|n| rig.frame(n, 64 + n as usize)).collect();
    many.iter().for_each(|frame| rig.far.give(frame));
    assert_same(&rig.receive(many.len()), &many);
    assert_same(&rig.send(&many), &many);

    // A batch that is full already takes nothing, and what is in it stays.
    rig.far.give(&many[0]);
    let mut full = Batch::new();
    while !full.is_full() {
        full.push(rig.pool.copy_of(&many[1]).unwrap());
    }
    assert_eq!(rig.port.rx_batch(&rig.pool, &mut full), 0);
    assert!(full.len() == BATCH_SIZE && full.iter().all(|packet| packet.bytes() == many[1]));
    drop(full);
    assert_eq!(rig.receive(1), [many[0].clone()]);

    // A frame that no interface would take is lost, and those around it are not.
    let large = rig.frame(7, info.mtu + 1);
    let dropped = rig.port.counters().tx_dropped;
    let mut batch: Batch = [&many[1], &large, &many[2]].iter().map(|f| rig.pool.copy_of(f).unwrap()).collect();
    rig.port.tx_batch(&mut batch);
    assert!(batch.is_empty());
    assert_eq!(rig.port.counters().tx_dropped, dropped + 1);
    let mut arrived = Vec::new();
    while arrived.len() < 2 {
        rig.far.wait();
        arrived.extend(rig.far.take());
    }
    assert_eq!(arrived, many[1..3]);

    // Frames of another pool are sent as well.
    let other = Pool::new(4).unwrap();
    let mut batch: Batch = [other.copy_of(&many[3]).unwrap()].into_iter().collect();
    rig.port.tx_batch(&mut batch);
    rig.far.wait();
    assert_eq!((rig.far.take(), other.free_frames()), (Some(many[3].clone()), 4));

    // The pool runs dry and is filled again: the port goes on.
    let mut held = Vec::new();
    while let Ok(packet) = rig.pool.take() {
        held.push(packet);
    }
    for frame in &many[..8] {
        rig.far.give(frame);
    }
    let mut batch = Batch::new();
    rig.port.rx_batch(&rig.pool, &mut batch);
    drop((held, batch));
    loop {
        let mut batch = Batch::new();
        if rig.port.rx_batch(&rig.pool, &mut batch) == 0 {
            break;
        }
    }
    rig.far.give(&many[9]);
    loop {
        // Those that had found no frame may come first.
        if rig.receive(1) == [many[9].clone()] {
            break;
        }
    }

    // The link goes down: what is sent is lost and counted; and comes back.
    if rig.far.link(LinkState::Down) {
        rig.until_link(LinkState::Down);
        assert_down_drops(&mut rig, &many[..3]);
        rig.far.link(LinkState::Up);
        rig.until_link(LinkState::Up);
        assert_passes(&mut rig, &many[..5]);
    }

    // The interface goes away, and another of its name comes.
    if rig.far.vanish() {
        rig.until_link(LinkState::Down);
        assert_down_drops(&mut rig, &many[..3]);
        rig.far.reappear();
        rig.until_link(LinkState::Up);
        assert_passes(&mut rig, &many[..5]);
        assert!(rig.port.counters().reopened >= 1);
    }

    // All frames are back once the port is closed.
    let Rig { pool, port, .. } = rig;
    drop(port);
    assert_eq!(pool.free_frames(), pool.frames() as usize);
}

fn assert_down_drops(rig: &mut Rig, frames: &[Vec<u8>]) {
    let before = rig.port.counters();
    let free = rig.pool.free_frames();
    let mut batch: Batch = frames.iter().map(|frame| rig.pool.copy_of(frame).unwrap()).collect();
    rig.port.tx_batch(&mut batch);
    assert!(batch.is_empty());
    let after = rig.port.counters();
    assert_eq!((after.tx_dropped, after.tx_frames), (before.tx_dropped + frames.len() as u64, before.tx_frames));
    assert_eq!(rig.pool.free_frames(), free);
}

/// As `assert_eq!`, without printing megabytes.
#[track_caller]
fn assert_same(arrived: &[Vec<u8>], frames: &[Vec<u8>]) {
    assert_eq!(arrived.len(), frames.len());
    for (number, (arrived, frame)) in arrived.iter().zip(frames).enumerate() {
        assert!(arrived == frame, "frame {number}: {} octets for {}", arrived.len(), frame.len());
    }
}

fn assert_passes(rig: &mut Rig, frames: &[Vec<u8>]) {
    frames.iter().for_each(|frame| rig.far.give(frame));
    assert_same(&rig.receive(frames.len()), frames);
    assert_same(&rig.send(frames), frames);
}

// mem

impl Far for MemEnd {
    fn give(&mut self, frame: &[u8]) {
        assert!(self.push(frame));
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        self.pop()
    }

    fn link(&mut self, link: LinkState) -> bool {
        self.set_link(link);
        true
    }
}

fn described(medium: Medium) -> PortInfo {
    PortInfo {
        name: "m0".into(),
        kind: "",
        mode: String::new(),
        medium,
        link_address: MacAddress(if medium == Medium::Ip { [0; 6] } else { NEAR }),
        mtu: 1500,
        link: LinkState::Up,
        xdp: None,
    }
}

#[test]
fn mem_keeps_the_contract() {
    for medium in [Medium::Ethernet, Medium::Ip] {
        let (port, mut end) = MemPort::new(described(medium));
        contract(Box::new(port), Pool::new(FRAMES).unwrap(), &mut end);
    }
}

// pcap

/// A file in memory that is written at one end and read at the other.
#[derive(Clone, Default)]
struct Pipe(Rc<RefCell<VecDeque<u8>>>);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Captures {
    replayed: stack::port::PcapWriter<Pipe>,
    recorded: PcapReader<Pipe>,
    number: u64,
}

impl Far for Captures {
    fn give(&mut self, frame: &[u8]) {
        self.number += 1;
        self.replayed.write(stack::time::Instant::from_micros(self.number), frame).unwrap();
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        self.recorded.read(&mut frame).unwrap().map(|_| frame)
    }

    fn link(&mut self, _: LinkState) -> bool {
        false
    }
}

#[test]
fn pcap_keeps_the_contract() {
    for medium in [Medium::Ethernet, Medium::Ip] {
        let (input, output) = (Pipe::default(), Pipe::default());
        let replayed = stack::port::PcapWriter::new(input.clone(), medium, stack::time::Duration::ZERO).unwrap();
        let port = PcapPort::new(described(medium), Some(Box::new(input)), Some(Box::new(output.clone()))).unwrap();
        let recorded = PcapReader::new(output).unwrap();
        let mut far = Captures { replayed, recorded, number: 0 };
        contract(Box::new(port), Pool::new(FRAMES).unwrap(), &mut far);
    }
}

#[test]
fn what_is_replayed_and_sent_again_is_the_same_file() {
    let directory = std::env::temp_dir().join(format!("drover-pcap-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (first, second) = (directory.join("first.pcap"), directory.join("second.pcap"));
    let mut writer = stack::port::PcapWriter::create(&first, Medium::Ethernet, stack::time::Duration::ZERO).unwrap();
    for number in 0..20u32 {
        let at = stack::time::Instant::from_nanos(u64::from(number) * 1_000_000_007);
        writer.write(at, &frame(Medium::Ethernet, number, 64 + number as usize)).unwrap();
    }
    writer.flush().unwrap();
    let pool = Pool::new(4).unwrap();
    let mut port = PcapPort::open(described(Medium::Ethernet), Some(&first), Some(&second)).unwrap();
    let mut batch = Batch::new();
    // One frame at a time, so that each is stamped with its own time.
    loop {
        let held: Vec<_> = (0..3).map(|_| pool.take().unwrap()).collect();
        if port.rx_batch(&pool, &mut batch) == 0 {
            break;
        }
        drop(held);
        port.tx_batch(&mut batch);
    }
    port.flush().unwrap();
    let same = std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(same);
    let missing = PcapPort::open(described(Medium::Ip), Some(&first), None).unwrap_err();
    assert!(missing.to_string().contains("first.pcap"), "{missing}");
}

// Interfaces

/// The far end of a veth `near0`.
struct Veth {
    wire: Wire,
    queues: Vec<&'static str>,
}

impl Veth {
    fn new(queues: &[&'static str]) -> Veth {
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

// tun: the far end is the kernel. What the port sends is received by a raw socket of protocol 59, from which the packet
// is built again; what the port receives is sent by another.

struct Host {
    sender: OwnedFd,
    receiver: OwnedFd,
}

const HOME: &str = "2001:db8:1::1";
const PEER: &str = "2001:db8::2";
const NO_NEXT_HEADER: i32 = 59;

impl Host {
    /// A raw socket that writes whole packets, and one that receives payloads: the kernel checks checksums on sockets of
    /// the first sort, which these packets do not have.
    fn new() -> Host {
        let socket = || {
            // SAFETY: no pointer is passed; the result is checked.
            let fd = unsafe { libc::socket(libc::AF_INET6, libc::SOCK_RAW | libc::SOCK_NONBLOCK, NO_NEXT_HEADER) };
            assert!(fd >= 0, "{}", io::Error::last_os_error());
            // SAFETY: a descriptor that was just made and that nothing else owns.
            unsafe { OwnedFd::from_raw_fd(fd) }
        };
        let host = Host { sender: socket(), receiver: socket() };
        for (option, value) in [(libc::IPV6_HDRINCL, 1), (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)] {
            // SAFETY: the value is one int.
            let result = unsafe {
                libc::setsockopt(host.sender.as_raw_fd(), libc::IPPROTO_IPV6, option, (&raw const value).cast(), 4)
            };
            assert_eq!(result, 0, "{}", io::Error::last_os_error());
        }
        host
    }
}

fn swapped(packet: &[u8]) -> Vec<u8> {
    [&packet[..8], &packet[24..40], &packet[8..24], &packet[40..]].concat()
}

impl Far for Host {
    fn give(&mut self, packet: &[u8]) {
        // SAFETY: all zeros is a valid sockaddr_in6.
        let mut to: libc::sockaddr_in6 = unsafe { core::mem::zeroed() };
        let packet = &swapped(packet)[..];
        to.sin6_family = libc::AF_INET6 as u16;
        to.sin6_addr.s6_addr = packet[24..40].try_into().unwrap();
        // SAFETY: the octets of `packet`, and the address of the length given.
        let sent = unsafe {
            let length = size_of::<libc::sockaddr_in6>() as u32;
            libc::sendto(
                self.sender.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const to).cast(),
                length,
            )
        };
        assert_eq!(sent, packet.len() as isize, "{}", io::Error::last_os_error());
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let mut payload = vec![0; 4096];
        // SAFETY: the octets of `payload`.
        let length = unsafe { libc::recv(self.receiver.as_raw_fd(), payload.as_mut_ptr().cast(), payload.len(), 0) };
        payload.truncate(usize::try_from(length).ok()?);
        let mut packet = frame(Medium::Ip, 0, 40 + payload.len());
        packet[40..].copy_from_slice(&payload);
        Some(packet)
    }

    fn wait(&mut self) {
        wait(self.receiver.as_raw_fd());
    }

    fn link(&mut self, link: LinkState) -> bool {
        run("ip", &["link", "set", "home0", if link == LinkState::Up { "up" } else { "down" }]);
        true
    }

    /// The kernel makes an address its own a moment after it was added.
    fn settle(&mut self) {
        comes(|| output("ip", &["-6", "route", "show", "table", "local"]).contains(HOME));
    }

    fn given(&self, received: &[u8]) -> Vec<u8> {
        swapped(received)
    }
}

fn tun(mtu: usize) -> TunPort {
    let peer = Prefix::host(PEER.parse().unwrap());
    let home = HOME.parse().unwrap();
    TunPort::open(TunOptions {
        name: "home0".into(),
        mtu,
        addresses: vec![(home, 128)],
        routes: vec![
            HostRoute::to(peer),
            HostRoute { mtu: Some(1400), advmss: Some(1320), source: Some(home), ..HostRoute::to(Prefix::DEFAULT) },
        ],
    })
    .unwrap()
}

#[test]
fn tun_keeps_the_contract() {
    in_namespace(|| {
        let port = tun(1400);
        contract(Box::new(port), Pool::new(FRAMES).unwrap(), &mut Host::new());
    });
}

#[test]
fn a_tun_device_that_was_deleted_is_made_anew() {
    in_namespace(|| {
        let (pool, mut host) = (Pool::new(FRAMES).unwrap(), Host::new());
        let mut rig = Rig { pool: pool.clone(), port: Box::new(tun(1500)), far: &mut host };
        let route = output("ip", &["-6", "route", "show", "default"]);
        for part in ["dev home0", "src 2001:db8:1::1", "mtu 1400", "advmss 1320"] {
            assert!(route.contains(part), "{route}");
        }
        run("ip", &["link", "delete", "home0"]);
        rig.until(|port, _| port.counters().reopened == 1 && port.info().link == LinkState::Up);
        rig.far.settle();
        let frames: Vec<_> = (0..5).map(|n| rig.frame(n, 1000)).collect();
        assert_passes(&mut rig, &frames);
        assert_eq!(output("ip", &["-6", "route", "show", "default"]), route);
        drop(rig);
        assert_eq!(pool.free_frames(), FRAMES as usize);
        comes(|| matches!(netdevice::get("home0"), Err(PortError::NoSuchInterface(_))));
    });
}

// What only AF_XDP has

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
