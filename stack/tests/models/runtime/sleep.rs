//! A worker that is about to sleep, and another that leaves something for it.

use super::bell::Bell;
use crate::check;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

/// Whoever leaves something rings, and the worker takes all that was left or wakes for it: it never sleeps over it, which
/// would be a deadlock here.
#[test]
fn what_was_left_wakes_a_worker() {
    check(|| {
        const LEFT: u64 = 2;
        let bell = Bell::new().unwrap();
        let mail = Arc::new(AtomicU64::new(0));
        let leaves = {
            let (bell, mail) = (bell.clone(), mail.clone());
            thread::spawn(move || {
                for _ in 0..LEFT {
                    mail.fetch_add(1, Ordering::Release);
                    bell.ring();
                }
            })
        };
        let mut taken = 0;
        while taken < LEFT {
            taken += mail.swap(0, Ordering::Acquire);
            if taken < LEFT {
                bell.doze();
                if mail.load(Ordering::Acquire) == 0 {
                    bell.waker().wait();
                }
                bell.rise();
            }
        }
        leaves.join().unwrap();
    });
}
