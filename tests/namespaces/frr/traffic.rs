//! A program that sends numbered datagrams to a group, and programs that have joined it, for its source or whoever sends.

use crate::listener::join_source;
use crate::room::{PATIENCE, Room, interface_index, until};
use std::io;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

/// Where programs send to and listen.
const TRANSPORT_PORT: u16 = 5001;
const HOP_LIMIT: libc::c_int = 16;
/// Between two datagrams.
const PACE: Duration = Duration::from_millis(5);
/// Between two looks at something else than datagrams.
const PER_LOOK: usize = 10;
/// How many datagrams show that each comes once.
const COUNT: u64 = 200;

/// A program that sends.
pub(crate) struct Sender {
    socket: UdpSocket,
    to: SocketAddrV6,
    next: u64,
}

impl Sender {
    pub(crate) fn new(room: &Room, host: &str, group: Ipv6Addr) -> Self {
        room.within(host, || {
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a socket can be made");
            set(&socket, libc::IPV6_MULTICAST_HOPS, HOP_LIMIT);
            set(&socket, libc::IPV6_MULTICAST_IF, interface_index("eth0") as libc::c_int);
            Sender { socket, to: SocketAddrV6::new(group, TRANSPORT_PORT, 0, 0), next: 0 }
        })
    }

    /// The same with another first number, so that the datagrams of several are told apart.
    pub(crate) fn starting_at(self, next: u64) -> Self {
        Sender { next, ..self }
    }

    pub(crate) fn group(&self) -> Ipv6Addr {
        *self.to.ip()
    }

    /// Sends the next datagram; its number.
    pub(crate) fn send(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.socket.send_to(&number.to_be_bytes(), self.to).expect("it can be sent");
        number
    }
}

fn set(socket: &UdpSocket, option: libc::c_int, value: libc::c_int) {
    // SAFETY: `value` is as long as is said.
    let set = unsafe {
        let length = size_of::<libc::c_int>() as u32;
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IPV6, option, (&raw const value).cast(), length)
    };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

/// A program that has joined. Dropping leaves.
pub(crate) struct Receiver(UdpSocket);

impl Receiver {
    /// Joins the group for one source.
    pub(crate) fn join_source(room: &Room, host: &str, group: Ipv6Addr, source: Ipv6Addr) -> Self {
        Receiver::open(room, host, group, |socket| join_source(socket, "eth0", group, source))
    }

    /// Joins the group, whoever sends.
    pub(crate) fn join(room: &Room, host: &str, group: Ipv6Addr) -> Self {
        let join = |socket: &UdpSocket| socket.join_multicast_v6(&group, interface_index("eth0"));
        Receiver::open(room, host, group, |socket| join(socket).expect("a group can be joined"))
    }

    fn open(room: &Room, host: &str, group: Ipv6Addr, join: impl FnOnce(&UdpSocket) + Send) -> Self {
        room.within(host, || {
            let socket = UdpSocket::bind(SocketAddrV6::new(group, TRANSPORT_PORT, 0, 0)).expect("a socket can be made");
            socket.set_nonblocking(true).expect("a socket can be that");
            join(&socket);
            Receiver(socket)
        })
    }

    /// The numbers of what has come, in order.
    pub(crate) fn take(&self) -> Vec<u64> {
        let mut datagram = [0; 8];
        core::iter::from_fn(|| self.0.recv(&mut datagram).ok().map(|_| u64::from_be_bytes(datagram))).collect()
    }
}

/// Sends until every receiver has got something.
pub(crate) fn await_traffic(what: &str, sender: &mut Sender, receivers: &[&Receiver]) {
    for receiver in receivers {
        until(what, || {
            sender.send();
            (!receiver.take().is_empty()).then_some(())
        });
    }
}

