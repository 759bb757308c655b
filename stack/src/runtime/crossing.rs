//! What goes from one worker of a node to another: frames to the first, news from it.
//!
//! Both ways are bounded. Frames cross in boxes that are made at the start and go round: a forwarder without an empty box
//! drops what it could not send on, and never waits. News may not be lost: the first worker waits for a forwarder that is
//! behind with them, which never waits itself.

use super::Bell;
use crate::machine::PortId;
use crate::packet::{FRAME_LEN, HEADROOM};
use crate::pipeline::News;
use crossbeam_channel::{Receiver, Sender, bounded};

/// Boxes between a forwarder and the first worker.
const BOXES: usize = 1024;
/// News that wait for a forwarder at the most.
const NEWS: usize = 4096;
/// Octets of the longest frame that there is.
const LONGEST: usize = FRAME_LEN - HEADROOM;

/// What the first worker is to do with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Task {
    /// Take it as received here.
    Receive(PortId),
    /// Send it there.
    Send(PortId),
}

/// A frame on its way to the first worker.
#[derive(Debug)]
pub(super) struct Crossing {
    pub(super) task: Task,
    length: u16,
    octets: Box<[u8; LONGEST]>,
}

impl Crossing {
    /// The frame.
    pub(super) fn frame(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }
}

/// The first worker's end of the way to a forwarder.
#[derive(Debug)]
pub struct ToForwarder {
    frames: Receiver<Crossing>,
    boxes: Sender<Box<[u8; LONGEST]>>,
    news: Sender<News>,
    bell: Bell,
}

/// A forwarder's end of the way to the first worker. Clones are for the ports that send by it.
#[derive(Clone, Debug)]
pub struct ToFirst {
    frames: Sender<Crossing>,
    boxes: Receiver<Box<[u8; LONGEST]>>,
    news: Receiver<News>,
    bell: Bell,
}

/// Both ends of the way between the first worker, whose bell is `first`, and a forwarder.
pub fn crossing(first: &Bell, forwarder: &Bell) -> (ToForwarder, ToFirst) {
    let (frames, frames_out) = bounded(BOXES);
    let (boxes_back, boxes) = bounded(BOXES);
    let (news, news_out) = bounded(NEWS);
    for _ in 0..BOXES {
        let made = boxes_back.try_send(Box::new([0; LONGEST]));
        debug_assert!(made.is_ok(), "there is room for all boxes");
    }
    let to_forwarder = ToForwarder { frames: frames_out, boxes: boxes_back, news, bell: forwarder.clone() };
    (to_forwarder, ToFirst { frames, boxes, news: news_out, bell: first.clone() })
}

impl ToForwarder {
    /// The next frame.
    pub(super) fn receive(&self) -> Option<Crossing> {
        self.frames.try_recv().ok()
    }

    /// Gives the box back.
    pub(super) fn done(&self, crossing: Crossing) {
        // The forwarder may have ended.
        let _ = self.boxes.try_send(crossing.octets);
    }

    /// Tells; waits where the forwarder is behind.
    pub(super) fn tell(&self, news: News) {
        let Err(full) = self.news.try_send(news) else { return };
        self.bell.ring();
        // The forwarder may have ended.
        let _ = self.news.send(full.into_inner());
    }

    /// Wakes the forwarder, after it was told something.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// Whether a frame waits.
    pub(super) fn has_mail(&self) -> bool {
        !self.frames.is_empty()
    }
}

impl ToFirst {
    /// Puts a frame on its way; whether there was a box for it. The first worker is woken by [`ToFirst::ring`].
    pub(super) fn send(&self, task: Task, frame: &[u8]) -> bool {
        let Ok(mut octets) = self.boxes.try_recv() else { return false };
        octets[..frame.len()].copy_from_slice(frame);
        // There are no more boxes than there is room for; the first worker may have ended.
        self.frames.try_send(Crossing { task, length: frame.len() as u16, octets }).is_ok()
    }

    /// Wakes the first worker.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// The next news.
    pub(super) fn hear(&self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// Whether news wait.
    pub(super) fn has_mail(&self) -> bool {
        !self.news.is_empty()
    }
}
