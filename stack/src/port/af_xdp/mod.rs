//! `af_xdp`: a port on an Ethernet interface, past the kernel's network stack.
//!
//! An XDP program ([`program`]) hands the interface's IPv6 frames to AF_XDP sockets, one for each receive queue; the
//! frames lie in the worker's pool ([`umem`]), so that what comes in by one port of a worker leaves by another without a
//! copy in user space. What driver and kernel give is found out by trying: native XDP before generic, zero-copy before
//! copy. The interface's multicast filter is open (allmulti) as long as the port is.
//!
//! An interface that goes away leaves the port down; it comes back with the next interface of that name.
//!
//! The system calls are made here through `libc` alone; docs/decisions/0001 says why.

mod busy_poll;
mod given;
mod kernel_share;
mod program;
mod ring;
mod share;
mod socket;
mod umem;

pub use given::XdpGiven;
pub use kernel_share::{KernelRule, KernelShare, MAX_RULES, PROTOCOLS};
pub use share::XdpShare;
pub use umem::Umem;

use super::bpf::Hook;
use super::memory_node::{INTERFACES, memory_node};
use super::netdevice::{self, NetDevice};
use super::packet_socket;
use super::wait::Waker;
use super::watch::{Change, LinkWatch, RETRY};
use super::{ETHERNET_HEADER_LEN, LinkState, Medium, Port, PortCounters, PortError, PortInfo};
use crate::packet::{Batch, FRAME_LEN, HEADROOM, Packet, Pool};
use crate::time::Duration;
use kernel_share::KernelTap;
use program::Program;
use share::Steering;
use socket::{Kick, Socket};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;

/// The largest packet that a frame has room for.
const LARGEST_MTU: usize = FRAME_LEN - HEADROOM - ETHERNET_HEADER_LEN;
/// Frames that the kernel could not send are tried again after this time.
const SEND_AGAIN: Duration = Duration::from_millis(1);
/// The kernel lets go of a queue a moment after its last socket is closed: how often to wait for that, and how long.
const LET_GO_TRIES: u32 = 50;
const LET_GO_TIME: Duration = Duration::from_millis(4);
/// Calls between two looks at the interface while every call brings frames.
const LOOK_AFTER: u32 = 64;

/// Calls between two looks at what both the kernel and the port hear, while every call brings frames.
const TAP_AFTER: u32 = 8;

/// How to open an AF_XDP port. The default takes the best that driver and kernel give.
#[derive(Clone, Debug)]
pub struct XdpOptions {
    /// Attach the program generically even where the driver could run it.
    pub generic: bool,
    /// Copy frames even where the driver could do without.
    pub copy: bool,
    /// Frames that wait in the kernel for each queue to be received into, 1 to 2,048; fewer where the queues of all ports
    /// of the worker would have more than half of its pool.
    pub receive_frames: u32,
    /// Has the port's own calls poll the device (SO_PREFER_BUSY_POLL), and with this many µs where a call may wait; 0 for
    /// not. What the kernel has taken of it shows in [`XdpGiven::busy_poll_us`].
    pub busy_poll_us: u32,
    /// What is left to the kernel; `None`: no IPv6 packet.
    pub kernel: Option<KernelShare>,
}

impl Default for XdpOptions {
    fn default() -> Self {
        XdpOptions { generic: false, copy: false, receive_frames: 1024, busy_poll_us: 0, kernel: None }
    }
}

/// A port on an interface by AF_XDP.
#[derive(Debug)]
pub struct XdpPort {
    umem: Umem,
    options: XdpOptions,
    info: PortInfo,
    counters: PortCounters,
    watch: LinkWatch,
    device: Option<Device>,
    share: XdpShare,
    /// The leader's program as it was when the device was opened.
    generation: u64,
    /// Rung by the leader when its program has come or gone; `None` where this port leads.
    alarm: Option<Waker>,
    calls: u32,
    /// Whether the first frame may tell the kernel what device to poll.
    awaits_device: bool,
}

/// What is open while the interface is there. The program goes before the sockets that it feeds.
#[derive(Debug)]
struct Device {
    index: u32,
    /// Where this port leads.
    _program: Option<Program>,
    /// For what both the kernel and the port hear, where the port leads.
    tap: Option<KernelTap>,
    steering: Steering,
    sockets: Vec<Socket>,
    /// The queue to look at first.
    next: usize,
    _allmulti: Option<OwnedFd>,
}

