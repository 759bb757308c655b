use crate::reception::Tally;

stack::counters! {
    /// What the home agent has received, answered and refused.
    Counters {
        /// Binding Updates.
        rx_binding_update = "rx-binding-update",
        /// Home Agent Address Discovery Requests.
        rx_address_request = "rx-home-agent-address-request",
        /// Home Agent Address Discovery Replies.
        tx_address_reply = "tx-home-agent-address-reply",
        /// Mobile Prefix Solicitations.
        rx_prefix_solicitation = "rx-mobile-prefix-solicitation",
        /// Mobile Prefix Advertisements.
        tx_prefix_advertisement = "tx-mobile-prefix-advertisement",
        /// Router Advertisements of other home agents.
        rx_router_advertisement = "rx-home-agent-advertisement",
        /// Other home agents that found no room in the list.
        agents_full = "home-agents-list-full",
        /// Prefixes of other home agents that found no room.
        prefixes_full = "home-prefix-list-full",
        /// Mobile Prefix Solicitations that do not come from the care-of address of a binding.
        drop_prefix_solicitation = "drop-mobile-prefix-solicitation",
        /// Binding Acknowledgements with a status below 128.
        tx_accepted = "tx-binding-acknowledgement-accepted",
        /// Binding Acknowledgements with a status of 128 or more.
        tx_rejected = "tx-binding-acknowledgement-rejected",
        /// Binding Refresh Requests.
        tx_binding_refresh_request = "tx-binding-refresh-request",
        /// Binding Errors.
        tx_binding_error = "tx-binding-error",
        /// ICMPv6 Parameter Problems.
        tx_parameter_problem = "tx-parameter-problem",
        /// Packets that are not Mobility Header packets as a whole.
        drop_not_mobility = "drop-home-agent-not-mobility",
        /// Mobility Headers whose checksum does not hold.
        drop_checksum = "drop-home-agent-checksum",
        /// Malformed messages.
        drop_malformed = "drop-home-agent-malformed",
        /// Messages of unknown type.
        drop_unknown_type = "drop-home-agent-unknown-type",
        /// Messages that are no business of a home agent.
        drop_unexpected = "drop-home-agent-unexpected",
        /// Answers that the rate limit held back.
        drop_rate_limit = "drop-home-agent-rate-limit",
        /// Binding Updates without the H bit.
        drop_no_home_registration = "drop-binding-update-no-home-registration",
        /// Binding Updates with Nonce Indices, whose source or home address is not usable, or that register without a Home
        /// Address option (RFC 6275 §9.5.1, §10.3.1).
        drop_invalid = "drop-binding-update-invalid",
        /// Binding Updates whose care-of address is not a routable unicast one (RFC 6275 §6.1.7).
        drop_care_of = "drop-binding-update-care-of",
        /// Binding Updates of terminals with which no key is shared, or without authentication (RFC 4285 §5).
        drop_no_association = "drop-binding-update-no-association",
        /// Rejected: authentication failed (146).
        reject_authentication = "reject-binding-update-authentication",
        /// Rejected: the timestamp is not fresh (144) or missing (145).
        reject_timestamp = "reject-binding-update-timestamp",
        /// Rejected: sequence number out of window (135).
        reject_sequence = "reject-binding-update-sequence",
        /// Rejected: not sent to an address of the home agent (131).
        reject_not_agent = "reject-binding-update-not-agent",
        /// Rejected: not on the home link (132).
        reject_not_home_subnet = "reject-binding-update-not-home-subnet",
        /// Rejected: no binding to remove (133).
        reject_no_binding = "reject-binding-update-no-binding",
        /// Rejected: the operator does not want this terminal, or it where it is (129).
        reject_prohibited = "reject-binding-update-prohibited",
        /// Rejected: the care-of address is this node's own, or on a home link (174).
        reject_care_of = "reject-binding-update-care-of",
        /// Rejected: no home registration for a home address that has one (139).
        reject_type_change = "reject-binding-update-type-change",
        /// Rejected: the cache is full (130).
        reject_resources = "reject-binding-update-resources",
        /// Rejected: duplicate address (134).
        reject_duplicate = "reject-binding-update-duplicate",
        /// Signed for the packet's source instead of the Alternate Care-of Address, which RFC 4285 leaves open.
        signed_by_source = "binding-update-signed-by-source",
        /// Binding Updates that came while duplicate address detection ran; the last one is answered.
        while_detecting = "binding-update-while-detecting",
        /// Detections to which no result came.
        detection_lost = "duplicate-address-detection-lost",
        /// Bindings that a duplicate found later has ended.
        revoked = "binding-revoked",
        /// Bindings that have expired.
        expired = "binding-expired",
        /// Bindings registered.
        registered = "binding-registered",
        /// Bindings removed by their terminals.
        deregistered = "binding-deregistered",
    }
}

impl Counters {
    /// What is counted of packets that are not taken.
    pub(super) const fn tally(&mut self) -> Tally<'_> {
        Tally {
            not_mobility: &mut self.drop_not_mobility,
            checksum: &mut self.drop_checksum,
            malformed: &mut self.drop_malformed,
            unknown_type: &mut self.drop_unknown_type,
            parameter_problem: &mut self.tx_parameter_problem,
            binding_error: &mut self.tx_binding_error,
            rate_limit: &mut self.drop_rate_limit,
        }
    }
}
