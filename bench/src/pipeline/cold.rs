//! Packets that are in memory and not in the processor's cache, as behind a device that writes past it.

use anyhow::{Result, ensure};
use clap::ValueEnum;
use stack::packet::Batch;

/// Octets of a cache line.
const LINE: usize = 64;

/// Where packets are when the data plane begins with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum PacketsIn {
    /// In the cache, as a device leaves them that writes there
    Cache,
    /// In memory: the lines of each packet are flushed after it was made (x86-64 only)
    Memory,
}

impl PacketsIn {
    /// Its name in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            PacketsIn::Cache => "cache",
            PacketsIn::Memory => "memory",
        }
    }

    /// # Errors
    /// Where the processor cannot flush lines, as far as this program knows.
    pub(crate) fn check(self) -> Result<()> {
        ensure!(
            self == PacketsIn::Cache || cfg!(target_arch = "x86_64"),
            "only on x86-64 can packets be put in memory"
        );
        Ok(())
    }

    /// Puts the packets there.
    pub(crate) fn put(self, batch: &Batch) {
        if self == PacketsIn::Memory {
            batch.iter().for_each(|packet| flush(packet.bytes()));
            fence();
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn flush(octets: &[u8]) {
    let lines = octets.chunks(LINE).map(<[u8]>::as_ptr).chain(octets.last().map(core::ptr::from_ref));
    for line in lines {
        // SAFETY: the octet is part of a slice; flushing its line changes no value.
        unsafe { core::arch::x86_64::_mm_clflush(line) };
    }
}

#[cfg(target_arch = "x86_64")]
fn fence() {
    // SAFETY: every x86-64 processor has the instruction, which only orders accesses.
    unsafe { core::arch::x86_64::_mm_mfence() };
}

#[cfg(not(target_arch = "x86_64"))]
fn flush(_: &[u8]) {}

#[cfg(not(target_arch = "x86_64"))]
fn fence() {}
