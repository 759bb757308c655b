//! The oracle: what has to become of one packet, by the RFCs and by what the tables are documented to mean.
//!
//! [`of_frame`] answers for a frame and the state of a [`Model`], and changes nothing. It knows nothing of batches, of an
//! express way or of stages. Where the answer depends on things that are not modelled, it says so and gives none.

mod agent;
mod errors;
mod groups;
mod node;
mod output;
mod registers;
mod tunnels;

use super::chain::{self, Fault};
use super::job::{Job, Marks};
use super::model::{Model, NeighborKey};
use super::octets::{self, HEADER, next};
use core::net::Ipv6Addr;
use errors::Cause;
pub(crate) use registers::message as register_message;
use stack::addr::MacAddress;
use stack::machine::{Notice, RxMeta};
use stack::tables::{IngressFilter, Mroute, MrouteKey, Route};

/// Lookups of one packet, after which it goes around in circles.
const MAX_PASSES: u8 = 5;

/// A frame that has to leave.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) port: u8,
    pub(crate) octets: Vec<u8>,
    pub(crate) marks: Marks,
}

/// What has to become of a packet and all that comes of it.
#[derive(Default, Debug)]
pub(crate) struct Outcome {
    pub(crate) frames: Vec<Frame>,
    /// What the node is given.
    pub(crate) local: Vec<(RxMeta, Vec<u8>)>,
    /// What waits for neighbours.
    pub(crate) waits: Vec<(NeighborKey, Job)>,
    /// What its route keeps.
    pub(crate) holds: Vec<(MrouteKey, Job)>,
    /// Ends, by the name of their counter, but for those above.
    pub(crate) ends: Vec<&'static str>,
    /// ICMPv6 errors that the rate limit has to let pass.
    pub(crate) errors: u64,
    /// GRE sequence numbers that were used, and by which packet.
    pub(crate) sequences: Vec<(Ipv6Addr, u64)>,
    /// Multicast routes that it matched.
    pub(crate) hits: Vec<MrouteKey>,
    /// Neighbours that frames go to.
    pub(crate) uses: Vec<NeighborKey>,
    /// What the node may be told of, once in a while: groups without a route, wrong ports, sources, Register messages.
    pub(crate) may_tell: Vec<Notice>,
    /// Packets that their routes wait for: one of those of a route has to be told of.
    pub(crate) awaited: Vec<(MrouteKey, Notice)>,
    /// Home addresses and correspondents that the node may be told of.
    pub(crate) sightings: Vec<(Ipv6Addr, Ipv6Addr)>,
    /// Something happens that is not modelled.
    pub(crate) is_unknown: bool,
}

impl Outcome {
    /// Puts what came of another packet behind this.
    pub(crate) fn append(&mut self, mut other: Outcome) {
        self.frames.append(&mut other.frames);
        self.local.append(&mut other.local);
        self.ends.append(&mut other.ends);
        self.errors += other.errors;
        self.sequences.append(&mut other.sequences);
        self.may_tell.append(&mut other.may_tell);
        self.awaited.append(&mut other.awaited);
        self.sightings.append(&mut other.sightings);
    }

    /// Whether each of its errors leaves as one frame at once, so that whether it was sent can be seen.
    pub(crate) fn errors_are_frames(&self) -> bool {
        let is_whole = |frame: &&Frame| {
            let marks = &frame.marks;
            marks.is_error && marks.fragment.is_none() && marks.labels.is_empty()
        };
        let frames = self.frames.iter().filter(is_whole).count() as u64;
        let elsewhere =
            self.waits.iter().any(|(_, job)| job.marks.is_error) || self.ends.contains(&"icmp-error-relayed");
        self.errors == 0 || frames == self.errors && !elsewhere && self.local.is_empty() && self.sequences.is_empty()
    }
}

/// A walk of one packet through the model.
struct Walk<'a> {
    model: &'a Model,
    outcome: Outcome,
    tickets: u64,
}

/// What has to become of a frame that came in by a port.
pub(crate) fn of_frame(model: &Model, port: u8, frame: &[u8], serial: u64, train: Option<u64>) -> Outcome {
    let mut walk = Walk { model, outcome: Outcome::default(), tickets: serial << 8 };
    walk.frame(port, frame, Marks { serial, train, ..Marks::default() });
    walk.outcome
}

/// What has to become of a packet that waited for a neighbour which is there now.
pub(crate) fn of_resolved(model: &Model, key: NeighborKey, job: Job) -> Outcome {
    let mut walk = Walk { model, outcome: Outcome::default(), tickets: 0 };
    walk.send(job, key.0, output::To::Neighbor(key));
    walk.outcome
}

/// What has to become of a packet that its route has kept, now that the route is this one; `None` where it has no
/// branch. Several can be of one input, so that `place` tells them apart.
pub(crate) fn of_held(model: &Model, place: usize, job: &Job, route: &Mroute) -> Option<Outcome> {
    let mut walk = Walk { model, outcome: Outcome::default(), tickets: (place as u64 + 1) << 48 };
    let branches = walk.branches(job, route);
    if branches.is_empty() {
        return None;
    }
    walk.end("hold-released");
    walk.replicate(job.clone(), &branches, route);
    Some(walk.outcome)
}

/// What has to become of a packet whose neighbour does not answer: the sender of what is inside this node's tunnels is
/// told (RFC 4443 §3.1, RFC 4861 §7.2.2).
pub(crate) fn of_unreachable(model: &Model, mut job: Job) -> Outcome {
    let mut walk = Walk { model, outcome: Outcome::default(), tickets: job.marks.serial << 8 | 0x80 };
    if job.marks.fragment.is_some() {
        walk.outcome.is_unknown = true;
    }
    job.restore();
    walk.error(job, Cause::AddressUnreachable);
    walk.outcome
}