/// What became of datagrams that were sent while trees changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Transition {
    /// How many were sent before the first that came.
    pub(crate) before: u64,
    /// From the first that came on.
    pub(crate) sent: u64,
    /// Those of them that did not come.
    pub(crate) lost: Vec<u64>,
    /// Those that came more than once.
    pub(crate) doubled: Vec<u64>,
}

/// Sends until a receiver has got something and something else has happened; what became of all datagrams until then.
pub(crate) fn await_traffic_of_transition(
    sender: &mut Sender,
    receiver: &Receiver,
    mut has_happened: impl FnMut() -> bool,
) -> Transition {
    let mut received: Vec<u64> = Vec::new();
    let start = sender.next;
    let deadline = Instant::now() + PATIENCE;
    while received.is_empty() || !has_happened() {
        assert!(Instant::now() < deadline, "waited {} s in vain while sending: {received:?}", PATIENCE.as_secs());
        // Some more than the look at what may have happened needs.
        for _ in 0..PER_LOOK {
            sender.send();
            thread::sleep(PACE);
            received.extend(receiver.take());
        }
    }
    let end = sender.next;
    until("a datagram that comes last", || {
        sender.send();
        received.extend(receiver.take());
        received.iter().any(|&number| number >= end).then_some(())
    });
    received.retain(|&number| number < end);
    let first = *received.iter().min().expect("something has come");
    let times = |number: &u64| received.iter().filter(|received| *received == number).count();
    let (lost, doubled) =
        ((first..end).filter(|number| times(number) == 0), (first..end).filter(|number| times(number) > 1));
    Transition { before: first - start, sent: end - first, lost: lost.collect(), doubled: doubled.collect() }
}

/// A number of datagrams that are sent from now on come to every receiver once.
pub(crate) fn assert_each_comes_once(sender: &mut Sender, receivers: &[&Receiver]) -> Range<u64> {
    assert_each_comes_once_for(Duration::ZERO, sender, receivers)
}

/// The same for so long at the least; the numbers of the datagrams.
pub(crate) fn assert_each_comes_once_for(period: Duration, sender: &mut Sender, receivers: &[&Receiver]) -> Range<u64> {
    let started = Instant::now();
    assert_each_comes_once_until(sender, receivers, || started.elapsed() >= period)
}

/// The same until something has happened.
pub(crate) fn assert_each_comes_once_until(
    sender: &mut Sender,
    receivers: &[&Receiver],
    mut has_happened: impl FnMut() -> bool,
) -> Range<u64> {
    // What is on its way from before.
    let before = sender.send();
    await_number(sender, receivers, before);
    let first = sender.next;
    let mut received = vec![Vec::new(); receivers.len()];
    let deadline = Instant::now() + PATIENCE;
    while sender.next < first + COUNT || !has_happened() {
        assert!(Instant::now() < deadline, "waited {} s in vain while sending", PATIENCE.as_secs());
        sender.send();
        thread::sleep(PACE);
        for (received, receiver) in received.iter_mut().zip(receivers) {
            received.extend(receiver.take());
        }
    }
    let end = sender.next;
    for (received, receiver) in received.iter_mut().zip(receivers) {
        // A later one tells that nothing is on its way any more.
        until("a datagram that comes last", || {
            sender.send();
            received.extend(receiver.take());
            received.iter().any(|&number| number >= end).then_some(())
        });
        received.retain(|number| (first..end).contains(number));
        received.sort_unstable();
        let lost: Vec<u64> = (first..end).filter(|number| !received.contains(number)).collect();
        assert!(lost.is_empty(), "of datagrams {first} to {end} these are lost: {lost:?}");
        received.dedup_by(|one, other| {
            assert_ne!(one, other, "this datagram came twice");
            false
        });
    }
    first..end
}

/// Waits until nothing that was sent up to `number` is still on its way.
fn await_number(sender: &mut Sender, receivers: &[&Receiver], number: u64) {
    for receiver in receivers {
        until("a datagram that was sent now", || {
            sender.send();
            receiver.take().iter().any(|&received| received > number).then_some(())
        });
    }
}
