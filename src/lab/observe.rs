//! What either backend saw, in one form: the rest of the lab does not know which it was.

use crate::config::lab::{Lab, LinkIndex, NodeIndex};
use serde_json::Value;
use stack::host::Flow;
use stack::inspect::{self, Class, Description};
use stack::port::Medium;
use stack::time::Instant;
use std::collections::BTreeMap;

/// A run as it was seen from outside the nodes.
pub(crate) struct Observations {
    /// When traffic started; movements count from here.
    pub(crate) started: Instant,
    /// When traffic had ended.
    pub(crate) ended: Instant,
    /// When each movement of the lab was made, in the lab's order.
    pub(crate) moves: Vec<Instant>,
    /// What became of each flow of the lab, in the lab's order.
    pub(crate) flows: Vec<FlowSeen>,
    /// What was captured on the links.
    pub(crate) wire: Wire,
    /// The binding tables of all agents: before the first movement, then at the end of each movement's time.
    pub(crate) bindings: Vec<BTreeMap<String, Value>>,
    /// What the terminals told of their handovers.
    pub(crate) stages: Vec<StageSeen>,
    /// Further findings of the backend: what has to hold whatever the lab file says.
    pub(crate) findings: Vec<crate::lab::report::Check>,
}

/// What became of a flow.
pub(crate) enum FlowSeen {
    /// Packets with numbers.
    Packets(Flow),
    /// A TCP transfer.
    Transfer {
        /// Octets handed over by the sender.
        sent: u64,
        /// Octets that arrived.
        received: u64,
        /// Whether the connection lasted to the end.
        survived: bool,
    },
}

/// A stage of a handover that a terminal has reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StageSeen {
    /// Who.
    pub(crate) terminal: NodeIndex,
    /// When.
    pub(crate) at: Instant,
    /// What.
    pub(crate) stage: &'static str,
}

/// Signalling messages that were captured, and how many frames there were in all.
#[derive(Default)]
pub(crate) struct Wire {
    messages: Vec<Message>,
    malformed: Vec<Message>,
    frames: u64,
}

/// A captured message.
pub(crate) struct Message {
    /// When.
    pub(crate) at: Instant,
    /// On which link.
    pub(crate) link: LinkIndex,
    /// What it is.
    pub(crate) what: Description,
}

impl Wire {
    /// Takes note of a frame that was put on a link.
    pub(crate) fn note(&mut self, at: Instant, link: LinkIndex, frame: &[u8]) {
        self.frames += 1;
        let what = inspect::describe(frame, Medium::Ethernet);
        match what.class() {
            Class::Mld | Class::Pim | Class::Mobility => self.messages.push(Message { at, link, what }),
            Class::Malformed => self.malformed.push(Message { at, link, what }),
            Class::Nd | Class::Icmpv6Error | Class::Data | Class::Other => {}
        }
    }

    /// The signalling messages at `from` or later and before `until`.
    pub(crate) fn between(&self, from: Instant, until: Instant) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(move |message| message.at >= from && message.at < until)
    }

    /// Frames that do not hold.
    pub(crate) fn malformed(&self) -> &[Message] {
        &self.malformed
    }

    /// All frames.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }
}

/// The roles of a lab's node, joined for people.
pub(crate) fn role_of(lab: &Lab, node: NodeIndex) -> String {
    let roles = lab.nodes[node.0].config.roles();
    if roles.is_empty() { "router".to_owned() } else { roles.join("+") }
}
