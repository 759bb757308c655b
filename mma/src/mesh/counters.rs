//! What a router of the mesh counts.

stack::counters! {
    /// Counters of the mesh since its start.
    Counters {
        /// Handover Initiates that were authentic and fresh.
        rx_initiate = "rx-handover-initiate",
        /// Handover Acknowledges that answered something.
        rx_acknowledge = "rx-handover-acknowledge",
        /// Handover Initiates, those that were sent again among them.
        tx_initiate = "tx-handover-initiate",
        /// Of those, the ones that were sent again.
        retransmitted = "handover-initiate-retransmitted",
        /// Handover Acknowledges.
        tx_acknowledge = "tx-handover-acknowledge",
        /// Requests that nobody has acknowledged, however often they were sent.
        unanswered = "handover-unanswered",
        /// Requests of which the peer refused something.
        refused_by_peer = "handover-refused-by-peer",
        /// Groups that a peer said a listener has left.
        gone = "listeners-gone",
        /// Groups that are joined for a terminal of a peer; again for a longer time is not counted.
        pre_joined = "pre-joins",
        /// Pre-joins that a limit forbade.
        refused_limit = "refused-pre-join-limit",
        /// Groups or sources that are not routed.
        refused_scope = "refused-mesh-scope",
        /// Records that say something else than their message may.
        refused_record = "refused-mesh-record",
        /// Reports that are not of MLD.
        refused_payload = "refused-mesh-payload",
        /// Terminals' routers that are no peers.
        unknown_router = "unknown-router",
        /// What was not asked because too many requests wait for an answer.
        drop_request_limit = "drop-mesh-request-limit",
        /// Not from a peer.
        drop_stranger = "drop-mesh-stranger",
        /// IPv6 or extension headers that cannot be read, or are no Mobility Header's.
        drop_header = "drop-mesh-header",
        /// Wrong checksum.
        drop_checksum = "drop-mesh-checksum",
        /// Cut short, or options that cannot be read.
        drop_malformed = "drop-mesh-malformed",
        /// Not signed with the key of the pair.
        drop_authentication = "drop-mesh-authentication",
        /// No timestamp, or one that is not fresh.
        drop_stale = "drop-mesh-stale",
        /// Acknowledgements of nothing that waits for one.
        drop_unasked = "drop-mesh-unasked",
    }
}
