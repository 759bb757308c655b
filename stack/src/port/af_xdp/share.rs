//! An interface whose queues several workers serve: one of them attaches the program, and each serves its part of the queues.

use crate::port::bpf::{self, Hook};
use crate::port::wait::Waker;
use core::sync::atomic::{AtomicU64, Ordering};
use parking_lot::Mutex;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;

/// Which of an interface's queues a worker serves: every `workers`th, from the one of its own number on. The worker
/// with number 0 leads: its port attaches the XDP program, and the others' ports serve their queues while it does.
#[derive(Clone, Debug)]
pub struct XdpShare {
    shared: Arc<Shared>,
    worker: u32,
    workers: u32,
}

#[derive(Debug, Default)]
struct Shared {
    /// Counts up with every change.
    generation: AtomicU64,
    steering: Mutex<Option<Steering>>,
    /// Those who wait to hear of a change.
    followers: Mutex<Vec<Waker>>,
}

/// The attached program, as far as those need it that serve its queues.
#[derive(Clone, Debug)]
pub(super) struct Steering {
    /// Number of the interface.
    pub(super) interface: u32,
    /// Its receive queues.
    pub(super) queues: u32,
    /// Where the program is attached.
    pub(super) hook: Hook,
    /// The map from a queue to its socket.
    pub(super) sockets: Arc<OwnedFd>,
}

impl Steering {
    /// Has the frames of `queue` go to `socket`.
    pub(super) fn serve(&self, queue: u32, socket: RawFd) -> io::Result<()> {
        bpf::update_element(&self.sockets, &queue.to_ne_bytes(), &socket.to_ne_bytes())
    }
}

impl Default for XdpShare {
    /// One worker serves all queues.
    fn default() -> Self {
        XdpShare { shared: Arc::default(), worker: 0, workers: 1 }
    }
}

impl XdpShare {
    /// The parts of so many workers, of whom there is one at least, in order.
    pub fn among(workers: u32) -> Vec<XdpShare> {
        let shared = Arc::<Shared>::default();
        let workers = workers.max(1);
        (0..workers).map(|worker| XdpShare { shared: Arc::clone(&shared), worker, workers }).collect()
    }

    /// Whether this worker's port attaches the program.
    pub fn leads(&self) -> bool {
        self.worker == 0
    }

    /// Whether this worker has a queue of an interface with so many.
    pub fn has_queue(&self, queues: u32) -> bool {
        self.worker < queues
    }

    /// The queues of this worker.
    pub(super) fn queues(&self, of: u32) -> impl Iterator<Item = u32> + use<> {
        (self.worker..of).step_by(self.workers as usize)
    }

    /// The program is attached.
    pub(super) fn publish(&self, steering: Steering) {
        *self.shared.steering.lock() = Some(steering);
        self.tell();
    }

    /// It is not any more.
    pub(super) fn withdraw(&self) {
        *self.shared.steering.lock() = None;
        self.tell();
    }

    fn tell(&self) {
        let followers = self.shared.followers.lock();
        self.shared.generation.fetch_add(1, Ordering::Release);
        followers.iter().for_each(Waker::wake);
    }

    /// Wakes `alarm` whenever the program comes or goes, as long as a clone of this share is there.
    pub(super) fn set_alarm(&self, alarm: Waker) {
        self.shared.followers.lock().push(alarm);
    }

    /// The present [`generation`](XdpShare::generation), of which `alarm` need not tell any more: it is woken by later ones
    /// alone.
    pub(super) fn hear(&self, alarm: Option<&Waker>) -> u64 {
        // Between the two halves of a change one of them would be lost, or told for ever.
        let _followers = self.shared.followers.lock();
        alarm.into_iter().for_each(Waker::clear);
        self.generation()
    }

    /// The program on this interface, where it is attached.
    pub(super) fn steering(&self, interface: u32) -> Option<Steering> {
        self.shared.steering.lock().clone().filter(|steering| steering.interface == interface)
    }

    /// A number that changes whenever the program comes or goes.
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_has_one_worker() {
        for (workers, queues) in [(1, 4), (2, 4), (3, 4), (4, 4), (8, 3)] {
            let shares = XdpShare::among(workers);
            let mut served: Vec<u32> = shares.iter().flat_map(|share| share.queues(queues)).collect();
            served.sort();
            assert_eq!(served, (0..queues).collect::<Vec<_>>());
            for share in &shares {
                assert_eq!(share.has_queue(queues), share.queues(queues).next().is_some());
            }
            assert!(shares[0].leads() && shares[1..].iter().all(|share| !share.leads()));
        }
    }
}