impl XdpPort {
    /// Opens the interface `name`. All ports of a worker are given the same `umem`.
    ///
    /// # Errors
    /// A [`PortError`] that names the remedy: no such interface, down, no Ethernet, no XDP, taken, not permitted, too
    /// much locked memory.
    pub fn open(umem: &Umem, name: &str, options: XdpOptions) -> Result<XdpPort, PortError> {
        XdpPort::open_share(umem, name, options, XdpShare::default())
    }

    /// Opens the queues of the interface that are this worker's. Who leads opens first. Where the interface has none for a
    /// worker that does not lead, its port is down, and opens them when there are some ([`XdpPort::is_open`]).
    ///
    /// # Errors
    /// As [`XdpPort::open`].
    pub fn open_share(umem: &Umem, name: &str, options: XdpOptions, share: XdpShare) -> Result<XdpPort, PortError> {
        netdevice::check_name(name)?;
        let mut watch = LinkWatch::new(name).map_err(PortError::os(name, "watching the link"))?;
        let alarm = if share.leads() {
            watch.watch_queues().map_err(PortError::os(name, "watching the queues"))?;
            None
        } else {
            let alarm = Waker::new().map_err(PortError::os(name, "eventfd"))?;
            watch.add(alarm.fd()).map_err(PortError::os(name, "epoll_ctl"))?;
            share.set_alarm(alarm.clone());
            Some(alarm)
        };
        let mut port = XdpPort {
            umem: umem.clone(),
            options,
            info: PortInfo {
                name: name.to_owned(),
                kind: "af_xdp",
                mode: String::new(),
                medium: Medium::Ethernet,
                link_address: Default::default(),
                mtu: 0,
                link: LinkState::Down,
                xdp: None,
            },
            counters: PortCounters::default(),
            watch,
            device: None,
            generation: share.generation(),
            share,
            alarm,
            calls: 0,
            awaits_device: false,
        };
        for _ in 0..LET_GO_TRIES {
            match port.attach() {
                Err(PortError::Taken(_)) => std::thread::sleep(LET_GO_TIME),
                Err(PortError::NotServed(_)) => return Ok(port),
                other => return other.map(|()| port),
            }
        }
        port.attach().map(|()| port)
    }

    /// Whether it has queues.
    pub fn is_open(&self) -> bool {
        self.device.is_some()
    }

    fn attach(&mut self) -> Result<(), PortError> {
        self.generation = self.share.hear(self.alarm.as_ref());
        let name = &self.info.name;
        let found = netdevice::ethernet(name)?;
        let device = Device::open(&self.umem, name, &found, &self.options, &self.share)?;
        for socket in &device.sockets {
            self.watch.add(socket.fd()).map_err(PortError::os(name, "epoll_ctl"))?;
        }
        if let Some(tap) = &device.tap {
            self.watch.add(tap.fd()).map_err(PortError::os(name, "epoll_ctl"))?;
        }
        let given = device.given(self.umem.pool(), name, &found);
        self.info.mode = given.to_string();
        self.info.xdp = Some(given);
        self.awaits_device = given.busy_poll_us > 0 && !given.polls_device;
        self.watch.set_index(Some(found.index));
        if self.share.leads() {
            self.share.publish(device.steering.clone());
        }
        self.device = Some(device);
        self.take(&found);
        Ok(())
    }

    /// The first frames since the device was opened have come.
    #[cold]
    fn look_for_device(&mut self) {
        self.awaits_device = false;
        if let (Some(given), Some(device)) = (&mut self.info.xdp, &self.device)
            && device.polls_device()
        {
            given.polls_device = true;
            self.info.mode = given.to_string();
        }
    }

    fn take(&mut self, found: &NetDevice) {
        self.info.link = found.link;
        self.info.link_address = found.link_address;
        self.info.mtu = found.mtu.min(LARGEST_MTU);
        if let Some(given) = &mut self.info.xdp {
            given.interface_mtu = found.mtu;
        }
    }

    /// Closes the device; frames that were not sent are lost.
    fn detach(&mut self) {
        self.info.link = LinkState::Down;
        self.info.xdp = None;
        self.watch.set_index(None);
        if let Some(device) = self.device.take() {
            if self.share.leads() {
                self.share.withdraw();
            }
            let unsent = device.sockets.iter().map(|socket| u64::from(socket.unsent())).sum();
            self.lose(unsent);
            self.counters.rx_dropped += device.sockets.iter().map(Socket::lost).sum::<u64>();
        }
    }

    /// Counts frames as lost that were counted as sent.
    fn lose(&mut self, frames: u64) {
        self.counters.tx_frames = self.counters.tx_frames.saturating_sub(frames);
        self.counters.tx_dropped += frames;
    }

