//! Everything that the pipeline counts, by name.
//!
//! Packets that come in (`rx`, `transmitted`, `generated`, `copied`, `resumed`, `waited-in-vain`,
//! `relayed-lost`) equal packets that end (`output`, `local`, every `punt-*`, `icmp-error-*` and `drop-*`) after every call; [`Counters::is_balanced`] says whether it is so.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)*) => {
        /// Names of the counters.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Counter { $($(#[doc = $doc])+ $variant,)* }

        impl Counter {
            /// Every counter, in the order in which a packet meets them.
            pub const ALL: &[Counter] = &[$(Counter::$variant,)*];

            /// Name of each, and what it counts: each line as it stands in the code, with the space in front of it.
            pub const DESCRIPTIONS: &[(&'static str, &'static str)] = &[$(($name, concat!($($doc),+)),)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)* }
            }
        }
    };
}

counters! {
    /// Packets received.
    Rx = "rx",
    /// Packets that the node sent.
    Transmitted = "transmitted",
    /// Packets that the data plane made: ICMPv6 errors, fragments.
    Generated = "generated",
    /// Copies for further branches.
    Copied = "copied",
    /// Packets that waited (for a neighbour, for their other fragments, for those before them, for a branch) and go on. What becomes of
    /// them on their way is counted there.
    Resumed = "resumed",
    /// Packets that waited and go no further: dropped or answered where they waited, which is counted beside this.
    /// Fragments that give way to others, or never become a whole packet, ended as `punt-reassembly` and are not in it.
    WaitedInVain = "waited-in-vain",
    /// Frames that data planes beside this one have made, and counted as output, for a port that only this one sends by,
    /// and that were lost here.
    RelayedLost = "relayed-lost",
    /// Packets handed to a port.
    Output = "output",
    /// Packets handed to the node.
    Local = "local",
    /// Packets that wait for a neighbour.
    PuntNeighbor = "punt-neighbor",
    /// Fragments that wait for the others.
    PuntReassembly = "punt-reassembly",
    /// Packets of a group's tunnel that wait for those before them.
    PuntReorder = "punt-reorder",
    /// Multicast packets that wait for the node, which was told of them.
    PuntRoute = "punt-route",
    /// Packets of a route that keeps them, for a terminal that is expected.
    PuntHold = "punt-hold",
    /// Answered: no route.
    IcmpErrorNoRoute = "icmp-error-no-route",
    /// Answered: address unreachable.
    IcmpErrorAddressUnreachable = "icmp-error-address-unreachable",
    /// Answered: port unreachable.
    IcmpErrorPortUnreachable = "icmp-error-port-unreachable",
    /// Answered: beyond the scope of the source address.
    IcmpErrorBeyondScope = "icmp-error-beyond-scope",
    /// Answered: Packet Too Big.
    IcmpErrorPacketTooBig = "icmp-error-packet-too-big",
    /// Answered: hop limit exceeded.
    IcmpErrorHopLimit = "icmp-error-hop-limit",
    /// Answered: reassembly took too long.
    IcmpErrorReassemblyTime = "icmp-error-reassembly-time",
    /// Answered: Parameter Problem code 0.
    IcmpErrorHeaderField = "icmp-error-header-field",
    /// Answered: Parameter Problem code 1.
    IcmpErrorNextHeader = "icmp-error-next-header",
    /// Answered: Parameter Problem code 2.
    IcmpErrorOption = "icmp-error-option",
    /// Answered: Parameter Problem code 3.
    IcmpErrorHeaderChain = "icmp-error-header-chain",
    /// An error from inside a tunnel that was passed on to the source of the packet in it.
    IcmpErrorRelayed = "icmp-error-relayed",
    /// An ICMPv6 error that the rate limit held back.
    DropIcmpRateLimit = "drop-icmp-rate-limit",
    /// A packet about which no error may be sent (RFC 4443 §2.4 (e)).
    DropIcmpForbidden = "drop-icmp-forbidden",
    /// No address to send an ICMPv6 error from.
    DropIcmpNoSource = "drop-icmp-no-source",
    /// No frame for an ICMPv6 error.
    DropIcmpNoFrame = "drop-icmp-no-frame",
    /// A frame shorter than its header.
    DropEthernetShort = "drop-ethernet-short",
    /// A group address as source.
    DropEthernetSource = "drop-ethernet-source",
    /// Not IPv6.
    DropEthernetType = "drop-ethernet-type",
    /// To another link-layer address.
    DropEthernetNotOurs = "drop-ethernet-not-ours",
    /// Shorter than it says, or than a header.
    DropInputTruncated = "drop-ip6-input-truncated",
    /// Not version 6.
    DropInputVersion = "drop-ip6-input-version",
    /// A source that no packet may have.
    DropInputSource = "drop-ip6-input-source",
    /// A destination that no packet may have.
    DropInputDestination = "drop-ip6-input-destination",
    /// A source that the port does not accept.
    DropInputIngressFilter = "drop-ip6-input-ingress-filter",
    /// Multicast that may not cross the site's border.
    DropInputSiteBorder = "drop-ip6-input-site-border",
    /// A hop-by-hop option that demands to be dropped.
    DropInputOption = "drop-ip6-input-option",
    /// A blackhole route.
    DropLookupBlackhole = "drop-lookup-blackhole",
    /// To or from a link-local address, and not for this node.
    DropLookupLinkLocal = "drop-lookup-link-local",
    /// Unicast in a frame to a group, and not for this node.
    DropLookupLinkMulticast = "drop-lookup-link-multicast",
    /// For others, and this node is a host.
    DropLookupNotForwarded = "drop-lookup-not-forwarded",
    /// Around and around through the tunnels of this node.
    DropLookupLoop = "drop-lookup-loop",
    /// No route of this group.
    DropMulticastNoRoute = "drop-multicast-no-route",
    /// Not from the port that the RPF check accepts.
    DropMulticastWrongPort = "drop-multicast-wrong-port",
    /// Its hop limit ends here.
    DropMulticastHopLimit = "drop-multicast-hop-limit",
    /// A route without a branch for it.
    DropMulticastNoBranch = "drop-multicast-no-branch",
    /// From a link-local address to a group that reaches beyond the link (RFC 4291 §2.5.6).
    DropMulticastLinkLocal = "drop-multicast-link-local",
    /// A group of the link that the node does not hear.
    DropMulticastNotHeard = "drop-multicast-not-heard",
    /// No frame for the copy of a branch.
    DropMulticastNoFrame = "drop-multicast-no-frame",
    /// Kept until its time was over.
    DropHoldTooOld = "drop-hold-too-old",
    /// Kept until newer packets took its place.
    DropHoldTooMany = "drop-hold-too-many",
    /// Kept until its route kept packets no longer.
    DropHoldLetGo = "drop-hold-let-go",
    /// A Register message to the node that sent it.
    DropRegisterLoop = "drop-register-loop",
    /// A Register message with something else than one whole IPv6 packet.
    DropRegisterInner = "drop-register-inner",
    /// A Register message with a packet to anything but a group that reaches beyond the link.
    DropRegisterGroup = "drop-register-group",
    /// A Register message with a packet from an address of this node, or from one that nobody can route.
    DropRegisterSource = "drop-register-source",
    /// A Register message with a group of the site that came, or would have gone, across its border.
    DropRegisterSiteBorder = "drop-register-site-border",
    /// Out of a Register message, and no route of this group.
    DropRegisterNoRoute = "drop-register-no-route",
    /// To a care-of address, with neither a tunnel nor a type 2 routing header.
    DropBindingNoHomeAddress = "drop-binding-no-home-address",
    /// Through a tunnel that does not come from the home agent.
    DropBindingTunnelSource = "drop-binding-tunnel-source",
    /// From the home agent, and the binding forwards only what others sent.
    DropBindingForwardHomeAgent = "drop-binding-forward-home-agent",
    /// From another agent, and the binding is itself one that forwards.
    DropBindingForwardedTwice = "drop-binding-forwarded-twice",
    /// From another agent, with a routing header behind a destination that is no care-of address of such an agent.
    DropBindingFormerCareOf = "drop-binding-former-care-of",
    /// From a link-local address.
    DropBindingInnerSource = "drop-binding-inner-source",
    /// Not a whole IPv6 packet in the tunnel.
    DropTunnelInner = "drop-tunnel-inner",
    /// Not-ECT inside, CE outside (RFC 6040 §4.2).
    DropTunnelEcn = "drop-tunnel-ecn",
    /// No headroom for the outer header.
    DropTunnelHeadroom = "drop-tunnel-headroom",
    /// No tunnel of this node ends here.
    DropTunnelUnknown = "drop-tunnel-unknown",
    /// Reverse tunnel to the mobility agent: from outside the site.
    DropTunnelSiteBorder = "drop-tunnel-site-border",
    /// Reverse tunnel: outer source outside the access prefixes.
    DropTunnelAccessPrefix = "drop-tunnel-access-prefix",
    /// Reverse tunnel: another interface identifier than the terminal's.
    DropTunnelAccessIdentifier = "drop-tunnel-access-identifier",
    /// Reverse tunnel: the inner source is not bound.
    DropTunnelNotBound = "drop-tunnel-not-bound",
    /// Reverse tunnel: to an address or group of the terminal's link.
    DropTunnelLinkScope = "drop-tunnel-link-scope",
    /// Reverse tunnel of a regional address: outer source is not the on-link address.
    DropTunnelOnLinkAddress = "drop-tunnel-on-link-address",
    /// Reverse tunnel: the binding is not active.
    DropTunnelNotActive = "drop-tunnel-not-active",
    /// Reverse tunnel at the home agent: outer source is not the care-of address.
    DropTunnelCareOf = "drop-tunnel-care-of",
    /// A packet to the group that is no tunnel.
    DropTerminalProtocol = "drop-terminal-protocol",
    /// Not from the agent.
    DropTerminalSource = "drop-terminal-source",
    /// GRE that was not agreed, or that lacks what was agreed, or with another key.
    DropTerminalGre = "drop-terminal-gre",
    /// Seen before.
    DropTerminalDuplicate = "drop-terminal-duplicate",
    /// With a number so far from the others that nobody knows whether it was seen before.
    DropTerminalFar = "drop-terminal-far",
    /// Not for the home address.
    DropTerminalHomeAddress = "drop-terminal-home-address",
    /// The uplink is down.
    DropUplinkDown = "drop-uplink-down",
    /// Headers that no Home Address option can follow.
    DropUplinkHeaders = "drop-uplink-headers",
    /// A Home Address option that nobody can be reached at, or where none may stand.
    DropCorrespondentOption = "drop-correspondent-option",
    /// A Home Address option that is not believed, and the node has been told of enough of them.
    DropCorrespondentLimit = "drop-correspondent-limit",
    /// Headers that cannot be understood.
    DropLocalMalformed = "drop-local-malformed",
    /// An option that demands to be dropped.
    DropLocalOption = "drop-local-option",
    /// A checksum that does not hold.
    DropLocalChecksum = "drop-local-checksum",
    /// A type 2 routing header that is not for this node (RFC 6275 §6.4).
    DropLocalRouting = "drop-local-routing",
    /// A Home Address option on something else than a Mobility Header.
    DropLocalHomeAddress = "drop-local-home-address",
    /// No next header.
    DropLocalNoNextHeader = "drop-local-no-next-header",
    /// An error about a tunnel of this node that says nothing to the source of what was in it.
    DropLocalTunnelProblem = "drop-local-tunnel-problem",
    /// PIM packets of a port beyond what its routers may send in a second.
    DropLocalPimLimit = "drop-local-pim-limit",
    /// MLD packets of a port beyond what its hosts may send in a second.
    DropLocalMldLimit = "drop-local-mld-limit",
    /// The node does not keep up.
    DropLocalQueueFull = "drop-local-queue-full",
    /// PIM or MLD while as much waits for the node as may wait of a port: there is more to forward than time for both.
    DropLocalSignallingQueue = "drop-local-signalling-queue",
    /// A fragment that overlaps another or reaches beyond the last (RFC 5722 §4).
    DropReassemblyOverlap = "drop-reassembly-overlap",
    /// A fragment that came before.
    DropReassemblyDuplicate = "drop-reassembly-duplicate",
    /// A fragment of a packet whose fragments do not fit together.
    DropReassemblyRefused = "drop-reassembly-refused",
    /// A fragment of a packet in more fragments than the limit.
    DropReassemblyTooMany = "drop-reassembly-too-many",
    /// A fragment of a packet that no frame holds.
    DropReassemblyTooLarge = "drop-reassembly-too-large",
    /// More neighbours than the limit.
    DropNeighborTableFull = "drop-neighbor-table-full",
    /// Made room for a newer packet to the same neighbour, or there was none.
    DropNeighborQueueFull = "drop-neighbor-queue-full",
    /// The neighbour was forgotten.
    DropNeighborRemoved = "drop-neighbor-removed",
    /// No room for a packet on its way from another worker to the first.
    DropHandoverFull = "drop-handover-full",
    /// The port's queue is full.
    DropOutputQueueFull = "drop-output-queue-full",
    /// Larger than the link, and cannot be cut.
    DropOutputTooBig = "drop-output-too-big",
    /// No frame for fragments.
    DropOutputNoFrame = "drop-output-no-frame",
    /// No such port.
    DropOutputNoPort = "drop-output-no-port",
    /// What the node sent is not a whole IPv6 packet.
    DropTransmitInvalid = "drop-transmit-invalid",
    /// The node sent it to a terminal of its mobility agent that is not bound.
    DropTransmitNotBound = "drop-transmit-not-bound",
    /// Packets that the first worker was given; they count there as received.
    HandedOver = "handed-over",
    /// Frames that data planes beside this one have made, and counted as output, handed to a port here.
    Relayed = "relayed",
    /// Echo requests answered.
    EchoReplies = "echo-replies",
    /// Packets put together of fragments.
    Reassembled = "reassembled",
    /// Packets given up because fragments did not come.
    ReassemblyTimeouts = "reassembly-timeouts",
    /// Packets whose fragments gave way to newer ones.
    ReassembliesDisplaced = "reassemblies-displaced",
    /// Packets cut into fragments.
    Fragmented = "fragmented",
    /// Packets of a group that were addressed to the link-layer address of its only listener on a link (RFC 6085).
    UnicastDeliveries = "unicast-deliveries",
    /// Packets from the tunnel of a home agent or another agent, or of a correspondent, sent to a group.
    BindingToGroup = "binding-to-group",
    /// Packets sent on to another agent, or to a terminal that is at home again.
    BindingForwarded = "binding-forwarded",
    /// Packets to a regional address sent to the terminal's on-link address.
    BindingAnchored = "binding-anchored",
    /// Packets of this node sent to a terminal through the tunnel of its binding.
    BindingFromNode = "binding-from-node",
    /// Packets tunnelled from a mobility agent to a home agent.
    TunnelToHomeAgent = "tunnel-to-home-agent",
    /// Packets of reverse tunnels sent to a correspondent from the care-of address.
    TunnelOptimised = "tunnel-optimised",
    /// Packets that left a tunnel here.
    TunnelExit = "tunnel-exit",
    /// Packets that left a tunnel from a care-of address that was the primary one until a moment ago.
    TunnelFormerCareOf = "tunnel-former-care-of",
    /// Packets tunnelled to a care-of address.
    HomeIntercepted = "home-intercepted",
    /// Packets that were kept, and left when their route had a branch.
    HoldReleased = "hold-released",
    /// Packets sent to a rendezvous point in Register messages.
    RegistersSent = "registers-sent",
    /// Packets taken out of Register messages.
    RegistersReceived = "registers-received",
    /// Packets of this node to a bound home address, with a type 2 routing header.
    HomeRouted = "home-routed",
    /// Packets of a bound terminal to this node, its Home Address option taken out.
    HomeOptionBelieved = "home-option-believed",
    /// Packets to a terminal's care-of address, with a type 2 routing header.
    CorrespondentSent = "correspondent-sent",
    /// Packets of a terminal, its Home Address option taken out.
    CorrespondentReceived = "correspondent-received",
    /// Packets whose Home Address option was not believed, for the node to answer.
    CorrespondentRefused = "correspondent-refused",
    /// Packets that a terminal took out of its group.
    TerminalReceived = "terminal-received",
    /// Times that packets waited in vain for those before them.
    ReorderTimeouts = "reorder-timeouts",
    /// Times that so many packets waited that the first of them went on.
    ReorderOverflows = "reorder-overflows",
    /// Packets that a terminal sent.
    UplinkSent = "uplink-sent",
    /// Updates that a full table refused.
    RefusedUpdates = "refused-updates",
    /// Updates that name no port of this node.
    RefusedPorts = "refused-ports",
    /// Notices that were lost because nobody took them.
    LostNotices = "lost-notices",
    /// Notices of groups without a route that the rate limit held back.
    MulticastMissesSuppressed = "multicast-misses-suppressed",
    /// Notices of multicast packets by a wrong port that the rate limit held back.
    MulticastWrongPortsSuppressed = "multicast-wrong-ports-suppressed",
    /// Notices of sources of shared trees that the rate limit held back.
    MulticastSourcesSuppressed = "multicast-sources-suppressed",
    /// Notices of Register messages that the rate limit held back.
    RegistersSuppressed = "registers-suppressed",
    /// Notices of correspondents that the rate limit held back, or that named none.
    CorrespondentsSuppressed = "correspondents-suppressed",
    /// Errors from inside tunnels that were not passed on: rate limit, or nobody to tell.
    RelaysSuppressed = "relays-suppressed",
    /// Packets that left a tunnel with a combination of ECN codepoints that is not used and possibly dangerous
    /// (RFC 6040 §4.2).
    EcnUnused = "ecn-unused",
    /// Packets that left a tunnel, or were dropped at its end, with one that is always dangerous.
    EcnUnusedDangerous = "ecn-unused-dangerous",
    /// Packets Too Big about tunnels of this node that were not believed (RFC 8201 §4).
    PathMtusImplausible = "path-mtus-implausible",
    /// TCP segment sizes that were lowered.
    MssClamped = "mss-clamped",
    /// Path MTUs learnt.
    PathMtusLearnt = "path-mtus-learnt",
}

