//! What a PIM router counts.

stack::counters! {
    /// Counters of a [`crate::Router`].
    Counters {
        /// Hellos received.
        rx_hello = "rx-hello",
        /// Hellos sent.
        tx_hello = "tx-hello",
        /// Join/Prune messages received.
        rx_join_prune = "rx-join-prune",
        /// Join/Prune messages sent.
        tx_join_prune = "tx-join-prune",
        /// Joins of an (S,G) or (*,G) in messages sent.
        tx_join = "tx-join",
        /// Prunes of an (S,G) or (*,G) in messages sent.
        tx_prune = "tx-prune",
        /// Prunes sent again for others to override.
        tx_prune_echo = "tx-prune-echo",
        /// Joins that were put off because another router sent them.
        suppressed_joins = "suppressed-joins",
        /// Prunes of others that were answered with a join.
        overridden_prunes = "overridden-prunes",
        /// Asserts received.
        rx_assert = "rx-assert",
        /// Asserts sent.
        tx_assert = "tx-assert",
        /// Those of them that say that this router forwards no longer.
        tx_assert_cancel = "tx-assert-cancel",
        /// Register messages that a machine of this router looked at: Null-Registers, and of those with data as many as
        /// the data plane told of.
        rx_register = "rx-register",
        /// Register messages for groups whose rendezvous point this router is not; answered with a Register-Stop.
        register_not_rendezvous_point = "register-not-rendezvous-point",
        /// Register-Stop messages received.
        rx_register_stop = "rx-register-stop",
        /// Null-Registers sent.
        tx_null_register = "tx-null-register",
        /// Register-Stop messages sent.
        tx_register_stop = "tx-register-stop",
        /// Bootstrap messages received, fragments counted singly.
        rx_bootstrap = "rx-bootstrap",
        /// Bootstrap messages sent, fragments counted singly.
        tx_bootstrap = "tx-bootstrap",
        /// Candidate-RP-Advertisements received.
        rx_candidate_rp = "rx-candidate-rp",
        /// Candidate-RP-Advertisements sent.
        tx_candidate_rp = "tx-candidate-rp",
        /// Bootstrap messages of routers that are no better than the current bootstrap router.
        bootstrap_not_preferred = "bootstrap-not-preferred",
        /// MLDv2 reports received.
        rx_mld_report = "rx-mld-report",
        /// MLDv2 queries received.
        rx_mld_query = "rx-mld-query",
        /// MLDv1 reports received.
        rx_mld_v1_report = "rx-mld-v1-report",
        /// MLDv1 Done messages received.
        rx_mld_v1_done = "rx-mld-v1-done",
        /// MLDv1 queries received.
        rx_mld_v1_query = "rx-mld-v1-query",
        /// MLD queries sent, of the configured version.
        tx_mld_query = "tx-mld-query",
        /// Packets on a port that is down or has no interface here.
        drop_no_interface = "drop-pim-no-interface",
        /// PIM messages on a passive or border interface.
        drop_passive = "drop-pim-passive",
        /// Packets whose headers are wrong.
        drop_header = "drop-pim-header",
        /// Packets out of a tunnel: they did not come from the link.
        drop_tunnel = "drop-pim-tunnel",
        /// PIM messages whose hop limit is not 1.
        drop_hop_limit = "drop-pim-hop-limit",
        /// PIM messages that are not from a link-local address, or are from this router's own.
        drop_source = "drop-pim-source",
        /// PIM messages to another destination than their type demands.
        drop_destination = "drop-pim-destination",
        /// PIM messages with a wrong checksum.
        drop_checksum = "drop-pim-checksum",
        /// PIM messages that are malformed.
        drop_malformed = "drop-pim-malformed",
        /// Register messages between addresses, or about a source and group, that cannot be.
        drop_register = "drop-pim-register",
        /// Register-Stop messages of routers that are not the group's rendezvous point.
        drop_register_stop = "drop-pim-register-stop",
        /// Sources beyond the limit of those that send.
        drop_source_limit = "drop-pim-source-limit",
        /// Bootstrap messages and Candidate-RP-Advertisements at a router that takes no part in the mechanism.
        drop_bootstrap_disabled = "drop-pim-bootstrap-disabled",
        /// Those on an interface at which their zone or the mechanism ends, or that has no neighbours (RFC 5059 §3.4, §6).
        drop_bootstrap_boundary = "drop-pim-bootstrap-boundary",
        /// Bootstrap messages that are not from the neighbour towards the bootstrap router (RFC 5059 §3.1.3).
        drop_bootstrap_rpf = "drop-pim-bootstrap-rpf",
        /// Bootstrap messages that are not to be forwarded, after the start (RFC 5059 §3.1.3).
        drop_bootstrap_not_starting = "drop-pim-bootstrap-not-starting",
        /// Bootstrap messages to this router alone, where these are not taken (RFC 5059 §3.5.2).
        drop_bootstrap_unicast = "drop-pim-bootstrap-unicast",
        /// Bootstrap messages of a zone whose scope cannot be one (RFC 5059 §3.1).
        drop_bootstrap_scope = "drop-pim-bootstrap-scope",
        /// Bootstrap messages of an address that cannot be a router's.
        drop_bootstrap_address = "drop-pim-bootstrap-address",
        /// Group ranges, in messages of either kind, that are not of multicast groups or not of their zone.
        drop_rp_range = "drop-pim-rp-range",
        /// Rendezvous points in Bootstrap messages whose address cannot be one.
        drop_rp_address = "drop-pim-rp-address",
        /// Group-to-RP mappings beyond the limit.
        drop_rp_mapping_limit = "drop-pim-rp-mapping-limit",
        /// Candidate rendezvous points whose address cannot be one or is not accepted.
        drop_candidate_rp_address = "drop-pim-candidate-rp-address",
        /// Group ranges of candidate rendezvous points for which this router is not the bootstrap router.
        drop_candidate_rp_not_elected = "drop-pim-candidate-rp-not-elected",
        /// Hellos of new neighbours beyond the limit.
        drop_neighbor_limit = "drop-pim-neighbor-limit",
        /// Hellos of routers that the interface's configuration does not name.
        drop_neighbor_filter = "drop-pim-neighbor-filter",
        /// Group sets of groups that may not be joined on the interface.
        drop_join_filter = "drop-pim-join-filter",
        /// Group sets, and reports of members, of groups that do not pass the interface.
        drop_boundary = "drop-pim-boundary",
        /// Secondary addresses that a neighbour took over from another.
        secondary_address_conflicts = "secondary-address-conflicts",
        /// Join/Prune and Assert messages of routers that are no neighbours.
        drop_unknown_neighbor = "drop-pim-unknown-neighbor",
        /// Group sets whose group may not be routed here.
        drop_group = "drop-pim-group",
        /// Sources of a group set that are no (S,G) or (*,G): masks, flags, and addresses that cannot be sources.
        drop_join_prune_source = "drop-pim-join-prune-source",
        /// Joins and members of all sources of a group whose rendezvous point is not known (RFC 7761 §4.7.1).
        drop_no_rendezvous_point = "drop-pim-no-rendezvous-point",
        /// Joins of all sources of a group that name another rendezvous point than the group does (RFC 7761 §4.5.1).
        drop_rendezvous_point_mismatch = "drop-pim-rendezvous-point-mismatch",
        /// Joins and memberships beyond the limit of entries.
        drop_entry_limit = "drop-pim-entry-limit",
        /// MLD packets with a header that is wrong.
        drop_mld_header = "drop-mld-header",
        /// MLD packets whose hop limit is not 1.
        drop_mld_hop_limit = "drop-mld-hop-limit",
        /// MLD packets that are not from a link-local address (RFC 3810 §5.1.14, §5.2.13), or from this router's own.
        drop_mld_source = "drop-mld-source",
        /// Those from the unspecified address: hosts that have no address yet, and forged queries.
        drop_mld_unspecified_source = "drop-mld-unspecified-source",
        /// MLD packets without Router Alert.
        drop_mld_router_alert = "drop-mld-router-alert",
        /// MLD packets with a wrong checksum.
        drop_mld_checksum = "drop-mld-checksum",
        /// MLD packets that are malformed.
        drop_mld_malformed = "drop-mld-malformed",
        /// MLD packets on an interface without a querier.
        drop_mld_no_querier = "drop-mld-no-querier",
        /// Queries of routers in the other version of MLD than the one configured here (RFC 3810 §8.3.1).
        mld_version_mismatches = "mld-version-mismatches",
        /// BLOCK records of groups with a listener that speaks version 1 (RFC 3810 §8.3.2).
        mld_v1_mode_ignored = "mld-v1-mode-ignored",
        /// MLDv1 Done messages of groups without such a listener.
        drop_mld_v1_done = "drop-mld-v1-done",
        /// MLDv1 reports and Done messages of source-specific groups (RFC 4604 §3.5, §3.7).
        drop_mld_v1_ssm = "drop-mld-v1-ssm",
        /// EXCLUDE records for source-specific groups (RFC 4604 §3.1).
        drop_mld_exclude_ssm = "drop-mld-exclude-ssm",
        /// Records of groups that may not be routed here.
        drop_mld_scope = "drop-mld-scope",
        /// Records beyond the limit of groups a port, or of a new group there while no more hosts can be tracked.
        drop_mld_port_limit = "drop-mld-port-limit",
        /// Records beyond the limit of groups a host.
        drop_mld_host_limit = "drop-mld-host-limit",
        /// Records beyond the limit of sources a host.
        drop_mld_host_source_limit = "drop-mld-host-source-limit",
        /// Records beyond the limit of sources a group.
        drop_mld_source_limit = "drop-mld-source-limit",
        /// Moves of terminals that they reported.
        mld_moves_told = "mld-moves-told",
        /// Moves of terminals that are not tracked in the groups that they report.
        mld_moves_unheard = "mld-moves-unheard",
        /// Groups that were asked for because another access router has one of their listeners.
        mld_gone_asked = "mld-gone-asked",
        /// Groups that another access router has a listener of, and that are not asked for here.
        mld_gone_unknown = "mld-gone-unknown",
        /// Groups and sources joined for a listener to come.
        pre_joins = "pre-joins",
        /// Of those, the ones whose listener came.
        pre_joins_met = "pre-joins-met",
        /// Of those, the ones whose listener did not come in time.
        pre_joins_lapsed = "pre-joins-lapsed",
        /// Hosts that are not tracked because their group has too many.
        mld_untracked_hosts = "mld-untracked-hosts",
        /// Sources that were left at once because no host was left.
        mld_immediate_leaves = "mld-immediate-leaves",
    }
}