impl Walk<'_> {
    fn end(&mut self, counter: &'static str) {
        self.outcome.ends.push(counter);
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// RFC 2464.
    fn frame(&mut self, port: u8, frame: &[u8], marks: Marks) {
        if frame.len() < 14 {
            return self.end("drop-ethernet-short");
        }
        if frame[6] & 1 != 0 {
            return self.end("drop-ethernet-source");
        }
        if frame[12..14] != [0x86, 0xdd] {
            return self.end("drop-ethernet-type");
        }
        let link_multicast = frame[0] & 1 != 0;
        if !link_multicast && frame[..6] != super::world::mac(port) {
            return self.end("drop-ethernet-not-ours");
        }
        let link_source = MacAddress(frame[6..12].try_into().unwrap());
        let packet = frame[14..].to_vec();
        let job =
            Job { packet, port: Some(port), link_source: Some(link_source), link_multicast, marks, ..Job::default() };
        self.packet(job, port);
    }

    /// What every packet has to satisfy (RFC 8200 §3, RFC 4291 §2.5, RFC 4007 §5, BCP 38).
    fn packet(&mut self, mut job: Job, port: u8) {
        if job.packet.len() < HEADER {
            return self.end("drop-ip6-input-truncated");
        }
        if job.packet[0] >> 4 != 6 {
            return self.end("drop-ip6-input-version");
        }
        let length = octets::length(&job.packet);
        if job.packet.len() < length {
            return self.end("drop-ip6-input-truncated");
        }
        job.packet.truncate(length);
        let (source, destination) = (job.source(), job.destination());
        if source.is_multicast() || source == Ipv6Addr::LOCALHOST {
            return self.end("drop-ip6-input-source");
        }
        if destination.is_unspecified() || destination == Ipv6Addr::LOCALHOST {
            return self.end("drop-ip6-input-destination");
        }
        if let Some(IngressFilter::Prefixes(prefixes)) = self.model.filters.get(&port) {
            let is_exempt = octets::is_link_local(source) || source.is_unspecified();
            if !is_exempt && !prefixes.iter().any(|prefix| prefix.contains(source)) {
                return self.end("drop-ip6-input-ingress-filter");
            }
        }
        match octets::scope(destination) {
            Some(0 | 1) => return self.end("drop-ip6-input-destination"),
            Some(3..=5) if self.model.shape.is_border(port) => return self.end("drop-ip6-input-site-border"),
            Some(2) => {}
            _ if source.is_unspecified() => return self.end("drop-ip6-input-source"),
            _ => {}
        }
        if job.packet[6] == next::HOP_BY_HOP {
            match chain::hop_by_hop(&job.packet) {
                Err(Fault::Cut) => return self.end("drop-ip6-input-truncated"),
                Err(Fault::Silent) => return self.end("drop-ip6-input-option"),
                Err(Fault::Option(at)) => return self.error(job, Cause::Option(at)),
                Err(Fault::Field(at)) => return self.error(job, Cause::Field(at)),
                // MLD goes to the node, whatever its group (RFC 3810 §5.1.15, RFC 2710 §5).
                Ok((Some(0), next::ICMPV6, length))
                    if destination.is_multicast()
                        && matches!(job.packet.get(HEADER + length), Some(130 | 131 | 132 | 143)) =>
                {
                    return self.local(job);
                }
                Ok(_) => {}
            }
        }
        self.lookup(job);
    }

    fn lookup(&mut self, mut job: Job) {
        job.passes += 1;
        if job.passes > MAX_PASSES {
            return self.end("drop-lookup-loop");
        }
        let (source, destination) = (job.source(), job.destination());
        if destination.is_multicast() {
            return self.group(job);
        }
        let route = self.model.route(destination);
        match route {
            Some(Route::Local) => return self.local(job),
            Some(Route::CareOf) => return self.care_of(job),
            _ => {}
        }
        if octets::is_link_local(source) || octets::is_link_local(destination) {
            return match job.port {
                Some(port) if job.is_own => self.unicast(job, (port, destination)),
                // RFC 4291 §2.5.6, RFC 4443 §3.1.
                _ if !octets::is_link_local(destination) => self.error(job, Cause::BeyondScope),
                _ => self.end("drop-lookup-link-local"),
            };
        }
        if job.link_multicast && !job.is_own {
            return self.end("drop-lookup-link-multicast");
        }
        if let Some(binding) = self.model.home_bindings.get(&destination) {
            return self.intercept(job, *binding);
        }
        match route {
            Some(Route::Via { port, next_hop }) => self.unicast(job, (port.0, next_hop)),
            Some(Route::OnLink(port)) => self.unicast(job, (port.0, destination)),
            Some(Route::Blackhole) => self.end("drop-lookup-blackhole"),
            _ => self.error(job, Cause::NoRoute),
        }
    }

    /// To a neighbour; forwarding costs a hop (RFC 8200 §3).
    fn unicast(&mut self, mut job: Job, key: NeighborKey) {
        if !job.is_own && !hop(&mut job.packet) {
            return self.error(job, Cause::HopLimit);
        }
        self.output(job, key.0, output::To::Neighbor(key));
    }
}

/// Takes one off the hop limit, where it may go on.
fn hop(packet: &mut [u8]) -> bool {
    let goes_on = packet[7] > 1;
    packet[7] -= u8::from(goes_on);
    goes_on
}
