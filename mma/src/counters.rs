//! What an agent counts.

use crate::registration::Refusal;
use stack::wire::mobility::MobilityMessage;

stack::counters! {
    /// Counters of an agent since its start.
    Counters {
        /// Binding Updates.
        rx_binding_update = "rx-binding-update",
        /// Messages of known type that an agent has no use for.
        rx_unexpected = "rx-unexpected",
        /// Messages of unknown type.
        rx_unknown = "rx-unknown",
        /// Binding Acknowledgements that accept.
        tx_acknowledgement_accepted = "tx-binding-acknowledgement-accepted",
        /// Binding Acknowledgements that refuse.
        tx_acknowledgement_refused = "tx-binding-acknowledgement-refused",
        /// Binding Errors.
        tx_binding_error = "tx-binding-error",
        /// ICMPv6 Parameter Problems.
        tx_parameter_problem = "tx-parameter-problem",
        /// Bindings made.
        registered = "binding-registered",
        /// Bindings made to last longer.
        refreshed = "binding-refreshed",
        /// Bindings whose lifetime ran out.
        expired = "binding-expired",
        /// Bindings whose packets go to where the terminal has moved to, from one of its requests on.
        forwarding = "binding-forwarding",
        /// Bindings that forwarded and whose time for it is over.
        forwarded = "binding-forwarding-ended",
        /// Regional addresses bound to an on-link address (RFC 5380).
        anchored = "binding-anchored",
        /// Bindings that their terminals removed.
        deregistered = "binding-deregistered",
        /// Bindings that the operator removed.
        revoked = "binding-revoked",
        /// Updates authenticated with the source of the packet in place of the Alternate Care-of Address.
        authenticated_by_source = "authenticated-by-source",
        /// Terminals that asked for a group of another layout and got one of this site's.
        group_regranted = "group-regranted",
        /// Care-of addresses that were free again before their time.
        quarantine_cut_short = "quarantine-cut-short",
        /// Messages to care-of addresses, or through tunnels, that answered nothing of the agent's and were the terminals'.
        passed_to_terminal = "passed-to-terminal",
        /// Answers not sent because of the rate limit.
        answer_rate_limited = "answer-rate-limited",
        /// IPv6 or extension headers that cannot be read, or are no Mobility Header's.
        drop_header = "drop-mobility-header",
        /// Not to the agent's address.
        drop_destination = "drop-mobility-destination",
        /// Source, home address or care-of address is not unicast and routable.
        drop_source = "drop-mobility-source",
        /// Fragments that nobody put together.
        drop_fragment = "drop-mobility-fragment",
        /// Wrong checksum.
        drop_checksum = "drop-mobility-checksum",
        /// Payload protocol or header length wrong.
        drop_framing = "drop-mobility-framing",
        /// Cut short, or options that cannot be read.
        drop_malformed = "drop-mobility-malformed",
        /// No authentication option.
        drop_unauthenticated = "drop-update-unauthenticated",
        /// No security association.
        drop_no_association = "drop-update-no-association",
        /// Status 146.
        refused_authentication = "refused-authentication",
        /// Status 135.
        refused_sequence = "refused-sequence",
        /// Status 145.
        refused_timestamp_required = "refused-timestamp-required",
        /// Status 144.
        refused_timestamp = "refused-timestamp",
        /// Replay protection has no room, status 130.
        refused_replay_memory = "refused-replay-memory",
        /// Home registration, status 131.
        refused_home_registration = "refused-home-registration",
        /// Not a registration with a mobility agent, status 129.
        refused_not_map = "refused-not-map",
        /// No group: plain HMIPv6, status 129.
        refused_map_mode = "refused-map-mode",
        /// Forwarding after a move, status 129.
        refused_forwarding = "refused-forwarding",
        /// Forwarding to an address that is none of a peer, status 129.
        refused_forward_target = "refused-forward-target",
        /// Forwarding to an address of this agent's own, status 129.
        refused_forward_loop = "refused-forward-loop",
        /// Forwarding for a home address that has no binding, status 133.
        refused_no_binding = "refused-no-binding",
        /// Regional address is another terminal's, or the terminal has another one, status 134.
        refused_regional_taken = "refused-regional-taken",
        /// Several groups, status 128.
        refused_several_groups = "refused-several-groups",
        /// An alternate care-of address beside a group, or none at all, status 174.
        refused_care_of = "refused-care-of",
        /// Not from an access prefix, status 129.
        refused_access_prefix = "refused-access-prefix",
        /// No home agent, status 129.
        refused_home_agent = "refused-home-agent",
        /// Home address of another terminal, status 129.
        refused_owner = "refused-owner",
        /// Group of another EUI-64, status 129.
        refused_terminal = "refused-terminal",
        /// An EUI-64 that no group of the site's layout can hold, status 129.
        refused_no_group = "refused-no-group",
        /// Group is another home address's, status 134.
        refused_group_taken = "refused-group-taken",
        /// Stateless care-of address is taken, status 134.
        refused_care_of_taken = "refused-care-of-taken",
        /// No care-of address is free, status 130.
        refused_care_of_exhausted = "refused-care-of-exhausted",
        /// Too many bindings, status 130.
        refused_full = "refused-full",
        /// Drained or stopped, status 130.
        refused_draining = "refused-draining",
        /// GRE is required, status 163.
        refused_gre_required = "refused-gre-required",
    }
}

impl Counters {
    pub(crate) fn count_received(&mut self, message: &MobilityMessage) {
        match message {
            MobilityMessage::BindingUpdate(_) => self.rx_binding_update += 1,
            MobilityMessage::Unknown { .. } => self.rx_unknown += 1,
            _ => self.rx_unexpected += 1,
        }
    }

    pub(crate) fn count_refused(&mut self, refusal: Refusal) {
        *match refusal {
            Refusal::AuthenticationFailed => &mut self.refused_authentication,
            Refusal::Sequence => &mut self.refused_sequence,
            Refusal::TimestampRequired => &mut self.refused_timestamp_required,
            Refusal::Timestamp => &mut self.refused_timestamp,
            Refusal::ReplayMemory => &mut self.refused_replay_memory,
            Refusal::HomeRegistration => &mut self.refused_home_registration,
            Refusal::NotMap => &mut self.refused_not_map,
            Refusal::MapMode => &mut self.refused_map_mode,
            Refusal::Forwarding => &mut self.refused_forwarding,
            Refusal::ForwardTarget => &mut self.refused_forward_target,
            Refusal::ForwardLoop => &mut self.refused_forward_loop,
            Refusal::NoBinding => &mut self.refused_no_binding,
            Refusal::RegionalTaken => &mut self.refused_regional_taken,
            Refusal::SeveralGroups => &mut self.refused_several_groups,
            Refusal::CareOf => &mut self.refused_care_of,
            Refusal::AccessPrefix => &mut self.refused_access_prefix,
            Refusal::NoHomeAgent => &mut self.refused_home_agent,
            Refusal::Owner => &mut self.refused_owner,
            Refusal::Terminal => &mut self.refused_terminal,
            Refusal::NoGroup => &mut self.refused_no_group,
            Refusal::GroupTaken => &mut self.refused_group_taken,
            Refusal::CareOfTaken => &mut self.refused_care_of_taken,
            Refusal::CareOfExhausted => &mut self.refused_care_of_exhausted,
            Refusal::Full => &mut self.refused_full,
            Refusal::Draining => &mut self.refused_draining,
            Refusal::GreRequired => &mut self.refused_gre_required,
        } += 1;
    }
}
