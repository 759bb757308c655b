use super::Packet;
use arrayvec::ArrayVec;

/// Packets that go through the pipeline together.
pub const BATCH_SIZE: usize = 64;

/// Up to [`BATCH_SIZE`] packets.
pub type Batch = ArrayVec<Packet, BATCH_SIZE>;