    #[cold]
    fn handle(&mut self, change: Change) {
        let open = self.device.as_ref().map(|device| device.index);
        if change.gone {
            self.detach();
        }
        if let Some(link) = &change.present {
            let found = NetDevice::from(link);
            let came_up = self.info.link == LinkState::Down && found.link == LinkState::Up;
            match &self.device {
                // What was left in the rings when the link went down is too old to be sent now.
                Some(device) if came_up && device.sockets.iter().any(|socket| socket.unsent() > 0) => self.detach(),
                Some(_) => self.take(&found),
                None => {}
            }
        }
        if self.device.is_none() && (change.present.is_some() || change.retry) {
            match self.attach() {
                Ok(()) => self.counters.reopened += u64::from(open.is_none() || change.gone),
                // Its own event will tell when there is one, or when it is up.
                Err(PortError::NoSuchInterface(_) | PortError::InterfaceDown(_)) => {}
                // The leader will tell.
                Err(PortError::NotServed(_)) => {}
                Err(_) => self.watch.retry_in(RETRY),
            }
        }
    }

    /// Looks whether the interface has as many queues as it had; else it is opened anew.
    #[cold]
    fn count_queues(&mut self) {
        let Some(device) = &self.device else { return };
        if netdevice::receive_queues(&self.info.name) != device.steering.queues {
            self.detach();
            match self.attach() {
                Ok(()) => self.counters.reopened += 1,
                Err(_) => self.watch.retry_in(RETRY),
            }
        }
    }

    /// The leader's program has come or gone.
    #[cold]
    fn follow(&mut self) {
        self.detach();
        match self.attach() {
            Ok(()) => self.counters.reopened += 1,
            // It is not there yet, or has no queue for this worker: its next change will tell.
            Err(PortError::NotServed(_)) => {}
            Err(_) => self.watch.retry_in(RETRY),
        }
    }

    /// Takes what both the kernel and the port hear; how many frames.
    fn hear_tap(&mut self, batch: &mut Batch) -> usize {
        let Some(tap) = self.device.as_ref().and_then(|device| device.tap.as_ref()) else { return 0 };
        let largest = self.info.mtu + ETHERNET_HEADER_LEN;
        let mut heard = 0;
        while let Some(octets) = tap.receive(self.umem.pool(), batch, largest) {
            heard += 1;
            self.counters.rx_frames += 1;
            self.counters.rx_octets += octets as u64;
        }
        heard
    }

    /// Copies frames of other pools into this one, and loses those that no interface would take.
    fn admit(&mut self, batch: &mut Batch) {
        let largest = self.info.mtu + ETHERNET_HEADER_LEN;
        let pool = self.umem.pool();
        if batch.iter().all(|packet| (1..=largest).contains(&packet.len()) && pool.owns(packet)) {
            return;
        }
        for packet in core::mem::take(batch) {
            let own = match (1..=largest).contains(&packet.len()) {
                true if pool.owns(&packet) => Some(packet),
                true => pool.copy_of(packet.bytes()).ok(),
                false => None,
            };
            match own {
                Some(packet) => batch.push(packet),
                None => self.counters.tx_dropped += 1,
            }
        }
    }
}

impl Device {
    fn open(
        umem: &Umem,
        name: &str,
        found: &NetDevice,
        options: &XdpOptions,
        share: &XdpShare,
    ) -> Result<Device, PortError> {
        let (program, steering, allmulti, tap) = if share.leads() {
            let allmulti = packet_socket::allmulti(found.index).map_err(PortError::os(name, "PACKET_MR_ALLMULTI"))?;
            let queues = netdevice::receive_queues(name);
            let program = Program::attach(found.index, queues, options.generic, options.kernel.as_ref())
                .map_err(|source| refused(name, source))?;
            let steering = program.steering(found.index, queues);
            let tap = options.kernel.clone().map(|kernel| KernelTap::open(found.index, kernel)).transpose();
            (Some(program), steering, Some(allmulti), tap.map_err(PortError::os(name, "a packet socket"))?)
        } else {
            let steering = share.steering(found.index);
            let steering = steering.filter(|steering| share.has_queue(steering.queues));
            (None, steering.ok_or_else(|| PortError::NotServed(name.to_owned()))?, None, None)
        };
        // Frames may lie across a page's end, where a device goes on reading only in what is one piece of memory.
        let zero_copy = !options.copy && steering.hook == Hook::Native && umem.pool().is_on_huge_pages();
        let mut sockets = Vec::new();
        for queue in share.queues(steering.queues) {
            let socket = Socket::open(umem, found.index, queue, zero_copy, options).map_err(|source| {
                match source.raw_os_error() {
                    Some(libc::ENOBUFS | libc::ENOMEM) => PortError::LockedMemory { octets: umem.pool().memory().1 },
                    _ => refused(name, source),
                }
            })?;
            steering.serve(queue, socket.fd()).map_err(PortError::os(name, "updating the socket map"))?;
            sockets.push(socket);
        }
        Ok(Device { index: found.index, _program: program, tap, steering, sockets, next: 0, _allmulti: allmulti })
    }

