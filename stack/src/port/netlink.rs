//! What little of netlink(7) the ports need: requests with attributes, links out of what rtnetlink(7) answers, and the
//! payloads of other answers.
//!
//! Messages are read with every length checked; what makes no sense is skipped.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const HEADER: usize = 16;
const IFINFO: usize = 16;
const ALIGN: usize = 4;

/// IFLA_* (linux/if_link.h).
pub(super) mod ifla {
    pub(crate) const ADDRESS: u16 = 1;
    pub(crate) const IFNAME: u16 = 3;
    pub(crate) const MTU: u16 = 4;
    pub(crate) const AF_SPEC: u16 = 26;
    pub(crate) const INET6_ADDR_GEN_MODE: u16 = 8;
}

/// One request, its header and fixed part first.
pub(super) struct Request(Vec<u8>);

impl Request {
    pub(super) fn new(kind: u16, flags: i32, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(((flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(fixed);
        Request(bytes)
    }

    /// A request about the link `index`; 0 where an attribute names it.
    pub(super) fn link(kind: u16, index: u32, flags: u32, change: u32) -> Self {
        let mut fixed = [0; IFINFO];
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
        fixed[12..].copy_from_slice(&change.to_ne_bytes());
        Request::new(kind, 0, &fixed)
    }

    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(((4 + value.len()) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
        self
    }

    pub(super) fn nested(mut self, kind: u16, build: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        self.0.extend([0; 4]);
        self = build(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
        self
    }
}

const NESTED: u16 = 1 << 15;

/// A link as the kernel describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Link {
    pub(super) index: u32,
    /// ARPHRD_*.
    pub(super) kind: u16,
    /// IFF_*.
    pub(super) flags: u32,
    pub(super) name: Option<String>,
    pub(super) address: Option<[u8; 6]>,
    pub(super) mtu: Option<u32>,
}

impl Link {
    /// Whether it is administratively up.
    pub(super) fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    /// Whether frames can pass: up, and with a carrier.
    pub(super) fn is_running(&self) -> bool {
        let both = (libc::IFF_UP | libc::IFF_LOWER_UP) as u32;
        self.flags & both == both
    }

    fn parse(payload: &[u8]) -> Option<Link> {
        let (fixed, rest) = payload.split_first_chunk::<IFINFO>()?;
        // Bridges and other families report their own side of a link in messages of the same type.
        if fixed[0] != libc::AF_UNSPEC as u8 {
            return None;
        }
        let mut link = Link {
            index: u32::from_ne_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            kind: u16::from_ne_bytes([fixed[2], fixed[3]]),
            flags: u32::from_ne_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            name: None,
            address: None,
            mtu: None,
        };
        for (kind, value) in Attributes(rest) {
            match kind {
                ifla::IFNAME => {
                    let text = value.split(|&octet| octet == 0).next().unwrap_or_default();
                    link.name = core::str::from_utf8(text).ok().map(str::to_owned);
                }
                ifla::ADDRESS => link.address = value.try_into().ok(),
                ifla::MTU => link.mtu = value.try_into().ok().map(u32::from_ne_bytes),
                _ => {}
            }
        }
        Some(link)
    }
}

/// Attributes one after the other: type and value.
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head = self.0.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & !NESTED;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Something that a socket was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Message {
    /// A link is there or has changed.
    New(Link),
    /// A link has gone.
    Deleted(Link),
    /// The answer to a request: 0 or an errno.
    Done(i32),
}

/// The messages of one datagram: type and payload.
struct Datagram<'a>(&'a [u8]);

impl<'a> Iterator for Datagram<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head = self.0.first_chunk::<HEADER>()?;
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let payload = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((u16::from_ne_bytes([head[4], head[5]]), payload))
    }
}

/// What rtnetlink says in one datagram.
fn messages(datagram: &[u8]) -> Vec<Message> {
    let read = |(kind, payload)| match kind {
        libc::RTM_NEWLINK => Link::parse(payload).map(Message::New),
        libc::RTM_DELLINK => Link::parse(payload).map(Message::Deleted),
        kind => outcome(kind, payload).map(Message::Done),
    };
    Datagram(datagram).filter_map(read).collect()
}

/// 0 or the errno with which a request is answered, where this message does that.
fn outcome(kind: u16, payload: &[u8]) -> Option<i32> {
    let answers = i32::from(kind) == libc::NLMSG_ERROR;
    answers.then(|| payload.first_chunk().map_or(libc::EBADMSG, |code| -i32::from_ne_bytes(*code)))
}

/// A netlink(7) socket.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// Opens one that answers requests.
    pub(super) fn open() -> io::Result<Self> {
        Self::bind(libc::NETLINK_ROUTE, 0, 0)
    }

    /// Opens one that is told of changed links, and never blocks.
    pub(super) fn link_events() -> io::Result<Self> {
        Self::bind(libc::NETLINK_ROUTE, libc::RTMGRP_LINK as u32, libc::SOCK_NONBLOCK)
    }

    /// Opens one to the families of generic netlink.
    pub(super) fn open_generic() -> io::Result<Self> {
        Self::bind(libc::NETLINK_GENERIC, 0, 0)
    }

