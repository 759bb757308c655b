stack::counters! {
    /// What the terminal has sent, received and refused.
    Counters {
        /// Binding Updates to mobility agents.
        tx_agent_update = "tx-binding-update-agent",
        /// Binding Updates to the home agent.
        tx_home_update = "tx-binding-update-home",
        /// Of these, those that were sent again because no acknowledgement came.
        tx_retransmission = "tx-binding-update-retransmission",
        /// Updates that waited because three had gone to the peer within a second.
        update_rate_limited = "binding-update-rate-limited",
        /// Binding Acknowledgements.
        rx_acknowledgement = "rx-binding-acknowledgement",
        /// Binding Acknowledgements that refuse.
        rx_refusal = "rx-binding-acknowledgement-refusal",
        /// Binding Acknowledgements with status 135 that were followed.
        rx_sequence = "rx-binding-acknowledgement-sequence",
        /// Binding Acknowledgements with status 146 to updates that are sent again nevertheless.
        rx_authentication_failed = "rx-binding-acknowledgement-authentication-failed",
        /// Binding Acknowledgements with status 144 that were followed.
        rx_clock = "rx-binding-acknowledgement-clock",
        /// Binding Refresh Requests that were followed.
        rx_refresh_request = "rx-binding-refresh-request",
        /// Binding Errors.
        rx_binding_error = "rx-binding-error",
        /// ICMPv6 Parameter Problems.
        rx_parameter_problem = "rx-parameter-problem",
        /// Home Agent Address Discovery Requests.
        tx_discovery_request = "tx-home-agent-discovery-request",
        /// Home Agent Address Discovery Replies that were taken.
        rx_discovery_reply = "rx-home-agent-discovery-reply",
        /// Home agents that were found and refused or did not answer, and in whose place another one is asked.
        home_agent_lost = "home-agent-lost",
        /// Binding Errors sent.
        tx_binding_error = "tx-binding-error",
        /// Correspondents that refused the Home Address option.
        uplink_refused = "uplink-home-address-refused",
        /// Packets with neither a Mobility Header nor a Parameter Problem.
        drop_not_mobility = "drop-terminal-not-mobility",
        /// Mobility Headers whose checksum does not hold.
        drop_checksum = "drop-terminal-mobility-checksum",
        /// Malformed messages.
        drop_malformed = "drop-terminal-mobility-malformed",
        /// Messages of unknown type.
        drop_unknown_type = "drop-terminal-mobility-unknown-type",
        /// Messages that are no business of a terminal, or of none of its peers.
        drop_unexpected = "drop-terminal-mobility-unexpected",
        /// Acknowledgements for another home address (RFC 6275 §6.4.3).
        drop_home_address = "drop-terminal-acknowledgement-home-address",
        /// Acknowledgements with wrong authentication data or none.
        drop_unauthentic = "drop-terminal-acknowledgement-unauthentic",
        /// Acknowledgements that answer no update that is out.
        drop_unmatched = "drop-terminal-acknowledgement-unmatched",
        /// Accepted, but without a care-of address or group that can be used.
        drop_grant = "drop-terminal-acknowledgement-grant",
        /// Home Agent Address Discovery Replies that are malformed, or name more agents than fit.
        drop_discovery_malformed = "drop-home-agent-discovery-malformed",
        /// Home Agent Address Discovery Replies for which no request is out from the address that they went to.
        drop_discovery_unasked = "drop-home-agent-discovery-unasked",
        /// Home Agent Address Discovery Replies with another identifier than the request.
        drop_discovery_identifier = "drop-home-agent-discovery-identifier",
        /// Home Agent Address Discovery Replies that name nobody who can be the terminal's home agent.
        drop_discovery_nobody = "drop-home-agent-discovery-nobody",
        /// Addresses in replies that are not of the home prefix, cannot be a home agent's, or found no room.
        drop_discovery_address = "drop-home-agent-discovery-address",
        /// Errors that quote no packet of ours.
        drop_error = "drop-terminal-error-not-ours",
        /// Answers that the rate limit held back.
        drop_rate_limit = "drop-terminal-rate-limit",
        /// Commands about ports that are no radio ports, or that found no room.
        drop_command = "drop-terminal-command",
        /// Mobility agents that did not answer.
        agent_lost = "registration-agent-lost",
        /// Mobility agents that turned out to know no groups.
        anchors_found = "agent-without-groups",
        /// Agents of sites left that would not forward.
        forwarding_refused = "forwarding-refused",
        /// Sites left that were forgotten before their time because there were too many.
        former_forgotten = "former-site-forgotten",
        /// Bindings whose lifetime ended.
        expired = "registration-expired",
        /// Moves begun.
        handovers = "handover-started",
        /// Moves completed.
        handovers_completed = "handover-completed",
    }
}