    fn polls_device(&self) -> bool {
        self.sockets.iter().any(Socket::polls_device)
    }

    fn given(&self, pool: &Pool, name: &str, found: &NetDevice) -> XdpGiven {
        let zero_copy = self.sockets.iter().all(Socket::is_zero_copy);
        let hook = self.steering.hook;
        XdpGiven {
            hook,
            zero_copy,
            need_wakeup: self.sockets.iter().all(Socket::uses_need_wakeup),
            busy_poll_us: self.sockets.iter().map(Socket::busy_poll_us).min().unwrap_or_default(),
            polls_device: self.polls_device(),
            multi_buffer: given::multi_buffer(self.index, hook, zero_copy),
            huge_pages: pool.is_on_huge_pages(),
            queues: self.steering.queues,
            own_queues: self.sockets.len() as u32,
            interface_mtu: found.mtu,
            memory_node: memory_node(Path::new(INTERFACES), name, found),
        }
    }
}

/// What the kernel's refusal to attach or bind means.
fn refused(name: &str, source: io::Error) -> PortError {
    match source.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST) => PortError::Taken(name.to_owned()),
        Some(libc::EPERM | libc::EACCES | libc::ENODEV | libc::ENETDOWN) => {
            PortError::os(name, "attaching an XDP program")(source)
        }
        _ => PortError::NoXdp { name: name.to_owned(), source },
    }
}

impl Port for XdpPort {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn counters(&self) -> PortCounters {
        let open: u64 = self.device.iter().flat_map(|device| &device.sockets).map(Socket::lost).sum();
        PortCounters { rx_dropped: self.counters.rx_dropped + open, ..self.counters }
    }

    fn rx_batch(&mut self, pool: &Pool, batch: &mut Batch) -> usize {
        debug_assert_eq!(pool.memory(), self.umem.pool().memory(), "a worker has one pool");
        if self.share.generation() != self.generation && !self.share.leads() {
            self.follow();
        }
        let mut received = 0;
        if let Some(device) = &mut self.device {
            let mut lost = 0;
            for offset in 0..device.sockets.len() {
                let queue = (device.next + offset) % device.sockets.len();
                let socket = &mut device.sockets[queue];
                socket.reap();
                if socket.unsent() > 0 {
                    socket.kick(&mut lost);
                }
                let new = socket.receive(batch);
                received += new.frames;
                self.counters.rx_frames += new.frames as u64;
                self.counters.rx_octets += new.octets;
                self.counters.rx_dropped += new.invalid;
            }
            device.next = (device.next + 1) % device.sockets.len();
            self.lose(lost);
        }
        // It is seldom that the kernel and the port both hear something.
        if received == 0 || self.calls.is_multiple_of(TAP_AFTER) {
            received += self.hear_tap(batch);
        }
        if received > 0 && self.awaits_device {
            self.look_for_device();
        }
        self.calls = self.calls.wrapping_add(1);
        if received == 0 || self.calls.is_multiple_of(LOOK_AFTER) {
            if let Some(change) = self.watch.look() {
                self.handle(change);
            }
            if self.share.leads() && self.watch.is_time_to_count() {
                self.count_queues();
            }
        }
        received
    }

    fn tx_batch(&mut self, batch: &mut Batch) {
        if self.info.link == LinkState::Down {
            self.counters.tx_dropped += batch.len() as u64;
            batch.clear();
            return;
        }
        self.admit(batch);
        // All leave by the first queue, so that they stay in order.
        let Some(socket) = self.device.as_mut().and_then(|device| device.sockets.first_mut()) else { return };
        socket.reap();
        let count = socket.room(batch.len()).min(batch.len());
        let octets: usize = batch.iter().take(count).map(Packet::len).sum();
        socket.send(batch, count);
        let mut lost = 0;
        if socket.kick(&mut lost) == Kick::Later || !batch.is_empty() {
            self.watch.retry_in(SEND_AGAIN);
        }
        self.counters.tx_frames += count as u64;
        self.counters.tx_octets += octets as u64;
        self.lose(lost);
    }

    fn poll_fd(&self) -> Option<RawFd> {
        Some(self.watch.poll_fd())
    }
}