    /// Opens one that is told what it [joins](Socket::join) of the families of generic netlink, and never blocks.
    pub(super) fn generic_events() -> io::Result<Self> {
        Self::bind(libc::NETLINK_GENERIC, 0, libc::SOCK_NONBLOCK)
    }

    /// Joins a multicast group of its protocol.
    pub(super) fn join(&self, group: u32) -> io::Result<()> {
        let length = size_of::<u32>() as libc::socklen_t;
        let (level, option) = (libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP);
        // SAFETY: the value is one integer of the length given, read by the call only.
        let result = unsafe { libc::setsockopt(self.fd(), level, option, (&raw const group).cast(), length) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn bind(protocol: i32, groups: u32, flags: i32) -> io::Result<Self> {
        // SAFETY: no pointer is passed; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC | flags, protocol) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that was just made and that nothing else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: all zeros is a valid sockaddr_nl.
        let mut address: libc::sockaddr_nl = unsafe { core::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = groups;
        // SAFETY: `address` is a sockaddr_nl of the length given.
        let result = unsafe {
            libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_nl>() as libc::socklen_t)
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(Socket(fd)) }
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    fn send(&self, request: Request) -> io::Result<()> {
        let mut bytes = request.0;
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        // SAFETY: the octets of `bytes`; a netlink socket without a destination sends to the kernel.
        let sent = unsafe { libc::send(self.fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Sends `request` and waits for the kernel's answer, which comes at once: the payloads in it, whatever the family.
    pub(super) fn ask(&self, request: Request) -> io::Result<Vec<Vec<u8>>> {
        self.send(request)?;
        let mut payloads = Vec::new();
        let mut done = None;
        while done.is_none() {
            self.receive_datagram(|datagram| {
                for (kind, payload) in Datagram(datagram) {
                    match outcome(kind, payload) {
                        None => payloads.push(payload.to_vec()),
                        answered => done = answered,
                    }
                }
            })?;
        }
        match done {
            Some(error) if error != 0 => Err(io::Error::from_raw_os_error(error)),
            _ => Ok(payloads),
        }
    }

    /// Sends `request` and waits for the answer of rtnetlink, which comes at once.
    pub(super) fn call(&self, request: Request) -> io::Result<Vec<Message>> {
        self.send(request)?;
        let mut answer = Vec::new();
        loop {
            let more = self.receive()?;
            let done = more.iter().find_map(|message| match message {
                Message::Done(error) => Some(*error),
                _ => None,
            });
            answer.extend(more);
            match done {
                Some(0) => return Ok(answer),
                Some(error) => return Err(io::Error::from_raw_os_error(error)),
                None => {}
            }
        }
    }

    /// The messages of the next datagram; [`io::ErrorKind::WouldBlock`] where none waits, ENOBUFS where some were lost.
    pub(super) fn receive(&self) -> io::Result<Vec<Message>> {
        self.receive_datagram(messages)
    }

    fn receive_datagram<T>(&self, read: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        let mut buffer = [0u8; 16384];
        loop {
            // SAFETY: the octets of `buffer`.
            let length = unsafe { libc::recv(self.fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            if length >= 0 {
                return Ok(read(&buffer[..length as usize]));
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// The link called `name`; `None` where there is none.
    pub(super) fn link(&self, name: &str) -> io::Result<Option<Link>> {
        let mut text = name.as_bytes().to_vec();
        text.push(0);
        match self.call(Request::link(libc::RTM_GETLINK, 0, 0, 0).attribute(ifla::IFNAME, &text)) {
            Ok(answer) => Ok(answer.into_iter().find_map(|message| match message {
                Message::New(link) => Some(link),
                _ => None,
            })),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn newlink() -> Vec<u8> {
        let mut bytes = Request::link(libc::RTM_NEWLINK, 7, (libc::IFF_UP | libc::IFF_LOWER_UP) as u32, 0)
            .attribute(ifla::IFNAME, b"port0\0")
            .nested(ifla::AF_SPEC, |request| request.attribute(1, b"x"))
            .attribute(ifla::ADDRESS, &[2, 0, 0, 0, 0, 1])
            .attribute(ifla::MTU, &1400u32.to_ne_bytes())
            .0;
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_link_is_read_from_its_message() {
        let found = messages(&newlink());
        let [Message::New(link)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((link.index, link.name.as_deref(), link.mtu), (7, Some("port0"), Some(1400)));
        assert_eq!(link.address, Some([2, 0, 0, 0, 0, 1]));
        assert!(link.is_up() && link.is_running());
    }

    #[test]
    fn every_truncation_is_survived() {
        let whole = newlink();
        for length in 0..whole.len() {
            assert!(messages(&whole[..length]).is_empty());
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(position in 0usize..80, octet: u8, tail in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = newlink();
            let position = position.min(bytes.len() - 1);
            bytes[position] = octet;
            bytes.extend(tail);
            messages(&bytes);
        }
    }

    #[test]
    fn the_loopback_interface_is_there() {
        let socket = Socket::open().unwrap();
        assert_eq!(socket.link("lo").unwrap().unwrap().kind, libc::ARPHRD_LOOPBACK);
        assert_eq!(socket.link("nosuchlink").unwrap(), None);
    }
}
