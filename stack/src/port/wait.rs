//! Waiting: for descriptors that become readable, for a time, for another thread; and the clock by which that is done.

use super::watch::owned;
use crate::time::{Duration, Instant};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// Wakes a thread that sleeps in [`Waits::wait`]. Clones wake the same thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// A waker that nobody waits on yet.
    ///
    /// # Errors
    /// What eventfd(2) says.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointer is passed; `owned` checks the result.
        let fd = unsafe { owned(libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)) }?;
        Ok(Waker(Arc::new(fd)))
    }

    /// Ends the sleep of the thread, or its next one where it is awake.
    pub fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the octets of `one`. It fails only where the counter is full, and then the thread wakes anyhow.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// The descriptor that is readable once it was woken.
    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Forgets that it was woken.
    pub(crate) fn clear(&self) {
        let mut count = [0u8; 8];
        // SAFETY: the octets of `count`. It fails where nobody has woken, which is as good.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

/// The descriptors that a thread sleeps on.
#[derive(Debug)]
pub struct Waits {
    waker: Waker,
    descriptors: Vec<libc::pollfd>,
}

impl Waits {
    /// Sleeps that `waker` ends.
    pub fn new(waker: Waker) -> Self {
        Waits { waker, descriptors: Vec::new() }
    }

    /// Sleeps until one of `descriptors` is readable, someone has called the waker, `time` has passed, or a signal came.
    pub fn wait(&mut self, descriptors: impl Iterator<Item = RawFd>, time: Option<Duration>) {
        let readable = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        self.descriptors.clear();
        self.descriptors.push(readable(self.waker.0.as_raw_fd()));
        self.descriptors.extend(descriptors.map(readable));
        let limit = time.map(|time| libc::timespec {
            tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: time.subsec_nanos().into(),
        });
        let limit = limit.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
        let count = self.descriptors.len() as libc::nfds_t;
        // SAFETY: as many pollfd as are said, and one timespec or none.
        unsafe { libc::ppoll(self.descriptors.as_mut_ptr(), count, limit, core::ptr::null()) };
        if self.descriptors[0].revents != 0 {
            self.waker.clear();
        }
    }
}

/// The time of CLOCK_MONOTONIC: the same in all processes of a machine, since its start.
pub fn monotonic() -> Instant {
    clock(libc::CLOCK_MONOTONIC)
}

/// The same at the resolution of the kernel's tick, some milliseconds, which costs less.
pub(super) fn monotonic_coarse() -> Instant {
    clock(libc::CLOCK_MONOTONIC_COARSE)
}

fn clock(number: libc::clockid_t) -> Instant {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is one timespec.
    unsafe { libc::clock_gettime(number, &mut time) };
    Instant::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_before_the_sleep_is_not_lost_and_ends_one_sleep() {
        let waker = Waker::new().unwrap();
        let mut waits = Waits::new(waker.clone());
        waker.wake();
        waker.clone().wake();
        waits.wait(std::iter::empty(), None);
        let before = monotonic();
        waits.wait(std::iter::empty(), Some(Duration::from_millis(2)));
        assert!(monotonic().since(before) >= Duration::from_millis(2));
    }

    #[test]
    fn another_thread_ends_the_sleep() {
        let waker = Waker::new().unwrap();
        let mut waits = Waits::new(waker.clone());
        let other = std::thread::spawn(move || waker.wake());
        waits.wait(std::iter::empty(), None);
        other.join().unwrap();
    }

    #[test]
    fn a_readable_descriptor_ends_the_sleep() {
        let mut waits = Waits::new(Waker::new().unwrap());
        let readable = Waker::new().unwrap();
        readable.wake();
        waits.wait(std::iter::once(readable.0.as_raw_fd()), None);
    }
}
