//! A packet with a Mobility Header as it comes in: who it is from in the eyes of its ends, and what it says
//! (RFC 6275 §9.2). Home agent, terminal and correspondent share it; home agent and correspondent also how they answer
//! what they cannot read ([`Reception`]).

use core::net::Ipv6Addr;
use stack::addr;
use stack::machine::{Outputs, Via};
use stack::rate::TokenBucket;
use stack::time::{Duration, Instant};
use stack::wire::build::PacketBuilder;
use stack::wire::ext::Chain;
use stack::wire::ipv6::{self, protocol};
use stack::wire::mobility::{self, BindingErrorStatus, CHECKSUM_AT, MobilityMessage};

/// ICMPv6 Parameter Problem (RFC 4443 §3.4).
const PARAMETER_PROBLEM: u8 = 4;

/// Answers that anybody can provoke: so many at once,
pub(crate) const ANSWER_BURST: u32 = 20;
/// and then one in this time.
const ANSWER_INTERVAL: Duration = Duration::from_millis(50);

/// A well-formed packet with a Mobility Header.
#[derive(Clone, Debug)]
pub(crate) struct Received<'a> {
    /// Source address of the IPv6 header.
    pub(crate) source: Ipv6Addr,
    /// Destination address of the IPv6 header.
    pub(crate) destination: Ipv6Addr,
    /// The Home Address option.
    pub(crate) home_address_option: Option<Ipv6Addr>,
    /// Where the packet ends by its type 2 routing header: the other address of the two.
    pub(crate) final_destination: Ipv6Addr,
    /// Whether there is a type 2 routing header.
    pub(crate) has_routing: bool,
    /// The Mobility Header, to the end of the packet.
    pub(crate) bytes: &'a [u8],
    /// What it says.
    pub(crate) message: MobilityMessage,
}

impl Received<'_> {
    /// The home address of the sender, where it has one: that of the option, else the source.
    pub(crate) fn home_address(&self) -> Ipv6Addr {
        self.home_address_option.unwrap_or(self.source)
    }
}

/// Why a packet is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// It is not a whole packet with a Mobility Header behind its extension headers.
    NotMobility,
    /// The checksum does not hold.
    Checksum,
    /// The message is malformed. `pointer`: the octet of the packet that a Parameter Problem names, where one is due.
    Malformed {
        /// See there.
        pointer: Option<usize>,
    },
}

/// Takes a packet apart.
pub(crate) fn receive(packet: &[u8]) -> Result<Received<'_>, Refusal> {
    let header = ipv6::Header::parse(packet).map_err(|_| Refusal::NotMobility)?;
    let packet = &packet[..header.total_length()];
    let chain = Chain::parse(packet).map_err(|_| Refusal::NotMobility)?;
    let whole = chain.fragment.is_none_or(|fragment| fragment.is_atomic());
    if chain.upper != protocol::MOBILITY || !whole {
        return Err(Refusal::NotMobility);
    }
    let bytes = packet.get(chain.upper_offset..).ok_or(Refusal::NotMobility)?;
    let home_address_option = chain.home_address.map(|option| option.home_address);
    // A routing header that was followed already holds the care-of address, and the destination is the home address.
    let final_destination = match chain.type2_routing {
        Some(routing) if routing.segments_left > 0 => routing.home_address,
        _ => header.destination,
    };
    if !mobility::verify_checksum(home_address_option.unwrap_or(header.source), final_destination, bytes) {
        return Err(Refusal::Checksum);
    }
    let message = mobility::parse(bytes).map_err(|error| Refusal::Malformed {
        pointer: mobility::parameter_problem_pointer(error).map(|offset| offset + chain.upper_offset),
    })?;
    Ok(Received {
        source: header.source,
        destination: header.destination,
        home_address_option,
        final_destination,
        has_routing: chain.type2_routing.is_some(),
        bytes,
        message,
    })
}

