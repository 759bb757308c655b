//! Limits that were hit and filters that dropped, of all groups: they may have been hit by this one.

use super::super::findings::Findings;
use super::RouterView;

pub(super) fn explain(view: &RouterView, found: &mut Findings) {
    let counters = &view.counters;
    for (count, what, remedy) in [
        (counters.drop_entry_limit, "joins and members were beyond the limit of entries", "raise router.max_entries"),
        (counters.drop_source_limit, "sources were beyond the limit", "raise router.max_sources"),
        (counters.drop_neighbor_limit, "Hellos were of more neighbours than a port may have", "divide the link"),
        (
            counters.drop_mld_port_limit,
            "reports were beyond the groups of their port",
            "raise max_groups of access_router.port.mld",
        ),
        (
            counters.drop_mld_host_limit,
            "reports were beyond the groups of their host",
            "raise max_groups_per_host of access_router.port.mld",
        ),
        (
            counters.drop_mld_source_limit,
            "reports were beyond the sources of their group",
            "raise max_sources of access_router.port.mld",
        ),
        (
            counters.drop_mld_host_source_limit,
            "reports were beyond the sources of their host",
            "raise max_sources_per_host of access_router.port.mld",
        ),
        (
            counters.drop_mld_exclude_ssm,
            "reports of source-specific groups named no source",
            "let the hosts name their source (RFC 4604 §3.1)",
        ),
        (
            counters.drop_mld_v1_ssm,
            "reports of source-specific groups were of MLDv1, which names no source",
            "let the hosts speak MLDv2",
        ),
        (counters.drop_join_filter, "joins were not taken", "[[router.port]] joins says which groups may be joined"),
        (counters.drop_boundary, "joins and members were beyond a boundary", "[[router.port]] boundary says which"),
        (
            counters.drop_rendezvous_point_mismatch,
            "joins named another rendezvous point than this router knows",
            "all routers have to know the same: compare `drover show pim rp`",
        ),
        (
            counters.register_not_rendezvous_point,
            "Register messages came for groups of another rendezvous point",
            "all routers have to know the same: compare `drover show pim rp`",
        ),
        (
            counters.drop_unknown_neighbor,
            "joins and asserts came from routers that are no neighbours",
            "their Hellos are lost or filtered: `drover show pim neighbors`",
        ),
        (
            view.wrong_port_drops,
            "packets came by a port that their route does not accept",
            "the unicast route to their source leads another way than they come: see `drover show mroutes`",
        ),
    ] {
        if count > 0 {
            found.advise(format!("{count} {what}, of all groups"), remedy);
        }
    }
}
