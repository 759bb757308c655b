//! What the synchronisation between workers is made of. The models in `tests/models` compile the same sources with the same
//! names for primitives that try every order which the language allows.

pub(crate) use core::hint::spin_loop;
pub(crate) use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
pub(crate) use std::sync::Arc;
