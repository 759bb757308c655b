use super::Waker;
use crate::sync::{Arc, AtomicBool, Ordering, fence};
use std::io;

/// Wakes a worker that sleeps, and costs nothing where it does not. Clones ring at the same worker.
///
/// Who leaves something for a worker leaves it first and rings then; a worker says that it is about to sleep first and looks
/// then whether something is there. One of the two sees the other, whatever the order in which they come: both have a
/// sequentially consistent fence between their two steps.
#[derive(Clone, Debug)]
pub struct Bell(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    waker: Waker,
    is_asleep: AtomicBool,
}

impl Bell {
    /// A bell that nobody has heard yet.
    ///
    /// # Errors
    /// What eventfd(2) says.
    pub fn new() -> io::Result<Self> {
        Ok(Bell(Arc::new(Inner { waker: Waker::new()?, is_asleep: AtomicBool::new(false) })))
    }

    /// Wakes the worker where it sleeps or is about to. Something was left for it before.
    #[inline]
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.0.is_asleep.load(Ordering::Relaxed) {
            self.0.waker.wake();
        }
    }

    /// What the worker waits on, and what wakes it in any case.
    pub fn waker(&self) -> Waker {
        self.0.waker.clone()
    }

    /// The worker is about to sleep: it looks now whether something was left for it, and sleeps where nothing was.
    pub(super) fn doze(&self) {
        self.0.is_asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The worker is awake.
    pub(super) fn rise(&self) {
        self.0.is_asleep.store(false, Ordering::Relaxed);
    }
}
