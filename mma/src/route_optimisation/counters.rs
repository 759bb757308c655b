//! What an initiator counts.

stack::counters! {
    /// Counters of an [`Optimiser`](super::Optimiser) since its start.
    Counters {
        /// Home Test Init messages.
        tx_home_test_init = "tx-home-test-init",
        /// Care-of Test Init messages.
        tx_care_of_test_init = "tx-care-of-test-init",
        /// Binding Updates to correspondents.
        tx_update = "tx-correspondent-update",
        /// Binding Updates that delete.
        tx_deletion = "tx-correspondent-deletion",
        /// Home Tests that answered a question.
        rx_home_test = "rx-home-test",
        /// Care-of Tests that answered a question.
        rx_care_of_test = "rx-care-of-test",
        /// Binding Acknowledgements that answered an update.
        rx_acknowledgement = "rx-correspondent-acknowledgement",
        /// Binding Refresh Requests of correspondents that have a binding.
        rx_refresh_request = "rx-binding-refresh-request",
        /// Binding Errors of correspondents that something was sent to.
        rx_binding_error = "rx-correspondent-binding-error",
        /// ICMPv6 errors about what was sent.
        rx_icmp_error = "rx-correspondent-icmp-error",
        /// Messages that answer nothing, or come twice, or by another way than the answer would.
        rx_unmatched = "rx-correspondent-unmatched",
        /// Binding Acknowledgements with the right number and a wrong authenticator.
        rx_unauthentic = "rx-correspondent-unauthentic",
        /// Bindings that correspondents accepted.
        bound = "optimisation-bound",
        /// Bindings that correspondents accepted again.
        refreshed = "optimisation-refreshed",
        /// Bindings that ended because nothing was sent any more.
        lapsed = "optimisation-lapsed",
        /// Bindings that correspondents deleted when asked to.
        deleted = "optimisation-deleted",
        /// Bindings that were said to be lost while packets said otherwise.
        doubted = "optimisation-doubted",
        /// Bindings that correspondents had lost.
        lost = "optimisation-lost",
        /// Sequence numbers taken over from correspondents (status 135).
        sequence_resumed = "optimisation-sequence-resumed",
        /// Sequence numbers of correspondents that were not followed, because they are not ahead (status 135).
        sequence_behind = "optimisation-sequence-behind",
        /// Nonces that had expired (status 136 to 138).
        nonces_expired = "optimisation-nonces-expired",
        /// Sequence numbers of a preconfigured key that began again: it is time for another key (RFC 4449 §4).
        preconfigured_wrapped = "optimisation-preconfigured-sequence-wrapped",
        /// Pairs given up because nobody answered.
        failed_unanswered = "optimisation-failed-unanswered",
        /// Pairs given up because the correspondent refused.
        failed_refused = "optimisation-failed-refused",
        /// Pairs given up because the correspondent knows no Mobile IPv6.
        failed_unable = "optimisation-failed-unable",
        /// Pairs given up because the correspondent could not be reached.
        failed_unreachable = "optimisation-failed-unreachable",
        /// Correspondents not tried: they failed not long ago.
        refused_failed = "optimisation-refused-failed",
        /// Correspondents not tried: their addresses cannot be those of correspondents.
        refused_address = "optimisation-refused-address",
        /// Correspondents not tried: the operator does not want it.
        refused_policy = "optimisation-refused-policy",
        /// Correspondents not tried: the table is full.
        refused_full = "optimisation-refused-full",
        /// Correspondents not tried: their home address has the most that it may have.
        refused_share = "optimisation-refused-share",
        /// Correspondents not tried: too many a second.
        refused_rate = "optimisation-refused-rate",
    }
}