/// The counters of a pipeline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Counters([0; Counter::ALL.len()])
    }
}

impl Counters {
    /// The value of a counter.
    pub const fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Every counter with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Counter::ALL.iter().map(|&counter| (counter.name(), self.get(counter)))
    }

    /// Those that are larger than in `before`, by how much.
    pub fn since<'a>(&'a self, before: &'a Counters) -> impl Iterator<Item = (&'static str, u64)> + 'a {
        Counter::ALL
            .iter()
            .map(|&counter| (counter.name(), self.get(counter) - before.get(counter)))
            .filter(|&(_, difference)| difference > 0)
    }

    /// Whether every packet that came in has ended once.
    pub fn is_balanced(&self) -> bool {
        let (mut begun, mut ended) = (0u64, 0u64);
        for (name, value) in self.iter() {
            match name {
                "rx" | "transmitted" | "generated" | "copied" | "resumed" | "waited-in-vain" | "relayed-lost" => {
                    begun += value;
                }
                "output" | "local" => ended += value,
                _ if name.starts_with("punt-") || name.starts_with("icmp-error-") || name.starts_with("drop-") => {
                    ended += value;
                }
                _ => {}
            }
        }
        begun == ended
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, counter: Counter) {
        self.0[counter as usize] += 1;
    }

    pub(crate) fn add_many(&mut self, counter: Counter, by: u64) {
        self.0[counter as usize] += by;
    }
}