/// Where a node counts what it does not take, and its answers.
pub(crate) struct Tally<'c> {
    /// [`Refusal::NotMobility`].
    pub(crate) not_mobility: &'c mut u64,
    /// [`Refusal::Checksum`].
    pub(crate) checksum: &'c mut u64,
    /// [`Refusal::Malformed`].
    pub(crate) malformed: &'c mut u64,
    /// Messages of unknown type.
    pub(crate) unknown_type: &'c mut u64,
    /// ICMPv6 Parameter Problems sent.
    pub(crate) parameter_problem: &'c mut u64,
    /// Binding Errors sent about messages of unknown type.
    pub(crate) binding_error: &'c mut u64,
    /// Answers that the rate limit held back.
    pub(crate) rate_limit: &'c mut u64,
}

/// The way in of a node that answers what it cannot read (RFC 6275 §9.2), and the limit of all its answers that anybody
/// can provoke.
#[derive(Debug)]
pub(crate) struct Reception {
    answers: TokenBucket,
}

impl Reception {
    pub(crate) fn new() -> Self {
        Reception { answers: TokenBucket::every(ANSWER_INTERVAL, ANSWER_BURST) }
    }

    /// Whether one more answer may go; where not it is counted in `rate_limit`.
    pub(crate) fn may_answer(&mut self, now: Instant, rate_limit: &mut u64) -> bool {
        let free = self.answers.take(now);
        *rate_limit += u64::from(!free);
        free
    }

    /// Takes a packet apart. `None`: it is not well-formed or its message is of unknown type, which is counted and, where
    /// that is due, answered.
    pub(crate) fn take<'p, E>(
        &mut self,
        now: Instant,
        packet: &'p [u8],
        tally: Tally<'_>,
        outputs: &mut Outputs<E>,
    ) -> Option<Received<'p>> {
        let (answer, sent) = match receive(packet) {
            Err(Refusal::NotMobility) => {
                *tally.not_mobility += 1;
                return None;
            }
            Err(Refusal::Checksum) => {
                *tally.checksum += 1;
                return None;
            }
            Err(Refusal::Malformed { pointer }) => {
                *tally.malformed += 1;
                (pointer.and_then(|pointer| parameter_problem(packet, pointer)), tally.parameter_problem)
            }
            Ok(received) if matches!(received.message, MobilityMessage::Unknown { .. }) => {
                *tally.unknown_type += 1;
                (unrecognized_type(&received), tally.binding_error)
            }
            Ok(received) => return Some(received),
        };
        if let Some(answer) = answer
            && self.may_answer(now, tally.rate_limit)
        {
            *sent += 1;
            outputs.transmit(answer, Via::Route);
        }
        None
    }
}

/// The Parameter Problem, code 0, that answers `packet`. `None` where RFC 4443 §2.4 e forbids an answer.
fn parameter_problem(packet: &[u8], pointer: usize) -> Option<Vec<u8>> {
    let header = ipv6::Header::parse(packet).ok()?;
    if header.destination.is_multicast() || !addr::is_unicast(header.source) {
        return None;
    }
    let quoted = &packet[..header.total_length().min(ipv6::MINIMUM_MTU - ipv6::HEADER_LEN - 8)];
    let mut body = u32::try_from(pointer).ok()?.to_be_bytes().to_vec();
    body.extend_from_slice(quoted);
    Some(PacketBuilder::new(header.destination, header.source).icmpv6(PARAMETER_PROBLEM, 0, &body))
}

/// The Binding Error that answers a message of unknown type (RFC 6275 §9.2, §9.3.3). `None` where its source cannot be
/// answered.
pub(crate) fn unrecognized_type(received: &Received<'_>) -> Option<Vec<u8>> {
    if !addr::is_unicast(received.source) || received.destination.is_multicast() {
        return None;
    }
    let message = MobilityMessage::BindingError {
        status: BindingErrorStatus::UNRECOGNIZED_TYPE,
        home_address: received.home_address_option.unwrap_or(Ipv6Addr::UNSPECIFIED),
    };
    let builder = PacketBuilder::new(received.destination, received.source);
    Some(builder.checksummed(protocol::MOBILITY, message.emit(), CHECKSUM_AT))
}
