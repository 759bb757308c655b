//! What can be shown.

/// What can be shown of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Neighbours and PIM neighbours.
    Neighbors,
    /// Unicast routes.
    Routes,
    /// Bindings of a mobility agent and of a home agent.
    Bindings,
    /// Correspondents that have, or are to have, the care-of addresses of terminals.
    Optimisations,
    /// Multicast groups that hosts on the node's links are members of.
    Groups,
    /// Multicast routes.
    Mroutes,
    /// Which groups have which rendezvous points.
    Rp,
    /// The bootstrap routers of the scope zones.
    Bsr,
    /// The mobile terminal of this node, and terminals that agents know.
    Terminals,
    /// The mesh of access routers: peers, and groups joined for their terminals.
    Mesh,
    /// All counters.
    Counters,
    /// The ports.
    Ports,
    /// The worker loops.
    Workers,
    /// The neighbours that PIM has, with the options of their Hellos.
    PimNeighbors,
    /// The interfaces of PIM: designated routers, queriers.
    PimInterfaces,
    /// The tree information base: all that is known of each (S,G) and (*,G).
    PimTib,
    /// The asserts that were won and lost.
    PimAssert,
    /// What each querier knows of the members on its link.
    PimMld,
    /// What PIM and MLD have counted.
    PimCounters,
}

impl Topic {
    /// All topics.
    pub const ALL: [Topic; 19] = [
        Topic::Neighbors,
        Topic::Routes,
        Topic::Bindings,
        Topic::Optimisations,
        Topic::Groups,
        Topic::Mroutes,
        Topic::Rp,
        Topic::Bsr,
        Topic::Terminals,
        Topic::Mesh,
        Topic::Counters,
        Topic::Ports,
        Topic::Workers,
        Topic::PimNeighbors,
        Topic::PimInterfaces,
        Topic::PimTib,
        Topic::PimAssert,
        Topic::PimMld,
        Topic::PimCounters,
    ];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Topic::Neighbors => "neighbors",
            Topic::Routes => "routes",
            Topic::Bindings => "bindings",
            Topic::Optimisations => "optimisations",
            Topic::Groups => "groups",
            Topic::Mroutes => "mroutes",
            Topic::Rp => "rp",
            Topic::Bsr => "bsr",
            Topic::Terminals => "terminals",
            Topic::Mesh => "mesh",
            Topic::Counters => "counters",
            Topic::Ports => "ports",
            Topic::Workers => "workers",
            Topic::PimNeighbors => "pim-neighbors",
            Topic::PimInterfaces => "pim-interfaces",
            Topic::PimTib => "pim-tib",
            Topic::PimAssert => "pim-assert",
            Topic::PimMld => "pim-mld",
            Topic::PimCounters => "pim-counters",
        }
    }

    /// Whether every worker has something to say about it, and not the first alone.
    pub const fn is_of_all_workers(self) -> bool {
        matches!(self, Topic::Counters | Topic::Ports | Topic::Workers)
    }

    /// Whether each row is about an (S,G) or (*,G). They are met in no order.
    pub const fn is_of_trees(self) -> bool {
        matches!(self, Topic::Mroutes | Topic::PimTib | Topic::PimAssert)
    }

    /// Whether the table may be large: the worker shows it in parts, and a client has the first rows where it names no limit.
    pub const fn may_be_long(self) -> bool {
        self.is_by_group() || matches!(self, Topic::Routes)
    }

    /// Whether each row is about a group, so that a range of groups can be asked for.
    pub const fn is_by_group(self) -> bool {
        matches!(self, Topic::Groups | Topic::Mroutes | Topic::PimTib | Topic::PimAssert | Topic::PimMld)
    }
}
