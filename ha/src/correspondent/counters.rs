use crate::reception::Tally;

stack::counters! {
    /// What a correspondent node has received, answered and refused.
    Counters {
        /// Home Test Inits.
        rx_home_test_init = "rx-home-test-init",
        /// Care-of Test Inits.
        rx_care_of_test_init = "rx-care-of-test-init",
        /// Binding Updates.
        rx_binding_update = "rx-binding-update",
        /// Binding Refresh Requests, Home Tests, Care-of Tests, Binding Acknowledgements and Binding Errors, which
        /// mean nothing to a correspondent.
        rx_unexpected = "rx-unexpected",
        /// ICMPv6 errors about packets to terminals.
        rx_unreachable = "rx-destination-unreachable",
        /// Home Tests.
        tx_home_test = "tx-home-test",
        /// Care-of Tests.
        tx_care_of_test = "tx-care-of-test",
        /// Binding Acknowledgements with a status below 128.
        tx_accepted = "tx-binding-acknowledgement-accepted",
        /// Binding Acknowledgements with a status of 128 or more.
        tx_rejected = "tx-binding-acknowledgement-rejected",
        /// Binding Refresh Requests.
        tx_binding_refresh_request = "tx-binding-refresh-request",
        /// Binding Errors of status 1.
        tx_binding_error_unknown_binding = "tx-binding-error-unknown-binding",
        /// Binding Errors of status 2.
        tx_binding_error_unknown_type = "tx-binding-error-unknown-type",
        /// ICMPv6 Parameter Problems.
        tx_parameter_problem = "tx-parameter-problem",
        /// Packets that are no business of a correspondent node.
        drop_not_ours = "drop-correspondent-not-ours",
        /// Mobility Headers whose checksum does not hold.
        drop_checksum = "drop-correspondent-checksum",
        /// Malformed messages.
        drop_malformed = "drop-correspondent-malformed",
        /// Messages of unknown type.
        drop_unknown_type = "drop-correspondent-unknown-type",
        /// Messages with a type 2 routing header, or another than a Binding Update with a Home Address option
        /// (RFC 6275 §6.1, §9.4.1, §9.4.2).
        drop_extension = "drop-correspondent-extension",
        /// Messages from addresses that cannot be answered.
        drop_source = "drop-correspondent-source",
        /// Test messages beyond the rate.
        drop_test_rate_limit = "drop-test-init-rate-limit",
        /// Binding Updates beyond the rate.
        drop_update_rate_limit = "drop-binding-update-rate-limit",
        /// Answers that the rate limit held back.
        drop_rate_limit = "drop-correspondent-rate-limit",
        /// Packets with a Home Address option that no binding allows.
        drop_unbound = "drop-home-address-unbound",
        /// The same, but the binding came before the packet was looked at: no answer.
        unbound_since_bound = "home-address-bound-since",
        /// Binding Updates whose care-of address is not a routable unicast one (RFC 6275 §6.1.7).
        drop_care_of = "drop-binding-update-care-of",
        /// Binding Updates without what authorises them: no nonce indices, or a home registration with them.
        drop_unauthorised = "drop-binding-update-unauthorised",
        /// Binding Updates whose authenticator does not hold or is not there.
        drop_authenticator = "drop-binding-update-authenticator",
        /// Rejected: home registration (131).
        reject_home_registration = "reject-binding-update-home-registration",
        /// Rejected: home registration of what is bound otherwise (139).
        reject_type_change = "reject-binding-update-type-change",
        /// Rejected: a nonce is not accepted any more, or was spent (136, 137, 138).
        reject_nonce = "reject-binding-update-nonce",
        /// Of those, the ones with spent nonces (RFC 6275 §9.5.3).
        spent_nonces = "binding-update-spent-nonces",
        /// Rejected: sequence number out of window (135).
        reject_sequence = "reject-binding-update-sequence",
        /// Rejected: the operator does not want this home address to have a binding (129).
        reject_policy = "reject-binding-update-policy",
        /// Rejected: the cache is full (130).
        reject_resources = "reject-binding-update-resources",
        /// Bindings made.
        bound = "binding-made",
        /// Bindings refreshed or moved.
        updated = "binding-updated",
        /// Bindings deleted by their terminals.
        deleted = "binding-deleted",
        /// Bindings that have expired.
        expired = "binding-expired",
        /// Idle bindings that made room for others.
        replaced = "binding-replaced",
        /// Bindings whose care-of address was persistently unreachable (RFC 6275 §9.3.4).
        unreachable = "binding-unreachable",
        /// Sequence numbers of preconfigured keys that went through zero: the keys should be changed (RFC 4449 §4).
        sequence_wrapped = "preconfigured-sequence-wrapped",
    }
}

impl Counters {
    /// What is counted of packets that are not taken.
    pub(super) const fn tally(&mut self) -> Tally<'_> {
        Tally {
            not_mobility: &mut self.drop_not_ours,
            checksum: &mut self.drop_checksum,
            malformed: &mut self.drop_malformed,
            unknown_type: &mut self.drop_unknown_type,
            parameter_problem: &mut self.tx_parameter_problem,
            binding_error: &mut self.tx_binding_error_unknown_type,
            rate_limit: &mut self.drop_rate_limit,
        }
    }
}
