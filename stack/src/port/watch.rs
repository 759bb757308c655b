//! Watching the interface of a port: gone, back, up, down, other queues.
//!
//! The kernel's events wait in sockets that are looked into every [`INTERVAL`] at the most, by a clock that costs
//! no system call; between two looks nothing is spent on it. All descriptors of a port hang on one epoll descriptor, so
//! that a worker that sleeps wakes for events too.

use super::ethtool_events::EthtoolEvents;
use super::netlink::{Link, Message, Socket};
use super::wait::monotonic_coarse;
use crate::time::{Duration, Instant};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(10);
/// Time between two looks at what no event may tell of, while looks are taken at all.
const LONG_INTERVAL: Duration = Duration::from_secs(1);
/// Datagrams that are read in a look at the most; what is left is read in the next.
const MAX_DATAGRAMS: usize = 64;
/// Time between two attempts to open an interface again.
pub(super) const RETRY: Duration = Duration::from_millis(250);

/// What has happened to the interface since the last look.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Change {
    /// It went away, whether or not one of its name is there now.
    pub(super) gone: bool,
    /// As it is now; `None` where it is not there or where nothing was heard of it.
    pub(super) present: Option<Link>,
    /// The time asked for by [`LinkWatch::retry_in`] has come.
    pub(super) retry: bool,
}

#[derive(Debug)]
pub(super) struct LinkWatch {
    name: String,
    index: Option<u32>,
    events: Socket,
    timer: OwnedFd,
    epoll: OwnedFd,
    armed: bool,
    next_look: Instant,
    next_count: Instant,
    /// Where the number of queues matters and the kernel tells of it.
    settings: Option<EthtoolEvents>,
    settings_changed: bool,
}

impl LinkWatch {
    /// Starts watching, before the interface is looked up, so that nothing is missed.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        let events = Socket::link_events()?;
        // SAFETY: no pointer is passed; `owned` checks the result.
        let timer =
            unsafe { owned(libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC)) }?;
        // SAFETY: as above.
        let epoll = unsafe { owned(libc::epoll_create1(libc::EPOLL_CLOEXEC)) }?;
        let watch = LinkWatch {
            name: name.to_owned(),
            index: None,
            events,
            timer,
            epoll,
            armed: false,
            next_look: Instant::ORIGIN,
            next_count: Instant::ORIGIN,
            settings: None,
            settings_changed: false,
        };
        watch.add(watch.events.fd())?;
        watch.add(watch.timer.as_raw_fd())?;
        Ok(watch)
    }

    /// Has [`LinkWatch::poll_fd`] become readable, and [`LinkWatch::is_time_to_count`] true, when an interface may have
    /// other queues. A kernel that cannot tell of them is no error.
    pub(super) fn watch_queues(&mut self) -> io::Result<()> {
        let Ok(settings) = EthtoolEvents::open() else { return Ok(()) };
        self.add(settings.fd())?;
        self.settings = Some(settings);
        Ok(())
    }

    /// The number of the interface that the port has opened.
    pub(super) fn set_index(&mut self, index: Option<u32>) {
        self.index = index;
    }

    /// The descriptor that is readable where any of the port's is.
    pub(super) fn poll_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// Hangs a descriptor of the port on the epoll descriptor. Closing it takes it off.
    pub(super) fn add(&self, fd: RawFd) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        // SAFETY: `event` is one epoll_event, read by the call only.
        let result = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Has [`LinkWatch::poll_fd`] become readable, and `retry` reported, after `time`.
    pub(super) fn retry_in(&mut self, time: Duration) {
        let at = libc::timespec { tv_sec: time.as_secs() as libc::time_t, tv_nsec: time.subsec_nanos().into() };
        let value = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        // SAFETY: `value` is one itimerspec; the old value is not asked for.
        let result = unsafe { libc::timerfd_settime(self.timer.as_raw_fd(), 0, &value, core::ptr::null_mut()) };
        self.armed = result == 0;
    }

    /// Whether it is time to count the interface's queues: the kernel has told of changed settings, or a while has passed,
    /// since there are drivers and kernels that tell nothing. Only right behind [`LinkWatch::look`], whose clock it goes by.
    pub(super) fn is_time_to_count(&mut self) -> bool {
        let is_time = core::mem::take(&mut self.settings_changed) || self.next_look >= self.next_count;
        if is_time {
            self.next_count = self.next_look + LONG_INTERVAL;
        }
        is_time
    }

    /// Looks whether anything has happened, where it is time to look.
    pub(super) fn look(&mut self) -> Option<Change> {
        let now = monotonic_coarse();
        if now < self.next_look {
            return None;
        }
        self.next_look = now + INTERVAL;
        let mut change = Change { retry: self.expired(), ..Change::default() };
        self.settings_changed |= self.settings.as_ref().is_some_and(|settings| settings.read(MAX_DATAGRAMS));
        for _ in 0..MAX_DATAGRAMS {
            match self.events.receive() {
                Ok(messages) => messages.into_iter().for_each(|message| self.note(message, &mut change)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Events were lost: ask for the state.
                Err(_) => {
                    match Socket::open().and_then(|socket| socket.link(&self.name)) {
                        Ok(Some(link)) => self.note(Message::New(link), &mut change),
                        Ok(None) => change = Change { gone: true, present: None, ..change },
                        Err(_) => self.retry_in(RETRY),
                    }
                    break;
                }
            }
        }
        (change != Change::default()).then_some(change)
    }

    fn note(&self, message: Message, change: &mut Change) {
        match message {
            Message::New(link) if self.is_ours(&link) => {
                change.gone |= self.index.is_some_and(|index| index != link.index);
                change.present = Some(link);
            }
            Message::Deleted(link) if self.is_ours(&link) => {
                change.gone = true;
                change.present = None;
            }
            _ => {}
        }
    }

    fn is_ours(&self, link: &Link) -> bool {
        Some(link.index) == self.index || link.name.as_deref() == Some(&self.name)
    }

    fn expired(&mut self) -> bool {
        if !self.armed {
            return false;
        }
        let mut count = [0u8; 8];
        // SAFETY: the octets of `count`.
        let length = unsafe { libc::read(self.timer.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
        self.armed = length < 0;
        length > 0
    }
}

/// Takes ownership of what a system call returned, or the error that it set.
///
/// # Safety
/// `fd` is the result of a system call made just before, and a new descriptor where it is not negative.
pub(super) unsafe fn owned(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: new, says the caller, so that nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
