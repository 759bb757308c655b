//! Packets in frames that come from a pool, and batches of them.

mod batch;
mod pool;

pub use batch::{BATCH_SIZE, Batch};
pub(crate) use pool::FRAME_STRIDE;
pub use pool::{FRAME_LEN, HEADROOM, Packet, Pool, PoolExhausted};
