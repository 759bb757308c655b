//! What was seen on the links, for assertions and for other tools.

use super::link::LinkId;
use super::node::NodeId;
use crate::inspect::{Description, describe};
use crate::machine::PortId;
use crate::port::Medium;
use crate::port::pcap::PcapWriter;
use crate::time::{Duration, Instant};
use core::cell::OnceCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;

/// Frames kept unless [`Capture::set_limit`] says otherwise.
pub const DEFAULT_LIMIT: usize = 4_000_000;

/// A frame as its sender put it on a link.
#[derive(Clone, Debug)]
pub struct Captured {
    /// When.
    pub at: Instant,
    /// Where.
    pub link: LinkId,
    /// What frames look like there.
    pub medium: Medium,
    /// Who sent it.
    pub from: NodeId,
    /// By which of its ports.
    pub port: PortId,
    /// How many copies are to arrive, over all receivers: none where it was lost.
    pub copies: usize,
    /// Its octets.
    pub frame: Rc<[u8]>,
    /// What it is, once somebody has asked.
    pub(super) described: OnceCell<Rc<Description>>,
}

impl Captured {
    /// What the frame is. It is read once, however often this is asked.
    pub fn describe(&self) -> &Rc<Description> {
        self.described.get_or_init(|| Rc::new(describe(&self.frame, self.medium)))
    }
}

/// All frames of all captured links, in order.
#[derive(Debug)]
pub struct Capture {
    frames: Vec<Captured>,
    limit: usize,
    refused: u64,
}

impl Default for Capture {
    fn default() -> Self {
        Capture { frames: Vec::new(), limit: DEFAULT_LIMIT, refused: 0 }
    }
}

impl Capture {
    /// Every frame.
    pub fn frames(&self) -> &[Captured] {
        &self.frames
    }

    /// The frames of one link.
    pub fn on(&self, link: LinkId) -> impl Iterator<Item = &Captured> {
        self.frames.iter().filter(move |captured| captured.link == link)
    }

    /// The frames sent at `from` or later and before `until`.
    pub fn between(&self, from: Instant, until: Instant) -> &[Captured] {
        let start = self.frames.partition_point(|captured| captured.at < from);
        let end = self.frames.partition_point(|captured| captured.at < until);
        &self.frames[start..end.max(start)]
    }

    /// Keeps at most this many frames.
    pub fn set_limit(&mut self, frames: usize) {
        self.limit = frames;
    }

    /// Frames that were not kept because of the limit.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Forgets what was captured so far.
    pub fn clear(&mut self) {
        self.frames.clear();
    }

    /// How many frames each node sent on each link.
    pub fn totals(&self) -> BTreeMap<(LinkId, NodeId), u64> {
        let mut totals = BTreeMap::new();
        for captured in &self.frames {
            *totals.entry((captured.link, captured.from)).or_default() += 1;
        }
        totals
    }

    /// Writes the frames of one link as a pcap file with nanoseconds.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_pcap(&self, link: LinkId, out: impl Write) -> io::Result<()> {
        let medium = self.on(link).next().map_or(Medium::Ethernet, |captured| captured.medium);
        let mut file = PcapWriter::new(out, medium, Duration::ZERO)?;
        self.on(link).try_for_each(|captured| file.write(captured.at, &captured.frame))?;
        file.flush()
    }

    pub(super) fn record(&mut self, captured: Captured) {
        if self.frames.len() < self.limit {
            self.frames.push(captured);
        } else {
            self.refused += 1;
        }
    }
}
