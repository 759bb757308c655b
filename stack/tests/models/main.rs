//! What workers share, under every order of threads and of memory that the language allows (loom): the sources are those of
//! the stack, compiled here with loom's atomics in the place of the processor's.

#![allow(dead_code, unreachable_pub)]

/// As `stack/src/sync.rs`.
mod sync {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::Arc;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
}

mod packet {
    pub(crate) const BATCH_SIZE: usize = 4;
}

mod tables {
    #[path = "../../../src/tables/hash.rs"]
    pub(crate) mod hash;
    #[path = "../../../src/tables/prefetch.rs"]
    mod prefetch;

    /// As `stack/src/tables/words.rs`, without a mapping.
    mod words {
        use crate::sync::AtomicU64;

        pub(crate) struct Words(Vec<AtomicU64>);

        impl Words {
            pub(crate) fn new(count: usize) -> Self {
                Words((0..count).map(|_| AtomicU64::new(0)).collect())
            }

            pub(crate) fn at(&self, index: usize) -> &AtomicU64 {
                &self.0[index]
            }
        }
    }

    mod table;
}

mod runtime {
    #[path = "../../../src/runtime/bell.rs"]
    mod bell;
    mod sleep;

    use loom::sync::{Arc, Condvar, Mutex};

    /// As `stack/src/port/wait.rs`: what was woken before it waits does not wait.
    #[derive(Clone, Debug)]
    pub(crate) struct Waker(Arc<(Mutex<bool>, Condvar)>);

    impl Waker {
        pub(crate) fn new() -> std::io::Result<Self> {
            Ok(Waker(Arc::new((Mutex::new(false), Condvar::new()))))
        }

        pub(crate) fn wake(&self) {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_one();
        }

        pub(crate) fn wait(&self) {
            let mut woken = self.0.0.lock().unwrap();
            while !*woken {
                woken = self.0.1.wait(woken).unwrap();
            }
            *woken = false;
        }
    }
}

/// Tries `model` in every order with up to three preemptions, which is all that faults of a few steps need.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 20_000;
    builder.check(model);
}
